//! `Problem`: what a check found wrong, for a tired human.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Which promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Wrong {
    /// A commit that was acknowledged as durable is gone.
    LostCommit,
    /// A commit is there that nobody began.
    InventedCommit,
    /// The content is not that of any commit.
    Content,
    /// What any crash may leave was refused.
    Refused,
    /// Verification, or the report of recovery, complains about what any crash may leave.
    Finding,
    /// Opening changed something.
    OpenWrites,
    /// Bytes were cut from the journal and are not kept.
    NotSetAside,
    /// A finished backup does not verify, or does not restore to what it was made of.
    Backup,
    /// An unfinished backup or restore is taken for a finished one, or cannot be begun again.
    HalfDone,
    /// What a transaction saw is not explained by the order of the commits.
    Anomaly,
    /// A repair changes its source, or leaves out what it does not say, or brings back what never was.
    Repair,
    /// What nothing refers to any more still takes space.
    Space,
    /// Damage that nobody noticed.
    Silent,
    /// An error does not say what happened, or how far it reaches.
    Class,
    /// Something panicked.
    Panic,
    /// An operation failed although nothing was wrong with the disk.
    Run,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LostCommit => "LOST COMMIT",
            Self::InventedCommit => "COMMIT FROM NOWHERE",
            Self::Content => "WRONG CONTENT",
            Self::Refused => "FALSE ALARM",
            Self::Finding => "UNFOUNDED COMPLAINT",
            Self::OpenWrites => "OPEN CHANGES THE DISK",
            Self::NotSetAside => "CUT BYTES NOT KEPT",
            Self::Backup => "BACKUP NOT WHOLE",
            Self::HalfDone => "HALF DONE",
            Self::Anomaly => "NOT SERIALIZABLE",
            Self::Repair => "REPAIR NOT TRUE",
            Self::Space => "SPACE NOT FREED",
            Self::Silent => "SILENT DAMAGE",
            Self::Class => "MISLEADING ERROR",
            Self::Panic => "PANIC",
            Self::Run => "OPERATION FAILED",
        })
    }
}

/// What a check found wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a sentence and its heading")]
pub struct Problem {
    /// Which promise was broken.
    pub wrong: Wrong,
    /// How that shows.
    pub story: String,
}

/// What a check answers.
pub type Checked<T> = Result<T, Problem>;

impl Problem {
    /// A broken promise and how it shows.
    pub fn new(wrong: Wrong, story: impl fmt::Display) -> Self {
        Self { wrong, story: story.to_string() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.wrong, self.story)
    }
}

/// Runs `check`; a panic in it is a problem like any other.
///
/// # Errors
/// What `check` answers, or the panic.
pub fn caught<T>(check: impl FnOnce() -> Checked<T>) -> Checked<T> {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("a panic without a message");
        Err(Problem::new(Wrong::Panic, text))
    })
}
