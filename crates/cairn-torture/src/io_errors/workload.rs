//! The workload: everything that an environment does to a disk, step by step.

use std::time::Duration;

use cairn_backup::{BackupOptions, RestoreOptions, backup_to, restore_from, verify_in};
use cairn_env::{
    DatabaseOptions, Durability, EnvError, Environment, forget_old_generation, kept_generation,
    repair_in, undo_restore,
};
use cairn_io::DirRef;
use cairn_sim::{Chooser as _, SimWorld};

use super::user::{Stepped, Stopped, User};
use crate::{
    model::{Contents, EMBED_MAX, Expected, fill},
    operation::Change,
    problem::{Problem, Wrong},
    run::{BackupState, RestoreState, backup_name, begin, branch, restore_name},
};

/// One step. It ends early when a call fails, and the next one begins.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) act: fn(&mut User) -> Stepped,
}

const fn step(name: &'static str, act: fn(&mut User) -> Stepped) -> Step {
    Step { name, act }
}

/// All steps, in order.
pub(super) const STEPS: &[Step] = &[
    step("create", |user| user.commit(Durability::Sync, 6, 60)),
    step("commit", |user| user.commit(Durability::Sync, 4, 100)),
    step("commit of a large value", |user| user.commit(Durability::Sync, 1, 900)),
    step("commit, written", |user| user.commit(Durability::WriteNoSync, 3, 60)),
    step("commit, not written", |user| user.commit(Durability::NoSync, 3, 60)),
    step("sync", |user| user.in_process(Environment::sync)),
    step("relaxed commit", User::relaxed),
    step("group commit", User::group),
    step("checkpoint", |user| user.in_process(|env| env.checkpoint().map(drop))),
    step("eviction", User::evict),
    step("exclusive transaction", User::exclusive),
    step("snapshot while files are cleaned", User::snapshot),
    step("drop of a database", User::drop_database),
    step("compaction", |user| user.in_process(|env| env.compact().map(drop))),
    step("scrub", |user| user.in_process(|env| env.scrub().map(drop))),
    step("backup", User::backup),
    step("commit", |user| user.commit(Durability::Sync, 5, 80)),
    step("incremental backup", User::backup),
    step("verification of backups", User::verify_backups),
    step("restore", User::restore),
    step("close", User::close),
    step("open", |user| user.commit(Durability::Sync, 2, 300)),
    step("close", User::close),
    step("restore in place", User::replace),
    step("commit to what was restored", |user| user.commit(Durability::Sync, 3, 40)),
    step("close", User::close),
    step("undo", User::undo),
    step("open, commit", |user| user.commit(Durability::Sync, 3, 40)),
    step("close", User::close),
    step("letting go of what was restored", User::forget),
    step("repair", User::repair),
    step("commit", |user| user.commit(Durability::Sync, 3, 40)),
    step("background worker", User::work),
    step("close", User::close),
];

/// What must work when the disk does again.
pub(super) const AFTERWARDS: &[Step] = &[
    step("a look", |user| {
        user.open()?;
        user.look()
    }),
    step("a commit", |user| user.commit(Durability::Sync, 3, 40)),
    step("a checkpoint", |user| user.in_process(|env| env.checkpoint().map(drop))),
    step("cleaning", |user| user.in_process(|env| env.clean().map(drop))),
    step("a backup", User::backup),
    step("a restore", User::restore),
    step("closing", User::close),
    step("opening again", |user| user.commit(Durability::Sync, 1, 10)),
];

impl User {
    /// So many changes of any entries.
    fn changes(&mut self, count: usize, len: u32) -> Vec<Change> {
        let random = &mut self.random;
        let mut change = || {
            let database = u8::try_from(random.choose(2, "database")).unwrap_or(0);
            let key = u16::try_from(random.choose(90, "key")).unwrap_or(0);
            let value = u32::try_from(random.choose(1 << 30, "value")).unwrap_or(0);
            match random.choose(6, "delete") {
                0 => Change::Delete { database, key },
                _ => Change::Put { database, key, value, len },
            }
        };
        (0..count).map(|_| change()).collect()
    }

    /// What a commit that failed has come to: nothing, unless it says that this is unknown, or pending.
    fn refused(&mut self, error: EnvError) -> Stopped {
        let is_open =
            matches!(error, EnvError::CommitUnknown { .. } | EnvError::CommitPending { .. });
        if !is_open {
            let current = &mut self.known.current;
            self.histories[current.history].pop();
            current.begun -= 1;
        }
        self.env_told(error)
    }

