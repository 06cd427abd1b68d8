//! `Place`: where a keyring lies, and the files beside it that need its data keys.

use std::collections::{BTreeMap, BTreeSet};

use cairn_io::{Access, DirRef, WorldRef};
use cairn_log::{LogError, LogFile, LogName, LogResult};

use super::{file, stored::Keyring};
use crate::{
    EnvError, EnvResult,
    root::{Current, Root},
    state::{STATE, State, StateFile},
};

/// Where a keyring lies.
pub(super) struct Place {
    pub(super) root: Root,
    pub(super) current: Current,
    pub(super) dir: DirRef,
    pub(super) world: WorldRef,
}

/// A file that may need a data key.
enum File<'f> {
    State(&'f State),
    Log(LogResult<Box<LogFile>>),
}

type EachFile<'f> = dyn FnMut(&str, File<'_>) -> EnvResult<()> + 'f;

/// What shows of an encrypted environment without any key. Nobody vouches for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outline {
    /// The generation directory that counts.
    pub generation: u32,
    /// How many runs have written to it.
    pub incarnation: u64,
    /// The number of the newest checkpoint; 0: there is none.
    pub checkpoint: u64,
    /// A commit up to which it goes at least.
    pub commit: u64,
    /// Log files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// For each key epoch how many files need its data key, the state file included.
    pub epochs: BTreeMap<u32, u64>,
}

impl Place {
    /// What shows without a key.
    pub(super) fn outline(&self) -> EnvResult<Outline> {
        let mut outline = Outline { generation: self.current.generation.0, ..Outline::default() };
        let (mut of_state, mut newest) = (BTreeSet::new(), 0);
        self.each_file(&mut |_, file| {
            match file {
                File::State(state) => {
                    of_state.extend(state.key_epoch());
                    if state.number >= newest {
                        newest = state.number;
                        outline.incarnation = state.incarnation;
                        outline.checkpoint = state.checkpoint_number;
                        outline.commit = state.sequence;
                    }
                }
                File::Log(Err(_)) => {}
                File::Log(Ok(file)) => {
                    outline.files += 1;
                    outline.bytes += file.handle().len()?;
                    let encryption = file.header().encryption;
                    let epoch = encryption.map(|encryption| encryption.epoch);
                    epoch.into_iter().for_each(|e| *outline.epochs.entry(e).or_default() += 1);
                }
            }
            Ok(())
        })?;
        of_state.into_iter().for_each(|epoch| *outline.epochs.entry(epoch).or_default() += 1);
        Ok(outline)
    }

    /// The key epochs of all files of the generation, with their names.
    pub(super) fn epochs_in_use(&self) -> EnvResult<BTreeMap<u32, Vec<String>>> {
        let mut in_use = BTreeMap::<u32, Vec<String>>::new();
        let mut add = |epoch: u32, name: &str| in_use.entry(epoch).or_default().push(name.into());
        self.each_file(&mut |name, file| {
            match file {
                File::State(state) => state.key_epoch().into_iter().for_each(|e| add(e, name)),
                File::Log(file) => {
                    let file = file.map_err(EnvError::from)?;
                    let encryption = file.header().encryption;
                    encryption.into_iter().for_each(|encryption| add(encryption.epoch, name));
                }
            }
            Ok(())
        })?;
        Ok(in_use)
    }

    /// Calls `each` with the name of each file of the generation that may be encrypted with a data key, and with
    /// what it is; with both slots of the state, if there are two.
    fn each_file(&self, each: &mut EachFile<'_>) -> EnvResult<()> {
        let (_, found) = StateFile::open(&*self.dir, Access::Read)?;
        let count = found.newest.directories;
        for state in [Some(&found.newest), found.older.as_ref()].into_iter().flatten() {
            each(STATE.as_str(), File::State(state))?;
        }
        let Current { environment, generation } = self.current;
        let data = self.root.open_data(environment, count, generation)?;
        for dir in [&self.dir].into_iter().chain(&data) {
            for entry in dir.list()? {
                let Ok(name) = entry.display.parse::<LogName>() else { continue };
                let opened = dir.open(&name.to_name(), Access::Read).map_err(LogError::from);
                each(&entry.display, File::Log(opened.and_then(LogFile::open_any).map(Box::new)))?;
            }
        }
        Ok(())
    }

    /// The keyring as it is now, of the generation that counted when it was first read.
    pub(super) fn read(&self) -> EnvResult<Keyring> {
        let Some(keyring) = file::read(&*self.dir)? else {
            return Err(EnvError::NotEncrypted { path: self.root.dir.path().to_owned() });
        };
        check_environment(&keyring, self.current.environment)?;
        if self.root.current()? != Some(self.current) {
            let holders = vec!["a restore, which has put other keys in place".into()];
            return Err(EnvError::Busy { holders });
        }
        Ok(keyring)
    }
}

/// An error if a keyring is that of another environment.
pub(super) fn check_environment(keyring: &Keyring, expected: cairn_log::Uuid) -> EnvResult<()> {
    let found = keyring.environment();
    if found == expected {
        return Ok(());
    }
    let why = format!("it is the keyring of the environment {found}, this one is {expected}");
    Err(EnvError::ForeignFile { path: keyring.path.clone(), why })
}
