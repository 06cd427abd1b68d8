//! `RdbStore`: a relational store of an environment.
//!
//! `open` knows which stores there are, `shared` is what the handles of one have in common, `pool` its connections.

mod attach;
mod backup;
pub(crate) mod file;
mod open;
mod pool;
mod rebuild;
mod replica;
mod salvage;
mod shared;

use std::{fmt, sync::Arc};

use cairn_env::{Environment, ErrorKind};

pub(crate) use pool::{Lane, Lease};
pub use replica::BackupStatus;
pub use salvage::{SalvageReport, SalvagedTable};
pub(crate) use shared::{ResultSlot, Shared};

use crate::{
    ConflictResolution, FromRow, IntoArgs, Observer, Predicates, RdbConfig, RdbError, RdbResult,
    RdbTransaction, RebuildType, ResultSet, SecurityLevel, TransactionType, Value, ValuesBucket,
    conn::{Conn, Executed},
};

/// A relational store of an environment: tables, and SQL.
///
/// A handle can be cloned, and used by many threads; all handles of a store in a process share its connections: one
/// that executes statements one by one, up to four for transactions, and as many that read as there are result sets. A
/// call that writes has happened when it returns, alone in a transaction of its own; a query shows the newest commit,
/// and never waits for a writer.
///
/// ```
/// use cairn_rdb::{Predicates, RdbConfig, RdbStore, SecurityLevel, Value, ValuesBucket};
///
/// let (env, _) = cairn_env::Environment::in_memory(cairn_env::Options::default())?;
/// let store = RdbStore::open(&env, RdbConfig::new("RdbTest.db", SecurityLevel::S3))?;
/// store.execute_sql("CREATE TABLE employee(id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INTEGER)", ())?;
///
/// let id = store.insert("employee", &ValuesBucket::new().put("name", "Lisa").put("age", 18))?;
/// let young = Predicates::new("employee").less_than("age", 20);
/// assert_eq!(store.update(&ValuesBucket::new().put("age", 19), &young)?, 1);
///
/// let mut found = store.query(&young, &["name", "age"])?;
/// assert!(found.go_to_first_row()?);
/// assert_eq!((found.get_string(0)?.as_str(), found.get_long(1)?), ("Lisa", 19));
/// assert_eq!(store.execute("DELETE FROM employee WHERE id = ?", (id,))?, Value::Integer(1));
/// # Ok::<(), cairn_rdb::RdbError>(())
/// ```
#[derive(Clone)]
pub struct RdbStore {
    pub(crate) shared: Arc<Shared>,
    is_read_only: bool,
    rebuilt: RebuildType,
}

impl RdbStore {
    /// Opens a store of an environment, or creates it. A SQL file of that name which belongs to no store becomes that
    /// of the store.
    ///
    /// # Errors
    /// [`RdbError::InvalidName`]; [`RdbError::ConfigChanged`]; [`RdbError::NotEncrypted`]; [`RdbError::Damaged`];
    /// [`RdbError::StoreNotFound`] if it is only to be read and does not exist;
    /// [`RdbError::NotSupported`] for a [`HaMode`](crate::HaMode) without a replica; if it cannot be read.
    pub fn open(env: &Environment, config: RdbConfig) -> RdbResult<Self> {
        let opened = open::open(env, &config)?;
        let is_alone = opened.is_alone;
        let store = Self::of(opened, &config);
        match store.version() {
            Ok(_) => return Ok(store),
            // What is met here is recorded by now: another open acts on it.
            Err(error) if error.kind() == ErrorKind::Corrupt && is_alone => store.close(),
            Err(error) => return Err(error),
        }
        let store = Self::of(open::open(env, &config)?, &config);
        store.version()?;
        Ok(store)
    }

    fn of(opened: open::Opened, config: &RdbConfig) -> Self {
        let open::Opened { shared, rebuilt, .. } = opened;
        Self { is_read_only: config.read_only || shared.is_read_only(), shared, rebuilt }
    }

    /// A configuration that opens a store as it is recorded: for tools, which know no more of it than its name.
    ///
    /// # Errors
    /// [`RdbError::StoreNotFound`].
    pub fn recorded_config(env: &Environment, name: &str) -> RdbResult<RdbConfig> {
        Ok(open::record(env, name)?.config(name))
    }

    /// The names of all stores of an environment, in order.
    ///
    /// # Errors
    /// If the environment cannot be read.
    pub fn names(env: &Environment) -> RdbResult<Vec<String>> {
        open::store_names(env)
    }

