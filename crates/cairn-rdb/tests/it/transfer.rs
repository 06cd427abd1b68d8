//! Files that go out and come in as wholes.

use std::ops::ControlFlow;

use cairn_archive::{ArchiveError, ArchiveFile, ExportOptions, ImportOptions};
use cairn_rdb::{
    PlainOptions, SqlFiles, TransferError,
    rusqlite::{Connection, ffi},
};

use crate::fixture::{check, code, connect, encrypted, environment, number, text};

fn archive(dir: &tempfile::TempDir, name: &str) -> ArchiveFile {
    ArchiveFile::at(dir.path().join(name)).unwrap()
}

#[test]
fn a_backup_brings_back_what_there_was() {
    let (env, dir) = (environment(), tempfile::tempdir().unwrap());
    let connection = connect(&env, "app.db");
    connection.execute_batch("CREATE TABLE t (n); INSERT INTO t VALUES (1), (2)").unwrap();
    let (files, archive) = (SqlFiles::of(&env), archive(&dir, "monday"));
    files.back_up("app.db", &archive, b"recorded", &ExportOptions::default()).unwrap();
    connection.execute_batch("DROP TABLE t; CREATE TABLE u (x)").unwrap();

    let report = files.restore("app.db", &archive, &ImportOptions::default()).unwrap();
    assert_eq!(report.archive.header.store.options, b"recorded");
    assert_eq!(number(&connection, "SELECT sum(n) FROM t"), 3);
    assert_eq!(code(connection.execute_batch("SELECT * FROM u")), ffi::SQLITE_ERROR);
    connection.execute_batch("INSERT INTO t VALUES (3)").unwrap();
    let other = connect(&env, "app.db");
    assert_eq!(number(&other, "SELECT sum(n) FROM t"), 6);
    check(&other);
    files.restore("app.db", &archive, &ImportOptions::default()).unwrap();
    assert_eq!(number(&other, "SELECT sum(n) FROM t"), 3);
}

/// A connection knows by counters whether what it remembers holds; those of an older state of the same file may come
/// again.
#[test]
fn rule_26_no_connection_takes_a_restored_file_for_what_it_remembers() {
    let (env, dir) = (environment(), tempfile::tempdir().unwrap());
    let files = SqlFiles::of(&env);
    let (writer, idle) = (connect(&env, "app.db"), connect(&env, "app.db"));
    writer.execute_batch("CREATE TABLE t (n); INSERT INTO t VALUES (1)").unwrap();
    let archive = archive(&dir, "before");
    files.back_up("app.db", &archive, &[], &ExportOptions::default()).unwrap();
    writer.execute_batch("UPDATE t SET n = 2").unwrap();
    writer.execute_batch("CREATE TABLE other (x, y)").unwrap();
    let mut prepared = idle.prepare("SELECT n FROM t").unwrap();
    assert_eq!(prepared.query_row([], |row| row.get::<_, i64>(0)).unwrap(), 2);
    files.restore("app.db", &archive, &ImportOptions::default()).unwrap();
    // As many changes of data and of the schema as there were before.
    writer.execute_batch("UPDATE t SET n = 3").unwrap();
    writer.execute_batch("CREATE TABLE another (x, y, z)").unwrap();
    assert_eq!(prepared.query_row([], |row| row.get::<_, i64>(0)).unwrap(), 3);
    drop(prepared);
    assert_eq!(number(&idle, "SELECT count(*) FROM another"), 0);
    check(&idle);
}

#[test]
fn a_file_that_was_removed_is_not_taken_for_its_successor() {
    let env = environment();
    let files = SqlFiles::of(&env);
    let (writer, idle) = (connect(&env, "app.db"), connect(&env, "app.db"));
    writer.execute_batch("CREATE TABLE t (n); INSERT INTO t VALUES (1)").unwrap();
    assert_eq!(number(&idle, "SELECT n FROM t"), 1);
    files.remove("app.db").unwrap();
    assert!(files.names().unwrap().is_empty());
    assert!(matches!(files.remove("app.db"), Err(TransferError::NotFound { .. })));
    writer.execute_batch("CREATE TABLE t (n); INSERT INTO t VALUES (2)").unwrap();
    assert_eq!(number(&idle, "SELECT n FROM t"), 2);
    check(&idle);
}

