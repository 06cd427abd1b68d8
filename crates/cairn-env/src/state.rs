//! The state file: where the newest checkpoint is, and how far the journal is known to go.
//!
//! Two slots of 4 KiB are overwritten in turn, so that a crash in the middle of a write leaves the
//! other one. Each holds the whole state.

use std::{collections::BTreeSet, path::Path};

use cairn_io::{Access, Dir, FileExt, FileIdentity, FileRef, Name};
use cairn_log::{
    DataKeys, Digest, FileNumber, Lsn, Predecessor, Timeline, Uuid, crc32c, layout::Field,
};

use crate::{
    EnvError, EnvResult, JournalRetention, sites,
    state_keys::{StateEncryption, sign},
};

pub(crate) const STATE: Name = Name::constant("STATE");

cairn_log::layout! {
    /// A slot of the state file.
    pub mod state_slot {
        MAGIC: 8 = "`CAIRNSTA`",
        VERSION: 2 = "format version: 4; 5 with encryption; 6 and 7 likewise, with history that is kept; 1, 2 with data directories and 3 with encryption have no home",
        CLEAN: 1 = "1: closed in order, the checkpoint holds every commit; 0: not",
        DIRECTORIES: 2 = "number of data directories",
        RESERVED: 3 = "zero",
        NUMBER: 8 = "counts the writes of the state; the slot with the larger number holds, it stands in slot number mod 2",
        ENVIRONMENT: 16 = "uuid of the environment",
        TIMELINE: 4 = "timeline to which new journal files belong",
        GENERATION: 4 = "number of the generation directory",
        INCARNATION: 8 = "how many times the environment was opened for writing, or an exclusive transaction given up",
        CHECKPOINT: 8 = "position of the newest checkpoint record; 0: none",
        CHECKPOINT_NUMBER: 8 = "number of that checkpoint",
        NEXT_FILE: 4 = "smallest number that no log file has had",
        JOURNAL_FILE: 4 = "newest journal file: it must be there unless the next fields record its end; 0: none",
        JOURNAL_DURABLE: 8 = "position in it that was known to be durable",
        TAIL_FILE: 4 = "journal file whose end is recorded here; 0: none",
        TAIL_DIRECTORY: 2 = "its data directory",
        RESERVED_2: 2 = "zero",
        TAIL_END: 8 = "its end",
        TAIL_SEQUENCE: 8 = "the last commit number in it or before it",
        TAIL_CHAIN: 32 = "BLAKE3 of its bytes up to that end",
        SEQUENCE: 8 = "a commit number up to which the state is known to go at least",
        KEY_EPOCH: 4 = "epoch of the data key with which the slot was written; 0 without encryption, as are all that follow up to the code",
        KEY_CHECK: 16 = "derived from that key: tells a wrong one",
        CHECKPOINT_UUID: 16 = "uuid of the file in which the newest checkpoint stands; 0: there is none, or it is not known",
        JOURNAL_UUID: 16 = "uuid of the newest journal file, likewise",
        TAIL_UUID: 16 = "uuid of the journal file whose end is recorded here, likewise",
        MAC: 32 = "HMAC-SHA-256 of the slot with zeros in this field and the next but one",
        HOME: 8 = "number, in its file system, of the file in which the slot was written",
        HOME_BORN: 8 = "when that was made, in nanoseconds since 1970; 0: not known",
        KEEP: 1 = "how much journal is kept as history: 0: none, 1: so many bytes, 2: so many microseconds, 3: all",
        RESERVED_3: 7 = "zero",
        KEEP_AMOUNT: 8 = "so many bytes or microseconds, else 0",
        PADDING: 3808 = "zero",
        CRC: 4 = "CRC-32C of the bytes before",
    }
}

