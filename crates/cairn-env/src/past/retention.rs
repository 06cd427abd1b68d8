//! `JournalRetention`: how much journal stays that nothing needs any more, as history to go back to.

use std::{fmt, time::Duration};

use cairn_log::{FileClass, FileNumber};

use crate::{core::Core, utilization::Utilization};

/// How much of the journal is kept beyond what recovery, large values and holders need, so that a backup can be
/// restored to each commit since: see [`Options::keep_journal`](crate::Options#structfield.keep_journal).
///
/// Whole files are kept, so it is a little more rather than less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum JournalRetention {
    /// Nothing beyond that.
    #[default]
    Needed,
    /// The newest so many bytes of it.
    Bytes(u64),
    /// What was committed within this time, by the wall clock of the machine.
    For(Duration),
    /// All of it, from the first commit on or from when this was first asked for.
    Forever,
}

impl JournalRetention {
    /// As the state file has it: how, and how much.
    pub(crate) fn to_numbers(self) -> (u64, u64) {
        match self {
            Self::Needed => (0, 0),
            Self::Bytes(bytes) => (1, bytes),
            Self::For(time) => (2, u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
            Self::Forever => (3, 0),
        }
    }

    /// What `to_numbers` gives for something.
    pub(crate) const fn from_numbers(how: u64, amount: u64) -> Option<Self> {
        match (how, amount) {
            (0, 0) => Some(Self::Needed),
            (1, bytes) => Some(Self::Bytes(bytes)),
            (2, micros) => Some(Self::For(Duration::from_micros(micros))),
            (3, 0) => Some(Self::Forever),
            _ => None,
        }
    }
}

impl fmt::Display for JournalRetention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Needed => f.write_str("what is needed"),
            Self::Bytes(bytes) => write!(f, "{bytes} bytes"),
            Self::For(time) => write!(f, "{} s", time.as_secs()),
            Self::Forever => f.write_str("all"),
        }
    }
}

impl Core {
    /// How much journal is kept that nothing needs.
    pub(crate) fn retention(&self) -> JournalRetention {
        self.options.keep_journal.unwrap_or_default()
    }

    /// The first journal file that is kept as history; `None` if none is.
    pub(crate) fn history_from(&self, utilization: &Utilization) -> Option<FileNumber> {
        let retention = self.retention();
        if retention == JournalRetention::Needed {
            return None;
        }
        let now = self.world.wall().0;
        let (mut from, mut newer_bytes, mut ended) = (None, 0, None);
        let files = utilization.files.iter().rev();
        for (number, _) in files.filter(|(_, file)| file.class == FileClass::Journal) {
            // One that is not there, in what was restored, ends the history.
            let Some(file) = self.files.find(*number) else { break };
            let is_kept = match retention {
                JournalRetention::Needed => false,
                JournalRetention::Bytes(bytes) => newer_bytes < bytes,
                // Its last commit is not younger than the file after it.
                JournalRetention::For(time) => ended
                    .is_none_or(|ended| u128::from(now.saturating_sub(ended)) < time.as_micros()),
                JournalRetention::Forever => true,
            };
            if !is_kept {
                break;
            }
            from = Some(*number);
            newer_bytes += file.end();
            ended = Some(file.header().created);
        }
        from
    }
}
