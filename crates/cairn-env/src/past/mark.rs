//! Marks: commits that change nothing and have a name.
//!
//! A mark is a commit and nothing else: it has a number and a time, is durable and on a replica before it is
//! acknowledged.

use cairn_log::{HEADER_LEN, Lsn};

use super::{commits::each_commit, journal::KeptJournal};
use crate::{
    Durability, EnvError, EnvResult, Environment,
    commit::{Encoder, Request},
};

/// Longest label of a mark, in bytes.
pub const MAX_LABEL_LEN: usize = 255;

/// A commit that has a name: see [`Environment::mark`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mark {
    /// Its name.
    pub label: String,
    /// Its number. What is as it left it has every commit up to this one.
    pub commit: u64,
    /// Its time, in microseconds since 1970; never less than that of an earlier commit.
    pub time: u64,
    /// Where its record stands.
    pub lsn: Lsn,
}

impl Environment {
    /// Gives this moment a name, durably: a commit that changes nothing. Returns its number, by which a backup
    /// can be told to be from before it or from after.
    ///
    /// A label may be used again; the latest mark of that label is then the one that is meant.
    ///
    /// ```
    /// # use cairn_env::{DatabaseOptions, Environment, Options};
    /// # let (env, _) = Environment::in_memory(Options::default())?;
    /// let db = env.database("db", DatabaseOptions::default())?;
    /// env.write(|txn| txn.put(&db, b"schema", b"1"))?;
    /// let commit = env.mark("before-migration")?;
    /// env.write(|txn| txn.put(&db, b"schema", b"2"))?;
    /// let marks = env.marks()?;
    /// assert_eq!((marks[0].label.as_str(), marks[0].commit), ("before-migration", commit));
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] for a label that is empty, longer than [`MAX_LABEL_LEN`] bytes or holds control
    /// characters; otherwise as a commit: see [`Environment::write`].
    pub fn mark(&self, label: &str) -> EnvResult<u64> {
        check_label(label)?;
        let core = self.core.enter_to_write()?;
        let mut encoder = Encoder::new(Vec::new(), core.files.is_encrypted());
        encoder.mark(label);
        let request = Request {
            payload: core.files.payload(encoder)?,
            changes: Vec::new(),
            adds: true,
            drops: Vec::new(),
            indexes: None,
            index_changes: Vec::new(),
            observed: None,
        };
        let commit = core.apply(request)?;
        core.acknowledge(commit, Durability::Sync)?;
        Ok(commit)
    }

    /// The durable marks in the journal that is there, in the order of their commits: [`Environment::mark`] has
    /// returned for each, or a crash has kept it. A mark goes with the journal file
    /// that holds it, when nothing needs that any more. A replica and a restored backup have those that the
    /// journal in them holds; a repair makes another history without any, and its report names them. Reads
    /// every journal file.
    ///
    /// # Errors
    /// If the environment has failed or was closed, or a journal file cannot be read.
    pub fn marks(&self) -> EnvResult<Vec<Mark>> {
        let core = self.core.enter()?;
        let journal = KeptJournal::hold(&core)?;
        let mut marks = Vec::new();
        for (file, end) in &journal.files {
            let scanned = each_commit(file, HEADER_LEN, *end, &mut |commit| {
                marks.extend(commit.label.map(|label| Mark {
                    label: label.to_owned(),
                    commit: commit.sequence,
                    time: commit.time,
                    lsn: commit.lsn,
                }));
                true
            })?;
            // A list that is shorter than it should be would be a wrong answer.
            if let Some(stop) = scanned
                && stop.offset < *end
                && let Some(damage) = stop.damage
            {
                return Err(file.corrupt(stop.offset, damage).into());
            }
        }
        Ok(marks)
    }
}

fn check_label(label: &str) -> EnvResult<()> {
    let what = match label {
        "" => "the label of a mark must not be empty".to_owned(),
        label if label.len() > MAX_LABEL_LEN => {
            format!("the label of a mark has {} bytes: at most {MAX_LABEL_LEN}", label.len())
        }
        label if label.chars().any(char::is_control) => {
            "the label of a mark must not hold control characters".to_owned()
        }
        _ => return Ok(()),
    };
    Err(EnvError::InvalidInput { what })
}