const SLOT: usize = state_slot::LEN;
const _: () = assert!(SLOT == 4096, "a slot is a block");
const MAGIC: &[u8; 8] = b"CAIRNSTA";
const VERSION: u64 = 1;
/// An older version does not look into data directories, and must not open what has them.
const VERSION_DIRECTORIES: u64 = 2;
const VERSION_ENCRYPTED: u64 = 3;
/// An older version takes a copy for what it was copied from.
const VERSION_HOME: u64 = 4;
const VERSION_HOME_ENCRYPTED: u64 = 5;
/// An older version does not know that history is to be kept, and lets it go.
const VERSION_HISTORY: u64 = 6;
const VERSION_HISTORY_ENCRYPTED: u64 = 7;
const VERSIONS: std::ops::RangeInclusive<u64> = VERSION..=VERSION_HISTORY_ENCRYPTED;

/// The state of an environment, as one slot holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) number: u64,
    pub(crate) clean: bool,
    pub(crate) environment: Uuid,
    pub(crate) timeline: Timeline,
    pub(crate) generation: u32,
    /// How many data directories there are; 0: the log files lie in the root.
    pub(crate) directories: u16,
    pub(crate) incarnation: u64,
    pub(crate) checkpoint: Option<Lsn>,
    pub(crate) checkpoint_number: u64,
    pub(crate) next_file: FileNumber,
    /// The newest journal file, and the position in it that is known to be durable.
    pub(crate) journal: Option<(FileNumber, u64)>,
    /// The recorded end of a journal file.
    pub(crate) tail: Option<Predecessor>,
    pub(crate) sequence: u64,
    /// Of an encrypted environment: what vouches for all this.
    pub(crate) encryption: Option<StateEncryption>,
    /// The file in which it was written; older versions did not say.
    pub(crate) home: Option<FileIdentity>,
    /// How much journal is kept that nothing needs.
    pub(crate) keep: JournalRetention,
}

impl State {
    pub(crate) fn first(environment: Uuid) -> Self {
        Self {
            number: 0,
            clean: true,
            environment,
            timeline: Timeline::FIRST,
            generation: 1,
            directories: 0,
            incarnation: 0,
            checkpoint: None,
            checkpoint_number: 0,
            next_file: FileNumber::FIRST,
            journal: None,
            tail: None,
            sequence: 0,
            encryption: None,
            home: None,
            keep: JournalRetention::Needed,
        }
    }

    /// The same, of an environment that is encrypted with `keys`, if there are any.
    pub(crate) fn encrypted(self, keys: Option<&DataKeys>) -> Self {
        Self { encryption: keys.map(|_| StateEncryption::default()), ..self }
    }

    /// The epoch of the key with which it was written, of an encrypted environment.
    pub(crate) fn key_epoch(&self) -> Option<u32> {
        self.encryption.as_ref().map(|encryption| encryption.epoch)
    }

    const fn version(&self) -> u64 {
        if !matches!(self.keep, JournalRetention::Needed) {
            return match &self.encryption {
                Some(_) => VERSION_HISTORY_ENCRYPTED,
                None => VERSION_HISTORY,
            };
        }
        match (&self.encryption, &self.home, self.directories) {
            (Some(_), Some(_), _) => VERSION_HOME_ENCRYPTED,
            (None, Some(_), _) => VERSION_HOME,
            (Some(_), None, _) => VERSION_ENCRYPTED,
            (None, None, 0) => VERSION,
            (None, None, _) => VERSION_DIRECTORIES,
        }
    }

    /// What the slot's code vouches for.
    pub(crate) fn authenticated(&self) -> Vec<u8> {
        let mut slot = self.encode();
        for field in [state_slot::MAC, state_slot::CRC] {
            slot[field.range()].fill(0);
        }
        slot
    }

