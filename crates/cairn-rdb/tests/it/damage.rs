//! Damage: whatever bit of a file of the environment is flipped, a query answers right or says that something is
//! damaged, or the environment is not opened.

use std::io::Write;

use cairn_env::{Environment, Options};
use cairn_io::MemDisk;
use cairn_rdb::{
    Access, PlainOptions, SqlFiles, SqliteConnections,
    rusqlite::{self, Connection, ffi},
};
use cairn_sim::{Image, SimWorld};

use crate::fixture::connect;

fn open(image: &Image) -> Option<Environment> {
    let options = Options::default().background(false).read_only(true);
    let opened = Environment::open_in(image.to_mem().root(), SimWorld::new(1).world(), options);
    opened.ok().map(|(env, _)| env)
}

fn environment() -> (Environment, MemDisk) {
    let disk = MemDisk::new();
    let options = Options::default().background(false).journal_file_bytes(64 << 10);
    let opened = Environment::open_in(disk.root(), SimWorld::new(1).world(), options);
    (opened.unwrap().0, disk)
}

/// A small store, in which some pages have deltas, and each column something to say.
fn small_store() -> Image {
    let (env, disk) = environment();
    let connection = connect(&env, "app.db");
    connection
        .execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, text UNIQUE); INSERT INTO t VALUES (0, 'zero')")
        .unwrap();
    for n in 1..12 {
        let sql = "INSERT INTO t VALUES (?, ? || hex(zeroblob(200)))";
        connection.execute(sql, (n, n)).unwrap();
    }
    env.checkpoint().unwrap();
    connection.execute_batch("UPDATE t SET text = 'null' WHERE id = 0").unwrap();
    drop(connection);
    env.close().unwrap();
    Image::of(&disk)
}

/// The rows, or what SQLite says.
fn rows(env: &Environment) -> Result<String, rusqlite::Error> {
    rows_of(&env.sqlite_connection("app.db", Access::ReadOnly)?)
}

