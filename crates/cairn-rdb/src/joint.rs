//! Joint: what SQL files hold and what databases of their environment hold, changed in one commit.

use cairn_env::{EnvError, Environment, ErrorKind, Transaction};
use rusqlite::{Connection, TransactionBehavior};

use crate::{
    RdbError, RdbStore, RdbTransaction, TransactionType,
    connect::files_of,
    file::{ENVIRONMENT, Files, offer, take_cause},
};

/// How often a transaction is overtaken, at most, by those who change what it has read in databases.
const PATIENCE: u32 = 100;

/// Transactions over the SQL files and the databases of an environment.
pub trait JointTransactions {
    /// Runs `body` in a transaction of a connection to SQL files of this environment, and in one of the environment, and
    /// commits both as one: after whatever crash, both are there or neither is, and so it is in every snapshot, backup and
    /// replica. Again from the beginning if another transaction has changed what `body` had read in databases.
    ///
    /// The transaction of SQL is an immediate one: from its beginning until it is committed, nobody else writes to the
    /// file of the connection. How sure the commit is says `PRAGMA synchronous`, as for any transaction of the connection;
    /// if nothing was changed by SQL, the environment's durability.
    ///
    /// ```
    /// use cairn_env::{DatabaseOptions, Environment, Options};
    /// use cairn_rdb::{Access, JointTransactions, SqliteConnections};
    ///
    /// let (env, _) = Environment::in_memory(Options::default())?;
    /// let stock = env.database("stock", DatabaseOptions::default())?;
    /// let mut orders = env.sqlite_connection("orders.db", Access::Create)?;
    /// orders.execute_batch("CREATE TABLE orders (tea TEXT)")?;
    ///
    /// env.write_joint(&mut orders, |sql, txn| -> Result<(), Box<dyn std::error::Error>> {
    ///     sql.execute("INSERT INTO orders VALUES ('mint')", [])?;
    ///     Ok(txn.put(&stock, b"mint", b"6")?)
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What `body` answers, and what its transactions and their commit do: then nothing was changed, except that a
    /// [`EnvError::CommitUnknown`] leaves that open. [`EnvError::InvalidInput`] for a connection to other files than
    /// those of this environment, and if `body` ends the transaction of SQL, which it then has done.
    fn write_joint<T, E>(
        &self,
        connection: &mut Connection,
        body: impl FnMut(&rusqlite::Transaction<'_>, &mut Transaction) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<EnvError> + From<rusqlite::Error>;
}

impl JointTransactions for Environment {
    fn write_joint<T, E>(
        &self,
        connection: &mut Connection,
        mut body: impl FnMut(&rusqlite::Transaction<'_>, &mut Transaction) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<EnvError> + From<rusqlite::Error>,
    {
        let files = files_of(self);
        check(&files, connection)?;
        let mut overtaken = 0;
        loop {
            let sql = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            // After the file is locked: so it sees everything that was committed to it.
            let mut txn = self.begin_write()?;
            let value = body(&sql, &mut txn)?;
            if sql.is_autocommit() {
                return Err(refused("the transaction of SQL was ended before it was joined").into());
            }
            let is_conflict = |error: &EnvError| error.is_retryable() && overtaken < PATIENCE;
            let offer = offer(&files, txn);
            let _of_before = take_cause();
            if let Err(error) = sql.commit() {
                let cause = take_cause();
                if !cause.as_ref().and_then(crate::Cause::env_error).is_some_and(is_conflict) {
                    return Err(error.into());
                }
            } else {
                // If it is left, SQL has changed nothing.
                let Some(txn) = offer.left() else { return Ok(value) };
                match txn.commit() {
                    Err(error) if is_conflict(&error) => {}
                    committed => return Ok(committed.map(|_| value)?),
                }
            }
            overtaken += 1;
        }
    }
}

impl RdbStore {
    /// As [`RdbStore::write`], and in the same commit in databases of the environment, and in stores of other sorts that
    /// take part in the transaction: as [`write_joint`](JointTransactions::write_joint) does with a plain connection. Again
    /// from the beginning if another transaction has changed what `body` had read in databases. Observers of this store
    /// are told of its part.
    ///
    /// ```
    /// # use cairn_env::{DatabaseOptions, Environment, Options};
    /// # use cairn_rdb::{RdbConfig, RdbError, RdbStore, SecurityLevel};
    /// # let (env, _) = Environment::in_memory(Options::default())?;
    /// let stock = env.database("stock", DatabaseOptions::default())?;
    /// let shop = RdbStore::open(&env, RdbConfig::new("shop", SecurityLevel::S1))?;
    /// shop.execute_sql("CREATE TABLE orders (tea TEXT)", ())?;
    /// shop.write_joint(|sql, txn| -> Result<(), RdbError> {
    ///     sql.execute("INSERT INTO orders VALUES ('mint')", ())?;
    ///     Ok(txn.put(&stock, b"mint", b"6")?)
    /// })?;
    /// # Ok::<(), RdbError>(())
    /// ```
    ///
    /// # Errors
    /// As [`RdbStore::write`]; what a transaction of the environment answers, and its commit.
    pub fn write_joint<T, E: From<RdbError>>(
        &self,
        mut body: impl FnMut(&mut RdbTransaction, &mut Transaction) -> Result<T, E>,
    ) -> Result<T, E> {
        let env = &self.shared.env;
        let files = files_of(env);
        let mut overtaken = 0;
        loop {
            let mut sql = self.create_transaction(TransactionType::Immediate)?;
            let mut txn = env.begin_write().map_err(RdbError::from)?;
            let value = body(&mut sql, &mut txn)?;
            let offer = offer(&files, txn);
            let committed = match sql.commit() {
                Ok(()) => match offer.left() {
                    Some(txn) => txn.commit().map(drop).map_err(RdbError::from),
                    None => Ok(()),
                },
                Err(error) => Err(error),
            };
            match committed {
                Err(error) if error.kind() == ErrorKind::Conflict && overtaken < PATIENCE => {}
                committed => return Ok(committed.map(|()| value)?),
            }
            overtaken += 1;
        }
    }
}

/// An error unless the files of the connection are these.
fn check(files: &Files, connection: &Connection) -> Result<(), EnvError> {
    let id = connection.pragma_query_value(None, ENVIRONMENT, |row| row.get::<_, String>(0));
    if id.is_ok_and(|id| id == files.id.to_string()) {
        return Ok(());
    }
    Err(refused("the connection is not to SQL files of this environment"))
}

fn refused(what: &str) -> EnvError {
    EnvError::InvalidInput { what: what.into() }
}
