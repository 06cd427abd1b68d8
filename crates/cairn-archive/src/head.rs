//! `Head`: the block that an archive begins with, and the keyring behind it.
//!
//! An encrypted archive has a key of its own, which encrypts its frames. It stands in the head, wrapped
//! under a key that comes from the data key of an epoch; and the keyring that holds that one travels behind
//! the head. So an archive opens with what the environment knows, as long as that knows the epoch, and with
//! what a user of the environment knew when it was made, wherever it is.

use std::path::Path;

use cairn_env::{EnvError, HeldKeys, KeySource, Keyring};
use cairn_io::World;
use cairn_log::{DataKey, DataKeys, NumberedCipher, TAG_LEN, Uuid, crc32c};
use zeroize::Zeroizing;

use crate::{
    ArchiveError, ArchiveKeys, ArchiveResult,
    layout::{ALGORITHM, MAGIC, MAX_KEYRING, VERSION, archive_head},
};

/// The block that an archive begins with.
pub(crate) struct Head {
    bytes: [u8; archive_head::LEN],
}

impl Head {
    /// The head of an archive that is not encrypted.
    pub(crate) fn plain(environment: Uuid, archive: Uuid) -> Self {
        let mut head = Self { bytes: [0; archive_head::LEN] };
        let bytes = &mut head.bytes;
        archive_head::MAGIC.set_bytes(bytes, MAGIC);
        archive_head::VERSION.set_number(bytes, VERSION);
        archive_head::ENVIRONMENT.set_bytes(bytes, &environment.0);
        archive_head::ARCHIVE.set_bytes(bytes, &archive.0);
        head.finish()
    }

    /// The head of an archive that is encrypted for whoever has the newest of these keys, and what encrypts
    /// its frames.
    pub(crate) fn encrypted(
        environment: Uuid,
        archive: Uuid,
        keys: &HeldKeys,
        world: &dyn World,
    ) -> (Self, NumberedCipher) {
        let mut head = Self::plain(environment, archive);
        let (epoch, data_key) = keys.data_keys.newest();
        let bytes = &mut head.bytes;
        archive_head::ALGORITHM.set_number(bytes, ALGORITHM);
        archive_head::KEYRING_LEN.set_number(bytes, keys.keyring.len() as u64);
        archive_head::KEY_EPOCH.set_number(bytes, epoch.into());
        let mut salt = [0; 32];
        world.random(&mut salt);
        archive_head::SALT.set_bytes(bytes, &salt);
        let mut random = Zeroizing::new([0; DataKey::LEN]);
        world.random(&mut *random);
        let key = DataKey::new(*random);
        let mut wrapped = key.expose().to_vec();
        head.wrapping(data_key).encrypt(0, head.vouched(), &mut wrapped);
        let (wrapped, tag) = wrapped.split_at(DataKey::LEN);
        archive_head::WRAPPED.set_bytes(&mut head.bytes, wrapped);
        archive_head::TAG.set_bytes(&mut head.bytes, tag);
        (head.finish(), NumberedCipher::new(&key))
    }

    fn finish(mut self) -> Self {
        let crc = crc32c(&self.bytes[..archive_head::CRC.offset]);
        archive_head::CRC.set_number(&mut self.bytes, crc.into());
        self
    }

    pub(crate) const fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The head with these bytes, of the archive that `path` names for messages.
    ///
    /// Magic, version and checksum keep their places in all versions, so that a damaged archive is never
    /// taken for a newer one.
    pub(crate) fn decode(bytes: [u8; archive_head::LEN], path: &Path) -> ArchiveResult<Self> {
        let head = Self { bytes };
        let path = || path.to_owned();
        if archive_head::MAGIC.of(&bytes) != MAGIC {
            return Err(ArchiveError::NotAnArchive { path: path() });
        }
        let damaged = |what: &str| ArchiveError::Damaged { path: path(), at: 0, what: what.into() };
        if u64::from(crc32c(&bytes[..archive_head::CRC.offset])) != archive_head::CRC.number(&bytes)
        {
            return Err(damaged("the checksum of its head does not match"));
        }
        let unsupported = |needs: String| Err(ArchiveError::Unsupported { path: path(), needs });
        match archive_head::VERSION.number(&bytes) {
            VERSION => {}
            version => return unsupported(format!("archive format {version}")),
        }
        match archive_head::ALGORITHM.number(&bytes) {
            0 | ALGORITHM => {}
            algorithm => return unsupported(format!("encryption algorithm {algorithm}")),
        }
        if archive_head::FEATURES.number(&bytes) != 0 {
            let features = archive_head::FEATURES.number(&bytes);
            return unsupported(format!("features {features:x}"));
        }
        let in_use = if head.is_encrypted() { 1..=MAX_KEYRING } else { 0..=0 };
        let padding = archive_head::PADDING.of(&bytes).iter().all(|&byte| byte == 0);
        let reserved = [archive_head::RESERVED, archive_head::RESERVED_2];
        if !padding
            || reserved.iter().any(|field| field.number(&bytes) != 0)
            || !in_use.contains(&head.keyring_len())
            || head.is_encrypted() != (head.epoch() != 0)
        {
            return Err(damaged("its head holds what was never written"));
        }
        Ok(head)
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        archive_head::ALGORITHM.number(&self.bytes) != 0
    }

