//! Joint transactions: stores of both sorts and databases of an environment, changed in one commit.
//!
//! [`RdbStore::write_joint`] gives a transaction of the store and one of its environment, which are committed as one; in
//! the latter any key-value store of the environment is changed by [`KvStore::within`]. After whatever crash, and in every
//! snapshot, backup and replica, everything is there or nothing. Whoever is overtaken in any of them begins again in all,
//! and observers of each store are told of its part. Other relational stores come in by
//! [`RdbStore::attach`]. Without SQL, [`Environment::begin_write`] and `within` do the same for key-value stores.
//!
//! ```
//! use cairndb::{Environment, Options, joint::JointError, kv, sql};
//!
//! let (env, _) = Environment::in_memory(Options::default())?;
//! let stock = kv::KvStore::open(&env, "stock", kv::KvOptions::new(kv::SecurityLevel::S1))?;
//! let shop = sql::RdbStore::open(&env, sql::RdbConfig::new("shop", sql::SecurityLevel::S1))?;
//! shop.execute_sql("CREATE TABLE orders (tea TEXT)", ())?;
//! stock.put("mint", 7i64)?;
//!
//! let left = shop.write_joint(|sql, txn| -> Result<i64, JointError> {
//!     let mut stock = stock.within(txn)?;
//!     let left = stock.get("mint")?.and_then(|left| left.as_i64()).unwrap_or(0) - 1;
//!     stock.put("mint", left)?;
//!     sql.execute("INSERT INTO orders VALUES ('mint')", ())?;
//!     Ok(left)
//! })?;
//! assert_eq!((left, stock.require("mint")?.as_i64()), (6, Some(6)));
//! assert_eq!(shop.query_one::<i64>("SELECT count(*) FROM orders", ())?, 1);
//! # Ok::<(), JointError>(())
//! ```
//!
//! [`RdbStore::write_joint`]: crate::sql::RdbStore::write_joint
//! [`RdbStore::attach`]: crate::sql::RdbStore::attach
//! [`KvStore::within`]: crate::kv::KvStore::within
//! [`Environment::begin_write`]: crate::Environment::begin_write

use crate::{EnvError, ErrorKind, kv::KvError, sql::RdbError};

/// What goes wrong in a transaction over stores of both sorts: the error of whichever it was.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
#[non_exhaustive]
pub enum JointError {
    /// Of the environment.
    Env(#[from] EnvError),
    /// Of a key-value store.
    Kv(#[from] KvError),
    /// Of a relational store.
    Sql(#[from] RdbError),
}

impl JointError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Env(error) => error.kind(),
            Self::Kv(error) => error.kind(),
            Self::Sql(error) => error.kind(),
        }
    }

    /// ArkData's number, where it has one.
    #[must_use]
    pub fn code(&self) -> Option<i64> {
        match self {
            Self::Env(_) => None,
            Self::Kv(error) => error.code().map(i64::from),
            Self::Sql(error) => error.code(),
        }
    }
}

/// The result of a transaction over stores of both sorts.
pub type JointResult<T> = Result<T, JointError>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_the_one_below_says() {
        let closed = JointError::from(KvError::Closed { what: "store" });
        assert_eq!((closed.kind(), closed.code()), (ErrorKind::Closed, Some(15_100_005)));
        assert_eq!(closed.to_string(), "the store was closed");
        let no_row = JointError::from(RdbError::NoRow);
        assert_eq!((no_row.kind(), no_row.code()), (ErrorKind::NotFound, Some(14_800_018)));
        let of_environment = JointError::from(EnvError::Closed);
        assert_eq!((of_environment.kind(), of_environment.code()), (ErrorKind::Closed, None));
    }
}
