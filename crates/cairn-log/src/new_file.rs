//! `NewFile`: the header of a file that is to be written, and the key with which that is done.

use crate::{
    DataKeys, FileEncryption, FileHeader, LogError, LogResult, Uuid,
    cipher::{FileCipher, header_key},
    error::Damage,
};

/// A log file before it exists: its header, and its key if it is to be encrypted.
#[derive(Debug)]
pub struct NewFile {
    pub(crate) header: FileHeader,
    pub(crate) cipher: Option<FileCipher>,
}

impl From<FileHeader> for NewFile {
    /// A file that is not encrypted.
    fn from(header: FileHeader) -> Self {
        Self { header: FileHeader { encryption: None, ..header }, cipher: None }
    }
}

impl NewFile {
    /// A file that is encrypted under the newest epoch. `salt` is random, and never used for another file;
    /// `previous` is the uuid of the preceding journal file, zeros if there is none or it is not known.
    #[must_use]
    pub fn encrypted(header: FileHeader, keys: &DataKeys, salt: [u8; 32], previous: Uuid) -> Self {
        let (epoch, key) = keys.newest();
        let previous = if header.previous.is_some() { previous } else { Uuid::default() };
        let mut encryption = FileEncryption { epoch, salt, previous, mac: [0; 32] };
        let cipher = FileCipher::new(key, &header, &encryption);
        let mac_key = header_key(key, &header, &encryption);
        let unsigned = FileHeader { encryption: Some(encryption), ..header };
        encryption.mac = mac_key.sign(&unsigned.authenticated()[..]);
        let header = FileHeader { encryption: Some(encryption), ..unsigned };
        Self { header, cipher: Some(cipher) }
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &FileHeader {
        &self.header
    }
}

/// The key of the file that has this header, which is checked; `path` is for messages.
pub(crate) fn unlock(
    header: &FileHeader,
    keys: &DataKeys,
    path: &std::path::Path,
) -> LogResult<FileCipher> {
    let Some(encryption) = header.encryption else {
        return Err(LogError::NotEncrypted { path: path.to_owned() });
    };
    let epoch = encryption.epoch;
    let Some(key) = keys.get(epoch) else {
        return Err(LogError::KeyRequired { path: path.to_owned(), epoch });
    };
    let mac_key = header_key(key, header, &encryption);
    if !mac_key.verify(&header.authenticated()[..], &encryption.mac) {
        return Err(LogError::corrupt(path, 0, Damage::NotAuthentic));
    }
    Ok(FileCipher::new(key, header, &encryption))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{DataKey, FileClass, FileNumber};

    fn keys(byte: u8, epochs: &[u32]) -> DataKeys {
        DataKeys::new(epochs.iter().map(|&epoch| (epoch, DataKey::new([byte; 32])))).unwrap()
    }

    #[test]
    fn a_header_is_authentic_under_its_own_key_and_as_it_was_written() {
        let path = Path::new("x");
        let header =
            FileHeader::first(FileClass::Journal, FileNumber::FIRST, Uuid([1; 16]), Uuid([2; 16]));
        let new = NewFile::encrypted(header.clone(), &keys(1, &[1, 2]), [3; 32], Uuid([4; 16]));
        let header_of = FileHeader::decode(&new.header().encode()[..], path).unwrap();
        assert_eq!(&header_of, new.header());
        assert!(unlock(&header_of, &keys(1, &[2, 3]), path).is_ok());
        let refused =
            |header: &FileHeader, keys: &DataKeys| unlock(header, keys, path).unwrap_err();
        assert!(matches!(
            refused(&header_of, &keys(2, &[2])),
            LogError::Corrupt { damage: Damage::NotAuthentic, .. }
        ));
        assert!(matches!(
            refused(&header_of, &keys(1, &[1])),
            LogError::KeyRequired { epoch: 2, .. }
        ));
        assert!(matches!(refused(&header, &keys(1, &[2])), LogError::NotEncrypted { .. }));
        // Whatever is changed, and whatever checksums are made right again.
        let encryption = header_of.encryption.unwrap();
        for changed in [
            FileHeader { incarnation: 9, ..header_of.clone() },
            FileHeader { created: 9, ..header_of.clone() },
            FileHeader { file: Uuid([5; 16]), ..header_of.clone() },
            FileHeader {
                encryption: Some(FileEncryption { epoch: 1, ..encryption }),
                ..header_of.clone()
            },
            FileHeader {
                encryption: Some(FileEncryption { salt: [9; 32], ..encryption }),
                ..header_of.clone()
            },
        ] {
            assert!(matches!(
                refused(&changed, &keys(1, &[1, 2])),
                LogError::Corrupt { damage: Damage::NotAuthentic, .. }
            ));
        }
    }
}