    fn encode(&self) -> Vec<u8> {
        let mut slot = vec![0; SLOT];
        state_slot::MAGIC.set_bytes(&mut slot, MAGIC);
        let (journal, tail) = (self.journal, self.tail);
        let numbers: &[(Field, u64)] = &[
            (state_slot::VERSION, self.version()),
            (state_slot::DIRECTORIES, self.directories.into()),
            (state_slot::CLEAN, self.clean.into()),
            (state_slot::NUMBER, self.number),
            (state_slot::TIMELINE, self.timeline.0.into()),
            (state_slot::GENERATION, self.generation.into()),
            (state_slot::INCARNATION, self.incarnation),
            (state_slot::CHECKPOINT, self.checkpoint.map_or(0, Lsn::to_raw)),
            (state_slot::CHECKPOINT_NUMBER, self.checkpoint_number),
            (state_slot::NEXT_FILE, self.next_file.get().into()),
            (state_slot::JOURNAL_FILE, journal.map_or(0, |(file, _)| file.get().into())),
            (state_slot::JOURNAL_DURABLE, journal.map_or(0, |(_, durable)| durable)),
            (state_slot::TAIL_FILE, tail.map_or(0, |tail| tail.file.get().into())),
            (state_slot::TAIL_DIRECTORY, tail.map_or(0, |tail| tail.directory.into())),
            (state_slot::TAIL_END, tail.map_or(0, |tail| tail.end)),
            (state_slot::TAIL_SEQUENCE, tail.map_or(0, |tail| tail.last_sequence)),
            (state_slot::SEQUENCE, self.sequence),
        ];
        for (field, value) in numbers {
            field.set_number(&mut slot, *value);
        }
        state_slot::ENVIRONMENT.set_bytes(&mut slot, &self.environment.0);
        if let Some(tail) = tail {
            state_slot::TAIL_CHAIN.set_bytes(&mut slot, &tail.chain.0);
        }
        if let Some(encryption) = &self.encryption {
            state_slot::KEY_EPOCH.set_number(&mut slot, encryption.epoch.into());
            state_slot::KEY_CHECK.set_bytes(&mut slot, &encryption.check);
            state_slot::CHECKPOINT_UUID.set_bytes(&mut slot, &encryption.checkpoint.0);
            state_slot::JOURNAL_UUID.set_bytes(&mut slot, &encryption.journal.0);
            state_slot::TAIL_UUID.set_bytes(&mut slot, &encryption.tail.0);
            state_slot::MAC.set_bytes(&mut slot, &encryption.mac);
        }
        if let Some(home) = &self.home {
            state_slot::HOME.set_number(&mut slot, home.number);
            state_slot::HOME_BORN.set_number(&mut slot, home.born);
        }
        let (keep, amount) = self.keep.to_numbers();
        state_slot::KEEP.set_number(&mut slot, keep);
        state_slot::KEEP_AMOUNT.set_number(&mut slot, amount);
        let crc = crc32c(&slot[..state_slot::CRC.offset]);
        state_slot::CRC.set_number(&mut slot, crc.into());
        slot
    }

