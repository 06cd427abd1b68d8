//! `RdbTransaction`: statements that happen together or not at all.

use std::fmt;

use crate::{
    ConflictResolution, FromRow, IntoArgs, Predicates, RdbError, RdbResult, ResultSet, Value,
    ValuesBucket, conn::Conn, store::Lease,
};

/// When a transaction begins to read, and to write. The numbers are ArkData's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum TransactionType {
    /// It reads as of its first query, and writes from its first change on. If somebody has written in between,
    /// that change is refused: [`RdbError::is_retryable`].
    #[default]
    Deferred = 0,
    /// It writes from its beginning: nobody else does until it ends.
    Immediate = 1,
    /// As [`TransactionType::Immediate`]; nobody is kept from reading.
    Exclusive = 2,
}

impl TransactionType {
    const fn sql(self) -> &'static str {
        match self {
            Self::Deferred => "BEGIN DEFERRED",
            Self::Immediate => "BEGIN IMMEDIATE",
            Self::Exclusive => "BEGIN EXCLUSIVE",
        }
    }
}

/// Statements of a store that happen together or not at all. From
/// [`RdbStore::create_transaction`](crate::RdbStore::create_transaction).
///
/// What it has changed it sees itself; nobody else does before it is committed. Up to four can go on at a time, one of
/// them writing. Dropping it rolls back. Its result sets end with it, and while one is read nothing can be written,
/// since whether that would show is nowhere said. If SQLite ends it, for an error that says so
/// ([`ConflictResolution::Rollback`]) or a full disk, everything answers [`RdbError::AlreadyClosed`].
///
/// ```
/// use cairn_rdb::{Predicates, RdbConfig, RdbStore, SecurityLevel, TransactionType, ValuesBucket};
///
/// let (env, _) = cairn_env::Environment::in_memory(cairn_env::Options::default())?;
/// let store = RdbStore::open(&env, RdbConfig::new("shop", SecurityLevel::S1))?;
/// store.execute_sql("CREATE TABLE tea(name TEXT, price REAL)", ())?;
///
/// let mut txn = store.create_transaction(TransactionType::Immediate)?;
/// txn.insert("tea", &ValuesBucket::new().put("name", "mint").put("price", 2.5))?;
/// assert_eq!(txn.query(&Predicates::new("tea"), &[])?.row_count()?, 1);
/// assert_eq!(store.query(&Predicates::new("tea"), &[])?.row_count()?, 0);
/// txn.commit()?;
/// assert_eq!(store.query(&Predicates::new("tea"), &[])?.row_count()?, 1);
/// # Ok::<(), cairn_rdb::RdbError>(())
/// ```
#[must_use = "dropping a transaction rolls it back"]
pub struct RdbTransaction {
    lease: Lease,
    epoch: u64,
}

impl RdbTransaction {
    pub(crate) fn begin(lease: Lease, kind: TransactionType) -> RdbResult<Self> {
        lease.control(kind.sql())?;
        lease.refresh_schemas()?;
        Ok(Self { epoch: lease.shared().epoch(), lease })
    }

    /// The connection, as long as it is within this transaction.
    fn conn(&self) -> RdbResult<&Conn> {
        let shared = self.lease.shared();
        if !shared.is_open() || shared.epoch() != self.epoch {
            return Err(RdbError::AlreadyClosed { what: "store of the transaction" });
        }
        match self.lease.is_in_transaction() {
            true => Ok(&self.lease),
            false => Err(RdbError::AlreadyClosed { what: "transaction" }),
        }
    }

    /// Executes a statement that is no query; answers as [`RdbStore::execute`](crate::RdbStore::execute).
    ///
    /// # Errors
    /// [`RdbError::SqlNotSupported`] for queries, what begins or ends a transaction, attaches, or sets a pragma of a
    /// connection; [`RdbError::AlreadyClosed`]; [`RdbError::InvalidArgs`]; [`RdbError::Sqlite`]: if not said otherwise
    /// the statement has changed nothing, and the transaction goes on.
    pub fn execute(&mut self, sql: &str, args: impl IntoArgs) -> RdbResult<Value> {
        Ok(self.conn()?.execute(sql, &args.into_args())?.answer)
    }