    /// Deletes a store of an environment with everything in it, and closes all of its handles.
    ///
    /// # Errors
    /// [`RdbError::StoreNotFound`]; [`RdbError::Busy`] if another store has it attached. If the environment refuses,
    /// the store is as it was, or its next open finds none.
    pub fn delete_store(env: &Environment, name: &str) -> RdbResult<()> {
        open::delete(env, name)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// How sensitive its data is, as recorded.
    ///
    /// # Errors
    /// [`RdbError::AlreadyClosed`].
    pub fn security_level(&self) -> RdbResult<SecurityLevel> {
        self.shared.check_open()?;
        Ok(open::record(&self.shared.env, self.name())?.security_level)
    }

    /// Whether it is encrypted, which is to say its environment.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.shared.env.is_encrypted()
    }

    /// Whether this handle only reads.
    #[must_use]
    pub const fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    /// What became of it when this handle was opened. Damage that was met in use is recorded, and the next open that is
    /// alone acts on it: it heals the environment from its replica, if it has one, which may bring the store back
    /// ([`RebuildType::Repaired`]); or, with [`RdbConfig::allow_rebuild`](RdbConfig#structfield.allow_rebuild), sets
    /// the store aside as the SQL file `<name>.damaged-<number>`, and an empty one takes its place
    /// ([`RebuildType::Rebuilt`]). Without that the open fails with [`RdbError::Damaged`].
    #[must_use]
    pub const fn rebuilt(&self) -> RebuildType {
        self.rebuilt
    }

    /// Closes the store: all of its handles, result sets, transactions and observers, in this process. What was
    /// committed stays. Closing twice does nothing.
    pub fn close(&self) {
        self.shared.close();
    }

    /// The version that the application has given its schema; 0 if it has given none.
    ///
    /// # Errors
    /// [`RdbError::AlreadyClosed`], and if it cannot be read.
    pub fn version(&self) -> RdbResult<i32> {
        let lease = Lease::take(&self.shared, Lane::Reader)?;
        let version = lease.first_value("PRAGMA user_version", &[])?;
        let version = version.as_ref().and_then(Value::to_i64).unwrap_or_default();
        Ok(i32::try_from(version).unwrap_or_default())
    }

    /// Gives the schema a version, from 1.
    ///
    /// # Errors
    /// [`RdbError::InvalidArgs`] for one below; else as [`RdbStore::execute_sql`].
    pub fn set_version(&self, version: i32) -> RdbResult<()> {
        if version < 1 {
            return Err(RdbError::args(format!("version {version}: versions begin with 1")));
        }
        self.execute_sql(&format!("PRAGMA user_version = {version}"), ())
    }

    /// Executes a statement, whatever it answers.
    ///
    /// A pragma that is about a connection, such as `foreign_keys`, holds for all connections of the store in this
    /// process from then on, for what begins after it. A temporary table is only seen by statements that are
    /// executed like this, not by queries and transactions.
    ///
    /// # Errors
    /// [`RdbError::SqlNotSupported`] for what has a call of its own: to begin and end a transaction, to attach.
    /// [`RdbError::InvalidArgs`] for too few or too many values, and for no statement or several of them;
    /// [`RdbError::NotSupported`] if this handle only reads; [`RdbError::Busy`] if others write for two seconds;
    /// [`RdbError::AlreadyClosed`]; [`RdbError::Sqlite`].
    pub fn execute_sql(&self, sql: &str, args: impl IntoArgs) -> RdbResult<()> {
        let args = args.into_args();
        self.write_one(|conn| Ok(self.executed(sql, conn.execute_sql(sql, &args)?))).map(drop)
    }

    /// Executes a statement that is no query. The answer is
    ///
    /// | statement | answer |
    /// |---|---|
    /// | one that inserts | the rowid of the last row; null if none was inserted |
    /// | one that updates or deletes | how many rows |
    /// | a pragma | the value of its one column; null if it has none |
    /// | others | null |
    ///
    /// # Errors
    /// [`RdbError::SqlNotSupported`] for a query, and a pragma with several columns: [`RdbStore::query_sql`]; else as
    /// [`RdbStore::execute_sql`].
    pub fn execute(&self, sql: &str, args: impl IntoArgs) -> RdbResult<Value> {
        let args = args.into_args();
        self.write_one(|conn| Ok(self.executed(sql, conn.execute(sql, &args)?)))
    }

