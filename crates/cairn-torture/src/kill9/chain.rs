//! `Chain`: one process after the other on the same environment, each of which dies; after each death what
//! is left is held against all that the dead were told.

use std::{
    path::Path,
    process::{Command, ExitStatus, Stdio},
    sync::Arc,
};

use cairn_backup::{BackupError, RestoreOptions, restore_from, verify};
use cairn_env::{EnvError, Environment, VerifyOptions, kept_generation};
use cairn_io::{MemDisk, RealDir, RealWorld, WorldRef};
use cairn_sim::{Chooser as _, ChooserExt as _, Seeded};

use super::{
    death::{Death, Victim},
    life::{BACKUPS, Before, ENVIRONMENT, Lie, Life, options},
    state::{State, Told, Who},
    word::{Survives, Word},
};
use crate::problem::{Checked, Problem, Wrong, caught};

/// Clients of each life.
const CLIENTS: u8 = 4;
/// Finished backups that are kept.
const BACKUPS_MAX: usize = 2;

/// Where a chain goes on, and what its processes die of.
pub trait Ground {
    /// The directory in which environment and backups lie.
    fn place(&self) -> &Path;

    /// What a commit must have been told to survive to be there after such deaths.
    fn survives(&self) -> Survives;

    /// The next death.
    fn choose(&mut self, random: &mut Seeded, alone: bool) -> Death;

    /// Brings a process to its death; afterwards what it has left can be looked at.
    ///
    /// # Errors
    /// If that fails, or shows that something is wrong.
    fn bring(&mut self, death: Death, victim: &mut Victim<'_>) -> Checked<ExitStatus>;
}

/// What a chain has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Processes that died.
    pub deaths: u64,
    /// Processes that came to their end.
    pub ends: u64,
    /// Commits that they were told of.
    pub commits: u64,
    /// Backups that restored to their cut.
    pub backups: u64,
    /// Times that a restore in place, or going back, was done or died.
    pub switches: u64,
}

/// One process after the other on the same environment.
pub struct Chain<'g> {
    program: &'g Path,
    ground: &'g mut dyn Ground,
    seed: u64,
    alone: bool,
    lie: Option<Lie>,
    life: u32,
    state: State,
    /// What the restore in place has kept.
    kept: Option<State>,
    /// Finished backups, the newest one last.
    backups: Vec<(String, State)>,
    /// A backup that was cut short.
    unfinished: Option<String>,
    tally: Tally,
}

impl<'g> Chain<'g> {
    /// A chain in an empty place; `alone` if all its lives are. `program` starts a [`Life`].
    ///
    /// # Errors
    /// If the environment cannot be created.
    pub fn begin(
        program: &'g Path,
        ground: &'g mut dyn Ground,
        seed: u64,
        alone: bool,
        lie: Option<Lie>,
    ) -> Checked<Self> {
        let failed = |error: &dyn std::fmt::Display| Problem::new(Wrong::Run, error);
        let place = RealDir::open(ground.place()).map_err(|error| failed(&error))?;
        for name in [ENVIRONMENT, BACKUPS] {
            RealDir::create(&place.path().join(name)).map_err(|error| failed(&error))?;
        }
        let directories = *Seeded::new(seed).pick(&[0, 2, 3], "data directories");
        let path = place.path().join(ENVIRONMENT);
        let env = Environment::open(path, options(seed, 0).data_directories(directories));
        let closed = env.and_then(|(env, _)| env.close());
        closed.map_err(|error| failed(&error))?;
        Ok(Self {
            program,
            ground,
            seed,
            alone,
            lie,
            life: 0,
            state: State::default(),
            kept: None,
            backups: Vec::new(),
            unfinished: None,
            tally: Tally::default(),
        })
    }

    /// What it has come to.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// The number of the last life; the first one is 1.
    #[must_use]
    pub const fn cycle(&self) -> u32 {
        self.life
    }

    /// One life, its death, and the look at what it has left.
    ///
    /// # Errors
    /// If anything is wrong: then the chain is at its end.
    pub fn turn(&mut self) -> Checked<()> {
        self.life += 1;
        let mut random = Seeded::new(self.seed).stream(&format!("cycle {}", self.life));
        let death = self.ground.choose(&mut random, self.alone);
        let life = self.life_for(death, &mut random);
        let mut command = Command::new(self.program);
        command.arg("live").args(life.args());
        if matches!(death, Death::Starve(_)) {
            command.stderr(Stdio::null()); // there it says that it has no memory
            // For a backtrace it needs some, and where two threads asked for too much at once, the allocator that
            // counts waits for ever until one of them has ended: it is to be aborted without.
            command.env("RUST_BACKTRACE", "0");
        }
        let ground = &mut *self.ground;
        let (words, status) =
            Victim::watch(&mut command, |victim| ground.bring(death, victim)).map_err(
                |problem| Problem { story: format!("{death}: {}", problem.story), ..problem },
            )?;
        let looked = caught(|| self.look(&life, death, &words, status, &mut random));
        looked.map_err(|problem| {
            let last: Vec<_> = words.iter().rev().take(3).rev().map(Word::to_string).collect();
            let said = format!("{death}; first: {}; last words: {last:?}", life.before);
            Problem { story: format!("{}\n  ({said})", problem.story), ..problem }
        })
    }

