//! `Keyring`: a keyring file as it stands on the disk: checked, and locked.

use std::path::{Path, PathBuf};

use cairn_io::WallTime;
use cairn_log::{Uuid, crc32c, layout::Field};
use zeroize::Zeroizing;

use super::{
    info::{KeyEpochInfo, KeySlotInfo, KeyringInfo},
    layout::{
        ALGORITHM, CRC_LEN, KEY_LEN, MAGIC, MAX_EPOCHS, MAX_LEN, MAX_SLOTS, TAG_LEN, VERSION,
        array, key_slot, keyring_epoch, keyring_head,
    },
    secret::Secret,
    slot::{Held, KeyKind, KeySlot, Tried},
    source::KeySource,
    unlocked::UnlockedKeyring,
    wrap::{data_keys_key, decrypt},
};
use crate::{EnvError, EnvResult};

/// A keyring as a file holds it. What it says is whole; whether it is authentic, and what it wraps, only
/// a key can tell: see [`Keyring::unlock`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyring {
    pub(super) path: PathBuf,
    pub(super) environment: Uuid,
    pub(super) number: u64,
    pub(super) next_slot: u32,
    pub(super) epochs: Vec<Epoch>,
    pub(super) slots: Vec<KeySlot>,
    pub(super) salt: [u8; 32],
    pub(super) data_keys: Vec<u8>,
    pub(super) tag: [u8; TAG_LEN],
}

/// A key epoch, without its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epoch {
    pub(super) number: u32,
    pub(super) created: WallTime,
}

impl Keyring {
    /// No keyring has more bytes.
    pub const MAX_LEN: usize = MAX_LEN;

    /// Decodes the keyring that `path` names, for messages.
    ///
    /// # Errors
    /// [`EnvError::KeyringDamaged`] for bytes that are not exactly what was written;
    /// [`EnvError::Unsupported`] for those of a newer version.
    pub fn decode(bytes: &[u8], path: &Path) -> EnvResult<Self> {
        let damaged = |what: &str| damaged(path, what);
        if bytes.len() > MAX_LEN {
            return Err(damaged("it is far too long to be what its name says"));
        }
        // Magic, version and the checksum at the end keep their places in all versions, so that a damaged
        // keyring is never taken for a newer one.
        if bytes.len() < keyring_head::LEN + CRC_LEN {
            return Err(damaged("it ends too early"));
        }
        if keyring_head::MAGIC.of(bytes) != MAGIC {
            return Err(damaged("it does not begin as a keyring does"));
        }
        let (body, crc) = bytes.split_at(bytes.len() - CRC_LEN);
        if crc32c(body).to_le_bytes() != crc {
            return Err(damaged("its checksum does not match"));
        }
        let unsupported = |needs: String| EnvError::Unsupported { path: path.to_owned(), needs };
        match keyring_head::VERSION.number(body) {
            VERSION => {}
            version => return Err(unsupported(format!("keyring format {version}"))),
        }
        match keyring_head::ALGORITHM.number(body) {
            ALGORITHM => {}
            algorithm => return Err(unsupported(format!("encryption algorithm {algorithm}"))),
        }
        Self::decode_body(body, path).map_err(|wrong| match wrong {
            Wrong::Field(field) => {
                let name = field.name.to_lowercase();
                damaged(&format!("its field {name} holds what was never written"))
            }
            Wrong::Length => damaged("it has not the length that it says"),
        })
    }

