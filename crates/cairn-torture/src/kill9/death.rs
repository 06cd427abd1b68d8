//! `Death`: the ways in which a process ends, and `Victim`: a process that is brought to one of them.

use std::{
    fmt,
    io::{BufRead as _, BufReader, Read},
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    sync::Mutex,
    time::Duration,
};

use cairn_io::{RealWorld, World as _};
use rustix::{
    io::retry_on_intr,
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid},
};

use super::{
    deadly::{Call, Moment},
    life::End,
    word::Word,
};
use crate::{
    problem::{Checked, Problem, Wrong},
    run::lock,
};
use cairn_sim::{Chooser as _, ChooserExt as _, Seeded};

/// After this time, a process that should have ended counts as stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "chains handle each")]
pub enum Death {
    /// It kills itself at a call.
    Call(Call),
    /// It gets little memory from a call on, and is aborted when that is used up.
    Starve(Call),
    /// It is killed after this time.
    Kill(Duration),
    /// It is told to end after this time, by SIGTERM, which it does not handle.
    Terminate(Duration),
    /// It is stopped after this time; while it is, nobody else may have its environment; it goes on, and
    /// is killed.
    Pause(Duration),
    /// One thread ends it after so many transactions.
    Exit(u32),
    /// After so many transactions the environment is not closed, but forgotten.
    Forget(u32),
    /// After so many transactions it closes the environment and ends: none.
    Close(u32),
    /// Its file system loses power after this time.
    PowerCut(Duration),
}

/// A number of transactions from 1 to below `most`.
fn quota(random: &mut Seeded, most: usize) -> u32 {
    u32::try_from(random.range(1..most, "quota")).expect("it is small")
}

impl Death {
    /// A death of a process alone, which can be repeated: at a call, with one exception in sixteen.
    pub fn alone(random: &mut Seeded) -> Self {
        match random.choose(16, "death") {
            0 => Self::Close(quota(random, 30)),
            _ => Self::at_call(random),
        }
    }

    /// A death of a process with many threads.
    pub fn among_threads(random: &mut Seeded) -> Self {
        let time = Duration::from_micros(random.range(500..25_000, "time") as u64);
        let quota = quota(random, 60);
        match random.weighted(&[20, 20, 3, 1, 3, 3, 1], "death") {
            0 => Self::Kill(time),
            1 => Self::at_call(random),
            2 => Self::Terminate(time),
            3 => Self::Pause(time),
            4 => Self::Exit(quota),
            5 => Self::Forget(quota),
            _ => Self::Close(quota),
        }
    }

    /// A death of a process for want of memory.
    pub fn of_hunger(random: &mut Seeded) -> Self {
        if random.choose(16, "death") == 0 {
            return Self::Close(quota(random, 30));
        }
        // Few bytes: the next allocation is one too many, in whatever it is.
        let most = *random.pick(&[1, 64, 1 << 10, 16 << 10, 128 << 10], "bytes");
        let bytes = u32::try_from(random.choose(most, "byte")).expect("it is small");
        let most = *random.pick(&[20, 100, 400], "calls");
        let number = random.choose(most, "call") as u64;
        Self::Starve(Call { number, moment: Moment::Starved(bytes) })
    }

    /// Most calls near the beginning, where the process recovers; few after a long run.
    fn at_call(random: &mut Seeded) -> Self {
        let most = *random.pick(&[20, 100, 400, 1000], "calls");
        let number = random.choose(most, "call") as u64;
        let moment = *random.pick(&[Moment::Before, Moment::Midway, Moment::After], "moment");
        Self::Call(Call { number, moment })
    }

    /// The call at which it dies, if at one.
    #[must_use]
    pub const fn call(self) -> Option<Call> {
        match self {
            Self::Call(call) | Self::Starve(call) => Some(call),
            _ => None,
        }
    }

    /// How many transactions each client makes, at most, and what then happens.
    #[must_use]
    pub const fn quota(self) -> (u32, End) {
        match self {
            Self::Exit(quota) => (quota, End::Exit),
            Self::Forget(quota) => (quota, End::Forget),
            Self::Close(quota) => (quota, End::Close),
            Self::Call(_) | Self::Starve(_) => (400, End::Close),
            _ => (u32::MAX, End::Close),
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(call) => write!(f, "killed at a call ({call})"),
            Self::Starve(call) => write!(f, "without memory ({call})"),
            Self::Kill(time) => write!(f, "killed after {time:?}"),
            Self::Terminate(time) => write!(f, "told to end after {time:?}"),
            Self::Pause(time) => write!(f, "stopped after {time:?}, then killed"),
            Self::Exit(quota) => write!(f, "ended by a thread after {quota} transactions"),
            Self::Forget(quota) => write!(f, "forgot its environment after {quota} transactions"),
            Self::Close(quota) => write!(f, "closed its environment after {quota} transactions"),
            Self::PowerCut(time) => write!(f, "lost its disk after {time:?}"),
        }
    }
}