    fn life_for(&self, death: Death, random: &mut Seeded) -> Life {
        let (quota, end) = death.quota();
        let first = random.choose(10, "before");
        let before = match (&self.kept, random.choose(self.backups.len().max(1), "which")) {
            _ if first >= 3 => Before::Nothing,
            (Some(_), _) if first == 0 => Before::Forget,
            (Some(_), _) => Before::Undo,
            (None, which) => match self.backups.get(which) {
                Some((name, _)) => Before::Restore(name.clone()),
                None => Before::Nothing,
            },
        };
        let mut backup: Vec<_> = self.unfinished.iter().cloned().collect();
        if backup.is_empty() && random.choose(3, "backup") > 0 {
            backup.push(format!("b{}", self.life));
        }
        Life {
            place: self.ground.place().to_owned(),
            seed: self.seed,
            life: self.life,
            clients: CLIENTS,
            alone: self.alone,
            quota,
            end,
            call: death.call(),
            before,
            backup,
            since: self.backups.last().map(|(name, _)| name.clone()),
            lie: self.lie,
        }
    }

    /// Holds what was left against what was said.
    fn look(
        &mut self,
        life: &Life,
        death: Death,
        words: &[Word],
        status: ExitStatus,
        random: &mut Seeded,
    ) -> Checked<()> {
        let mut told = Told::default();
        let mut finished = false;
        for word in words {
            told.hear(word, self.ground.survives());
            match word {
                // A disk without power answers with errors.
                Word::Failed(_) if matches!(death, Death::PowerCut(_)) => {}
                Word::Failed(why) => return Err(Problem::new(Wrong::Run, why)),
                Word::Finished => finished = true,
                _ => {}
            }
        }
        self.tally.commits += told.commits();
        match (finished && life.end == super::life::End::Close, super::was_death(death, status)) {
            (true, _) => self.tally.ends += 1,
            (false, true) => self.tally.deaths += 1,
            (false, false) => {
                return Err(Problem::new(Wrong::Run, format!("it ended by itself: {status}")));
            }
        }
        let who = Who { seed: life.seed, life: life.life, clients: life.clients };
        let environment = self.ground.place().join(ENVIRONMENT);
        let prepared = words.contains(&Word::Prepared);
        self.settle_switch(&life.before, prepared, &environment)?;
        self.look_at_environment(who, &told, &environment, random)
            .and_then(|before| self.look_at_backups(who, words, &before))
    }

    /// Which generation counts, and what the other one holds: until a life has said that it had done what
    /// it was to do first, both answers are right; whoever said so must be believed.
    fn settle_switch(&mut self, before: &Before, prepared: bool, path: &Path) -> Checked<()> {
        let kept = RealDir::open(path).map_err(EnvError::from).and_then(kept_generation);
        let kept = kept.map_err(|error| Problem::new(Wrong::Refused, error))?;
        let half = |what: &str| Err(Problem::new(Wrong::HalfDone, what));
        match before {
            Before::Nothing => {}
            Before::Restore(name) => {
                self.tally.switches += 1;
                if kept.is_some() {
                    let found = self.backups.iter().find(|(known, _)| known == name);
                    let state = found.map(|(_, state)| state.clone()).unwrap_or_default();
                    self.kept = Some(std::mem::replace(&mut self.state, state));
                } else if prepared {
                    return half("the restore in place was told to be done, nothing is kept");
                }
            }
            // Both are kept, so only the content tells: see `look_at_environment`.
            Before::Undo => {
                self.tally.switches += 1;
                if prepared && let Some(kept) = &mut self.kept {
                    std::mem::swap(kept, &mut self.state);
                }
            }
            Before::Forget => {
                if kept.is_none() {
                    self.kept = None;
                } else if prepared {
                    return half("the old generation was told to be forgotten, and is kept");
                }
            }
        }
        match kept.is_some() == self.kept.is_some() {
            true => Ok(()),
            false => half(&format!("kept is {kept:?}, known is {}", self.kept.is_some())),
        }
    }

