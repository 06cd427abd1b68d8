//! The runner: carries out a script once, on disks that write down what happens.

mod book;
mod copies;

use std::sync::{Mutex, MutexGuard, PoisonError};

use cairn_env::{Durability, EnvError, Environment, PendingCommit};
use cairn_sim::{Bounds, Fault, FaultDisk, Rule, Seeded, SimDisk, SimWorld};

pub use book::{BackupState, Knowledge, Life, Recording, RestoreState};
use book::{Book, Tape};
pub(crate) use book::{KNOWS, state};
use copies::Copies;
pub(crate) use copies::{backup_name, restore_name};

use crate::{
    model::fill,
    operation::{Change, Operation},
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
        }
    }

    fn perform(&mut self, operation: &Operation) -> Checked<()> {
        match operation {
            Operation::Open => self.open(),
            Operation::Commit(durability, changes) => self.commit(*durability, changes),
            Operation::Submit(changes) => self.submit(changes),
            Operation::Wait => self.wait(),
            Operation::Sync => self.in_process(Row::Group, |env, _| env.sync()),
            Operation::Checkpoint => {
                self.in_process(Row::Checkpoint, |env, _| env.checkpoint().map(drop))
            }
            Operation::Read => self.read(),
            Operation::Work => self.in_process(Row::Eviction, |_, world| {
                world.run_until_idle(40);
                Ok(())
            }),
            Operation::Step => self.in_process(Row::Checkpoint, |_, world| {
                world.runnable().first().map(|worker| world.step(*worker));
                Ok(())
            }),
            Operation::Pass(ms) => {
                if let Some(process) = &self.process {
                    process.world.advance(std::time::Duration::from_millis((*ms).into()));
                }
                Ok(())
            }
            Operation::Close => self.close(),
            Operation::Backup(changes) => self.backup(changes),
            Operation::Restore => self.restore(),
            Operation::Die(calls, operation) => self.die(*calls, operation),
            Operation::Power(level, seed) => {
                let mut chooser = Seeded::new((*seed).into()).stream("power");
                let disk = lock(&self.book).environment.disk.clone();
                let crashed = disk.crash(*level, &Bounds::smoke(), &mut chooser);
                self.kill();
                let mut book = lock(&self.book);
                book.expected.written = book.expected.durable;
                let knows = Knowledge::Environment(book.expected);
                let tape = Tape::new(SimDisk::from_image(&crashed.image), knows);
                let ended = std::mem::replace(&mut book.environment, tape);
                self.ended.push(ended.into_life());
                Ok(())
            }
        }
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

    fn open(&mut self) -> Checked<()> {
        if self.process.is_some() {
            return Ok(());
        }
        let book = lock(&self.book);
        let disk = book.environment.disk.clone();
        let before = book.expected;
        drop(book);
        let is_new = !disk.image().files().any(|(path, _)| path == "CURRENT");
        let row = if is_new { Row::Create } else { Row::Recovery };
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
        self.process = Some(Process { env, faults, world, waiting: Vec::new(), fresh: Some(row) });
        difference.map_or(Ok(()), |story| Err(Problem::new(Wrong::Content, story)))
    }

    /// What a commit of these changes is, for the table.
    fn row_of(process: &mut Process, durability: Durability, changes: &[Change]) -> Row {
        let is_large = |change: &Change| matches!(change, Change::Put { len, .. } if *len as usize > crate::model::EMBED_MAX);
        process.fresh.take().unwrap_or(match durability {
            Durability::Sync if changes.iter().any(is_large) => Row::LargeValue,
            Durability::Sync => Row::Commit,
            _ => Row::Group,
        })
    }

    fn commit(&mut self, durability: Durability, changes: &[Change]) -> Checked<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let row = Self::row_of(process, durability, changes);
        commit(&self.book, &process.env, row, durability, changes).map_err(failed)
    }

    fn submit(&mut self, changes: &[Change]) -> Checked<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let row = Self::row_of(process, Durability::NoSync, changes);
        let disk = lock(&self.book).environment.disk.clone();
        let _doing = disk.operation(row.name());
        let mut txn = process.env.begin_write().map_err(failed)?;
        fill(&mut txn, changes).map_err(failed)?;
        if !txn.is_unchanged() {
            lock(&self.book).begin(changes);
            process.waiting.push(txn.submit(Durability::Sync).map_err(failed)?);
        }
        Ok(())
    }

    fn wait(&mut self) -> Checked<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let disk = lock(&self.book).environment.disk.clone();
        let _doing = disk.operation(Row::Group.name());
        for pending in process.waiting.drain(..) {
            let commit = pending.wait().map_err(failed)?.commit;
            lock(&self.book).acknowledge(commit, commit);
        }
        Ok(())
    }

    /// Does something in the open environment, and takes note of what has become durable by it.
    fn in_process(
        &mut self,
        row: Row,
        act: impl FnOnce(&Environment, &SimWorld) -> Result<(), EnvError>,
    ) -> Checked<()> {
        let Some(process) = &self.process else { return Ok(()) };
        let disk = lock(&self.book).environment.disk.clone();
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

    fn close(&mut self) -> Checked<()> {
        let Some(Process { env, faults, world, waiting, fresh }) = self.process.take() else {
            return Ok(());
        };
        drop(waiting);
        let disk = lock(&self.book).environment.disk.clone();
        let _doing = disk.operation(Row::Close.name());
        // A handle stays, so that an environment that did not close well is killed, not dropped.
        let handle = env.clone();
        let closed = env.close();
        let process = Process { env: handle, faults, world, waiting: Vec::new(), fresh };
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

/// Commits `changes`, and takes note of what that has made durable.
fn commit(
    book: &Mutex<Book>,
    env: &Environment,
    row: Row,
    durability: Durability,
    changes: &[Change],
) -> Result<(), EnvError> {
    let disk = lock(book).environment.disk.clone();
    let _doing = disk.operation(row.name());
    let mut txn = env.begin_write()?;
    fill(&mut txn, changes)?;
    if txn.is_unchanged() {
        return Ok(());
    }
    let begun = lock(book).begin(changes);
    let commit = txn.commit_with(durability)?.commit;
    assert_eq!(commit, begun, "commits are numbered without gaps");
    let durable = match durability {
        Durability::Sync => commit,
        _ => env.stats()?.durable_commits,
    };
    let written = if durability == Durability::WriteNoSync { commit } else { durable };
    lock(book).acknowledge(written, durable);
    Ok(())
}
