//! Two points, and what differs between them.

use std::collections::{BTreeMap, BTreeSet};

use cairn_backup::{
    BackupError, Change, CompareOptions, CompareReport, ComparedEntry, ComparedKey, ComparedSort,
    PointOptions, Repository, RestoreOptions, Sought, Which, compare,
};
use cairn_env::{DatabaseOptions, Environment};
use cairn_io::MemDisk;
use cairn_kv::{KvOptions, KvStore, SecurityLevel};
use cairn_rdb::{
    Access, SqliteConnections,
    rusqlite::{Connection, types::Value},
};
use cairn_sim::{Chooser as _, Seeded};

use crate::{
    fixture::{content, open, options, world},
    repository::fixture::local,
};

const TABLES: &str = "
    CREATE TABLE numbered (n INTEGER PRIMARY KEY, x, y TEXT AS (x || '!'));
    CREATE TABLE named (a TEXT COLLATE NOCASE, b, x, PRIMARY KEY (b DESC, a)) WITHOUT ROWID;
    CREATE TABLE hidden (rowid TEXT, _rowid_, oid);
";

struct Case {
    env: Environment,
    notes: KvStore,
    sql: Connection,
    repository: Repository,
}

impl Case {
    fn new() -> Self {
        let env = open(&MemDisk::new());
        let notes = KvStore::open(&env, "notes", KvOptions::new(SecurityLevel::S1)).unwrap();
        let sql = env.sqlite_connection("app.db", Access::Create).unwrap();
        sql.execute_batch(TABLES).unwrap();
        env.database("main", DatabaseOptions::default()).unwrap();
        let repository = Repository::create_in(local(MemDisk::new().root()), &world()).unwrap();
        Self { env, notes, sql, repository }
    }

    fn put(&self, key: &[u8], value: &[u8]) {
        let main = self.env.database("main", DatabaseOptions::default()).unwrap();
        self.env.write(|txn| txn.put(&main, key, value)).unwrap();
    }

    fn delete(&self, key: &[u8]) {
        let main = self.env.database("main", DatabaseOptions::default()).unwrap();
        self.env.write(|txn| txn.delete(&main, key)).unwrap();
    }

    fn point(&self) -> Environment {
        let number = self.repository.backup(&self.env, &PointOptions::default()).unwrap().number;
        self.open(number)
    }

    fn open(&self, number: u64) -> Environment {
        let how = RestoreOptions::default().options(options());
        self.repository.open_backup(None, &Which::Number(number), &how).unwrap().0
    }

    fn find(&self, sought: &Sought) -> (Option<u64>, Option<u64>, u64) {
        let how = RestoreOptions::default().options(options());
        let last = self.repository.find_last(None, sought, &how).unwrap();
        assert_eq!(last.unreadable, []);
        (last.found.map(|(number, _)| number), last.lost_in, last.looked_into)
    }
}

fn diff(one: &Environment, other: &Environment) -> (CompareReport, Vec<ComparedEntry>) {
    let mut found = Vec::new();
    let how = CompareOptions::default();
    let report = compare(one, other, &how, &mut |entry| found.push(entry.clone())).unwrap();
    (report, found)
}

/// The rows of a table: what tells each from the others, and all of it.
fn rows(env: &Environment, table: &str) -> BTreeMap<String, Vec<String>> {
    let sql = env.sqlite_connection("app.db", Access::ReadOnly).unwrap();
    let (key, all) = match table {
        "numbered" => ("n", "n || quote(x)"),
        "named" => ("b || '|' || a", "quote(a) || quote(b) || quote(x)"),
        _ => (
            "rowid || '|' || _rowid_ || '|' || oid",
            "quote(rowid) || quote(_rowid_) || quote(oid)",
        ),
    };
    let mut statement = sql.prepare(&format!("SELECT {key}, {all} FROM {table}")).unwrap();
    let text = |value| match value {
        Value::Integer(number) => number.to_string(),
        Value::Text(text) => text,
        other => panic!("{other:?}"),
    };
    let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let mut rows = BTreeMap::<_, Vec<_>>::new();
    for row in found {
        let (key, all) = row.unwrap();
        rows.entry(text(key)).or_default().push(text(all));
    }
    rows.values_mut().for_each(|rows| rows.sort());
    rows
}

