//! `Row`: what the engine was doing when the crash came, read from the trace.

use std::fmt;

use cairn_sim::{Op, Trace};

/// What the engine was doing: a row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Row {
    /// Creating an environment, its first write included.
    Create,
    /// Opening one that was there before, with the first write, which finishes recovery.
    Recovery,
    /// A durable commit of small values.
    Commit,
    /// A durable commit with a large value.
    LargeValue,
    /// Commits that share a sync, or have none.
    Group,
    /// A journal file is finished and the next one begun.
    JournalRoll,
    /// A checkpoint.
    Checkpoint,
    /// Nodes are written because memory is full.
    Eviction,
    /// A node file is full in the middle of a checkpoint.
    NodeRoll,
    /// Files that nothing needs any more are removed.
    Removal,
    /// Closing.
    Close,
    /// A backup: on the disk of the environment, and on that of the backup.
    Backup,
    /// A restore, with the first commit after it.
    Restore,
}

impl Row {
    /// All rows, in the order of a life.
    pub const ALL: [Self; 13] = [
        Self::Create,
        Self::Recovery,
        Self::Commit,
        Self::LargeValue,
        Self::Group,
        Self::JournalRoll,
        Self::Checkpoint,
        Self::Eviction,
        Self::NodeRoll,
        Self::Removal,
        Self::Close,
        Self::Backup,
        Self::Restore,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Recovery => "open, recovery",
            Self::Commit => "commit",
            Self::LargeValue => "commit of a large value",
            Self::Group => "group, then sync",
            Self::JournalRoll => "journal file roll",
            Self::Checkpoint => "checkpoint",
            Self::Eviction => "eviction",
            Self::NodeRoll => "node file roll",
            Self::Removal => "dead-file removal",
            Self::Close => "close",
            Self::Backup => "backup",
            Self::Restore => "restore",
        }
    }

    fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|row| row.name() == name)
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
        Self { row, begin, node_files: 0, parts: vec![(begin, row)] }
    }

    /// Finds out, from what happens to which file, what the engine does inside of an operation.
    fn see(&mut self, number: usize, op: &Op, path: &str) {
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_commit = matches!(self.row, Row::Commit | Row::LargeValue | Row::Group);
        let now = self.parts.last().map_or(self.row, |(_, row)| *row);
        let next = match op {
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
                    Row::Recovery => Row::Eviction,
                    _ => return,
                }
            }
            // What the worker did was no eviction but a checkpoint.
            Op::Write { .. } if name == "STATE" && self.row == Row::Eviction => {
                self.parts = vec![(self.begin, Row::Checkpoint)];
                return;
            }
            Op::Remove if name.ends_with(".log") => match now {
                Row::Checkpoint | Row::NodeRoll => Row::Removal,
                _ => return,
            },
            _ => return,
        };
        self.parts.push((number, next));
    }

    /// Enters the rows of a span that ends with entry `end`. Operations inside of it have entered
    /// theirs before.
    fn fill(mut self, end: usize, rows: &mut [Option<Row>]) {
        if self.parts == [(self.begin, Row::Eviction)] && self.node_files == 0 {
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
