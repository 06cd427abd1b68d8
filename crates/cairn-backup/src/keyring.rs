//! The keyring of an encrypted environment in a backup: copied as it is, listed in the manifest, and tried
//! before anything relies on it.
//!
//! The files are ciphertext, which is copied and verified without a key. Whoever has lost the key, or has
//! another one than they think, learns it from the next backup and not from the first restore.

use std::{collections::BTreeSet, io::ErrorKind, path::Path};

use cairn_env::{BackupSet, EnvError, Environment, KeySource, Keyring, UnlockedKeyring};
use cairn_io::{Dir, DirExt, FileExt, Name, RealDir};
use cairn_log::{Digest, LogError, LogFile, Scan, Scanner, Stop, Uuid};

use crate::{
    BackupError, BackupResult, Manifest, Piece,
    backup::COPY,
    manifest::FILES,
    verify::{not_there, open_stored},
};

/// The name of the keyring file in a backup.
pub(crate) const KEYRING: Name = Name::constant("KEYRING");
/// No keyring is longer.
const MAX_LEN: usize = 1 << 20;

/// The keys in the keyring that goes into the backup of an environment, unlocked by the key with which that is
/// open: an error if it does not, since it was rotated for another one, say. `None` for a plain environment.
pub(crate) fn unlock_own(
    set: &BackupSet,
    env: &Environment,
) -> BackupResult<Option<UnlockedKeyring>> {
    let (Some(bytes), Some(key)) = (set.keyring(), &env.options().key) else { return Ok(None) };
    let keyring = decode(bytes, Path::new(KEYRING.as_str()), set.cut().environment)?;
    Ok(Some(keyring.unlock(key)?))
}

/// Decrypts a record of each key epoch in a backup, of which it was checked that it is complete.
///
/// The keys may be those of this very keyring, and not those of the files: a keyring of the right environment
/// can have been put there that knows nothing of their epochs.
pub(crate) fn try_files(
    files: &dyn Dir,
    manifest: &Manifest,
    keys: &UnlockedKeyring,
) -> BackupResult<()> {
    let failed = |error: LogError| BackupError::from(EnvError::from(error));
    let (keys, mut tried) = (keys.data_keys(), BTreeSet::new());
    for file in &manifest.files {
        let Some(first) = file.stored().into_iter().next() else { continue };
        let log = LogFile::open_any(open_stored(files, &first)?).map_err(failed)?;
        let epoch = log.header().encryption.map(|encryption| encryption.epoch);
        if !tried.insert(epoch) {
            continue;
        }
        // The header is authenticated here, and by the record the rest of the key.
        let log = log.unlock(&keys).map_err(failed)?;
        let mut scanner = Scanner::new(&log, first.piece.length);
        let found = scanner.next().map_err(failed)?;
        if let Scan::End(Stop { offset, damage: Some(damage), seal: None }) = found {
            return Err(failed(log.corrupt(offset, damage)));
        }
    }
    Ok(())
}

/// Writes the keyring file into a backup, and returns what the manifest says of it.
pub(crate) fn copy(bytes: &[u8], to: &dyn Dir) -> BackupResult<Piece> {
    let file = to.create(&KEYRING)?;
    file.write_all_at(0, bytes)?;
    file.sync(COPY)?;
    Ok(Piece { length: bytes.len() as u64, digest: Digest::of(bytes) })
}

/// Reads the keyring file of a backup, if it has one, and compares it with the manifest.
pub(crate) fn read(files: &dyn Dir, manifest: &Manifest) -> BackupResult<Option<Vec<u8>>> {
    let Some(Piece { length, digest }) = manifest.keyring else { return Ok(None) };
    let path = files.path().join(KEYRING.as_str());
    let damaged = |problem: String| BackupError::FileDamaged { path: path.clone(), problem };
    let bytes = match files.read_small(&KEYRING, MAX_LEN) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Err(BackupError::FileMissing { path }),
        Err(error) if error.kind() == ErrorKind::FileTooLarge => {
            let problem = format!("it has more than {MAX_LEN} bytes, the manifest says {length}");
            return Err(damaged(problem));
        }
        Err(error) => return Err(error.into()),
    };
    if bytes.len() as u64 != length {
        let len = bytes.len();
        return Err(damaged(format!("it has {len} bytes, the manifest says {length}")));
    }
    let found = Digest::of(&bytes);
    if found != digest {
        return Err(damaged(format!("its hash is {found}, the manifest says {digest}")));
    }
    decode(&bytes, &path, manifest.cut.environment)?;
    Ok(Some(bytes))
}

/// The keyring, if it is that of the environment.
fn decode(bytes: &[u8], path: &Path, environment: Uuid) -> BackupResult<Keyring> {
    let keyring = Keyring::decode(bytes, path)?;
    let found = keyring.environment();
    if found == environment {
        return Ok(keyring);
    }
    let why =
        format!("it is the keyring of the environment {found}, the backup is of {environment}");
    Err(EnvError::ForeignFile { path: path.to_owned(), why }.into())
}

/// The keyring file of a backup, and its keys, if a restore with `key` can read what it writes; `None` for a
/// plain backup.
pub(crate) fn unlock(
    files: &dyn Dir,
    manifest: &Manifest,
    key: Option<&KeySource>,
) -> BackupResult<Option<(Vec<u8>, UnlockedKeyring)>> {
    let path = || files.path().parent().unwrap_or(files.path()).to_owned();
    let Some(bytes) = read(files, manifest)? else {
        return match key {
            None => Ok(None),
            Some(_) => Err(EnvError::NotEncrypted { path: path() }.into()),
        };
    };
    let named = files.path().join(KEYRING.as_str());
    let keyring = decode(&bytes, &named, manifest.cut.environment)?;
    match key {
        None => Err(EnvError::KeyRequired { path: path(), epoch: keyring.newest_epoch() }.into()),
        Some(key) => Ok(Some((bytes, keyring.unlock(key)?))),
    }
}

/// Tries a key on a backup: whether it unlocks the keyring, and what it unlocks decrypts the files. Nothing
/// is written.
///
/// # Errors
/// [`EnvError::WrongKey`], [`EnvError::KeyRequired`], [`EnvError::NotEncrypted`]; what is wrong with the
/// keyring, or with the manifest.
pub fn check_key(
    backup: impl AsRef<Path>,
    key: Option<&KeySource>,
) -> BackupResult<UnlockedKeyring> {
    let path = backup.as_ref();
    let dir = RealDir::open(path).map_err(|error| not_there(path, error))?;
    check_key_in(&*dir, key)
}

/// Whether there is a backup of an encrypted environment in the directory `path`: a restore needs its key.
#[must_use]
pub fn is_encrypted(path: impl AsRef<Path>) -> bool {
    let manifest = RealDir::open(path.as_ref()).ok().and_then(|dir| Manifest::read(&*dir).ok());
    manifest.is_some_and(|manifest| manifest.keyring.is_some())
}

/// As [`check_key`], in any directory.
///
/// # Errors
/// As [`check_key`].
pub fn check_key_in(backup: &dyn Dir, key: Option<&KeySource>) -> BackupResult<UnlockedKeyring> {
    let manifest = Manifest::read(backup)?;
    let files = backup.open_dir(&FILES)?;
    match unlock(&*files, &manifest, key)? {
        Some((_, keys)) => try_files(&*files, &manifest, &keys).map(|()| keys),
        None => Err(EnvError::NotEncrypted { path: backup.path().to_owned() }.into()),
    }
}
