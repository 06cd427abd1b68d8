//! Operations as lines of text: how they print, and how they are read.

use std::{fmt, str::FromStr, time::Duration};

use cairn_env::Durability;
use cairn_sim::Level;

use super::{Act, Change, Operation, Since};

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { database, key, value, len } => write!(f, "+{database}/{key}={value}*{len}"),
            Self::Delete { database, key } => write!(f, "-{database}/{key}"),
            Self::Create { database } => write!(f, "!{database}"),
            Self::Drop { database } => write!(f, "~{database}"),
        }
    }
}

/// Changes, each with a blank before it.
struct List<'c>(&'c [Change]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|change| write!(f, " {change}"))
    }
}

struct How(Durability);

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Durability::Sync => f.write_str("sync"),
            Durability::WriteNoSync => f.write_str("write"),
            Durability::NoSync => f.write_str("later"),
            Durability::Relaxed(within) => write!(f, "{}ms", within.as_millis()),
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin => write!(f, "begin"),
            Self::Get(database, key) => write!(f, "get {database}/{key}"),
            Self::Scan(database) => write!(f, "scan {database}"),
            Self::Change(changes) => write!(f, "change{}", List(changes)),
            Self::Save => write!(f, "save"),
            Self::Back => write!(f, "back"),
            Self::End(durability) => write!(f, "end {}", How(*durability)),
            Self::Abort => write!(f, "abort"),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => write!(f, "open"),
            Self::Commit(durability, changes) => {
                write!(f, "commit {}{}", How(*durability), List(changes))
            }
            Self::Submit(changes) => write!(f, "submit{}", List(changes)),
            Self::Wait => write!(f, "wait"),
            Self::Sync => write!(f, "sync"),
            Self::Checkpoint => write!(f, "checkpoint"),
            Self::Read => write!(f, "read"),
            Self::Work => write!(f, "work"),
            Self::Step => write!(f, "step"),
            Self::Pass(ms) => write!(f, "pass {ms}"),
            Self::Close => write!(f, "close"),
            Self::Clean => write!(f, "clean"),
            Self::Compact => write!(f, "compact"),
            Self::Hold => write!(f, "hold"),
            Self::Release => write!(f, "release"),
            Self::Client(number, act) => write!(f, "client {number} {act}"),
            Self::Contend(rivals, changes) => write!(f, "contend {rivals}{}", List(changes)),
            Self::Backup(since, changes) => {
                f.write_str(match since {
                    Since::Nothing => "backup",
                    Since::Newest => "increment",
                    Since::Carried => "increment-carried",
                })?;
                write!(f, "{}", List(changes))
            }
            Self::BackupBeside(Since::Nothing) => write!(f, "backup-beside"),
            Self::BackupBeside(Since::Newest) => write!(f, "increment-beside"),
            Self::BackupBeside(Since::Carried) => write!(f, "increment-carried-beside"),
            Self::Restore => write!(f, "restore"),
            Self::Replace => write!(f, "replace"),
            Self::Undo => write!(f, "undo"),
            Self::Forget => write!(f, "forget"),
            Self::Rekey => write!(f, "rekey"),
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

/// The first word, and what follows it.
fn word(text: &str) -> (&str, &str) {
    text.trim().split_once(' ').unwrap_or((text.trim(), ""))
}

