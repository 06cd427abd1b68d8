//! Environments and stores for tests.

use cairn_env::{Environment, Options};
use cairn_rdb::{RdbConfig, RdbStore, SecurityLevel, ValuesBucket};

/// An environment in memory without a worker.
pub(crate) fn environment() -> Environment {
    Environment::in_memory(Options::default().background(false)).unwrap().0
}

pub(crate) fn config() -> RdbConfig {
    RdbConfig::new("store", SecurityLevel::S2)
}

pub(crate) fn store() -> RdbStore {
    RdbStore::open(&environment(), config()).unwrap()
}

/// A store with a table `t`: a number as key, a name that must be there and be the only one, a score.
pub(crate) fn table() -> RdbStore {
    let store = store();
    let sql = "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, score REAL)";
    store.execute_sql(sql, ()).unwrap();
    store
}

/// The row of `t` with a name.
pub(crate) fn row(name: &str) -> ValuesBucket {
    ValuesBucket::new().put("name", name)
}

/// The names in `t`, in the order of the keys, one behind the other.
pub(crate) fn names(store: &RdbStore) -> String {
    store.query_rows::<String>("SELECT name FROM t ORDER BY id", ()).unwrap().concat()
}
