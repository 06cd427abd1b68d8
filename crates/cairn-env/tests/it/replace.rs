//! Databases that take the place of others: whole or not at all, for everybody at once.

use cairn_env::{
    Database, DatabaseKind, DatabaseOptions, DatabaseShape, EnvError, ErrorKind, IndexShape,
    Multimap,
};

use crate::{
    fixture::{Model, TestEnv, content, ordered, small_options, sweep},
    index::{by_word, held, recomputed},
};

fn shape(test: &TestEnv, name: &str) -> DatabaseShape {
    let shapes = test.env().snapshot().unwrap().shapes().unwrap();
    shapes.into_iter().find(|shape| shape.name == name).unwrap()
}

fn map(name: &str) -> DatabaseShape {
    DatabaseShape { name: name.into(), options: DatabaseOptions::default(), index: None }
}

fn entries(keys: std::ops::Range<u32>, fill: u8) -> impl Iterator<Item = ([u8; 4], Vec<u8>)> {
    keys.map(move |n| (ordered(n), vec![fill; if n % 40 == 7 { 1500 } else { 60 }]))
}

/// What everybody had of the old one stays as it was, or says that it is gone.
#[test]
fn the_old_one_is_there_for_snapshots_and_gone_for_everybody_else() {
    let mut test = TestEnv::new(small_options());
    test.put("db", b"old", b"1");
    let old = test.db("db");
    let before = test.env().snapshot().unwrap();
    let overtaken = test.env().begin_write().unwrap();
    assert!(overtaken.get(&old, b"old").unwrap().is_some());

    let mut txn = test.env().begin_exclusive().unwrap();
    let new = txn.replace_database(&shape(&test, "db")).unwrap();
    assert_eq!(txn.load(&new, entries(0..500, 1)).unwrap(), 500);
    assert_eq!(test.env().find_database("db").unwrap(), Some(old.clone()), "not before the commit");
    txn.commit().unwrap();

    assert_eq!(before.get(&old, b"old").unwrap().unwrap(), b"1");
    assert_eq!(before.database("db").unwrap(), Some(old.clone()));
    let after = test.env().snapshot().unwrap();
    assert_eq!(after.database("db").unwrap(), Some(new.clone()));
    assert_eq!(after.len(&new).unwrap(), 500);
    assert!(matches!(after.len(&old), Err(EnvError::NoSuchDatabase { .. })));
    assert!(after.get(&old, b"old").unwrap().is_none());
    let late = test.env().write(|txn| txn.put(&old, b"k", b"v"));
    assert!(matches!(late, Err(EnvError::NoSuchDatabase { .. })));
    let mut overtaken = overtaken;
    overtaken.put(&test.db("other"), b"k", b"v").unwrap();
    assert_eq!(overtaken.commit().unwrap_err().kind(), ErrorKind::Conflict);
    drop((before, after));

    let expected = content(test.env()).unwrap();
    test.kill();
    assert!(content(test.env()).unwrap() == expected);
    test.env().checkpoint().unwrap();
    test.reopen();
    assert!(content(test.env()).unwrap() == expected);
    let space = test.env().compact().unwrap();
    assert!(content(test.env()).unwrap() == expected, "{space:?}");
}

#[test]
fn a_database_comes_back_with_its_index_and_its_multimap_and_is_kept_up() {
    let mut test = TestEnv::new(small_options());
    let db = test.db("db");
    let tags = test.env().multimap("tags").unwrap();
    let index = test.env().index(&db, by_word()).unwrap();
    test.env()
        .write(|txn| {
            txn.put(&db, b"a", b"one two")?;
            txn.put(&db, b"b", b"two")?;
            tags.put(txn, b"k", b"v")
        })
        .unwrap();
    let saved = test.env().snapshot().unwrap();
    let shapes = saved.shapes().unwrap();
    let stored = |shape: &DatabaseShape| -> Vec<_> {
        let database = saved.database(&shape.name).unwrap().unwrap();
        saved.iter(&database).unwrap().map(Result::unwrap).collect()
    };
    test.put("db", b"c", b"three");
    test.env().write(|txn| tags.put(txn, b"k", b"w")).unwrap();

    let mut txn = test.env().begin_exclusive().unwrap();
    let (indexes, others): (Vec<_>, Vec<_>) =
        shapes.iter().partition(|shape| shape.options.kind == DatabaseKind::Index);
    for shape in others.into_iter().chain(indexes) {
        let new = txn.replace_database(shape).unwrap();
        txn.load(&new, stored(shape)).unwrap();
    }
    txn.commit().unwrap();
    drop(saved);

    // What its keys are is still known, so it can be written at once.
    let db = test.env().find_database("db").unwrap().unwrap();
    test.env().write(|txn| txn.put(&db, b"d", b"two four")).unwrap();
    let check = |test: &TestEnv| {
        let db = test.env().find_database("db").unwrap().unwrap();
        let index = test.env().index(&db, by_word()).unwrap();
        let snapshot = test.env().snapshot().unwrap();
        assert_eq!(held(&snapshot, &index), recomputed(&snapshot, &db));
        assert_eq!(snapshot.len(&db).unwrap(), 3);
        let tags: Multimap = test.env().multimap("tags").unwrap();
        assert_eq!(tags.values(&snapshot, b"k").unwrap().count(), 1);
    };
    check(&test);
    let stale = test.env().snapshot().unwrap();
    let stale = index.get(&stale, b"two").unwrap_err();
    assert!(matches!(stale, EnvError::NoSuchDatabase { .. }), "{stale}");
    test.kill();
    check(&test);
    test.reopen();
    check(&test);
}

