//! The key-value store: typed values, queries, result sets, observers, backup and restore.
//!
//! A store lives in an environment, beside other stores and databases. Its values are typed; with a
//! [`Schema`] they are JSON whose fields can be asked for and have indexes. A [`Query`] says which entries are
//! meant, and [`KvStore::explain`] what it costs to find them; a [`ResultSet`] shows them as they were when it
//! was asked; an [`Observer`] is told what is committed. It does what ArkData's key-value store does;
//! `docs/guide/arkdata-kv.md` compares them member by member.
//!
//! ```
//! use cairn_kv::{FieldNode, KvManager, KvManagerConfig, KvOptions, Query, Schema, SecurityLevel, ValueType};
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("data");
//! let manager = KvManager::open(&path, KvManagerConfig::new())?;
//! let mut schema = Schema::new();
//! schema.root.append_child(FieldNode::new("title", ValueType::String));
//! schema.root.append_child(FieldNode::new("year", ValueType::Integer));
//! schema.indexes = vec!["$.year".into()];
//! let books = manager.get_store("books", KvOptions::new(SecurityLevel::S1).schema(schema))?;
//!
//! books.put("b1", r#"{"title":"Emma","year":1815}"#)?;
//! books.put("b2", r#"{"title":"Persuasion","year":1817}"#)?;
//! let found = books.get_entries(Query::new().greater_than("$.year", 1815))?;
//! assert_eq!(found.len(), 1);
//! assert_eq!(found[0].key, "b2");
//! # Ok::<(), cairn_kv::KvError>(())
//! ```
//!
//! # Limits
//!
//! A key has 1 to [`MAX_KEY_LENGTH`] bytes, in a device collaboration store [`MAX_KEY_LENGTH_DEVICE`]; a value at
//! most [`MAX_VALUE_LENGTH`]; the changes of a transaction together
//! [`cairn_env::MAX_TRANSACTION_LEN`]. What else is limited can be set: [`Limits`].
//!
//! # What it does not do
//!
//! It does not synchronise devices. One process writes to an environment at a time.
#![forbid(unsafe_code)]

mod backup;
mod device;
mod entry;
mod error;
mod limits;
mod manager;
mod names;
mod observer;
mod options;
mod query;
mod record;
mod result_set;
mod scalar;
mod schema;
#[doc(hidden)]
pub mod spec;
mod store;
mod sync;
mod transaction;
mod value;

pub use backup::{
    BackupInfo, BackupOptions, BackupSchedule, DeleteStatus, ListedBackup, SYNC_SITES,
};
pub use cairn_archive::{BackupPlace, Compression};
pub use entry::Entry;
pub use error::{KvError, KvResult};
pub use limits::{
    Limits, MAX_BATCH_SIZE, MAX_DEVICE_LENGTH, MAX_KEY_LENGTH, MAX_KEY_LENGTH_DEVICE,
    MAX_QUERY_LENGTH, MAX_STORE_ID_LENGTH, MAX_VALUE_LENGTH,
};
pub use manager::{KvManager, KvManagerConfig};
pub use observer::{ChangeNotification, Observer, StoreEvent, SubscribeType};
pub use options::{KvOptions, SecurityLevel, StoreType};
pub use query::{Explanation, Query};
pub use result_set::ResultSet;
pub use scalar::Scalar;
pub use schema::{FieldNode, Schema, SchemaMode};
pub use store::KvStore;
pub use transaction::{KvTransaction, KvWithin};
pub use value::{Value, ValueType};
