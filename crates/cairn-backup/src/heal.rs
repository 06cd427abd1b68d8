//! Healing from a backup: damaged files of an environment get the bytes that a backup of it has.

use std::path::Path;

use cairn_env::{EnvError, Environment, HealReport};
use cairn_io::{DirRef, RealDir};

use crate::{BackupResult, Manifest, manifest::FILES};

/// Reads all finished files of an environment, and puts what the backup in the directory `backup` has of those that are
/// damaged in their place, as [`Environment::heal`] does with a replica: byte for byte, while readers and writers go on.
///
/// Files that came into being after the backup stay damaged, as do those that lie in the backup in pieces, and are listed
/// with the keys that they concern. Nothing goes back to what it was at the time of the backup: a finished file never
/// changes, so what the backup has of it is what it was until it was damaged.
///
/// # Errors
/// [`BackupError::NoManifest`](crate::BackupError::NoManifest) if it is no backup; [`EnvError::ForeignFile`] if it is one of
/// another environment; otherwise as [`Environment::heal`].
pub fn heal(env: &Environment, backup: impl AsRef<Path>) -> BackupResult<HealReport> {
    heal_from(env, &RealDir::open(backup.as_ref())?)
}

/// As [`heal`], from any directory.
///
/// # Errors
/// As [`heal`].
pub fn heal_from(env: &Environment, backup: &DirRef) -> BackupResult<HealReport> {
    let manifest = Manifest::read(&**backup)?;
    let environment = manifest.cut.environment;
    if environment != env.identity().environment {
        let (path, why) =
            (backup.path().to_owned(), format!("it is a backup of the environment {environment}"));
        return Err(EnvError::ForeignFile { path, why }.into());
    }
    Ok(env.heal_with(&[backup.open_dir(&FILES)?])?)
}
