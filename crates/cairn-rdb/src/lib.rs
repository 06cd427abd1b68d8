//! The relational store: SQLite whose database files live in an environment.
//!
//! A store lives in an environment, beside other stores and databases. It is written with SQL, or with
//! [`ValuesBucket`]s and [`Predicates`], which say which rows are meant; a [`ResultSet`] shows rows as they were when it
//! was asked; an [`Observer`] is told which rows are committed. It does what ArkData's relational store does;
//! `docs/guide/arkdata-rdb.md` compares them member by member.
//!
//! # What it does not do
//!
//! It does not synchronise devices. One process writes to an environment at a time.
#![forbid(unsafe_code)]

mod args;
mod bucket;
mod conflict;
mod error;
mod names;
mod predicates;
mod row;
mod value;

pub use args::IntoArgs;
pub use bucket::ValuesBucket;
pub use conflict::ConflictResolution;
pub use error::{RdbError, RdbResult};
pub use names::MAX_STORE_NAME_LENGTH;
pub use predicates::{Predicates, SqlInfo};
pub use row::{ColumnIndex, FromRow, FromValue, Row};
pub use value::{ColumnType, Value};