#[test]
fn who_reads_goes_on_while_a_file_is_restored_and_who_writes_makes_it_wait() {
    let (env, dir) = (environment(), tempfile::tempdir().unwrap());
    let (files, archive) = (SqlFiles::of(&env), archive(&dir, "a"));
    let (reader, writer) = (connect(&env, "app.db"), connect(&env, "app.db"));
    writer.execute_batch("CREATE TABLE t (n); INSERT INTO t VALUES (1)").unwrap();
    files.back_up("app.db", &archive, &[], &ExportOptions::default()).unwrap();
    writer.execute_batch("INSERT INTO t VALUES (1)").unwrap();
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(number(&reader, "SELECT count(*) FROM t"), 2);

    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = files.restore("app.db", &archive, &ImportOptions::default()).unwrap_err();
    assert!(matches!(error, TransferError::Busy { .. }), "{error}");
    writer.execute_batch("ROLLBACK").unwrap();
    files.restore("app.db", &archive, &ImportOptions::default()).unwrap();
    assert_eq!(number(&reader, "SELECT count(*) FROM t"), 2);
    assert_eq!(code(reader.execute_batch("INSERT INTO t VALUES (5)")), ffi::SQLITE_BUSY_SNAPSHOT);
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(number(&reader, "SELECT count(*) FROM t"), 1);
}

#[test]
fn a_backup_of_another_kind_or_a_damaged_one_is_refused() {
    let (env, dir) = (environment(), tempfile::tempdir().unwrap());
    let (files, good) = (SqlFiles::of(&env), archive(&dir, "good"));
    let connection = connect(&env, "app.db");
    connection.execute_batch("CREATE TABLE t (n); INSERT INTO t VALUES (1)").unwrap();
    files.back_up("app.db", &good, &[], &ExportOptions::default()).unwrap();
    connection.execute_batch("INSERT INTO t VALUES (2)").unwrap();
    let bytes = std::fs::read(good.path()).unwrap();
    for (name, bytes) in [
        ("empty", Vec::new()),
        ("cut", bytes[..bytes.len() - 1].to_vec()),
        (
            "damaged",
            bytes.iter().enumerate().map(|(n, b)| if n == 500 { b ^ 1 } else { *b }).collect(),
        ),
        ("foreign", b"SQLite format 3\0".to_vec()),
    ] {
        let bad = archive(&dir, name);
        std::fs::write(bad.path(), bytes).unwrap();
        let error = files.restore("app.db", &bad, &ImportOptions::default()).unwrap_err();
        assert!(matches!(error, TransferError::Archive(_)), "{name}: {error}");
        assert_eq!(number(&connection, "SELECT count(*) FROM t"), 2, "{name}");
    }
    let error = files.restore("other.db", &good, &ImportOptions::default()).unwrap_err();
    assert!(matches!(error, TransferError::Archive(ArchiveError::OtherStore { .. })), "{error}");
    let allowed = ImportOptions::default().other_store(true);
    files.restore("other.db", &good, &allowed).unwrap();
    assert_eq!(number(&connect(&env, "other.db"), "SELECT count(*) FROM t"), 1);
}

