//! `UnlockedKeyring`: a keyring with its keys, and how it changes.
//!
//! Each change is made to a copy, encrypted, opened again, and only then written: what stands on the disk
//! has been opened with the very keys that are to open it.
//!
//! The keyring key stays the same as long as there is a key slot whose user is not here to wrap another
//! one. When the keys of all slots are at hand, as with a single slot they always are, each write makes a
//! new one: a key that was taken out of use then opens nothing that is written later.

use cairn_io::World;
use cairn_log::{DataKey, DataKeys, Uuid};
use zeroize::Zeroizing;

use super::{
    info::{KeySlotInfo, KeyringInfo},
    layout::{KEY_LEN, MAX_EPOCHS, MAX_SLOTS, TAG_LEN},
    secret::Secret,
    slot::{Held, KeySlot, Tried, check_name},
    source::KeySource,
    stored::{Epoch, Keyring},
    wrap::{data_keys_key, encrypt},
};
use crate::{EnvError, EnvResult};

/// A keyring that was unlocked: it holds all keys in memory, and wipes them when it is dropped.
#[derive(Clone)]
pub struct UnlockedKeyring {
    keyring: Keyring,
    keyring_key: Secret,
    /// One for each epoch.
    data_keys: Vec<Secret>,
    /// The keys of users that are at hand.
    held: Vec<Held>,
    opened_by: u32,
}

impl UnlockedKeyring {
    pub(super) fn new(keyring: Keyring, held: Held, keyring_key: Secret, plain: &[u8]) -> Self {
        let (keys, _) = plain.as_chunks::<KEY_LEN>();
        let data_keys = keys.iter().map(|key| Secret::take(&mut Zeroizing::new(*key))).collect();
        let opened_by = held.number;
        Self { keyring, keyring_key, data_keys, held: vec![held], opened_by }
    }

