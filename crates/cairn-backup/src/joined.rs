//! `Joined`: a file of the environment that lies in pieces, read as the one that it was.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use cairn_io::{Dir, FileIdentity, FileRef, IoError, IoOp, IoResult};

use crate::{BackupResult, ManifestFile, read_only::Readable, verify::open_stored};

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
}

impl Readable for Joined {
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

    fn length(&self) -> u64 {
        self.len
    }

    fn links(&self) -> IoResult<u64> {
        self.pieces.first().map_or(Ok(1), |(_, _, piece)| piece.links())
    }

    fn identity(&self) -> IoResult<FileIdentity> {
        match self.pieces.first() {
            Some((_, _, piece)) => piece.identity(),
            None => Err(IoError::new(IoOp::Open, &self.path, ErrorKind::NotFound)),
        }
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

#[cfg(test)]
mod tests {
    use cairn_io::{File as _, FileExt as _, MemDisk, SyncSite};
    use cairn_log::{Digest, FileClass, FileNumber, LogName, Timeline};

    use super::*;
    use crate::{Piece, read_only::ReadOnly};

    fn file(disk: &MemDisk, contents: &[&[u8]]) -> ManifestFile {
        let name = LogName::new(FileClass::Journal, FileNumber::FIRST, Timeline::FIRST);
        let whole = contents.concat();
        let piece = |bytes: &[u8]| Piece { length: bytes.len() as u64, digest: Digest::of(bytes) };
        let pieces = match contents {
            [_] => Vec::new(),
            several => several.iter().map(|bytes| piece(bytes)).collect(),
        };
        let Piece { length, digest } = piece(&whole);
        let file = ManifestFile { name, directory: 0, length, digest, pieces };
        for (stored, bytes) in file.stored().iter().zip(contents) {
            let created = disk.root().create(&stored.name).unwrap();
            created.write_all_at(0, bytes).unwrap();
        }
        file
    }

    /// A restore reads a backup through it: whatever goes wrong there, the backup stays as it is.
    #[test]
    fn nothing_of_a_backup_is_changed_through_a_file_in_pieces() {
        const SITE: SyncSite = SyncSite::new("test.joined");
        for contents in [&[&b"whole"[..]][..], &[b"in ", b"three ", b"pieces"]] {
            let disk = MemDisk::new();
            let joined = ReadOnly(Joined::open(&*disk.root(), &file(&disk, contents)).unwrap());
            let before: Vec<_> =
                disk.files().iter().map(|(path, _)| disk.read(path).unwrap()).collect();
            for refused in
                [joined.write_at(0, b"x").map(drop), joined.set_len(0), joined.sync(SITE)]
            {
                let error = refused.unwrap_err();
                assert_eq!(error.source.kind(), ErrorKind::ReadOnlyFilesystem, "{error}");
            }
            assert!(joined.map(0, 1).unwrap().is_none(), "pieces lie in several files");
            assert_eq!(joined.links().unwrap(), 1);
            let first = &joined.0.pieces[0].2;
            assert_eq!(joined.identity().unwrap(), first.identity().unwrap());
            let mut bytes = vec![0; usize::try_from(joined.len().unwrap()).unwrap()];
            joined.read_exact_at(0, &mut bytes).unwrap();
            assert_eq!(bytes, contents.concat());
            assert_eq!(joined.read_at(joined.len().unwrap(), &mut [0]).unwrap(), 0);
            let after: Vec<_> =
                disk.files().iter().map(|(path, _)| disk.read(path).unwrap()).collect();
            assert_eq!(after, before);
        }
    }

    #[test]
    fn a_file_is_no_longer_than_it_was_asked_for() {
        let disk = MemDisk::new();
        let joined = Joined::open(&*disk.root(), &file(&disk, &[b"in ", b"pieces"])).unwrap();
        let joined = ReadOnly(joined.up_to(5));
        let mut bytes = [0; 9];
        assert_eq!(joined.read_full_at(0, &mut bytes).unwrap(), 5);
        assert_eq!((&bytes[..5], joined.len().unwrap()), (&b"in pi"[..], 5));
    }
}