/// An index that what takes its database's place does not have is gone with it.
#[test]
fn the_indexes_of_the_old_one_go_with_it() {
    let mut test = TestEnv::new(small_options());
    let db = test.db("db");
    test.env().index(&db, by_word()).unwrap();
    test.put("db", b"a", b"one");
    let mut txn = test.env().begin_exclusive().unwrap();
    txn.replace_database(&map("db")).unwrap();
    txn.commit().unwrap();
    assert_eq!(test.env().snapshot().unwrap().databases().unwrap().len(), 1);
    test.put("db", b"a", b"one");
    let db = test.db("db");
    let index = test.env().index(&db, by_word()).unwrap();
    let snapshot = test.env().snapshot().unwrap();
    assert_eq!(held(&snapshot, &index), recomputed(&snapshot, &db));
    drop(snapshot);

    let mut txn = test.env().begin_exclusive().unwrap();
    txn.drop_database(&db).unwrap();
    txn.commit().unwrap();
    assert!(test.env().snapshot().unwrap().databases().unwrap().is_empty());
    test.reopen();
    assert!(test.env().snapshot().unwrap().databases().unwrap().is_empty());
}

#[test]
fn what_contradicts_itself_is_refused_and_changes_nothing() {
    let test = TestEnv::new(small_options());
    test.put("db", b"a", b"one");
    let before = content(test.env()).unwrap();
    let index = |primary: &str, kind| DatabaseShape {
        name: "index".into(),
        options: DatabaseOptions::default().kind(kind),
        index: Some(IndexShape { primary: primary.into(), version: 1, unique: false, whole: true }),
    };
    let mut txn = test.env().begin_exclusive().unwrap();
    let no_index =
        DatabaseShape { options: DatabaseOptions::default().kind(DatabaseKind::Index), ..map("x") };
    for refused in [
        map(""),
        no_index,
        index("db", DatabaseKind::Map),
        index("db", DatabaseKind::Index), // was not put in place here
        index("none", DatabaseKind::Index),
    ] {
        let error = txn.replace_database(&refused).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    let pairs = DatabaseShape {
        options: DatabaseOptions::default().kind(DatabaseKind::Multimap),
        ..map("pairs")
    };
    let pairs = txn.replace_database(&pairs).unwrap();
    let error = txn.load(&pairs, [(b"no pair", b"")]).unwrap_err();
    assert!(matches!(error, EnvError::NoPair { .. }), "{error}");
    let map = txn.replace_database(&map("map")).unwrap();
    let twice = DatabaseShape { name: "map".into(), ..shape(&test, "db") };
    assert_eq!(txn.replace_database(&twice).unwrap_err().kind(), ErrorKind::InvalidInput);
    let indexed = DatabaseShape {
        index: Some(IndexShape { primary: "map".into(), version: 1, unique: false, whole: true }),
        ..index("map", DatabaseKind::Index)
    };
    txn.replace_database(&indexed).unwrap();
    let error = txn.put(&map, b"k", b"v").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "it would leave the index behind: {error}");
    drop(txn);
    assert!(content(test.env()).unwrap() == before);
}

/// The state after each commit of a run that replaces again and again, in little memory.
fn workload(test: &TestEnv) -> Vec<Model> {
    let mut states = vec![Model::new()];
    let note = |states: &mut Vec<Model>| {
        states.push(content(test.env()).unwrap());
        test.disk.mark("acknowledged", states.len() as u64 - 1);
    };
    let put = |db: &Database, n: u32| test.env().write(|txn| txn.put(db, &ordered(n), b"v"));
    let db = test.db("db");
    note(&mut states);
    put(&db, 1).unwrap();
    note(&mut states);
    for round in 0..3u8 {
        let mut txn = test.env().begin_exclusive().unwrap();
        let new = txn.replace_database(&map("db")).unwrap();
        txn.load(&new, entries(0..40, round)).unwrap();
        if round == 1 {
            let other = txn.replace_database(&map("other")).unwrap();
            txn.load(&other, entries(0..3, round)).unwrap();
        }
        txn.commit().unwrap();
        note(&mut states);
        put(&new, 1000).unwrap();
        note(&mut states);
        if round == 1 {
            test.env().checkpoint().unwrap();
        }
    }
    states
}

#[test]
fn a_crash_at_any_operation_leaves_the_old_ones_or_the_new_ones() {
    let mut test = TestEnv::new(small_options());
    let states = workload(&test);
    test.close();
    let images = sweep(&test.disk, &small_options(), &states, &mut |_, _| ());
    assert!(images > 400, "only {images} states");
}