    /// The state in a slot; `None` if it is damaged or was never written.
    fn decode(slot: &[u8]) -> Option<Result<Self, u64>> {
        if slot.len() != SLOT || state_slot::MAGIC.of(slot) != MAGIC {
            return None;
        }
        if state_slot::CRC.number(slot) != u64::from(crc32c(&slot[..state_slot::CRC.offset])) {
            return None;
        }
        let version = state_slot::VERSION.number(slot);
        if !VERSIONS.contains(&version) {
            return Some(Err(version));
        }
        let u32_of = |field: Field| u32::try_from(field.number(slot)).ok();
        let file_of = |field: Field| u32_of(field).and_then(FileNumber::new);
        let clean = match state_slot::CLEAN.number(slot) {
            0 => false,
            1 => true,
            _ => return None,
        };
        let reserved = [state_slot::RESERVED, state_slot::RESERVED_2, state_slot::RESERVED_3];
        for field in reserved.into_iter().chain([state_slot::PADDING]) {
            if field.of(slot).iter().any(|&byte| byte != 0) {
                return None;
            }
        }
        let uuid = |field: Field| field.of(slot).try_into().ok().map(Uuid);
        let is_encrypted = [VERSION_ENCRYPTED, VERSION_HOME_ENCRYPTED, VERSION_HISTORY_ENCRYPTED]
            .contains(&version);
        let encryption = if is_encrypted {
            Some(StateEncryption {
                epoch: u32_of(state_slot::KEY_EPOCH).filter(|epoch| *epoch > 0)?,
                check: state_slot::KEY_CHECK.of(slot).try_into().ok()?,
                checkpoint: uuid(state_slot::CHECKPOINT_UUID)?,
                journal: uuid(state_slot::JOURNAL_UUID)?,
                tail: uuid(state_slot::TAIL_UUID)?,
                mac: state_slot::MAC.of(slot).try_into().ok()?,
            })
        } else {
            let from_here = state_slot::KEY_EPOCH.offset..state_slot::HOME.offset;
            if slot[from_here].iter().any(|&byte| byte != 0) {
                return None;
            }
            None
        };
        let number_and_birth = (state_slot::HOME.number(slot), state_slot::HOME_BORN.number(slot));
        let home = match number_and_birth {
            (number, born) if version >= VERSION_HOME => Some(FileIdentity::new(number, born)),
            (0, 0) => None,
            _ => return None,
        };
        let state = Self {
            number: state_slot::NUMBER.number(slot),
            clean,
            environment: Uuid(state_slot::ENVIRONMENT.of(slot).try_into().ok()?),
            timeline: Timeline(u32_of(state_slot::TIMELINE)?),
            generation: u32_of(state_slot::GENERATION)?,
            directories: u16::try_from(state_slot::DIRECTORIES.number(slot)).ok()?,
            incarnation: state_slot::INCARNATION.number(slot),
            checkpoint: Lsn::from_raw(state_slot::CHECKPOINT.number(slot)),
            checkpoint_number: state_slot::CHECKPOINT_NUMBER.number(slot),
            next_file: file_of(state_slot::NEXT_FILE)?,
            journal: file_of(state_slot::JOURNAL_FILE)
                .map(|file| (file, state_slot::JOURNAL_DURABLE.number(slot))),
            tail: file_of(state_slot::TAIL_FILE).map(|file| Predecessor {
                file,
                directory: u16::try_from(state_slot::TAIL_DIRECTORY.number(slot)).unwrap_or(0),
                end: state_slot::TAIL_END.number(slot),
                last_sequence: state_slot::TAIL_SEQUENCE.number(slot),
                chain: Digest(state_slot::TAIL_CHAIN.of(slot).try_into().unwrap_or_default()),
            }),
            sequence: state_slot::SEQUENCE.number(slot),
            encryption,
            home,
            keep: JournalRetention::from_numbers(
                state_slot::KEEP.number(slot),
                state_slot::KEEP_AMOUNT.number(slot),
            )?,
        };
        (state.version() == version).then_some(Ok(state))
    }
}

/// The state file, open.
#[derive(Debug)]
pub(crate) struct StateFile {
    file: FileRef,
    home: FileIdentity,
    pub(crate) state: State,
    /// The keys of an encrypted environment.
    keys: Option<DataKeys>,
    /// The epoch with which the other slot was written.
    other_epoch: Option<u32>,
}

/// What the state file held when it was opened.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) newest: State,
    /// The other slot, if it is valid.
    pub(crate) older: Option<State>,
    /// Whether a slot that should hold a state does not.
    pub(crate) damaged_slot: bool,
    /// Whether a state stands in the slot of the other one.
    pub(crate) misplaced: bool,
    /// The file itself.
    home: FileIdentity,
}

impl Found {
    /// Whether this is the file in which the state was written, not one that somebody has copied.
    pub(crate) fn is_at_home(&self) -> bool {
        self.newest.home == Some(self.home)
    }
}

