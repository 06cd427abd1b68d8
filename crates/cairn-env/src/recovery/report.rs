//! `RecoveryReport`: what opening the environment found and did.

use std::{fmt, time::Duration};

use cairn_log::Lsn;

use crate::HealedFile;

/// The end of a journal that a crash cut short.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TornTail {
    /// Where it begins: the first position that does not count.
    pub lsn: Lsn,
    /// How many bytes it holds. None of them belongs to an acknowledged commit.
    pub bytes: u64,
    /// The file in the generation directory that they are copied to before the log goes on.
    pub set_aside: String,
}

/// What opening the environment found and did. Nothing is ever dropped without a line in here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Whether the environment was created by this open.
    pub created: bool,
    /// Whether it had been closed in order, so that nothing had to be replayed.
    pub clean: bool,
    /// The checkpoint that was opened, and the last commit in it.
    pub checkpoint: Option<(u64, u64)>,
    /// The newest commit.
    pub sequence: u64,
    /// Commits that were replayed from the journal.
    pub replayed_commits: u64,
    /// Bytes of the journal that were read.
    pub replayed_bytes: u64,
    /// Journal files that were read.
    pub journal_files: u64,
    /// Parts of exclusive transactions that were never committed, and so do not count.
    pub given_up_parts: u64,
    /// What was cut from the end of the journal.
    pub torn_tail: Option<TornTail>,
    /// Bytes of the journal that a crash had taken and that its replica had.
    pub from_replica: u64,
    /// Log files that were damaged or missing, and were brought from the replica so that it opened.
    pub healed: Vec<HealedFile>,
    /// Whether one of both slots of the state file was damaged, and the other one used.
    pub state_slot_damaged: bool,
    /// Whether the newest checkpoint could not be read, and the one before it was used.
    pub older_checkpoint: Option<String>,
    /// Log files that no checkpoint knows, left by a crash; they are removed with the first write.
    pub leftovers: Vec<String>,
    /// Files in the generation directory that are not ours. They are left alone.
    pub unknown_files: Vec<String>,
    /// How long it took.
    pub duration: Duration,
}

impl fmt::Display for RecoveryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.created, self.clean) {
            (true, _) => write!(f, "created")?,
            (_, true) => write!(f, "closed in order at commit {}", self.sequence)?,
            _ => {
                let from = self.checkpoint.map_or(0, |(_, sequence)| sequence);
                write!(
                    f,
                    "recovered to commit {}: {} commits after commit {from} replayed, {} bytes of {} journal files read",
                    self.sequence, self.replayed_commits, self.replayed_bytes, self.journal_files
                )?;
            }
        }
        if self.given_up_parts > 0 {
            let parts = self.given_up_parts;
            write!(f, "; {parts} parts of exclusive transactions were never committed")?;
        }
        if let Some(torn) = &self.torn_tail {
            write!(
                f,
                "; {} unacknowledged bytes at {} cut off and kept as {}",
                torn.bytes, torn.lsn, torn.set_aside
            )?;
        }
        if self.from_replica > 0 {
            write!(f, "; {} bytes were brought over from the replica", self.from_replica)?;
        }
        for healed in &self.healed {
            write!(f, "; {} was damaged or missing, and was brought from a copy", healed.file)?;
        }
        if self.state_slot_damaged {
            write!(f, "; one slot of the state file was damaged, the other one was used")?;
        }
        if let Some(why) = &self.older_checkpoint {
            write!(f, "; the newest checkpoint was passed over ({why})")?;
        }
        for name in &self.leftovers {
            write!(f, "; {name} was left by a crash")?;
        }
        for name in &self.unknown_files {
            write!(f, "; {name} is not ours and was left alone")?;
        }
        Ok(())
    }
}