    /// Executes a statement that changes rows and has a `RETURNING`; what that returns, all in memory, as a type. If the
    /// type refuses a row, the rows are changed all the same.
    ///
    /// ```
    /// # use cairn_rdb::{RdbConfig, RdbStore, SecurityLevel};
    /// # let (env, _) = cairn_env::Environment::in_memory(cairn_env::Options::default())?;
    /// # let store = RdbStore::open(&env, RdbConfig::new("shop", SecurityLevel::S1))?;
    /// store.execute_sql("CREATE TABLE tea(id INTEGER PRIMARY KEY, name)", ())?;
    /// let sql = "INSERT INTO tea(name) VALUES (?), (?) RETURNING id";
    /// let ids: Vec<i64> = store.execute_returning(sql, ("green", "mint"))?;
    /// assert_eq!(ids, [1, 2]);
    /// # Ok::<(), cairn_rdb::RdbError>(())
    /// ```
    ///
    /// # Errors
    /// [`RdbError::SqlNotSupported`] for other statements; what the type says; else as [`RdbStore::execute_sql`].
    pub fn execute_returning<T: FromRow>(
        &self,
        sql: &str,
        args: impl IntoArgs,
    ) -> RdbResult<Vec<T>> {
        let args = args.into_args();
        self.write_one(|conn| conn.returning(sql, &args))?.iter().map(T::from_row).collect()
    }

    /// The answer of a statement; what it has set on its connection, all others get.
    fn executed(&self, sql: &str, executed: Executed) -> Value {
        if let Some(pragma) = executed.pragma {
            self.shared.change_settings(|settings| settings.pragmas.insert(pragma, sql.into()));
        }
        executed.answer
    }

    /// Inserts a row; returns its rowid, which means nothing in a table that has none.
    ///
    /// # Errors
    /// As [`RdbStore::execute_sql`]; [`RdbError::InvalidArgs`] for a bucket without columns.
    pub fn insert(&self, table: &str, values: &ValuesBucket) -> RdbResult<i64> {
        let inserted = self.insert_with(table, values, ConflictResolution::None)?;
        inserted.ok_or(RdbError::NoRow) // the table itself says that it is to be ignored
    }

    /// Inserts a row; returns its rowid, or `None` if a conflict left it out.
    ///
    /// # Errors
    /// As [`RdbStore::insert`].
    pub fn insert_with(
        &self,
        table: &str,
        values: &ValuesBucket,
        conflict: ConflictResolution,
    ) -> RdbResult<Option<i64>> {
        self.write_one(|conn| conn.insert(table, values, conflict))
    }

    /// Inserts rows, all or none, in one transaction; returns how many. As in ArkData, a row that is in the way **is
    /// replaced**: [`RdbStore::batch_insert_with`] has the choice. Columns that a row does not have get their default.
    ///
    /// # Errors
    /// As [`RdbStore::insert`]: then nothing was inserted.
    pub fn batch_insert(&self, table: &str, rows: &[ValuesBucket]) -> RdbResult<u64> {
        self.batch_insert_with(table, rows, ConflictResolution::Replace)
    }

    /// Inserts rows, all or none, in one transaction; returns how many, without those that a conflict left out.
    ///
    /// # Errors
    /// As [`RdbStore::insert`]: then nothing was inserted, also with [`ConflictResolution::Fail`].
    pub fn batch_insert_with(
        &self,
        table: &str,
        rows: &[ValuesBucket],
        conflict: ConflictResolution,
    ) -> RdbResult<u64> {
        self.write_one(|conn| conn.batch_insert(table, rows, conflict))
    }

    /// Sets columns of the rows that predicates mean; returns how many rows that were.
    ///
    /// # Errors
    /// [`RdbError::InvalidPredicates`]; [`RdbError::InvalidArgs`] for a bucket without columns; else as
    /// [`RdbStore::execute_sql`].
    pub fn update(&self, values: &ValuesBucket, predicates: &Predicates) -> RdbResult<u64> {
        self.update_with(values, predicates, ConflictResolution::None)
    }

    /// The same, and what happens when a row then violates a constraint.
    ///
    /// # Errors
    /// As [`RdbStore::update`].
    pub fn update_with(
        &self,
        values: &ValuesBucket,
        predicates: &Predicates,
        conflict: ConflictResolution,
    ) -> RdbResult<u64> {
        self.write_one(|conn| conn.update(values, predicates, conflict))
    }

    /// Deletes the rows that predicates mean; returns how many that were.
    ///
    /// # Errors
    /// [`RdbError::InvalidPredicates`]; else as [`RdbStore::execute_sql`].
    pub fn delete(&self, predicates: &Predicates) -> RdbResult<u64> {
        self.write_one(|conn| conn.delete(predicates))
    }

