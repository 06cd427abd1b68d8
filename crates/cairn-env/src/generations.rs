//! The generation directories of an environment: a restore in place fills a new one beside the old,
//! which is kept until its user forgets it, and to which one call goes back.

use std::{collections::BTreeSet, sync::Arc};

use cairn_io::{
    Access, Dir, DirExt, DirRef, EntryKind, IoResult, LockGuard, Name, RealWorld, World, WorldRef,
};
use cairn_log::Uuid;

use crate::{
    EnvError, EnvResult, Environment, Options,
    directories::DIR,
    keyring::file::{KEYRING, KEYRING_NEW},
    root::{CURRENT, Current, Generation, Generations, Root},
    ship::replica::ARRIVING,
    sites,
    state::{STATE, StateFile},
};

/// The two generations of an environment that was restored in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptGeneration {
    /// The generation that counts.
    pub current: u32,
    /// The one that is kept.
    pub kept: u32,
    /// Files of the kept one, in the root and in all data directories.
    pub files: u64,
    /// Their bytes, which [`forget_old_generation`] frees.
    pub bytes: u64,
}

/// What went with an old generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forgotten {
    /// Number of generations, those that an unfinished restore has left included.
    pub generations: u64,
    /// Files in them.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The old generation that the environment in `root` keeps, if any.
///
/// # Errors
/// If `root` holds no environment or the disk fails.
pub fn kept_generation(root: DirRef) -> EnvResult<Option<KeptGeneration>> {
    Root::new(root).kept_generation()
}

/// Whether a directory is one of an environment's own: its root, or that of a generation in it or in a data directory.
/// Nobody else may put files there, or replace one.
///
/// # Errors
/// If the disk fails.
pub fn is_of_an_environment(dir: &dyn Dir) -> IoResult<bool> {
    Ok(dir.has(&CURRENT)? || dir.has(&STATE)? || dir.has(&DIR)?)
}

/// Goes back to the generation that a restore in place has kept, in one step. The one that was
/// restored is kept in its turn, so nothing is lost and the same call goes forward again.
///
/// # Errors
/// [`EnvError::InvalidInput`] if no old generation is kept; [`EnvError::Locked`] and
/// [`EnvError::AlreadyOpen`] if somebody has the environment open.
pub fn undo_restore(root: DirRef) -> EnvResult<KeptGeneration> {
    let root = Root::new(root);
    let (_lock, Generations { current, kept }) = root.lock_existing(&RealWorld::new())?;
    let Some(kept) = kept else {
        let path = root.dir.path().display();
        let what = format!("{path} keeps no old generation: there is nothing to go back to");
        return Err(EnvError::InvalidInput { what });
    };
    root.open_generation(kept.generation)?;
    let now = root.keeping(kept, current)?;
    root.switch_keeping(Generations { current: kept, kept: Some(current) })?;
    Ok(now)
}

/// Removes the generation that a restore in place has kept, and what unfinished restores have left.
/// One that another process is still reading stays: call again when it has let go.
///
/// Before that, the generation that counts is opened, with recovery: if it does not open, the old one
/// stays.
///
/// # Errors
/// What the open answers; [`EnvError::Locked`] and [`EnvError::AlreadyOpen`] if somebody has the
/// environment open.
pub fn forget_old_generation(
    root: DirRef,
    world: &WorldRef,
    options: Options,
) -> EnvResult<Forgotten> {
    let root = Root::new(root);
    let (_lock, Generations { current, kept }) = root.lock_existing(&**world)?;
    let options = options.read_only(true).background(false);
    let dir = root.open_generation(current.generation)?;
    let again = Root::new(Arc::clone(&root.dir));
    drop(Environment::open_staged(again, dir, world, options)?);
    let known: Vec<_> = kept.iter().chain([&current]).map(|known| known.environment).collect();
    root.check_no_strangers(&known)?;
    if kept.is_some() {
        // From here on nothing refers to it, and a crash leaves what the next call removes.
        root.switch(current)?;
    }
    root.remove_others(&[current.generation], &**world)
}

impl Root {
    /// What is kept, if anything is.
    pub(crate) fn kept_generation(&self) -> EnvResult<Option<KeptGeneration>> {
        let Generations { current, kept } = self.existing()?;
        kept.map(|kept| self.keeping(current, kept)).transpose()
    }

    fn keeping(&self, current: Current, kept: Current) -> EnvResult<KeptGeneration> {
        let (files, bytes) = self.size_of(kept.generation)?;
        Ok(KeptGeneration { current: current.generation.0, kept: kept.generation.0, files, bytes })
    }

    /// What `CURRENT` says, of a directory that is an environment.
    pub(crate) fn existing(&self) -> EnvResult<Generations> {
        let path = || self.dir.path().to_owned();
        if let Some(text) = self.restoring()? {
            return Err(EnvError::IncompleteRestore { path: path(), how: text.trim_end().into() });
        }
        self.generations()?.ok_or_else(|| EnvError::NotAnEnvironment {
            path: path(),
            why: "it has no file CURRENT".into(),
        })
    }

