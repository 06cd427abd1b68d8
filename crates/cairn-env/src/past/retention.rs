//! `JournalRetention`: how much journal stays that nothing needs any more, as history to go back to.

use std::time::Duration;

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

impl Core {
    /// The first journal file that is kept as history; `None` if none is.
    pub(crate) fn history_from(&self, utilization: &Utilization) -> Option<FileNumber> {
        let retention = self.options.keep_journal;
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
