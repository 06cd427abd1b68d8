//! Savepoints: the changes of a transaction from some point on, taken back.

use cairn_btree::TreeId;

use super::Transaction;
use crate::{Database, EnvError, EnvResult};

/// A point in a transaction to which [`Transaction::rollback_to`] can go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Savepoint {
    transaction: u64,
    /// Which of its savepoints.
    number: u64,
}

/// What a transaction needs to take changes back.
#[derive(Debug, Default)]
pub(super) struct Undo {
    /// What stood there before each change, in the order of the changes: `None` if nothing did.
    changes: Vec<Change>,
    /// Savepoints that can still be reached, in order.
    points: Vec<Point>,
    next: u64,
}

#[derive(Debug)]
struct Change {
    tree: TreeId,
    key: Vec<u8>,
    before: Option<Option<Vec<u8>>>,
}

#[derive(Debug)]
struct Point {
    number: u64,
    changes: usize,
    creates: Vec<Database>,
    drops: usize,
    bytes: usize,
}

impl Undo {
    /// Whether changes must be remembered.
    pub(super) fn is_armed(&self) -> bool {
        !self.points.is_empty()
    }

    pub(super) fn push(&mut self, tree: TreeId, key: &[u8], before: Option<Option<Vec<u8>>>) {
        self.changes.push(Change { tree, key: key.to_vec(), before });
    }
}

impl Transaction {
    /// A point to which the transaction can go back. From the first one on, the transaction remembers
    /// what its changes replace, which takes memory.
    ///
    /// ```
    /// # use cairn_env::{DatabaseOptions, Environment, Options};
    /// # let (env, _) = Environment::in_memory(Options::default())?;
    /// # let db = env.database("db", DatabaseOptions::default())?;
    /// let mut txn = env.begin_write()?;
    /// txn.put(&db, b"kept", b"1")?;
    /// let here = txn.savepoint();
    /// txn.put(&db, b"given up", b"2")?;
    /// txn.rollback_to(here)?;
    /// txn.commit()?;
    /// assert_eq!(env.snapshot()?.len(&db)?, 1);
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    pub fn savepoint(&mut self) -> Savepoint {
        self.undo.next += 1;
        let number = self.undo.next;
        self.undo.points.push(Point {
            number,
            changes: self.undo.changes.len(),
            creates: self.creates.clone(),
            drops: self.drops.len(),
            bytes: self.bytes,
        });
        Savepoint { transaction: self.number, number }
    }

    /// Takes all changes back that were made after the savepoint, and forgets the savepoints after it;
    /// it can itself be used again. What was read since then counts as read.
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] if the savepoint belongs to another transaction, or if this one has
    /// gone back beyond it: then nothing was changed.
    pub fn rollback_to(&mut self, savepoint: Savepoint) -> EnvResult<()> {
        let points = &mut self.undo.points;
        let found = points.iter().position(|point| point.number == savepoint.number);
        let Some(index) = found.filter(|_| savepoint.transaction == self.number) else {
            return Err(EnvError::InvalidInput {
                what: "a savepoint of another transaction, or one that it has gone back beyond"
                    .into(),
            });
        };
        points.truncate(index + 1);
        let point = &points[index];
        for Change { tree, key, before } in self.undo.changes.drain(point.changes..).rev() {
            let Some(writes) = self.writes.get_mut(&tree) else { continue };
            match before {
                Some(value) => drop(writes.entries.insert(key, value)),
                // Planted: a savepoint that keeps inserts.
                None if cairn_io::planted::is(30) => {}
                None => drop(writes.entries.remove(&key)),
            }
        }
        self.writes.retain(|_, writes| !writes.entries.is_empty());
        self.creates.clone_from(&point.creates);
        self.drops.truncate(point.drops);
        self.bytes = point.bytes;
        Ok(())
    }
}