fn parse(text: &str) -> Option<Operation> {
    let (first, rest) = word(text);
    Some(match first {
        "commit" => {
            let (how, rest) = word(rest);
            Operation::Commit(durability(how)?, changes(rest)?)
        }
        "submit" => Operation::Submit(changes(rest)?),
        "client" => {
            let (number, act) = word(rest);
            Operation::Client(number.parse().ok()?, parse_act(act)?)
        }
        "contend" => {
            let (rivals, rest) = word(rest);
            Operation::Contend(rivals.parse().ok()?, changes(rest)?)
        }
        "backup" => Operation::Backup(Since::Nothing, changes(rest)?),
        "increment" => Operation::Backup(Since::Newest, changes(rest)?),
        "increment-carried" => Operation::Backup(Since::Carried, changes(rest)?),
        "backup-beside" => Operation::BackupBeside(Since::Nothing),
        "increment-beside" => Operation::BackupBeside(Since::Newest),
        "increment-carried-beside" => Operation::BackupBeside(Since::Carried),
        "pass" => Operation::Pass(rest.parse().ok()?),
        "die" => {
            let (calls, operation) = word(rest);
            Operation::Die(calls.parse().ok()?, Box::new(parse(operation)?))
        }
        "power" => {
            let (level, seed) = word(rest);
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
        "clean" => Operation::Clean,
        "compact" => Operation::Compact,
        "hold" => Operation::Hold,
        "release" => Operation::Release,
        "restore" => Operation::Restore,
        "replace" => Operation::Replace,
        "undo" => Operation::Undo,
        "forget" => Operation::Forget,
        "rekey" => Operation::Rekey,
        _ => return None,
    })
}

fn parse_act(text: &str) -> Option<Act> {
    let (first, rest) = word(text);
    Some(match first {
        "get" => {
            let (database, key) = place(rest)?;
            Act::Get(database, key)
        }
        "scan" => Act::Scan(rest.parse().ok()?),
        "change" => Act::Change(changes(rest)?),
        "end" => Act::End(durability(rest)?),
        _ if !rest.is_empty() => return None,
        "begin" => Act::Begin,
        "save" => Act::Save,
        "back" => Act::Back,
        "abort" => Act::Abort,
        _ => return None,
    })
}

fn durability(text: &str) -> Option<Durability> {
    Some(match text {
        "sync" => Durability::Sync,
        "write" => Durability::WriteNoSync,
        "later" => Durability::NoSync,
        text => Durability::Relaxed(Duration::from_millis(text.strip_suffix("ms")?.parse().ok()?)),
    })
}

/// The level that prints as `text`.
pub(crate) fn parse_level(text: &str) -> Option<Level> {
    Level::ALL.into_iter().find(|level| level.to_string() == text)
}

fn changes(text: &str) -> Option<Vec<Change>> {
    text.split_whitespace().map(parse_change).collect()
}

fn place(text: &str) -> Option<(u8, u16)> {
    let (database, key) = text.split_once('/')?;
    Some((database.parse().ok()?, key.parse().ok()?))
}

fn parse_change(text: &str) -> Option<Change> {
    if let Some(text) = text.strip_prefix('-') {
        let (database, key) = place(text)?;
        return Some(Change::Delete { database, key });
    }
    if let Some(text) = text.strip_prefix('!') {
        return Some(Change::Create { database: text.parse().ok()? });
    }
    if let Some(text) = text.strip_prefix('~') {
        return Some(Change::Drop { database: text.parse().ok()? });
    }
    let (at, value) = text.strip_prefix('+')?.split_once('=')?;
    let (database, key) = place(at)?;
    let (value, len) = value.split_once('*')?;
    Some(Change::Put { database, key, value: value.parse().ok()?, len: len.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_print_and_parse_back() {
        for text in [
            "open",
            "commit sync +0/7=3*40 -1/2 !3 ~4",
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
            "clean",
            "compact",
            "hold",
            "release",
            "client 0 begin",
            "client 1 get 0/17",
            "client 1 scan 2",
            "client 1 change +0/1=2*3 -0/1",
            "client 2 save",
            "client 2 back",
            "client 2 end 20ms",
            "client 3 abort",
            "contend 3 +0/1=2*3",
            "backup -0/1",
            "increment -0/1",
            "increment-carried",
            "backup-beside",
            "increment-beside",
            "increment-carried-beside",
            "restore",
            "replace",
            "undo",
            "forget",
            "die 0 close",
            "die 17 commit sync +0/1=1*1",
            "power L3 5",
        ] {
            assert_eq!(text.parse::<Operation>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_operation_is_refused_with_its_text() {
        for text in [
            "",
            "opens",
            "open now",
            "commit",
            "commit sync 0/1",
            "client 1",
            "client 1 begin now",
            "die 3",
            "power L9 1",
        ] {
            let error = text.parse::<Operation>().unwrap_err().to_string();
            assert_eq!(error, format!("not an operation: {text:?}"));
        }
    }
}
