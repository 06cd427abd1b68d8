//! Trouble: calls to the disk that fail, reads that are wrong, a full device; and what has to be so
//! meanwhile and afterwards.

use cairn_env::{EnvError, ErrorKind};
use cairn_io::{IoOp, World as _};
use cairn_sim::{ChooserExt as _, Fault, Rule};

use super::Simulation;
use crate::problem::{Checked, Problem, Wrong};

/// Something is wrong with the disk of the environment.
pub(super) struct Trouble {
    /// For so many events more.
    left: usize,
    /// Whether the device is full, or soon will be.
    pub(super) is_full: bool,
}

/// How many events trouble lasts.
const LASTS: [usize; 3] = [1, 8, 40];

impl Simulation<'_> {
    /// From some call on, one or all fail, or the device has little room.
    pub(super) fn fault(&mut self) {
        const OPS: [IoOp; 5] = [IoOp::Write, IoOp::Sync, IoOp::Create, IoOp::Read, IoOp::Rename];
        const FAULTS: [Fault; 5] =
            [Fault::Eio, Fault::NoSpace, Fault::Short, Fault::PartThenEio, Fault::ReadOnly];
        const ROOM: [u64; 3] = [0, 5_000, 40_000];
        let is_full = self.chooser.choose(4, "full") == 3;
        if is_full {
            let room = *self.chooser.pick(&ROOM, "room");
            self.begin_trouble(true, None, &format!("the device has {room} bytes left"));
            if let Some(process) = &self.process {
                process.faults.give_room(room);
            }
            return;
        }
        let (op, fault) = (*self.chooser.pick(&OPS, "call"), *self.chooser.pick(&FAULTS, "fault"));
        let nth = self.chooser.choose(6, "nth");
        let lasts = self.chooser.choose_bool("lasts");
        let rule = Rule::new(fault).op(op).nth(nth as u64);
        let rule = if lasts { rule.and_on() } else { rule };
        let on = if lasts { " and all after it" } else { "" };
        let what = format!("{op} number {nth} from here{on} is going to meet {fault:?}");
        self.begin_trouble(false, Some(rule), &what);
    }

    /// A read is going to be wrong, or to fail.
    pub(super) fn misread(&mut self) {
        let bit = self.chooser.choose(1 << 15, "bit");
        let faults = [Fault::FlippedRead(bit), Fault::Zero, Fault::Eio];
        let fault = *self.chooser.pick(&faults, "misread");
        let nth = self.chooser.choose(12, "nth");
        let rule = Rule::new(fault).op(IoOp::Read).nth(nth as u64);
        let what = format!("read number {nth} from here is going to meet {fault:?}");
        self.begin_trouble(false, Some(rule), &what);
    }

    fn begin_trouble(&mut self, is_full: bool, rule: Option<Rule>, what: &str) {
        let left = *self.chooser.pick(&LASTS, "trouble");
        let Some(process) = &mut self.process else { return };
        rule.into_iter().for_each(|rule| process.faults.inject(rule));
        let is_full = is_full || process.trouble.as_ref().is_some_and(|trouble| trouble.is_full);
        process.trouble = Some(Trouble { left, is_full });
        self.tell(format_args!("{what}, for {left} events"));
    }

    /// Trouble goes on for an event, or is over.
    pub(super) fn endure(&mut self) -> Checked<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        match &mut process.trouble {
            None => Ok(()),
            Some(trouble) if trouble.left > 0 => {
                trouble.left -= 1;
                Ok(())
            }
            Some(_) => self.lift(),
        }
    }

    /// Trouble is over: everything is there again.
    pub(super) fn lift(&mut self) -> Checked<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        if process.trouble.take().is_none() {
            return Ok(());
        }
        let struck = process.faults.struck();
        process.faults.clear();
        process.faults.forget_struck();
        let (faults, is_lied_to) = (process.faults.clone(), process.is_lied_to);
        // What it has found by now may be due to that.
        process.scrub = None;
        // What could not be made durable is tried again after an interval.
        let again = process.world.monotonic() + self.settings.options().flush_interval;
        for (_, at) in &mut process.deadlines {
            *at = again.max(*at);
        }
        self.skip_syncs(&faults, is_lied_to);
        self.tally.faults += struck.len() as u64;
        self.tell(format_args!("the disk is as it should be again; it was not for {struck:?}"));
        self.read()
    }

    /// The environment has failed: it says so to everybody, until it is opened again.
    pub(super) fn poisoned(&mut self) -> Checked<()> {
        let is_excused = self.is_troubled();
        let Some(process) = &mut self.process else { return Ok(()) };
        let cause = process.env.failure().map(|error| error.to_string()).unwrap_or_default();
        if !is_excused {
            return Err(Problem::new(Wrong::Run, format!("the environment has failed: {cause}")));
        }
        let answers = [
            ("a snapshot", process.env.snapshot().map(drop)),
            ("a transaction", process.env.begin_write().map(drop)),
            ("a sync", process.env.sync()),
            ("a checkpoint", process.env.checkpoint().map(drop)),
        ];
        let is_poisoned = |error: &EnvError| error.kind() == ErrorKind::Poisoned;
        for (what, answer) in answers {
            if !answer.as_ref().is_err_and(is_poisoned) {
                let story = format!("the environment has failed, and {what} answers {answer:?}");
                return Err(Problem::new(Wrong::Run, story));
            }
        }
        for (snapshot, contents) in &process.held {
            if let Ok(Some(story)) = contents.difference_from(snapshot) {
                let story = format!("a snapshot after a failure: {story}");
                return Err(Problem::new(Wrong::Silent, story));
            }
        }
        let struck = process.faults.struck();
        self.tally.faults += struck.len() as u64;
        self.tally.poisoned += 1;
        self.tell(format_args!("the environment has failed: {cause}; struck were {struck:?}"));
        self.reboot()
    }
}