    fn committed(&mut self, durability: Durability) -> Stepped {
        let begun = self.known.current.begun;
        let process = self.process.as_ref().expect("it has just committed");
        let durable = match durability {
            Durability::Sync => begun,
            _ => {
                let stats = process.env.stats();
                stats.map_err(|error| self.env_told(error))?.durable_commits
            }
        };
        let written = if durability == Durability::WriteNoSync { begun } else { durable };
        self.acknowledge(written, durable);
        Ok(())
    }

    fn commit(&mut self, durability: Durability, count: usize, len: u32) -> Stepped {
        self.open()?;
        let changes = self.changes(count, len);
        self.commit_changes(durability, &changes)
    }

    fn commit_changes(&mut self, durability: Durability, changes: &[Change]) -> Stepped {
        let env = self.open()?.env.clone();
        let mut txn = env.begin_write().map_err(|error| self.env_told(error))?;
        fill(&mut txn, changes).map_err(|error| self.env_told(error))?;
        if txn.is_unchanged() {
            return Ok(());
        }
        begin(&mut self.histories, &mut self.known.current, changes);
        txn.commit_with(durability).map_err(|error| self.refused(error))?;
        self.committed(durability)
    }

    fn in_process(&mut self, act: fn(&Environment) -> Result<(), EnvError>) -> Stepped {
        let env = self.open()?.env.clone();
        act(&env).map_err(|error| self.env_told(error))?;
        self.committed(Durability::NoSync)
    }

    /// Lets the worker do what is due.
    fn work(&mut self) -> Stepped {
        let process = self.open()?;
        process.world.run_until_idle(60);
        let _ = process;
        self.valid()?;
        self.committed(Durability::NoSync)
    }

    /// What a worker has met with shows in the environment.
    fn valid(&self) -> Stepped {
        match self.process.as_ref().and_then(|process| process.env.failure()) {
            Some(error) => Err(self.env_told(error)),
            None => Ok(()),
        }
    }

    fn relaxed(&mut self) -> Stepped {
        const SOON: Duration = Duration::from_millis(50);
        self.commit(Durability::Relaxed(SOON), 3, 70)?;
        let begun = self.known.current.begun;
        self.open()?.world.advance(SOON * 2);
        self.work()?;
        if self.known.current.durable < begun && !self.is_struck() {
            let story = format!("commit {begun} was to be durable by now");
            return Err(Problem::new(Wrong::LostCommit, story).into());
        }
        Ok(())
    }

    fn group(&mut self) -> Stepped {
        let env = self.open()?.env.clone();
        let mut waiting = Vec::new();
        for _ in 0..3 {
            let changes = self.changes(3, 50);
            let mut txn = env.begin_write().map_err(|error| self.env_told(error))?;
            fill(&mut txn, &changes).map_err(|error| self.env_told(error))?;
            if txn.is_unchanged() {
                continue;
            }
            begin(&mut self.histories, &mut self.known.current, &changes);
            waiting.push(txn.submit(Durability::Sync).map_err(|error| self.refused(error))?);
        }
        for pending in waiting {
            // It took effect when it was submitted: an error can only say that it may be lost.
            let commit = match pending.wait() {
                Ok(info) => info.commit,
                Err(error @ (EnvError::CommitUnknown { .. } | EnvError::CommitPending { .. })) => {
                    return Err(self.env_told(error));
                }
                Err(error) => {
                    let story = format!("a submitted commit answers: {error}");
                    return Err(Problem::new(Wrong::Class, story).into());
                }
            };
            self.acknowledge(commit, commit);
        }
        Ok(())
    }

    /// More than memory holds.
    fn evict(&mut self) -> Stepped {
        for _ in 0..6 {
            self.commit(Durability::Sync, 14, 150)?;
            self.work()?;
        }
        self.look()
    }

