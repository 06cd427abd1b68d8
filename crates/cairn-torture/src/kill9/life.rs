//! `Life`: a process that uses an environment until it dies, and says what it was promised.
//!
//! Some lives are *alone*: one thread does everything in an order that follows from the seed, so that a
//! death at a call can be repeated. Otherwise each client and the housekeeping have a thread, beside the
//! workers of the environment.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cairn_backup::{BackupOptions, RestoreOptions, backup_to, restore_from};
use cairn_env::{
    CleanReport, EnvResult, Environment, ErrorKind, Options, forget_old_generation, undo_restore,
};
use cairn_io::{DirRef, Name, RealDir, RealWorld, WorldRef};
use cairn_sim::{Chooser as _, ChooserExt as _, Seeded};

use super::{
    client::Client,
    deadly::{Call, Fuse},
    word::Word,
};

/// What a life fails with: it says so and ends.
pub(super) type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The environment, within the place of a chain.
pub(super) const ENVIRONMENT: &str = "environment";
/// Its backups.
pub(super) const BACKUPS: &str = "backups";

/// What happens before the environment is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "both processes handle each")]
pub enum Before {
    /// Nothing.
    Nothing,
    /// A backup of that name is restored in place.
    Restore(String),
    /// The restore in place is undone.
    Undo,
    /// What it has kept is forgotten.
    Forget,
}

/// How a process ends that comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing else")]
pub enum End {
    /// It closes the environment.
    Close,
    /// One thread ends the process while the others go on.
    Exit,
    /// The environment is never closed, only forgotten.
    Forget,
}

/// A lie that the checks must find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing else")]
pub enum Lie {
    /// Commits are acknowledged before the call has returned.
    EarlyAck,
    /// Commits are written without a sync, and acknowledged as synced.
    NoSync,
}

/// All that a life is told.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::exhaustive_structs, reason = "its parent states each")]
pub struct Life {
    /// Where environment and backups lie
    #[arg(long)]
    pub place: PathBuf,
    /// The seed of the chain
    #[arg(long)]
    pub seed: u64,
    /// The cycle of the chain
    #[arg(long)]
    pub life: u32,
    /// How many clients
    #[arg(long)]
    pub clients: u8,
    /// In one thread
    #[arg(long)]
    pub alone: bool,
    /// Transactions of each client until it comes to its end
    #[arg(long)]
    pub quota: u32,
    /// How it then ends
    #[arg(long)]
    pub end: End,
    /// The call at which it dies
    #[arg(long)]
    pub call: Option<Call>,
    /// What it does first
    #[arg(long, default_value = "nothing")]
    pub before: Before,
    /// Backups that it may make
    #[arg(long)]
    pub backup: Vec<String>,
    /// The backup that these may be based on
    #[arg(long)]
    pub since: Option<String>,
    /// What it lies about
    #[arg(long)]
    pub lie: Option<Lie>,
}

impl Life {
    /// The arguments from which the command line makes it again.
    #[must_use]
    pub fn args(&self) -> Vec<OsString> {
        let Self { place, seed, life, clients, alone, quota, end, .. } = self;
        let end = match end {
            End::Close => "close",
            End::Exit => "exit",
            End::Forget => "forget",
        };
        let mut args = vec!["--place".into(), place.into()];
        let mut push = |name: &str, value: String| {
            args.extend([OsString::from(format!("--{name}={value}"))]);
        };
        push("seed", seed.to_string());
        push("life", life.to_string());
        push("clients", clients.to_string());
        push("quota", quota.to_string());
        push("end", end.to_owned());
        push("before", self.before.to_string());
        self.call.iter().for_each(|call| push("call", call.to_string()));
        self.backup.iter().for_each(|name| push("backup", name.clone()));
        self.since.iter().for_each(|name| push("since", name.clone()));
        match self.lie {
            Some(Lie::EarlyAck) => push("lie", "early-ack".to_owned()),
            Some(Lie::NoSync) => push("lie", "no-sync".to_owned()),
            None => {}
        }
        args.extend(alone.then(|| "--alone".into()));
        args
    }

