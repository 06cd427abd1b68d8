//! `Bring`: a file comes into a restored environment: from where it lies already, if that is the very file, or from
//! the backup.

use std::sync::Arc;

use cairn_env::{PlannedFile, RestoreTarget};
use cairn_io::{DirRef, File, FileExt, FileRef, SyncSite, WriteBehind};
use cairn_log::Digest;

use crate::{BackupResult, ManifestFile, crew::Job, progress::Counter, verify::read_file};

/// A restored file, before the environment refers to it.
pub(crate) const RESTORE: SyncSite = SyncSite::new("restore.file");

/// A file of a backup that is restored, up to a length: of a restore to a moment, a journal file may end before.
pub(crate) struct Bring {
    /// The files of the backup.
    pub(crate) from: DirRef,
    pub(crate) file: ManifestFile,
    pub(crate) length: u64,
    pub(crate) to: Arc<RestoreTarget>,
}

impl Bring {
    /// Brings it, and says whether it was there.
    pub(crate) fn job(self) -> Job<bool> {
        Box::new(move |counter| Ok(self.take(counter)? || self.copy(counter)?))
    }

    /// Takes it from where it lies, if its hash is the right one: length and time say nothing.
    fn take(&self, counter: &Counter<'_>) -> BackupResult<bool> {
        let Self { file, to, .. } = self;
        let (name, directory) = (file.name, file.directory);
        for from in to.earlier(directory) {
            let Ok(there) = from.open(&name.to_name(), cairn_io::Access::Read) else { continue };
            if there.len().ok() != Some(file.length) {
                continue;
            }
            let before = counter.counted();
            let linked = match self.length == file.length {
                true => to.link(name, directory, &**from)?,
                false => None,
            };
            let is_it = match &linked {
                Some(linked) => self.is_it(&**linked, counter, |_, _| Ok(()))?,
                None => {
                    let copy = to.create(name, directory)?;
                    let write = |at, piece: &[u8]| self.write(&*copy, at, piece);
                    let is_it = self.is_it(&*there, counter, write)?;
                    copy.sync(RESTORE)?;
                    is_it
                }
            };
            if is_it {
                // It may have come there by a tool that syncs nothing.
                linked.map(|linked| linked.sync(RESTORE)).transpose()?;
                to.arrived(name, directory)?;
                return Ok(true);
            }
            to.drop_file(name, directory)?;
            counter.again(counter.counted() - before);
        }
        Ok(false)
    }

    /// Whether what lies there has the hash that it should. What cannot be read is nothing.
    fn is_it(
        &self,
        there: &dyn File,
        counter: &Counter<'_>,
        mut sink: impl FnMut(u64, &[u8]) -> BackupResult<()>,
    ) -> BackupResult<bool> {
        const PIECE: usize = 1 << 18;
        let (mut hasher, mut buf, mut at) = (blake3::Hasher::new(), vec![0; PIECE], 0);
        while at < self.file.length {
            let want = usize::try_from(self.file.length - at).map_or(PIECE, |left| left.min(PIECE));
            if there.read_exact_at(at, &mut buf[..want]).is_err() {
                return Ok(false);
            }
            hasher.update(&buf[..want]);
            sink(at, &buf[..want])?;
            counter.skip(want as u64)?;
            at += want as u64;
        }
        Ok(Digest(*hasher.finalize().as_bytes()) == self.file.digest)
    }

    /// Copies it from the backup.
    fn copy(&self, counter: &Counter<'_>) -> BackupResult<bool> {
        let (name, directory) = (self.file.name, self.file.directory);
        let copy = self.to.create(name, directory)?;
        let mut behind = WriteBehind::default();
        read_file(&*self.from, &self.file, counter, |at, piece| {
            self.write(&*copy, at, piece)?;
            behind.wrote(&*copy, at + piece.len() as u64);
            Ok(())
        })?;
        copy.sync(RESTORE)?;
        self.to.arrived(name, directory)?;
        Ok(false)
    }

    /// Writes what comes before the end. A file of which only the beginning is wanted is read to its end all the
    /// same: the manifest vouches for all of it.
    fn write(&self, copy: &dyn File, at: u64, piece: &[u8]) -> BackupResult<()> {
        let left = usize::try_from(self.length.saturating_sub(at)).unwrap_or(usize::MAX);
        Ok(copy.write_all_at(at, &piece[..piece.len().min(left)])?)
    }
}

/// Brings a journal file that comes from elsewhere.
pub(crate) fn bring_journal(file: PlannedFile, to: Arc<RestoreTarget>) -> Job<bool> {
    Box::new(move |counter| {
        copy_journal(&file, &to, counter)?.sync(RESTORE)?;
        to.arrived(file.name, file.directory)?;
        Ok(false)
    })
}

/// Copies a journal file that comes from elsewhere. It has not arrived yet.
pub(crate) fn copy_journal(
    file: &PlannedFile,
    to: &RestoreTarget,
    counter: &Counter<'_>,
) -> BackupResult<FileRef> {
    let copy = to.create(file.name, file.directory)?;
    file.copy(|at, piece| -> BackupResult<()> {
        counter.add(piece.len() as u64)?;
        Ok(copy.write_all_at(at, piece)?)
    })?;
    Ok(copy)
}
