//! `Book`: what is known at each moment of a run, written into the traces of its disks.

use cairn_sim::{Image, SimDisk, Trace};

use crate::{
    model::{Contents, Expected, History},
    operation::Change,
};

/// The label of the marks that refer to the knowledge of a [`Life`].
pub(crate) const KNOWS: &str = "knows";

/// A run, done once: everything that its crashes are made of and held against.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recording {
    /// All lines of history; after a crash a new one begins.
    pub histories: Vec<History>,
    /// What happened to each disk, from one power failure to the next.
    pub lives: Vec<Life>,
}

/// What happened to a disk until it lost power, or the run ended.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests make some that are wrong")]
pub struct Life {
    /// What was done.
    pub trace: Trace,
    /// What was known: a mark `knows` in the trace names the entry that held from there on.
    pub knowledge: Vec<Knowledge>,
}

/// What is known of a disk.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "checks must handle each")]
pub enum Knowledge {
    /// It holds an environment.
    Environment(Generations),
    /// It holds backups, in directories `b-0`, `b-1` …
    Backups(Vec<BackupState>),
    /// It holds restored environments, in directories `r-0`, `r-1` …
    Restores(Vec<RestoreState>),
}

/// What is known of an environment that may have been restored in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "checks state each field")]
pub struct Generations {
    /// What it holds.
    pub current: Expected,
    /// What it holds instead, for as long as a restore, or going back from one, may have taken effect
    /// or not.
    pub instead: Option<Expected>,
    /// What it held before a restore in place, as long as that is kept.
    pub kept: Option<Expected>,
    /// What was kept, and was let go by a call that failed: a loss of power may bring it back.
    pub let_go: Option<Expected>,
}

impl Generations {
    /// The only one that there is.
    #[must_use]
    pub const fn only(current: Expected) -> Self {
        Self { current, instead: None, kept: None, let_go: None }
    }
}

/// A backup that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "checks state each field")]
pub struct BackupState {
    /// The history whose state it is to hold.
    pub history: usize,
    /// The commit that it holds, once it has been acknowledged.
    pub done: Option<u64>,
    /// Whether it takes files over from an earlier one.
    pub is_increment: bool,
}

/// A restore that was begun.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "checks state each field")]
pub struct RestoreState {
    /// The disk with the backups.
    pub source: Image,
    /// Which of them is restored.
    pub backup: usize,
    /// What the restored environment holds.
    pub expected: Expected,
    /// Whether the restore has been acknowledged.
    pub done: bool,
}

/// A disk with what is known of it.
#[derive(Debug)]
pub(crate) struct Tape {
    pub(crate) disk: SimDisk,
    knowledge: Vec<Knowledge>,
}

impl Tape {
    pub(crate) fn new(disk: SimDisk, knows: Knowledge) -> Self {
        let mut this = Self { disk, knowledge: Vec::new() };
        this.learn(knows);
        this
    }

    pub(crate) fn knows(&self) -> &Knowledge {
        self.knowledge.last().expect("a tape begins with some")
    }

    pub(crate) fn learn(&mut self, knows: Knowledge) {
        if self.knowledge.last() != Some(&knows) {
            self.disk.mark(KNOWS, self.knowledge.len() as u64);
            self.knowledge.push(knows);
        }
    }

    pub(crate) fn into_life(self) -> Life {
        Life { trace: self.disk.trace(), knowledge: self.knowledge }
    }
}

/// What is known while the run goes on.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) histories: Vec<History>,
    /// Of the environment.
    pub(crate) expected: Expected,
    /// See [`Generations`].
    pub(crate) instead: Option<Expected>,
    /// See [`Generations`].
    pub(crate) kept: Option<Expected>,
    pub(crate) environment: Tape,
}

impl Book {
    pub(crate) fn new() -> Self {
        let expected = Expected { history: 0, durable: 0, written: 0, begun: 0 };
        Self {
            histories: vec![vec![Contents::default()]],
            expected,
            instead: None,
            kept: None,
            environment: Tape::new(
                SimDisk::new(),
                Knowledge::Environment(Generations::only(expected)),
            ),
        }
    }

    /// The state after the newest commit.
    pub(crate) fn newest(&self) -> &Contents {
        self.state(self.expected.begun)
    }

    /// The state after `commit`.
    pub(crate) fn state(&self, commit: u64) -> &Contents {
        state(&self.histories, &self.expected, commit)
    }

    /// A commit begins: from now on it may be found.
    pub(crate) fn begin(&mut self, changes: &[Change]) -> u64 {
        begin(&mut self.histories, &mut self.expected, changes);
        self.learn();
        self.expected.begun
    }

    /// A commit that was begun was told of a conflict: it never was.
    pub(crate) fn take_back(&mut self) {
        self.histories[self.expected.history].pop();
        self.expected.begun -= 1;
        self.learn();
    }

    /// Commits up to `durable` cannot be lost any more, nor those up to `written` when a process dies.
    pub(crate) fn acknowledge(&mut self, written: u64, durable: u64) {
        let expected = &mut self.expected;
        if durable > expected.durable {
            // What holds a durable commit is what is found from now on.
            self.instead = None;
        }
        expected.durable = expected.durable.max(durable);
        expected.written = expected.written.max(written).max(durable);
        self.learn();
    }

    /// The environment was opened and found at `commit`: history goes on from there.
    pub(crate) fn reopened(&mut self, commit: u64) {
        branch(&mut self.histories, &mut self.expected, commit);
        self.learn();
    }

    /// Everything that is known of the environment.
    pub(crate) fn generations(&self) -> Generations {
        Generations { current: self.expected, instead: self.instead, kept: self.kept, let_go: None }
    }

    pub(crate) fn learn(&mut self) {
        self.environment.learn(Knowledge::Environment(self.generations()));
    }
}

/// The state after `commit`.
pub(crate) fn state<'h>(
    histories: &'h [History],
    expected: &Expected,
    commit: u64,
) -> &'h Contents {
    let commit = usize::try_from(commit).expect("commits are counted in memory");
    &histories[expected.history][commit]
}

/// Adds a commit to a history.
pub(crate) fn begin(histories: &mut [History], expected: &mut Expected, changes: &[Change]) {
    let after = state(histories, expected, expected.begun).after(changes);
    histories[expected.history].push(after);
    expected.begun += 1;
}

/// Lets a new history go on from `commit` of the old one.
pub(crate) fn branch(histories: &mut Vec<History>, expected: &mut Expected, commit: u64) {
    let kept = usize::try_from(commit).expect("commits are counted in memory") + 1;
    let history = histories[expected.history][..kept].to_vec();
    expected.history = histories.len();
    expected.written = commit;
    expected.begun = commit;
    histories.push(history);
}