    /// Lives; returns whether nothing failed.
    #[must_use]
    pub fn run(&self) -> bool {
        match self.live() {
            Ok(()) => {
                Word::Finished.say();
                true
            }
            Err(error) => {
                Word::Failed(error.to_string()).say();
                false
            }
        }
    }

    fn live(&self) -> Result {
        let fuse = Fuse::new(self.call);
        let place = fuse.guard(RealDir::open(&self.place)?);
        let world: WorldRef = Arc::new(RealWorld::new());
        let dir = place.open_dir(&name(ENVIRONMENT)?)?;
        let backups = place.open_dir(&name(BACKUPS)?)?;
        let options = options(self.seed, self.life).background(!self.alone);
        match &self.before {
            Before::Nothing => {}
            Before::Restore(from) => {
                let from = backups.open_dir(&name(from)?)?;
                let restore = RestoreOptions::default().in_place(true).options(options.clone());
                restore_from(&from, &dir, &world, &restore)?;
            }
            Before::Undo => drop(undo_restore(Arc::clone(&dir))?),
            Before::Forget => {
                forget_old_generation(Arc::clone(&dir), &world, options.clone())?;
            }
        }
        Word::Prepared.say();
        let (env, _) = Environment::open_in(Arc::clone(&dir), Arc::clone(&world), options)?;
        Word::Opened.say();
        let mut house = House {
            life: self,
            env: &env,
            dir: &dir,
            backups: &backups,
            world: &world,
            random: Seeded::new(self.seed).stream(&format!("house {}", self.life)),
            left: self.backup.iter().rev().cloned().collect(),
        };
        let mut clients: Vec<_> = (0..self.clients).map(|n| Client::new(self, &env, n)).collect();
        if self.alone {
            self.alone(&mut house, &mut clients)?;
        } else {
            self.together(&mut house, &mut clients)?;
        }
        drop((clients, house));
        match self.end {
            End::Close => env.close()?,
            End::Exit | End::Forget => std::mem::forget(env),
        }
        Ok(())
    }

    fn alone(&self, house: &mut House<'_>, clients: &mut [Client<'_>]) -> Result {
        let mut random = Seeded::new(self.seed).stream(&format!("turns {}", self.life));
        for _ in 0..self.quota.saturating_mul(self.clients.into()) {
            let next = random.choose(clients.len(), "client");
            clients[next].step()?;
            if random.choose(6, "house") == 0 {
                house.step()?;
            }
        }
        clients.iter_mut().try_for_each(Client::finish)
    }

    fn together(&self, house: &mut House<'_>, clients: &mut [Client<'_>]) -> Result {
        let ended = AtomicBool::new(false);
        // Whoever fails says so at once: the others may wait for it in vain.
        let or_die = |result: Result| {
            if let Err(error) = result {
                Word::Failed(error.to_string()).say();
                std::process::exit(1);
            }
        };
        std::thread::scope(|scope| {
            for client in clients {
                let (ended, or_die) = (&ended, &or_die);
                scope.spawn(move || {
                    let mut work = || {
                        (0..self.quota).try_for_each(|_| match ended.load(Ordering::Relaxed) {
                            true => Ok(()),
                            false => client.step(),
                        })
                    };
                    or_die(work().and_then(|()| client.finish()));
                    if self.end == End::Exit {
                        std::process::exit(0);
                    }
                    ended.store(true, Ordering::Relaxed);
                });
            }
            while !ended.load(Ordering::Relaxed) {
                or_die(house.step());
                let pause = house.random.choose(800, "pause") as u64;
                house.world.pause(Duration::from_micros(pause));
            }
        });
        Ok(())
    }
}

