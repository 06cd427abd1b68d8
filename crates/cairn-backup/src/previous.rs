//! `Previous`: the backup before, from which files that have not changed are taken over.
//!
//! They are taken over as hard links and not as references: the new backup is complete by itself, and
//! removing the one before takes nothing away from it. What cannot be linked is copied from the
//! environment. A file counts as unchanged by what it *is*, never by its name: it was begun as the
//! same file, ends with the same seal, and its bytes are those that the seal vouches for. Of a journal file
//! that was still growing, what the backup before has is the beginning; that is compared byte for byte, by
//! digests, while the file is read for what came since.

use std::collections::BTreeMap;

use cairn_env::{BackupFile, EnvError};
use cairn_io::{Access, Dir, DirRef, Name};
use cairn_log::{FileClass, LogName, Uuid};

use crate::{
    BackupError, BackupResult, Manifest, ManifestFile, Piece,
    backup::COPY,
    copy::remove,
    manifest::FILES,
    piece::MIN_LINKED,
    progress::Counter,
    verify::{read_file, read_stored},
};

pub(crate) struct Previous {
    files: DirRef,
    by_name: BTreeMap<LogName, ManifestFile>,
}

/// What became of a file that is wanted from the backup before.
pub(crate) enum Taken {
    /// It is in the new backup.
    Linked(ManifestFile),
    /// These pieces are, which are the beginning of it if it is the file that they are of: a journal file
    /// that has grown since, or lies in pieces, or has no seal to tell it by.
    Begun(Vec<Piece>),
    /// It must be copied: the backup before has no such file, or cannot share it.
    No,
    /// It must be copied, and the backup before is not what it should be.
    Damaged(BackupError),
}

impl Previous {
    /// Opens the backup in `dir`, which must be one of this environment.
    pub(crate) fn open(dir: &DirRef, environment: Uuid) -> BackupResult<Self> {
        let manifest = Manifest::read(&**dir)?;
        if manifest.cut.environment != environment {
            let (path, found) = (dir.path().to_owned(), manifest.cut.environment);
            return Err(BackupError::PreviousForeign { path, found, environment });
        }
        let by_name = manifest.files.into_iter().map(|file| (file.name, file)).collect();
        Ok(Self { files: dir.open_dir(&FILES)?, by_name })
    }

    /// Links a file into `to` as far as the backup before has it.
    pub(crate) fn take_over(
        &self,
        file: &BackupFile,
        to: &dyn Dir,
        read: bool,
        counter: &Counter<'_>,
    ) -> BackupResult<Taken> {
        let Some(known) = self.by_name.get(&file.name) else { return Ok(Taken::No) };
        let is_whole = known.length == file.length && known.pieces.is_empty();
        if is_whole && file.seal().is_some() {
            self.take_whole(file, known, to, read, counter)
        } else if known.length <= file.length && file.name.class == FileClass::Journal {
            self.take_beginning(file, known, to, counter)
        } else {
            Ok(Taken::No)
        }
    }

    /// Links a sealed file, and checks what `to` then holds: all of it if `read`, else beginning, length
    /// and seal.
    fn take_whole(
        &self,
        file: &BackupFile,
        known: &ManifestFile,
        to: &dyn Dir,
        read: bool,
        counter: &Counter<'_>,
    ) -> BackupResult<Taken> {
        let name = file.name.to_name();
        if let Some(refused) = self.link(&name, to) {
            return Ok(refused);
        }
        let before = counter.counted();
        match check(file, known, to, read, counter) {
            Ok(taken) => {
                make_durable(&name, to)?;
                Ok(Taken::Linked(taken))
            }
            Err(error @ BackupError::Cancelled) => Err(error),
            Err(error) => {
                // Number and name of a file come again after a restore: that is no damage.
                let is_foreign = matches!(error, BackupError::Env(EnvError::ForeignFile { .. }));
                let unseen = Counter::new(0, None);
                let is_another = is_foreign && read_file(to, known, &unseen, |_, _| Ok(())).is_ok();
                to.remove(&name)?;
                counter.again(counter.counted() - before);
                Ok(match error {
                    _ if is_another => Taken::No,
                    error => self.damaged(&name, &error),
                })
            }
        }
    }

    /// Links what a journal file was when it was backed up before, and compares it with the manifest.
    fn take_beginning(
        &self,
        file: &BackupFile,
        known: &ManifestFile,
        to: &dyn Dir,
        counter: &Counter<'_>,
    ) -> BackupResult<Taken> {
        let mut stored = known.stored();
        let is_small = stored.last().is_some_and(|last| last.piece.length < MIN_LINKED);
        if is_small && known.length < file.length {
            stored.pop();
        }
        let mut kept = Vec::new();
        for stored in stored {
            let mut refused = self.link(&stored.name, to);
            if refused.is_none() {
                kept.push(stored.piece);
                counter.again(stored.piece.length);
                match read_stored(to, &stored, counter, |_, _| Ok(())) {
                    Ok(()) => make_durable(&stored.name, to)?,
                    Err(error @ BackupError::Cancelled) => return Err(error),
                    Err(error) => refused = Some(self.damaged(&stored.name, &error)),
                }
            }
            if let Some(refused) = refused {
                remove(file, &kept, to)?;
                return Ok(refused);
            }
        }
        Ok(match kept.is_empty() {
            true => Taken::No,
            false if cairn_io::planted::is(37) => Taken::Linked(known.clone()), // Planted: an increment without the changes.
            false => Taken::Begun(kept),
        })
    }

    /// Links what the backup before has under `name`; or says what comes of it if that cannot be.
    fn link(&self, name: &Name, to: &dyn Dir) -> Option<Taken> {
        match to.link(name, &*self.files, name) {
            Ok(()) => None,
            Err(error) if error.is_not_found() => {
                let path = self.files.path().join(name.as_str());
                Some(Taken::Damaged(BackupError::FileMissing { path }))
            }
            // Another file system, one without links, too many of them: a copy is as good.
            Err(_) => Some(Taken::No),
        }
    }

    fn damaged(&self, name: &Name, error: &BackupError) -> Taken {
        let path = self.files.path().join(name.as_str());
        Taken::Damaged(BackupError::FileDamaged { path, problem: cause(error) })
    }
}

/// The backup before may have come here by a tool that syncs nothing.
fn make_durable(name: &Name, to: &dyn Dir) -> BackupResult<()> {
    Ok(to.open(name, Access::Read)?.sync(COPY)?)
}

/// Whether what was linked is the file of the environment; as the new manifest is to name it.
fn check(
    file: &BackupFile,
    known: &ManifestFile,
    to: &dyn Dir,
    read: bool,
    counter: &Counter<'_>,
) -> BackupResult<ManifestFile> {
    let BackupFile { name, directory, length, .. } = *file;
    let mut digest = known.digest;
    if read {
        digest = file
            .check_copy(to, |_, piece| -> BackupResult<()> { counter.add(piece.len() as u64) })?;
    } else {
        file.glance_at_copy(to)?;
        counter.skip(length)?;
    }
    Ok(ManifestFile { name, directory, length, digest, pieces: Vec::new() })
}

/// What is wrong, without the path of the link, which is gone.
fn cause(error: &BackupError) -> String {
    match error {
        BackupError::Io(error) => error.source.to_string(),
        BackupError::FileDamaged { problem, .. } => problem.clone(),
        error => format!("it is not what its seal says ({error})"),
    }
}
