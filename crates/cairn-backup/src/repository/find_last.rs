//! `Repository::find_last`: the newest point that has something, and the one that has it no more.

use cairn_env::{DatabaseKind, EnvError, Environment, ErrorKind};
use cairn_log::Uuid;

use super::{Point, Repository, Which};
use crate::{BackupError, BackupResult, RestoreOptions};

/// What is looked for in points.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sought {
    /// A key of a database; of a multimap, one with any value.
    Entry {
        /// The database.
        database: String,
        /// The key.
        key: Vec<u8>,
    },
    /// A key of a key-value store; of one for several devices, that of this one.
    #[cfg(feature = "kv")]
    KeyValue {
        /// The id of the store.
        store: String,
        /// The key.
        key: Vec<u8>,
    },
    /// What a query of a SQL file gives: any row.
    #[cfg(feature = "sql")]
    Sql {
        /// The file.
        file: String,
        /// The query.
        query: String,
    },
}

/// Where something was found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FoundLast {
    /// The newest point that has it, with its number.
    pub found: Option<(u64, Point)>,
    /// The oldest of the points after that one, which has it no more; nothing if there is no such point, or none at
    /// all has it.
    pub lost_in: Option<u64>,
    /// How many points were looked into.
    pub looked_into: u64,
    /// If none of them has what would have to be there to be looked into, such as a database of that name, what the newest
    /// one lacks: it may be spelt otherwise.
    pub nowhere: Option<String>,
    /// Points that cannot be read, which were passed over: with the number of each, why.
    pub unreadable: Vec<(u64, String)>,
}

/// What a look into a point came to.
enum Looked {
    There,
    NotThere,
    /// There is nothing to look into: what is missing.
    Nowhere(String),
}

impl From<bool> for Looked {
    fn from(is_there: bool) -> Self {
        if is_there { Self::There } else { Self::NotThere }
    }
}

impl Sought {
    /// Whether an environment has it. Where there is no such database, store, SQL file or table, it is not.
    ///
    /// # Errors
    /// What cannot be read; a query that makes no sense.
    pub fn is_in(&self, env: &Environment) -> BackupResult<bool> {
        Ok(matches!(self.look(env)?, Looked::There))
    }

    fn look(&self, env: &Environment) -> BackupResult<Looked> {
        match self {
            Self::Entry { database, key } => {
                let snapshot = env.snapshot()?;
                let Some(found) = snapshot.database(database)? else {
                    return Ok(Looked::Nowhere(format!("there is no database {database:?}")));
                };
                match found.kind() {
                    DatabaseKind::Map => Ok(snapshot.contains(&found, key)?.into()),
                    DatabaseKind::Multimap => {
                        let multimap = env.multimap(database)?;
                        Ok(multimap.first(&snapshot, key)?.is_some().into())
                    }
                    _ => {
                        let what =
                            format!("{database:?} is an index: look for the key of its database");
                        Err(EnvError::InvalidInput { what }.into())
                    }
                }
            }
            #[cfg(feature = "kv")]
            Self::KeyValue { store, key } => {
                use cairn_kv::KvStore;

                if !KvStore::ids(env)?.contains(store) {
                    return Ok(Looked::Nowhere(format!("there is no key-value store {store:?}")));
                }
                let options = KvStore::recorded_options(env, store)?;
                Ok(KvStore::open(env, store, options)?.get(key)?.is_some().into())
            }
            #[cfg(feature = "sql")]
            Self::Sql { file, query } => sql(env, file, query),
        }
    }
}

