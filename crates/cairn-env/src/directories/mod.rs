//! Data directories: log files spread over `data001` to `dataNNN`.
//!
//! ```text
//! data002/
//! └── g-000001/
//!     ├── DIR       which data directory of which environment this is
//!     └── …         log files
//! ```
//!
//! How many there are is decided when the environment is created, and stands in the state file. In
//! which one a file lies is part of its header and of the table of each checkpoint, so what is missing
//! or misplaced is named, and nothing is searched for. Each may be a mount of its own: the file `DIR`
//! tells a disk that is not mounted, and that of another environment, from one that has lost its
//! files. It lies in the generation directory, so the switch of `CURRENT` switches it with all else: a
//! restore in place may bring another environment, or another number of data directories.

mod label;

use cairn_io::{DirExt, DirRef, EntryKind, Name, Space};
use cairn_log::Uuid;

pub(crate) use self::label::{DIR, Label, label_example};
use crate::{
    EnvError, EnvResult,
    root::{Generation, Root},
};

/// Most data directories of an environment.
pub(crate) const MAX: u16 = 999;

/// The name of data directory `number`, which counts from 1.
pub(crate) fn name(number: u16) -> Name {
    Name::new(format!("data{number:03}")).expect("letters and digits")
}

/// The number of the data directory of this name.
pub(crate) fn number(text: &str) -> Option<u16> {
    let number = text.strip_prefix("data")?.parse().ok().filter(|number| *number > 0)?;
    (name(number).as_str() == text).then_some(number)
}

/// An error unless an environment can have so many.
pub(crate) fn check_count(count: u16) -> EnvResult<()> {
    if count > MAX {
        let what = format!("an environment has at most {MAX} data directories, not {count}");
        return Err(EnvError::InvalidInput { what });
    }
    Ok(())
}

/// The room on the disk where data directory `number` of an environment in `root` lies. `None` if there
/// is no such directory, which there never is for number 0: it would be made in the root.
///
/// # Errors
/// [`EnvError::DataDirectory`] if what is there is no directory; if the disk fails.
pub fn data_directory_space(root: &DirRef, number: u16) -> EnvResult<Option<Space>> {
    let dir = Root::new(DirRef::clone(root)).data_dir(number)?;
    Ok(dir.map(|dir| dir.space()).transpose()?)
}

/// Whether a directory holds nothing, or only what an unfinished creation leaves.
fn is_blank(dir: &DirRef) -> EnvResult<bool> {
    let first = Generation::FIRST.dir_name();
    for entry in dir.list()? {
        let known = match &entry.name {
            Some(name) if *name == first => is_unused(&dir.open_dir(name)?)?,
            _ => entry.display == "lost+found",
        };
        if !known {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether there is nothing in a generation directory but its label.
fn is_unused(dir: &DirRef) -> EnvResult<bool> {
    Ok(dir.list()?.iter().all(|entry| entry.name.as_ref() == Some(&DIR)))
}

impl Root {
    /// Data directory `number`, if there is one. A mount is one, a link is not.
    pub(crate) fn data_dir(&self, number: u16) -> EnvResult<Option<DirRef>> {
        let name = name(number);
        match self.dir.open_dir(&name) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
                let why = "it is no directory; links are not followed, mounts are".into();
                Err(EnvError::DataDirectory { path: self.dir.path().join(name.as_str()), why })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// All data directories that are there, whether the environment has so many or not.
    pub(crate) fn data_dirs(&self) -> EnvResult<Vec<(u16, DirRef)>> {
        let mut found = Vec::new();
        for entry in self.dir.list()?.into_iter().filter(|entry| entry.kind == EntryKind::Dir) {
            let Some(number) = number(&entry.display) else { continue };
            found.extend(self.data_dir(number)?.map(|dir| (number, dir)));
        }
        Ok(found)
    }

    /// Whether data directory `number` is as good as empty.
    pub(crate) fn is_blank_data(&self, number: u16) -> EnvResult<bool> {
        self.data_dir(number)?.map_or(Ok(true), |dir| is_blank(&dir))
    }

    /// An error if a data directory holds log files of an environment that is neither `known` nor that
    /// of a generation directory in the root: a disk that is mounted in the wrong place. Nothing may be
    /// created or removed there.
    pub(crate) fn check_no_strangers(&self, known: &[Uuid]) -> EnvResult<()> {
        let known = [self.environments()?.as_slice(), known].concat();
        for (number, dir) in self.data_dirs()? {
            for label in labels(&dir)? {
                let files = dir.open_dir(&label.generation.dir_name())?;
                if !known.contains(&label.environment) && !is_unused(&files)? {
                    let why = format!("{}, which nothing here knows", holds(&label));
                    let path = self.dir.path().join(name(number).as_str());
                    return Err(EnvError::DataDirectory { path, why });
                }
            }
        }
        Ok(())
    }

    /// The generation directories in the data directories, in order, each checked.
    pub(crate) fn open_data(
        &self,
        environment: Uuid,
        count: u16,
        generation: Generation,
    ) -> EnvResult<Vec<DirRef>> {
        let open = |number| self.open_one(&Label { environment, generation, number, count });
        (1..=count).map(open).collect()
    }

    fn open_one(&self, expected: &Label) -> EnvResult<DirRef> {
        let path = self.dir.path().join(name(expected.number).as_str());
        let wrong = |why: String| EnvError::DataDirectory { path: path.clone(), why };
        let Some(home) = self.data_dir(expected.number)? else {
            let count = expected.count;
            return Err(wrong(format!("it is missing; the environment has {count} of them")));
        };
        let name = expected.generation.dir_name();
        let dir = match home.open_dir(&name) {
            Ok(dir) => dir,
            Err(error) if error.is_not_found() => {
                let why = match labels(&home)?.first() {
                    Some(other) => holds(other),
                    None => "is its disk mounted?".into(),
                };
                return Err(wrong(format!("its directory {name} is missing; {why}")));
            }
            Err(error) => return Err(error.into()),
        };
        match Label::read(&*dir)? {
            Ok(label) => match label.difference(expected) {
                None => Ok(dir),
                Some(why) => Err(wrong(why)),
            },
            // Version 1 stood beside the generation directories.
            Err(_) if home.has(&DIR)? => {
                let needs = "data directories of version 1".into();
                Err(EnvError::Unsupported { path: path.join(DIR.as_str()), needs })
            }
            Err(why) => Err(wrong(format!("its file {name}/DIR is {why}"))),
        }
    }
}

fn holds(label: &Label) -> String {
    let Label { environment, generation, number, .. } = label;
    let named = generation.dir_name();
    format!("it holds {named} of {} of the environment {environment}", name(*number))
}

/// What the generation directories in a data directory say of themselves, as far as they do.
fn labels(home: &DirRef) -> EnvResult<Vec<Label>> {
    let mut found = Vec::new();
    for generation in Generation::list(home)? {
        let label = Label::read(&*home.open_dir(&generation.dir_name())?)?;
        // One that was renamed says nothing of where it is.
        found.extend(label.ok().filter(|label| label.generation == generation));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        assert_eq!(number("data012"), Some(12));
        for other in ["data000", "data12", "data", "data0012", "datum001"] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
