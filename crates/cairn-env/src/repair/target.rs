//! `Target`: the directory that becomes the repaired environment when all is in it.

use std::sync::Arc;

use cairn_io::{DirRef, LockGuard, WorldRef};
use cairn_log::{FileNumber, Uuid};

use super::RepairReport;
use crate::{
    EnvError, EnvResult, Environment, Options, VerifyOptions, keyring,
    root::{Current, Generation, Root},
    staging::Staging,
    state::State,
};

/// Who fills a new directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Repair,
    Salvage,
}

impl By {
    const fn name(self) -> &'static str {
        match self {
            Self::Repair => "repair",
            Self::Salvage => "salvage",
        }
    }

    /// What an open of the half-filled directory tells its user.
    fn how(self) -> String {
        let name = self.name();
        format!("a {name} into it was cut short; run `cairn {name}` again, or remove it\n")
    }
}

/// An environment that does not open for anybody else yet.
pub(crate) struct Target {
    root: Root,
    pub(crate) env: Environment,
    current: Current,
    lock: LockGuard,
}

impl Target {
    /// Log files will have numbers from `next_file` on.
    pub(crate) fn begin(
        dir: DirRef,
        world: &WorldRef,
        options: Options,
        by: By,
        next_file: FileNumber,
    ) -> EnvResult<Self> {
        let root = Root::new(dir);
        let check = || -> EnvResult<()> {
            if root.restoring()?.is_none_or(|how| how != by.how()) && !root.is_blank()? {
                let (path, name) = (root.dir.path().display(), by.name());
                let what =
                    format!("{path} is not empty: a {name} needs a new or an empty directory");
                return Err(EnvError::InvalidInput { what });
            }
            Ok(())
        };
        check()?;
        let lock = root.lock(&**world)?;
        check()?;
        let is_again = root.restoring()?.is_some();
        root.begin_restoring(&by.how())?;
        let mut uuid = [0; 16];
        world.random(&mut uuid);
        let environment = Uuid(uuid);
        let directories = options.data_directories;
        let state = State { directories, next_file, ..State::first(environment) };
        // Not the keyring of the source, which belongs to its environment. Other keys have to be added again.
        let new = keyring::opening::create(environment, &options, &**world)?;
        let (keys, keyring) = (new.keys.as_ref(), new.keyring.as_deref());
        let staging = Staging::create(&root, state, is_again, keys, keyring)?;
        staging.make_durable(&root)?;
        let options = options.read_only(false).background(false);
        let staged = Root::new(Arc::clone(&root.dir));
        let (env, _) = Environment::open_staged(staged, staging.dir, world, options)?;
        let current = Current { environment, generation: Generation::FIRST };
        Ok(Self { root, env, current, lock })
    }

    /// Verifies what was written, closes it, and lets it be an environment.
    pub(crate) fn finish(self, report: &mut RepairReport) -> EnvResult<()> {
        let Self { root, env, current, lock } = self;
        env.sync()?;
        env.checkpoint()?;
        let verified = env.verify(&VerifyOptions::new())?;
        verified.prove(root.dir.path(), "what was written")?;
        (report.databases, report.entries) = (verified.databases, verified.entries);
        env.close()?;
        root.switch(current)?;
        root.end_restoring()?;
        drop(lock);
        Ok(())
    }
}