impl StateFile {
    /// Creates the state file of a new generation directory.
    pub(crate) fn create(
        dir: &dyn Dir,
        mut state: State,
        keys: Option<&DataKeys>,
    ) -> EnvResult<Self> {
        let file = dir.create(&STATE)?;
        let home = file.identity()?;
        state.home = Some(home);
        sign(&mut state, keys);
        let mut both = vec![0; 2 * SLOT];
        let at = SLOT * usize::from(state.number % 2 == 1);
        both[at..at + SLOT].copy_from_slice(&state.encode());
        file.write_all_at(0, &both)?;
        file.sync(sites::CREATE_STATE)?;
        Ok(Self { file, home, state, keys: keys.cloned(), other_epoch: None })
    }

    /// Opens the state file and reads both slots.
    pub(crate) fn open(dir: &dyn Dir, access: Access) -> EnvResult<(FileRef, Found)> {
        let file = dir.open(&STATE, access).map_err(|error| {
            if error.is_not_found() {
                needs_repair(dir.path(), "its state file STATE is missing")
            } else {
                error.into()
            }
        })?;
        // A sync that has failed may have left a slot in memory that the device never got.
        file.forget(0, 2 * SLOT as u64);
        let mut bytes = vec![0; 2 * SLOT];
        let len = file.read_full_at(0, &mut bytes)?;
        let mut slots = Vec::new();
        let (mut blank, mut misplaced) = (false, false);
        for (place, slot) in [&bytes[..SLOT], &bytes[SLOT..]].into_iter().enumerate() {
            match State::decode(slot) {
                Some(Ok(state)) => {
                    misplaced |= state.number % 2 != place as u64;
                    slots.push(state);
                }
                Some(Err(version)) => {
                    let needs = format!("state format {version}");
                    return Err(EnvError::Unsupported { path: file.path().to_owned(), needs });
                }
                // The second slot of a new environment was never written.
                None => blank |= slot.iter().all(|&byte| byte == 0) && len == 2 * SLOT,
            }
        }
        slots.sort_by_key(|state| std::cmp::Reverse(state.number));
        let mut slots = slots.into_iter();
        let newest = slots.next().ok_or_else(|| {
            needs_repair(dir.path(), "both slots of its state file STATE are damaged")
        })?;
        let older = slots.next();
        let damaged_slot = older.is_none() && !(blank && newest.number == 0);
        let home = file.identity()?;
        Ok((file, Found { newest, older, damaged_slot, misplaced, home }))
    }

    pub(crate) fn new(file: FileRef, found: Found, keys: Option<&DataKeys>) -> Self {
        let other_epoch = found.older.as_ref().and_then(State::key_epoch);
        Self { file, home: found.home, state: found.newest, keys: keys.cloned(), other_epoch }
    }

    /// From now on the state is written with the newest of other keys, which are there, durably, with the old ones.
    pub(crate) fn use_keys(&mut self, keys: &DataKeys) {
        self.keys = Some(keys.clone());
    }

    /// The epochs of the keys with which the slots were written: one, or the same for both, or two.
    pub(crate) fn key_epochs(&self) -> BTreeSet<u32> {
        self.state.key_epoch().into_iter().chain(self.other_epoch).collect()
    }

    /// Changes a state that nothing refers to yet, in its slot. Its number stays: whoever first writes to what
    /// was created or restored must know that nobody has.
    pub(crate) fn rewrite(&mut self, change: impl FnOnce(&mut State)) -> EnvResult<()> {
        change(&mut self.state);
        self.state.home = Some(self.home);
        sign(&mut self.state, self.keys.as_ref());
        let at = SLOT as u64 * (self.state.number % 2);
        self.file.write_all_at(at, &self.state.encode())?;
        Ok(self.file.sync(sites::STATE)?)
    }