    fn exclusive(&mut self) -> Stepped {
        let env = self.open()?.env.clone();
        let changes: Vec<_> = (0..60)
            .map(|key| Change::Put { database: 2, key, value: key.into(), len: 120 })
            .collect();
        let load = || {
            let mut txn = env.begin_exclusive()?;
            let options = DatabaseOptions::default().embed_max(EMBED_MAX);
            let database = txn.create_database("db2", options)?;
            let after = Contents::default().after(&changes);
            for (key, value) in after.scan(2) {
                txn.put(&database, &key, &value)?;
            }
            Ok(txn)
        };
        let txn = load().map_err(|error| self.env_told(error))?;
        begin(&mut self.histories, &mut self.known.current, &changes);
        txn.commit_with(Durability::Sync).map_err(|error| self.refused(error))?;
        self.committed(Durability::Sync)
    }

    fn snapshot(&mut self) -> Stepped {
        let env = self.open()?.env.clone();
        let snapshot = env.snapshot().map_err(|error| self.env_told(error))?;
        let before = self.newest().clone();
        self.commit(Durability::Sync, 20, 90)?;
        // Nobody can open the environment again while this holds it.
        self.valid()?;
        self.in_process(|env| env.clean().map(drop))?;
        match before.difference_from(&snapshot) {
            Ok(None) => Ok(()),
            Ok(Some(story)) => {
                Err(Problem::new(Wrong::Content, format!("a snapshot: {story}")).into())
            }
            Err(error) => Err(self.env_told(error)),
        }
    }

    fn drop_database(&mut self) -> Stepped {
        self.commit_changes(Durability::Sync, &[Change::Drop { database: 2 }])?;
        self.in_process(|env| env.checkpoint().map(drop))?;
        self.work()
    }

    fn close(&mut self) -> Stepped {
        self.open()?;
        let Some(process) = self.process.take() else { return Ok(()) };
        let closed = process.env.clone().close();
        match closed {
            Ok(()) => {
                let newest = self.known.current.begun;
                self.acknowledge(newest, newest);
                Ok(())
            }
            Err(error) => {
                self.process = Some(process);
                let told = self.env_told(error);
                // Whoever cannot close it goes home.
                self.process = None;
                Err(told)
            }
        }
    }

    fn backup(&mut self) -> Stepped {
        let env = self.open()?.env.clone();
        let since = (0..self.backups.len()).rev().find(|&n| self.backups[n].done.is_some());
        let number = self.backups.len();
        let backups = &self.places.backups;
        let open = |number: usize| backups.open_dir(&backup_name(number));
        let dirs = open(number).and_then(|dir| Ok((dir, since.map(open).transpose()?)));
        let (dir, since) = dirs.map_err(|error| self.told(&error.into()))?;
        let history = self.known.current.history;
        self.backups.push(BackupState { history, done: None, is_increment: since.is_some() });
        let mut options = BackupOptions::default();
        options.since_in = since.as_ref();
        let made = backup_to(&env, &dir, &SimWorld::new(5).world(), &options);
        let made = made.map_err(|error| self.told(&error))?;
        self.backups[number].done = Some(made.commit);
        if made.commit != self.known.current.begun {
            let story = format!("a backup of commit {} after all commits", made.commit);
            return Err(Problem::new(Wrong::Backup, story).into());
        }
        self.committed(Durability::NoSync)
    }

    fn verify_backups(&mut self) -> Stepped {
        for number in 0..self.backups.len() {
            if self.backups[number].done.is_none() {
                continue;
            }
            let opened = self.places.backups.open_dir(&backup_name(number));
            let dir = opened.map_err(|error| self.told(&error.into()))?;
            let report = verify_in(&*dir, None).map_err(|error| self.told(&error))?;
            if let Some(finding) = report.findings.first() {
                return Err(self.told_of(&finding.error));
            }
        }
        Ok(())
    }

    /// A finding may be that a file cannot be read.
    fn told_of(&self, error: &cairn_backup::BackupError) -> Stopped {
        self.told(error)
    }

    /// The newest backup that is finished: where it is, its history and its commit.
    fn newest_backup(&self) -> Option<(usize, usize, u64)> {
        let mut backups = self.backups.iter().enumerate().rev();
        backups.find_map(|(number, state)| Some((number, state.history, state.done?)))
    }

    /// What a restore of the newest backup holds.
    fn of_backup(&mut self, history: usize, commit: u64) -> Expected {
        let mut expected = Expected { history, durable: 0, written: 0, begun: commit };
        branch(&mut self.histories, &mut expected, commit);
        expected.durable = commit;
        expected
    }

