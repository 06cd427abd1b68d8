//! Joint: SQL files and databases in one commit.

use cairn_env::{Database, DatabaseOptions, EnvError, Environment, Options};
use cairn_io::DirRef;
use cairn_rdb::{
    JointTransactions, RdbConfig, RdbResult, RdbStore, SecurityLevel,
    rusqlite::{self, Connection},
};
use cairn_sim::{Bounds, SimDisk, SimWorld};

use crate::fixture::{check, connect, environment, number};

type Failed = Box<dyn std::error::Error>;

fn both(env: &Environment) -> (Database, Connection) {
    let database = env.database("counters", DatabaseOptions::default()).unwrap();
    let connection = connect(env, "app.db");
    connection.execute_batch("CREATE TABLE counters (n); INSERT INTO counters VALUES (0)").unwrap();
    (database, connection)
}

fn in_database(env: &Environment, database: &Database) -> i64 {
    let found = env.snapshot().unwrap().get(database, b"n").unwrap();
    found.map_or(0, |value| i64::from(value[0]))
}

fn in_sql(connection: &Connection) -> i64 {
    number(connection, "SELECT n FROM counters")
}

/// Counts in both places.
fn count(env: &Environment, database: &Database, connection: &mut Connection) {
    let counted: Result<i64, Failed> = env.write_joint(connection, |sql, txn| {
        let n = txn.get(database, b"n")?.map_or(0, |value| value[0]) + 1;
        txn.put(database, b"n", &[n])?;
        sql.execute("UPDATE counters SET n = n + 1", [])?;
        Ok(in_sql(sql))
    });
    assert_eq!(counted.unwrap(), in_database(env, database));
}

#[test]
fn both_are_one_commit() {
    let env = environment();
    let (database, mut connection) = both(&env);
    let before = env.snapshot().unwrap().commit();
    count(&env, &database, &mut connection);
    assert_eq!(env.snapshot().unwrap().commit(), before + 1);
    assert_eq!((in_database(&env, &database), in_sql(&connection)), (1, 1));
    check(&connection);
}

#[test]
fn an_error_of_the_body_changes_neither() {
    let env = environment();
    let (database, mut connection) = both(&env);
    let failed = env.write_joint(&mut connection, |sql, txn| -> Result<(), Failed> {
        txn.put(&database, b"n", &[9])?;
        sql.execute("UPDATE counters SET n = 9", [])?;
        Err("enough".into())
    });
    assert_eq!(failed.unwrap_err().to_string(), "enough");
    assert_eq!((in_database(&env, &database), in_sql(&connection)), (0, 0));
    count(&env, &database, &mut connection);
}

#[test]
fn who_was_overtaken_in_the_database_begins_again_in_both() {
    let env = environment();
    let (database, mut connection) = both(&env);
    let mut runs = 0;
    let done = env.write_joint(&mut connection, |sql, txn| -> Result<(), Failed> {
        runs += 1;
        let n = txn.get(&database, b"n")?.map_or(0, |value| value[0]);
        if runs < 3 {
            env.write(|other| other.put(&database, b"n", &[n + 10]))?;
        }
        txn.put(&database, b"n", &[n + 1])?;
        sql.execute("UPDATE counters SET n = n + 1", [])?;
        Ok(())
    });
    done.unwrap();
    assert_eq!((runs, in_database(&env, &database), in_sql(&connection)), (3, 21, 1));
    check(&connection);
}

#[test]
fn who_reads_in_sql_meanwhile_never_sees_what_was_overtaken() {
    let env = environment();
    let (database, mut connection) = both(&env);
    let reader = connect(&env, "app.db");
    let mut runs = 0;
    let done = env.write_joint(&mut connection, |sql, txn| -> Result<(), Failed> {
        runs += 1;
        txn.get(&database, b"n")?;
        env.write(|other| other.put(&database, b"n", &[runs]))?;
        txn.put(&database, b"n", &[100])?;
        sql.execute("UPDATE counters SET n = 100", [])?;
        assert_eq!(in_sql(&reader), 0);
        if runs == 5 { Err("enough".into()) } else { Ok(()) }
    });
    assert_eq!(done.unwrap_err().to_string(), "enough");
    assert_eq!((in_database(&env, &database), in_sql(&connection), in_sql(&reader)), (5, 0, 0));
}

