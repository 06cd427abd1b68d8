//! `HealSource`: where whole copies of damaged files come from, and what was in those of which there is none.

use cairn_io::DirRef;
use cairn_log::LogName;

use super::second::copies_in;
use crate::{EnvResult, Environment, ErrorKind, Options, RestoreTo, core::Core, past::At};

/// Where copies of a file may lie, one after the other; or why one of these places cannot be used.
pub type Copies<'a> = Box<dyn Iterator<Item = Result<DirRef, String>> + 'a>;

/// What an environment heals from: a replica, a repository of backups, or whatever else has what it had.
///
/// Nobody has to be trusted for it. A copy is taken only if it was begun as the very file that is damaged, ends with the
/// same seal, and has every byte that this vouches for; and content only from an environment that stands at the very
/// commit that was asked for, which it has in the very journal file.
pub trait HealSource {
    /// The directories in which a copy of the log file `file`, of `length` bytes, may lie under its name, the likeliest
    /// first. The next one is asked for only if nothing can be taken from those before.
    fn copies(&self, file: LogName, length: u64) -> Copies<'_>;

    /// The environment as `commit` had left it, opened with `options`, which are those of the damaged one for
    /// reading only.
    ///
    /// # Errors
    /// Why that cannot be, for people.
    fn at(&self, commit: u64, options: Options) -> Result<Environment, String>;
}

/// A directory with a replica of the environment, or with another copy of it.
pub(super) struct Directory<'c> {
    core: &'c Core,
    root: DirRef,
    dirs: Vec<DirRef>,
}

impl<'c> Directory<'c> {
    /// # Errors
    /// [`EnvError::ForeignFile`](crate::EnvError::ForeignFile) if it is of another environment.
    pub(super) fn open(core: &'c Core, root: DirRef) -> EnvResult<Self> {
        let dirs = copies_in(root.clone(), core.files.identity.environment)?;
        Ok(Self { core, root, dirs })
    }
}

impl HealSource for Directory<'_> {
    fn copies(&self, _: LogName, _: u64) -> Copies<'_> {
        Box::new(self.dirs.iter().cloned().map(Ok))
    }

    fn at(&self, commit: u64, options: Options) -> Result<Environment, String> {
        let to = RestoreTo::Commit(commit);
        let at = At { to: &to, durable: self.core.journal_in_use() };
        let (root, world) = (self.root.clone(), self.core.world.clone());
        let opened = Environment::open_in_at(root, world, options, Some(&at));
        opened.map(|(env, _)| env).map_err(|error| match error.kind() {
            ErrorKind::NotFound => "it has not the newest commits".into(),
            _ => format!("it does not open: {error}"),
        })
    }
}

/// Directories that hold log files under their names, and nothing else that counts.
pub(super) struct Files<'a>(pub(super) &'a [DirRef]);

impl HealSource for Files<'_> {
    fn copies(&self, _: LogName, _: u64) -> Copies<'_> {
        Box::new(self.0.iter().cloned().map(Ok))
    }

    fn at(&self, _: u64, _: Options) -> Result<Environment, String> {
        Err("it holds files alone".into())
    }
}
