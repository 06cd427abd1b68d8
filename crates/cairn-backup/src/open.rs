//! `open_backup`: a backup is read where it lies, without being restored.

use std::{path::Path, sync::Arc};

use cairn_env::{Environment, RecoveryReport};
use cairn_io::{DirRef, RealDir, RealWorld, WorldRef};

use crate::{BackupResult, RestoreOptions, restore::Source, verify::not_there};

/// Opens the backup in the directory `backup` for reading, as the environment that [`restore`](crate::restore())
/// would bring back, without copying it: nothing is written anywhere. Its files stay where they are and have to stay as
/// they are; the journal is replayed in memory, so that an open costs time and memory by what was committed since the
/// checkpoint in the backup. Records are checked when they are read, as in any environment; to have all of them
/// checked, [`verify`](crate::verify()) it.
///
/// Of the options, the key, the moment ([`to`](RestoreOptions#structfield.to)) and the journal that leads there count.
/// That journal is copied into memory.
///
/// ```
/// use cairn_backup::{BackupOptions, RestoreOptions, backup, open_backup};
/// use cairn_env::{DatabaseOptions, Environment, Options};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let (live, saved) = (dir.path().join("live"), dir.path().join("saved"));
/// let (env, _) = Environment::open(&live, Options::default())?;
/// let users = env.database("users", DatabaseOptions::default())?;
/// env.write(|txn| txn.put(&users, b"ada", b"1815"))?;
/// backup(&env, &saved, &BackupOptions::default())?;
/// env.write(|txn| txn.delete(&users, b"ada"))?;
///
/// let (then, _) = open_backup(&saved, &RestoreOptions::default())?;
/// let users = then.find_database("users")?.unwrap();
/// assert_eq!(then.snapshot()?.get(&users, b"ada")?.unwrap(), b"1815");
/// # Ok::<(), cairn_backup::BackupError>(())
/// ```
///
/// # Errors
/// As [`restore`](crate::restore()) before it writes, and as an open after it.
pub fn open_backup(
    backup: impl AsRef<Path>,
    options: &RestoreOptions<'_>,
) -> BackupResult<(Environment, RecoveryReport)> {
    let backup = backup.as_ref();
    let from = RealDir::open(backup).map_err(|error| not_there(backup, error))?;
    open_backup_in(&from, &(Arc::new(RealWorld::new()) as WorldRef), options)
}

/// As [`open_backup`], in any directory.
///
/// # Errors
/// As [`open_backup`].
pub fn open_backup_in(
    backup: &DirRef,
    world: &WorldRef,
    options: &RestoreOptions<'_>,
) -> BackupResult<(Environment, RecoveryReport)> {
    Source::preflight(DirRef::clone(backup), world, options)?.open(world, options)
}
