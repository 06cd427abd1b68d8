//! The workloads: what kinds of operations each is made of, and which part of the engine it is for.

use cairn_env::Durability;
use cairn_sim::{Chooser, ChooserExt, Level, Seeded};

use crate::{
    operation::{Change, Operation},
    script::{Script, Settings},
};

/// A kind of workload; with a seed it becomes a [`Script`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Workload {
    /// Its name.
    pub name: &'static str,
    settings: Settings,
    /// With how many seeds it runs in a round: short ones with more.
    pub runs_in_round: usize,
    /// How many changes its first commit has, if not as many as others.
    begins_with: usize,
    /// Processes die at the call whose number is the seed, modulo this: seeds in a row try each.
    call_of_death: Option<u32>,
    /// How many parts it has.
    parts: usize,
    /// How many keys there are: the fewer, the more is overwritten.
    keys: usize,
    /// Lengths of values.
    lens: &'static [usize],
    /// Changes of a transaction, at most.
    changes: usize,
    /// What the parts are, each as probable as its weight.
    weights: &'static [(u32, Part)],
}

/// A few operations that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// A durable commit.
    Commit,
    /// A commit that is written, and not synced.
    Written,
    /// Some commits that are not even written, and then perhaps a sync.
    Later,
    /// Commits that share a sync.
    Group,
    Checkpoint,
    /// Reading everything.
    Read,
    /// Commits, then the worker, often before so much is dirty that a checkpoint is due: nodes that
    /// memory has no room for are written alone.
    Evict,
    /// More commits than replay takes at once, then the process dies.
    Replay,
    /// Commits between the steps of a checkpoint of the worker.
    Between,
    /// The worker, after some time.
    Work,
    Reopen,
    /// The process dies in the middle of something.
    Die(Death),
    /// The power fails.
    Power,
    /// The power fails in the middle of writing a commit.
    Torn,
    Backup,
    Restore,
}

/// In the middle of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    Anything,
    Open,
    Backup,
    Restore,
}

const SMALL: &[usize] = &[0, 10, 40, 100];
const MIXED: &[usize] = &[0, 40, 100, 190, 300, 1500];
const LARGE: &[usize] = &[40, 300, 1000, 3000, 9000];

