//! `User`: who works with an environment on a disk that fails, believes what it answers, and notes what
//! that promises.

use std::{cell::Cell, fmt};

use cairn_backup::BackupError;
use cairn_env::{EnvError, Environment, ErrorKind, Options, VerifyOptions, kept_generation};
use cairn_io::{DirRef, Name, SyncSite};
use cairn_sim::{Bounds, FaultDisk, Image, Level, Seeded, SimDisk, SimWorld};

use super::kind::Kind;
use crate::{
    check::{copies, generations},
    model::{Contents, Expected, History},
    problem::{Checked, Problem, Wrong},
    run::{BackupState, Generations, RestoreState, backup_name, branch, restore_name, state},
    script::Settings,
};

const ENVIRONMENT: Name = Name::constant("env");
const BACKUPS: Name = Name::constant("backups");
const RESTORES: Name = Name::constant("restores");
const REPAIRED: Name = Name::constant("repaired");
const SITE: SyncSite = SyncSite::new("torture.places");
/// Directories for so many backups and restores.
const COPIES: usize = 4;

/// Directories of one device.
pub(super) struct Places {
    pub(super) environment: DirRef,
    pub(super) backups: DirRef,
    pub(super) restores: DirRef,
    pub(super) repaired: DirRef,
}

impl Places {
    fn open(root: &DirRef) -> Checked<Self> {
        let open = |name| root.open_dir(name).map_err(broken);
        Ok(Self {
            environment: open(&ENVIRONMENT)?,
            backups: open(&BACKUPS)?,
            restores: open(&RESTORES)?,
            repaired: open(&REPAIRED)?,
        })
    }

    fn make(root: &DirRef) -> Checked<()> {
        let make = || {
            let [_, backups, restores, _] =
                [ENVIRONMENT, BACKUPS, RESTORES, REPAIRED].map(|name| root.create_dir(&name));
            let (backups, restores) = (backups?, restores?);
            for number in 0..COPIES {
                backups.create_dir(&backup_name(number))?;
                restores.create_dir(&restore_name(number))?;
            }
            [root, &backups, &restores].into_iter().try_for_each(|dir| dir.sync(SITE))
        };
        make().map_err(broken)
    }
}

/// An environment that is open, and the clock and workers of its process.
pub(super) struct Process {
    pub(super) env: Environment,
    pub(super) world: SimWorld,
}

/// Who works with an environment on a disk that fails.
pub(super) struct User {
    pub(super) sim: SimDisk,
    pub(super) faults: FaultDisk,
    /// On the disk that fails.
    pub(super) places: Places,
    /// On the same disk, for those who only look.
    pub(super) sound: Places,
    pub(super) options: Options,
    pub(super) histories: Vec<History>,
    pub(super) known: Generations,
    pub(super) backups: Vec<BackupState>,
    pub(super) restores: Vec<RestoreState>,
    pub(super) process: Option<Process>,
    pub(super) random: Seeded,
    kind: Kind,
    /// Whether a node file that was given up since a write failed has stayed, so that verification names it
    /// and says that nothing needs it: not as it should be, and no promise about data.
    leaves_a_file: Cell<bool>,
}

fn is_given_up(story: &str) -> bool {
    story.contains("the file is not sealed (nothing that is in use is affected)")
}

/// What is wrong with the rig, not with the engine.
fn broken(error: impl fmt::Display) -> Problem {
    Problem::new(Wrong::Run, error)
}

/// Why a step came to no end: the disk failed, which is no news, or a promise is broken.
pub(super) enum Stopped {
    /// The disk failed, and that was said as it should be.
    Told,
    /// A promise is broken.
    Broken(Problem),
}

impl From<Problem> for Stopped {
    fn from(problem: Problem) -> Self {
        Self::Broken(problem)
    }
}

/// What a step comes to.
pub(super) type Stepped<T = ()> = Result<T, Stopped>;

impl User {
    pub(super) fn new(settings: &Settings, kind: Kind) -> Checked<Self> {
        let sim = SimDisk::new().without_trace();
        Places::make(&sim.root())?;
        let faults = FaultDisk::on_sim(&sim, 0);
        let nothing = Expected { history: 0, durable: 0, written: 0, begun: 0 };
        Ok(Self {
            places: Places::open(&faults.root())?,
            sound: Places::open(&sim.root())?,
            sim,
            faults,
            options: settings.options(),
            histories: vec![vec![Contents::default()]],
            known: Generations::only(nothing),
            backups: Vec::new(),
            restores: Vec::new(),
            process: None,
            random: Seeded::new(settings.seed),
            kind,
            leaves_a_file: Cell::new(false),
        })
    }

    /// Whether a file that was given up has stayed.
    pub(super) fn leaves_a_file(&self) -> bool {
        self.leaves_a_file.get()
    }

    /// Whether a call has failed.
    pub(super) fn is_struck(&self) -> bool {
        !self.faults.struck().is_empty()
    }

    /// What a failed sync was to make durable may be gone, although it was written and the process lives.
    pub(super) fn doubts_what_a_sync_has_met(&mut self) {
        if self.faults.struck().iter().any(|call| call.contains(": sync ")) {
            self.known.current.written = self.known.current.durable;
        }
    }

    pub(super) fn newest(&self) -> &Contents {
        state(&self.histories, &self.known.current, self.known.current.begun)
    }