    /// Opens the environment as anybody would, reads it, verifies it. Returns the state with which the life
    /// began.
    fn look_at_environment(
        &mut self,
        who: Who,
        told: &Told,
        path: &Path,
        random: &mut Seeded,
    ) -> Checked<State> {
        let refused = |error: EnvError| Problem::new(Wrong::Refused, error);
        // One that writes nothing leaves it to the next life to recover.
        let reads_only = random.choose(3, "open") > 0;
        let options = options(self.seed, self.life).background(false).create(false);
        let (env, report) =
            Environment::open(path, options.read_only(reads_only)).map_err(refused)?;
        if !report.unknown_files.is_empty() {
            return Err(Problem::new(Wrong::Finding, &report));
        }
        let snapshot = env.snapshot().map_err(refused)?;
        let explained = self.state.explain(who, told, &snapshot);
        let state = match (explained, &mut self.kept) {
            (Err(_), Some(kept))
                if told.commits() == 0 && kept.explain(who, told, &snapshot).is_ok() =>
            {
                // It had gone back, and died before it could say so.
                std::mem::swap(kept, &mut self.state);
                self.state.explain(who, told, &snapshot)?
            }
            (explained, _) => explained?,
        };
        drop(snapshot);
        let found = env.verify(&VerifyOptions::new()).map_err(refused)?;
        if let Some(finding) = found.findings.first() {
            let how = if reads_only { "opened for reading" } else { "opened for writing" };
            return Err(Problem::new(Wrong::Finding, format!("{finding} ({how}; {report})")));
        }
        let pins = if reads_only { Vec::new() } else { env.pins().map_err(refused)? };
        env.close().map_err(refused)?;
        if !reads_only && (!pins.is_empty() || !is_empty(&path.join("pins"))) {
            let what = format!("pins of the dead are left: {pins:?}");
            return Err(Problem::new(Wrong::Space, what));
        }
        Ok(std::mem::replace(&mut self.state, state))
    }

    /// Restores the backups that were finished in this life; one that was cut short must be none.
    fn look_at_backups(&mut self, who: Who, words: &[Word], before: &State) -> Checked<()> {
        let mut told = Told::default();
        for (at, word) in words.iter().enumerate() {
            // What counted when the backup began is in it, and what was told until it ended is known.
            if let Word::BackupBegun(name) = word {
                let done = words[at..].iter().find_map(|word| match word {
                    Word::BackedUp(done, commit) if done == name => Some(*commit),
                    _ => None,
                });
                let known = words.iter().fold(told.clone(), |mut known, word| {
                    if let Word::Committed(id, commit, _) = word {
                        known.hear(
                            &Word::Committed(*id, *commit, Survives::Nothing),
                            Survives::Death,
                        );
                    }
                    known
                });
                self.look_at_backup(who, name, done, &known, before).map_err(|problem| {
                    Problem { story: format!("backup {name}: {}", problem.story), ..problem }
                })?;
            }
            if matches!(word, Word::Committed(..) | Word::Synced(_)) {
                told.hear(word, Survives::Death);
            }
        }
        Ok(())
    }

    fn look_at_backup(
        &mut self,
        who: Who,
        name: &str,
        done: Option<u64>,
        known: &Told,
        before: &State,
    ) -> Checked<()> {
        let path = self.ground.place().join(BACKUPS).join(name);
        let backup = |error: &dyn std::fmt::Display| Problem::new(Wrong::Backup, error);
        self.unfinished = None;
        let report = match (verify(&path, None), done) {
            (Ok(report), _) => report,
            (Err(BackupError::NoManifest { .. }), None) => {
                self.unfinished = Some(name.to_owned());
                return Ok(());
            }
            (Err(error), _) => return Err(backup(&error)),
        };
        let cut = report.manifest.cut.commit;
        if let Some(finding) = report.findings.first() {
            return Err(backup(&finding.error));
        }
        if done.is_some_and(|commit| commit != cut) {
            return Err(backup(&format!("it was told to be of another commit than {cut}")));
        }
        let dir = RealDir::open(&path).map_err(|error| backup(&error))?;
        let (target, world) = (MemDisk::new(), Arc::new(RealWorld::new()) as WorldRef);
        let options = options(self.seed, self.life).background(false);
        let how = RestoreOptions::default().options(options.clone());
        restore_from(&dir, &target.root(), &world, &how).map_err(|error| backup(&error))?;
        let opened = Environment::open_in(target.root(), world, options.read_only(true));
        let (env, _) = opened.map_err(|error| backup(&error))?;
        let snapshot = env.snapshot().map_err(|error| backup(&error))?;
        if snapshot.commit() != cut {
            let is = snapshot.commit();
            return Err(backup(&format!("commit {is} was restored, its cut is {cut}")));
        }
        let state = before.explain(who, known, &snapshot);
        let state = state.map_err(|problem| backup(&problem))?;
        self.tally.backups += 1;
        self.backups.push((name.to_owned(), state));
        if self.backups.len() > BACKUPS_MAX {
            let (oldest, _) = self.backups.remove(0);
            let path = self.ground.place().join(BACKUPS).join(oldest);
            std::fs::remove_dir_all(path).map_err(|error| Problem::new(Wrong::Run, error))?;
        }
        Ok(())
    }
}

fn is_empty(path: &Path) -> bool {
    std::fs::read_dir(path).map_or(true, |mut entries| entries.next().is_none())
}

impl std::fmt::Debug for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chain({:#x}, cycle {})", self.seed, self.life)
    }
}
