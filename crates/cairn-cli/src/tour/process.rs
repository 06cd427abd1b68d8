//! A writer that is a process of its own, and is killed.
//!
//! It says on its standard output what it is about to commit and what it was told is durable, so the
//! tour knows of every acknowledgement that anybody can have relied on.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        mpsc::{self, Receiver},
    },
    thread,
    time::{Duration, Instant},
};

use cairndb::{Environment, Options, VerifyOptions};

use super::{
    chance::Chance,
    damage,
    step::Told,
    work::{Ledger, Work},
    writers::WRITERS,
};
use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    open,
    output::Output,
    text::{count, several},
};

/// How often a process is killed, at least, and at most if it is never caught in a commit.
const KILLS: u32 = 3;
const KILLS_MAX: u32 = 12;
/// Acknowledged commits before a process is killed, and the longest time after them.
const COMMITS: u64 = 40;
const DELAY_MAX: Duration = Duration::from_millis(150);
/// How long a process may take to get there.
const PATIENCE: Duration = Duration::from_secs(20);

/// Commits until it is killed (part of `cairn tour`)
#[derive(clap::Args)]
pub(crate) struct TourWriter {
    /// The directory of the environment
    env: PathBuf,
    /// The number of the first writer
    #[arg(long)]
    first: u32,
}

impl TourWriter {
    pub(crate) fn run(self, output: &mut Output) -> Outcome {
        let env = open::for_writing(&self.env, &KeyArgs::default(), output)?;
        let work = Work::open(&env)?;
        // Standard output belongs to the command; here each line is to leave at once, from any thread.
        let out = io::stdout().as_fd().try_clone_to_owned();
        let out = Mutex::new(File::from(out.map_err(|error| Failure::output(&error))?));
        let say = |line: String| {
            let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
            out.write_all(line.as_bytes()).map_err(|error| Failure::output(&error).of_an_event())
        };
        let write = |writer| -> Result<(), Failure> {
            for number in 1.. {
                say(format!("begin {writer} {number} 0\n"))?;
                let commit = work.commit(&env, writer, number)?;
                say(format!("durable {writer} {number} {commit}\n"))?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let writers: Vec<_> =
                (0..WRITERS).map(|i| scope.spawn(move || write(self.first + i))).collect();
            writers.into_iter().try_for_each(|writer| writer.join().unwrap_or(Ok(())))
        })?;
        Ok(Exit::Good)
    }
}

/// A writer process, and what it says.
struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    fn start(env: &Path, first: u32) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::io("start", Path::new("a writer process"), &error);
        let mut child = Command::new(std::env::current_exe().map_err(failed)?)
            .arg("tour-writer")
            .arg(env)
            .args(["--first", &first.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let stdout = child.stdout.take();
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut reader = BufReader::new(stdout?);
            let mut line = String::new();
            // A line without its end was cut by the kill: nobody can have relied on it.
            while reader.read_line(&mut line).is_ok() && line.ends_with('\n') {
                sender.send(std::mem::take(&mut line)).ok()?;
            }
            Some(())
        });
        Ok(Self { child, lines })
    }

    /// Lets it commit for a while, kills it, and returns what it was told.
    fn kill_in_mid_commit(mut self, chance: &mut Chance) -> Result<Ledger, Failure> {
        let mut ledger = Ledger::default();
        let began = Instant::now();
        let mut until = began + PATIENCE;
        let mut running = true;
        while let Some(left) = until.checked_duration_since(Instant::now())
            && running
        {
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let before = ledger.acknowledged();
                    note(&mut ledger, &line);
                    if before < COMMITS && ledger.acknowledged() >= COMMITS {
                        until = Instant::now() + chance.time(DELAY_MAX);
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => break,
                Err(mpsc::RecvTimeoutError::Disconnected) => running = false,
            }
        }
        // SIGKILL: the process learns nothing of it, and does nothing any more.
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map_err(|error| Failure::io("kill", Path::new("a writer process"), &error))?;
        self.lines.iter().for_each(|line| note(&mut ledger, &line));
        if !running || ledger.acknowledged() < COMMITS {
            return Err(Failure::check(format_args!(
                "the writer process made {} and then no more",
                several(ledger.acknowledged(), "commit")
            )));
        }
        Ok(ledger)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing to do for one that has ended; one that is left over must not write on.
        self.child.kill().and_then(|()| self.child.wait().map(drop)).unwrap_or_default();
    }
}