#[cfg(feature = "sql")]
fn sql(env: &Environment, file: &str, query: &str) -> BackupResult<Looked> {
    use cairn_rdb::{Access, SqlFiles, SqliteConnections, TransferError, rusqlite};

    if !SqlFiles::of(env).exists(file)? {
        return Ok(Looked::Nowhere(format!("there is no SQL file {file:?}")));
    }
    let connection = env.sqlite_connection(file, Access::ReadOnly).map_err(TransferError::from)?;
    let is_there = || {
        let mut statement = connection.prepare(query)?;
        Ok((statement.readonly(), statement.readonly() && statement.exists([])?))
    };
    match is_there() {
        Ok((false, _)) => {
            let what = format!("{query:?} would write, and what looks into a backup only reads");
            Err(BackupError::InvalidInput { what })
        }
        Ok((true, is_there)) => Ok(is_there.into()),
        // The table, or the column, came later. SQLite says for some errors where in the statement they are.
        Err(
            rusqlite::Error::SqliteFailure(_, Some(msg))
            | rusqlite::Error::SqlInputError { msg, .. },
        ) if ["no such table", "no such column"].iter().any(|no| msg.starts_with(no)) => {
            Ok(Looked::Nowhere(msg))
        }
        Err(error) => Err(TransferError::from(error).into()),
    }
}

impl Repository {
    /// Finds the newest point that has something: the points are opened where they lie
    /// ([`open_backup`](Self::open_backup)), the newest first, until one has it.
    ///
    /// ```
    /// use cairn_backup::{PointOptions, Repository, RestoreOptions, Sought};
    /// # use cairn_env::{DatabaseOptions, Environment, Options};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let repository = Repository::create(dir.path().join("repo"))?;
    /// # let (env, _) = Environment::in_memory(Options::default())?;
    /// let users = env.database("users", DatabaseOptions::default())?;
    /// env.write(|txn| txn.put(&users, b"ada", b"1815"))?;
    /// repository.backup(&env, &PointOptions::default())?;
    /// env.write(|txn| txn.delete(&users, b"ada"))?;
    /// repository.backup(&env, &PointOptions::default())?;
    ///
    /// let ada = Sought::Entry { database: "users".into(), key: b"ada".to_vec() };
    /// let last = repository.find_last(None, &ada, &RestoreOptions::default())?;
    /// assert_eq!((last.found.unwrap().0, last.lost_in), (1, Some(2)));
    /// # Ok::<(), cairn_backup::BackupError>(())
    /// ```
    ///
    /// # Errors
    /// As [`points`](Self::points); of a key that is missing or wrong; of a query that makes no sense. Points that are
    /// damaged are passed over, and named.
    pub fn find_last(
        &self,
        environment: Option<Uuid>,
        sought: &Sought,
        options: &RestoreOptions<'_>,
    ) -> BackupResult<FoundLast> {
        let listed = self.points(environment)?;
        let mut last = FoundLast {
            found: None,
            lost_in: None,
            looked_into: 0,
            nowhere: None,
            unreadable: Vec::new(),
        };
        let mut is_somewhere = false;
        for listed in listed.into_iter().rev() {
            let number = listed.number;
            let point = match listed.point {
                Ok(point) => point,
                Err(error) => {
                    last.unreadable.push((number, error.to_string()));
                    continue;
                }
            };
            let of = Some(point.cut.environment);
            let opened = self.open_backup(of, &Which::Number(number), options);
            match opened.and_then(|(env, _)| sought.look(&env)) {
                Ok(Looked::There) => {
                    last.looked_into += 1;
                    last.nowhere = None;
                    last.found = Some((number, point));
                    return Ok(last);
                }
                Ok(looked) => {
                    last.looked_into += 1;
                    last.lost_in = Some(number);
                    match looked {
                        Looked::Nowhere(why) => drop(last.nowhere.get_or_insert(why)),
                        _ => is_somewhere = true,
                    }
                }
                Err(error) if is_damage(&error) => {
                    last.unreadable.push((number, error.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        last.lost_in = None;
        last.nowhere = last.nowhere.filter(|_| !is_somewhere);
        Ok(last)
    }
}

/// Whether it is that of one point, and others may be good.
fn is_damage(error: &BackupError) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt)
}
