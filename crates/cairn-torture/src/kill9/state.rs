//! `State`: what an environment must hold, and what a process that died has been told of it.

use std::collections::BTreeMap;

use cairn_env::Snapshot;

use super::{
    client::UNTOLD_MAX,
    transaction::{Change, Id, LAST, SHARED, marker, transaction},
    word::{Survives, Word},
};
use crate::problem::{Checked, Problem, Wrong};

/// Entries of a database: whose value, and its length.
type Entries = BTreeMap<Vec<u8>, (Id, usize)>;

/// All content after a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The commit.
    pub commit: u64,
    databases: BTreeMap<String, Entries>,
}

/// What a process has said so far.
#[derive(Clone, Debug, Default)]
pub struct Told {
    committed: BTreeMap<Id, u64>,
    /// The newest commit that must have survived.
    required: u64,
}

impl Told {
    /// Hears one more word; `death` is what a commit must survive.
    pub fn hear(&mut self, word: &Word, death: Survives) {
        let sure = match *word {
            Word::Committed(id, commit, survives) => {
                self.committed.insert(id, commit);
                if survives >= death { commit } else { 0 }
            }
            Word::Synced(commit) | Word::BackedUp(_, commit) => commit,
            _ => 0,
        };
        self.required = self.required.max(sure);
    }

    /// How many commits were acknowledged.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.committed.len() as u64
    }
}

/// A life: the seed of its chain, its number, how many clients it has.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "three numbers")]
pub struct Who {
    /// The seed.
    pub seed: u64,
    /// The life.
    pub life: u32,
    /// The clients.
    pub clients: u8,
}

impl State {
    /// What a life that began with this must have left, given what is found: exactly the transactions of
    /// each client up to some one, and so many of them that all commits up to the newest one are explained.
    ///
    /// # Errors
    /// If something is lost, torn, or from nowhere.
    pub fn explain(&self, who: Who, told: &Told, found: &Snapshot) -> Checked<Self> {
        let newest = found.commit();
        if newest < told.required {
            let required = told.required;
            let what = format!("commit {newest} is the newest, {required} was acknowledged");
            return Err(Problem::new(Wrong::LostCommit, what));
        }
        let mut state = Self { commit: newest, databases: self.databases.clone() };
        let mut count = 0;
        for client in 0..who.clients {
            let index = self.last_of(who, client, found)?;
            let last = Id { client, life: who.life, index };
            told.allow(last, newest)?;
            for index in 1..=index {
                state.apply(who.seed, Id { index, ..last });
            }
            count += u64::from(index);
        }
        if self.commit + count != newest {
            let before = self.commit;
            let what =
                format!("{count} transactions came after commit {before}, not those of {newest}");
            return Err(Problem::new(Wrong::Content, what));
        }
        state.put_last(self, who, told, found, count)?;
        state.compare(found)?;
        Ok(state)
    }

    /// How many transactions of a client are there.
    fn last_of(&self, who: Who, client: u8, found: &Snapshot) -> Checked<u32> {
        let key = marker(client);
        let Some(value) = get(found, SHARED, &key)? else { return Ok(0) };
        match Id::of(&value) {
            Some(id) if id.client == client && id.life == who.life => Ok(id.index),
            // Of an earlier life: the comparison of all content says whether it is the right one.
            _ => Ok(0),
        }
    }

    fn apply(&mut self, seed: u64, id: Id) {
        for change in transaction(seed, id).0 {
            match change {
                Change::Drop(name) => drop(self.databases.remove(&name)),
                Change::Create(name) => drop(self.databases.entry(name).or_default()),
                Change::Put(name, key, len) => {
                    self.databases.entry(name).or_default().insert(key, (id, len));
                }
                Change::Delete(name, key) => {
                    self.databases.entry(name).or_default().remove(&key);
                }
            }
        }
    }

