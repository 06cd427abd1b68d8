//! The author of scripts: writes what a workload is made of, as a chooser wants it.

use std::time::Duration;

use cairn_env::Durability;
use cairn_sim::{Chooser, ChooserExt, Level};

use super::Workload;
use crate::operation::{Act, Change, Operation, Since};

/// A few operations that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A durable commit.
    Commit,
    /// A commit that is written, and not synced.
    Written,
    /// Some commits that are not even written, and then perhaps a sync.
    Later,
    /// Commits that are to become durable in time, and the time for that.
    Relaxed,
    /// Commits that share a sync.
    Group,
    /// Transactions that are open at the same time.
    Clients,
    /// A transaction that meets with conflicts.
    Contend,
    /// A commit that drops a database.
    Drop,
    Checkpoint,
    /// The cleaner, until it is done.
    Clean,
    /// Reading everything.
    Read,
    /// A snapshot, kept for some time.
    Snapshot,
    /// Commits, then the worker, often before so much is dirty that a checkpoint is due: nodes that
    /// memory has no room for are written alone.
    Evict,
    /// More commits than replay takes at once, then the process dies.
    Replay,
    /// Commits between the steps of the worker.
    Between,
    /// A commit that nothing makes durable, between two steps of a checkpoint of durable ones.
    Overtaking,
    /// The worker, after some time.
    Work,
    Reopen,
    /// It is closed, a key epoch begins, and it is opened again.
    Rekey,
    /// The process dies in the middle of something.
    Die(Death),
    /// The process dies in the middle of its first write: at each of its calls in turn.
    FirstWrites,
    /// The power fails.
    Power,
    /// The power fails in the middle of writing a commit.
    Torn,
    Backup,
    /// A backup that takes over what has not changed.
    Increment,
    /// Two backups by another process, the second since the first, and a commit in between.
    Beside,
    Restore,
    /// A restore in place.
    Replace,
    /// Back to what was there before.
    Undo,
    /// Farewell to it.
    Forget,
}

/// In the middle of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Death {
    Anything,
    Open,
    Clean,
    Backup,
    Restore,
    /// A restore in place, going back from one, or letting go.
    Switch,
}

pub(super) struct Author<'a, C: ?Sized> {
    workload: &'a Workload,
    chooser: &'a mut C,
    operations: Vec<Operation>,
}

impl<'a, C: Chooser + ?Sized> Author<'a, C> {
    pub(super) fn new(workload: &'a Workload, chooser: &'a mut C) -> Self {
        Self { workload, chooser, operations: vec![Operation::Open] }
    }

    pub(super) fn write(mut self) -> Vec<Operation> {
        let weights: Vec<u32> = self.workload.weights.iter().map(|(weight, _)| *weight).collect();
        match self.workload.begins_with {
            0 => self.commit(Durability::Sync),
            changes => {
                let changes = (0..changes).map(|_| self.change()).collect();
                self.operations.push(Operation::Commit(Durability::Sync, changes));
            }
        }
        if self.workload.is_restored {
            self.backup(Since::Nothing);
            self.switch(Operation::Replace);
        }
        for _ in 0..self.workload.parts {
            let (_, part) = self.workload.weights[self.chooser.weighted(&weights, "part")];
            self.part(part);
        }
        // What was left undurable becomes durable, or the sweep would never see it so.
        self.operations.extend([Operation::Sync, Operation::Close]);
        self.operations
    }