/// Invariant 27, over random histories.
#[test]
fn what_differs_between_two_points_is_nothing_or_leads_from_one_to_the_other() {
    for seed in 0..4 {
        let (case, mut random) = (Case::new(), Seeded::new(seed));
        let mut below = |n: u32| u32::try_from(random.choose(n as usize, "step")).unwrap();
        let mut points = Vec::new();
        for _ in 0..3 {
            for _ in 0..60 {
                let (what, key, value) = (below(12), below(40), below(3));
                let row = |sql: &str| assert!(case.sql.execute(sql, []).unwrap() < 100);
                match what {
                    0..3 => {
                        case.put(&[u8::try_from(key).unwrap()], &vec![7; 1 + 2000 * value as usize])
                    }
                    3 => case.delete(&[u8::try_from(key).unwrap()]),
                    4 => case.notes.put(format!("k{key}"), i64::from(value)).unwrap(),
                    5 => case.notes.delete(format!("k{key}")).unwrap_or_default(),
                    6 => row(&format!(
                        "REPLACE INTO numbered (n, x) VALUES ({key} - 20, 'v{value}')"
                    )),
                    7 => row(&format!("DELETE FROM numbered WHERE n = {key} - 20")),
                    8 | 9 => row(&format!(
                        "REPLACE INTO named VALUES ('{}', {key} % 3, {value})",
                        ["a", "B", "C", "d"][key as usize % 4]
                    )),
                    10 => row(&format!("INSERT INTO hidden VALUES ('r', {value}, {key})")),
                    _ => row(&format!("DELETE FROM hidden WHERE oid = {key}")),
                }
            }
            points.push(case.point());
        }
        let none = open(&MemDisk::new());
        for (one, other) in [
            (&points[0], &points[0]),
            (&points[0], &points[1]),
            (&points[2], &points[0]),
            (&none, &points[1]),
            (&points[2], &none),
        ] {
            let (report, found) = diff(one, other);
            let is_one = std::ptr::eq(one, other);
            assert!(report.is_same() == is_one && found.is_empty() == is_one, "{seed}: {report:?}");
            assert_leads(one, other, &report, &found);
        }
    }
}

#[track_caller]
fn assert_leads(
    one: &Environment,
    other: &Environment,
    report: &CompareReport,
    found: &[ComparedEntry],
) {
    let (ones, others) = (content(one), content(other));
    let of = |store: &'static str| found.iter().filter(move |entry| entry.store == store);
    for (store, database) in [("main", "main"), ("notes", "cairn.kv/notes")] {
        let mut moved = ones.get(database).cloned().unwrap_or_default();
        let other = others.get(database).cloned().unwrap_or_default();
        for entry in of(store) {
            let ComparedKey::Entry(key) = &entry.key else { panic!("{entry:?}") };
            let before = match entry.change {
                Change::Removed => moved.remove(key),
                Change::Added | Change::Changed => moved.insert(key.clone(), other[key].clone()),
            };
            assert_eq!(before.is_none(), entry.change == Change::Added, "{entry:?}");
        }
        assert_eq!(moved, other);
        let counts = report.stores.iter().find(|of| of.name == store).unwrap().counts;
        assert_eq!(counts.added + counts.removed + counts.changed, of(store).count() as u64);
        assert_eq!(counts.same + counts.added + counts.changed, other.len() as u64);
    }
    for table in ["numbered", "named", "hidden"] {
        let there = |env: &Environment| match content(env).contains_key("sql/app.db") {
            true => rows(env, table),
            false => BTreeMap::new(),
        };
        let (mut moved, other) = (there(one), there(other));
        let mut seen = BTreeMap::<_, usize>::new();
        for entry in of("app.db").filter(|entry| entry.table.as_deref() == Some(table)) {
            let ComparedKey::Row(key) = &entry.key else { panic!("{entry:?}") };
            assert_eq!(entry.sort, ComparedSort::Sql);
            *seen.entry((key.clone(), format!("{:?}", entry.change))).or_default() += 1;
        }
        for ((key, change), times) in seen {
            let rows = moved.entry(key.clone()).or_default();
            match &*change {
                "Removed" => rows.truncate(rows.len() - times),
                "Added" => rows.extend(other[&key].iter().take(times).cloned()),
                _ => {
                    assert!(times == 1 && rows.len() == 1 && *rows != other[&key]);
                    rows.clone_from(&other[&key]);
                }
            }
        }
        moved.retain(|_, rows| !rows.is_empty());
        assert_eq!(moved, other, "{table}");
    }
}

