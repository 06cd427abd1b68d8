//! Compact: a SQL file is written anew without what it does not use, and takes its own place.

use cairn_env::EnvError;

use super::{SqlFiles, TransferError, TransferResult, outrun};
use crate::{
    connect::{Access, connect},
    file::{MAX_NAME_LEN, database_name},
};

/// What compacting a file has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactReport {
    /// Bytes of the file before.
    pub before: u64,
    /// Bytes of it now.
    pub after: u64,
}

/// What files that are being made are called, behind a beginning of the name of their file; then 16 digits follow.
const MAKING: &str = ".compacting-";
const DIGITS: usize = 16;

impl SqlFiles {
    /// Writes a file anew, without free pages and with each table in one piece, as `VACUUM` does, but beside it, and puts
    /// that in its place in one short commit: killed at any moment, the file is the old one or the new one. What has not
    /// changed is written once, and not twice. Whoever reads goes on with what they see; whoever writes waits.
    ///
    /// As with `VACUUM`, rows of tables without an `INTEGER PRIMARY KEY` may get other rowids.
    ///
    /// ```
    /// # use cairn_env::{Environment, Options};
    /// # use cairn_rdb::{Access, SqlFiles, SqliteConnections};
    /// let (env, _) = Environment::in_memory(Options::default())?;
    /// let connection = env.sqlite_connection("app.db", Access::Create)?;
    /// connection.execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES (zeroblob(100000)); DELETE FROM t")?;
    /// let report = SqlFiles::of(&env).compact("app.db")?;
    /// assert!(report.after < report.before / 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`TransferError::NotFound`]; [`TransferError::Busy`] if somebody writes to it for more than two seconds; what
    /// SQLite says if the file is damaged. Then nothing has changed.
    pub fn compact(&self, name: &str) -> TransferResult<CompactReport> {
        let (file, _alone) = self.alone(name)?;
        let (env, own) = (self.env(), database_name(name));
        let before = self.len(name)?;
        self.remove_unfinished(name)?;
        let mut id = [0; 8];
        env.world().random(&mut id);
        let made = format!("{}{MAKING}{:016x}", beginning(name), u64::from_le_bytes(id));
        let made_anew = connect(env, name, Access::ReadOnly)?.execute("VACUUM INTO ?", [&made]);
        let replaced = made_anew.map_err(TransferError::from).and_then(|_| {
            let snapshot = env.latest_snapshot()?;
            let missing = |name: &str| EnvError::NoSuchDatabase { name: name.into() };
            let new = database_name(&made);
            let new = snapshot.database(&new)?.ok_or_else(|| missing(&new))?;
            let shape = snapshot.shapes()?.into_iter().find(|shape| shape.name == own);
            let shape = shape.ok_or_else(|| missing(&own))?;
            let head = file.head(env);
            let mut txn = env.begin_exclusive()?;
            let new = txn.replace_database_by(&shape, &new)?;
            let head = outrun(&mut txn, name, head)?;
            txn.commit()?;
            file.replaced(Some(new), head);
            Ok(CompactReport { before, after: head.len })
        });
        if replaced.is_err() {
            self.remove(&made).unwrap_or_default(); // what counts is why it failed
        }
        replaced
    }

    /// Removes what those have left who were killed while they compacted this file.
    fn remove_unfinished(&self, name: &str) -> TransferResult<()> {
        let beginning = format!("{}{MAKING}", beginning(name));
        let is_one = |found: &String| {
            found.strip_prefix(&beginning).is_some_and(|digits| {
                digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
            })
        };
        self.names()?.iter().filter(|name| is_one(name)).try_for_each(|left| self.remove(left))
    }
}

/// As much of a name as leaves room.
fn beginning(name: &str) -> &str {
    let mut end = name.len().min(MAX_NAME_LEN - MAKING.len() - DIGITS);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

#[cfg(test)]
mod tests {
    use cairn_env::{Environment, Options};

    use super::*;
    use crate::file::check_name;

    #[test]
    fn a_long_name_leaves_room() {
        for name in ["a".repeat(MAX_NAME_LEN), "é".repeat(MAX_NAME_LEN / 2)] {
            let made = format!("{}{MAKING}{:016x}", beginning(&name), u64::MAX);
            assert!(check_name(&made) && made.len() > MAX_NAME_LEN - 2, "{made}");
        }
    }

    #[test]
    fn what_somebody_has_left_who_was_killed_goes() {
        let (env, _) = Environment::in_memory(Options::default()).unwrap();
        let left = format!("app{MAKING}{:016x}", 7);
        for name in ["app", &left, "app.compacting-7", "other"] {
            let file = connect(&env, name, Access::Create).unwrap();
            file.execute_batch("CREATE TABLE t(x)").unwrap();
        }
        let files = SqlFiles::of(&env);
        files.compact("app").unwrap();
        assert_eq!(files.names().unwrap(), ["app", "app.compacting-7", "other"]);
        assert!(matches!(files.compact("none"), Err(TransferError::NotFound { .. })));
    }
}
