//! One table of a SQL file of a backup, into the file as it is now.

use cairn_backup::{
    BackupError, One, OneOptions, OneReport, PointOptions, Repository, RestoreOptions, Which,
    bring_one,
};
use cairn_env::{Environment, ErrorKind, Options};
use cairn_io::MemDisk;
use cairn_log::{DataKey, DataKeys};
use cairn_rdb::{Access, SqliteConnections, rusqlite::Connection};

use crate::{
    fixture::{open, options, world},
    repository::fixture::local,
};

const TABLES: &str = r#"
    CREATE TABLE "my ""pets""" (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, photo BLOB,
        loud TEXT AS (upper(name)) VIRTUAL, length INT AS (length(name)) STORED CHECK (length > 0));
    CREATE INDEX by_length ON "my ""pets""" (length) WHERE length > 3;
    CREATE INDEX by_lower ON "my ""pets""" (lower(name));
    CREATE TABLE told (what TEXT);
    CREATE TRIGGER tells AFTER INSERT ON "my ""pets""" BEGIN INSERT INTO told VALUES (new.name); END;
    CREATE TABLE pairs (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID;
    CREATE TABLE bare (rowid TEXT, x);
    CREATE TABLE owners (pet INTEGER REFERENCES "my ""pets"""(id) ON DELETE CASCADE);
    CREATE VIEW loud AS SELECT loud FROM "my ""pets""";
    INSERT INTO "my ""pets""" (id, name, photo) VALUES (3, 'Mia', x'00ff00'), (7, 'Timmy', NULL), (9, 'gone', 1.5);
    DELETE FROM "my ""pets""" WHERE id = 9;
    INSERT INTO pairs VALUES (1, 'x'), ('1', x'78'), (2, 2.5);
    INSERT INTO bare (_rowid_, rowid, x) VALUES (-5, 'text', CAST(x'80ff' AS TEXT)), (40, NULL, 9);
    INSERT INTO owners VALUES (3), (7);
"#;

const PETS: &str = "my \"pets\"";

struct Case {
    env: Environment,
    sql: Connection,
    repository: Repository,
    options: Options,
}

impl Case {
    fn new(options: Options) -> Self {
        let (env, _) =
            Environment::open_in(MemDisk::new().root(), world(), options.clone()).unwrap();
        let sql = env.sqlite_connection("app.db", Access::Create).unwrap();
        sql.execute_batch(TABLES).unwrap();
        let repository = Repository::create_in(local(MemDisk::new().root()), &world()).unwrap();
        repository.backup(&env, &PointOptions::default()).unwrap();
        Self { env, sql, repository, options }
    }

    fn bring(
        &self,
        (file, table): (&str, &str),
        env: &Environment,
        how: &OneOptions<'_>,
    ) -> Result<OneReport, BackupError> {
        let options = RestoreOptions::default().options(self.options.clone());
        let (then, _) = self.repository.open_backup(None, &Which::Newest, &options)?;
        bring_one(&then, &One::Table { file: file.into(), table: table.into() }, env, how)
    }
}

/// All that a SQL file holds, with the types of values and rowids.
fn dump(sql: &Connection) -> Vec<String> {
    let texts = |of: &str| -> Vec<String> {
        let mut statement = sql.prepare(of).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    let mut all = texts(
        "SELECT type || ' ' || name || ' ' || sql FROM sqlite_schema WHERE sql NOT NULL ORDER BY 1",
    );
    for (table, row) in [
        ("\"my \"\"pets\"\"\"", "id || name || quote(photo) || loud || length"),
        ("told", "what"),
        ("pairs", "quote(a) || quote(b)"),
        ("bare", "_rowid_ || quote(rowid) || typeof(x) || hex(x)"),
        ("owners", "quote(pet)"),
        ("sqlite_sequence", "name || seq"),
    ] {
        let exists = format!(
            "SELECT name FROM pragma_table_list WHERE name = replace(trim('{table}', '\"'), '\"\"', '\"')"
        );
        all.push(format!("{table}:"));
        if !texts(&exists).is_empty() {
            all.extend(texts(&format!("SELECT {row} FROM {table} ORDER BY 1")));
        }
    }
    assert_eq!(texts("PRAGMA integrity_check"), ["ok"]);
    all
}

#[test]
fn a_table_comes_back_with_its_rows_indexes_and_triggers_and_nothing_else_changes() {
    let case = Case::new(options());
    let then = dump(&case.sql);
    for (table, rows, change) in [
        (PETS, 2, "DROP TABLE \"my \"\"pets\"\"\""),
        ("PAIRS", 3, "DROP TABLE pairs"),
        ("bare", 2, "DROP TABLE bare"),
    ] {
        case.sql.execute_batch(change).unwrap();
        let before = case.env.snapshot().unwrap().commit();
        let report = case.bring(("app.db", table), &case.env, &OneOptions::default()).unwrap();
        assert_eq!(report.entries, rows, "{table}");
        assert_eq!(case.env.snapshot().unwrap().commit(), before + 1, "in one commit");
        // Owners lost theirs when it was dropped, and nobody has told.
        case.sql.execute_batch("DELETE FROM owners; INSERT INTO owners VALUES (3), (7)").unwrap();
        assert_eq!(dump(&case.sql), then, "{table}");
    }
    // It goes on as any other table.
    case.sql.execute_batch("INSERT INTO \"my \"\"pets\"\"\" (name) VALUES ('new')").unwrap();
    let last: (i64, String) = case
        .sql
        .query_row(
            "SELECT max(id), (SELECT what FROM told WHERE what = 'new') FROM \"my \"\"pets\"\"\"",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!(last, (10, "new".into()));
}

#[test]
fn one_that_is_there_is_replaced_only_if_that_is_said_and_what_refers_to_it_stays() {
    let case = Case::new(options());
    let then = dump(&case.sql);
    case.sql.execute_batch("UPDATE \"my \"\"pets\"\"\" SET name = 'other' WHERE id = 7").unwrap();
    let now = dump(&case.sql);
    let error = case.bring(("app.db", PETS), &case.env, &OneOptions::default()).unwrap_err();
    assert!(matches!(error, BackupError::TableExists { .. }), "{error}");
    assert_eq!(dump(&case.sql), now);
    let how = OneOptions::default().replace(true);
    case.bring(("app.db", PETS), &case.env, &how).unwrap();
    assert_eq!(dump(&case.sql), then);
}

#[test]
fn what_cannot_be_brought_changes_nothing() {
    let case = Case::new(options());
    case.sql
        .execute_batch("DROP TABLE pairs; DROP TABLE \"my \"\"pets\"\"\"; CREATE VIEW pairs AS SELECT 1 AS a, 2 AS b; CREATE INDEX by_lower ON told (what)")
        .unwrap();
    let now = dump(&case.sql);
    let how = OneOptions::default().replace(true);
    let kind = |of, how: &OneOptions<'_>| case.bring(of, &case.env, how).unwrap_err().kind();
    assert_eq!(kind(("none.db", "told"), &how), ErrorKind::NotFound);
    assert_eq!(kind(("app.db", "none"), &how), ErrorKind::NotFound);
    assert_eq!(kind(("app.db", "loud"), &how), ErrorKind::NotFound);
    assert_eq!(kind(("app.db", "sqlite_schema"), &how), ErrorKind::NotFound);
    assert_eq!(kind(("app.db", "told"), &how.clone().name("heard")), ErrorKind::InvalidInput);
    // A view is no table that is replaced; and one of its indexes has the name of another table's.
    assert_eq!(kind(("app.db", "pairs"), &how), ErrorKind::Exists);
    case.bring(("app.db", PETS), &case.env, &how).unwrap_err();
    let other = open(&MemDisk::new());
    let error = case.bring(("app.db", "told"), &other, &how).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(dump(&case.sql), now);
}

#[test]
fn what_was_encrypted_comes_into_the_clear_only_if_that_is_said() {
    let keys = DataKeys::new([(1, DataKey::new([7; 32]))]).unwrap();
    let case = Case::new(options().encryption(keys));
    case.sql.execute_batch("DELETE FROM pairs").unwrap();
    let how = OneOptions::default().replace(true);
    case.bring(("app.db", "pairs"), &case.env, &how).unwrap();
    let plain = open(&MemDisk::new());
    let sql = plain.sqlite_connection("app.db", Access::Create).unwrap();
    sql.execute_batch("CREATE TABLE pairs (a)").unwrap();
    let error = case.bring(("app.db", "pairs"), &plain, &how).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    case.bring(("app.db", "pairs"), &plain, &how.in_the_clear()).unwrap();
    for sql in [&case.sql, &sql] {
        let rows: i64 = sql.query_row("SELECT count(b) FROM pairs", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 3);
    }
}