    /// Commits up to `durable` cannot be lost any more, nor those up to `written` when the process dies.
    pub(super) fn acknowledge(&mut self, written: u64, durable: u64) {
        let expected = &mut self.known.current;
        if durable > expected.durable && self.known.instead.take().is_some() {
            // What is kept is decided as well.
            let has_kept = kept_generation(self.sound.environment.clone()).ok().flatten().is_some();
            if !has_kept {
                self.known.let_go = self.known.kept.take();
            }
        }
        expected.durable = expected.durable.max(durable);
        expected.written = expected.written.max(written).max(durable);
    }

    /// Holds an error against what has happened to the disk.
    pub(super) fn told(&self, error: &BackupError) -> Stopped {
        if !self.is_struck() {
            return broken(format!("without a cause: {error}")).into();
        }
        let kind = error.kind();
        if !self.kind.explains(kind) {
            return Problem::new(Wrong::Class, format!("{kind:?}: {error}")).into();
        }
        match self.process.as_ref().map(|process| &process.env) {
            Some(env) => self.reaches(env, error).err().map_or(Stopped::Told, Stopped::Broken),
            None => Stopped::Told,
        }
    }

    /// An error that says that the environment has failed means that it has, for all its handles.
    fn reaches(&self, env: &Environment, error: &BackupError) -> Checked<()> {
        let wrong = |story: String| Err(Problem::new(Wrong::Class, story));
        let is_failure = error.kind() == ErrorKind::Poisoned;
        if is_failure && env.is_valid() {
            return wrong(format!("the environment is valid after: {error}"));
        }
        let Some(first) = env.failure() else { return Ok(()) };
        let others = [env.snapshot().err(), env.begin_write().err(), env.checkpoint().err()];
        for other in others {
            match other {
                Some(other) if other.to_string() == first.to_string() => {}
                Some(other) => return wrong(format!("a handle answers `{other}`, not `{first}`")),
                None => return wrong(format!("a handle works although `{first}`")),
            }
        }
        Ok(())
    }

    pub(super) fn env_told(&self, error: EnvError) -> Stopped {
        self.told(&BackupError::Env(error))
    }

    /// The open environment. One that has failed is closed and opened again, as its user is told to.
    pub(super) fn open(&mut self) -> Stepped<&Process> {
        if self.process.as_ref().is_some_and(|process| !process.env.is_valid()) {
            self.give_up();
        }
        if self.process.is_none() {
            self.reopen()?;
        }
        Ok(self.process.as_ref().expect("it has just been opened"))
    }

    /// Lets go of an environment that has failed.
    pub(super) fn give_up(&mut self) {
        if let Some(process) = self.process.take() {
            // It answers with the first cause, and lets everything go.
            drop(process.env.close());
        }
    }

    fn reopen(&mut self) -> Stepped {
        let world = SimWorld::new(self.random.next_u64());
        let dir = self.places.environment.clone();
        let opened = Environment::open_in(dir, world.world(), self.options.clone());
        let (env, report) = opened.map_err(|error| self.env_told(error))?;
        let found = report.sequence;
        let fits = |expected: &Expected| (expected.written..=expected.begun).contains(&found);
        if !fits(&self.known.current) {
            let Expected { written, begun, .. } = self.known.current;
            let story = format!("commits {written} to {begun} expected; {report}");
            return Err(Problem::new(Wrong::LostCommit, story).into());
        }
        branch(&mut self.histories, &mut self.known.current, found);
        let durable = env.stats().map(|stats| stats.durable_commits);
        self.process = Some(Process { env, world });
        let durable = durable.map_err(|error| self.env_told(error))?;
        self.acknowledge(found, durable);
        self.look()
    }

    /// Reads everything.
    pub(super) fn look(&self) -> Stepped {
        let Some(Process { env, .. }) = &self.process else { return Ok(()) };
        match self.newest().difference(env) {
            Ok(None) => Ok(()),
            Ok(Some(story)) => Err(Problem::new(Wrong::Content, story).into()),
            Err(error) => Err(self.env_told(error)),
        }
    }

    /// Holds what a loss of power, or the death of the process, would leave now against what is known.
    pub(super) fn survives(&self, level: Level) -> Checked<()> {
        let image = match level {
            Level::KeepAll => self.sim.image(),
            _ => self.sim.crash(level, &Bounds::smoke(), &mut Seeded::new(1)).image,
        };
        let options = self.options.clone().background(false);
        let within = |story: &'static str| {
            move |problem: Problem| Problem {
                story: format!("after a loss of power ({level:?}), {story}: {}", problem.story),
                ..problem
            }
        };
        let below = |name: &Name| image.below(name.as_str());
        let environment = below(&ENVIRONMENT);
        match generations::check(&environment, &self.known, &self.histories, level, &options) {
            Err(problem) if problem.wrong == Wrong::Finding && is_given_up(&problem.story) => {
                self.leaves_a_file.set(true);
            }
            checked => drop(checked.map_err(within("environment"))?),
        }
        let mut random = Seeded::new(2);
        let backups = below(&BACKUPS);
        copies::backups(&backups, &self.backups, &self.histories, &options, &mut random)
            .map_err(within("backups"))?;
        copies::restores(&below(&RESTORES), &self.restores, &self.histories, &options)
            .map_err(within("restores"))
    }

    /// The environment's files as they are seen now.
    pub(super) fn environment_image(&self) -> Image {
        self.sim.image().below(ENVIRONMENT.as_str())
    }

    /// Verifies the open environment.
    pub(super) fn verify(&self) -> Checked<()> {
        let Some(Process { env, .. }) = &self.process else { return Ok(()) };
        let report = env.verify(&VerifyOptions::new());
        let report = report.map_err(|error| Problem::new(Wrong::Finding, error))?;
        let finding = report.findings.first();
        finding.map_or(Ok(()), |finding| Err(Problem::new(Wrong::Finding, finding)))
    }
}