    /// Changes the state durably. On an error what the file says is unknown, but one of both slots is
    /// whole.
    pub(crate) fn write(&mut self, change: impl FnOnce(&mut State)) -> EnvResult<()> {
        let mut state = self.state.clone();
        change(&mut state);
        state.number += 1;
        state.home = Some(self.home);
        sign(&mut state, self.keys.as_ref());
        // Planted: always the same slot.
        let at = SLOT as u64 * if cairn_io::planted::is(12) { 0 } else { state.number % 2 };
        self.file.write_all_at(at, &state.encode())?;
        self.file.sync(sites::STATE)?;
        self.other_epoch = self.state.key_epoch();
        self.state = state;
        Ok(())
    }
}

fn needs_repair(dir: &Path, why: &str) -> EnvError {
    EnvError::NeedsRepair { path: dir.to_owned(), why: why.into() }
}

#[cfg(test)]
mod tests {
    use cairn_io::MemDisk;

    use super::*;

    fn example() -> State {
        State {
            clean: false,
            directories: 4,
            incarnation: 3,
            checkpoint: Lsn::from_raw(5 << 29 | 7),
            checkpoint_number: 4,
            journal: FileNumber::new(9).map(|file| (file, 4096)),
            tail: Some(Predecessor {
                file: FileNumber::new(8).unwrap(),
                directory: 1,
                end: 5000,
                last_sequence: 77,
                chain: Digest::of(b"x"),
            }),
            sequence: 80,
            home: Some(FileIdentity::new(12, 34)),
            ..State::first(Uuid([1; 16]))
        }
    }

    #[test]
    fn a_slot_survives_its_bytes_and_no_flipped_bit_passes() {
        let slot = example().encode();
        assert_eq!(State::decode(&slot), Some(Ok(example())));
        let encryption = StateEncryption {
            epoch: 9,
            check: [1; 16],
            checkpoint: Uuid([2; 16]),
            journal: Uuid([3; 16]),
            tail: Uuid([4; 16]),
            mac: [5; 32],
        };
        let encrypted = State { encryption: Some(encryption), ..example() };
        let old = State { home: None, ..example() };
        let old_encrypted = State { home: None, ..encrypted.clone() };
        let keep = JournalRetention::Bytes(77);
        let history = State { keep, ..example() };
        let history_encrypted = State { keep: JournalRetention::Forever, ..encrypted.clone() };
        let states = [encrypted, old, old_encrypted, history, history_encrypted];
        for state in &states {
            assert_eq!(State::decode(&state.encode()), Some(Ok(state.clone())));
        }
        let all = states.map(|state| state.encode());
        for slot in all.into_iter().chain([slot]) {
            for bit in 0..SLOT * 8 {
                let mut flipped = slot.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(State::decode(&flipped), None, "bit {bit}");
            }
        }
    }

    #[test]
    fn the_newer_slot_holds_and_the_older_one_stands_in_for_it() {
        let disk = MemDisk::new();
        let dir = disk.root();
        let mut file = StateFile::create(&*dir, State::first(Uuid([1; 16])), None).unwrap();
        let found = |dir: &dyn Dir| StateFile::open(dir, Access::Read).map(|(_, found)| found);
        let first = found(&*dir).unwrap();
        assert!(first.older.is_none() && !first.damaged_slot);
        for n in 1..5 {
            file.write(|state| state.sequence = n).unwrap();
            let now = found(&*dir).unwrap();
            assert_eq!((now.newest.sequence, now.newest.number), (n, n));
            assert_eq!(now.older.unwrap().sequence, n - 1);
        }
        // The newest slot is number 4, at the beginning.
        dir.open(&STATE, Access::ReadWrite).unwrap().write_all_at(100, &[0xff]).unwrap();
        let now = found(&*dir).unwrap();
        assert_eq!(now.newest.sequence, 3);
        assert!(now.damaged_slot);
        dir.open(&STATE, Access::ReadWrite).unwrap().write_all_at(5000, &[0xff]).unwrap();
        assert!(matches!(found(&*dir), Err(EnvError::NeedsRepair { .. })));
        dir.remove(&STATE).unwrap();
        assert!(matches!(found(&*dir), Err(EnvError::NeedsRepair { .. })));
    }
}
