//! `Operation`: one step of a workload, chosen, printed and parsed.

use std::{fmt, str::FromStr};

use cairn_env::Durability;
use cairn_sim::Level;

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
    /// Makes a backup; meanwhile each change is committed by itself.
    Backup(Vec<Change>),
    /// Restores the newest backup, opens what was restored and commits there.
    Restore,
    /// Does the operation until the process dies at this call to the disk; the system lives on.
    Die(u32, Box<Operation>),
    /// The power fails, and leaves what this level and this seed choose.
    Power(Level, u32),
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
}

impl Change {
    /// The number of the database that it changes.
    #[must_use]
    pub const fn database(&self) -> u8 {
        match self {
            Self::Put { database, .. } | Self::Delete { database, .. } => *database,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { database, key, value, len } => write!(f, "+{database}/{key}={value}*{len}"),
            Self::Delete { database, key } => write!(f, "-{database}/{key}"),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, changes: &[Change]| {
            changes.iter().try_for_each(|change| write!(f, " {change}"))
        };
        match self {
            Self::Open => write!(f, "open"),
            Self::Commit(durability, changes) => {
                match durability {
                    Durability::Sync => write!(f, "commit sync")?,
                    Durability::WriteNoSync => write!(f, "commit write")?,
                    Durability::NoSync => write!(f, "commit later")?,
                    Durability::Relaxed(within) => write!(f, "commit {}ms", within.as_millis())?,
                }
                list(f, changes)
            }
            Self::Submit(changes) => {
                write!(f, "submit")?;
                list(f, changes)
            }
            Self::Wait => write!(f, "wait"),
            Self::Sync => write!(f, "sync"),
            Self::Checkpoint => write!(f, "checkpoint"),
            Self::Read => write!(f, "read"),
            Self::Work => write!(f, "work"),
            Self::Step => write!(f, "step"),
            Self::Pass(ms) => write!(f, "pass {ms}"),
            Self::Close => write!(f, "close"),
            Self::Backup(changes) => {
                write!(f, "backup")?;
                list(f, changes)
            }
            Self::Restore => write!(f, "restore"),
            Self::Die(calls, operation) => write!(f, "die {calls} {operation}"),
            Self::Power(level, seed) => write!(f, "power {level} {seed}"),
        }
    }
}

/// A text that is no operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an operation: {0:?}")]
pub struct InvalidOperation(String);

impl FromStr for Operation {
    type Err = InvalidOperation;

    fn from_str(text: &str) -> Result<Self, InvalidOperation> {
        parse(text).ok_or_else(|| InvalidOperation(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Operation> {
    let (word, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let changes =
        |text: &str| text.split_whitespace().map(parse_change).collect::<Option<Vec<_>>>();
    Some(match word {
        "commit" => {
            let (word, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            let durability = match word {
                "sync" => Durability::Sync,
                "write" => Durability::WriteNoSync,
                "later" => Durability::NoSync,
                word => {
                    let ms = word.strip_suffix("ms")?.parse().ok()?;
                    Durability::Relaxed(std::time::Duration::from_millis(ms))
                }
            };
            Operation::Commit(durability, changes(rest)?)
        }
        "submit" => Operation::Submit(changes(rest)?),
        "backup" => Operation::Backup(changes(rest)?),
        "pass" => Operation::Pass(rest.parse().ok()?),
        "die" => {
            let (calls, operation) = rest.split_once(' ')?;
            Operation::Die(calls.parse().ok()?, Box::new(parse(operation)?))
        }
        "power" => {
            let (level, seed) = rest.split_once(' ')?;
            Operation::Power(parse_level(level)?, seed.parse().ok()?)
        }
        _ if !rest.is_empty() => return None,
        "open" => Operation::Open,
        "wait" => Operation::Wait,
        "sync" => Operation::Sync,
        "checkpoint" => Operation::Checkpoint,
        "read" => Operation::Read,
        "work" => Operation::Work,
        "step" => Operation::Step,
        "close" => Operation::Close,
        "restore" => Operation::Restore,
        _ => return None,
    })
}

/// The level that prints as `text`.
pub(crate) fn parse_level(text: &str) -> Option<Level> {
    Level::ALL.into_iter().find(|level| level.to_string() == text)
}

fn parse_change(text: &str) -> Option<Change> {
    let number = |text: &str| text.parse::<u32>().ok();
    let place = |text: &str| {
        let (database, key) = text.split_once('/')?;
        Some((database.parse().ok()?, key.parse().ok()?))
    };
    if let Some(text) = text.strip_prefix('-') {
        let (database, key) = place(text)?;
        return Some(Change::Delete { database, key });
    }
    let (at, value) = text.strip_prefix('+')?.split_once('=')?;
    let (database, key) = place(at)?;
    let (value, len) = value.split_once('*')?;
    Some(Change::Put { database, key, value: number(value)?, len: number(len)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_print_and_parse_back() {
        for text in [
            "open",
            "commit sync +0/7=3*40 -1/2",
            "commit write",
            "commit later +0/0=0*0",
            "commit 50ms -0/9",
            "submit +255/65535=4294967295*100000",
            "wait",
            "sync",
            "checkpoint",
            "read",
            "work",
            "step",
            "pass 1000",
            "close",
            "backup -0/1",
            "restore",
            "die 0 close",
            "die 17 commit sync +0/1=1*1",
            "power L3 5",
        ] {
            assert_eq!(text.parse::<Operation>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_operation_is_refused_with_its_text() {
        for text in ["", "opens", "open now", "commit", "commit sync 0/1", "die 3", "power L9 1"] {
            let error = text.parse::<Operation>().unwrap_err().to_string();
            assert_eq!(error, format!("not an operation: {text:?}"));
        }
    }
}
