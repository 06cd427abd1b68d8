//! What a writer commits, and how to tell later that nothing of it is lost, torn or wrong.
//!
//! Each writer has a number and counts its commits from 1. The commit `n` puts one entry into a
//! database and `n` into another one, so that half a commit would show; key and value follow from
//! both numbers, so that nobody has to remember what was written.

use std::collections::BTreeMap;

use blake3::Hasher;
use cairndb::{Database, DatabaseOptions, EnvResult, Environment, Snapshot};

use crate::exit::Failure;

/// The databases that writers write to.
#[derive(Clone, Debug)]
pub(super) struct Work {
    /// An entry per commit.
    entries: Database,
    /// The last commit of each writer.
    counts: Database,
}

impl Work {
    pub(super) fn open(env: &Environment) -> EnvResult<Self> {
        let database = |name| env.database(name, DatabaseOptions::default());
        Ok(Self {
            entries: database("entries of writers")?,
            counts: database("counts of writers")?,
        })
    }

    /// Commit `number` of `writer`, durable when this returns. Returns its number in the environment.
    pub(super) fn commit(&self, env: &Environment, writer: u32, number: u64) -> EnvResult<u64> {
        loop {
            let mut txn = env.begin_write()?;
            txn.put(&self.entries, &key(writer, number), &value(writer, number))?;
            txn.put(&self.counts, &name(writer), number.to_string().as_bytes())?;
            match txn.commit_with(cairndb::Durability::Sync) {
                Ok(info) => return Ok(info.commit),
                Err(error) if error.is_retryable() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// For the sabotage: takes an entry away.
    pub(super) fn delete(&self, env: &Environment, writer: u32, number: u64) -> EnvResult<()> {
        env.write(|txn| txn.delete(&self.entries, &key(writer, number)))
    }

    /// How far a writer has come.
    fn count(&self, snapshot: &Snapshot, writer: u32) -> EnvResult<Option<u64>> {
        let Some(value) = snapshot.get(&self.counts, &name(writer))? else {
            return Ok(Some(0));
        };
        Ok(std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok()))
    }

    /// Checks every commit that was acknowledged, and those that were not: each is there as a whole
    /// or not at all.
    pub(super) fn check(&self, snapshot: &Snapshot, ledger: &Ledger) -> Result<Checked, Failure> {
        let mut checked = Checked::default();
        for (&writer, &Line { begun, acknowledged, .. }) in &ledger.0 {
            let found = self.count(snapshot, writer)?.ok_or_else(|| {
                Failure::check(format_args!("the count of writer {writer} is no number"))
            })?;
            if found < acknowledged {
                return Err(Failure::check(format_args!(
                    "writer {writer} was told that its commit {acknowledged} is durable, and what is \
                     there ends at its commit {found}"
                )));
            }
            if found > begun {
                return Err(Failure::check(format_args!(
                    "writer {writer} began {begun} commits, and {found} are there"
                )));
            }
            for number in 1..=begun {
                let entry = snapshot.get(&self.entries, &key(writer, number))?;
                let right = match (&entry, number <= found) {
                    (Some(entry), true) => **entry == *value(writer, number),
                    (None, false) => true,
                    _ => false,
                };
                if !right {
                    return Err(Failure::check(format_args!(
                        "commit {number} of writer {writer} ({}) is lost, torn or wrong",
                        if number <= acknowledged { "acknowledged" } else { "in flight" }
                    )));
                }
            }
            checked.acknowledged += acknowledged;
            checked.in_flight += begun - acknowledged;
            checked.in_flight_whole += found - acknowledged;
        }
        Ok(checked)
    }
}

fn name(writer: u32) -> Vec<u8> {
    format!("writer {writer:03}").into_bytes()
}

fn key(writer: u32, number: u64) -> Vec<u8> {
    format!("writer {writer:03} commit {number:08}").into_bytes()
}

/// Between 64 bytes and 2 KiB that look random.
fn value(writer: u32, number: u64) -> Vec<u8> {
    let mut reader = Hasher::new().update(&key(writer, number)).finalize_xof();
    let mut len = [0; 2];
    reader.fill(&mut len);
    let mut value = vec![0; 64 + usize::from(u16::from_le_bytes(len)) % 1984];
    reader.fill(&mut value);
    value
}

/// What writers have begun, and what they were told is durable.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger(BTreeMap<u32, Line>);

#[derive(Clone, Copy, Debug, Default)]
struct Line {
    begun: u64,
    acknowledged: u64,
    /// The environment's number of the last acknowledged commit.
    commit: u64,
}

impl Ledger {
    pub(super) fn begin(&mut self, writer: u32, number: u64) {
        self.0.entry(writer).or_default().begun = number;
    }

    pub(super) fn acknowledge(&mut self, writer: u32, number: u64, commit: u64) {
        let line = self.0.entry(writer).or_default();
        (line.acknowledged, line.commit) = (number, commit);
    }

    pub(super) fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Commits that were acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.0.values().map(|line| line.acknowledged).sum()
    }

    /// The newest acknowledged commit of the environment.
    pub(super) fn newest_commit(&self) -> u64 {
        self.0.values().map(|line| line.commit).max().unwrap_or(0)
    }

    /// The last acknowledged commit of some writer.
    pub(super) fn last(&self) -> Option<(u32, u64)> {
        let (&writer, line) = self.0.iter().rfind(|(_, line)| line.acknowledged > 0)?;
        Some((writer, line.acknowledged))
    }
}

/// What a check has found, and all of it is right.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Checked {
    pub(super) acknowledged: u64,
    pub(super) in_flight: u64,
    pub(super) in_flight_whole: u64,
}
