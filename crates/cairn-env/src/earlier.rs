//! What a restore finds where it goes, and need not bring: files of an attempt that was cut short, and those that an
//! environment has that it replaces.
//!
//! A file comes under the name `arriving-…`, and gets its own when its bytes are durable. So a file of an attempt that
//! has its name was synced, if it is what it should be; that is for who restores to compare. The names of its
//! directories are durable if the attempt has left `arriving-staged`: it was made when the sync of the root had
//! succeeded. Of an attempt without it nothing is taken, since a sync that failed leaves names in memory that no
//! later one makes durable.
//!
//! What is taken is linked into the new generation directory. Those of attempts go when the new one is whole.

use cairn_io::{Access, Dir, DirExt, DirRef, FileRef, Name};
use cairn_log::LogName;

use crate::{
    EnvResult,
    root::{Generation, Root},
    ship::replica::ARRIVING,
};

/// Made in a generation directory when its name and those of the data directories are durable.
const STAGED: Name = Name::constant("arriving-staged");

/// The name under which a file comes.
pub(crate) fn arriving(name: LogName) -> Name {
    Name::new(format!("{ARRIVING}{name}")).expect("letters, digits, '-' and '.', and not too many")
}

/// Takes note that the names above a generation directory are durable.
pub(crate) fn note_staged(dir: &dyn Dir) -> EnvResult<()> {
    dir.create(&STAGED)?;
    Ok(())
}

/// Takes that note back: the generation is whole, and no attempt any more.
pub(crate) fn forget_staged(dir: &dyn Dir) -> EnvResult<()> {
    match dir.remove(&STAGED) {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}

/// Links a file into `to`, under the name under which files come; `None` if there is none, or it cannot be linked.
pub(crate) fn link(to: &dyn Dir, from: &dyn Dir, name: LogName) -> EnvResult<Option<FileRef>> {
    let arriving = arriving(name);
    match to.link(&arriving, from, &name.to_name()) {
        Ok(()) => Ok(Some(to.open(&arriving, Access::Read)?)),
        Err(_) => Ok(None),
    }
}

/// The files in directory `number` of the environment in `root`, or in the root itself for 0, that a restore may not
/// have to bring, with their lengths: those of attempts, and with `delta` those that the environment has.
///
/// # Errors
/// If the disk fails.
pub fn files_to_take(root: &DirRef, delta: bool) -> EnvResult<Vec<(u16, LogName, u64)>> {
    let root = Root::new(DirRef::clone(root));
    let mut from = root.attempts()?;
    if delta {
        from.extend(root.current()?.map(|current| current.generation));
    }
    let mut found = Vec::new();
    for (number, dir) in root.places_of(&from)? {
        for entry in dir.list()? {
            let log = entry.display.parse::<LogName>().ok();
            if let (Some(log), Some(name)) = (log, entry.name) {
                let length = dir.open(&name, Access::Read).and_then(|file| file.len());
                found.extend(length.ok().map(|length| (number, log, length)));
            }
        }
    }
    Ok(found)
}

impl Root {
    /// The generations of restores that were cut short, whose names are known to be durable; the newest first.
    pub(crate) fn attempts(&self) -> EnvResult<Vec<Generation>> {
        let known = self.generations()?;
        let counts = |generation: Generation| {
            known.is_some_and(|known| {
                known.current.generation == generation
                    || known.kept.is_some_and(|kept| kept.generation == generation)
            })
        };
        let mut found = Vec::new();
        for generation in Generation::list(&self.dir)? {
            if !counts(generation) && self.dir.open_dir(&generation.dir_name())?.has(&STAGED)? {
                found.push(generation);
            }
        }
        found.sort_unstable_by(|one, other| other.cmp(one));
        Ok(found)
    }

    /// Where files of these generations lie, with the number of the data directory; 0 is the root.
    pub(crate) fn places_of(&self, generations: &[Generation]) -> EnvResult<Vec<(u16, DirRef)>> {
        let mut homes = vec![(0, DirRef::clone(&self.dir))];
        homes.extend(self.data_dirs()?);
        let mut found = Vec::new();
        for generation in generations {
            for (number, home) in &homes {
                match home.open_dir(&generation.dir_name()) {
                    Ok(dir) => found.push((*number, dir)),
                    Err(error) if error.is_not_found() => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(found)
    }
}
