//! What goes on beside the clients: the background worker, time, snapshots, checkpoints, scrubbing.

use std::time::Duration;

use cairn_env::{EnvError, Snapshot, VerifyOptions};
use cairn_io::World as _;
use cairn_sim::ChooserExt as _;

use super::Simulation;
use crate::{
    model::Contents,
    problem::{Checked, Problem, Wrong},
};

impl Simulation<'_> {
    /// The worker takes a step, or all that it has to take: then what was to be durable by now is.
    pub(super) fn work(&mut self) -> Checked<()> {
        const MOST: usize = 60;
        let most = if self.chooser.choose(3, "until-idle") == 2 { MOST } else { 1 };
        self.tell(format_args!("the worker takes {most} steps"));
        for _ in 0..most {
            let Some(process) = &self.process else { return Ok(()) };
            if self.is_dead() || !process.env.is_valid() {
                return Ok(());
            }
            if process.world.step_any(&mut *self.chooser).is_none() {
                return self.in_time();
            }
        }
        Ok(())
    }

    /// Checks that what was to be durable by now is.
    fn in_time(&mut self) -> Checked<()> {
        if !self.settings.background || self.is_troubled() {
            return Ok(());
        }
        let durable = self.durable_now()?;
        self.promised(durable, durable)?;
        let Some(process) = &mut self.process else { return Ok(()) };
        let now = process.world.monotonic();
        process.deadlines.retain(|(commit, _)| *commit > durable);
        match process.deadlines.iter().find(|(_, at)| *at <= now) {
            Some((commit, _)) if process.trouble.is_none() => {
                let story = format!("commit {commit} was to be durable by now, but {durable} is");
                Err(Problem::new(Wrong::LostCommit, story))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn pass(&mut self) {
        const MILLIS: [u64; 6] = [1, 12, 300, 1000, 60_000, 700_000];
        let millis = *self.chooser.pick(&MILLIS, "millis");
        self.tell(format_args!("{millis} ms pass"));
        if let Some(process) = &self.process {
            process.world.advance(Duration::from_millis(millis));
        }
    }

    pub(super) fn sync(&mut self) -> Checked<()> {
        let Some(process) = &self.process else { return Ok(()) };
        let synced = process.env.sync();
        self.tell(format_args!("everything is made durable"));
        if self.unless_troubled("a sync", synced)?.is_some() {
            let begun = self.ledger.begun();
            self.acknowledged(begun);
            self.promised(begun, begun)?;
        }
        Ok(())
    }

    pub(super) fn checkpoint(&mut self) -> Checked<()> {
        let Some(process) = &self.process else { return Ok(()) };
        let done = process.env.checkpoint();
        self.tell(format_args!("a checkpoint"));
        if self.unless_troubled("a checkpoint", done)?.is_some() {
            let durable = self.durable_now()?;
            self.promised(durable, durable)?;
        }
        Ok(())
    }

    pub(super) fn clean(&mut self) -> Checked<()> {
        let is_all = self.chooser.choose(4, "compact") == 3;
        let Some(process) = &self.process else { return Ok(()) };
        let done = if is_all { process.env.compact() } else { process.env.clean() };
        let what = if is_all { "compaction" } else { "cleaning" };
        self.tell(format_args!("{what}: {done:?}"));
        self.unless_troubled(what, done).map(drop)
    }

    /// A snapshot is taken and kept, or looked at and let go.
    pub(super) fn snapshot(&mut self) -> Checked<()> {
        const MOST: usize = 3;
        let lets_go = self.chooser.choose(3, "let-go") == 2;
        let Some(process) = &mut self.process else { return Ok(()) };
        if !lets_go && process.held.len() < MOST {
            let snapshot = process.env.snapshot();
            if let Some(snapshot) = self.unless_troubled("a snapshot", snapshot)? {
                self.tell(format_args!("a snapshot of commit {}", snapshot.commit()));
                let contents = self.seen_by(&snapshot)?.clone();
                if let Some(process) = &mut self.process {
                    process.held.push((snapshot, contents));
                }
            }
            return Ok(());
        }
        if process.held.is_empty() {
            return Ok(());
        }
        let which = self.chooser.choose(process.held.len(), "which");
        let (snapshot, contents) = process.held.swap_remove(which);
        let seen = contents.difference_from(&snapshot);
        let commit = snapshot.commit();
        self.tell(format_args!("the snapshot of commit {commit} is looked at and let go"));
        match self.unless_troubled("reading a snapshot", seen)?.flatten() {
            None => Ok(()),
            Some(story) => {
                let story = format!("a snapshot of commit {commit}: {story}");
                Err(Problem::new(Wrong::Content, story))
            }
        }
    }

    /// What a snapshot must hold: all that was acknowledged, at least.
    fn seen_by(&self, snapshot: &Snapshot) -> Checked<&Contents> {
        let (commit, newest) = (snapshot.commit(), self.ledger.begun());
        let least = self.process.as_ref().map_or(0, |process| process.acknowledged);
        let state = self.ledger.state(commit).filter(|_| commit >= least);
        state.ok_or_else(|| {
            let story = format!("a snapshot is of commit {commit} instead of {least} to {newest}");
            Problem::new(Wrong::Content, story)
        })
    }

    /// Reads everything: as of now, and as far as it is durable.
    pub(super) fn read(&mut self) -> Checked<()> {
        let Some(process) = &self.process else { return Ok(()) };
        let (now, durable) = (process.env.snapshot(), process.env.durable_snapshot());
        self.tell(format_args!("everything is read"));
        let Some(now) = self.unless_troubled("a snapshot", now)? else { return Ok(()) };
        let state = self.seen_by(&now)?;
        let look_up = self.process.as_ref().and_then(|process| state.wrong_value(&process.env));
        let now = state.difference_from(&now);
        let now = self.unless_troubled("reading", now)?.flatten().or(look_up);
        if let Some(story) = now {
            return Err(Problem::new(Wrong::Content, story));
        }
        let Some(durable) = self.unless_troubled("a durable snapshot", durable)? else {
            return Ok(());
        };
        let commit = durable.commit();
        let Some(state) = self.ledger.state(commit).filter(|_| commit >= self.ledger.durable())
        else {
            let known = self.ledger.durable();
            let story = format!("commit {known} is durable, the durable snapshot is of {commit}");
            return Err(Problem::new(Wrong::LostCommit, story));
        };
        let difference = state.difference_from(&durable);
        match self.unless_troubled("reading what is durable", difference)?.flatten() {
            None => self.promised(commit, commit),
            Some(story) => {
                let story = format!("the durable snapshot, of commit {commit}: {story}");
                Err(Problem::new(Wrong::Content, story))
            }
        }
    }

    /// A step of scrubbing; at the end of a pass nothing may be found.
    pub(super) fn scrub(&mut self) -> Checked<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let Some(mut scrub) = process.scrub.take() else {
            let begun = process.env.begin_scrub(0);
            self.tell(format_args!("scrubbing begins"));
            let scrub = self.unless_troubled("scrubbing", begun)?;
            if let Some(process) = &mut self.process {
                process.scrub = scrub;
            }
            return Ok(());
        };
        let stepped = scrub.step();
        match self.unless_troubled("scrubbing", stepped)? {
            Some(Some(_)) => {
                if let Some(process) = &mut self.process {
                    process.scrub = Some(scrub);
                }
            }
            Some(None) => {
                let report = scrub.into_report();
                self.tell(format_args!("scrubbing has come to its end: {report:?}"));
                if let Some(finding) = report.findings.first().filter(|_| !self.is_troubled()) {
                    return Err(Problem::new(Wrong::Finding, format!("scrubbing: {finding}")));
                }
            }
            None => {}
        }
        Ok(())
    }

    pub(super) fn verify(&mut self) -> Checked<()> {
        let Some(process) = &self.process else { return Ok(()) };
        let verified = process.env.verify(&VerifyOptions::new());
        self.tell(format_args!("verification"));
        let Some(report) = self.unless_troubled("verification", verified)? else { return Ok(()) };
        match report.findings.first() {
            Some(finding) if !self.is_troubled() => {
                Err(Problem::new(Wrong::Finding, format!("verification: {finding}")))
            }
            _ => Ok(()),
        }
    }

    /// The environment is closed and opened again; while others use it, that is refused.
    pub(super) fn close(&mut self) -> Checked<()> {
        let is_rude = self.chooser.choose(3, "rude") == 2;
        let Some(process) = &self.process else { return Ok(()) };
        if self.is_in_backup {
            return Ok(());
        }
        let is_used = !process.held.is_empty() || process.clients.iter().any(Option::is_some);
        if is_rude && is_used {
            let answer = process.env.clone().close();
            self.tell(format_args!("closing is refused: {answer:?}"));
            if !matches!(answer, Err(EnvError::Busy { .. })) && !self.is_troubled() {
                let story =
                    format!("closing, with transactions or snapshots open, answers {answer:?}");
                return Err(Problem::new(Wrong::Run, story));
            }
            return Ok(());
        }
        self.close_in_order()?;
        if self.process.is_none() && !self.is_dead() { self.reopen() } else { Ok(()) }
    }

    /// Lets go of everything and closes. If trouble prevents it, the process ends by itself.
    pub(super) fn close_in_order(&mut self) -> Checked<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        process.held.clear();
        process.clients.iter_mut().for_each(|client| drop(client.take()));
        process.waiting.clear();
        process.scrub = None;
        let closed = process.env.clone().close();
        self.tell(format_args!("the environment is closed"));
        let is_lied_to = self.process.as_ref().is_some_and(|process| process.is_lied_to);
        match self.unless_troubled("closing", closed)? {
            Some(()) => {
                let begun = self.ledger.begun();
                self.promised(begun, begun)?;
                if is_lied_to {
                    return self.power();
                }
                self.process = None;
                Ok(())
            }
            // The environment is closed, but not in order.
            None if self.is_dead() => Ok(()),
            None => self.reboot(),
        }
    }
}
