//! SQL files of an environment that does not open come out as plain files.

use std::path::Path;

use cairn_env::{Environment, Options, SalvageOptions, salvage};
use cairn_rdb::{PlainOptions, SalvagedSqlFile, SqlFiles, SqlSalvage, rusqlite::Connection};

use crate::fixture::{check, connect, number};

/// An environment that does not open, and what its files are as plain ones.
fn sample(dir: &Path) -> Vec<Vec<u8>> {
    let (env, _) = Environment::open(dir.join("data"), Options::default()).unwrap();
    for (name, rows) in [("app.db", 300), ("other.db", 2)] {
        let connection = connect(&env, name);
        connection.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY, text)").unwrap();
        for n in 0..rows {
            connection
                .execute("INSERT INTO t VALUES (?, ?)", (n, "a row ".repeat(60)))
                .map(drop)
                .unwrap();
        }
        connection.execute_batch("UPDATE t SET text = 'short' WHERE n % 7 = 0").unwrap();
        env.checkpoint().unwrap();
        connection.execute_batch("UPDATE t SET text = 'changed' WHERE n % 5 = 0").unwrap();
    }
    let files = SqlFiles::of(&env);
    let plain = ["app.db", "other.db"].map(|name| {
        let path = dir.join(format!("{name}.plain"));
        files.export_sqlite(name, &path, PlainOptions::default()).unwrap();
        std::fs::read(path).unwrap()
    });
    let db = env.database("db", cairn_env::DatabaseOptions::default()).unwrap();
    env.write(|txn| txn.put(&db, b"no", b"sql")).unwrap();
    drop(files);
    env.close().unwrap();
    std::fs::write(dir.join("data/CURRENT"), "lost").unwrap();
    plain.to_vec()
}

/// Salvages, but for the entries of `app.db` with these keys.
fn salvaged(dir: &Path, target: &str, without: &[&[u8]]) -> Vec<SalvagedSqlFile> {
    let mut files = SqlSalvage::new(dir.join(target)).unwrap();
    let what = SalvageOptions::new();
    let report = salvage(dir.join("data"), &Options::default(), &what, &mut |entry| {
        if entry.database.name != "sql/app.db" || !without.contains(&entry.key) {
            files.take(entry).unwrap();
        }
        Ok(())
    });
    files.end(&report.unwrap()).unwrap()
}

#[test]
fn sql_files_come_out_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let plain = sample(dir.path());
    let files = salvaged(dir.path(), "out", &[]);
    assert_eq!(files.iter().map(|file| &file.name[..]).collect::<Vec<_>>(), ["app.db", "other.db"]);
    for (file, plain) in files.iter().zip(&plain) {
        assert!(file.is_complete(), "{file:?}");
        assert_eq!(file.path, dir.path().join(format!("out/{}.sqlite", file.name)));
        assert!(std::fs::read(&file.path).unwrap() == *plain);
    }
    let connection = Connection::open(&files[0].path).unwrap();
    check(&connection);
    assert_eq!(number(&connection, "SELECT count(*) FROM t WHERE text = 'changed'"), 60);
    assert_eq!(number(&connection, "SELECT count(*) FROM t WHERE text = 'short'"), 34);
}

#[test]
fn a_file_that_lacks_a_page_has_another_name_and_says_which() {
    let dir = tempfile::tempdir().unwrap();
    let plain = sample(dir.path());
    let last = u32::try_from(plain[0].len() / 4096 - 1).unwrap();
    let key = |chunk: u32| {
        let [a, b, c, d] = chunk.to_le_bytes();
        [d, c, b, a]
    };
    let files = salvaged(dir.path(), "out", &[&key(3), &key(4), &key(last)]);
    let (file, end) = (&files[0], plain[0].len() as u64);
    assert_eq!(file.missing, [(3 * 4096, 5 * 4096), (end - 4096, end)]);
    assert_eq!(file.path, dir.path().join("out/app.db.incomplete.sqlite"));
    let found = std::fs::read(&file.path).unwrap();
    assert_eq!(found.len(), plain[0].len());
    let is_lost = |at: usize| (3 * 4096..5 * 4096).contains(&at) || at >= found.len() - 4096;
    for at in 0..found.len() {
        assert_eq!(found[at], if is_lost(at) { 0 } else { plain[0][at] }, "byte {at}");
    }
    assert!(files[1].is_complete());
    // Without the head nobody knows how long it was.
    let files = salvaged(dir.path(), "headless", &[b""]);
    assert!(!files[0].is_complete() && std::fs::read(&files[0].path).unwrap() == plain[0]);
}
