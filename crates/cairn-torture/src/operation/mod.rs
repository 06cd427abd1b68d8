//! `Operation`: one step of a workload.

mod text;

use cairn_env::Durability;
use cairn_sim::Level;

pub use text::InvalidOperation;
pub(crate) use text::parse_level;

/// One step of a workload. It prints as a line and parses back, so a failure that has been made
/// small is a test case.
///
/// Every list of operations is a workload: what cannot be done (a commit while nothing is open, a
/// restore without a backup) does nothing. So lines can be taken out of a list until what is left
/// is what matters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "whoever runs operations must handle each")]
pub enum Operation {
    /// Opens the environment, after recovery if it needs any; creates it the first time.
    Open,
    /// Commits changes, and waits until they are as durable as asked for.
    Commit(Durability, Vec<Change>),
    /// Commits changes with `Durability::Sync` without waiting for it.
    Submit(Vec<Change>),
    /// Waits for all commits that were submitted: they share a sync.
    Wait,
    /// Makes every commit so far durable.
    Sync,
    /// Makes a checkpoint.
    Checkpoint,
    /// Reads every entry, so that leaves come into memory and others have to go.
    Read,
    /// Lets the background worker do what is due.
    Work,
    /// Lets the background worker take one step.
    Step,
    /// Lets so many milliseconds pass.
    Pass(u32),
    /// Closes the environment in order.
    Close,
    /// Moves what is in use out of files that hold little else.
    Clean,
    /// Moves it out of every file that is not full.
    Compact,
    /// Takes a snapshot and keeps it.
    Hold,
    /// Looks whether the snapshots that are kept still hold what they did, and lets them go.
    Release,
    /// One of several open transactions, by its number, goes on.
    Client(u8, Act),
    /// Commits changes by a transaction that is tried again; so many times somebody else commits first.
    Contend(u32, Vec<Change>),
    /// Makes a backup; meanwhile each change is committed by itself.
    Backup(Since, Vec<Change>),
    /// Another process, which has the environment open for reading, makes a backup: it ends no journal file,
    /// so the next one meets with the same file, grown.
    BackupBeside(Since),
    /// Restores the newest backup, opens what was restored and commits there.
    Restore,
    /// Restores the newest backup in place of what the environment, which must be closed, holds.
    Replace,
    /// Goes back to what the environment held before that.
    Undo,
    /// Lets that go.
    Forget,
    /// Begins a key epoch of the environment, which must be closed and encrypted.
    Rekey,
    /// Does the operation until the process dies at this call to the disk; the system lives on.
    Die(u32, Box<Operation>),
    /// The power fails, and leaves what this level and this seed choose.
    Power(Level, u32),
}

/// What an open transaction does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "whoever runs operations must handle each")]
pub enum Act {
    /// It begins.
    Begin,
    /// It reads a key of a database.
    Get(u8, u16),
    /// It reads a whole database.
    Scan(u8),
    /// It changes something.
    Change(Vec<Change>),
    /// It makes a savepoint.
    Save,
    /// It goes back to its newest savepoint.
    Back,
    /// It commits, or is told of a conflict.
    End(Durability),
    /// It is given up.
    Abort,
}

/// Which earlier backup a backup takes files over from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "whoever runs operations must handle each")]
pub enum Since {
    /// None: it copies everything.
    Nothing,
    /// The newest one.
    Newest,
    /// A copy of the newest one, made by a tool that syncs nothing.
    Carried,
}

/// One change of a transaction. Databases and keys have numbers, a value is made from a number and
/// a length: see [`Contents`](crate::Contents).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "whoever applies changes must handle each")]
pub enum Change {
    /// Puts a value.
    Put {
        /// The database.
        database: u8,
        /// The key.
        key: u16,
        /// What its bytes are made from.
        value: u32,
        /// How many bytes it has.
        len: u32,
    },
    /// Removes a key.
    Delete {
        /// The database.
        database: u8,
        /// The key.
        key: u16,
    },
    /// Lets a database come into being, as any other change of it does.
    Create {
        /// The database.
        database: u8,
    },
    /// Drops a database.
    Drop {
        /// The database.
        database: u8,
    },
}

impl Change {
    /// The number of the database that it changes.
    #[must_use]
    pub const fn database(&self) -> u8 {
        match self {
            Self::Put { database, .. }
            | Self::Delete { database, .. }
            | Self::Create { database }
            | Self::Drop { database } => *database,
        }
    }
}
