//! What makes the state file of an encrypted environment one that only who has the key can have written.
//!
//! A slot is overwritten in place, so it is not encrypted (it holds positions, no data), but has a code over
//! all of it: the environment, the number, the epoch. The two slots are those of two writes, one after the
//! other. So a slot that is put back from an earlier time shows, but for one case: undoing the very last
//! write leaves what a crash right before it leaves, and the same commits. And since a journal file holds
//! records only when the state names it, a journal file with records that it does not name shows one that
//! is older than the journal. The uuids of the files that it names tell them from others of their numbers.

use std::path::Path;

use cairn_log::{
    DataKey, DataKeys, FileNumber, HEADER_LEN, Lsn, MacKey, Predecessor, Uuid, is_same,
};

use crate::{
    EnvError, EnvResult,
    files::Files,
    state::{Found, State},
};

/// The part of a slot that an encrypted environment has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StateEncryption {
    /// The epoch of the key with which the slot was written.
    pub(crate) epoch: u32,
    /// Tells a wrong key.
    pub(crate) check: [u8; 16],
    /// The uuid of the file that holds the checkpoint; zero: none, or unknown.
    pub(crate) checkpoint: Uuid,
    /// That of the newest journal file.
    pub(crate) journal: Uuid,
    /// That of the journal file whose end is recorded.
    pub(crate) tail: Uuid,
    /// The code.
    pub(crate) mac: [u8; 32],
}

/// Makes the state one that was written with the newest of the keys.
pub(crate) fn sign(state: &mut State, keys: Option<&DataKeys>) {
    let environment = state.environment;
    if let (Some(encryption), Some(keys)) = (&mut state.encryption, keys) {
        let (epoch, key) = keys.newest();
        (encryption.epoch, encryption.check) = (epoch, check_of(key, environment));
        let mac = mac_key(key, environment).sign(&state.authenticated());
        if let Some(encryption) = &mut state.encryption {
            encryption.mac = mac;
        }
    }
}

impl State {
    /// The newest checkpoint stands at `lsn`, in the file with this uuid.
    pub(crate) fn name_checkpoint(&mut self, lsn: Lsn, uuid: Uuid) {
        self.checkpoint = Some(lsn);
        if let Some(encryption) = &mut self.encryption {
            encryption.checkpoint = uuid;
        }
    }

    /// The newest journal file is `number`, with this uuid, and has no records yet.
    pub(crate) fn name_journal(&mut self, number: FileNumber, uuid: Uuid) {
        self.journal = Some((number, HEADER_LEN));
        if let Some(encryption) = &mut self.encryption {
            encryption.journal = uuid;
        }
    }

    /// The journal before the file in use ends as `tail` says.
    pub(crate) fn name_tail(&mut self, tail: Option<Predecessor>, files: &Files) {
        let number = |tail: Option<Predecessor>| tail.map(|tail| tail.file);
        let is_other = number(self.tail) != number(tail);
        self.tail = tail;
        if let Some(encryption) = &mut self.encryption
            && is_other
        {
            let file = number(tail).and_then(|number| files.find(number));
            encryption.tail = file.map_or_else(Uuid::default, |file| file.header().file);
        }
    }

    /// Notes which files the state means by the numbers in it, where it does not say yet.
    pub(crate) fn identify(&mut self, find: &dyn Fn(FileNumber) -> Option<Uuid>) {
        let checkpoint = self.checkpoint.map(Lsn::file);
        let (journal, tail) = (self.journal.map(|(number, _)| number), self.tail.map(|t| t.file));
        if let Some(encryption) = &mut self.encryption {
            for (known, number) in [
                (&mut encryption.checkpoint, checkpoint),
                (&mut encryption.journal, journal),
                (&mut encryption.tail, tail),
            ] {
                if *known == Uuid::default() {
                    *known = number.and_then(find).unwrap_or_default();
                }
            }
        }
    }

    /// The uuid that the file `number` must have, if the state says.
    pub(crate) fn uuid_of(&self, number: FileNumber) -> Option<Uuid> {
        let encryption = self.encryption.as_ref()?;
        [
            (self.checkpoint.map(Lsn::file), encryption.checkpoint),
            (self.journal.map(|(number, _)| number), encryption.journal),
            (self.tail.map(|tail| tail.file), encryption.tail),
        ]
        .into_iter()
        .find(|(named, uuid)| *named == Some(number) && *uuid != Uuid::default())
        .map(|(_, uuid)| uuid)
    }

    /// Checks that the state was written with one of the keys. Those that a keyring has given are the right ones
    /// (`are_right`), so what they do not fit is the state; `path` is the environment, for messages.
    pub(crate) fn authenticate(
        &self,
        keys: Option<&DataKeys>,
        are_right: bool,
        path: &Path,
    ) -> EnvResult<()> {
        let (encryption, keys) = match (&self.encryption, keys) {
            (None, None) => return Ok(()),
            (None, Some(_)) => return Err(EnvError::NotEncrypted { path: path.to_owned() }),
            (Some(encryption), None) => {
                let (path, epoch) = (path.to_owned(), encryption.epoch);
                return Err(EnvError::KeyRequired { path, epoch });
            }
            (Some(encryption), Some(keys)) => (encryption, keys),
        };
        let epoch = encryption.epoch;
        let fits = |key: &DataKey| is_same(&check_of(key, self.environment), &encryption.check);
        let changed = || Err(not_authentic(path, "a slot was not written with the key"));
        let Some(key) = keys.get(epoch) else {
            // Either the keyring is from before that epoch, or another epoch was written into the slot.
            let fits_another = keys.epochs().filter_map(|epoch| keys.get(epoch)).any(fits);
            return match fits_another {
                true => changed(),
                false => Err(EnvError::KeyRequired { path: path.to_owned(), epoch }),
            };
        };
        if !fits(key) && !are_right {
            return Err(EnvError::WrongKey { path: path.to_owned(), epoch });
        }
        match mac_key(key, self.environment).verify(&self.authenticated(), &encryption.mac) {
            true => Ok(()),
            false => changed(),
        }
    }
}

impl Found {
    /// Checks that both slots were written with these keys, one after the other: see [`State::authenticate`].
    pub(crate) fn authenticate(
        &self,
        keys: Option<&DataKeys>,
        are_right: bool,
        path: &Path,
    ) -> EnvResult<()> {
        self.newest.authenticate(keys, are_right, path)?;
        if let Some(older) = &self.older {
            // Both or none: an environment is encrypted from its creation on.
            if older.encryption.is_some() != self.newest.encryption.is_some() {
                return Err(not_authentic(path, "one slot is that of an encrypted environment"));
            }
            older.authenticate(keys, are_right, path)?;
        }
        if self.newest.encryption.is_none() {
            return Ok(());
        }
        let follows = |older: &State| older.number.checked_add(1) == Some(self.newest.number);
        if self.misplaced || self.older.as_ref().is_some_and(|older| !follows(older)) {
            return Err(not_authentic(path, "a slot was put back from an earlier time"));
        }
        Ok(())
    }
}

fn not_authentic(path: &Path, what: &str) -> EnvError {
    EnvError::NotAuthentic { path: path.join("STATE"), what: what.into() }
}

fn check_of(key: &DataKey, environment: Uuid) -> [u8; 16] {
    let derived = key.derive("cairn/v1/state-check", &environment.0, &[]);
    std::array::from_fn(|i| derived.expose()[i])
}

fn mac_key(key: &DataKey, environment: Uuid) -> MacKey {
    MacKey::new(&key.derive("cairn/v1/state", &environment.0, &[]))
}
