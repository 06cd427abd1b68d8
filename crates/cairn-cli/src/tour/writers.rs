//! Writers in this process: threads that commit while the backup is taken.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use cairndb::{EnvResult, Environment};

use super::{
    step::Told,
    work::{Ledger, Work},
};
use crate::{
    exit::Failure,
    text::{count, per_second, several},
};

/// How many writers there are, here and in the process that is killed.
pub(super) const WRITERS: u32 = 4;
/// Between two commits, so that a quick disk does not make the environment large.
const PAUSE: Duration = Duration::from_micros(200);
/// How long somebody waits for writers: a disk that is slower than that is out of order.
const PATIENCE: Duration = Duration::from_secs(30);

/// Threads that commit until they are stopped, at the latest when this is dropped.
pub(super) struct Writers {
    stop: Arc<AtomicBool>,
    commits: Arc<AtomicU64>,
    threads: Vec<JoinHandle<(Ledger, EnvResult<()>)>>,
    began: Instant,
}

impl Writers {
    pub(super) fn start(env: &Environment, work: &Work) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let commits = Arc::new(AtomicU64::new(0));
        let start = |writer| {
            let (env, work) = (env.clone(), work.clone());
            let (stop, commits) = (Arc::clone(&stop), Arc::clone(&commits));
            thread::spawn(move || {
                let mut ledger = Ledger::default();
                for number in 1.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    ledger.begin(writer, number);
                    match work.commit(&env, writer, number) {
                        Ok(commit) => ledger.acknowledge(writer, number, commit),
                        Err(error) => return (ledger, Err(error)),
                    }
                    commits.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(PAUSE);
                }
                (ledger, Ok(()))
            })
        };
        let threads = (1..=WRITERS).map(start).collect();
        Self { stop, commits, threads, began: Instant::now() }
    }

    /// Commits that were acknowledged so far.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Waits until there are so many; `false` if that takes too long.
    pub(super) fn wait_for(&self, commits: u64) -> bool {
        let began = Instant::now();
        while self.commits() < commits {
            if began.elapsed() > PATIENCE || self.threads.iter().any(JoinHandle::is_finished) {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// Stops them, and returns what they were told.
    fn stop(mut self) -> Result<Ledger, Failure> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Ledger::default();
        for thread in self.threads.drain(..) {
            let Ok((ledger, outcome)) = thread.join() else {
                return Err(Failure::check("a writer has panicked"));
            };
            outcome?;
            all.add(ledger);
        }
        Ok(all)
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // Only after a failure, which is told elsewhere.
            drop(thread.join());
        }
    }
}

/// Stops the writers, and checks every commit that was acknowledged.
pub(super) fn finish(
    env: &Environment,
    work: &Work,
    writers: Writers,
    syncs_before: u64,
    sabotage: bool,
) -> Result<((), Told), Failure> {
    let elapsed = writers.began.elapsed();
    let ledger = writers.stop()?;
    let syncs = env.stats()?.commit_syncs - syncs_before;
    if sabotage && let Some((writer, number)) = ledger.last() {
        work.delete(env, writer, number)?;
    }
    let checked = work.check(&env.snapshot()?, &ledger)?;
    let commits = checked.acknowledged;
    let told = Told::default()
        .line(format!(
            "{WRITERS} writers got {} acknowledged, {}/s with {}; all of them are there",
            several(commits, "durable commit"),
            count(per_second(commits, elapsed)),
            several(syncs, "sync"),
        ))
        .figure("writers", WRITERS)
        .figure("acknowledged", commits)
        .figure("commits_per_second", per_second(commits, elapsed))
        .figure("syncs", syncs);
    Ok(((), told))
}
