//! `copy`: a file of the environment goes into a backup, all of it or what an earlier backup lacks.

use std::slice;

use cairn_env::{BackupFile, EnvError};
use cairn_io::{Dir, FileExt, WriteBehind};
use cairn_log::Digest;

use crate::{
    BackupError, BackupResult, ManifestFile,
    backup::COPY,
    piece::{Piece, Stored},
    progress::Counter,
};

/// A file that is in the new backup.
pub(crate) struct Copied {
    pub(crate) file: ManifestFile,
    /// What of it was written, and not linked.
    pub(crate) written: Option<Stored>,
}

/// Copies `file` into `to`, where `kept` is linked already: pieces that should be its beginning. If they are
/// not, because the file only has the name of the one that they are of, they are removed, and it is copied whole.
pub(crate) fn copy(
    file: &BackupFile,
    kept: &[Piece],
    to: &dyn Dir,
    counter: &Counter<'_>,
) -> BackupResult<Copied> {
    let before = counter.counted();
    match copy_rest(file, kept, to, counter) {
        Err(BackupError::Env(EnvError::ForeignFile { .. })) if !kept.is_empty() => {
            remove(file, kept, to)?;
            counter.again(counter.counted() - before);
            copy_rest(file, &[], to, counter)
        }
        copied => copied,
    }
}

/// Removes pieces that are no part of the new backup after all.
pub(crate) fn remove(file: &BackupFile, pieces: &[Piece], from: &dyn Dir) -> BackupResult<()> {
    for stored in Stored::all(file.name, pieces) {
        from.remove(&stored.name)?;
    }
    Ok(())
}

fn copy_rest(
    file: &BackupFile,
    kept: &[Piece],
    to: &dyn Dir,
    counter: &Counter<'_>,
) -> BackupResult<Copied> {
    let BackupFile { name, directory, length, .. } = *file;
    let start = kept.iter().map(|piece| piece.length).sum();
    let mut beginning = Beginning::new(kept);
    let mut rest = None;
    let digest = file.copy(|at, bytes| -> BackupResult<()> {
        counter.add(bytes.len() as u64)?;
        let (old, new) = bytes.split_at(beginning.len_in(at, bytes.len()));
        if !beginning.is_followed_by(old) {
            let why = "it does not begin as the file of this name in the backup before".into();
            return Err(EnvError::ForeignFile { path: file.path().to_owned(), why }.into());
        }
        if new.is_empty() {
            return Ok(());
        }
        if rest.is_none() {
            let none = Piece { length: 0, digest: Digest([0; 32]) };
            let created = to.create(&Stored::new(name, start, none).name)?;
            rest = Some((created, WriteBehind::default(), blake3::Hasher::new()));
        }
        if let Some((copy, behind, hasher)) = &mut rest {
            let to = (at + old.len() as u64) - start;
            copy.write_all_at(to, new)?;
            behind.wrote(&**copy, to + new.len() as u64);
            hasher.update(new);
        }
        Ok(())
    })?;
    let written = match rest {
        Some((copy, _, hasher)) => {
            copy.sync(COPY)?;
            let digest = Digest(*hasher.finalize().as_bytes());
            Some(Stored::new(name, start, Piece { length: length - start, digest }))
        }
        None => None,
    };
    let mut pieces = kept.to_vec();
    pieces.extend(written.iter().map(|stored| stored.piece));
    if pieces.len() == 1 {
        pieces.clear();
    }
    Ok(Copied { file: ManifestFile { name, directory, length, digest, pieces }, written })
}

/// Compares the beginning of a file with pieces, by their digests, as it is read.
pub(crate) struct Beginning<'a> {
    length: u64,
    pieces: slice::Iter<'a, Piece>,
    /// What is missing of the piece that is being read, and the digest that it must have.
    current: Option<(u64, Digest)>,
    hasher: blake3::Hasher,
}

impl<'a> Beginning<'a> {
    pub(crate) fn new(pieces: &'a [Piece]) -> Self {
        let length = pieces.iter().map(|piece| piece.length).sum();
        Self { length, pieces: pieces.iter(), current: None, hasher: blake3::Hasher::new() }
    }

    /// How many of `len` bytes at `at` belong to the beginning.
    pub(crate) fn len_in(&self, at: u64, len: usize) -> usize {
        usize::try_from(self.length.saturating_sub(at)).map_or(len, |left| left.min(len))
    }

    /// Whether the next bytes, none of which lies behind the beginning, are those of the pieces, as far as
    /// these have come to their ends.
    pub(crate) fn is_followed_by(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let next = || self.pieces.next().map(|piece| (piece.length, piece.digest));
            let Some((missing, digest)) = self.current.take().or_else(next) else { return false };
            let len = usize::try_from(missing).map_or(bytes.len(), |left| left.min(bytes.len()));
            let (these, others) = bytes.split_at(len);
            self.hasher.update(these);
            bytes = others;
            let missing = missing - len as u64;
            if missing > 0 {
                self.current = Some((missing, digest));
            } else if *self.hasher.finalize().as_bytes() != digest.0 {
                return false;
            } else {
                self.hasher.reset();
            }
        }
        true
    }
}
