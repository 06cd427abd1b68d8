//! One store or database of a backup into an environment that goes on.

use std::ops::Bound;

use cairn_backup::{
    BackupError, One, OneOptions, OneReport, PointOptions, Repository, RestoreOptions, Which,
    bring_one,
};
use cairn_env::{DatabaseOptions, Environment, ErrorKind, IndexDef};
use cairn_io::MemDisk;
use cairn_kv::{KvOptions, KvStore};
use cairn_rdb::{Access, RdbConfig, RdbStore, SqliteConnections};

use crate::{
    fixture::{Content, content, fill, open, options, world},
    repository::fixture::{local, raw_key},
};

const LEVEL: cairn_kv::SecurityLevel = cairn_kv::SecurityLevel::S1;

/// An environment with stores of each kind, that were changed since a point was made of them.
struct Case {
    env: Environment,
    notes: KvStore,
    app: RdbStore,
    repository: Repository,
    /// What a full restore of the point holds.
    then: Content,
    now: Content,
}

fn notes(env: &Environment, id: &str) -> KvStore {
    KvStore::open(env, id, KvOptions::new(LEVEL)).unwrap()
}

fn app(env: &Environment, name: &str) -> RdbStore {
    RdbStore::open(env, RdbConfig::new(name, cairn_rdb::SecurityLevel::S1)).unwrap()
}

fn count(store: &RdbStore) -> i64 {
    store.query_one::<i64>("SELECT count(*) FROM tea", ()).unwrap()
}

impl Case {
    fn new() -> Self {
        let env = open(&MemDisk::new());
        fill(&env, 0, 40);
        let other = env.database("other", DatabaseOptions::default()).unwrap();
        env.write(|txn| txn.put(&other, b"a", b"1")).unwrap();
        let (notes, lists, app) = (notes(&env, "notes"), notes(&env, "lists"), app(&env, "app.db"));
        notes.put("tea", "buy").unwrap();
        lists.put("one", 1).unwrap();
        app.execute_sql("CREATE TABLE tea(name)", ()).unwrap();
        app.execute_sql("INSERT INTO tea VALUES ('mint'), ('green')", ()).unwrap();
        let plain = env.sqlite_connection("plain.db", Access::Create).unwrap();
        plain.execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES (7)").unwrap();
        let repository = Repository::create_in(local(MemDisk::new().root()), &world()).unwrap();
        repository.backup(&env, &PointOptions::default()).unwrap();
        let target = MemDisk::new();
        let how = RestoreOptions::default().options(options());
        repository.restore_in(None, &Which::Newest, &target.root(), &world(), &how).unwrap();
        let then = content(&open(&target));

        notes.put("tea", "drunk").unwrap();
        notes.put("cake", "bake").unwrap();
        lists.put("two", 2).unwrap();
        app.execute_sql("DELETE FROM tea", ()).unwrap();
        plain.execute_batch("DELETE FROM t").unwrap();
        fill(&env, 30, 30);
        env.write(|txn| txn.put(&other, b"b", b"2")).unwrap();
        let now = content(&env);
        Self { env, notes, app, repository, then, now }
    }

    fn then(&self) -> Environment {
        let how = RestoreOptions::default().options(options());
        self.repository.open_backup(None, &Which::Newest, &how).unwrap().0
    }

    fn bring(&self, one: &One, options: &OneOptions<'_>) -> Result<OneReport, BackupError> {
        bring_one(&self.then(), one, &self.env, options)
    }

    /// Everything in the environment is as it was, but for the databases of these names.
    fn untouched(&self, but: &[&str]) {
        let mut found = content(&self.env);
        let mut now = self.now.clone();
        for name in but {
            found.remove(*name);
            now.remove(*name);
        }
        assert_eq!(found, now);
    }
}

