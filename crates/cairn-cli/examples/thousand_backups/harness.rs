//! Makes backup after backup of an environment in three data directories, which writers, checkpoints and the
//! cleaner do not leave in peace, and holds what each restores to against what the writers know of its commit.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use cairn_io::RealDir;
use cairndb::{
    Database, DatabaseOptions, Environment, Options, VerifyOptions,
    backup::{BackupOptions, Manifest, RestoreOptions, backup, restore, verify},
};

use super::history::{Change, DATABASES, History, State, digest};

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Backups between one open of the environment and the next, which chooses other settings.
const PHASE: u32 = 25;
/// Keys of each database.
const KEYS: u64 = 1500;

/// What is to be done.
pub(crate) struct Plan {
    pub(crate) backups: u32,
    pub(crate) seed: u64,
    /// Where everything lies.
    pub(crate) dir: PathBuf,
}

/// Who makes a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Maker {
    /// The environment that is being written.
    Owner,
    /// Another one, opened for reading beside it.
    Reader,
    /// `cairn backup`.
    Process,
}

/// Who makes a backup, and how.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kind {
    pub(crate) maker: Maker,
    pub(crate) incremental: bool,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.incremental { "incremental" } else { "full" };
        let who = match self.maker {
            Maker::Owner => "by the writing process",
            Maker::Reader => "by a reader beside it",
            Maker::Process => "by `cairn backup`",
        };
        write!(f, "{how} {who}")
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    /// Backups of each kind, all of which were restored and equal.
    pub(crate) equal: BTreeMap<Kind, u32>,
    /// How many had a journal in pieces.
    pub(crate) in_pieces: u32,
    /// The newest commit in one.
    pub(crate) commit: u64,
    pub(crate) bytes: u64,
    /// What incremental ones wrote, and how much more than what was new to the log, at most.
    pub(crate) written: u64,
    pub(crate) beside_max: u64,
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Numbers that follow from a seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// Runs the plan; `cairn` starts the command, `told` hears of each phase.
pub(crate) fn run(
    plan: &Plan,
    cairn: impl Fn() -> Command,
    mut told: impl FnMut(&str),
) -> Result<Summary> {
    let mut random = Random::new(plan.seed);
    let live = plan.dir.join("environment");
    let (env, _) = Environment::open(&live, Options::default().data_directories(3))?;
    for name in DATABASES {
        env.database(name, DatabaseOptions::default())?;
    }
    let (history, commits) = (History::default(), env.stats()?.commits);
    env.close()?;
    let mut series = Series {
        dir: &plan.dir,
        live: &live,
        history: &history,
        state: State::empty(commits),
        previous: None,
        summary: Summary::default(),
    };
    while series.number() < plan.backups {
        let journal = [64 << 10, 256 << 10, 4 << 20][usize::try_from(random.below(3))?];
        let options = Options::default()
            .checkpoint_bytes(200_000)
            .journal_file_bytes(journal)
            .node_file_bytes(64 << 10)
            .cache_bytes(1 << 20)
            .space_target(95);
        let (env, _) = Environment::open(&live, options)?;
        let owners = [0, 50, 90][usize::try_from(random.below(3))?];
        let end = plan.backups.min(series.number() + PHASE);
        let seed = random.below(u64::MAX);
        besieged(&env, &history, seed, || {
            while series.number() < end {
                let kind = Kind {
                    maker: match random.below(100) {
                        share if share < owners => Maker::Owner,
                        share if share % 2 == 0 => Maker::Reader,
                        _ => Maker::Process,
                    },
                    incremental: random.below(4) > 0 && series.previous.is_some(),
                };
                let number = series.number();
                let made = series.next(&env, kind, &cairn);
                made.map_err(|error| format!("backup {number}, {kind}: {error}"))?;
            }
            Ok(())
        })?;
        if let Some(pin) = env.pins()?.first() {
            return Err(format!("nobody reads any more, but there is a pin: {pin:?}").into());
        }
        if let Some(finding) = env.verify(&VerifyOptions::new())?.findings.first() {
            return Err(format!("the environment itself: {finding}").into());
        }
        env.close()?;
        told(&format!("{end} backups, the newest of commit {}", series.summary.commit));
    }
    Ok(series.summary)
}

/// Does `work` while writers write, and checkpoints and the cleaner follow one another without a pause.
fn besieged(
    env: &Environment,
    history: &History,
    seed: u64,
    work: impl FnOnce() -> Result,
) -> Result {
    let databases = DATABASES.map(|name| env.database(name, DatabaseOptions::default()));
    let databases = databases.into_iter().collect::<std::result::Result<Vec<_>, _>>()?;
    let (databases, stop) = (&databases, &AtomicBool::new(false));
    thread::scope(|scope| {
        let writers =
            [1, 2].map(|n| scope.spawn(move || write(env, databases, history, seed ^ n, stop)));
        let cleaner = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                env.checkpoint()?;
                env.checkpoint()?;
                env.clean()?;
            }
            Ok(())
        });
        let result = work();
        stop.store(true, Ordering::Relaxed);
        for thread in writers.into_iter().chain([cleaner]) {
            thread.join().map_err(|_| "a writer or the cleaner has panicked")??;
        }
        result
    })
}

