//! The generation directories of an environment: a restore in place fills a new one beside the old,
//! which is kept until its user forgets it, and to which one call goes back.

use std::sync::Arc;

use cairn_io::{Access, DirRef, EntryKind, LockGuard, WorldRef};

use crate::{
    EnvError, EnvResult, Environment, Options,
    root::{Current, Generation, Generations, Root},
    sites,
};

/// The two generations of an environment that was restored in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptGeneration {
    /// The generation that counts.
    pub current: u32,
    /// The one that is kept.
    pub kept: u32,
}

/// What went with an old generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forgotten {
    /// Number of generation directories, those that an unfinished restore has left included.
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
    let generations = Root::new(root).existing()?;
    Ok(generations.kept.map(|kept| generations.current.with(kept)))
}

/// Goes back to the generation that a restore in place has kept, in one step. The one that was
/// restored is kept in its turn, so nothing is lost and the same call goes forward again.
///
/// # Errors
/// [`EnvError::InvalidInput`] if no old generation is kept; [`EnvError::Locked`] and
/// [`EnvError::AlreadyOpen`] if somebody has the environment open.
pub fn undo_restore(root: DirRef) -> EnvResult<KeptGeneration> {
    let root = Root::new(root);
    let (_lock, Generations { current, kept }) = root.lock_existing()?;
    let Some(kept) = kept else {
        let path = root.dir.path().display();
        let what = format!("{path} keeps no old generation: there is nothing to go back to");
        return Err(EnvError::InvalidInput { what });
    };
    root.open_generation(kept.generation)?;
    root.switch_keeping(Generations { current: kept, kept: Some(current) })?;
    Ok(kept.with(current))
}

/// Removes the generation that a restore in place has kept, and what unfinished restores have left.
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
    let (_lock, Generations { current, kept }) = root.lock_existing()?;
    let options = options.read_only(true).background(false);
    let dir = root.open_generation(current.generation)?;
    let again = Root::new(Arc::clone(&root.dir));
    drop(Environment::open_staged(again, dir, world, options)?);
    if kept.is_some() {
        // From here on nothing refers to it, and a crash leaves what the next call removes.
        root.switch(current)?;
    }
    root.remove_others(&[current])
}

impl Current {
    const fn with(self, kept: Self) -> KeptGeneration {
        KeptGeneration { current: self.generation.0, kept: kept.generation.0 }
    }
}

impl Root {
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
    pub(crate) fn lock_existing(&self) -> EnvResult<(LockGuard, Generations)> {
        self.existing()?; // no lock file is left in a directory of something else
        let lock = self.lock(false)?;
        Ok((lock, self.existing()?))
    }

    /// A new, empty generation directory beside all others.
    pub(crate) fn create_next_generation(&self) -> EnvResult<(Generation, DirRef)> {
        let newest = self.generation_dirs()?.into_iter().max().map_or(0, |newest| newest.0);
        let next = Generation(newest.saturating_add(1));
        Ok((next, self.dir.create_dir(&next.dir_name())?))
    }

    fn generation_dirs(&self) -> EnvResult<Vec<Generation>> {
        let mut found = Vec::new();
        for entry in self.dir.list()?.into_iter().filter(|entry| entry.kind == EntryKind::Dir) {
            let number = entry.display.strip_prefix("g-").and_then(|number| number.parse().ok());
            let generation = number.map(Generation);
            found.extend(generation.filter(|found| Some(found.dir_name()) == entry.name));
        }
        Ok(found)
    }

    /// Removes all generations but these. What is not ours in their directories stays, and so do these.
    pub(crate) fn remove_others(&self, stay: &[Current]) -> EnvResult<Forgotten> {
        let mut gone = Forgotten::default();
        for generation in self.generation_dirs()? {
            if stay.iter().any(|stays| stays.generation == generation) {
                continue;
            }
            let dir = self.dir.open_dir(&generation.dir_name())?;
            for entry in dir.list()?.into_iter().filter(|entry| entry.kind == EntryKind::File) {
                let Some(name) = entry.name.filter(|name| is_ours(name.as_str())) else { continue };
                gone.bytes += dir.open(&name, Access::Read)?.len()?;
                gone.files += 1;
                dir.remove(&name)?;
            }
            if dir.list()?.is_empty() {
                self.dir.remove_dir(&generation.dir_name())?;
                gone.generations += 1;
            }
        }
        if gone != Forgotten::default() {
            self.dir.sync(sites::RESTORED)?;
        }
        Ok(gone)
    }
}

/// Whether a file of this name is one that an environment writes into a generation directory.
fn is_ours(name: &str) -> bool {
    name == crate::state::STATE.as_str()
        || name.parse::<cairn_log::LogName>().is_ok()
        || name.starts_with("torn-") && name.ends_with(".bytes")
}
