//! `publish`: files that a tool of the user's own has copied become a backup.

use std::{path::Path, sync::Arc};

use cairn_env::{BackupFile, BackupSet, EnvError};
use cairn_io::{Access, Dir, DirExt, DirRef, RealDir, RealWorld, WorldRef};

use crate::{
    BackupError, BackupReport, BackupResult, Manifest, ManifestFile, Piece,
    backup::{COPY, finish},
    keyring::{self, KEYRING},
    manifest::{FILES, MANIFEST},
    progress::{Counter, Report},
};

/// Makes a backup of what the user's own tool has copied: each file of `set` to
/// `target/files/NAME`. All copies are read and compared with what their seals say, made durable, and
/// then the manifest is written; of an encrypted environment also the keyring, as it was at the cut. The environment's files are not read again, so
/// they may have been [released](BackupSet::release) one by one.
///
/// ```
/// # use cairn_env::{DatabaseOptions, Environment, Options};
/// # use cairn_backup::{RestoreOptions, publish, restore};
/// # let dir = tempfile::tempdir().unwrap();
/// # let (live, saved, back) = (dir.path().join("live"), dir.path().join("saved"), dir.path().join("back"));
/// # let (env, _) = Environment::open(&live, Options::default())?;
/// # let users = env.database("users", DatabaseOptions::default())?;
/// # env.write(|txn| txn.put(&users, b"ada", b"1815"))?;
/// std::fs::create_dir_all(saved.join("files")).unwrap();
/// let set = env.begin_backup()?;
/// for file in set.files() {
///     // Or rsync, or a snapshot of the file system, or an upload that is fetched later.
///     std::fs::copy(file.path(), saved.join("files").join(file.name.to_string())).unwrap();
///     set.release(file); // the cleaner need not wait for the others
/// }
/// publish(&set, &saved, None)?;
///
/// restore(&saved, &back, &RestoreOptions::default())?;
/// # Ok::<(), cairn_backup::BackupError>(())
/// ```
///
/// # Errors
/// [`BackupError::TargetNotEmpty`] if `target` has a manifest; [`BackupError::FileMissing`] for a copy
/// that is not there; errors of the kind `Corrupt` for one that is not what it should be. Then there
/// is no manifest: put the file right and call it again.
pub fn publish(
    set: &BackupSet,
    target: impl AsRef<Path>,
    progress: Report<'_>,
) -> BackupResult<BackupReport> {
    let dir = RealDir::open(target.as_ref())?;
    publish_in(set, &dir, &(Arc::new(RealWorld::new()) as WorldRef), progress)
}

/// As [`publish`], in any directory.
///
/// # Errors
/// As [`publish`].
pub fn publish_in(
    set: &BackupSet,
    target: &DirRef,
    world: &WorldRef,
    progress: Report<'_>,
) -> BackupResult<BackupReport> {
    if target.has(&MANIFEST)? {
        return Err(BackupError::TargetNotEmpty { path: target.path().to_owned() });
    }
    let files_dir = target.open_dir(&FILES)?;
    let counter = Counter::new(set.files().iter().map(|file| file.length).sum(), progress);
    let mut files = Vec::new();
    for file in set.files() {
        files.push(check(file, &*files_dir, &counter)?);
    }
    let keyring = set.keyring().map(|bytes| put_keyring(bytes, &*files_dir)).transpose()?;
    let manifest = Manifest {
        cut: set.cut().clone(),
        created: world.wall().0,
        library: env!("CARGO_PKG_VERSION").into(),
        keyring,
        files,
    };
    finish(target, &*files_dir, &manifest)?;
    counter.end();
    Ok(BackupReport::of(&manifest))
}

/// The keyring is put beside the files in any case: a copy that was made by whatever tool may be that of
/// another moment.
fn put_keyring(bytes: &[u8], files_dir: &dyn Dir) -> BackupResult<Piece> {
    if files_dir.has(&KEYRING)? {
        files_dir.remove(&KEYRING)?;
    }
    keyring::copy(bytes, files_dir)
}

fn check(
    file: &BackupFile,
    files_dir: &dyn Dir,
    counter: &Counter<'_>,
) -> BackupResult<ManifestFile> {
    let BackupFile { name, directory, length, .. } = *file;
    cut(file, files_dir)?;
    let digest = file.check_copy(files_dir, |_, piece| -> BackupResult<()> {
        counter.add(piece.len() as u64)
    })?;
    files_dir.open(&name.to_name(), Access::Read)?.sync(COPY)?;
    Ok(ManifestFile { name, directory, length, digest, pieces: Vec::new() })
}

/// A journal file that a crash has cut ends before the file does, and a tool copies all of it. The
/// rest goes, unless the copy is no copy but a link to the file of the environment.
fn cut(file: &BackupFile, files_dir: &dyn Dir) -> BackupResult<()> {
    let name = file.name.to_name();
    let path = || files_dir.path().join(name.as_str());
    let copy = match files_dir.open(&name, Access::Read) {
        Err(error) if error.is_not_found() => {
            return Err(BackupError::FileMissing { path: path() });
        }
        copy => copy?,
    };
    if file.seal().is_some() || copy.len()? <= file.length {
        return Ok(());
    }
    if copy.links()? > 1 {
        let why = format!("it has several names and ends after {} bytes: copy it", file.length);
        return Err(EnvError::ForeignFile { path: path(), why }.into());
    }
    Ok(files_dir.open(&name, Access::ReadWrite)?.set_len(file.length)?)
}
