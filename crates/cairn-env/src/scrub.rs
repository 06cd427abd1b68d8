//! Scrubbing: finished files are read again, from the disk, before anybody needs them.
//!
//! A record is checked when it is first read; what rots after that, or is never read, goes unnoticed
//! until the day on which it is needed, by when the backups that had it may be gone. So each finished
//! file is read from front to back at a low rate, past every copy in memory: the records, and the
//! digest of the whole. (Latent errors are local and most of them are found by scrubbing: Bairavasundaram
//! et al. 2008; ZFS scrubs likewise.) What is found is kept for whoever asks. It changes nothing else:
//! a damaged spot that nobody needs must not stop those who work.
//!
//! How far it is stands in memory only, and starts over when the environment is opened.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Arc, TryLockError},
    time::Duration,
};

use cairn_log::{Audit, FileNumber, LogFile, Spot};

use crate::{
    EnvResult, Environment, Finding, Reach,
    audit::{Extent, Extents},
    checkpoint::Checkpointer,
    core::Core,
    environment::Open,
    sync::lock,
    tell,
    verify::is_for_recovery,
};

/// Bytes that one step reads at most.
const PIECE: u64 = 256 << 10;
/// How soon after the open the first pass begins: what is opened for a moment is left alone.
const SETTLE: Duration = Duration::from_secs(600);
/// After a pause, whatever its reason, at most this much of it is made up for.
const BURST: Duration = Duration::from_secs(1);
/// How soon somebody who is in the way is asked again.
const RETRY: Duration = Duration::from_millis(100);

/// What scrubbing has found out since the environment was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScrubState {
    /// Passes that came to an end: in the background and by [`Environment::begin_scrub`].
    pub passes: u64,
    /// Bytes that the pass under way in the background has read; 0 if there is none.
    pub done: u64,
    /// Bytes that it is going to read.
    pub total: u64,
    /// What is wrong, as the newest look at each file saw it. Files that were removed since are left
    /// out.
    pub findings: Vec<Finding>,
    /// When each file was gone through last, as time since the fixed moment of the world's clock; by
    /// name. Files that were not yet, or are still written to, are left out.
    pub scrubbed: BTreeMap<String, Duration>,
}

/// What one pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScrubReport {
    /// What is wrong, in the order of files and places.
    pub findings: Vec<Finding>,
    /// Files that were gone through.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Files that are still written to, and were left out.
    pub in_use: u64,
    /// Files that were removed before their turn or during it, and do not count.
    pub removed: u64,
}

/// What is remembered of each file.
#[derive(Debug, Default)]
pub(crate) struct Scrubbed {
    passes: u64,
    progress: (u64, u64),
    files: BTreeMap<FileNumber, (Duration, Vec<Finding>)>,
}

/// A pass over all files that were finished when it began.
#[derive(Debug)]
pub(crate) struct Pass {
    waiting: VecDeque<(FileNumber, Extent)>,
    current: Option<(Audit, Extent)>,
    /// Bytes per second; 0: as fast as the disk gives them.
    rate: u64,
    /// When the rate allows the next step.
    due: Duration,
    done: u64,
    total: u64,
    report: ScrubReport,
}

impl Pass {
    fn new(core: &Core, checkpointer: &Checkpointer, rate: u64) -> Self {
        let extents = Extents::with(core, &checkpointer.utilization.files);
        let (finished, in_use): (Vec<_>, Vec<_>) =
            core.files.all().into_iter().partition(|file| extents.is_finished(file));
        let waiting: VecDeque<_> =
            finished.iter().map(|file| (file.header().number, extents.of_file(file))).collect();
        let total = waiting.iter().map(|(_, extent)| extent.end()).sum();
        let report = ScrubReport { in_use: in_use.len() as u64, ..ScrubReport::default() };
        let due = core.world.monotonic();
        Self { waiting, current: None, rate, due, done: 0, total, report }
    }

