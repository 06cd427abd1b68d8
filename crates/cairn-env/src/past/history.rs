//! `JournalHistory`: how far the journal goes back, and how much of it is to stay.

use super::{JournalRetention, journal::KeptJournal};
use crate::{EnvResult, Environment};

/// How far back the journal goes: see [`Environment::history`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalHistory {
    /// How much stays beyond what is needed.
    pub keep: JournalRetention,
    /// The commit from which on the journal is there without a gap: a backup of this commit, or of a later one, can be
    /// restored to every commit since.
    pub from: u64,
    /// When its first file was begun, in microseconds since 1970; 0 if there is none.
    pub since: u64,
    /// The newest durable commit.
    pub to: u64,
    /// Journal files from there on.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Environment {
    /// How far back the journal goes without a gap, whatever keeps it: what recovery needs, large values, readers, or
    /// [`Options::keep_journal`](crate::Options#structfield.keep_journal).
    ///
    /// ```
    /// # use cairn_env::{DatabaseOptions, Environment, JournalRetention, Options};
    /// let options = Options::new().keep_journal(JournalRetention::Forever);
    /// let (env, _) = Environment::in_memory(options)?;
    /// let db = env.database("db", DatabaseOptions::default())?;
    /// env.write(|txn| txn.put(&db, b"key", b"value"))?;
    /// let history = env.history()?;
    /// assert_eq!((history.from, history.to), (0, env.snapshot()?.commit()));
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    ///
    /// # Errors
    /// If the environment has failed or was closed, or a journal file is missing.
    pub fn history(&self) -> EnvResult<JournalHistory> {
        let core = self.core.enter()?;
        let journal = KeptJournal::hold(&core)?;
        let to = core.journal.durable();
        let mut history =
            JournalHistory { keep: core.retention(), from: to, since: 0, to, files: 0, bytes: 0 };
        let mut after = None;
        for (file, end) in journal.files.iter().rev() {
            let header = file.header();
            if after.is_some_and(|previous| previous != Some((header.number, *end))) {
                break;
            }
            after = Some(header.previous.map(|previous| (previous.file, previous.end)));
            history.from = header.first_sequence.saturating_sub(1);
            history.since = header.created;
            history.files += 1;
            history.bytes += end;
        }
        Ok(history)
    }

    /// Makes [`Options::keep_journal`](crate::Options#structfield.keep_journal) part of the environment at once, durably
    /// and without a commit; otherwise its first write does. What is no longer to stay goes with the next checkpoints.
    ///
    /// # Errors
    /// [`EnvError::ReadOnly`](crate::EnvError::ReadOnly); if the disk fails.
    pub fn record_retention(&self) -> EnvResult<()> {
        self.core.enter_to_write()?.begin()
    }
}