/// A running process, and what it has said.
pub struct Victim<'v> {
    child: Child,
    heard: &'v Mutex<Vec<Word>>,
}

impl Victim<'_> {
    /// Starts a process, lets `end` bring it to its end, and returns what it said until then, and what
    /// became of it. It does not outlive this call.
    ///
    /// # Errors
    /// If it cannot be started or understood, is stuck, or `end` fails.
    pub fn watch(
        command: &mut Command,
        end: impl FnOnce(&mut Victim<'_>) -> Checked<ExitStatus>,
    ) -> Checked<(Vec<Word>, ExitStatus)> {
        let run = |error: &dyn fmt::Display| Problem::new(Wrong::Run, error);
        let heard = Mutex::new(Vec::new());
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| run(&format!("{command:?}: {error}")))?;
        let stdout = child.stdout.take().ok_or_else(|| run(&"no standard output"))?;
        let status = std::thread::scope(|scope| {
            let listener = scope.spawn(|| listen(stdout, &heard));
            let mut victim = Victim { child, heard: &heard };
            let status = end(&mut victim);
            drop(victim);
            let listened = listener.join().map_err(|_| run(&"the listener has panicked"))?;
            listened.map_err(|error| run(&error))?;
            status
        })?;
        Ok((heard.into_inner().unwrap_or_default(), status))
    }

    /// Whether it has said that.
    #[must_use]
    pub fn has_said(&self, said: impl Fn(&Word) -> bool) -> bool {
        lock(self.heard).iter().any(said)
    }

    /// Sends it a signal; nothing happens if it has ended.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // Its number is not another's: it was not waited for yet.
        pid.map_or(Ok(()), |pid| kill_process(pid, signal)).unwrap_or(());
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// If it does not.
    pub fn wait(&mut self) -> Checked<ExitStatus> {
        let failed = |error| Problem::new(Wrong::Run, error);
        let world = RealWorld::new();
        let began = world.monotonic();
        while world.monotonic().saturating_sub(began) < PATIENCE {
            if let Some(status) = self.child.try_wait().map_err(failed)? {
                return Ok(status);
            }
            world.pause(Duration::from_micros(200));
        }
        Err(Problem::new(Wrong::Run, format!("stuck for {PATIENCE:?}")))
    }

    /// Stops it until it is told to go on; returns whether it is stopped, and has not ended by itself.
    ///
    /// # Errors
    /// If the system cannot tell.
    pub fn stop(&self) -> Checked<bool> {
        self.signal(Signal::STOP);
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| Problem::new(Wrong::Run, "no number of a process"))?;
        // The signal is on its way for a moment. An end is only looked at: it is still to be waited for.
        let either = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let status = retry_on_intr(|| waitid(WaitId::Pid(pid), either));
        let status = status.map_err(|error| Problem::new(Wrong::Run, error))?;
        Ok(status.is_some_and(|status| status.stopped()))
    }

    /// Kills it and waits.
    ///
    /// # Errors
    /// If it does not die.
    pub fn kill(&mut self) -> Checked<ExitStatus> {
        self.signal(Signal::KILL);
        self.wait()
    }
}

impl Drop for Victim<'_> {
    fn drop(&mut self) {
        self.child.kill().unwrap_or(());
        self.child.wait().map(drop).unwrap_or(());
    }
}

impl fmt::Debug for Victim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Victim({})", self.child.id())
    }
}

/// Whether a process was killed from outside or by itself, rather than having come to its end.
#[must_use]
pub fn was_killed(status: ExitStatus) -> bool {
    let deadly = [Signal::KILL, Signal::TERM].map(Signal::as_raw);
    status.signal().is_some_and(|signal| deadly.contains(&signal))
}

fn listen(pipe: impl Read, heard: &Mutex<Vec<Word>>) -> Result<(), String> {
    let mut reader = BufReader::new(pipe);
    let mut line = String::new();
    // A last line without its end was cut: nobody can have read it.
    while reader.read_line(&mut line).map_err(|error| error.to_string())? > 0 {
        if let Some(line) = line.strip_suffix('\n') {
            lock(heard).push(line.parse()?);
        }
        line.clear();
    }
    Ok(())
}
