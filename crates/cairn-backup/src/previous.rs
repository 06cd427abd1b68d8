//! `Previous`: the backup before, from which files that have not changed are taken over.
//!
//! They are taken over as hard links and not as references: the new backup is complete by itself, and
//! removing the one before takes nothing away from it. What cannot be linked is copied from the
//! environment. A file counts as unchanged by what it *is*, never by its name: it was begun as the
//! same file, ends with the same seal, and its bytes are those that the seal vouches for.

use std::collections::BTreeMap;

use cairn_env::{BackupFile, EnvError};
use cairn_io::{Access, Dir, DirRef};
use cairn_log::{LogName, Uuid};

use crate::{
    BackupError, BackupResult, Manifest, ManifestFile, backup::COPY, manifest::FILES,
    progress::Counter, verify::read_file,
};

pub(crate) struct Previous {
    files: DirRef,
    by_name: BTreeMap<LogName, ManifestFile>,
}

/// What became of a file that is wanted from the backup before.
pub(crate) enum Taken {
    /// It is in the new backup.
    Linked(ManifestFile),
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

    /// Links a file into `to` if the backup before has it, and checks what `to` then holds: all of it
    /// if `read`, else beginning, length and seal.
    pub(crate) fn take_over(
        &self,
        file: &BackupFile,
        to: &dyn Dir,
        read: bool,
        counter: &mut Counter<'_>,
    ) -> BackupResult<Taken> {
        let known = self.by_name.get(&file.name).filter(|known| known.length == file.length);
        let Some(known) = known else { return Ok(Taken::No) };
        let name = file.name.to_name();
        match to.link(&name, &*self.files, &name) {
            Ok(()) => {}
            Err(error) if error.is_not_found() => {
                let path = self.files.path().join(name.as_str());
                return Ok(Taken::Damaged(BackupError::FileMissing { path }));
            }
            // Another file system, one without links, too many of them: a copy is as good.
            Err(_) => return Ok(Taken::No),
        }
        let before = counter.done();
        match check(file, known, to, read, counter) {
            Ok(taken) => {
                // The backup before may have come here by a tool that syncs nothing.
                to.open(&name, Access::Read)?.sync(COPY)?;
                Ok(Taken::Linked(taken))
            }
            Err(error) => {
                // Number and name of a file come again after a restore: that is no damage.
                let is_foreign = matches!(error, BackupError::Env(EnvError::ForeignFile { .. }));
                let mut unseen = Counter::new(0, None);
                let is_another =
                    is_foreign && read_file(to, known, &mut unseen, |_, _| Ok(())).is_ok();
                to.remove(&name)?;
                counter.again(counter.done() - before);
                Ok(match error {
                    _ if is_another => Taken::No,
                    error => {
                        let path = self.files.path().join(name.as_str());
                        Taken::Damaged(BackupError::FileDamaged { path, problem: cause(&error) })
                    }
                })
            }
        }
    }
}

/// Whether what was linked is the file of the environment; as the new manifest is to name it.
fn check(
    file: &BackupFile,
    known: &ManifestFile,
    to: &dyn Dir,
    read: bool,
    counter: &mut Counter<'_>,
) -> BackupResult<ManifestFile> {
    let BackupFile { name, directory, length, .. } = *file;
    let mut digest = known.digest;
    if read || file.seal().is_none() {
        digest = file.check_copy(to, |_, piece| -> BackupResult<()> {
            counter.add(piece.len() as u64);
            Ok(())
        })?;
    } else {
        file.glance_at_copy(to)?;
        counter.add(length);
    }
    // Without a seal nothing but its bytes says that a file is the same.
    if file.seal().is_none() && file.copy(|_, _| Ok::<(), EnvError>(()))? != digest {
        let why = "it has other bytes than the file that it is to be".into();
        return Err(EnvError::ForeignFile { path: file.path().to_owned(), why }.into());
    }
    Ok(ManifestFile { name, directory, length, digest })
}

/// What is wrong, without the path of the link, which is gone.
fn cause(error: &BackupError) -> String {
    match error {
        BackupError::Io(error) => error.source.to_string(),
        error => format!("it is not what its seal says ({error})"),
    }
}
