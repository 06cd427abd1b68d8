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

/// Fills a database beside everything else, for a place of this shape.
fn made_beside(
    test: &TestEnv,
    shape: &DatabaseShape,
    stored: Vec<(bytes::Bytes, bytes::Bytes)>,
) -> Database {
    let kind = match shape.options.kind {
        DatabaseKind::Index => DatabaseKind::Multimap,
        kind => kind,
    };
    let mut txn = test.env().begin_exclusive().unwrap();
    let name = format!("{} beside", shape.name);
    let made = txn.create_database(&name, shape.options.kind(kind)).unwrap();
    txn.load_stored(&made, stored).unwrap();
    txn.commit().unwrap();
    made
}

#[test]
fn a_database_comes_back_with_its_index_and_its_multimap_and_is_kept_up() {
    comes_back_with_its_index(false);
    comes_back_with_its_index(true);
}

fn comes_back_with_its_index(beside: bool) {
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

    let (indexes, others): (Vec<_>, Vec<_>) =
        shapes.iter().partition(|shape| shape.options.kind == DatabaseKind::Index);
    let made = |shape: &&DatabaseShape| beside.then(|| made_beside(&test, shape, stored(shape)));
    let ordered = others.into_iter().chain(indexes).map(|shape| (shape, made(&shape)));
    let ordered: Vec<_> = ordered.collect();
    let before = test.env().snapshot().unwrap();
    let mut txn = test.env().begin_exclusive().unwrap();
    for (shape, made) in &ordered {
        if let Some(made) = made {
            txn.replace_database_by(shape, made).unwrap();
        } else {
            let new = txn.replace_database(shape).unwrap();
            txn.load(&new, stored(shape)).unwrap();
        }
    }
    txn.commit().unwrap();
    assert_eq!(test.env().snapshot().unwrap().databases().unwrap().len(), shapes.len());
    // Before the commit the new index was none, even if it was filled already.
    let db = test.env().find_database("db").unwrap().unwrap();
    let new_index = test.env().index(&db, by_word()).unwrap();
    let early = new_index.get(&before, b"two").unwrap_err();
    assert!(matches!(early, EnvError::NoSuchDatabase { .. }), "{early}");
    drop((saved, before));

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

#[test]
fn what_cannot_take_a_place_is_refused_and_changes_nothing() {
    let test = TestEnv::new(small_options());
    for name in ["db", "indexed"] {
        test.put(name, b"a", b"one");
    }
    let indexed = test.db("indexed");
    let index = test.env().index(&indexed, by_word()).unwrap();
    let dropped = test.db("dropped");
    test.env().write(|txn| txn.drop_database(&dropped)).unwrap();
    let other_options = DatabaseOptions::default().embed_max(7);
    let other = test.env().database("other options", other_options).unwrap();
    let tags = test.env().multimap("tags").unwrap();
    let before = content(test.env()).unwrap();
    let mut txn = test.env().begin_exclusive().unwrap();
    for (made, kind) in [
        (&dropped, ErrorKind::NotFound),
        (&indexed, ErrorKind::InvalidInput),
        (index.database(), ErrorKind::InvalidInput),
        (&other, ErrorKind::InvalidInput),
        (tags.database(), ErrorKind::InvalidInput),
        (&test.db("db"), ErrorKind::InvalidInput), // it is there already
    ] {
        let error = txn.replace_database_by(&map("db"), made).unwrap_err();
        assert_eq!(error.kind(), kind, "{}: {error}", made.name());
    }
    let error = txn.load_stored(index.database(), [(b"k", b"v")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
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
        let made = (round == 2).then(|| {
            let stored =
                entries(0..40, round).map(|(key, value)| (key.to_vec().into(), value.into()));
            let made = made_beside(test, &map("db"), stored.collect());
            note(&mut states);
            made
        });
        let mut txn = test.env().begin_exclusive().unwrap();
        let new = match &made {
            Some(made) => txn.replace_database_by(&map("db"), made).unwrap(),
            None => {
                let new = txn.replace_database(&map("db")).unwrap();
                txn.load(&new, entries(0..40, round)).unwrap();
                new
            }
        };
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