    pub(crate) fn keyring_len(&self) -> usize {
        usize::try_from(archive_head::KEYRING_LEN.number(&self.bytes)).unwrap_or(usize::MAX)
    }

    pub(crate) fn environment(&self) -> Uuid {
        Uuid(archive_head::ENVIRONMENT.of(&self.bytes).try_into().unwrap_or_default())
    }

    pub(crate) fn archive(&self) -> Uuid {
        Uuid(archive_head::ARCHIVE.of(&self.bytes).try_into().unwrap_or_default())
    }

    /// The epoch of the data key that wraps the key of the archive; 0 if it is not encrypted.
    pub(crate) fn epoch(&self) -> u32 {
        u32::try_from(archive_head::KEY_EPOCH.number(&self.bytes)).unwrap_or(u32::MAX)
    }

    /// What encrypts the key of the archive.
    fn wrapping(&self, data_key: &DataKey) -> NumberedCipher {
        let salt = archive_head::SALT.of(&self.bytes);
        let parts =
            [archive_head::ENVIRONMENT.of(&self.bytes), archive_head::ARCHIVE.of(&self.bytes)];
        NumberedCipher::new(&data_key.derive("cairn/v1/archive/wrap", salt, &parts))
    }

    /// What the tag of the wrapped key vouches for beside it.
    fn vouched(&self) -> &[u8] {
        &self.bytes[..archive_head::WRAPPED.offset]
    }

    fn unwrap(&self, data_key: &DataKey) -> Option<NumberedCipher> {
        let mut key = Zeroizing::new(archive_head::WRAPPED.of(&self.bytes).to_vec());
        key.extend_from_slice(archive_head::TAG.of(&self.bytes));
        debug_assert_eq!(key.len(), DataKey::LEN + TAG_LEN, "as the layout has it");
        self.wrapping(data_key).decrypt(0, self.vouched(), &mut key).ok()?;
        let bytes = Zeroizing::new(<[u8; DataKey::LEN]>::try_from(key.as_slice()).ok()?);
        Some(NumberedCipher::new(&DataKey::new(*bytes)))
    }

    /// What decrypts the frames of an encrypted archive, with the keyring that travels in it.
    pub(crate) fn unlock(
        &self,
        keyring: &[u8],
        keys: &ArchiveKeys,
        path: &Path,
    ) -> ArchiveResult<NumberedCipher> {
        let (path, epoch) = (path.to_owned(), self.epoch());
        if keys.is_none() {
            return Err(ArchiveError::KeyRequired { path, epoch });
        }
        let with = |keys: &DataKeys| keys.get(epoch).and_then(|key| self.unwrap(key));
        let of_environment = keys.held.as_ref().filter(|_| keys.environment == self.environment());
        if let Some(cipher) = of_environment.and_then(|held| with(&held.data_keys)) {
            return Ok(cipher);
        }
        let keyring = Keyring::decode(keyring, &path)?;
        if keyring.environment() != self.environment() {
            let what = "its keyring is that of another environment".into();
            return Err(ArchiveError::Damaged { path, at: archive_head::LEN as u64, what });
        }
        for source in &keys.sources {
            match keyring.unlock(source) {
                Ok(unlocked) => match with(&unlocked.data_keys()) {
                    Some(cipher) => return Ok(cipher),
                    None => return Err(ArchiveError::NotAuthentic { path, at: 0 }),
                },
                Err(EnvError::WrongKey { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ArchiveError::WrongKey { path, epoch })
    }
}

/// Whether a keyring, unlocked by a key of a user, holds the newest of these keys: what nobody could open is
/// no archive.
pub(crate) fn check_keyring(keys: &HeldKeys, source: &KeySource, path: &Path) -> ArchiveResult<()> {
    let unlocked = Keyring::decode(&keys.keyring, path)?.unlock(source)?.data_keys();
    let (epoch, key) = keys.data_keys.newest();
    match unlocked.get(epoch) == Some(key) {
        true => Ok(()),
        false => Err(ArchiveError::WrongKey { path: path.to_owned(), epoch }),
    }
}