/// Invariant 26 of the repository.
#[test]
fn one_store_is_that_of_the_full_restore_and_the_others_are_untouched() {
    let case = Case::new();
    let how = OneOptions::default();
    let before = case.env.snapshot().unwrap().commit();
    let report = case.bring(&One::KeyValue("notes".into()), &how).unwrap();
    assert_eq!(report.entries, 1);
    assert_eq!(content(&case.env)["cairn.kv/notes"], case.then["cairn.kv/notes"]);
    case.untouched(&["cairn.kv/notes"]);
    // Whoever had it open goes on with what it holds.
    assert_eq!(case.notes.get("tea").unwrap(), Some("buy".into()));
    assert_eq!(case.notes.get("cake").unwrap(), None);
    assert!(report.commit < before);

    case.bring(&One::Sql("app.db".into()), &how).unwrap();
    assert_eq!(count(&case.app), 2);
    case.untouched(&["cairn.kv/notes", "sql/app.db"]);

    case.bring(&One::Sql("plain.db".into()), &how).unwrap();
    let plain = case.env.sqlite_connection("plain.db", Access::ReadOnly).unwrap();
    let found: i64 = plain.query_row("SELECT sum(x) FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(found, 7);
    case.untouched(&["cairn.kv/notes", "sql/app.db", "sql/plain.db"]);

    let report = case.bring(&One::Database("db".into()), &how).unwrap();
    assert_eq!((report.entries, &content(&case.env)["db"]), (40, &case.then["db"]));
    case.untouched(&["cairn.kv/notes", "sql/app.db", "sql/plain.db", "db"]);
}

#[test]
fn under_another_name_it_stands_beside_what_there_is() {
    let case = Case::new();
    let how = OneOptions::default().name("then");
    case.bring(&One::KeyValue("notes".into()), &how).unwrap();
    assert_eq!(notes(&case.env, "then").get("tea").unwrap(), Some("buy".into()));
    assert_eq!(case.notes.get("tea").unwrap(), Some("drunk".into()));
    case.untouched(&["cairn.kv/then", "cairn.kv"]);

    let how = OneOptions::default().name("then.db");
    case.bring(&One::Sql("app.db".into()), &how).unwrap();
    assert_eq!((count(&app(&case.env, "then.db")), count(&case.app)), (2, 0));
    case.bring(&One::Database("db".into()), &how).unwrap();
    assert_eq!(content(&case.env)["then.db"], case.then["db"]);
    case.untouched(&["cairn.kv/then", "cairn.kv", "sql/then.db", "cairn.rdb", "then.db"]);
}

#[test]
fn into_another_environment_it_comes_alone() {
    let case = Case::new();
    let env = crate::fixture::open_seeded(&MemDisk::new(), 99);
    let (then, how) = (case.then(), OneOptions::default());
    for one in [
        One::KeyValue("lists".into()),
        One::Sql("app.db".into()),
        One::Sql("plain.db".into()),
        One::Database("other".into()),
    ] {
        bring_one(&then, &one, &env, &how).unwrap();
    }
    assert_eq!(notes(&env, "lists").get("one").unwrap(), Some(1.into()));
    assert_eq!(count(&app(&env, "app.db")), 2);
    let found = content(&env);
    for name in ["cairn.kv/lists", "other"] {
        assert_eq!(found[name], case.then[name], "{name}");
    }
    assert!(!found.contains_key("db") && !found.contains_key("cairn.kv/notes"));
}

#[test]
fn a_range_replaces_what_lies_between_its_keys_in_one_commit() {
    let case = Case::new();
    let key = |n: u32| n.to_le_bytes().to_vec();
    let (from, to) = (Bound::Included(key(10)), Bound::Excluded(key(35)));
    let one = One::Range { database: "db".into(), from, to };
    let before = case.env.snapshot().unwrap().commit();
    let report = case.bring(&one, &OneOptions::default()).unwrap();
    assert_eq!((report.entries, case.env.snapshot().unwrap().commit()), (25, before + 1));
    let found = &content(&case.env)["db"];
    for (key, value) in found {
        let n = u32::from_le_bytes(key.as_slice().try_into().unwrap());
        let source = if (10..35).contains(&n) { &case.then } else { &case.now };
        assert_eq!(source["db"].get(key), Some(value), "{n}");
    }
    assert_eq!(found.len(), case.now["db"].len());
    case.untouched(&["db"]);
}

#[test]
fn what_is_not_there_or_belongs_to_a_store_changes_nothing() {
    let case = Case::new();
    let none = String::from("none");
    for (one, kind) in [
        (One::KeyValue(none.clone()), ErrorKind::NotFound),
        (One::Sql(none.clone()), ErrorKind::NotFound),
        (One::Database(none), ErrorKind::NotFound),
        (One::Database("cairn.kv/notes".into()), ErrorKind::InvalidInput),
        (One::Database("cairn.rdb".into()), ErrorKind::InvalidInput),
        (One::Database("sql/app.db".into()), ErrorKind::InvalidInput),
    ] {
        let error = case.bring(&one, &OneOptions::default()).unwrap_err();
        assert_eq!(error.kind(), kind, "{one:?}: {error}");
    }
    let into_store = OneOptions::default().name("cairn.kv/notes");
    case.bring(&One::Database("db".into()), &into_store).unwrap_err();
    case.untouched(&[]);
}

#[test]
fn what_is_ended_on_the_way_has_changed_nothing() {
    let case = Case::new();
    let stop = |_: cairn_archive::Progress| std::ops::ControlFlow::Break(());
    for one in
        [One::KeyValue("notes".into()), One::Sql("app.db".into()), One::Database("db".into())]
    {
        for name in ["then", one.name()] {
            let how = OneOptions::default().name(name).progress(Some(&stop));
            case.bring(&one, &how).unwrap_err();
        }
    }
    case.untouched(&["cairn.kv", "cairn.rdb"]);
    assert_eq!(KvStore::ids(&case.env).unwrap(), ["lists", "notes"]);
    assert_eq!(RdbStore::names(&case.env).unwrap(), ["app.db"]);
}

/// A backup of an encrypted environment with a store of each kind, which is opened where it lies.
fn encrypted() -> Environment {
    let with_key = options().key(raw_key(1));
    let (env, _) = Environment::open_in(MemDisk::new().root(), world(), with_key.clone()).unwrap();
    fill(&env, 1, 5);
    notes(&env, "notes").put("tea", "buy").unwrap();
    let app = app(&env, "app.db");
    app.execute_sql("CREATE TABLE tea(name)", ()).unwrap();
    let plain = env.sqlite_connection("plain.db", Access::Create).unwrap();
    plain.execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES (7)").unwrap();
    let repository = Repository::create_in(local(MemDisk::new().root()), &world()).unwrap();
    repository.backup(&env, &PointOptions::default()).unwrap();
    let how = RestoreOptions::default().options(with_key);
    repository.open_backup(None, &Which::Newest, &how).unwrap().0
}

fn each_kind() -> Vec<One> {
    let (from, to) = (Bound::Unbounded, Bound::Unbounded);
    vec![
        One::KeyValue("notes".into()),
        One::Sql("app.db".into()),
        One::Sql("plain.db".into()),
        One::Database("db".into()),
        One::Range { database: "db".into(), from, to },
    ]
}

/// Whoever has encrypted something does not find it in the clear unless they said so.
#[test]
fn what_was_encrypted_comes_into_a_plain_environment_only_if_that_is_said() {
    let then = encrypted();
    for name in [None, Some("then")] {
        let env = crate::fixture::open_seeded(&MemDisk::new(), 99);
        env.database("db", DatabaseOptions::default()).unwrap();
        env.database("then", DatabaseOptions::default()).unwrap();
        let (before, ids) = (content(&env), KvStore::ids(&env).unwrap());
        let how = || {
            let how = OneOptions::default().key(raw_key(1));
            name.map_or(how.clone(), |name| how.name(name))
        };
        for one in each_kind() {
            let error = bring_one(&then, &one, &env, &how()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{one:?}: {error}");
            assert!(error.to_string().contains("clear"), "{one:?}: {error}");
            // No store was made for it that is there now, empty.
            assert_eq!(KvStore::ids(&env).unwrap(), ids, "{one:?}");
            assert_eq!(RdbStore::names(&env).unwrap(), Vec::<String>::new(), "{one:?}");
            let found = content(&env);
            let of_stores = |name: &&String| ["cairn.kv", "cairn.rdb"].contains(&name.as_str());
            for (name, entries) in &found {
                let was = before.get(name).map_or(0, |entries| entries.len());
                assert!(of_stores(&name) || entries.len() == was, "{one:?}: {name}");
            }
        }
        for one in each_kind() {
            bring_one(&then, &one, &env, &how().in_the_clear()).unwrap();
            if name.is_some() && one != One::KeyValue("notes".into()) {
                break; // the name is taken by a store of another kind
            }
        }
        let id = name.unwrap_or("notes");
        assert_eq!(notes(&env, id).get("tea").unwrap(), Some("buy".into()));
    }
}

#[test]
fn without_the_key_of_what_it_comes_from_nothing_is_brought() {
    let then = encrypted();
    let other = options().key(raw_key(2));
    let world = cairn_sim::SimWorld::new(99).world();
    let (env, _) = Environment::open_in(MemDisk::new().root(), world, other).unwrap();
    env.database("db", DatabaseOptions::default()).unwrap();
    for one in each_kind().into_iter().filter(|one| !matches!(one, One::Range { .. })) {
        let error = bring_one(&then, &one, &env, &OneOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Key, "{one:?}: {error}");
        assert_eq!(KvStore::ids(&env).unwrap(), Vec::<String>::new(), "{one:?}");
        assert_eq!(RdbStore::names(&env).unwrap(), Vec::<String>::new(), "{one:?}");
        assert!(content(&env)["db"].is_empty());
    }
    for one in each_kind() {
        bring_one(&then, &one, &env, &OneOptions::default().key(raw_key(1))).unwrap();
    }
    assert_eq!(content(&env)["db"], content(&then)["db"]);
    assert_eq!(notes(&env, "notes").get("tea").unwrap(), Some("buy".into()));
    assert_eq!(count(&app(&env, "app.db")), 0);
}

/// A SQL file that a program has opened itself, in the place of a store: its handles go over to it.
#[test]
fn a_sql_file_takes_the_place_of_a_store() {
    let case = Case::new();
    case.app.execute_sql("INSERT INTO tea VALUES ('black')", ()).unwrap();
    case.bring(&One::Sql("plain.db".into()), &OneOptions::default().name("app.db")).unwrap();
    assert_eq!(case.app.query_one::<i64>("SELECT sum(x) FROM t", ()).unwrap(), 7);
    case.app.query_one::<i64>("SELECT count(*) FROM tea", ()).unwrap_err();
    assert_eq!(RdbStore::names(&case.env).unwrap(), ["app.db"]);
    case.untouched(&["sql/app.db", "cairn.rdb"]);
}

/// Several values for a key have no order between two keys that a range could replace.
#[test]
fn a_range_of_several_values_for_each_key_is_refused() {
    let case = Case::new();
    let many = case.env.multimap("many").unwrap();
    case.env.write(|txn| many.put(txn, b"a", b"1")).unwrap();
    let before = content(&case.env);
    let (from, to) = (Bound::Unbounded, Bound::Unbounded);
    let one = One::Range { database: "db".into(), from, to };
    let error = case.bring(&one, &OneOptions::default().name("many")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(error.to_string().contains("one value for each key"), "{error}");
    assert_eq!(content(&case.env), before);
}

/// Indexes have names of their own, and go with what they are of.
#[test]
fn indexes_go_with_their_database_and_take_no_name_that_is_in_use() {
    let by_length = || {
        IndexDef::new("by length", 1, |_, value, emit| {
            emit(&u32::try_from(value.len()).unwrap().to_le_bytes());
        })
    };
    let case = Case::new();
    let db = case.env.find_database("db").unwrap().unwrap();
    case.env.index(&db, by_length()).unwrap();
    let place = &case.repository;
    place.backup(&case.env, &PointOptions::default()).unwrap();
    let then = content(&case.env)["by length"].clone();
    assert!(!then.is_empty());
    fill(&case.env, 500, 5);
    let before = content(&case.env);
    case.bring(&One::Database("db".into()), &OneOptions::default().name("then")).unwrap();
    let found = content(&case.env);
    assert_eq!((&found["by length"], &found["then.by length"]), (&before["by length"], &then));
    case.bring(&One::Database("db".into()), &OneOptions::default()).unwrap();
    assert_eq!(content(&case.env)["by length"], then);
}
