//! `Word`: what a process says on its way, one line each, so that whoever outlives it knows what it was told.

use std::{fmt, io::Write as _, str::FromStr};

use cairn_env::Durability;

use super::transaction::Id;

/// What a commit survives, as its process was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing else")]
pub enum Survives {
    /// Nothing yet.
    Nothing,
    /// The death of the process.
    Death,
    /// The death of the system.
    PowerCut,
}

impl From<Durability> for Survives {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Sync => Self::PowerCut,
            Durability::WriteNoSync => Self::Death,
            Durability::NoSync | Durability::Relaxed(_) => Self::Nothing,
        }
    }
}

/// A thing that has happened, or is going to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "both processes handle each")]
pub enum Word {
    /// What was to be done before the environment is opened is done.
    Prepared,
    /// The environment is open.
    Opened,
    /// A commit was acknowledged.
    Committed(Id, u64, Survives),
    /// All commits up to this one were made durable.
    Synced(u64),
    /// A backup into this directory is going to begin.
    BackupBegun(String),
    /// The backup is finished; its cut is this commit.
    BackedUp(String, u64),
    /// Everything has come to its end.
    Finished,
    /// Something failed that should not.
    Failed(String),
}

impl Word {
    /// Says it, in one write.
    pub(super) fn say(&self) {
        let mut out = std::io::stdout().lock();
        let line = format!("{self}\n");
        // Whoever does not listen any more needs no answer.
        out.write_all(line.as_bytes()).and_then(|()| out.flush()).unwrap_or(());
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepared => write!(f, "prepared"),
            Self::Opened => write!(f, "opened"),
            Self::Committed(Id { client, life, index }, commit, survives) => {
                let survives = match survives {
                    Survives::Nothing => "nothing",
                    Survives::Death => "death",
                    Survives::PowerCut => "power-cut",
                };
                write!(f, "committed {client} {life} {index} {commit} {survives}")
            }
            Self::Synced(commit) => write!(f, "synced {commit}"),
            Self::BackupBegun(name) => write!(f, "backup-begun {name}"),
            Self::BackedUp(name, commit) => write!(f, "backed-up {name} {commit}"),
            Self::Finished => write!(f, "finished"),
            Self::Failed(why) => write!(f, "failed {}", why.replace('\n', " ")),
        }
    }
}

impl FromStr for Word {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        fn number<N: FromStr>(text: &str) -> Option<N> {
            text.parse().ok()
        }
        let words: Vec<_> = line.split(' ').collect();
        let word = match words[..] {
            ["prepared"] => Some(Self::Prepared),
            ["opened"] => Some(Self::Opened),
            ["committed", client, life, index, commit, survives] => {
                let survives = match survives {
                    "nothing" => Some(Survives::Nothing),
                    "death" => Some(Survives::Death),
                    "power-cut" => Some(Survives::PowerCut),
                    _ => None,
                };
                let id = || {
                    Some(Id { client: number(client)?, life: number(life)?, index: number(index)? })
                };
                id().zip(number(commit))
                    .zip(survives)
                    .map(|((id, commit), survives)| Self::Committed(id, commit, survives))
            }
            ["synced", commit] => number(commit).map(Self::Synced),
            ["backup-begun", name] => Some(Self::BackupBegun(name.to_owned())),
            ["backed-up", name, commit] => {
                number(commit).map(|commit| Self::BackedUp(name.to_owned(), commit))
            }
            ["finished"] => Some(Self::Finished),
            ["failed", ..] => line.split_once(' ').map(|(_, why)| Self::Failed(why.to_owned())),
            _ => None,
        };
        word.ok_or_else(|| format!("not understood: {line:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        let id = Id { client: 2, life: 7, index: 99 };
        let words = [
            Word::Prepared,
            Word::Opened,
            Word::Committed(id, 1234, Survives::Nothing),
            Word::Committed(id, 1234, Survives::Death),
            Word::Committed(id, 1234, Survives::PowerCut),
            Word::Synced(5),
            Word::BackupBegun("b7-0".into()),
            Word::BackedUp("b7-0".into(), 1234),
            Word::Finished,
            Word::Failed("no such file".into()),
        ];
        for word in words {
            assert_eq!(word.to_string().parse(), Ok(word));
        }
        assert!("committed 1 2 3".parse::<Word>().is_err());
    }
}