    fn decode_body(body: &[u8], path: &Path) -> Result<Self, Wrong> {
        for field in [keyring_head::RESERVED, keyring_head::RESERVED_2] {
            if field.number(body) != 0 {
                return Err(Wrong::Field(field));
            }
        }
        let count = |field: Field, max: usize| {
            let count = usize::try_from(field.number(body)).ok();
            count.filter(|count| (1..=max).contains(count)).ok_or(Wrong::Field(field))
        };
        let epochs = count(keyring_head::EPOCHS, MAX_EPOCHS)?;
        let slots = count(keyring_head::SLOTS, MAX_SLOTS)?;
        let parts = Parts { epochs, slots };
        if body.len() != parts.end() {
            return Err(Wrong::Length);
        }
        let (head, rest) = body.split_at(keyring_head::LEN);
        let (epochs, rest) = rest.split_at(epochs * keyring_epoch::LEN);
        let (slots, rest) = rest.split_at(slots * key_slot::LEN);
        let (data_keys, tag) = rest.split_at(rest.len() - TAG_LEN);
        let epochs = epochs.chunks_exact(keyring_epoch::LEN).map(Epoch::decode);
        let slots = slots.chunks_exact(key_slot::LEN).map(KeySlot::decode);
        let keyring = Self {
            path: path.to_owned(),
            environment: array(keyring_head::ENVIRONMENT, head).map(Uuid).ok_or(Wrong::Length)?,
            number: keyring_head::NUMBER.number(head),
            next_slot: u32::try_from(keyring_head::NEXT_SLOT.number(head)).unwrap_or(0),
            epochs: epochs.collect::<Result<_, _>>().map_err(Wrong::Field)?,
            slots: slots.collect::<Result<_, _>>().map_err(Wrong::Field)?,
            salt: array(keyring_head::SALT, head).ok_or(Wrong::Length)?,
            data_keys: data_keys.to_vec(),
            tag: tag.try_into().map_err(|_| Wrong::Length)?,
        };
        let is_ascending = |numbers: &[u32]| numbers.is_sorted_by(|one, next| one < next);
        let epochs: Vec<_> = keyring.epochs.iter().map(|epoch| epoch.number).collect();
        let mut slots: Vec<_> = keyring.slots.iter().map(|slot| slot.number).collect();
        slots.push(keyring.next_slot);
        if epochs[0] == 0 || !is_ascending(&epochs) {
            return Err(Wrong::Field(keyring_epoch::EPOCH));
        }
        if slots[0] == 0 || !is_ascending(&slots) {
            return Err(Wrong::Field(key_slot::NUMBER));
        }
        if keyring.number == 0 {
            return Err(Wrong::Field(keyring_head::NUMBER));
        }
        Ok(keyring)
    }

    /// The file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.encode_clear();
        bytes.extend_from_slice(&self.data_keys);
        bytes.extend_from_slice(&self.tag);
        let crc = crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// All that stands before the encrypted data keys: what their tag vouches for beside them.
    pub(super) fn encode_clear(&self) -> Vec<u8> {
        let parts = Parts { epochs: self.epochs.len(), slots: self.slots.len() };
        let mut bytes = Vec::with_capacity(parts.end() + CRC_LEN);
        bytes.resize(keyring_head::LEN, 0);
        keyring_head::MAGIC.set_bytes(&mut bytes, MAGIC);
        let numbers: &[(Field, u64)] = &[
            (keyring_head::VERSION, VERSION),
            (keyring_head::ALGORITHM, ALGORITHM),
            (keyring_head::EPOCHS, self.epochs.len() as u64),
            (keyring_head::SLOTS, self.slots.len() as u64),
            (keyring_head::NEXT_SLOT, self.next_slot.into()),
            (keyring_head::NUMBER, self.number),
        ];
        for (field, value) in numbers {
            field.set_number(&mut bytes, *value);
        }
        keyring_head::ENVIRONMENT.set_bytes(&mut bytes, &self.environment.0);
        keyring_head::SALT.set_bytes(&mut bytes, &self.salt);
        for epoch in &self.epochs {
            bytes.extend_from_slice(&epoch.encode());
        }
        for slot in &self.slots {
            bytes.extend_from_slice(&slot.encode());
        }
        bytes
    }

    /// The epoch whose data key encrypts new files.
    #[must_use]
    pub fn newest_epoch(&self) -> u32 {
        self.epochs.last().map_or(0, |epoch| epoch.number)
    }

    /// The environment of which it is.
    #[must_use]
    pub const fn environment(&self) -> Uuid {
        self.environment
    }

