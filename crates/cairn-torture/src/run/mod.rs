//! The runner: carries out a script once, on disks that write down what happens.

mod background;
mod book;
mod clients;
mod commits;
mod copies;
mod generations;
mod keys;

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cairn_env::{EnvError, Environment, PendingCommit, Snapshot};
use cairn_sim::{Bounds, Fault, FaultDisk, Image, Rule, Seeded, SimDisk, SimWorld};

pub use book::{BackupState, Generations, Knowledge, Life, Recording, RestoreState};
use book::{Book, Tape};
pub(crate) use book::{KNOWS, begin, branch, state};
use copies::{By, Copies};
pub(crate) use copies::{backup_name, restore_name};
use generations::Switch;

use crate::{
    client::Client,
    model::Contents,
    operation::Operation,
    problem::{Checked, Problem, Wrong, caught},
    row::Row,
    script::Script,
};

/// Runs a script and records it. The same script gives the same recording.
///
/// # Errors
/// If an operation fails or shows something wrong: nothing is wrong with the disk, so it must not.
pub fn record(script: &Script) -> Checked<Recording> {
    let mut runner = Runner::new(script);
    for (number, operation) in script.operations.iter().enumerate() {
        caught(|| runner.perform(operation)).map_err(|problem| {
            let story = format!("operation {number}, `{operation}`: {}", problem.story);
            Problem::new(problem.wrong, story)
        })?;
    }
    Ok(runner.finish())
}

pub(crate) fn failed(error: impl std::fmt::Display) -> Problem {
    Problem::new(Wrong::Run, error)
}

/// One process that has the environment open.
struct Process {
    env: Environment,
    /// Between it and the disk: lets it die.
    faults: FaultDisk,
    world: SimWorld,
    waiting: Vec<PendingCommit>,
    /// Open transactions.
    clients: BTreeMap<u8, Client>,
    /// Snapshots that are kept, with what they hold.
    held: Vec<(Snapshot, Contents)>,
    /// Commits that are to be durable by then.
    deadlines: Vec<(u64, Duration)>,
    /// Whether its first write is still to come: the first one finishes recovery.
    fresh: Option<Row>,
}

struct Runner<'s> {
    script: &'s Script,
    book: Mutex<Book>,
    copies: Copies,
    process: Option<Process>,
    random: Seeded,
    /// Lives of the environment's disk that ended with a power failure.
    ended: Vec<Life>,
    /// The call at which the process is to die, while an operation runs in which it does.
    dies_at: Option<u32>,
    /// Whether a dropped database may not be empty yet.
    graves: bool,
    /// A restore in place, or going back from one, that may not have come to its end.
    switch: Option<Switch>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From its `calls`-th call on everything that a process does fails: it is dead.
fn let_die(faults: &FaultDisk, calls: u32) {
    faults.inject(Rule::new(Fault::Eio).nth(calls.into()).and_on());
}

impl<'s> Runner<'s> {
    fn new(script: &'s Script) -> Self {
        Self {
            script,
            book: Mutex::new(Book::new()),
            copies: Copies::new(),
            process: None,
            random: Seeded::new(script.settings.seed),
            ended: Vec::new(),
            dies_at: None,
            graves: false,
            switch: None,
        }
    }

    fn perform(&mut self, operation: &Operation) -> Checked<()> {
        match operation {
            Operation::Open => self.open(),
            Operation::Commit(durability, changes) => self.commit(*durability, changes),
            Operation::Submit(changes) => self.submit(changes),
            Operation::Wait => self.wait(),
            Operation::Sync => self.in_process(Row::Group, |env, _| env.sync()),
            Operation::Checkpoint => self.checkpoint(),
            Operation::Read => self.read(),
            Operation::Work => self.work(40),
            Operation::Step => self.work(1),
            Operation::Pass(ms) => {
                if let Some(process) = &self.process {
                    process.world.advance(Duration::from_millis((*ms).into()));
                }
                Ok(())
            }
            Operation::Close => self.close(),
            Operation::Clean => self.in_process(Row::Clean, |env, _| env.clean().map(drop)),
            Operation::Compact => self.in_process(Row::Clean, |env, _| env.compact().map(drop)),
            Operation::Hold => self.hold(),
            Operation::Release => self.release(),
            Operation::Client(number, act) => self.client(*number, act),
            Operation::Contend(rivals, changes) => self.contend(*rivals, changes),
            Operation::Backup(since, changes) => self.backup(*since, By::Writer(changes)),
            Operation::BackupBeside(since) => self.backup(*since, By::Reader),
            Operation::Restore => self.restore(),
            Operation::Replace => self.replace(),
            Operation::Undo => self.undo(),
            Operation::Forget => self.forget(),
            Operation::Rekey => self.rekey(),
            Operation::Die(calls, operation) => self.die(*calls, operation),
            Operation::Power(level, seed) => {
                let mut chooser = Seeded::new((*seed).into()).stream("power");
                let disk = self.disk();
                let crashed = disk.crash(*level, &Bounds::smoke(), &mut chooser);
                self.kill();
                self.lose_power(&crashed.image)
            }
        }
    }

    /// The disk holds `image` now, and what was only written may be gone.
    fn lose_power(&mut self, image: &Image) -> Checked<()> {
        let mut book = lock(&self.book);
        let Book { expected, instead, kept, .. } = &mut *book;
        for one in [Some(expected), instead.as_mut(), kept.as_mut()].into_iter().flatten() {
            one.written = one.durable;
        }
        let knows = Knowledge::Environment(book.generations());
        let tape = Tape::new(SimDisk::from_image(image), knows);
        let ended = std::mem::replace(&mut book.environment, tape);
        self.ended.push(ended.into_life());
        drop(book);
        self.settle_switch()
    }