    /// The rows that predicates mean, with these columns, or all if none is named.
    ///
    /// # Errors
    /// [`RdbError::InvalidPredicates`]; else as [`RdbStore::query_sql`].
    pub fn query(
        &self,
        predicates: &Predicates,
        columns: &[&str],
    ) -> RdbResult<ResultSet<'static>> {
        let info = predicates.query_sql(columns)?;
        self.query_sql(&info.sql, info.args)
    }

    /// The rows that a query answers, as the store is now: what is committed later does not change them.
    ///
    /// # Errors
    /// [`RdbError::NotAQuery`] for what changes something or has no columns; [`RdbError::TooMany`] if 64 result sets
    /// are open, unless [`RdbConfig::result_sets`](RdbConfig#structfield.result_sets) says otherwise;
    /// [`RdbError::InvalidArgs`] for too few or too many values, and for no statement or several of them;
    /// [`RdbError::AlreadyClosed`]; [`RdbError::Sqlite`].
    pub fn query_sql(&self, sql: &str, args: impl IntoArgs) -> RdbResult<ResultSet<'static>> {
        ResultSet::of_store(&self.shared, sql, args.into_args())
    }

    /// The rows that a query answers, all in memory, as a type.
    ///
    /// # Errors
    /// As [`RdbStore::query_sql`], but that it counts as no result set; what the type says.
    pub fn query_rows<T: FromRow>(&self, sql: &str, args: impl IntoArgs) -> RdbResult<Vec<T>> {
        self.first_rows(sql, args, usize::MAX)
    }

    /// The first row that a query answers, as a type.
    ///
    /// # Errors
    /// [`RdbError::NoRow`]; else as [`RdbStore::query_rows`].
    pub fn query_one<T: FromRow>(&self, sql: &str, args: impl IntoArgs) -> RdbResult<T> {
        self.first_rows(sql, args, 1)?.pop().ok_or(RdbError::NoRow)
    }

    fn first_rows<T: FromRow>(
        &self,
        sql: &str,
        args: impl IntoArgs,
        max: usize,
    ) -> RdbResult<Vec<T>> {
        let lease = Lease::take(&self.shared, Lane::Reader)?;
        if lease.has_attached() {
            lease.control("BEGIN DEFERRED")?; // so that the tables are those that were just asked for
            lease.refresh_schemas()?;
        }
        lease.first_rows(sql, &args.into_args(), max)
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`RdbError::Busy`] if there are four for two seconds; [`RdbError::Sqlite`] if it is to write at once and
    /// another one writes; [`RdbError::NotSupported`] if this handle only reads; [`RdbError::AlreadyClosed`].
    pub fn create_transaction(&self, kind: TransactionType) -> RdbResult<RdbTransaction> {
        self.check_writable()?;
        RdbTransaction::begin(Lease::take(&self.shared, Lane::Transaction)?, kind)
    }

    /// Does something in one transaction, which writes from its beginning, so that no other one can come in between; it
    /// is committed if that is `Ok`, and rolled back if not.
    ///
    /// ```
    /// # use cairn_rdb::{RdbConfig, RdbStore, SecurityLevel};
    /// # let (env, _) = cairn_env::Environment::in_memory(cairn_env::Options::default())?;
    /// # let store = RdbStore::open(&env, RdbConfig::new("bank", SecurityLevel::S1))?;
    /// store.execute_sql("CREATE TABLE account(name, amount)", ())?;
    /// store.write(|txn| {
    ///     txn.execute("INSERT INTO account VALUES ('a', -5)", ())?;
    ///     txn.execute("INSERT INTO account VALUES ('b', 5)", ())
    /// })?;
    /// # Ok::<(), cairn_rdb::RdbError>(())
    /// ```
    ///
    /// # Errors
    /// As [`RdbStore::create_transaction`] and [`RdbTransaction::commit`]; what is done.
    pub fn write<T>(&self, act: impl FnOnce(&mut RdbTransaction) -> RdbResult<T>) -> RdbResult<T> {
        let mut txn = self.create_transaction(TransactionType::Immediate)?;
        let done = act(&mut txn)?;
        txn.commit()?;
        Ok(done)
    }

    /// Begins to observe what is committed from now on.
    ///
    /// # Errors
    /// [`RdbError::AlreadyClosed`].
    pub fn observe(&self) -> RdbResult<Observer> {
        self.shared.check_open()?;
        Ok(Observer::join(Arc::clone(&self.shared.order)))
    }

    fn check_writable(&self) -> RdbResult<()> {
        self.shared.check_open()?;
        match self.is_read_only {
            true => Err(RdbError::NotSupported {
                what: "to write: the store is open for reading".into(),
            }),
            false => Ok(()),
        }
    }

    /// Does something alone in a transaction of its own, and tells observers of it.
    fn write_one<T>(&self, act: impl FnOnce(&Conn) -> RdbResult<T>) -> RdbResult<T> {
        self.check_writable()?;
        let mut lease = Lease::take(&self.shared, Lane::Writer)?;
        lease.refresh_schemas()?;
        let done = act(&lease);
        lease.settle();
        done
    }
}

impl fmt::Debug for RdbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RdbStore({:?})", self.name())
    }
}
