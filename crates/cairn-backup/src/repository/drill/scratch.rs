//! `Scratch`: a directory that has gone when a drill has ended, however it has.
//!
//! Each drill makes one of its own, under a name that nobody else has, and holds a lock in it. One whose lock nobody holds is
//! of a drill that was killed: the next drill in the same place removes it.

use std::path::PathBuf;

use cairn_env::EnvError;
use cairn_io::{Dir, DirRef, EntryKind, IoResult, LockError, LockGuard, LockMode, Name, World};

use crate::BackupResult;

/// What the names begin with.
const PREFIX: &str = "cairn-drill-";
const LOCK: Name = Name::constant("lock");
const RESTORED: Name = Name::constant("restored");
/// How often another name is tried: somebody who removes what is left of the dead may take a new one for that.
const TRIES: u32 = 8;

/// A directory for one drill.
pub(super) struct Scratch {
    parent: DirRef,
    name: Name,
    dir: DirRef,
    lock: LockGuard,
}

impl Scratch {
    /// Makes one in a directory, and removes there what drills have left that were killed.
    pub(super) fn begin(parent: &DirRef, world: &dyn World) -> BackupResult<Self> {
        sweep(parent)?;
        for last in (0..TRIES).rev() {
            let mut id = [0; 8];
            world.random(&mut id);
            let name = Name::new(format!("{PREFIX}{:016x}", u64::from_le_bytes(id)))
                .expect("it is made of letters, digits and '-', and short");
            let made = parent.create_dir(&name).map_err(LockError::Io).and_then(|dir| {
                let lock = dir.lock(&LOCK, LockMode::Exclusive)?;
                Ok((dir, lock))
            });
            match made {
                Ok((dir, lock)) => {
                    return Ok(Self { parent: DirRef::clone(parent), name, dir, lock });
                }
                Err(LockError::Io(error)) if last == 0 || !is_lost_race(&error) => {
                    return Err(error.into());
                }
                Err(_) => {}
            }
        }
        let holders = vec!["others, who keep removing what is there".into()];
        Err(EnvError::Busy { holders }.into())
    }

    /// The directory of what is restored.
    pub(super) fn target(&self) -> IoResult<DirRef> {
        self.dir.create_dir(&RESTORED)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// Removes it with all that is in it.
    pub(super) fn remove(self) -> IoResult<()> {
        let Self { parent, name, dir, lock } = self;
        let removed = remove(&parent, &name, &dir);
        drop(lock);
        removed
    }
}

fn is_lost_race(error: &cairn_io::IoError) -> bool {
    error.is_not_found() || error.kind() == std::io::ErrorKind::AlreadyExists
}

/// Removes what drills have left that were killed. What cannot be removed is somebody else's matter, and stays.
fn sweep(parent: &DirRef) -> BackupResult<()> {
    for entry in parent.list()? {
        let is_ours = |name: &Name| name.as_str().starts_with(PREFIX);
        let Some(name) = entry.name.filter(is_ours) else { continue };
        let Ok(dir) = parent.open_dir(&name) else { continue };
        if let Ok(lock) = dir.lock(&LOCK, LockMode::Exclusive) {
            remove(parent, &name, &dir).unwrap_or_default();
            drop(lock);
        }
    }
    Ok(())
}

/// Removes a scratch directory. Its lock goes last, so that whatever is left of it can be removed by the next one.
fn remove(parent: &DirRef, name: &Name, dir: &DirRef) -> IoResult<()> {
    match dir.open_dir(&RESTORED) {
        Ok(restored) => {
            empty(&*restored)?;
            dir.remove_dir(&RESTORED)?;
        }
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    dir.remove(&LOCK)?;
    parent.remove_dir(name)
}

/// Removes all that is in a directory. No link is followed.
fn empty(dir: &dyn Dir) -> IoResult<()> {
    for entry in dir.list()? {
        let Some(name) = entry.name else { continue };
        if entry.kind == EntryKind::Dir {
            empty(&*dir.open_dir(&name)?)?;
            dir.remove_dir(&name)?;
        } else {
            dir.remove(&name)?;
        }
    }
    Ok(())
}