    fn part(&mut self, part: Part) {
        match part {
            Part::Commit => self.commit(Durability::Sync),
            Part::Written => self.commit(Durability::WriteNoSync),
            Part::Later => {
                for _ in 0..self.chooser.range(1..4, "later") {
                    self.commit(Durability::NoSync);
                }
                if self.chooser.choose(3, "sync") == 1 {
                    self.operations.push(Operation::Sync);
                }
            }
            Part::Relaxed => {
                let ms = *self.chooser.pick(&[1, 20, 300, 5000], "within");
                self.commit(Durability::Relaxed(Duration::from_millis(ms)));
                let ms = *self.chooser.pick(&[0, 1, 20, 300, 1000, 5000], "pass");
                self.operations.extend([Operation::Pass(ms), Operation::Work]);
            }
            Part::Group => {
                for _ in 0..self.chooser.range(2..5, "group") {
                    let changes = self.changes();
                    self.operations.push(Operation::Submit(changes));
                }
                self.operations.push(Operation::Wait);
            }
            Part::Clients => self.clients(),
            Part::Contend => {
                let rivals = u32::try_from(self.chooser.range(0..9, "rivals")).unwrap_or(0);
                let changes = self.changes();
                self.operations.push(Operation::Contend(rivals, changes));
            }
            Part::Drop => {
                let mut changes = self.changes();
                let at = self.chooser.range(0..changes.len() + 1, "at");
                changes.insert(at, Change::Drop { database: self.database() });
                let durability = self.durability();
                self.operations.push(Operation::Commit(durability, changes));
            }
            Part::Checkpoint => self.operations.push(Operation::Checkpoint),
            Part::Clean => {
                let all = self.chooser.choose(3, "compact") == 0;
                self.operations.push(if all { Operation::Compact } else { Operation::Clean });
            }
            Part::Read => self.operations.push(Operation::Read),
            Part::Snapshot => {
                let is_over = self.chooser.choose(3, "release") == 0;
                self.operations.push(if is_over { Operation::Release } else { Operation::Hold });
            }
            Part::Evict => {
                self.commit(Durability::Sync);
                self.commit(Durability::NoSync); // which wakes the worker
                self.operations.extend([Operation::Pass(1500), Operation::Work]);
            }
            Part::Replay => {
                /// Replay looks at its memory after so many.
                const AT_ONCE: usize = 256;
                for _ in 0..AT_ONCE + 14 {
                    self.commit(Durability::NoSync);
                }
                let dead = Operation::Die(0, Box::new(Operation::Sync));
                self.operations.extend([Operation::Sync, dead, Operation::Open]);
                self.commit(Durability::Sync);
            }
            Part::Between => {
                for _ in 0..self.chooser.range(1..6, "steps") {
                    let durability = self.durability();
                    self.commit(durability);
                    self.operations.push(Operation::Step);
                }
            }
            Part::Overtaking => {
                (0..4).for_each(|_| self.commit(Durability::Sync));
                self.operations.push(Operation::Step);
                self.commit(Durability::WriteNoSync);
                self.operations.extend([Operation::Step, Operation::Step]);
            }
            Part::Work => {
                let ms = *self.chooser.pick(&[0, 5, 20, 1500], "pass");
                self.operations.extend([Operation::Pass(ms), Operation::Work]);
            }
            Part::Reopen => self.operations.extend([Operation::Close, Operation::Open]),
            Part::Rekey => {
                self.operations.extend([Operation::Close, Operation::Rekey, Operation::Open]);
            }
            Part::Die(death) => self.death(death),
            Part::FirstWrites => self.first_writes(),
            Part::Power => {
                let level = *self.chooser.pick(&Level::ALL, "level");
                let seed = self.number("power");
                self.operations.extend([Operation::Power(level, seed), Operation::Open]);
            }
            Part::Torn => {
                self.commit(Durability::WriteNoSync);
                let seed = self.number("power");
                self.operations.extend([Operation::Power(Level::Torn, seed), Operation::Open]);
                self.commit(Durability::Sync);
            }
            Part::Backup => self.backup(Since::Nothing),
            Part::Increment => {
                let carried = self.chooser.choose(4, "carried") == 0;
                self.backup(if carried { Since::Carried } else { Since::Newest });
            }
            Part::Beside => {
                let since = *self.chooser.pick(&[Since::Nothing, Since::Newest], "since");
                self.operations.push(Operation::BackupBeside(since));
                self.commit(Durability::Sync);
                self.operations.push(Operation::BackupBeside(Since::Newest));
            }
            Part::Restore => self.operations.push(Operation::Restore),
            Part::Replace => self.switch(Operation::Replace),
            Part::Undo => self.switch(Operation::Undo),
            Part::Forget => self.switch(Operation::Forget),
        }
    }

    fn backup(&mut self, since: Since) {
        let mut changes = self.changes();
        changes.truncate(3);
        self.operations.push(Operation::Backup(since, changes));
    }

    /// Something that nobody may have the environment open for, then a commit.
    fn switch(&mut self, operation: Operation) {
        self.operations.extend([Operation::Close, operation, Operation::Open]);
        self.commit(Durability::Sync);
    }