/// Overwrites and deletes among few keys, so that files die as fast as they come.
fn write(
    env: &Environment,
    databases: &[Database],
    history: &History,
    seed: u64,
    stop: &AtomicBool,
) -> Result {
    let mut random = Random::new(seed);
    while !stop.load(Ordering::Relaxed) {
        let mut changes = BTreeMap::new();
        for n in 0..=random.below(4) {
            let key = (usize::try_from(random.below(3))?, random.below(KEYS).to_le_bytes());
            let len = if random.below(40) == 0 { 9000 } else { random.below(200) };
            let value = (usize::try_from(len)?, random.below(256).to_le_bytes()[0]);
            // A commit that changes nothing has no number of its own: so one thing is put.
            changes.insert(key, (n == 0 || random.below(6) > 0).then_some(value));
        }
        if changes.values().all(Option::is_none) {
            continue;
        }
        let changes: Vec<Change> = changes.into_iter().collect();
        let _noted = history.committing();
        loop {
            let mut txn = env.begin_write()?;
            for ((database, key), value) in &changes {
                match value {
                    Some((len, byte)) => {
                        txn.put(&databases[*database], key, &vec![*byte; *len])?;
                    }
                    None => drop(txn.delete(&databases[*database], key)?),
                }
            }
            match txn.commit() {
                Ok(info) => break history.note(info.commit, changes),
                Err(error) if error.kind() == cairndb::ErrorKind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// The backups so far.
struct Series<'a> {
    dir: &'a Path,
    live: &'a Path,
    history: &'a History,
    state: State,
    previous: Option<(PathBuf, Manifest)>,
    summary: Summary,
}

impl Series<'_> {
    fn number(&self) -> u32 {
        self.summary.equal.values().sum()
    }

    fn next(&mut self, env: &Environment, kind: Kind, cairn: &impl Fn() -> Command) -> Result {
        let number = self.number();
        let target = self.dir.join(format!("backup-{number}"));
        let previous = self.previous.take();
        let since = previous.as_ref().filter(|_| kind.incremental).map(|(path, _)| path.as_path());
        let linked = match kind.maker {
            Maker::Owner => back_up(env, &target, since)?,
            Maker::Reader => {
                let (reader, _) = Environment::open(self.live, Options::default().read_only(true))?;
                let linked = back_up(&reader, &target, since)?;
                reader.close()?;
                linked
            }
            Maker::Process => back_up_by(cairn(), self.live, &target, since)?,
        };
        let manifest = Manifest::read(&*RealDir::open(&target)?)?;
        if let Some((path, previous)) = previous {
            if kind.incremental {
                let written = manifest.bytes() - linked + manifest.encode().len() as u64;
                let new = new_log_bytes(&previous, &manifest);
                if written > new + (1 << 20) {
                    return Err(format!("{written} bytes were written for {new} new ones").into());
                }
                self.summary.written += written;
                let beside_max = self.summary.beside_max.max(written.saturating_sub(new));
                self.summary.beside_max = beside_max;
            }
            // Complete by itself, whatever it shares with this one.
            fs::remove_dir_all(path)?;
        }
        self.check(&target, &manifest)?;
        self.summary.bytes += manifest.bytes();
        self.summary.in_pieces += u32::from(manifest.files.iter().any(|f| !f.pieces.is_empty()));
        self.summary.commit = manifest.cut.commit;
        *self.summary.equal.entry(kind).or_default() += 1;
        self.previous = Some((target, manifest));
        Ok(())
    }

    /// Restores a backup: it must be what was committed up to its cut, and nothing else.
    fn check(&mut self, target: &Path, manifest: &Manifest) -> Result {
        let commit = manifest.cut.commit;
        self.history.advance(&mut self.state, commit)?;
        if let Some(finding) = verify(target, None)?.findings.first() {
            return Err(finding.error.to_string().into());
        }
        let back = self.dir.join("restored");
        restore(target, &back, &RestoreOptions::default())?;
        let (env, recovery) = Environment::open(&back, Options::default().read_only(true))?;
        let (expected, found) = (self.state.digest(), digest(&env.snapshot()?)?);
        if recovery.sequence != commit || found != expected {
            let is = recovery.sequence;
            return Err(format!(
                "the cut is commit {commit} with {expected}, restored is {is} with {found}"
            )
            .into());
        }
        if manifest.cut.directories != 3 {
            return Err("a data directory is lost".into());
        }
        env.close()?;
        Ok(fs::remove_dir_all(back)?)
    }
}

/// Makes a backup; returns how many bytes were linked.
fn back_up(env: &Environment, target: &Path, since: Option<&Path>) -> Result<u64> {
    let options = BackupOptions::default();
    let options = since.map_or(options, |since| options.since(since));
    let report = backup(env, target, &options)?;
    match report.previous_damaged.first() {
        Some(damaged) => Err(format!("the one before is damaged: {damaged}").into()),
        None => Ok(report.linked_bytes),
    }
}

/// The same by the command.
fn back_up_by(mut cairn: Command, live: &Path, target: &Path, since: Option<&Path>) -> Result<u64> {
    cairn.arg("backup").arg(live).arg(target).arg("--json");
    if let Some(since) = since {
        cairn.arg("--since").arg(since);
    }
    let output = cairn.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    match report["damaged_in_previous"].as_array().and_then(|damaged| damaged.first()) {
        Some(damaged) => Err(format!("the one before is damaged: {damaged}").into()),
        None => report["linked_bytes"].as_u64().ok_or_else(|| "no linked_bytes".into()),
    }
}

/// What `now` has of the log that `before` has not.
fn new_log_bytes(before: &Manifest, now: &Manifest) -> u64 {
    let had: BTreeMap<_, _> = before.files.iter().map(|file| (file.name, file.length)).collect();
    let new = |name, length: u64| length.saturating_sub(had.get(name).copied().unwrap_or(0));
    now.files.iter().map(|file| new(&file.name, file.length)).sum()
}