    fn finish(mut self) -> Recording {
        self.kill();
        let Book { histories, environment, .. } =
            self.book.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut lives = self.ended;
        lives.push(environment.into_life());
        lives.extend(self.copies.into_lives());
        Recording { histories, lives }
    }

    /// The disk of the environment.
    fn disk(&self) -> SimDisk {
        lock(&self.book).environment.disk.clone()
    }

    fn open(&mut self) -> Checked<()> {
        if self.process.is_some() {
            return Ok(());
        }
        self.settle_switch()?;
        let book = lock(&self.book);
        let disk = book.environment.disk.clone();
        let before = book.expected;
        drop(book);
        let is_new = !disk.image().files().any(|(path, _)| path == "CURRENT");
        let is_spread = self.script.settings.directories > 0;
        let row = match (is_new, is_spread) {
            (true, false) => Row::Create,
            (true, true) => Row::CreateSpread,
            (false, false) => Row::Recovery,
            (false, true) => Row::RecoverySpread,
        };
        let _doing = disk.operation(row.name());
        let faults = FaultDisk::new(disk.root());
        if let Some(calls) = self.dies_at {
            let_die(&faults, calls);
        }
        let world = SimWorld::new(self.random.next_u64());
        let options = self.script.settings.options();
        let (env, report) =
            Environment::open_in(faults.root(), world.world(), options).map_err(failed)?;
        let found = report.sequence;
        if found < before.written || found > before.begun {
            let story =
                format!("commits {} to {} expected; {report}", before.written, before.begun);
            return Err(Problem::new(Wrong::LostCommit, story));
        }
        let mut book = lock(&self.book);
        book.reopened(found);
        // What it says is durable must be, even if it was only written when its last process died.
        let durable = env.stats().map_err(failed)?.durable_commits;
        book.acknowledge(found, durable);
        let difference = book.newest().difference(&env).map_err(failed)?;
        drop(book);
        self.process = Some(Process {
            env,
            faults,
            world,
            waiting: Vec::new(),
            clients: BTreeMap::new(),
            held: Vec::new(),
            deadlines: Vec::new(),
            fresh: Some(row),
        });
        difference.map_or(Ok(()), |story| Err(Problem::new(Wrong::Content, story)))
    }

    /// Does something in the open environment, and takes note of what has become durable by it.
    fn in_process(
        &mut self,
        row: Row,
        act: impl FnOnce(&Environment, &SimWorld) -> Result<(), EnvError>,
    ) -> Checked<()> {
        let Some(process) = &self.process else { return Ok(()) };
        let disk = self.disk();
        let _doing = disk.operation(row.name());
        act(&process.env, &process.world).map_err(failed)?;
        let stats = process.env.stats().map_err(failed)?;
        let mut book = lock(&self.book);
        if row == Row::Group && stats.durable_commits < book.expected.begun {
            return Err(failed("a sync has left commits that are not durable"));
        }
        book.acknowledge(stats.durable_commits, stats.durable_commits);
        Ok(())
    }

    fn read(&mut self) -> Checked<()> {
        let Some(process) = &self.process else { return Ok(()) };
        let newest = lock(&self.book).newest().clone();
        let difference = newest.difference(&process.env).map_err(failed)?;
        // A scan lets nodes go again; these look-ups keep them.
        let difference = difference.or_else(|| newest.wrong_value(&process.env));
        difference.map_or(Ok(()), |story| Err(Problem::new(Wrong::Content, story)))
    }

    fn hold(&mut self) -> Checked<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let snapshot = process.env.snapshot().map_err(failed)?;
        process.held.push((snapshot, lock(&self.book).newest().clone()));
        Ok(())
    }

    fn release(&mut self) -> Checked<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        for (snapshot, contents) in process.held.drain(..) {
            if let Some(story) = contents.difference_from(&snapshot).map_err(failed)? {
                let story = format!("a snapshot of commit {}: {story}", snapshot.commit());
                return Err(Problem::new(Wrong::Content, story));
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Checked<()> {
        self.release()?;
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.waiting.clear();
        process.clients.clear();
        let disk = self.disk();
        let _doing = disk.operation(Row::Close.name());
        // A handle stays, so that an environment that did not close well is killed, not dropped.
        let closed = process.env.clone().close();
        if let Err(error) = closed {
            self.process = Some(process);
            return Err(failed(error));
        }
        let mut book = lock(&self.book);
        let newest = book.expected.begun;
        book.acknowledge(newest, newest);
        Ok(())
    }

    fn die(&mut self, calls: u32, operation: &Operation) -> Checked<()> {
        if let Some(process) = &self.process {
            let_die(&process.faults, calls);
        }
        self.copies.let_die(calls);
        self.dies_at = Some(calls);
        // Whether it came to its end, or failed because everything did, does not matter.
        let died = self.perform(operation);
        self.dies_at = None;
        self.kill();
        self.copies.live_on();
        match died {
            Err(problem) if problem.wrong != Wrong::Run => Err(problem),
            _ => Ok(()),
        }
    }

    /// The process dies: nothing that it still does reaches the disk.
    fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            let_die(&process.faults, 0);
            drop(process);
        }
    }
}
