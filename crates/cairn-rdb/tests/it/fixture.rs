//! Fixture: an environment with SQL files.

use cairn_env::{Environment, KeySource, Options};
use cairn_rdb::{
    Access, SqliteConnections,
    rusqlite::{self, Connection},
};

/// An environment in memory.
pub(crate) fn environment() -> Environment {
    Environment::in_memory(Options::default()).unwrap().0
}

/// A connection to a file that may have to be created.
pub(crate) fn connect(env: &Environment, name: &str) -> Connection {
    env.sqlite_connection(name, Access::Create).unwrap()
}

/// A number that a query gives.
pub(crate) fn number(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// A text that a query gives.
pub(crate) fn text(connection: &Connection, sql: &str) -> String {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The extended code of an error.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, rusqlite::Error>) -> i32 {
    match result.unwrap_err() {
        rusqlite::Error::SqliteFailure(error, _) => error.extended_code,
        other => panic!("no failure of SQLite's: {other}"),
    }
}

/// Panics unless the file is what SQLite takes for whole.
pub(crate) fn check(connection: &Connection) {
    assert_eq!(text(connection, "PRAGMA integrity_check"), "ok");
}

/// An encrypted environment in memory.
pub(crate) fn encrypted() -> Environment {
    let options = Options::default()
        .key(KeySource::raw(&mut std::array::from_fn(|n| u8::try_from(n).unwrap())));
    Environment::in_memory(options).unwrap().0
}

/// Everything that a file holds: its schema, and the rows of its tables.
pub(crate) fn dump(connection: &Connection) -> String {
    let mut all = String::new();
    let mut schema =
        connection.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY name").unwrap();
    let objects = schema.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    for object in objects {
        let (kind, name, sql): (String, String, Option<String>) = object.unwrap();
        all += &format!("{kind} {name}: {}\n", sql.unwrap_or_default());
        if kind != "table" {
            continue;
        }
        let mut statement =
            connection.prepare(&format!("SELECT * FROM {name} ORDER BY 1")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                all += &format!("{:?}|", row.get_ref(column).unwrap());
            }
            all += "\n";
        }
    }
    check(connection);
    all
}