    /// Reads some more if the rate allows; returns how long to wait, `None` at the end of the pass.
    fn step(&mut self, core: &Core) -> Option<Duration> {
        let now = core.world.monotonic();
        if let Some(wait) = self.due.checked_sub(now).filter(|wait| !wait.is_zero()) {
            return Some(wait);
        }
        let piece = usize::try_from(self.piece()).unwrap_or(usize::MAX);
        let read = loop {
            let Some((audit, _)) = &mut self.current else {
                let (number, extent) = self.waiting.pop_front()?;
                match core.files.find(number) {
                    Some(file) => {
                        self.current = Some((Audit::new(file, extent.end()).uncached(), extent));
                    }
                    None => self.pass_over(extent.end()),
                }
                continue;
            };
            match audit.step(piece) {
                0 => self.end_file(core),
                read => break read,
            }
        };
        self.done += read;
        if self.rate > 0 {
            let cost = Duration::from_secs_f64(read as f64 / self.rate as f64);
            self.due = self.due.max(now.saturating_sub(BURST)) + cost;
        }
        Some(self.due.saturating_sub(now))
    }

    /// No step takes the bytes of more than a second.
    fn piece(&self) -> u64 {
        if self.rate == 0 { PIECE } else { PIECE.min(self.rate).max(512) }
    }

    /// A file was removed before its turn.
    fn pass_over(&mut self, bytes: u64) {
        self.report.removed += 1;
        self.total -= bytes;
    }

    fn end_file(&mut self, core: &Core) {
        let Some((audit, extent)) = self.current.take() else { return };
        let file = Arc::clone(audit.file());
        let damage = extent.damage(&file, audit.finish());
        match core.note_scrubbed(&file, damage) {
            Some(findings) => {
                self.report.files += 1;
                self.report.bytes += extent.end();
                self.report.findings.extend(findings);
            }
            None => self.report.removed += 1,
        }
    }
}

impl Core {
    /// Takes note that a file is whole again.
    pub(crate) fn note_healed(&self, file: &Arc<LogFile>) {
        let whole = (self.world.monotonic(), Vec::new());
        lock(&self.scrubbed).files.insert(file.header().number, whole);
    }

    /// Remembers what a look at a whole file has found; `None` if the file is gone.
    fn note_scrubbed(&self, file: &Arc<LogFile>, damage: Vec<Spot>) -> Option<Vec<Finding>> {
        let number = file.header().number;
        let findings: Vec<Finding> = damage
            .into_iter()
            .map(|spot| {
                let for_recovery = is_for_recovery(self, file, &spot);
                let reach = if for_recovery { Reach::NextOpen } else { Reach::Unknown };
                let (name, problem) = (file.name().to_string(), spot.error.to_string());
                Finding::of_file(name, Some(spot.offset), problem, reach)
            })
            .collect();
        let mut scrubbed = lock(&self.scrubbed);
        // Its bytes may have been another's when they were read.
        if !self.still_has(file) {
            scrubbed.files.remove(&number);
            return None;
        }
        scrubbed.files.insert(number, (self.world.monotonic(), findings.clone()));
        drop(scrubbed);
        for finding in &findings {
            tell::damaged(tell::display(file.name()), &*finding.problem);
        }
        if !findings.is_empty() {
            self.files.second.note(number);
        }
        Some(findings)
    }

    pub(crate) fn scrub_state(&self) -> ScrubState {
        let mut scrubbed = lock(&self.scrubbed);
        scrubbed.files.retain(|number, _| self.files.find(*number).is_some());
        let mut state = ScrubState {
            passes: scrubbed.passes,
            done: scrubbed.progress.0,
            total: scrubbed.progress.1,
            ..ScrubState::default()
        };
        for (number, (when, findings)) in &scrubbed.files {
            let Some(file) = self.files.find(*number) else { continue };
            state.findings.extend(findings.iter().cloned());
            state.scrubbed.insert(file.name().to_string(), *when);
        }
        state
    }
}

/// Scrubbing in the background.
#[derive(Debug, Default)]
pub(crate) struct Scrubber {
    pass: Option<Pass>,
    /// When the next pass begins.
    begins: Option<Duration>,
}