    /// Locks an environment, and says what `CURRENT` says from then on.
    pub(crate) fn lock_existing(&self, world: &dyn World) -> EnvResult<(LockGuard, Generations)> {
        self.existing()?; // no lock file is left in a directory of something else
        let lock = self.lock(world)?;
        Ok((lock, self.existing()?))
    }

    /// The number of a generation directory that is larger than all, here and in the data directories.
    pub(crate) fn next_generation(&self) -> EnvResult<Generation> {
        let mut newest = 0;
        for home in self.homes()? {
            newest =
                Generation::list(&home)?.into_iter().map(|found| found.0).fold(newest, u32::max);
        }
        Ok(Generation(newest.saturating_add(1)))
    }

    /// The directories in which generation directories lie. The root is the last one: as long as its
    /// generation directory is there, it says whose the others are.
    fn homes(&self) -> EnvResult<Vec<DirRef>> {
        let data = self.data_dirs()?.into_iter().map(|(_, dir)| dir);
        Ok(data.chain([Arc::clone(&self.dir)]).collect())
    }

    /// The environments of the generation directories in the root.
    pub(crate) fn environments(&self) -> EnvResult<Vec<Uuid>> {
        let mut found = Vec::new();
        for generation in Generation::list(&self.dir)? {
            let dir = self.dir.open_dir(&generation.dir_name())?;
            // What cannot be read vouches for nobody.
            let state = StateFile::open(&*dir, Access::Read).ok();
            found.extend(state.map(|(_, found)| found.newest.environment));
        }
        Ok(found)
    }

    /// Removes all generations but these, from the root and the data directories, of which it was
    /// checked that there are no strangers. What is not ours in their directories stays, and so do these;
    /// and a generation that another process is reading.
    pub(crate) fn remove_others(
        &self,
        stay: &[Generation],
        world: &dyn World,
    ) -> EnvResult<Forgotten> {
        let protector = self.protect(world)?;
        let pins = protector.pins()?;
        let stays = |generation: Generation| {
            stay.contains(&generation) || pins.iter().any(|pin| pin.is_of(generation))
        };
        let mut gone = Forgotten::default();
        let mut numbers = BTreeSet::new();
        for home in self.homes()? {
            let before = (gone, numbers.len());
            for generation in Generation::list(&home)? {
                if !stays(generation) && remove_generation(&home, generation, &mut gone)? {
                    numbers.insert(generation);
                }
            }
            if before != (gone, numbers.len()) {
                home.sync(sites::GENERATION_GONE)?;
            }
        }
        gone.generations = numbers.len() as u64;
        Ok(gone)
    }

    /// Number and bytes of the files of a generation, wherever they lie.
    fn size_of(&self, generation: Generation) -> EnvResult<(u64, u64)> {
        let (mut files, mut bytes) = (0, 0);
        for home in self.homes()? {
            if home.has(&generation.dir_name())? {
                for (_, len) in our_files(&home.open_dir(&generation.dir_name())?)? {
                    files += 1;
                    bytes += len;
                }
            }
        }
        Ok((files, bytes))
    }
}

/// Removes what is ours of a generation directory, and says whether nothing is left of it.
fn remove_generation(
    home: &DirRef,
    generation: Generation,
    gone: &mut Forgotten,
) -> EnvResult<bool> {
    let dir = home.open_dir(&generation.dir_name())?;
    for (name, len) in our_files(&dir)? {
        dir.remove(&name)?;
        gone.files += 1;
        gone.bytes += len;
    }
    let is_empty = dir.list()?.is_empty();
    if is_empty {
        home.remove_dir(&generation.dir_name())?;
    }
    Ok(is_empty)
}

/// The files that an environment has written into a generation directory, with their lengths.
fn our_files(dir: &DirRef) -> EnvResult<Vec<(Name, u64)>> {
    let mut found = Vec::new();
    for entry in dir.list()?.into_iter().filter(|entry| entry.kind == EntryKind::File) {
        if let Some(name) = entry.name.filter(|name| is_ours(name.as_str())) {
            let len = dir.open(&name, Access::Read)?.len()?;
            found.push((name, len));
        }
    }
    Ok(found)
}

/// Whether a file of this name is one that an environment writes into a generation directory.
fn is_ours(name: &str) -> bool {
    [STATE, DIR, KEYRING, KEYRING_NEW].iter().any(|ours| ours.as_str() == name)
        || name.parse::<cairn_log::LogName>().is_ok()
        || cairn_log::Spare::is_name(name)
        || name.starts_with(ARRIVING)
        || name.starts_with("torn-") && name.ends_with(".bytes")
}
