//! `Target`: the directory that becomes the repaired environment when all is in it.

use std::sync::Arc;

use cairn_io::{DirRef, LockGuard, WorldRef};
use cairn_log::Uuid;

use super::RepairReport;
use crate::{
    EnvError, EnvResult, Environment, Options, VerifyOptions, keyring,
    root::{Current, Generation, Root},
    staging::Staging,
    state::State,
};

/// What an open of the half-filled directory tells its user.
const HOW: &str = "a repair into it was cut short; run `cairn repair` again, or remove it\n";

/// An environment that does not open for anybody else yet.
pub(super) struct Target {
    root: Root,
    pub(super) env: Environment,
    current: Current,
    lock: LockGuard,
}

impl Target {
    pub(super) fn begin(dir: DirRef, world: &WorldRef, options: Options) -> EnvResult<Self> {
        let root = Root::new(dir);
        let check = || -> EnvResult<()> {
            if root.restoring()?.is_none_or(|how| how != HOW) && !root.is_blank()? {
                let path = root.dir.path().display();
                let what =
                    format!("{path} is not empty: a repair needs a new or an empty directory");
                return Err(EnvError::InvalidInput { what });
            }
            Ok(())
        };
        check()?;
        let lock = root.lock(&**world)?;
        check()?;
        let is_again = root.restoring()?.is_some();
        root.begin_restoring(HOW)?;
        let mut uuid = [0; 16];
        world.random(&mut uuid);
        let environment = Uuid(uuid);
        let directories = options.data_directories;
        let state = State { directories, ..State::first(environment) };
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
    pub(super) fn finish(self, report: &mut RepairReport) -> EnvResult<()> {
        let Self { root, env, current, lock } = self;
        env.sync()?;
        env.checkpoint()?;
        let verified = env.verify(&VerifyOptions::new())?;
        verified.prove(root.dir.path(), "what the repair has written")?;
        (report.databases, report.entries) = (verified.databases, verified.entries);
        env.close()?;
        root.switch(current)?;
        root.end_restoring()?;
        drop(lock);
        Ok(())
    }
}