#[test]
fn what_is_on_one_side_only_or_made_in_another_way_is_told() {
    let case = Case::new();
    case.put(b"a", b"1");
    case.sql.execute_batch("INSERT INTO numbered (n, x) VALUES (1, 'x'), (2, 'y')").unwrap();
    let one = case.point();
    case.sql
        .execute_batch(
            "ALTER TABLE numbered ADD COLUMN z DEFAULT 7;
             UPDATE numbered SET x = 'Y' WHERE n = 2;
             CREATE TABLE later (v); INSERT INTO later VALUES (1), (2);
             CREATE INDEX by_x ON numbered (x);
             DROP TABLE hidden",
        )
        .unwrap();
    let more = case.env.database("more", DatabaseOptions::default()).unwrap();
    case.env.write(|txn| txn.put(&more, b"k", b"v")).unwrap();
    KvStore::delete_store(&case.env, "notes").unwrap_or_default();
    let other = case.point();
    let (report, found) = diff(&one, &other);
    let file = report.stores.iter().find(|store| store.sort == ComparedSort::Sql).unwrap();
    let tables: Vec<_> = file.tables.iter().map(|of| (&*of.name, of.change)).collect();
    let expected = [
        ("hidden", Some(Change::Removed)),
        ("later", Some(Change::Added)),
        ("named", None),
        ("numbered", Some(Change::Changed)),
    ];
    assert_eq!(tables, expected);
    assert_eq!(file.definitions, [("index by_x".to_owned(), Change::Added)]);
    // A column that is new in one of them does not make all rows different.
    let numbered = file.tables[3].counts;
    assert_eq!((numbered.same, numbered.changed, numbered.added), (1, 1, 0));
    assert_eq!((file.tables[1].counts.added, file.change), (2, None));
    let more = report.stores.iter().find(|store| store.name == "more").unwrap();
    assert_eq!((more.change, more.counts.added), (Some(Change::Added), 1));
    let stores: BTreeSet<_> = found.iter().map(|entry| &*entry.store).collect();
    assert_eq!(stores, BTreeSet::from(["app.db", "more"]));

    // One of them, and one that there is not.
    let how = CompareOptions::default().store(Some("more"));
    let report = compare(&one, &other, &how, &mut |_| {}).unwrap();
    assert_eq!((report.stores.len(), report.is_same()), (1, false));
    let how = CompareOptions::default().store(Some("nothing"));
    let nothing = compare(&one, &other, &how, &mut |_| {});
    assert!(matches!(nothing, Err(BackupError::NoSuchStore { .. })));
}

#[test]
fn the_newest_point_that_has_something_is_found_and_the_one_that_lost_it() {
    let case = Case::new();
    let key = |key: &[u8]| Sought::Entry { database: "main".into(), key: key.to_vec() };
    let note = || Sought::KeyValue { store: "notes".into(), key: b"tea".to_vec() };
    let row = |n| Sought::Sql {
        file: "app.db".into(),
        query: format!("SELECT 1 FROM numbered WHERE n = {n}"),
    };
    case.point();
    case.put(b"early", b"1");
    case.put(b"stays", b"1");
    case.sql.execute("INSERT INTO numbered (n) VALUES (7)", []).unwrap();
    case.point();
    case.delete(b"early");
    case.notes.put("tea", 7i64).unwrap();
    case.point();
    case.notes.delete("tea").unwrap();
    case.sql.execute("DELETE FROM numbered", []).unwrap();
    case.point();
    case.point();
    assert_eq!(case.find(&key(b"early")), (Some(2), Some(3), 4));
    assert_eq!(case.find(&key(b"stays")), (Some(5), None, 1));
    assert_eq!(case.find(&key(b"never")), (None, None, 5));
    assert_eq!(case.find(&note()), (Some(3), Some(4), 3));
    assert_eq!(case.find(&row(7)), (Some(3), Some(4), 3));
    assert_eq!(case.find(&row(8)), (None, None, 5));
    for nowhere in [
        Sought::Entry { database: "nothing".into(), key: b"k".to_vec() },
        Sought::KeyValue { store: "nothing".into(), key: b"k".to_vec() },
        Sought::Sql { file: "nothing".into(), query: "SELECT 1".into() },
        Sought::Sql { file: "app.db".into(), query: "SELECT 1 FROM nowhere".into() },
    ] {
        assert_eq!(case.find(&nowhere).0, None, "{nowhere:?}");
    }
    let wrong = Sought::Sql { file: "app.db".into(), query: "SELEKT".into() };
    let how = RestoreOptions::default().options(options());
    assert!(case.repository.find_last(None, &wrong, &how).is_err());
}