    /// Executes a statement that changes rows and has a `RETURNING`; what that returns, all in memory, as a type.
    ///
    /// # Errors
    /// As [`RdbTransaction::execute`]; what the type says.
    pub fn execute_returning<T: FromRow>(
        &mut self,
        sql: &str,
        args: impl IntoArgs,
    ) -> RdbResult<Vec<T>> {
        self.conn()?.returning(sql, &args.into_args())?.iter().map(T::from_row).collect()
    }

    /// Does something that may fail: if it is an error, what it has changed is undone, and the transaction goes on.
    ///
    /// ```
    /// # use cairn_rdb::{RdbConfig, RdbResult, RdbStore, SecurityLevel};
    /// # let (env, _) = cairn_env::Environment::in_memory(cairn_env::Options::default())?;
    /// # let store = RdbStore::open(&env, RdbConfig::new("shop", SecurityLevel::S1))?;
    /// store.execute_sql("CREATE TABLE tea(name UNIQUE)", ())?;
    /// store.write(|txn| {
    ///     txn.execute("INSERT INTO tea VALUES ('green')", ())?;
    ///     let both: RdbResult<_> = txn.savepoint(|txn| {
    ///         txn.execute("INSERT INTO tea VALUES ('mint')", ())?;
    ///         txn.execute("INSERT INTO tea VALUES ('green')", ())
    ///     });
    ///     assert!(both.is_err());
    ///     Ok(())
    /// })?;
    /// assert_eq!(store.query_rows::<String>("SELECT name FROM tea", ())?, ["green"]);
    /// # Ok::<(), cairn_rdb::RdbError>(())
    /// ```
    ///
    /// # Errors
    /// What is done; as [`RdbTransaction::execute`].
    pub fn savepoint<T>(&mut self, act: impl FnOnce(&mut Self) -> RdbResult<T>) -> RdbResult<T> {
        let mark = self.conn()?.begin_savepoint()?;
        let done = act(self);
        // If the transaction has ended meanwhile, that is why.
        match (self.conn(), done) {
            (Ok(conn), Ok(done)) => conn.release_savepoint().map(|()| done),
            (Ok(conn), Err(error)) => conn.undo_savepoint(mark).and(Err(error)),
            (Err(closed), done) => done.and(Err(closed)),
        }
    }

    /// Inserts a row; returns its rowid.
    ///
    /// # Errors
    /// As [`RdbTransaction::execute`].
    pub fn insert(&mut self, table: &str, values: &ValuesBucket) -> RdbResult<i64> {
        self.insert_with(table, values, ConflictResolution::None)?.ok_or(RdbError::NoRow)
    }

    /// Inserts a row; returns its rowid, or `None` if a conflict left it out.
    ///
    /// # Errors
    /// As [`RdbTransaction::execute`].
    pub fn insert_with(
        &mut self,
        table: &str,
        values: &ValuesBucket,
        conflict: ConflictResolution,
    ) -> RdbResult<Option<i64>> {
        self.conn()?.insert(table, values, conflict)
    }

    /// Inserts rows, all or none, as [`RdbStore::batch_insert`](crate::RdbStore::batch_insert) does: a row that is in
    /// the way **is replaced**.
    ///
    /// # Errors
    /// As [`RdbTransaction::execute`].
    pub fn batch_insert(&mut self, table: &str, rows: &[ValuesBucket]) -> RdbResult<u64> {
        self.batch_insert_with(table, rows, ConflictResolution::Replace)
    }

    /// The same, and what happens when one is in the way.
    ///
    /// # Errors
    /// As [`RdbTransaction::execute`].
    pub fn batch_insert_with(
        &mut self,
        table: &str,
        rows: &[ValuesBucket],
        conflict: ConflictResolution,
    ) -> RdbResult<u64> {
        self.conn()?.batch_insert(table, rows, conflict)
    }

