//! Deaths of the process, power failures, and what comes after them: opening again, which may be cut
//! short as well.

use cairn_env::{EnvError, Environment, ErrorKind, Options, SYNC_SITES, VerifyOptions};
use cairn_io::IoOp;
use cairn_sim::{ChooserExt as _, Fault, FaultDisk, Image, Level, Rule, SimWorld};

use super::{Process, Simulation, Watched};
use crate::{
    check,
    model::fill,
    problem::{Checked, Problem, Wrong},
    script::Settings,
};

/// What ends a process.
#[derive(Clone, Copy, Debug)]
enum End {
    /// Its death; the system lives on.
    Death,
    /// A power failure.
    Power(Level),
}

impl Simulation<'_> {
    pub(super) fn kill(&mut self) -> Checked<()> {
        self.crash(End::Death)
    }

    pub(super) fn power(&mut self) -> Checked<()> {
        let level = *self.chooser.pick(&Level::ALL, "level");
        self.crash(End::Power(level))
    }

    /// In a moment the process is going to die, or the power to fail.
    pub(super) fn doom(&mut self) {
        let range = *self.chooser.pick(&[4, 20, 150], "soon");
        let after = self.chooser.choose(range, "after");
        let Some(process) = &self.process else { return };
        self.disk.doom(after as u64, &process.faults);
        self.tell(format_args!("after {after} more changes of the disk everything ends"));
    }

    /// What comes after a death in the middle of something.
    pub(super) fn die_midway(&mut self) -> Checked<()> {
        let end = self.end();
        self.crash(end)
    }

    /// The environment has failed, or was not closed in order: its process ends.
    pub(super) fn reboot(&mut self) -> Checked<()> {
        let end = self.end();
        self.crash(end)
    }

    fn end(&mut self) -> End {
        match self.chooser.choose(1 + Level::ALL.len(), "end").checked_sub(1) {
            None => End::Death,
            Some(level) => End::Power(Level::ALL[level]),
        }
    }

    fn crash(&mut self, end: End) -> Checked<()> {
        if self.is_in_backup || self.process.is_none() {
            return Ok(());
        }
        if let Some(whole) = self.fall(end) {
            self.look_after_lie(whole)?;
        }
        self.reopen()
    }

    /// The process ends. If syncs had done nothing, returns what they should have kept.
    fn fall(&mut self, end: End) -> Option<Image> {
        self.tally.crashes += 1;
        let process = self.process.take()?;
        process.faults.die();
        let (is_lied_to, has_failed) = (process.is_lied_to, process.faults.has_failed_sync());
        drop(process);
        let all = self.disk.disk.image();
        let level = match end {
            // Without a power failure the disk would go on with its lie.
            End::Death if is_lied_to => Level::Prefix,
            End::Death => Level::KeepAll,
            End::Power(level) => level,
        };
        let image = match end {
            End::Death if !is_lied_to && !has_failed => {
                self.tell(format_args!("the process dies"));
                self.disk.revive();
                return None;
            }
            // What a failed sync has left in memory is gone when it is read from the disk again.
            End::Death if !is_lied_to => all.clone(),
            _ => {
                let bounds = &self.plan.bounds;
                let crashed = self.disk.disk.crash(level, bounds, &mut *self.chooser);
                self.tell(format_args!("the power fails: {crashed}"));
                crashed.image
            }
        };
        if level != Level::KeepAll || has_failed {
            self.ledger.lose_power();
        }
        self.hash = self.hash.rotate_left(13) ^ self.disk.hash();
        self.disk = Watched::new(&image);
        self.copies.lose_power(level, &self.plan.bounds, &mut *self.chooser);
        is_lied_to.then_some(all)
    }

    /// Looks at what is left after syncs that did nothing: it is a state of before, or it is said that
    /// something is missing. In the second case the disk has kept everything after all.
    fn look_after_lie(&mut self, whole: Image) -> Checked<()> {
        self.tally.lies.0 += 1;
        let left = self.disk.disk.image();
        if let Some(why) = self.found_out(&left)? {
            self.tally.lies.1 += 1;
            self.tell(format_args!("that the disk had lied is found out: {why}"));
            self.disk = Watched::new(&whole);
        }
        Ok(())
    }

    /// What gives it away that something is missing.
    fn found_out(&self, left: &Image) -> Checked<Option<String>> {
        let disk = left.to_mem();
        let world = SimWorld::new(1);
        let is_honest = |error: &EnvError| {
            matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound | ErrorKind::Io)
        };
        let told = |error: EnvError| match is_honest(&error) {
            true => Ok(Some(error.to_string())),
            false => Err(Problem::new(Wrong::Refused, format!("after a lie: {error}"))),
        };
        let options = self.options().background(false);
        let (env, report) = match Environment::open_in(disk.root(), world.world(), options) {
            Ok(opened) => opened,
            Err(error) => return told(error),
        };
        let allowed = self.ledger.allowed();
        match allowed.get(report.sequence)?.difference(&env) {
            Ok(None) => {}
            Ok(Some(story)) => {
                let story = format!("after a lie: {story}; the report: {report}");
                return Err(Problem::new(Wrong::Silent, story));
            }
            Err(error) => return told(error),
        }
        if let Some(why) = report.older_checkpoint {
            return Ok(Some(why));
        }
        match env.verify(&VerifyOptions::new()) {
            Ok(verified) => Ok(verified.findings.first().map(ToString::to_string)),
            Err(error) => told(error),
        }
    }

    fn options(&self) -> Options {
        /// Scrubbing comes often.
        const SCRUB: std::time::Duration = std::time::Duration::from_secs(300);
        self.settings.options().scrub_interval(SCRUB)
    }

    /// Opens the environment again; that, and the first write after it, may be cut short as well.
    pub(super) fn reopen(&mut self) -> Checked<()> {
        const ONE_IN: usize = 4;
        for depth in 0..=self.plan.nested {
            let is_doomed =
                depth < self.plan.nested && self.chooser.choose(ONE_IN, "nested") == ONE_IN - 1;
            self.open(is_doomed)?;
            if is_doomed && !self.is_dead() {
                self.first_write()?;
            }
            if !self.is_dead() && self.process.is_some() {
                return Ok(());
            }
            self.tally.nested += 1;
            self.tell(format_args!("in the middle of opening and the first write"));
            let end = self.end();
            if let Some(whole) = self.fall_while_opening(end) {
                self.look_after_lie(whole)?;
            }
        }
        self.open(false)
    }

    /// As [`Simulation::fall`], also before there is a process.
    fn fall_while_opening(&mut self, end: End) -> Option<Image> {
        if self.process.is_some() {
            return self.fall(end);
        }
        self.tally.crashes += 1;
        let all = self.disk.disk.image();
        let level = match end {
            End::Death if !self.is_opened_by_lies => {
                self.disk.revive();
                return None;
            }
            End::Death => Level::Prefix,
            End::Power(level) => level,
        };
        let bounds = &self.plan.bounds;
        let crashed = self.disk.disk.crash(level, bounds, &mut *self.chooser);
        self.tell(format_args!("the power fails: {crashed}"));
        if level != Level::KeepAll {
            self.ledger.lose_power();
        }
        self.hash = self.hash.rotate_left(13) ^ self.disk.hash();
        self.disk = Watched::new(&crashed.image);
        self.is_opened_by_lies.then_some(all)
    }

    /// A new process opens the environment: it must be found as one of what it may be.
    fn open(&mut self, is_doomed: bool) -> Checked<()> {
        let Settings { directories, encrypted, .. } = self.settings;
        self.settings = *self.chooser.pick(self.plan.settings, "settings");
        (self.settings.directories, self.settings.encrypted) = (directories, encrypted);
        self.look()?;
        self.processes += 1;
        let has_faults = self.plan.has(super::Event::Fault);
        let kept = if has_faults { self.chooser.choose(3, "kept-by-sync") } else { 0 };
        let faults = FaultDisk::on_sim(&self.disk.disk, kept);
        let is_lied_to = self.plan.lies > 0 && self.chooser.choose(self.plan.lies, "lie") == 1;
        self.skip_syncs(&faults, is_lied_to);
        self.is_opened_by_lies = is_lied_to;
        if has_faults && self.chooser.choose(10, "open-fault") == 9 {
            const OPS: [IoOp; 4] = [IoOp::Read, IoOp::Write, IoOp::Open, IoOp::Sync];
            let op = *self.chooser.pick(&OPS, "call");
            let nth = self.chooser.choose(20, "nth");
            faults.inject(Rule::new(Fault::Eio).op(op).nth(nth as u64));
            self.tell(format_args!("while opening, {op} number {nth} is going to fail"));
        }
        if is_doomed {
            let after = self.chooser.choose(12, "after");
            self.disk.doom(after as u64, &faults);
        }
        let world = SimWorld::new(self.processes);
        let opened = Environment::open_in(faults.root(), world.world(), self.options());
        let opened = match opened {
            Err(error) if faults.has_struck() && !self.is_dead() => {
                self.tally.faults += 1;
                self.tell(format_args!("opening fails: {error}"));
                faults.clear();
                if faults.has_failed_sync() {
                    self.hash = self.hash.rotate_left(13) ^ self.disk.hash();
                    self.disk = Watched::new(&self.disk.disk.image());
                    return self.open(is_doomed);
                }
                Environment::open_in(faults.root(), world.world(), self.options())
            }
            opened => opened,
        };
        if self.is_dead() {
            return Ok(());
        }
        let (env, report) = opened.map_err(|error| {
            let state = format!("commits {} to {}", self.ledger.durable(), self.ledger.begun());
            Problem::new(Wrong::Refused, format!("{error}; {state} expected"))
        })?;
        let lies = if is_lied_to { "; no sync of this process does anything" } else { "" };
        let settings = self.settings;
        self.tell(format_args!("opened: {report}; {settings}{lies}"));
        let told = |problem: Problem| Problem {
            story: format!("{}; the report: {report}", problem.story),
            ..problem
        };
        // What was to strike while opening strikes nothing else.
        faults.clear();
        faults.forget_struck();
        self.skip_syncs(&faults, is_lied_to);
        check::holds(&env, &report, &self.ledger.allowed()).map_err(told)?;
        self.ledger.reopened(report.sequence);
        let clients = (0..self.plan.clients).map(|_| None).collect();
        self.process = Some(Process {
            env,
            faults,
            world,
            clients,
            held: Vec::new(),
            waiting: Vec::new(),
            deadlines: Vec::new(),
            scrub: None,
            acknowledged: report.sequence,
            is_lied_to,
            trouble: None,
        });
        let durable = self.durable_now()?;
        self.promised(durable, durable)
    }

    /// Lets the sync that is left out do nothing, or all of them.
    pub(super) fn skip_syncs(&self, faults: &FaultDisk, all: bool) {
        faults.skip_syncs(self.plan.without);
        faults.skip_syncs(SYNC_SITES.iter().copied().filter(|_| all));
    }

    /// Looks at what a crash has left, on a copy: it is whole, and opening it changes nothing.
    fn look(&mut self) -> Checked<()> {
        if self.chooser.choose(self.plan.verify, "look") > 0 {
            return Ok(());
        }
        let options = self.options().background(false);
        let image = self.disk.disk.image();
        check::environment(&image, &self.ledger.allowed(), &options).map(drop)
    }

    /// The first write of a process finishes what recovery has left to do.
    fn first_write(&mut self) -> Checked<()> {
        let Some(process) = &self.process else { return Ok(()) };
        let begun = process.env.begin_write();
        let Some(mut txn) = self.unless_troubled("beginning a transaction", begun)? else {
            return Ok(());
        };
        let (change, since) = ([self.change()], self.ledger.begun());
        let filled = fill(&mut txn, &change);
        if self.unless_troubled("changing", filled)?.is_none() || txn.is_unchanged() {
            return Ok(());
        }
        let durability = cairn_env::Durability::Sync;
        let commit = || Ok(txn.commit_with(durability)?.commit);
        self.committing(&change, Some(durability), since, commit).map(drop)
    }
}