/// All workloads.
pub const WORKLOADS: &[Workload] = &[
    Workload {
        name: "create",
        settings: Settings::SMALL,
        runs_in_round: 12,
        begins_with: 0,
        call_of_death: None,
        parts: 2,
        keys: 5,
        lens: SMALL,
        changes: 2,
        weights: &[(4, Part::Commit), (1, Part::Reopen)],
    },
    // Whoever creates an environment dies at each call in turn, and somebody else goes on.
    Workload {
        name: "dying-creates",
        settings: Settings::SMALL,
        runs_in_round: 20,
        begins_with: 0,
        call_of_death: Some(20),
        parts: 1,
        keys: 5,
        lens: SMALL,
        changes: 2,
        weights: &[(1, Part::Die(Death::Open))],
    },
    Workload {
        name: "commits",
        settings: Settings::SMALL,
        runs_in_round: 1,
        begins_with: 0,
        call_of_death: None,
        parts: 40,
        keys: 30,
        lens: MIXED,
        changes: 4,
        weights: &[(6, Part::Commit), (1, Part::Written), (1, Part::Checkpoint)],
    },
    Workload {
        name: "groups",
        settings: Settings::SMALL,
        runs_in_round: 1,
        begins_with: 0,
        call_of_death: None,
        parts: 25,
        keys: 30,
        lens: SMALL,
        changes: 3,
        weights: &[(3, Part::Later), (3, Part::Group), (2, Part::Written), (1, Part::Commit)],
    },
    Workload {
        name: "large-values",
        settings: Settings::SMALL,
        runs_in_round: 1,
        begins_with: 0,
        call_of_death: None,
        parts: 25,
        keys: 10,
        lens: LARGE,
        changes: 3,
        weights: &[(6, Part::Commit), (1, Part::Later), (1, Part::Checkpoint), (1, Part::Reopen)],
    },
    Workload {
        name: "rolls",
        settings: Settings::SMALL,
        runs_in_round: 1,
        begins_with: 0,
        call_of_death: None,
        parts: 25,
        keys: 20,
        lens: &[1000, 3000, 5000],
        changes: 2,
        weights: &[(4, Part::Commit), (1, Part::Written), (1, Part::Later)],
    },
    Workload {
        name: "checkpoints",
        settings: Settings { checkpoint: 3000, ..Settings::SMALL },
        runs_in_round: 1,
        begins_with: 0,
        call_of_death: None,
        parts: 30,
        keys: 60,
        lens: SMALL,
        changes: 6,
        weights: &[(4, Part::Commit), (1, Part::Later), (2, Part::Checkpoint)],
    },
    Workload {
        name: "many-nodes",
        settings: Settings { leaf: 1024, ..Settings::SMALL },
        runs_in_round: 2,
        begins_with: 0,
        call_of_death: None,
        parts: 14,
        keys: 400,
        lens: &[100, 190],
        changes: 150,
        weights: &[(2, Part::Commit), (2, Part::Checkpoint)],
    },
    Workload {
        name: "dead-files",
        settings: Settings { leaf: 256, ..Settings::SMALL },
        runs_in_round: 1,
        begins_with: 0,
        call_of_death: None,
        parts: 40,
        keys: 8,
        lens: &[100, 1000, 4000],
        changes: 4,
        weights: &[(3, Part::Commit), (3, Part::Checkpoint)],
    },
    // The worker, and replay, write nodes that memory has no room for.
    Workload {
        name: "eviction",
        settings: Settings { cache: 64 << 10, background: true, ..Settings::SMALL },
        runs_in_round: 1,
        begins_with: 600,
        call_of_death: None,
        parts: 8,
        keys: 5000,
        lens: &[100, 190],
        changes: 2,
        weights: &[(1, Part::Read), (6, Part::Evict)],
    },
    Workload {
        name: "evicting-replay",
        settings: Settings { cache: 8 << 10, journal: 64 << 10, ..Settings::SMALL },
        runs_in_round: 1,
        begins_with: 60,
        call_of_death: None,
        parts: 1,
        keys: 200,
        lens: &[40, 100],
        changes: 1,
        weights: &[(1, Part::Replay)],
    },
    // Checkpoints of so many nodes that the worker takes several steps.
    Workload {
        name: "between-steps",
        settings: Settings { leaf: 256, checkpoint: 7000, background: true, ..Settings::SMALL },
        runs_in_round: 2,
        begins_with: 400,
        call_of_death: None,
        parts: 14,
        keys: 600,
        lens: &[20, 40],
        changes: 60,
        weights: &[(1, Part::Commit), (5, Part::Between)],
    },
    // Files that hold little else are emptied by the worker.
    Workload {
        name: "cleaning",
        settings: Settings { checkpoint: 4000, background: true, space: 70, ..Settings::SMALL },
        runs_in_round: 1,
        begins_with: 0,
        call_of_death: None,
        parts: 16,
        keys: 30,
        lens: MIXED,
        changes: 5,
        weights: &[(4, Part::Commit), (1, Part::Checkpoint), (2, Part::Evict)],
    },
    Workload {
        name: "worker",
        settings: Settings { checkpoint: 4000, background: true, ..Settings::SMALL },
        runs_in_round: 1,
        begins_with: 0,
        call_of_death: None,
        parts: 40,
        keys: 60,
        lens: MIXED,
        changes: 5,
        weights: &[(3, Part::Commit), (2, Part::Later), (2, Part::Written), (3, Part::Work)],
    },
    Workload {
        name: "reopens",
        settings: Settings::SMALL,
        runs_in_round: 1,
        begins_with: 0,
        call_of_death: None,
        parts: 20,
        keys: 20,
        lens: MIXED,
        changes: 3,
        weights: &[(2, Part::Commit), (1, Part::Later), (1, Part::Checkpoint), (3, Part::Reopen)],
    },
    Workload {
        name: "deaths",
        settings: Settings::SMALL,
        runs_in_round: 3,
        begins_with: 0,
        call_of_death: None,
        parts: 16,
        keys: 20,
        lens: MIXED,
        changes: 3,
        weights: &[
            (3, Part::Commit),
            (2, Part::Written),
            (1, Part::Checkpoint),
            (3, Part::Die(Death::Anything)),
        ],
    },
    Workload {
        name: "power-failures",
        settings: Settings::SMALL,
        runs_in_round: 1,
        begins_with: 0,
        call_of_death: None,
        parts: 30,
        keys: 20,
        lens: MIXED,
        changes: 3,
        weights: &[
            (3, Part::Commit),
            (2, Part::Written),
            (1, Part::Checkpoint),
            (2, Part::Power),
            (2, Part::Torn),
            (1, Part::Die(Death::Anything)),
        ],
    },
    // More commits than replay takes at once in so little memory, so that it writes nodes back.
    Workload {
        name: "long-replay",
        settings: Settings { leaf: 1024, cache: 16 << 10, journal: 64 << 10, ..Settings::SMALL },
        runs_in_round: 1,
        begins_with: 0,
        call_of_death: None,
        parts: 140,
        keys: 600,
        lens: &[40, 100],
        changes: 3,
        weights: &[(60, Part::Later), (1, Part::Power)],
    },
    Workload {
        name: "backups",
        settings: Settings::SMALL,
        runs_in_round: 2,
        begins_with: 0,
        call_of_death: None,
        parts: 16,
        keys: 20,
        lens: MIXED,
        changes: 3,
        weights: &[(4, Part::Commit), (3, Part::Backup), (1, Part::Die(Death::Backup))],
    },
    Workload {
        name: "restores",
        settings: Settings::SMALL,
        runs_in_round: 2,
        begins_with: 0,
        call_of_death: None,
        parts: 14,
        keys: 20,
        lens: MIXED,
        changes: 3,
        weights: &[
            (2, Part::Commit),
            (1, Part::Backup),
            (3, Part::Restore),
            (1, Part::Die(Death::Restore)),
        ],
    },
    Workload {
        name: "everything",
        settings: Settings { checkpoint: 6000, ..Settings::SMALL },
        runs_in_round: 1,
        begins_with: 0,
        call_of_death: None,
        parts: 40,
        keys: 60,
        lens: MIXED,
        changes: 5,
        weights: &[
            (8, Part::Commit),
            (3, Part::Written),
            (3, Part::Later),
            (3, Part::Group),
            (3, Part::Checkpoint),
            (2, Part::Reopen),
            (2, Part::Die(Death::Anything)),
            (2, Part::Power),
            (1, Part::Backup),
            (1, Part::Restore),
        ],
    },
];

