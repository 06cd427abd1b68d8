//! `Staging`: a new generation directory in the root and in each data directory, to which `CURRENT`
//! does not refer yet.
//!
//! Data directories may be mounts of their own, so nothing is ever renamed or linked from one to
//! another: a file is created where it will stay, and the one rename of `CURRENT` then makes all of
//! them count at once.

use cairn_io::{Dir, DirExt, DirRef};
use cairn_log::DataKeys;

use crate::{
    EnvResult,
    directories::{self, Label},
    keyring,
    root::{Generation, Root},
    sites,
    state::{State, StateFile},
};

/// A generation in the making.
#[derive(Debug)]
pub(crate) struct Staging {
    /// The generation directory in the root.
    pub(crate) dir: DirRef,
    /// Each data directory, and the generation directory in it.
    data: Vec<(DirRef, DirRef)>,
}

impl Staging {
    /// Makes the generation directories that `state` speaks of, with nothing in them but what says what
    /// they are, and the keyring of an encrypted environment. Data directories that are there already, mounts for example, are used; others are made.
    ///
    /// `STATE` is durable before anything else is made: what a crash then leaves in the data directories
    /// is known to be ours, and not that of a disk that is mounted in the wrong place.
    /// With `keys` it will be an encrypted environment; `keyring` is the file from which they come. `is_again`
    /// says that an attempt before this one may have left data directories.
    pub(crate) fn create(
        root: &Root,
        state: State,
        is_again: bool,
        keys: Option<&DataKeys>,
        keyring: Option<&[u8]>,
    ) -> EnvResult<Self> {
        let State { environment, directories: count, .. } = state;
        directories::check_count(count)?;
        let generation = Generation(state.generation);
        let dir = empty(&root.dir, generation)?;
        if let Some(keyring) = keyring {
            keyring::file::create(&*dir, keyring)?;
        }
        StateFile::create(&*dir, state.encrypted(keys), keys)?;
        if count > 0 {
            dir.sync(sites::CREATE_GENERATION)?;
            root.dir.sync(sites::CREATE_ROOT)?;
        }
        let mut data = Vec::new();
        for number in 1..=count {
            let home = match root.data_dir(number)? {
                Some(home) if is_again => named_again(root, number, generation, home)?,
                Some(home) => home,
                None => root.dir.create_dir(&directories::name(number))?,
            };
            let files = empty(&home, generation)?;
            Label { environment, generation, number, count }.create(&*files)?;
            data.push((home, files));
        }
        Ok(Self { dir, data })
    }

    /// Where the files of data directory `number` go, and with 0 those of an environment without any.
    pub(crate) fn place(&self, number: u16) -> Option<&dyn Dir> {
        match usize::from(number).checked_sub(1) {
            None => self.data.is_empty().then_some(&*self.dir),
            Some(i) => self.data.get(i).map(|(_, files)| &**files),
        }
    }

    /// The generation directory in the root, and those in the data directories.
    pub(crate) fn dirs(&self) -> Vec<DirRef> {
        let data = self.data.iter().map(|(_, files)| files);
        [&self.dir].into_iter().chain(data).map(DirRef::clone).collect()
    }

    /// Makes all names durable, so that `CURRENT` may refer to them.
    pub(crate) fn make_durable(&self, root: &Root) -> EnvResult<()> {
        for (home, files) in &self.data {
            files.sync(sites::CREATE_GENERATION)?;
            home.sync(sites::CREATE_GENERATION)?;
        }
        if self.data.is_empty() {
            self.dir.sync(sites::CREATE_GENERATION)?;
        }
        Ok(root.dir.sync(sites::CREATE_ROOT)?)
    }
}

/// An empty generation directory in `home`, whatever an attempt that was cut short has left. Its name is a
/// new one: a sync that failed leaves names in memory that no later one makes durable.
fn empty(home: &DirRef, generation: Generation) -> EnvResult<DirRef> {
    clear(home, generation)?;
    Ok(home.create_dir(&generation.dir_name())?)
}

/// Removes a generation directory that an attempt has left.
fn clear(home: &DirRef, generation: Generation) -> EnvResult<()> {
    let name = generation.dir_name();
    if !home.has(&name)? {
        return Ok(());
    }
    let dir = home.open_dir(&name)?;
    for entry in dir.list()? {
        if let Some(name) = entry.name {
            dir.remove(&name)?;
        }
    }
    Ok(home.remove_dir(&name)?)
}

/// A data directory that the attempt before may have made: it gets its name again, unless it is in use, as
/// what is mounted is.
fn named_again(
    root: &Root,
    number: u16,
    generation: Generation,
    home: DirRef,
) -> EnvResult<DirRef> {
    clear(&home, generation)?;
    let name = directories::name(number);
    match root.dir.remove_dir(&name) {
        Ok(()) => Ok(root.dir.create_dir(&name)?),
        Err(_) => Ok(home),
    }
}
