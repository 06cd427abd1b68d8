//! What an environment holds, as digests: one over everything, and one per entry to compare with.

use std::collections::BTreeMap;

use blake3::{Hash, Hasher};
use cairndb::{EnvResult, Snapshot};

/// The digest of everything that a snapshot holds, and how much that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest {
    pub(super) hash: Hash,
    pub(super) databases: u64,
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

/// BLAKE3 over the names of all databases and all their keys and values, each with its length in
/// front: no two different contents are the same text.
pub(super) fn digest(snapshot: &Snapshot) -> EnvResult<Digest> {
    let mut hasher = Hasher::new();
    let (mut databases, mut entries, mut bytes) = (0, 0, 0);
    for database in snapshot.databases()? {
        databases += 1;
        feed(&mut hasher, b'D', database.name().as_bytes());
        for entry in snapshot.iter(&database)? {
            let (key, value) = entry?;
            feed(&mut hasher, b'K', &key);
            feed(&mut hasher, b'V', &value);
            entries += 1;
            bytes += (key.len() + value.len()) as u64;
        }
    }
    Ok(Digest { hash: hasher.finalize(), databases, entries, bytes })
}

fn feed(hasher: &mut Hasher, tag: u8, bytes: &[u8]) {
    hasher.update(&[tag]);
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

/// The digest of one entry.
pub(super) fn entry_digest(key: &[u8], value: &[u8]) -> Hash {
    let mut hasher = Hasher::new();
    feed(&mut hasher, b'K', key);
    feed(&mut hasher, b'V', value);
    hasher.finalize()
}

/// Everything that an environment held while it was whole, entry by entry: whatever it returns once it
/// is damaged is compared with that.
pub(super) struct Truth {
    databases: BTreeMap<String, Vec<Hash>>,
}

/// What reading everything came to.
pub(super) enum Reading {
    /// All is there, and right.
    Whole,
    /// Something is wrong or missing, and nobody has said so.
    Wrong(String),
    /// An error; what was read before it is right.
    Refused(cairndb::EnvError),
}

impl Truth {
    pub(super) fn of(snapshot: &Snapshot) -> EnvResult<Self> {
        let mut databases = BTreeMap::new();
        for database in snapshot.databases()? {
            let mut entries = Vec::new();
            for entry in snapshot.iter(&database)? {
                let (key, value) = entry?;
                entries.push(entry_digest(&key, &value));
            }
            databases.insert(database.name().to_owned(), entries);
        }
        Ok(Self { databases })
    }

    /// Reads everything, and compares it.
    pub(super) fn compare(&self, snapshot: &Snapshot) -> Reading {
        match self.find_difference(snapshot) {
            Ok(None) => Reading::Whole,
            Ok(Some(difference)) => Reading::Wrong(difference),
            Err(error) => Reading::Refused(error),
        }
    }

    fn find_difference(&self, snapshot: &Snapshot) -> EnvResult<Option<String>> {
        let databases = snapshot.databases()?;
        if !databases.iter().map(|database| database.name()).eq(self.databases.keys()) {
            return Ok(Some("the databases are others than before".into()));
        }
        for (database, expected) in databases.iter().zip(self.databases.values()) {
            let name = database.name();
            let mut number = 0;
            for entry in snapshot.iter(database)? {
                let (key, value) = entry?;
                if expected.get(number) != Some(&entry_digest(&key, &value)) {
                    let key = crate::text::escape_short(&key, 80);
                    return Ok(Some(format!(
                        "the entry {key} of database {name:?} is not what it was"
                    )));
                }
                number += 1;
            }
            if number != expected.len() {
                let all = expected.len();
                return Ok(Some(format!(
                    "{number} of {all} entries of database {name:?} are there"
                )));
            }
        }
        Ok(None)
    }
}
