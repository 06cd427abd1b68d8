//! `database_totals`: what an archive would say of a database, without one.

use cairn_env::{Database, EnvResult, Snapshot};
use cairn_log::{Digest, codec::ByteWriter};

use crate::{DatabaseTotals, hashing::PieceHasher};

/// The entries of a database in a snapshot: how many, how many bytes, and their BLAKE3, as an archive of it has them in
/// its [`Totals`](crate::Totals). Two databases with the same digest hold the same entries, wherever they lie.
///
/// Reads all of them.
///
/// ```
/// use cairn_archive::database_totals;
/// # use cairn_env::{DatabaseOptions, Environment, Options};
/// # let (env, _) = Environment::in_memory(Options::default())?;
/// let [one, other] = ["one", "other"].map(|name| env.database(name, DatabaseOptions::default()).unwrap());
/// env.write(|txn| txn.put(&one, b"ada", b"1815"))?;
/// env.write(|txn| txn.put(&other, b"ada", b"1815"))?;
/// let snapshot = env.snapshot()?;
/// assert_eq!(database_totals(&snapshot, &one)?, database_totals(&snapshot, &other)?);
/// # Ok::<(), cairn_env::EnvError>(())
/// ```
///
/// # Errors
/// If the environment is damaged, or the disk fails.
pub fn database_totals(snapshot: &Snapshot, database: &Database) -> EnvResult<DatabaseTotals> {
    let (mut hasher, mut head) = (PieceHasher::default(), Vec::new());
    let mut totals = DatabaseTotals::default();
    let mut cursor = snapshot.scan(database)?;
    while cursor.next()? {
        cursor.value_with(|value| {
            let key = cursor.key();
            head.clear();
            head.put_varint(key.len() as u64);
            head.put_varint(value.len() as u64);
            head.extend_from_slice(key);
            hasher.update(&head);
            hasher.update(value);
            totals.entries += 1;
            totals.bytes += (head.len() + value.len()) as u64;
        })?;
    }
    totals.digest = Digest(hasher.finish());
    Ok(totals)
}