    /// What some of three transactions do next, each in its own time.
    fn clients(&mut self) {
        for _ in 0..self.chooser.range(3..10, "acts") {
            let client = u8::try_from(self.chooser.choose(3, "client")).unwrap_or(0);
            let act = match self.chooser.weighted(&[4, 5, 2, 5, 1, 1, 4, 1], "act") {
                0 => Act::Begin,
                1 => Act::Get(self.database(), self.key()),
                2 => Act::Scan(self.database()),
                3 => Act::Change(self.changes()),
                4 => Act::Save,
                5 => Act::Back,
                6 => Act::End(self.durability()),
                _ => Act::Abort,
            };
            self.operations.push(Operation::Client(client, act));
        }
    }

    /// One process after the other dies in its first write, a call later each, and somebody else goes on: in
    /// what each leaves, another name or another end of a journal is not durable yet.
    fn first_writes(&mut self) {
        /// What a first write takes, syncs of data directories included.
        const CALLS: u32 = 24;
        for calls in 0..CALLS {
            let first = Operation::Commit(Durability::Sync, self.changes());
            let dies = Operation::Die(calls, Box::new(first));
            self.operations.extend([Operation::Close, Operation::Open, dies, Operation::Open]);
            self.commit(Durability::Sync);
        }
    }

    fn death(&mut self, death: Death) {
        let operation = match death {
            Death::Anything => match self.chooser.choose(7, "death") {
                0 => Operation::Commit(Durability::Sync, self.changes()),
                1 => Operation::Commit(Durability::WriteNoSync, self.changes()),
                2 => Operation::Checkpoint,
                3 => Operation::Close,
                4 => Operation::Work,
                5 => Operation::Clean,
                _ => Operation::Sync,
            },
            Death::Open => {
                // As good as the first open: everything before it is undone.
                self.operations.clear();
                Operation::Open
            }
            Death::Clean => match self.chooser.choose(2, "death") {
                0 => Operation::Clean,
                _ => Operation::Compact,
            },
            Death::Backup => Operation::Backup(Since::Newest, Vec::new()),
            Death::Restore => Operation::Restore,
            Death::Switch => {
                self.operations.push(Operation::Close);
                let all = [Operation::Replace, Operation::Undo, Operation::Forget];
                self.chooser.pick(&all, "death").clone()
            }
        };
        let calls = match death {
            Death::Backup | Death::Restore | Death::Clean => self.chooser.range(0..120, "calls"),
            // An undo is a few calls, and its last ones matter most.
            Death::Switch if operation == Operation::Undo => self.chooser.range(0..16, "calls"),
            Death::Switch => self.chooser.range(0..90, "calls"),
            _ => self.chooser.range(0..25, "calls"),
        };
        let calls = u32::try_from(calls).unwrap_or(0);
        self.operations.extend([Operation::Die(calls, Box::new(operation)), Operation::Open]);
        if matches!(death, Death::Open | Death::Switch) {
            self.commit(Durability::Sync);
        }
    }

    fn durability(&mut self) -> Durability {
        let relaxed = Durability::Relaxed(Duration::from_millis(20));
        let all = [Durability::WriteNoSync, Durability::NoSync, Durability::Sync, relaxed];
        *self.chooser.pick(&all, "durability")
    }

    fn commit(&mut self, durability: Durability) {
        let changes = self.changes();
        self.operations.push(Operation::Commit(durability, changes));
    }

    fn changes(&mut self) -> Vec<Change> {
        let count = self.chooser.range(1..self.workload.changes + 1, "changes");
        (0..count).map(|_| self.change()).collect()
    }

    fn change(&mut self) -> Change {
        let (database, key) = (self.database(), self.key());
        let drops = self.workload.drops;
        if drops > 0 && self.chooser.choose(drops, "drop") == drops - 1 {
            return Change::Drop { database };
        }
        if self.chooser.choose(6, "delete") == 5 {
            return Change::Delete { database, key };
        }
        let len = *self.chooser.pick(self.workload.lens, "len");
        let len = u32::try_from(len).unwrap_or(0);
        Change::Put { database, key, value: self.number("value"), len }
    }

    /// Most of the time the first one.
    fn database(&mut self) -> u8 {
        if self.chooser.choose(4, "database") < 3 {
            return 0;
        }
        let other = 1 + self.chooser.choose(self.workload.databases - 1, "other");
        u8::try_from(other).unwrap_or(0)
    }

    fn key(&mut self) -> u16 {
        u16::try_from(self.chooser.choose(self.workload.keys, "key")).unwrap_or(0)
    }

    fn number(&mut self, tag: &'static str) -> u32 {
        u32::try_from(self.chooser.choose(1 << 20, tag)).unwrap_or(0)
    }
}