    /// Sets columns of the rows that predicates mean; returns how many rows that were.
    ///
    /// # Errors
    /// As [`RdbTransaction::execute`]; [`RdbError::InvalidPredicates`].
    pub fn update(&mut self, values: &ValuesBucket, predicates: &Predicates) -> RdbResult<u64> {
        self.update_with(values, predicates, ConflictResolution::None)
    }

    /// The same, and what happens when a row then violates a constraint.
    ///
    /// # Errors
    /// As [`RdbTransaction::update`].
    pub fn update_with(
        &mut self,
        values: &ValuesBucket,
        predicates: &Predicates,
        conflict: ConflictResolution,
    ) -> RdbResult<u64> {
        self.conn()?.update(values, predicates, conflict)
    }

    /// Deletes the rows that predicates mean; returns how many that were.
    ///
    /// # Errors
    /// As [`RdbTransaction::update`].
    pub fn delete(&mut self, predicates: &Predicates) -> RdbResult<u64> {
        self.conn()?.delete(predicates)
    }

    /// The rows that predicates mean, with these columns, or all if none is named.
    ///
    /// # Errors
    /// [`RdbError::InvalidPredicates`]; else as [`RdbTransaction::query_sql`].
    pub fn query(&self, predicates: &Predicates, columns: &[&str]) -> RdbResult<ResultSet<'_>> {
        let info = predicates.query_sql(columns)?;
        self.query_sql(&info.sql, info.args)
    }

    /// The rows that a query answers, as the transaction sees them.
    ///
    /// # Errors
    /// [`RdbError::AlreadyClosed`]; else as [`RdbStore::query_sql`](crate::RdbStore::query_sql).
    pub fn query_sql(&self, sql: &str, args: impl IntoArgs) -> RdbResult<ResultSet<'_>> {
        ResultSet::of_transaction(self.lease.shared(), self.conn()?, sql, args.into_args())
    }

    /// The rows that a query answers, all in memory, as a type.
    ///
    /// # Errors
    /// As [`RdbTransaction::query_sql`]; what the type says.
    pub fn query_rows<T: FromRow>(&self, sql: &str, args: impl IntoArgs) -> RdbResult<Vec<T>> {
        self.conn()?.first_rows(sql, &args.into_args(), usize::MAX)
    }

    /// The first row that a query answers, as a type.
    ///
    /// # Errors
    /// [`RdbError::NoRow`]; else as [`RdbTransaction::query_rows`].
    pub fn query_one<T: FromRow>(&self, sql: &str, args: impl IntoArgs) -> RdbResult<T> {
        self.conn()?.first_rows(sql, &args.into_args(), 1)?.pop().ok_or(RdbError::NoRow)
    }

    /// Commits it.
    ///
    /// # Errors
    /// [`RdbError::AlreadyClosed`]; [`RdbError::Sqlite`], such as a foreign key that leads nowhere: then nothing
    /// has happened.
    pub fn commit(mut self) -> RdbResult<()> {
        let committed = self.conn()?.control("COMMIT");
        self.lease.settle();
        committed
    }

    /// Rolls it back, which dropping it does as well.
    ///
    /// # Errors
    /// [`RdbError::AlreadyClosed`]; it has no effect all the same.
    pub fn rollback(self) -> RdbResult<()> {
        self.conn()?.roll_back()
    }
}

impl fmt::Debug for RdbTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RdbTransaction({:?})", self.lease.shared())
    }
}

#[cfg(test)]
mod tests {
    use super::TransactionType::{Deferred, Exclusive, Immediate};

    #[test]
    fn the_numbers_are_those_of_arkdata() {
        assert_eq!([Deferred, Immediate, Exclusive].map(|kind| kind as u8), [0, 1, 2]);
    }
}
