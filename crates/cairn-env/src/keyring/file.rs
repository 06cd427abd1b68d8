//! The file `KEYRING`: it lies beside `STATE`, in the generation directory of the root, and is replaced as
//! a whole, never overwritten.
//!
//! It belongs to the generation and not to the root: the one rename of `CURRENT` that ends a restore in place
//! then switches data and keys together, and the way back has the keys that it needs.

use cairn_io::{Dir, DirExt, FileExt, Name};

use super::{layout::MAX_LEN, stored::Keyring, stored::damaged};
use crate::{EnvResult, sites};

pub(crate) const KEYRING: Name = Name::constant("KEYRING");
/// What a crash before the rename leaves; the next write removes it.
pub(crate) const KEYRING_NEW: Name = Name::constant("KEYRING.new");

/// Reads the keyring of the environment whose generation directory this is; `None` if it has none.
pub(crate) fn read(dir: &dyn Dir) -> EnvResult<Option<Keyring>> {
    match read_bytes(dir)? {
        Some(bytes) => Keyring::decode(&bytes, &dir.path().join(KEYRING.as_str())).map(Some),
        None => Ok(None),
    }
}

/// The bytes of the keyring as they are.
pub(crate) fn read_bytes(dir: &dyn Dir) -> EnvResult<Option<Vec<u8>>> {
    match dir.read_small(&KEYRING, MAX_LEN) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
            let path = dir.path().join(KEYRING.as_str());
            Err(damaged(&path, "it is far too long to be what its name says"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Writes it into a generation directory that has none. Its name is not durable yet.
pub(crate) fn create(dir: &dyn Dir, bytes: &[u8]) -> EnvResult<()> {
    let file = dir.create(&KEYRING)?;
    file.write_all_at(0, bytes)?;
    Ok(file.sync(sites::CREATE_STATE)?)
}

/// Puts another keyring in its place: a crash leaves the old one or the new one, whole.
pub(crate) fn replace(dir: &dyn Dir, bytes: &[u8]) -> EnvResult<()> {
    Ok(dir.replace_small(&KEYRING, &KEYRING_NEW, bytes, sites::KEYRING)?)
}