/// The settings of a life: small files, so that everything happens often.
pub(super) fn options(seed: u64, life: u32) -> Options {
    let mut random = Seeded::new(seed).stream(&format!("options {life}"));
    Options::default()
        .journal_file_bytes(*random.pick(&[32 << 10, 64 << 10, 256 << 10], "journal"))
        .node_file_bytes(*random.pick(&[32 << 10, 128 << 10], "nodes"))
        .checkpoint_bytes(*random.pick(&[40_000, 150_000, 600_000], "checkpoint"))
        .cache_bytes(*random.pick(&[64 << 10, 1 << 20], "cache"))
        .leaf_bytes(*random.pick(&[1 << 10, 4 << 10], "leaves"))
        .space_target(*random.pick(&[50, 80, 95], "target"))
        .flush_interval(Duration::from_millis(3))
        .scrub_rate(64 << 20)
        .scrub_interval(Duration::from_millis(5))
}

fn name(text: &str) -> Result<Name> {
    Ok(Name::new(text)?)
}

/// What is done beside the clients.
struct House<'l> {
    life: &'l Life,
    env: &'l Environment,
    dir: &'l DirRef,
    backups: &'l DirRef,
    world: &'l WorldRef,
    random: Seeded,
    /// Names of backups to make, the next one last.
    left: Vec<String>,
}

impl House<'_> {
    fn step(&mut self) -> Result {
        match self.random.weighted(&[6, 6, 1, 5, 2, 3, 3], "house") {
            0 => drop(self.env.checkpoint()?),
            1 => unless_busy(self.env.clean())?,
            2 => unless_busy(self.env.compact())?,
            3 => read(self.env)?,
            4 => {
                let options = options(self.life.seed, self.life.life);
                let options = options.read_only(true).background(false);
                let (dir, world) = (Arc::clone(self.dir), Arc::clone(self.world));
                let (reader, _) = Environment::open_in(dir, world, options)?;
                read(&reader)?;
                reader.close()?;
            }
            5 => {
                let commit = self.env.snapshot()?.commit();
                self.env.sync()?;
                Word::Synced(commit).say();
            }
            _ => self.back_up()?,
        }
        Ok(())
    }

    fn back_up(&mut self) -> Result {
        let Some(next) = self.left.pop() else { return Ok(()) };
        let target = name(&next)?;
        let target = match Path::new(self.backups.path()).join(&next).exists() {
            true => self.backups.open_dir(&target)?,
            false => self.backups.create_dir(&target)?,
        };
        let since = match &self.life.since {
            Some(since) if self.random.choose(4, "since") > 0 => {
                Some(self.backups.open_dir(&name(since)?)?)
            }
            _ => None,
        };
        let options = BackupOptions::default();
        let options = since.as_ref().map_or(options, |since| options.since_in(since));
        Word::BackupBegun(next.clone()).say();
        let report = backup_to(self.env, &target, self.world, &options)?;
        if let Some(damaged) = report.previous_damaged.first() {
            return Err(format!("the backup before is damaged: {damaged}").into());
        }
        Word::BackedUp(next, report.commit).say();
        Ok(())
    }
}

/// Cleaning gives way to an exclusive transaction.
fn unless_busy(cleaned: EnvResult<CleanReport>) -> EnvResult<()> {
    match cleaned {
        Err(error) if error.kind() == ErrorKind::Busy => Ok(()),
        cleaned => cleaned.map(drop),
    }
}

/// Reads everything.
fn read(env: &Environment) -> Result {
    let snapshot = env.snapshot()?;
    for database in snapshot.databases()? {
        for entry in snapshot.iter(&database)? {
            entry?;
        }
    }
    Ok(())
}

impl std::fmt::Display for Before {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => write!(f, "nothing"),
            Self::Restore(name) => write!(f, "restore:{name}"),
            Self::Undo => write!(f, "undo"),
            Self::Forget => write!(f, "forget"),
        }
    }
}

impl FromStr for Before {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match (text, text.strip_prefix("restore:")) {
            (_, Some(name)) => Ok(Self::Restore(name.to_owned())),
            ("nothing", _) => Ok(Self::Nothing),
            ("undo", _) => Ok(Self::Undo),
            ("forget", _) => Ok(Self::Forget),
            _ => Err(format!("nothing to do first: {text}")),
        }
    }
}