    /// All clients put the same key: its value is that of the newest commit.
    fn put_last(
        &mut self,
        before: &Self,
        who: Who,
        told: &Told,
        found: &Snapshot,
        count: u64,
    ) -> Checked<()> {
        let entry = (SHARED, LAST.to_vec());
        let is = get(found, entry.0, &entry.1)?.and_then(|value| Id::of(&value));
        let was = before.databases.get(SHARED).and_then(|entries| entries.get(LAST));
        let last = match (count, is) {
            (0, _) => was.map(|(id, _)| *id),
            (_, Some(id)) if id.life == who.life => Some(id),
            _ => None,
        };
        let wrong = |what: String| Err(Problem::new(Wrong::Content, what));
        let Some(id) = last else {
            return match count {
                0 => Ok(()),
                _ => wrong(format!("the newest transaction is not named, but {is:?}")),
            };
        };
        if count > 0 {
            let marker =
                self.databases.get(SHARED).and_then(|shared| shared.get(&marker(id.client)));
            if marker.is_none_or(|(newest, _)| *newest != id) {
                return wrong(format!("{id} is named the newest, its client has {marker:?}"));
            }
            if let Some(&commit) = told.committed.get(&id).filter(|&&commit| commit != self.commit)
            {
                let newest = self.commit;
                return wrong(format!(
                    "{id} is named the newest ({newest}), but was commit {commit}"
                ));
            }
        }
        let shared = self.databases.entry(SHARED.to_owned()).or_default();
        shared.insert(entry.1, (id, Id::LEN));
        Ok(())
    }

    /// Whether exactly this is found.
    fn compare(&self, found: &Snapshot) -> Checked<()> {
        let wrong = |what: String| Problem::new(Wrong::Content, what);
        let failed = |error| Problem::new(Wrong::Refused, format!("reading: {error}"));
        let databases = found.databases().map_err(failed)?;
        let names: Vec<_> = databases.iter().map(|database| database.name().to_owned()).collect();
        let expected: Vec<_> = self.databases.keys().cloned().collect();
        if names != expected {
            return Err(wrong(format!("there are the databases {names:?}, not {expected:?}")));
        }
        for database in &databases {
            let name = database.name();
            let mut expected = self.databases[name].iter();
            for entry in found.iter(database).map_err(failed)? {
                let (key, value) = entry.map_err(failed)?;
                let show = String::from_utf8_lossy(&key).into_owned();
                let Some((wanted, &(id, len))) = expected.next() else {
                    return Err(wrong(format!("{name}/{show} should not be there")));
                };
                if *wanted != *key {
                    let wanted = String::from_utf8_lossy(wanted);
                    return Err(wrong(format!(
                        "{name}: after {wanted} was looked for came {show}"
                    )));
                }
                if *value != *id.value(len) {
                    let is = Id::of(&value).map_or("nobody".to_owned(), |id| id.to_string());
                    let is = format!("{} bytes of {is}", value.len());
                    return Err(wrong(format!("{name}/{show} is {is}, not {len} bytes of {id}")));
                }
            }
            if let Some((key, (id, _))) = expected.next() {
                let key = String::from_utf8_lossy(key);
                return Err(wrong(format!("{name}/{key} of {id} is not there")));
            }
        }
        Ok(())
    }
}

impl Told {
    /// Whether the transactions of a client up to `last` may be there, and none after it.
    fn allow(&self, last: Id, newest: u64) -> Checked<()> {
        let from = Id { index: 0, ..last };
        let to = Id { index: u32::MAX, ..last };
        let mut acknowledged = 0;
        for (id, &commit) in self.committed.range(from..=to) {
            let there = id.index <= last.index;
            if there != (commit <= newest) {
                let is = if there { "is there" } else { "is not there" };
                let what = format!("{id}, commit {commit}, {is}; the newest commit is {newest}");
                return Err(Problem::new(Wrong::Content, what));
            }
            acknowledged = id.index;
        }
        if last.index > acknowledged + UNTOLD_MAX {
            let what = format!("{last} is there, but only {acknowledged} had been acknowledged");
            return Err(Problem::new(Wrong::InventedCommit, what));
        }
        Ok(())
    }
}

fn get(found: &Snapshot, database: &str, key: &[u8]) -> Checked<Option<Vec<u8>>> {
    let read = || match found.database(database)? {
        Some(database) => Ok(found.get(&database, key)?.map(|value| value.to_vec())),
        None => Ok(None),
    };
    read().map_err(|error: cairn_env::EnvError| {
        Problem::new(Wrong::Refused, format!("reading: {error}"))
    })
}
