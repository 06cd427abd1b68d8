//! The relational store: SQLite whose database files live in an environment.
//!
//! A store lives in an environment, beside other stores and databases. It is written with SQL, or with
//! [`ValuesBucket`]s and [`Predicates`], which say which rows are meant; a [`ResultSet`] shows rows as they were when it
//! was asked; an [`Observer`] is told which rows are committed. It does what ArkData's relational store does;
//! `docs/guide/arkdata-rdb.md` compares them member by member.
//!
//! ```
//! use cairn_rdb::{Predicates, RdbConfig, RdbStore, SecurityLevel, TransactionType, ValuesBucket};
//!
//! let (env, _) = cairn_env::Environment::in_memory(cairn_env::Options::default())?;
//! let store = RdbStore::open(&env, RdbConfig::new("RdbTest.db", SecurityLevel::S3))?;
//! store.execute_sql("CREATE TABLE book(id INTEGER PRIMARY KEY, title TEXT, year INTEGER)", ())?;
//!
//! let mut txn = store.create_transaction(TransactionType::Immediate)?;
//! txn.insert("book", &ValuesBucket::new().put("title", "Emma").put("year", 1815))?;
//! txn.execute("INSERT INTO book(title, year) VALUES (?, ?)", ("Persuasion", 1817))?;
//! txn.commit()?;
//!
//! let late = Predicates::new("book").greater_than("year", 1815);
//! let titles: Vec<(String,)> = store.query(&late, &["title"])?.rows().collect::<Result<_, _>>()?;
//! assert_eq!(titles, [("Persuasion".to_string(),)]);
//! # Ok::<(), cairn_rdb::RdbError>(())
//! ```
//!
//! # What it does not do
//!
//! It does not synchronise devices. One process writes to an environment at a time.

mod args;
mod bucket;
mod config;
mod conflict;
mod conn;
mod connect;
mod error;
mod file;
mod joint;
mod names;
mod observer;
mod pages;
mod predicates;
mod record;
mod result_set;
mod row;
#[doc(hidden)]
pub mod spec;
mod store;
mod sync;
mod transaction;
mod transfer;
mod value;
mod vfs;

pub use args::IntoArgs;
pub use bucket::ValuesBucket;
pub use config::{HaMode, RdbConfig, RebuildType, SecurityLevel};
pub use conflict::ConflictResolution;
pub use connect::{Access, SqliteConnections};
pub use error::{RdbError, RdbResult};
pub use file::{Cause, take_cause};
pub use joint::JointTransactions;
pub use names::MAX_STORE_NAME_LENGTH;
pub use observer::{ChangeNotification, Observer, StoreEvent, TableChanges};
pub use predicates::{Predicates, SqlInfo};
pub use result_set::ResultSet;
pub use row::{ColumnIndex, FromRow, FromValue, Row};
pub use rusqlite;
pub use store::{BackupStatus, RdbStore, SalvageReport, SalvagedTable};
pub use transaction::{RdbTransaction, TransactionType};
pub use transfer::{
    CompactReport, ListedSqlBackup, PlainOptions, SYNC_SITES, SalvagedSqlFile, SqlFiles,
    SqlSalvage, TransferError, TransferProgress, TransferReport, TransferResult,
};
pub use value::{ColumnType, Value};
pub use vfs::is_complete;