fn rows_of(connection: &Connection) -> Result<String, rusqlite::Error> {
    let mut statement = connection.prepare("SELECT id, text FROM t ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut all = String::new();
    while let Some(row) = rows.next()? {
        let (id, text): (i64, String) = (row.get(0)?, row.get(1)?);
        all += &format!("{id}|{text}\n");
    }
    Ok(all)
}

/// What became of a query when a bit was flipped.
#[derive(Debug, Default)]
struct Tally {
    bits: usize,
    refused: usize,
    failed: usize,
    right: usize,
    wrong: usize,
}

impl Tally {
    fn count(&mut self, found: &Result<String, rusqlite::Error>, truth: &str) {
        self.bits += 1;
        match found {
            Ok(found) if found == truth => self.right += 1,
            Ok(_) => self.wrong += 1,
            Err(_) => self.failed += 1,
        }
    }

    fn row(&self, whose: &str) -> String {
        let Self { bits, refused, failed, right, wrong } = self;
        format!("| {whose} | {bits} | {refused} | {failed} | {right} | {wrong} |")
    }
}

/// All bits of a small store take half a minute: all but every 131st are left out, or none.
fn step() -> usize {
    match std::env::var_os("CAIRN_SQL_EVERY_BIT") {
        Some(_) => 1,
        None => 131,
    }
}

/// The same data, the same query, and every bit: here, and in a plain file of SQLite's, which has no checksums.
#[test]
fn a_flipped_bit_is_never_another_answer() {
    let image = small_store();
    let env = open(&image).unwrap();
    let truth = rows(&env).unwrap();
    let mut ours = Tally::default();
    for (path, len) in image.files() {
        let bits = usize::try_from(len).unwrap() * 8;
        for bit in (0..bits).step_by(step()) {
            let Some(env) = open(&image.with_bit_flipped(path, bit)) else {
                ours.bits += 1;
                ours.refused += 1;
                continue;
            };
            let found = rows(&env);
            match &found {
                Ok(found) => assert_eq!(*found, truth, "{path}, bit {bit}: wrong rows"),
                Err(rusqlite::Error::SqliteFailure(error, _)) => {
                    let code = error.extended_code & 0xff;
                    let is_known = matches!(code, ffi::SQLITE_CORRUPT | ffi::SQLITE_CANTOPEN);
                    assert!(is_known, "{path}, bit {bit}: {error}");
                }
                Err(other) => panic!("{path}, bit {bit}: {other}"),
            }
            ours.count(&found, &truth);
        }
    }
    let table = [
        "| | bits | the open refuses | the query fails | right | wrong rows |".into(),
        "|---|--:|--:|--:|--:|--:|".into(),
        ours.row("`cairn-rdb`"),
        flipped_alone(&env, &truth).row("SQLite alone"),
    ];
    let mut out = std::io::stdout();
    writeln!(out, "{}", table.join("\n")).unwrap();
    let Tally { refused, failed, right, wrong, .. } = ours;
    assert!(refused > 0 && failed > 0 && right > 0 && wrong == 0, "{ours:?}");
}

/// What becomes of the same data in a file of SQLite's own.
fn flipped_alone(env: &Environment, truth: &str) -> Tally {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plain.db");
    SqlFiles::of(env).export_sqlite("app.db", &path, PlainOptions::default()).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let (mut tally, mut flipped) = (Tally::default(), whole.clone());
    for bit in (0..whole.len() * 8).step_by(step()) {
        flipped[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &flipped).unwrap();
        flipped[bit / 8] = whole[bit / 8];
        tally.count(&Connection::open(&path).and_then(|alone| rows_of(&alone)), truth);
    }
    assert!(tally.wrong > 0, "SQLite alone has found every bit: {tally:?}");
    tally
}

#[test]
fn a_page_that_is_damaged_leaves_the_others_readable() {
    let (env, disk) = environment();
    let connection = connect(&env, "app.db");
    connection.execute_batch("CREATE TABLE a (x); CREATE TABLE b (x)").unwrap();
    for table in ["a", "b"] {
        for n in 0..40 {
            let sql = format!("INSERT INTO {table} VALUES (? || hex(zeroblob(2000)))");
            connection.execute(&sql, [n]).unwrap();
        }
    }
    drop(connection);
    env.close().unwrap();
    let image = Image::of(&disk);
    let (mut a_alone, mut b_alone) = (0, 0);
    for (path, len) in
        image.files().filter(|(path, _)| path.contains("journal") || path.ends_with(".log"))
    {
        for byte in (100..len).step_by(4099) {
            let bit = usize::try_from(byte).unwrap() * 8;
            let Some(env) = open(&image.with_bit_flipped(path, bit)) else { continue };
            let Ok(connection) = env.sqlite_connection("app.db", Access::ReadOnly) else {
                continue;
            };
            let count = |table: &str| -> rusqlite::Result<i64> {
                connection
                    .query_row(&format!("SELECT sum(length(x)) FROM {table}"), [], |row| row.get(0))
            };
            match (count("a"), count("b")) {
                (Ok(_), Err(_)) => a_alone += 1,
                (Err(_), Ok(_)) => b_alone += 1,
                _ => {}
            }
        }
    }
    let files: Vec<_> = image.files().map(|(path, len)| format!("{path} {len}")).collect();
    assert!(a_alone > 0 && b_alone > 0, "{a_alone}, {b_alone}: {files:?}");
}

/// SQLite has let go of its journal when the environment commits, and keeps what it has written in its cache unless it is
/// told that the disk has failed.
#[test]
fn what_could_not_be_committed_for_damage_is_not_seen_by_who_still_reads() {
    let disk = MemDisk::new();
    // Nothing is kept in memory but by SQLite.
    let options = Options::default().background(false).cache_bytes(16 << 10);
    let opened = Environment::open_in(disk.root(), SimWorld::new(1).world(), options);
    let env = opened.unwrap().0;
    let connection = connect(&env, "app.db");
    connection.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, text)").unwrap();
    for n in 0..40 {
        let sql = "INSERT INTO t VALUES (?, 'old' || hex(zeroblob(700)))";
        connection.execute(sql, [n]).unwrap();
    }
    let text = |id: i64| -> rusqlite::Result<String> {
        let sql = "SELECT substr(text, 1, 3) FROM t WHERE id = ?";
        connection.query_row(sql, [id], |row| row.get(0))
    };
    (0..40).for_each(|id| assert_eq!(text(id).unwrap(), "old"));
    let mut statement = connection.prepare("SELECT id FROM t ORDER BY id").unwrap();
    let mut reading = statement.query([]).unwrap();
    assert!(reading.next().unwrap().is_some());
    let is_log = |path: &String| path.ends_with(".log");
    for path in disk.files().into_iter().map(|(path, _)| path).filter(is_log) {
        // Behind the header, so that it is the values that are damaged.
        let damage = |bytes: &mut Vec<u8>| {
            bytes.iter_mut().skip(4096).step_by(97).for_each(|byte| *byte ^= 1);
        };
        disk.edit(&path, damage).unwrap();
    }
    let failed = connection.execute("UPDATE t SET text = 'new' WHERE id = 20", []);
    assert!(failed.is_err());
    if let Ok(found) = text(20) {
        assert_eq!(found, "old");
    }
    assert_eq!(crate::fixture::code(failed), ffi::SQLITE_IOERR_DATA);
}