impl Workload {
    /// The workload of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        WORKLOADS.iter().find(|workload| workload.name == name)
    }

    /// The script of a seed: the same for the same seed.
    #[must_use]
    pub fn script(&self, seed: u64) -> Script {
        let mut random = Seeded::new(seed).stream(self.name);
        let settings = Settings { seed: random.next_u64(), ..self.settings };
        let mut operations = self.operations(&mut random);
        if let Some(most) = self.call_of_death {
            for operation in &mut operations {
                if let Operation::Die(calls, _) = operation {
                    *calls = u32::try_from(seed % u64::from(most)).unwrap_or(0);
                }
            }
        }
        Script { settings, operations }
    }

    /// The operations that `chooser` wants.
    pub fn operations(&self, chooser: &mut (impl Chooser + ?Sized)) -> Vec<Operation> {
        let mut author = Author { workload: self, chooser, operations: vec![Operation::Open] };
        let weights: Vec<u32> = self.weights.iter().map(|(weight, _)| *weight).collect();
        match self.begins_with {
            0 => author.commit(Durability::Sync),
            changes => {
                let changes = (0..changes).map(|_| author.change()).collect();
                author.operations.push(Operation::Commit(Durability::Sync, changes));
            }
        }
        for _ in 0..self.parts {
            let (_, part) = self.weights[author.chooser.weighted(&weights, "part")];
            author.part(part);
        }
        // What was left undurable becomes durable, or the sweep would never see it so.
        author.operations.push(Operation::Sync);
        author.operations.push(Operation::Close);
        author.operations
    }
}