    /// What it says to everybody: key slots and key epochs, and no secret. As long as it is locked, nobody
    /// vouches for it.
    #[must_use]
    pub fn info(&self) -> KeyringInfo {
        let epochs = self.epochs.iter();
        let slots = self.slots.iter();
        KeyringInfo {
            environment: self.environment,
            writes: self.number,
            epochs: epochs
                .map(|&Epoch { number, created }| KeyEpochInfo {
                    epoch: number,
                    created: created.0,
                })
                .collect(),
            slots: slots.map(KeySlotInfo::of).collect(),
        }
    }

    /// Unlocks it with a key of a user.
    ///
    /// Every key slot of the kind is tried, so a passphrase costs a run of Argon2id for each. One for which the
    /// key cannot be had, as when a callback does not know it, keeps none of the others from being tried.
    ///
    /// # Errors
    /// [`EnvError::WrongKey`] if none has this key; [`EnvError::KeyringDamaged`] if one has, and what it
    /// wraps is not what was written; [`EnvError::KeyUnavailable`] if the key cannot be had, and no slot opens.
    pub fn unlock(&self, key: &KeySource) -> EnvResult<UnlockedKeyring> {
        let key = key.loaded()?;
        let mut unavailable = None;
        if key.kind() == KeyKind::Recipient {
            let what = "a recipient opens nothing: its key file does".into();
            return Err(EnvError::InvalidInput { what });
        }
        for slot in self.slots.iter().filter(|slot| key.may_open(slot.kdf.kind())) {
            match slot.try_key(&key, self.environment) {
                Ok(Tried::Wrong) => {}
                Ok(Tried::Damaged) => {
                    let what = format!("the key {:?} in it is not authentic", slot.name);
                    return Err(damaged(&self.path, &what));
                }
                Ok(Tried::Opened(held, keyring_key)) => return self.open(held, keyring_key),
                Err(error) => drop(unavailable.get_or_insert(error)),
            }
        }
        let wrong = || EnvError::WrongKey { path: self.path.clone(), epoch: self.newest_epoch() };
        Err(unavailable.unwrap_or_else(wrong))
    }

    /// Decrypts the data keys.
    fn open(&self, held: Held, keyring_key: Secret) -> EnvResult<UnlockedKeyring> {
        let plain = self.decrypt_data_keys(&keyring_key)?;
        Ok(UnlockedKeyring::new(self.clone(), held, keyring_key, &plain))
    }

    /// The data keys, one after the other.
    pub(super) fn decrypt_data_keys(&self, keyring_key: &Secret) -> EnvResult<Zeroizing<Vec<u8>>> {
        let key = data_keys_key(keyring_key, &self.salt, self.environment)?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.data_keys.len() + TAG_LEN));
        bytes.extend_from_slice(&self.data_keys);
        bytes.extend_from_slice(&self.tag);
        let len = decrypt(&key, &self.encode_clear(), &mut bytes)
            .map_err(|_| damaged(&self.path, "its data keys are not authentic"))?
            .len();
        bytes.truncate(len);
        Ok(bytes)
    }
}

impl Epoch {
    fn encode(self) -> [u8; keyring_epoch::LEN] {
        let mut bytes = [0; keyring_epoch::LEN];
        keyring_epoch::EPOCH.set_number(&mut bytes, self.number.into());
        keyring_epoch::CREATED.set_number(&mut bytes, self.created.0);
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, Field> {
        if keyring_epoch::RESERVED.number(bytes) != 0 {
            return Err(keyring_epoch::RESERVED);
        }
        let number = u32::try_from(keyring_epoch::EPOCH.number(bytes));
        let created = WallTime(keyring_epoch::CREATED.number(bytes));
        Ok(Self { number: number.map_err(|_| keyring_epoch::EPOCH)?, created })
    }
}

/// Why intact bytes are no keyring.
enum Wrong {
    Field(Field),
    Length,
}

struct Parts {
    epochs: usize,
    slots: usize,
}

impl Parts {
    /// Where the checksum begins.
    const fn end(&self) -> usize {
        keyring_head::LEN
            + self.epochs * (keyring_epoch::LEN + KEY_LEN)
            + self.slots * key_slot::LEN
            + TAG_LEN
    }
}

pub(super) fn damaged(path: &Path, what: &str) -> EnvError {
    EnvError::KeyringDamaged { path: path.to_owned(), what: what.to_owned() }
}
