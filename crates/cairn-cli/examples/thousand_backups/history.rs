//! `History`: what writers have committed, by commit number, and the state that it gives at any of them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError, RwLock, RwLockReadGuard},
};

use cairndb::Snapshot;

use super::harness::Result;

/// The databases, in the order of their names.
pub(crate) const DATABASES: [&str; 3] = ["a", "b", "c"];

/// A value: its length, and the byte with which it is filled.
pub(crate) type Value = (usize, u8);

/// What a commit does to a key of a database, which is given by its place in [`DATABASES`].
pub(crate) type Change = ((usize, [u8; 8]), Option<Value>);

/// The state after a commit.
pub(crate) struct State {
    pub(crate) commit: u64,
    entries: BTreeMap<(usize, [u8; 8]), Value>,
}

/// The commits that no [`State`] holds yet.
#[derive(Default)]
pub(crate) struct History {
    commits: Mutex<BTreeMap<u64, Vec<Change>>>,
    committing: RwLock<()>,
}

impl History {
    /// To be held from before a commit until it was [noted](Self::note).
    pub(crate) fn committing(&self) -> RwLockReadGuard<'_, ()> {
        self.committing.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, commit: u64, changes: Vec<Change>) {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner).insert(commit, changes);
    }

    /// Brings `state` to `commit`, which is on the disk. A failure if it goes back, or nobody made a commit up to
    /// it.
    pub(crate) fn advance(&self, state: &mut State, commit: u64) -> Result {
        if commit < state.commit {
            return Err(format!("it holds commit {commit}, one before it {}", state.commit).into());
        }
        // Who has committed it is about to note it.
        drop(self.committing.write().unwrap_or_else(PoisonError::into_inner));
        let mut commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        while state.commit < commit {
            state.commit += 1;
            let changes = commits.remove(&state.commit);
            for (key, value) in changes.ok_or("it holds a commit that nobody made")? {
                match value {
                    Some(value) => drop(state.entries.insert(key, value)),
                    None => drop(state.entries.remove(&key)),
                }
            }
        }
        Ok(())
    }
}

/// BLAKE3 over databases, keys and values, each with its length.
#[derive(Default)]
struct Digest(blake3::Hasher);

impl Digest {
    fn add(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }
}

impl State {
    /// The state of databases that were created by the commits up to this one, and are empty.
    pub(crate) const fn empty(commit: u64) -> Self {
        Self { commit, entries: BTreeMap::new() }
    }

    pub(crate) fn digest(&self) -> blake3::Hash {
        let mut digest = Digest::default();
        for (number, name) in DATABASES.iter().enumerate() {
            digest.add(name.as_bytes());
            for ((_, key), (len, byte)) in
                self.entries.range((number, [0; 8])..=(number, [u8::MAX; 8]))
            {
                digest.add(key);
                digest.add(&vec![*byte; *len]);
            }
        }
        digest.0.finalize()
    }
}

/// The same of a state of an environment.
pub(crate) fn digest(snapshot: &Snapshot) -> Result<blake3::Hash> {
    let mut digest = Digest::default();
    for database in snapshot.databases()? {
        digest.add(database.name().as_bytes());
        for entry in snapshot.iter(&database)? {
            let (key, value) = entry?;
            digest.add(&key);
            digest.add(&value);
        }
    }
    Ok(digest.0.finalize())
}