struct Author<'a, C: ?Sized> {
    workload: &'a Workload,
    chooser: &'a mut C,
    operations: Vec<Operation>,
}

impl<C: Chooser + ?Sized> Author<'_, C> {
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
            Part::Group => {
                for _ in 0..self.chooser.range(2..5, "group") {
                    let changes = self.changes();
                    self.operations.push(Operation::Submit(changes));
                }
                self.operations.push(Operation::Wait);
            }
            Part::Checkpoint => self.operations.push(Operation::Checkpoint),
            Part::Read => self.operations.push(Operation::Read),
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
                    let durability =
                        [Durability::WriteNoSync, Durability::NoSync, Durability::Sync];
                    let durability = *self.chooser.pick(&durability, "durability");
                    self.commit(durability);
                    self.operations.push(Operation::Step);
                }
            }
            Part::Work => {
                let ms = *self.chooser.pick(&[0, 5, 20, 1500], "pass");
                self.operations.extend([Operation::Pass(ms), Operation::Work]);
            }
            Part::Reopen => self.operations.extend([Operation::Close, Operation::Open]),
            Part::Die(death) => self.death(death),
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
            Part::Backup => {
                let mut changes = self.changes();
                changes.truncate(3);
                self.operations.push(Operation::Backup(changes));
            }
            Part::Restore => self.operations.push(Operation::Restore),
        }
    }

    fn death(&mut self, death: Death) {
        let operation = match death {
            Death::Anything => match self.chooser.choose(5, "death") {
                0 => Operation::Commit(Durability::Sync, self.changes()),
                1 => Operation::Commit(Durability::WriteNoSync, self.changes()),
                2 => Operation::Checkpoint,
                3 => Operation::Close,
                _ => Operation::Sync,
            },
            Death::Open => {
                // As good as the first open: everything before it is undone.
                self.operations.clear();
                Operation::Open
            }
            Death::Backup => Operation::Backup(Vec::new()),
            Death::Restore => Operation::Restore,
        };
        let calls = match death {
            Death::Backup | Death::Restore => self.chooser.range(0..120, "calls"),
            _ => self.chooser.range(0..25, "calls"),
        };
        let calls = u32::try_from(calls).unwrap_or(0);
        self.operations.extend([Operation::Die(calls, Box::new(operation)), Operation::Open]);
        if death == Death::Open {
            self.commit(Durability::Sync);
        }
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
        let database = u8::from(self.chooser.choose(4, "database") == 3);
        let key = self.chooser.choose(self.workload.keys, "key");
        let key = u16::try_from(key).unwrap_or(0);
        if self.chooser.choose(6, "delete") == 5 {
            return Change::Delete { database, key };
        }
        let len = *self.chooser.pick(self.workload.lens, "len");
        let len = u32::try_from(len).unwrap_or(0);
        Change::Put { database, key, value: self.number("value"), len }
    }

    fn number(&mut self, tag: &'static str) -> u32 {
        u32::try_from(self.chooser.choose(1 << 20, tag)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_script_and_every_script_prints_and_parses() {
        for workload in WORKLOADS {
            let script = workload.script(3);
            assert_eq!(script, Workload::find(workload.name).unwrap().script(3));
            assert_ne!(script, workload.script(4), "{}", workload.name);
            assert_eq!(script.to_string().parse(), Ok(script));
        }
    }
}