#[test]
fn one_of_them_may_change_nothing() {
    let env = environment();
    let (database, mut connection) = both(&env);
    let put = |_: &rusqlite::Transaction<'_>, txn: &mut cairn_env::Transaction| {
        Ok::<_, Failed>(txn.put(&database, b"n", &[3])?)
    };
    env.write_joint(&mut connection, put).unwrap();
    let update = |sql: &rusqlite::Transaction<'_>, _: &mut cairn_env::Transaction| {
        Ok::<_, Failed>(sql.execute("UPDATE counters SET n = 4", [])?)
    };
    env.write_joint(&mut connection, update).unwrap();
    assert_eq!((in_database(&env, &database), in_sql(&connection)), (3, 4));
}

#[test]
fn attached_files_are_in_the_same_commit() {
    let env = environment();
    let (database, mut connection) = both(&env);
    connection.execute_batch("ATTACH 'other.db' AS o; CREATE TABLE o.t (n)").unwrap();
    let before = env.snapshot().unwrap().commit();
    let done = env.write_joint(&mut connection, |sql, txn| -> Result<(), Failed> {
        sql.execute_batch("UPDATE counters SET n = 7; INSERT INTO o.t VALUES (7)")?;
        Ok(txn.put(&database, b"n", &[7])?)
    });
    done.unwrap();
    assert_eq!(env.snapshot().unwrap().commit(), before + 1);
    assert_eq!((in_database(&env, &database), in_sql(&connection)), (7, 7));
    assert_eq!(number(&connection, "SELECT n FROM o.t"), 7);
}

fn is_refused(error: &Failed) -> bool {
    matches!(error.downcast_ref(), Some(EnvError::InvalidInput { .. }))
}

#[test]
fn other_connections_are_refused_and_so_is_to_end_the_transaction() {
    let (env, other) = (environment(), environment());
    let (database, mut connection) = both(&env);
    let (_, mut elsewhere) = both(&other);
    let mut stock = Connection::open_in_memory().unwrap();
    for foreign in [&mut elsewhere, &mut stock] {
        let refused = env.write_joint(foreign, |_, _| Ok::<_, Failed>(()));
        assert!(is_refused(&refused.unwrap_err()));
    }
    let ended = env.write_joint(&mut connection, |sql, txn| -> Result<(), Failed> {
        txn.put(&database, b"n", &[1])?;
        Ok(sql.execute_batch("COMMIT")?)
    });
    assert!(is_refused(&ended.unwrap_err()));
    assert_eq!(in_database(&env, &database), 0);
    count(&env, &database, &mut connection);
}

#[test]
fn writers_of_both_wait_for_each_other() {
    const THREADS: usize = 4;
    const TIMES: usize = 25;
    let env = environment();
    let (database, connection) = both(&env);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut connection = connect(&env, "app.db");
                (0..TIMES).for_each(|_| {
                    let done = env.write_joint(&mut connection, |sql, txn| -> Result<(), Failed> {
                        let n = txn.get(&database, b"n")?.map_or(0, |value| value[0]);
                        assert_eq!(i64::from(n), in_sql(sql));
                        txn.put(&database, b"n", &[n + 1])?;
                        sql.execute("UPDATE counters SET n = n + 1", [])?;
                        Ok(())
                    });
                    done.unwrap();
                });
            });
        }
    });
    let all = i64::try_from(THREADS * TIMES).unwrap();
    assert_eq!((in_database(&env, &database), in_sql(&connection)), (all, all));
}