    fn restore(&mut self) -> Stepped {
        let Some((backup, history, commit)) = self.newest_backup() else { return Ok(()) };
        let expected = self.of_backup(history, commit);
        let number = self.restores.len();
        let places = &self.places;
        let from = places.backups.open_dir(&backup_name(backup));
        let dirs =
            from.and_then(|from| Ok((from, places.restores.open_dir(&restore_name(number))?)));
        let (from, dir) = dirs.map_err(|error| self.told(&error.into()))?;
        let source = self.sim.image().below("backups");
        self.restores.push(RestoreState { source, backup, expected, done: false });
        let how = RestoreOptions::default().options(self.options.clone());
        restore_from(&from, &dir, &SimWorld::new(6).world(), &how)
            .map_err(|error| self.told(&error))?;
        self.restores[number].done = true;
        Ok(())
    }

    fn replace(&mut self) -> Stepped {
        let Some((backup, history, commit)) = self.newest_backup() else { return Ok(()) };
        self.let_go()?;
        if self.known.kept.is_some() {
            return Ok(());
        }
        let restored = self.of_backup(history, commit);
        let opened = self.places.backups.open_dir(&backup_name(backup));
        let from = opened.map_err(|error| self.told(&error.into()))?;
        let how = RestoreOptions::default().options(self.options.clone()).in_place(true);
        let old = self.known.current;
        self.switch_to(restored, Some(old), |root| {
            restore_from(&from, root, &SimWorld::new(7).world(), &how).map(drop)
        })
    }

    fn undo(&mut self) -> Stepped {
        self.let_go()?;
        let Some(kept) = self.known.kept else { return Ok(()) };
        let old = self.known.current;
        self.switch_to(kept, Some(old), |root| Ok(undo_restore(root.clone()).map(drop)?))
    }

    fn forget(&mut self) -> Stepped {
        self.let_go()?;
        let (current, options) = (self.known.current, self.options.clone());
        self.switch_to(current, None, |root| {
            let world = SimWorld::new(8).world();
            Ok(forget_old_generation(root.clone(), &world, options).map(drop)?)
        })
    }

    /// Nobody has the environment open.
    fn let_go(&mut self) -> Stepped {
        if self.process.is_some() { self.close() } else { Ok(()) }
    }

    /// Puts another generation in the place of this one, or lets the old one go.
    fn switch_to(
        &mut self,
        current: Expected,
        kept: Option<Expected>,
        act: impl FnOnce(&DirRef) -> cairn_backup::BackupResult<()>,
    ) -> Stepped {
        let look = |user: &Self| kept_generation(user.sound.environment.clone()).ok();
        let before = look(self);
        let acted = act(&self.places.environment);
        if look(self) != before {
            // Until something durable is built on it, a failure may still take it back.
            let old = std::mem::replace(&mut self.known.current, current);
            self.known.instead = acted.is_err().then_some(old);
            // A failure may also bring back what was let go.
            if acted.is_ok() || kept.is_some() {
                self.known.kept = kept;
            }
        }
        acted.map_err(|error| self.told(&error))
    }

    /// Repairs a closed environment that needs none.
    fn repair(&mut self) -> Stepped {
        self.let_go()?;
        let before = self.environment_image();
        let (source, target) = (self.places.environment.clone(), self.places.repaired.clone());
        let struck = self.faults.struck().len();
        let options = self.options.clone().background(false);
        let repaired = repair_in(source, target, SimWorld::new(9).world(), options.clone());
        let wrong = |story: String| Stopped::Broken(Problem::new(Wrong::Repair, story));
        if self.environment_image() != before {
            return Err(wrong("the source was changed".into()));
        }
        let report = repaired.map_err(|error| self.env_told(error))?;
        let target = self.sim.root().open_dir(&cairn_io::Name::constant("repaired"));
        let target = target.map_err(|error| wrong(error.to_string()))?;
        let opened = Environment::open_in(target, SimWorld::new(10).world(), options.create(false));
        let (env, _) = opened.map_err(|error| wrong(format!("it does not open: {error}")))?;
        let found = Contents::of(&env).map_err(|error| wrong(error.to_string()))?;
        let is_struck = self.faults.struck().len() > struck;
        if report.is_complete() && found != *self.newest() {
            return Err(wrong("complete, it says, and is not".into()));
        }
        if !report.is_complete() && !is_struck {
            return Err(wrong(format!("of a whole environment: {report:?}")));
        }
        Ok(())
    }
}