#[test]
fn a_plain_file_goes_out_and_comes_in() {
    let (env, dir) = (environment(), tempfile::tempdir().unwrap());
    let files = SqlFiles::of(&env);
    let connection = connect(&env, "app.db");
    connection.execute_batch("CREATE TABLE t (n, filler)").unwrap();
    for n in 0..500 {
        connection.execute("INSERT INTO t VALUES (?, zeroblob(1000))", [n]).unwrap();
    }
    let path = dir.path().join("plain.db");
    let seen = std::sync::atomic::AtomicU64::new(0);
    let watch = |progress: cairn_rdb::TransferProgress| {
        seen.store(progress.bytes, std::sync::atomic::Ordering::Relaxed);
        ControlFlow::Continue(())
    };
    let len = files
        .export_sqlite("app.db", &path, PlainOptions::default().progress(Some(&watch)))
        .unwrap();
    assert_eq!(seen.into_inner(), len);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), len);
    let plain = Connection::open(&path).unwrap();
    check(&plain);
    assert_eq!(number(&plain, "SELECT sum(n) FROM t"), 499 * 250);

    let again = files.export_sqlite("app.db", &path, PlainOptions::default());
    assert!(matches!(again, Err(TransferError::Exists { .. })));
    let end = |_: cairn_rdb::TransferProgress| ControlFlow::Break(());
    let ended = PlainOptions::default().replace(true).progress(Some(&end));
    assert!(matches!(files.export_sqlite("app.db", &path, ended), Err(TransferError::Cancelled)));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing unfinished stays");

    // With a log beside it, which holds what is not in the file yet.
    assert_eq!(text(&plain, "PRAGMA journal_mode = WAL"), "wal");
    plain
        .execute_batch("PRAGMA wal_autocheckpoint = 0; INSERT INTO t VALUES (1000000, '')")
        .unwrap();
    files.import_sqlite("app.db", &path, PlainOptions::default()).unwrap();
    assert_eq!(number(&connection, "SELECT sum(n) FROM t"), 499 * 250 + 1_000_000);
    let ended = files.import_sqlite("app.db", &path, PlainOptions::default().progress(Some(&end)));
    assert!(matches!(ended, Err(TransferError::Cancelled)));
    check(&connection);
}

#[test]
fn what_is_no_database_of_sqlite_is_not_imported() {
    let (env, dir) = (environment(), tempfile::tempdir().unwrap());
    let files = SqlFiles::of(&env);
    let connection = connect(&env, "app.db");
    connection.execute_batch("CREATE TABLE t (n); INSERT INTO t VALUES (1)").unwrap();
    let good = dir.path().join("good.db");
    files.export_sqlite("app.db", &good, PlainOptions::default()).unwrap();
    let mut damaged = std::fs::read(&good).unwrap();
    damaged[4096..4200].fill(7);
    for (name, bytes) in
        [("empty", Vec::new()), ("text", b"hello".repeat(200)), ("damaged", damaged)]
    {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = files.import_sqlite("app.db", &path, PlainOptions::default()).unwrap_err();
        assert!(matches!(error, TransferError::NotImportable { .. }), "{name}: {error}");
    }
    let missing = files.import_sqlite("app.db", dir.path().join("none"), PlainOptions::default());
    assert!(matches!(missing, Err(TransferError::NotImportable { .. })));
    assert_eq!(number(&connection, "SELECT n FROM t"), 1);
}

#[test]
fn what_is_encrypted_goes_out_in_the_clear_only_by_name() {
    let (env, dir) = (encrypted(), tempfile::tempdir().unwrap());
    let files = SqlFiles::of(&env);
    connect(&env, "app.db").execute_batch("CREATE TABLE canary (n)").unwrap();
    let path = dir.path().join("plain.db");
    let refused = files.export_sqlite("app.db", &path, PlainOptions::default());
    assert!(matches!(refused, Err(TransferError::WouldBePlain { .. })));
    let archive = archive(&dir, "sealed");
    files.back_up("app.db", &archive, &[], &ExportOptions::default()).unwrap();
    let bytes = std::fs::read(archive.path()).unwrap();
    assert!(!bytes.windows(6).any(|bytes| bytes == b"canary"));
    files.export_sqlite("app.db", &path, PlainOptions::default().in_the_clear()).unwrap();
    check(&Connection::open(&path).unwrap());
}

