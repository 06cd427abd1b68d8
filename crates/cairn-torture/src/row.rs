//! `Row`: what the engine was doing when the crash came, read from the trace.

use std::fmt;

use cairn_sim::{Op, Trace};

macro_rules! rows {
    ($($(#[$doc:meta])* $row:ident = $name:literal,)+) => {
        /// What the engine was doing: a row of the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Row {
            $($(#[$doc])* $row,)+
        }

        impl Row {
            /// All rows, in the order of a life.
            pub const ALL: &[Self] = &[$(Self::$row,)+];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$row => $name,)+
                }
            }
        }
    };
}

rows! {
    /// Creating an environment, its first write included.
    Create = "create",
    /// The same with several data directories.
    CreateSpread = "create over directories",
    /// Opening one that was there before, with the first write, which finishes recovery.
    Recovery = "open, recovery",
    /// The same with several data directories.
    RecoverySpread = "open over directories",
    /// A durable commit of small values.
    Commit = "commit",
    /// A durable commit with a large value.
    LargeValue = "commit of a large value",
    /// Commits that share a sync, or have none.
    Group = "group, then sync",
    /// Commits that are to become durable in time, and do.
    Relaxed = "relaxed, then in time",
    /// One of several open transactions commits, or is told of a conflict.
    Concurrent = "concurrent commits",
    /// A journal file is finished and the next one begun.
    JournalRoll = "journal file roll",
    /// A checkpoint.
    Checkpoint = "checkpoint",
    /// Nodes are written because memory is full.
    Eviction = "eviction",
    /// A node file is full in the middle of a checkpoint.
    NodeRoll = "node file roll",
    /// Files that nothing needs any more are removed.
    Removal = "dead-file removal",
    /// All that `clean` and `compact` do, but for the following.
    Clean = "clean, compact",
    /// The checkpoints that the worker makes for what its cleaner has moved.
    CleanStep = "cleaning by steps",
    /// Large values are copied into value files.
    ValueMove = "cleaner moves values",
    /// Files go that the cleaner has emptied.
    CleanRemoval = "cleaned-file removal",
    /// A database is dropped.
    Drop = "drop of a database",
    /// What it held goes, with the checkpoints for that.
    Walker = "walker of a dropped one",
    /// Closing.
    Close = "close",
    /// A backup: on the disk of the environment, and on that of the backup.
    Backup = "backup",
    /// One that takes files over from an earlier one as links.
    Increment = "incremental backup",
    /// A restore, with the first commit after it.
    Restore = "restore",
    /// A restore of an incremental backup.
    RestoreIncrement = "restore of an increment",
    /// A restore in place.
    Replace = "restore in place",
    /// Going back to what was there before that.
    Undo = "undo of a restore",
    /// Letting go what was there before.
    Forget = "forget what was restored",
    /// A key epoch begins.
    Rekey = "key epoch",
    /// A repair of what any of these crashes has left, after more damage.
    Repair = "repair",
}

impl Row {
    /// The rows that the cleaner is at work in.
    pub const CLEANING: &[Self] =
        &[Self::Clean, Self::CleanStep, Self::ValueMove, Self::CleanRemoval];

    fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|row| row.name() == name)
    }

    /// Whether it ends with a commit, which may begin a journal file and make a checkpoint.
    const fn is_commit(self) -> bool {
        matches!(
            self,
            Self::Commit
                | Self::LargeValue
                | Self::Group
                | Self::Relaxed
                | Self::Concurrent
                | Self::Drop
        )
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An operation of the workload in the trace.
struct Span {
    row: Row,
    begin: usize,
    /// Node files created in it.
    node_files: usize,
    /// Whether any was written.
    writes_nodes: bool,
    /// Rows of the positions in it, each from where it begins up to the next.
    parts: Vec<(usize, Row)>,
}

/// For each cut of the trace, by its position, what was going on there; `None` between operations,
/// where nothing happens to the disk.
pub(crate) fn rows(trace: &Trace) -> Vec<Option<Row>> {
    let mut rows = vec![None; trace.entries().len() + 1];
    let mut open: Vec<Span> = Vec::new();
    for (number, entry) in trace.entries().enumerate() {
        match entry.op() {
            Op::Begin { operation } => open.push(Span::new(Row::find(operation), number)),
            Op::End => {
                let Some(span) = open.pop() else { continue };
                span.fill(number, &mut rows);
            }
            op => {
                if let Some(span) = open.last_mut() {
                    span.see(number, op, entry.path());
                }
            }
        }
    }
    // A process that died, or a disk that lost power, has ended no operation.
    while let Some(span) = open.pop() {
        span.fill(rows.len() - 1, &mut rows);
    }
    rows
}

impl Span {
    fn new(row: Option<Row>, begin: usize) -> Self {
        let row = row.unwrap_or(Row::Commit);
        Self { row, begin, node_files: 0, writes_nodes: false, parts: vec![(begin, row)] }
    }

    /// Finds out, from what happens to which file, what the engine does inside of an operation.
    fn see(&mut self, number: usize, op: &Op, path: &str) {
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_commit = self.row.is_commit();
        let now = self.parts.last().map_or(self.row, |(_, row)| *row);
        self.writes_nodes |= name.starts_with("N-");
        let next =
            match op {
                // Nobody else writes value files; what is moved comes before what refers to it.
                Op::Create | Op::Write { .. } if name.starts_with("V-") => match now {
                    Row::ValueMove | Row::Walker | Row::Close => return,
                    _ => Row::ValueMove,
                },
                Op::Create
                    if name.starts_with("N-")
                        && matches!(now, Row::ValueMove | Row::CleanRemoval) =>
                {
                    if self.row == Row::Clean { Row::Clean } else { Row::CleanStep }
                }
                // A commit that needs another journal file has ended the old one before.
                Op::Create if name.starts_with("J-") && is_commit => {
                    self.parts = vec![(self.begin, Row::JournalRoll)];
                    return;
                }
                Op::SyncFile { .. } if name == "STATE" && now == Row::JournalRoll => self.row,
                Op::Create if name.starts_with("N-") => {
                    self.node_files += 1;
                    match now {
                        // A commit, too, makes a checkpoint when one is due.
                        _ if is_commit && self.node_files == 1 => Row::Checkpoint,
                        Row::Checkpoint if self.node_files > 1 => Row::NodeRoll,
                        // Replay of more than memory holds.
                        Row::Recovery | Row::RecoverySpread => Row::Eviction,
                        _ => return,
                    }
                }
                // What the worker did was no eviction but a checkpoint.
                Op::Write { .. }
                    if name == "STATE"
                        && self.row == Row::Eviction
                        && !Row::CLEANING.contains(&now) =>
                {
                    self.parts = vec![(self.begin, Row::Checkpoint)];
                    return;
                }
                Op::Remove if name.ends_with(".log") => match now {
                    Row::Checkpoint | Row::NodeRoll => Row::Removal,
                    Row::Clean | Row::CleanStep | Row::ValueMove => Row::CleanRemoval,
                    _ => return,
                },
                _ => return,
            };
        self.parts.push((number, next));
    }

    /// Enters the rows of a span that ends with entry `end`. Operations inside of it have entered
    /// theirs before.
    fn fill(mut self, end: usize, rows: &mut [Option<Row>]) {
        if self.parts == [(self.begin, Row::Eviction)] && !self.writes_nodes {
            self.parts = vec![(self.begin, Row::Group)]; // the worker has flushed commits
        }
        for (index, (from, row)) in self.parts.iter().enumerate() {
            let until = self.parts.get(index + 1).map_or(end, |(next, _)| *next);
            for entered in &mut rows[from + 1..=until] {
                *entered = entered.or(Some(*row));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use cairn_io::{FileExt, Name, SyncSite};
    use cairn_sim::SimDisk;

    use super::*;

    #[test]
    fn an_operation_is_divided_by_what_it_does() {
        use Row::{Checkpoint, Commit, JournalRoll, NodeRoll, Removal};
        let disk = SimDisk::new();
        let root = disk.root();
        let site = SyncSite::new("torture.row");
        let create = |name: &'static str| root.create(&Name::constant(name)).unwrap();
        {
            let _outer = disk.operation(Checkpoint.name());
            create("N-00000001.log"); // 1
            create("N-00000002.log"); // 2
            create("STATE").sync(site).unwrap(); // 3, 4
            root.remove(&Name::constant("N-00000001.log")).unwrap(); // 5
        } // 6
        {
            let _outer = disk.operation(Commit.name()); // 7
            create("J-00000001-00000003.log"); // 8
            let state = root.open(&Name::constant("STATE"), cairn_io::Access::ReadWrite).unwrap();
            state.sync(site).unwrap(); // 9
            state.write_all_at(0, b"x").unwrap(); // 10
        } // 11
        let found: Vec<_> = rows(&disk.trace()).into_iter().collect();
        let checkpoint = [Checkpoint, Checkpoint, NodeRoll, NodeRoll, NodeRoll, Removal];
        let commit = [JournalRoll, JournalRoll, Commit, Commit];
        let wanted: Vec<_> = [None]
            .into_iter()
            .chain(checkpoint.map(Some))
            .chain([None])
            .chain(commit.map(Some))
            .chain([None])
            .collect();
        assert_eq!(found, wanted);
    }
}
