//! What a transaction does: it follows from the seed and from who it is, so nobody needs to be told.

use cairn_env::Durability;
use cairn_sim::{Chooser as _, ChooserExt as _, Seeded};
use std::{fmt, time::Duration};

/// The database in which all clients write.
pub(super) const SHARED: &str = "shared";
/// The key of [`SHARED`] that every transaction puts.
pub(super) const LAST: &[u8] = b"last";

/// Which transaction: every value begins with the one that put it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "three numbers")]
pub struct Id {
    /// The client that made it.
    pub client: u8,
    /// The process in which that was: the cycle of the chain.
    pub life: u32,
    /// Its place among those of this client in this process; the first one is 1.
    pub index: u32,
}

impl Id {
    /// Bytes at the beginning of each value.
    pub const LEN: usize = 9;

    fn encode(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0] = self.client;
        bytes[1..5].copy_from_slice(&self.life.to_le_bytes());
        bytes[5..].copy_from_slice(&self.index.to_le_bytes());
        bytes
    }

    /// Whose value this is.
    #[must_use]
    pub fn of(value: &[u8]) -> Option<Self> {
        let (&client, rest) = value.split_first()?;
        let (life, rest) = rest.split_first_chunk()?;
        let index = rest.first_chunk()?;
        Some(Self { client, life: u32::from_le_bytes(*life), index: u32::from_le_bytes(*index) })
    }

    /// The value of this length that it puts.
    #[must_use]
    pub fn value(self, len: usize) -> Vec<u8> {
        let mut value = vec![0; len.max(Self::LEN)];
        let (name, rest) = value.split_at_mut(Self::LEN);
        name.copy_from_slice(&self.encode());
        self.numbers(len as u64).fill(rest);
        value
    }

    fn numbers(self, salt: u64) -> Seeded {
        let Self { client, life, index } = self;
        let who = u64::from(client) << 56 | u64::from(life) << 28 | u64::from(index);
        Seeded::new(Seeded::new(who).next_u64() ^ salt)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.client, self.life, self.index)
    }
}

/// The key under which a client leaves its newest transaction.
#[must_use]
pub(super) fn marker(client: u8) -> Vec<u8> {
    format!("client-{client}").into_bytes()
}

/// A part of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "both processes handle each")]
pub enum Change {
    /// Drops a database, if it is there.
    Drop(String),
    /// Creates a database.
    Create(String),
    /// Puts a value of this length.
    Put(String, Vec<u8>, usize),
    /// Deletes a key.
    Delete(String, Vec<u8>),
}

/// How a transaction is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "two facts")]
pub struct Manner {
    /// How sure its commit is.
    pub durability: Durability,
    /// Whether it waits for no other transaction, and no other one for it.
    pub exclusive: bool,
}

/// What a transaction does, in order, and how it is committed.
///
/// Clients get in each other's way only where they all put the same key. So what is there after a
/// death is told by how far each of them came.
#[must_use]
pub fn transaction(seed: u64, id: Id) -> (Vec<Change>, Manner) {
    let mut random = id.numbers(seed);
    let Id { client, index, .. } = id;
    let (own, passing) = (format!("own-{client}"), format!("passing-{client}"));
    let put =
        |database: &str, key: String, len| Change::Put(database.to_owned(), key.into_bytes(), len);
    let mut changes = vec![
        Change::Put(SHARED.to_owned(), marker(client), Id::LEN),
        Change::Put(SHARED.to_owned(), LAST.to_vec(), Id::LEN),
        Change::Create(own.clone()),
    ];
    match index % 16 {
        4 => changes.extend([Change::Drop(passing.clone()), Change::Create(passing.clone())]),
        5..=14 => {
            changes.push(put(&passing, format!("{:02}", index % 16), random.range(9..200, "len")))
        }
        15 => changes.push(Change::Drop(passing)),
        _ => {}
    }
    let exclusive = index % 29 == 0;
    let count = if exclusive { 40 } else { random.range(1..7, "changes") };
    for _ in 0..count {
        let key = format!("{:03}", random.choose(96, "key"));
        changes.push(match random.weighted(&[6, 2, 2], "change") {
            0 => put(&own, key, random.range(9..300, "len")),
            1 => Change::Delete(own.clone(), key.into_bytes()),
            _ => put(SHARED, format!("{client}-{key}"), random.range(9..60, "len")),
        });
    }
    if random.choose(10, "large") == 0 {
        let key = format!("large-{}", random.choose(4, "key"));
        changes.push(put(&own, key, random.range(2_000..40_000, "len")));
    }
    let durability = match random.weighted(&[4, 4, 2, 1], "durability") {
        0 => Durability::Sync,
        1 => Durability::WriteNoSync,
        2 => Durability::NoSync,
        _ => Durability::Relaxed(Duration::from_millis(2)),
    };
    (changes, Manner { durability, exclusive })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_tells_who_put_it_and_no_two_are_alike() {
        let id = Id { client: 3, life: 199, index: 70_000 };
        let other = Id { index: 70_001, ..id };
        assert_eq!(Id::of(&id.value(100)), Some(id));
        assert_eq!(id.value(0).len(), Id::LEN);
        assert_ne!(id.value(100)[Id::LEN..], other.value(100)[Id::LEN..]);
        assert_eq!(Id::of(&id.value(8)[..8]), None);
        assert_eq!(transaction(1, id), transaction(1, id));
        assert_ne!(transaction(1, id), transaction(2, id));
    }
}