#[test]
fn a_store_and_databases_are_one_commit_and_its_observers_are_told() {
    let env = environment();
    let store = RdbStore::open(&env, RdbConfig::new("shop", SecurityLevel::S1)).unwrap();
    store.execute_sql("CREATE TABLE counters (n)", ()).unwrap();
    store.execute_sql("INSERT INTO counters VALUES (0)", ()).unwrap();
    let database = env.database("counters", DatabaseOptions::default()).unwrap();
    let observer = store.observe().unwrap();
    let before = env.snapshot().unwrap().commit();
    let mut runs = 0;
    let done = store.write_joint(|sql, txn| -> RdbResult<_> {
        runs += 1;
        let n = txn.get(&database, b"n")?.map_or(0, |value| value[0]);
        if runs == 1 {
            env.write(|other| other.put(&database, b"n", &[4]))?;
        }
        txn.put(&database, b"n", &[n + 1])?;
        sql.execute("UPDATE counters SET n = n + 1", ())
    });
    done.unwrap();
    assert_eq!((runs, env.snapshot().unwrap().commit()), (2, before + 2));
    assert_eq!(in_database(&env, &database), 5);
    assert_eq!(store.query_one::<i64>("SELECT n FROM counters", ()).unwrap(), 1);
    assert!(observer.try_next().is_some() && observer.try_next().is_none());
    let failed = store.write_joint(|sql, txn| -> RdbResult<_> {
        txn.put(&database, b"n", &[9])?;
        sql.execute("UPDATE nothing SET n = 1", ())
    });
    assert!(failed.is_err());
    assert_eq!(in_database(&env, &database), 5);
    let alone = store.write_joint(|_, txn| -> RdbResult<_> { Ok(txn.put(&database, b"n", &[6])?) });
    alone.unwrap();
    assert_eq!(in_database(&env, &database), 6);
}

/// A crash at every write and sync, of commits over both: what it leaves is one count.
#[test]
fn a_crash_leaves_both_or_neither() {
    let options = || {
        Options::default().background(false).journal_file_bytes(64 << 10).node_file_bytes(64 << 10)
    };
    let open = |root: &DirRef| {
        Environment::open_in(DirRef::clone(root), SimWorld::new(7).world(), options()).unwrap().0
    };
    let disk = SimDisk::new();
    let env = open(&disk.root());
    let (database, mut connection) = both(&env);
    connection.execute_batch("ATTACH 'other.db' AS o; CREATE TABLE o.t (n)").unwrap();
    disk.mark("step", 0);
    for n in 1..6_u8 {
        let done = env.write_joint(&mut connection, |sql, txn| -> Result<(), Failed> {
            txn.put(&database, b"n", &[n])?;
            sql.execute("UPDATE counters SET n = ?", [n])?;
            sql.execute("INSERT INTO o.t VALUES (?)", [n])?;
            Ok(())
        });
        done.unwrap();
        disk.mark("step", n.into());
        if n == 3 {
            env.checkpoint().unwrap();
        }
    }
    drop(connection);
    env.close().unwrap();
    let states: Vec<i64> = (0..6).collect();
    let look = |root: &DirRef, may_be: &[i64]| -> Result<usize, String> {
        let env = open(root);
        let database = env.find_database("counters").unwrap().unwrap();
        let connection = connect(&env, "app.db");
        let counts = [
            in_database(&env, &database),
            in_sql(&connection),
            number(&connect(&env, "other.db"), "SELECT count(*) FROM t"),
        ];
        check(&connection);
        let found = may_be.iter().position(|count| counts == [*count; 3]);
        found.ok_or_else(|| format!("{counts:?} is none of {may_be:?}"))
    };
    let swept = disk.trace().sweep_steps("step", &states, &Bounds::smoke(), look);
    let (reached, seen) = swept.unwrap_or_else(|what| panic!("{what}"));
    assert!(reached.into_iter().eq(0..6), "each count is where a crash can leave it");
    assert!(seen > 30, "{seen} states");
}