impl Scrubber {
    /// Takes a step if it is time; returns how long to wait for the next, `None` if there is none.
    pub(crate) fn step(&mut self, core: &Core) -> Option<Duration> {
        let (rate, interval) = (core.options.scrub_rate, core.options.scrub_interval);
        if rate == 0 {
            return None;
        }
        let now = core.world.monotonic();
        let Some(pass) = &mut self.pass else {
            let begins = *self.begins.get_or_insert(now + SETTLE.min(interval));
            if begins > now {
                return Some(begins - now);
            }
            let checkpointer = match core.checkpointer.try_lock() {
                Ok(checkpointer) => checkpointer,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return Some(RETRY),
            };
            self.pass = Some(Pass::new(core, &checkpointer, rate));
            self.begins = Some(now + interval);
            return Some(Duration::ZERO);
        };
        let wait = pass.step(core);
        let mut scrubbed = lock(&core.scrubbed);
        scrubbed.progress = (pass.done, pass.total);
        if wait.is_none() {
            self.pass = None;
            scrubbed.progress = (0, 0);
            scrubbed.passes += 1;
            let begins = self.begins.unwrap_or(now);
            return Some(begins.saturating_sub(now));
        }
        wait
    }
}

/// One pass over all finished log files, taken step by step by whoever asked for it: see
/// [`Environment::begin_scrub`].
pub struct Scrub {
    core: Arc<Open>,
    pass: Pass,
}

impl Scrub {
    /// Reads at most 256 KiB more, if the rate allows that already. Returns how long to wait before
    /// the next step; `None` when the pass is over.
    ///
    /// # Errors
    /// If the environment has failed or was closed. Damage, and what the disk does not give, are
    /// findings.
    pub fn step(&mut self) -> EnvResult<Option<Duration>> {
        self.core.check()?;
        let wait = self.pass.step(&self.core);
        if wait.is_none() {
            lock(&self.core.scrubbed).passes += 1;
        }
        Ok(wait)
    }

    /// Bytes read so far, and in all.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        (self.pass.done, self.pass.total)
    }

    /// What it did so far.
    #[must_use]
    pub fn into_report(self) -> ScrubReport {
        self.pass.report
    }
}

impl fmt::Debug for Scrub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scrub({} of {} bytes)", self.pass.done, self.pass.total)
    }
}

impl Environment {
    /// Begins a pass over all finished log files, at `rate` bytes per second (0: as fast as the disk
    /// gives them). It reads what the disk holds, past copies in memory where the system allows that,
    /// and holds no lock between its steps. The background worker does the same by itself: see
    /// [`Options::scrub_rate`](crate::Options#structfield.scrub_rate).
    ///
    /// ```
    /// # use cairn_env::{DatabaseOptions, Environment, Options};
    /// # let (env, _) = Environment::in_memory(Options::default())?;
    /// # let db = env.database("db", DatabaseOptions::default())?;
    /// env.write(|txn| txn.put(&db, b"key", b"value"))?;
    /// env.checkpoint()?;
    /// let mut scrub = env.begin_scrub(100 << 20)?;
    /// while let Some(wait) = scrub.step()? {
    ///     std::thread::sleep(wait);
    /// }
    /// let report = scrub.into_report();
    /// assert!(report.files > 0 && report.findings.is_empty());
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    ///
    /// # Errors
    /// If the environment has failed or was closed.
    pub fn begin_scrub(&self, rate: u64) -> EnvResult<Scrub> {
        self.core.check()?;
        let pass = Pass::new(&self.core, &lock(&self.core.checkpointer), rate);
        Ok(Scrub { core: Arc::clone(&self.core), pass })
    }

    /// One whole pass, as fast as the disk allows.
    ///
    /// # Errors
    /// As [`Scrub::step`].
    pub fn scrub(&self) -> EnvResult<ScrubReport> {
        let mut scrub = self.begin_scrub(0)?;
        while scrub.step()?.is_some() {}
        Ok(scrub.into_report())
    }

    /// What scrubbing has found out since the environment was opened.
    ///
    /// # Errors
    /// If the environment has failed or was closed.
    pub fn scrub_state(&self) -> EnvResult<ScrubState> {
        self.core.check()?;
        Ok(self.core.scrub_state())
    }

    /// What scrubbing has found to be damaged and is still there. [`Environment::verify`] tells which
    /// keys that concerns.
    ///
    /// # Errors
    /// If the environment has failed or was closed.
    pub fn scrub_findings(&self) -> EnvResult<Vec<Finding>> {
        Ok(self.scrub_state()?.findings)
    }
}