    /// A keyring for a new environment, or for whatever else has a uuid and is to be encrypted, with one key slot
    /// and one epoch; nothing is encrypted until [`next_write`](Self::next_write).
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] for a name that is none; [`EnvError::KeyUnavailable`].
    pub fn create(
        environment: Uuid,
        name: &str,
        key: &KeySource,
        world: &dyn World,
    ) -> EnvResult<Self> {
        let (slot, held) = KeySlot::new(1, name, key, environment, world)?;
        let keyring = Keyring {
            path: super::file::KEYRING.as_str().into(),
            environment,
            number: 0,
            next_slot: 2,
            epochs: vec![Epoch { number: 1, created: world.wall() }],
            slots: vec![slot],
            salt: [0; 32],
            data_keys: Vec::new(),
            tag: [0; TAG_LEN],
        };
        let (keyring_key, data_key) = (Secret::random(world), Secret::random(world));
        let data_keys = vec![data_key];
        Ok(Self { keyring, keyring_key, data_keys, held: vec![held], opened_by: 1 })
    }

    /// The keyring as it stands in the file.
    #[must_use]
    pub const fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// What it says to everybody, and is authentic.
    #[must_use]
    pub fn info(&self) -> KeyringInfo {
        self.keyring.info()
    }

    /// The key slot whose key has opened it.
    #[must_use]
    pub const fn opened_by(&self) -> u32 {
        self.opened_by
    }

    /// The data keys of all epochs.
    #[must_use]
    pub fn data_keys(&self) -> DataKeys {
        let epochs = self.keyring.epochs.iter().map(|epoch| epoch.number);
        let keys = self.data_keys.iter().map(|key| DataKey::new(*key.bytes()));
        DataKeys::new(epochs.zip(keys))
            .expect("the epochs of a keyring ascend, from at least one on")
    }

    /// Adds a key slot.
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] for a name that is there already or is none, and if there are 32;
    /// [`EnvError::KeyUnavailable`].
    pub fn add(
        &mut self,
        name: &str,
        key: &KeySource,
        world: &dyn World,
    ) -> EnvResult<KeySlotInfo> {
        let refused = |what: String| Err(EnvError::InvalidInput { what });
        check_name(name)?;
        if self.keyring.slots.len() >= MAX_SLOTS {
            return refused(format!("a keyring has at most {MAX_SLOTS} keys: remove one first"));
        }
        if self.keyring.slots.iter().any(|slot| slot.name == name) {
            return refused(format!("there is a key {name:?} already: choose another name"));
        }
        let (slot, held) = self.new_slot(name, key, world)?;
        Ok(self.put(slot, held))
    }

    /// A new key slot, which is not in the keyring yet.
    fn new_slot(
        &mut self,
        name: &str,
        key: &KeySource,
        world: &dyn World,
    ) -> EnvResult<(KeySlot, Held)> {
        let number = self.keyring.next_slot;
        let next = number.checked_add(1);
        self.keyring.next_slot = next.ok_or(EnvError::Exhausted { what: "numbers of keys" })?;
        let environment = self.keyring.environment;
        let (mut slot, held) = KeySlot::new(number, name, key, environment, world)?;
        slot.fill(&held, &self.keyring_key, environment, world)?;
        Ok((slot, held))
    }

    fn put(&mut self, slot: KeySlot, held: Held) -> KeySlotInfo {
        let info = KeySlotInfo::of(&slot);
        self.keyring.slots.push(slot);
        self.held.push(held);
        info
    }

    /// Removes a key slot that is not the last one.
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] if there is no such key, or no other one.
    pub fn remove(&mut self, number: u32) -> EnvResult<()> {
        let slots = &mut self.keyring.slots;
        let Some(at) = slots.iter().position(|slot| slot.number == number) else {
            return Err(EnvError::InvalidInput { what: format!("there is no key {number}") });
        };
        if slots.len() == 1 {
            let what = "the only key cannot be removed: add another one first".into();
            return Err(EnvError::InvalidInput { what });
        }
        slots.remove(at);
        self.held.retain(|held| held.number != number);
        Ok(())
    }

    /// Puts another key in place of the one that has opened the keyring, under the same name.
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] if that one was removed; [`EnvError::KeyUnavailable`].
    pub fn rotate(&mut self, key: &KeySource, world: &dyn World) -> EnvResult<KeySlotInfo> {
        let old = self.opened_by;
        let slots = &self.keyring.slots;
        let Some(at) = slots.iter().position(|slot| slot.number == old) else {
            return Err(EnvError::InvalidInput {
                what: "the key that is in use was removed".into(),
            });
        };
        let name = slots[at].name.clone();
        let (slot, held) = self.new_slot(&name, key, world)?;
        // It takes the place at once: a full keyring has no room for both.
        self.keyring.slots.remove(at);
        self.held.retain(|held| held.number != old);
        self.opened_by = held.number;
        Ok(self.put(slot, held))
    }

    /// Begins a key epoch: new files are encrypted with a new data key.
    pub(crate) fn begin_epoch(&mut self, world: &dyn World) -> EnvResult<u32> {
        if self.keyring.epochs.len() >= MAX_EPOCHS {
            let what =
                format!("a keyring has at most {MAX_EPOCHS} key epochs: finish a rekey first");
            return Err(EnvError::InvalidInput { what });
        }
        let newest = self.keyring.epochs.last().map_or(0, |epoch| epoch.number);
        let number = newest.checked_add(1).ok_or(EnvError::Exhausted { what: "key epochs" })?;
        self.keyring.epochs.push(Epoch { number, created: world.wall() });
        self.data_keys.push(Secret::random(world));
        Ok(number)
    }

    /// Forgets the data keys of all epochs but the newest and those that `is_needed`; returns which.
    pub(super) fn retire(&mut self, is_needed: impl Fn(u32) -> bool) -> Vec<u32> {
        let newest = self.keyring.epochs.last().map(|epoch| epoch.number);
        let stays: Vec<bool> = (self.keyring.epochs.iter())
            .map(|epoch| Some(epoch.number) == newest || is_needed(epoch.number))
            .collect();
        let mut retired = Vec::new();
        for (epoch, stays) in self.keyring.epochs.iter().zip(&stays) {
            if !stays {
                retired.push(epoch.number);
            }
        }
        let mut stay = stays.iter();
        self.keyring.epochs.retain(|_| stay.next().is_some_and(|stays| *stays));
        let mut stay = stays.iter();
        self.data_keys.retain(|_| stay.next().is_some_and(|stays| *stays));
        retired
    }

    /// Makes it the next write of the keyring: encrypts what it holds, under keys that were never used.
    /// Returns the bytes of the file, which were opened again with each key at hand.
    ///
    /// # Errors
    /// [`EnvError::Exhausted`]; if the cryptographic library fails.
    pub fn next_write(&mut self, world: &dyn World) -> EnvResult<Vec<u8>> {
        let environment = self.keyring.environment;
        let number = self.keyring.number.checked_add(1);
        self.keyring.number = number.ok_or(EnvError::Exhausted { what: "keyring writes" })?;
        world.random(&mut self.keyring.salt);
        let slots = &mut self.keyring.slots;
        let held_of = |slot: &KeySlot| self.held.iter().find(|held| held.number == slot.number);
        if slots.iter().all(|slot| held_of(slot).is_some()) {
            self.keyring_key = Secret::random(world);
            for slot in slots {
                if let Some(held) = held_of(slot) {
                    slot.fill(held, &self.keyring_key, environment, world)?;
                }
            }
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_LEN * self.data_keys.len()));
        for key in &self.data_keys {
            bytes.extend_from_slice(key.bytes());
        }
        // The number of epochs is part of what is authenticated.
        self.keyring.data_keys = vec![0; bytes.len()];
        let key = data_keys_key(&self.keyring_key, &self.keyring.salt, environment)?;
        self.keyring.tag = encrypt(&key, &self.keyring.encode_clear(), &mut bytes)?;
        self.keyring.data_keys.copy_from_slice(&bytes);
        let encoded = self.keyring.encode();
        self.check(&encoded)?;
        Ok(encoded)
    }

    /// An error unless these bytes can be opened with each key at hand, and give the same data keys.
    fn check(&self, bytes: &[u8]) -> EnvResult<()> {
        let broken = || EnvError::internal("a keyring that was encrypted does not open");
        let keyring = Keyring::decode(bytes, &self.keyring.path)?;
        for held in &self.held {
            let slot = keyring.slots.iter().find(|slot| slot.number == held.number);
            let tried = slot.ok_or_else(broken)?.try_held(held.clone(), keyring.environment)?;
            let Tried::Opened(_, keyring_key) = tried else { return Err(broken()) };
            let plain = keyring.decrypt_data_keys(&keyring_key)?;
            let (keys, _) = plain.as_chunks::<KEY_LEN>();
            let same = keys.len() == self.data_keys.len()
                && keys.iter().zip(&self.data_keys).all(|(key, other)| key == other.bytes());
            if !same {
                return Err(broken());
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for UnlockedKeyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UnlockedKeyring({:?})", self.keyring.info())
    }
}

#[cfg(test)]
impl UnlockedKeyring {
    pub(super) fn keyring_key_for_tests(&self) -> &Secret {
        &self.keyring_key
    }
}
