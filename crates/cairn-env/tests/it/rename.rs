//! Databases that get another name.

use cairn_env::{DatabaseOptions, EnvError, IndexDef, VerifyOptions};

use crate::fixture::{TestEnv, small_options};

#[test]
fn a_database_keeps_everything_but_its_name() {
    let mut test = TestEnv::new(small_options());
    let env = test.env();
    let db = env.database("old", DatabaseOptions::default()).unwrap();
    let def = IndexDef::new("by value", 1, |_, value, emit| emit(value));
    env.index(&db, def.clone()).unwrap();
    env.write(|txn| (0..200u8).try_for_each(|n| txn.put(&db, &[n], &[n, 1]))).unwrap();
    env.checkpoint().unwrap();
    let before = env.snapshot().unwrap();
    let new = env
        .write(|txn| {
            let new = txn.rename_database(&db, "new")?;
            txn.put(&new, b"after", b"1")?;
            txn.create_database("old", DatabaseOptions::default())?;
            Ok(new)
        })
        .unwrap();
    env.write(|txn| txn.put(&db, b"older handle", b"goes on")).unwrap();
    assert_eq!(before.database("old").unwrap().unwrap().name(), "old");
    assert!(before.database("new").unwrap().is_none());
    drop(before);
    test.reopen();
    let env = test.env();
    let snapshot = env.snapshot().unwrap();
    let names: Vec<_> = snapshot.databases().unwrap().iter().map(|d| d.name().to_owned()).collect();
    assert_eq!(names, ["by value", "new", "old"]);
    let found = snapshot.database("new").unwrap().unwrap();
    assert_eq!(snapshot.len(&found).unwrap(), 202);
    assert_eq!(new.name(), "new");
    assert_eq!(snapshot.len(&snapshot.database("old").unwrap().unwrap()).unwrap(), 0);
    let index = env.index(&found, def).unwrap();
    assert_eq!(index.get(&snapshot, &[7, 1]).unwrap().unwrap().primary_key[..], [7]);
    let report = env.verify(&VerifyOptions::default()).unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
}

#[test]
fn a_name_that_is_taken_or_a_database_that_is_gone_is_refused() {
    let test = TestEnv::new(small_options());
    let env = test.env();
    let [a, b] = ["a", "b"].map(|name| env.database(name, DatabaseOptions::default()).unwrap());
    let index = env.index(&a, IndexDef::new("i", 1, |_, value, emit| emit(value))).unwrap();
    let rename = |db, name: &str| env.write(|txn| txn.rename_database(db, name)).unwrap_err();
    for (db, name) in [(&a, "b"), (&a, "a"), (&a, ""), (index.database(), "c")] {
        assert!(matches!(rename(db, name), EnvError::InvalidInput { .. }), "{db:?} {name:?}");
    }
    env.write(|txn| txn.drop_database(&b)).unwrap();
    assert!(matches!(rename(&b, "c"), EnvError::NoSuchDatabase { .. }));
    let error = env
        .write(|txn| {
            let new = txn.create_database("new", DatabaseOptions::default())?;
            txn.rename_database(&new, "newer")
        })
        .unwrap_err();
    assert!(matches!(error, EnvError::InvalidInput { .. }), "{error}");
    assert!(env.find_database("new").unwrap().is_none(), "nothing of it was committed");
}

/// Two transactions that give the same name, or take it, cannot both commit.
#[test]
fn of_two_that_want_a_name_one_gets_it() {
    let test = TestEnv::new(small_options());
    let env = test.env();
    let [a, b] = ["a", "b"].map(|name| env.database(name, DatabaseOptions::default()).unwrap());
    let (mut one, mut two) = (env.begin_write().unwrap(), env.begin_write().unwrap());
    one.rename_database(&a, "c").unwrap();
    two.rename_database(&b, "c").unwrap();
    one.commit().unwrap();
    assert!(two.commit().unwrap_err().is_retryable());
}
