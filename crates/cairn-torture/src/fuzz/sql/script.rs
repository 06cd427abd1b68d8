//! `sql_script`: a script on a file of an environment, and on a file of SQLite alone.

use std::sync::atomic::{AtomicU64, Ordering};

use cairn_env::Environment;
use cairn_io::MemDisk;
use cairn_rdb::rusqlite::{Connection, OpenFlags, types::Value};

use super::{connect, open, rules::Bounded, verify};

/// A script has so many statements, at most.
const STATEMENTS: usize = 60;
/// A line that is no SQL: all is closed, and opened again.
const REOPEN: &str = "reopen";

/// Some scripts, to begin with.
pub(in super::super) const SCRIPTS: &[&str] = &[
    "CREATE TABLE t (id INTEGER PRIMARY KEY, grp, text)\nCREATE INDEX g ON t (grp)\nBEGIN\n\
     INSERT INTO t WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 200) \
     SELECT n, n % 7, hex(zeroblob(n)) FROM s\nSAVEPOINT a\nDELETE FROM t WHERE grp = 3\n\
     SELECT count(*), sum(length(text)) FROM t\nROLLBACK TO a\nCOMMIT\nreopen\n\
     SELECT grp, count(*) FROM t GROUP BY grp\nPRAGMA integrity_check",
    "PRAGMA auto_vacuum = 2\nVACUUM\nCREATE TABLE t (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID\n\
     INSERT INTO t VALUES (1, zeroblob(9000)), (2, 'x'), (2, 'y')\nDELETE FROM t WHERE a = 1\n\
     PRAGMA incremental_vacuum(2)\nPRAGMA freelist_count\nPRAGMA page_count\nreopen\nSELECT * FROM t",
    "CREATE TABLE p (id INTEGER PRIMARY KEY)\nCREATE TABLE c (p REFERENCES p ON DELETE CASCADE)\n\
     PRAGMA foreign_keys = ON\nINSERT INTO p VALUES (1), (2)\nINSERT INTO c VALUES (1), (1), (2)\n\
     DELETE FROM p WHERE id = 1\nSELECT * FROM c\nINSERT INTO c VALUES (9)\nPRAGMA foreign_key_check",
    "CREATE TABLE t (x UNIQUE, y CHECK (y > 0))\nCREATE TABLE l (x)\n\
     CREATE TRIGGER r AFTER INSERT ON t BEGIN INSERT INTO l VALUES (new.x); END\n\
     INSERT INTO t VALUES (1, 1)\nINSERT OR REPLACE INTO t VALUES (1, 2) RETURNING *\n\
     INSERT OR FAIL INTO t VALUES (2, 2), (3, 0), (4, 4)\nSELECT * FROM t, l\nBEGIN IMMEDIATE\n\
     ALTER TABLE t ADD COLUMN z DEFAULT 7\nALTER TABLE t RENAME TO u\nreopen\nSELECT * FROM t",
    "PRAGMA page_size = 512\nVACUUM\nCREATE VIEW v AS SELECT json_extract(j, '$.a') AS a FROM t\n\
     CREATE TABLE t (j)\nINSERT INTO t VALUES ('{\"a\":1}'), ('{\"a\":[2]}'), ('x')\n\
     SELECT * FROM v\nDELETE FROM t WHERE j = 'x'\nSELECT * FROM v\nPRAGMA page_size = 4096\nVACUUM\n\
     SELECT upper(a) FROM v\nPRAGMA user_version = 5\nreopen\nPRAGMA user_version\nREINDEX\nANALYZE",
];

/// A statement a line, and the word `reopen`: both files give the same answers, errors included, are as long, and
/// hold the same in the end; and what was committed is there when the environment was opened again.
///
/// # Panics
/// If it is otherwise.
pub fn sql_script(input: &[u8]) {
    let Ok(script) = str::from_utf8(input) else { return };
    let mut pair = Pair::new();
    for line in script.lines().filter(|line| !line.trim().is_empty()).take(STATEMENTS) {
        match line {
            REOPEN => pair.reopen(),
            sql => pair.compare(sql),
        }
    }
    pair.reopen();
    pair.compare("PRAGMA integrity_check");
    pair.compare("SELECT * FROM sqlite_schema ORDER BY rowid");
    for table in pair.tables() {
        pair.compare(&format!("SELECT * FROM \"{}\"", table.replace('"', "\"\"")));
    }
    pair.close();
}

/// The same file twice.
struct Pair {
    disk: MemDisk,
    open: Option<(Environment, Bounded)>,
    /// SQLite's own: a file in memory that all connections of the process find by this name.
    name: String,
    stock: Bounded,
}

impl Pair {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let disk = MemDisk::new();
        let name = format!("file:/script-{}?vfs=memdb", NUMBER.fetch_add(1, Ordering::Relaxed));
        let (open, stock) = (Some(ours(&disk)), stock(&name));
        Self { disk, open, name, stock }
    }

    fn ours(&self) -> &Bounded {
        &self.open.as_ref().expect("it is open between statements").1
    }

    fn compare(&self, sql: &str) {
        let (ours, stock) = (self.ours(), &self.stock);
        assert_eq!(ours.run(sql), stock.run(sql), "{sql}");
        assert_eq!(ours.is_in_transaction(), stock.is_in_transaction(), "{sql}");
    }

    fn tables(&self) -> Vec<String> {
        let names = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
        let rows = self.stock.run(names).unwrap_or_default();
        let name = |mut row: Vec<Value>| match row.pop() {
            Some(Value::Text(name)) => Some(name),
            _ => None,
        };
        rows.into_iter().filter_map(name).collect()
    }

    /// Both connections end, and with them what was not committed; others take their places.
    fn reopen(&mut self) {
        self.close();
        self.open = Some(ours(&self.disk));
        if self.stock.is_in_transaction() {
            self.stock.run("ROLLBACK").expect("a transaction is open");
        }
        // The file is there as long as somebody has it open.
        let next = stock(&self.name);
        self.stock = next;
    }

    fn close(&mut self) {
        let Some((env, connection)) = self.open.take() else { return };
        drop(connection);
        verify(&env);
        env.close().expect("nobody else has it");
    }
}

fn ours(disk: &MemDisk) -> (Environment, Bounded) {
    let env = open(disk);
    let connection = connect(&env).and_then(Bounded::comparable).expect("the file is sound");
    (env, connection)
}

fn stock(name: &str) -> Bounded {
    let connection = Connection::open_with_flags(name, OpenFlags::default());
    let connection = connection.and_then(Bounded::new).and_then(Bounded::comparable);
    connection.expect("a file in memory")
}