/// Enters a line of the process in the ledger.
fn note(ledger: &mut Ledger, line: &str) {
    let mut words = line.split_whitespace();
    let verb = words.next();
    let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
    let (Some(writer), Some(commits), Some(commit)) = (number(), number(), number()) else {
        return;
    };
    let Ok(writer) = u32::try_from(writer) else { return };
    match verb {
        Some("begin") => ledger.begin(writer, commits),
        _ => ledger.acknowledge(writer, commits, commit),
    }
}

/// Kills a writer process again and again, opens the environment each time, and checks every commit.
pub(super) fn kill(
    env_dir: &Path,
    chance: &mut Chance,
    sabotage: bool,
) -> Result<((), Told), Failure> {
    let mut all = Ledger::default();
    let (mut in_flight, mut whole, mut replayed, mut torn_bytes) = (0, 0, 0, 0);
    let mut kills = 0;
    let mut recovery = Duration::ZERO;
    while kills < KILLS || in_flight == 0 && kills < KILLS_MAX {
        let first = 100 + 10 * kills;
        kills += 1;
        let ledger = Process::start(env_dir, first)?.kill_in_mid_commit(chance)?;
        if sabotage {
            damage::lose_the_journal_from(env_dir, ledger.newest_commit())?;
        }
        let (env, report) = Environment::open(env_dir, Options::default().create(false))?;
        replayed += report.replayed_commits;
        recovery = recovery.max(report.duration);
        torn_bytes += report.torn_tail.as_ref().map_or(0, |torn| torn.bytes);
        let (this_in_flight, this_whole) = {
            let checked = Work::open(&env)?.check(&env.snapshot()?, &ledger)?;
            (checked.in_flight, checked.in_flight_whole)
        };
        in_flight += this_in_flight;
        whole += this_whole;
        all.add(ledger);
        // Nor may a later recovery undo what an earlier one has found.
        Work::open(&env)?.check(&env.snapshot()?, &all)?;
        let verified = env.verify(&VerifyOptions::new())?;
        if let Some(finding) = verified.findings.first() {
            return Err(Failure::check(format_args!("after recovery: {finding}")));
        }
        env.close()?;
    }
    // What recovery has found becomes part of the environment, so that nothing of it is a tail any more:
    // a flipped bit in what might be a torn write could not be told from one.
    let (env, _) = Environment::open(env_dir, Options::default().create(false))?;
    Work::open(&env)?.commit(&env, 99, 1)?;
    env.close()?;
    let acknowledged = all.acknowledged();
    let told = Told::default()
        .line(format!(
            "{kills} writer processes killed in mid-commit by SIGKILL and recovered; all {} acknowledged \
             commits are there",
            count(acknowledged)
        ))
        .line(format!(
            "{} in flight: {} whole, {} not there, none torn or half; {} replayed, {} of torn tails \
             kept aside",
            several(in_flight, "commit"),
            count(whole),
            count(in_flight - whole),
            several(replayed, "commit"),
            several(torn_bytes, "byte"),
        ))
        .figure("kills", kills)
        .figure("acknowledged", acknowledged)
        .figure("in_flight", in_flight)
        .figure("in_flight_whole", whole)
        .figure("replayed_commits", replayed)
        .figure("torn_bytes", torn_bytes)
        .figure("recovery_seconds_max", recovery.as_secs_f64());
    Ok(((), told))
}
