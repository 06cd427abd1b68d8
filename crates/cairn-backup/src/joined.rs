//! `Joined`: a file of the environment that lies in pieces, read as the one that it was.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use cairn_io::{Dir, File, FileIdentity, FileRef, IoError, IoOp, IoResult, SyncSite};

use crate::{BackupResult, ManifestFile, verify::open_stored};

/// A file in one piece or in several, for reading.
#[derive(Debug)]
pub(crate) struct Joined {
    path: PathBuf,
    /// Where each piece begins, how long it is, and the piece.
    pieces: Vec<(u64, u64, FileRef)>,
    len: u64,
}

impl Joined {
    /// Opens `file` of a backup whose files lie in `dir`.
    ///
    /// # Errors
    /// If a piece is missing or has another length than the manifest says.
    pub(crate) fn open(dir: &dyn Dir, file: &ManifestFile) -> BackupResult<Self> {
        let stored = file.stored();
        let opened = stored
            .iter()
            .map(|stored| Ok((stored.start, stored.piece.length, open_stored(dir, stored)?)));
        let pieces = opened.collect::<BackupResult<_>>()?;
        Ok(Self { path: dir.path().join(file.name.to_string()), pieces, len: file.length })
    }

    /// The beginning of it, if it is longer than that.
    pub(crate) fn up_to(mut self, len: u64) -> Self {
        self.len = self.len.min(len);
        self
    }

    /// Nothing of a backup is changed.
    fn refuse<T>(&self, op: IoOp) -> IoResult<T> {
        Err(IoError::new(op, &self.path, ErrorKind::Unsupported))
    }
}

impl File for Joined {
    fn path(&self) -> &Path {
        &self.path
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> IoResult<usize> {
        let inside = |&&(start, len, _): &&(u64, u64, _)| (start..start + len).contains(&offset);
        let Some((start, len, piece)) = self.pieces.iter().find(inside) else { return Ok(0) };
        let end = self.len.min(start + len);
        let left = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let want = buf.len().min(left);
        piece.read_at(offset - start, &mut buf[..want])
    }

    fn write_at(&self, _: u64, _: &[u8]) -> IoResult<usize> {
        self.refuse(IoOp::Write)
    }

    fn sync(&self, _: SyncSite) -> IoResult<()> {
        self.refuse(IoOp::Sync)
    }

    fn set_len(&self, _: u64) -> IoResult<()> {
        self.refuse(IoOp::Write)
    }

    fn len(&self) -> IoResult<u64> {
        Ok(self.len)
    }

    fn links(&self) -> IoResult<u64> {
        self.pieces.first().map_or(Ok(1), |(_, _, piece)| piece.links())
    }

    fn identity(&self) -> IoResult<FileIdentity> {
        match self.pieces.first() {
            Some((_, _, piece)) => piece.identity(),
            None => self.refuse(IoOp::Open),
        }
    }

    fn map(&self, _: u64, _: usize) -> IoResult<Option<Bytes>> {
        Ok(None)
    }

    fn forget(&self, offset: u64, len: u64) {
        for (start, length, piece) in &self.pieces {
            let (from, to) = (offset.max(*start), (offset + len).min(start + length));
            if from < to {
                piece.forget(from - start, to - from);
            }
        }
    }
}
