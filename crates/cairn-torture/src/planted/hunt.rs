//! A hunt: one planted bug before all rigs.

use std::{
    fmt,
    hash::{DefaultHasher, Hasher as _},
    io::{self, Read},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{Plant, VARIABLE};

/// A rig, as a command of this program.
#[derive(Clone, Copy, Debug)]
struct Rig {
    name: &'static str,
    args: &'static [&'static str],
}

/// Rigs that find most of what they find in a few seconds. Each is as short as it can be.
const QUICK: &[Rig] = &[
    Rig { name: "serial", args: &["serial", "--transactions", "6000"] },
    Rig { name: "simulate", args: &["simulate", "--smoke", "--threads", "1"] },
    Rig { name: "crash", args: &["crash", "--quick", "--first", "--threads", "1"] },
];

/// The others, in the order of what they cost.
const SLOW: &[Rig] = &[
    Rig {
        name: "simulate",
        args: &["simulate", "--seeds", "4000", "--twice", "0", "--threads", "1"],
    },
    Rig { name: "flip", args: &["flip", "--smoke", "--threads", "1"] },
    // The first chain has one thread, so that what it finds can be repeated.
    Rig { name: "kill9", args: &["kill9", "--chains", "1", "--threads", "1"] },
    Rig { name: "crash", args: &["crash", "--smoke", "--first", "--threads", "1"] },
];

/// How long each of the quick ones may take before the slow ones have their turn.
const SOON: Duration = Duration::from_secs(15);

/// How plants are hunted.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the command line states each")]
pub struct Plan {
    /// How long all rigs together may take for one.
    pub limit: Duration,
    /// How many are hunted side by side.
    pub threads: usize,
    /// Whether only those rigs hunt that answer within a minute.
    pub is_quick: bool,
    /// A file in which this program finds what it has found before, and goes on from there.
    pub ledger: Option<PathBuf>,
}

/// What became of a plant.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a row of the report")]
pub struct Hunt {
    /// The bug; `None`: there was none.
    pub plant: Option<&'static Plant>,
    /// Who has found it, if anybody has.
    pub found: Option<Found>,
    /// How long it took.
    pub time: Duration,
}

/// A complaint of a rig.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "part of a row of the report")]
pub struct Found {
    /// The rig.
    pub rig: String,
    /// The first thing that it said.
    pub how: String,
}

/// What a rig makes of an engine.
enum Answer {
    Complaint(String),
    /// It came to its end and found nothing.
    Nothing,
    /// It was stopped before that.
    TimeOver,
}

/// Gives a process with this bug to one rig after the other, until one complains or the time is over:
/// first to the quick ones, for a moment each; then to those of them that were stopped, and to the slow
/// ones.
///
/// # Errors
/// If a process cannot be started.
pub(super) fn hunt(plant: Option<&'static Plant>, plan: &Plan) -> io::Result<Hunt> {
    let began = now();
    let ended = |found| Ok(Hunt { plant, found, time: began.elapsed() });
    // Without a bug all rigs come to their ends.
    let left = || plant.map(|_| plan.limit.saturating_sub(began.elapsed()));
    let mut unfinished = Vec::new();
    for rig in QUICK {
        match run(rig, plant, left().map(|left| left.min(SOON)))? {
            Answer::Complaint(how) => return ended(Some(Found::new(rig, how))),
            Answer::Nothing => {}
            Answer::TimeOver => unfinished.push(rig),
        }
    }
    for rig in unfinished.into_iter().chain(SLOW.iter().filter(|_| !plan.is_quick)) {
        if let Answer::Complaint(how) = run(rig, plant, left())? {
            return ended(Some(Found::new(rig, how)));
        }
    }
    ended(None)
}

impl Found {
    fn new(rig: &Rig, how: String) -> Self {
        Self { rig: rig.name.to_owned(), how }
    }
}

/// Who hunts: the program, as a number that changes with it.
pub(super) fn program() -> io::Result<String> {
    let mut hasher = DefaultHasher::new();
    hasher.write(&std::fs::read(std::env::current_exe()?)?);
    Ok(format!("program {:016x}", hasher.finish()))
}

/// Runs a rig for at most so long.
fn run(rig: &Rig, plant: Option<&Plant>, limit: Option<Duration>) -> io::Result<Answer> {
    if limit.is_some_and(|limit| limit.is_zero()) {
        return Ok(Answer::TimeOver);
    }
    let began = now();
    let mut child = Command::new(std::env::current_exe()?)
        .args(rig.args)
        .env(VARIABLE, plant.map_or(0, |plant| plant.number).to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        let out = scope.spawn(|| all(out));
        let err = scope.spawn(|| all(err));
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break Some(status);
            }
            if limit.is_some_and(|limit| began.elapsed() >= limit) {
                end(&mut child)?;
                break None;
            }
            wait();
        };
        let out = out.join().unwrap_or_default();
        let err = err.join().unwrap_or_default();
        Ok(match status {
            None => Answer::TimeOver,
            Some(status) if status.success() => Answer::Nothing,
            Some(status) => {
                Answer::Complaint(complaint(&out, &err).unwrap_or_else(|| status.to_string()))
            }
        })
    })
}

fn end(child: &mut Child) -> io::Result<()> {
    child.kill()?;
    child.wait().map(drop)
}

fn all(stream: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        // What was read until then counts.
        stream.read_to_end(&mut bytes).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The first line that begins with a heading in capitals, or else the error that ended the rig.
fn complaint(out: &str, err: &str) -> Option<String> {
    let is_heading = |line: &&str| {
        line.split_once(": ").is_some_and(|(heading, _)| {
            heading.len() > 4 && heading.chars().all(|c| c.is_ascii_uppercase() || c == ' ')
        })
    };
    let error = || err.lines().rfind(|line| line.starts_with("error: "));
    let panic = || err.lines().find(|line| line.contains(" panicked at "));
    out.lines().map(str::trim).find(is_heading).or_else(error).or_else(panic).map(str::to_owned)
}

#[expect(clippy::disallowed_methods, reason = "how long a rig takes; no engine is asked")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "it waits for another process")]
fn wait() {
    std::thread::sleep(Duration::from_millis(20));
}

impl fmt::Display for Hunt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 90;
        let width = f.width().unwrap_or(0);
        let (plant, model) = match self.plant {
            Some(plant) => (plant.to_string(), plant.model.to_string()),
            None => ("none".to_owned(), String::new()),
        };
        let (rig, how) = match &self.found {
            Some(found) => (&*found.rig, &*found.how),
            None => ("-", ""),
        };
        let how: String = how.chars().take(LONGEST).collect();
        let seconds = self.time.as_secs_f64();
        write!(f, "{plant:width$} {model:24} {rig:8} {seconds:6.1} s  {how}")
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_a_rig_complains_of_is_its_first_heading() {
        let out = "crash sweep: smoke\n\nLOST COMMIT: 3 of 5\n  during   commit\n";
        assert_eq!(super::complaint(out, "").unwrap(), "LOST COMMIT: 3 of 5");
        assert_eq!(super::complaint("G1: 7\n", "error: no disk\n").unwrap(), "error: no disk");
        assert_eq!(super::complaint("all is well\n", ""), None);
    }
}
