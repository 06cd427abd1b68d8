//! Reads of one value, without a snapshot that somebody could keep.

use crate::{
    Database, EnvError, EnvResult, Environment, Stored,
    door::Visit,
    seen::{Looked, Seen},
};

impl Environment {
    /// What `read` makes of the value of `key` where [`Environment::durable_snapshot_with`] would find it. Who reads one
    /// value has it sooner than from a snapshot, since nothing is made that could be kept.
    ///
    /// ```
    /// # use cairn_env::{DatabaseOptions, Environment, Options};
    /// # let (env, _) = Environment::in_memory(Options::default())?;
    /// # let db = env.database("db", DatabaseOptions::default())?;
    /// env.write(|txn| txn.put(&db, b"tea", b"mint"))?;
    /// assert_eq!(env.get_durable_with(0, &db, b"tea", |value| value.len())?, Some(4));
    /// assert_eq!(env.get_durable_with(0, &db, b"coffee", |value| value.len())?, None);
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    ///
    /// # Errors
    /// If the value or a node on the way to it cannot be read: other keys can be. [`EnvError::NoSuchDatabase`] if the
    /// database is not there. If the environment has failed or was closed.
    pub fn get_durable_with<R>(
        &self,
        commit: u64,
        database: &Database,
        key: &[u8],
        read: impl FnOnce(Stored<'_>) -> R,
    ) -> EnvResult<Option<R>> {
        let visit = self.core.visit()?;
        match visit.published.look() {
            Some(durable) if durable.sequence() >= commit => {
                get_with(&visit, &durable.into(), database, key, read)
            }
            _ => get_newest_with(&visit, database, key, read),
        }
    }

    /// What `read` makes of the value of `key` where [`Environment::snapshot`] would find it, sooner than from a snapshot.
    ///
    /// ```
    /// # use cairn_env::{DatabaseOptions, Durability, Environment, Options};
    /// # let (env, _) = Environment::in_memory(Options::default())?;
    /// # let db = env.database("db", DatabaseOptions::default())?;
    /// env.write_with(Durability::NoSync, |txn| txn.put(&db, b"tea", b"mint"))?;
    /// assert_eq!(env.get_with(&db, b"tea", |value| value.len())?, Some(4));
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Environment::get_durable_with`].
    pub fn get_with<R>(
        &self,
        database: &Database,
        key: &[u8],
        read: impl FnOnce(Stored<'_>) -> R,
    ) -> EnvResult<Option<R>> {
        get_newest_with(&self.core.visit()?, database, key, read)
    }
}

fn get_newest_with<R>(
    visit: &Visit<'_>,
    database: &Database,
    key: &[u8],
    read: impl FnOnce(Stored<'_>) -> R,
) -> EnvResult<Option<R>> {
    match visit.look_or_promise(database.tree, key)? {
        Looked::Found(value) => value.map(|value| value.read(visit, read)).transpose(),
        Looked::Not(seen) => get_with(visit, &seen, database, key, read),
    }
}

fn get_with<R>(
    visit: &Visit<'_>,
    seen: &Seen,
    database: &Database,
    key: &[u8],
    read: impl FnOnce(Stored<'_>) -> R,
) -> EnvResult<Option<R>> {
    let get = || match visit.get_in_with(seen, database.tree, key, read)? {
        None if !visit.make(seen)?.has(database.tree)? => {
            Err(EnvError::NoSuchDatabase { name: database.name().into() })
        }
        found => Ok(found),
    };
    visit.check_age_of(seen)?;
    // What has become too old meanwhile may miss a file.
    get().map_err(|error| visit.check_age_of(seen).err().unwrap_or(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DatabaseOptions, Durability, Options};

    fn open() -> (Environment, Database) {
        let (env, _) = Environment::in_memory(Options::default().background(false)).unwrap();
        let database = env.database("db", DatabaseOptions::default()).unwrap();
        env.write(|txn| txn.put(&database, b"k", b"durable")).unwrap();
        (env, database)
    }

    #[test]
    fn it_finds_what_a_snapshot_finds() {
        let (env, database) = open();
        let large = [7; 100_000];
        env.write_with(Durability::NoSync, |txn| txn.put(&database, b"k", &large)).unwrap();
        let newest = env.snapshot().unwrap().commit();
        for (commit, expected) in [(0, &b"durable"[..]), (newest, &large)] {
            let snapshot = env.durable_snapshot_with(commit).unwrap();
            assert_eq!(*snapshot.get(&database, b"k").unwrap().unwrap(), *expected);
            let found = env.get_durable_with(commit, &database, b"k", |value| value.to_vec());
            assert_eq!(found.unwrap().unwrap(), expected);
        }
    }

    #[test]
    fn a_database_that_is_gone_is_more_than_a_key_that_is_missing() {
        let (env, database) = open();
        assert_eq!(env.get_durable_with(0, &database, b"other", |_| ()).unwrap(), None);
        env.write(|txn| txn.drop_database(&database)).unwrap();
        let error = env.get_durable_with(0, &database, b"k", |_| ()).unwrap_err();
        assert!(matches!(error, EnvError::NoSuchDatabase { .. }), "{error}");
    }

    #[test]
    fn nobody_closes_the_environment_while_a_value_is_looked_at() {
        let (env, database) = open();
        let close = || env.clone().close();
        let closed = env.get_durable_with(0, &database, b"k", |_| close().is_ok()).unwrap();
        assert_eq!(closed, Some(false));
        close().unwrap();
        let error = env.get_durable_with(0, &database, b"k", |_| ()).unwrap_err();
        assert!(matches!(error, EnvError::Closed), "{error}");
    }
}