#[test]
fn backups_have_names_in_a_folder_of_their_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let (env, _) = cairn_env::Environment::open(&path, cairn_env::Options::default()).unwrap();
    let files = SqlFiles::of(&env);
    let connection = connect(&env, "app.db");
    connection.execute_batch("CREATE TABLE t (n); INSERT INTO t VALUES (1)").unwrap();
    let options = ExportOptions::default();
    assert!(matches!(files.back_up_as("app.db", "B", &[], &options), Err(TransferError::NoPlace)));
    cairn_archive::BackupPlace::beside(&path).attach(&env);
    files.back_up_as("app.db", "Backup.db", &[], &options).unwrap();
    assert!(dir.path().join("data.backups/app.db-sql/Backup.db.bak").exists());
    connection.execute_batch("INSERT INTO t VALUES (2)").unwrap();
    files.back_up_as("app.db", "Backup.db", &[], &options).unwrap(); // over the one before
    files.back_up_as("app.db", "other", &[], &options).unwrap();
    let names: Vec<_> = files.backups("app.db").unwrap().into_iter().map(|b| b.name).collect();
    assert_eq!(names, ["Backup.db", "other"]);
    connection.execute_batch("DELETE FROM t").unwrap();
    files.restore_named("app.db", "Backup.db", &ImportOptions::default()).unwrap();
    assert_eq!(number(&connection, "SELECT sum(n) FROM t"), 3);
    for name in ["", "../x", "a/b", ".x"] {
        let refused = files.back_up_as("app.db", name, &[], &options);
        assert!(matches!(refused, Err(TransferError::InvalidBackupName { .. })), "{name:?}");
    }
    files.delete_backup("app.db", "other").unwrap();
    let gone = files.delete_backup("app.db", "other");
    assert!(matches!(gone, Err(TransferError::NoSuchBackup { .. })));
    let gone = files.restore_named("app.db", "other", &ImportOptions::default());
    assert!(matches!(gone, Err(TransferError::NoSuchBackup { .. })));
}

#[test]
fn compacting_leaves_every_row_and_who_reads_goes_on() {
    let env = environment();
    let (writer, reader) = (connect(&env, "app.db"), connect(&env, "app.db"));
    let sql = "PRAGMA user_version = 7; PRAGMA application_id = 8;
               CREATE TABLE t (id INTEGER PRIMARY KEY, text); CREATE INDEX by_text ON t (text);
               INSERT INTO t WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 900)
               SELECT n, hex(randomblob(300)) FROM s;
               DELETE FROM t WHERE id % 9 > 0";
    writer.execute_batch(sql).unwrap();
    let before = crate::fixture::dump(&writer);
    let pages = number(&writer, "PRAGMA page_count");
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(number(&reader, "SELECT count(*) FROM t"), 100);
    let report = SqlFiles::of(&env).compact("app.db").unwrap();
    assert!(report.after < report.before / 4, "{report:?}");
    assert_eq!(report.before, pages.unsigned_abs() * 4096);
    assert_eq!(SqlFiles::of(&env).len("app.db").unwrap(), report.after);
    assert_eq!(number(&reader, "SELECT sum(id) FROM t"), 45450);
    reader.execute_batch("COMMIT").unwrap();
    for connection in [&writer, &reader] {
        assert_eq!(crate::fixture::dump(connection), before);
        let versions =
            number(connection, "PRAGMA user_version") + number(connection, "PRAGMA application_id");
        assert_eq!(versions, 15);
    }
    writer.execute_batch("INSERT INTO t VALUES (0, 'more')").unwrap();
    assert_eq!(number(&reader, "SELECT count(*) FROM t"), 101);
    check(&reader);
    // Somebody writes.
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let busy = SqlFiles::of(&env).compact("app.db");
    assert!(matches!(busy, Err(TransferError::Busy { .. })));
    writer.execute_batch("ROLLBACK").unwrap();
    assert_eq!(SqlFiles::of(&env).names().unwrap(), ["app.db"]);
}
