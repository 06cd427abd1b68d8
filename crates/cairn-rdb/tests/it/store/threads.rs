//! Many threads at one store.

use cairn_rdb::{Predicates, RdbConfig, RdbResult, RdbStore, SecurityLevel, ValuesBucket};

use super::fixture::{environment, store};

/// Does something until nobody is in the way.
fn until_done<T>(mut act: impl FnMut() -> RdbResult<T>) -> T {
    loop {
        match act() {
            Err(error) if error.is_retryable() => {}
            done => return done.unwrap(),
        }
    }
}

fn account(name: i64) -> Predicates {
    Predicates::new("account").equal_to("name", name)
}

#[test]
fn transfers_by_many_threads_never_show_half_of_one() {
    let store = store();
    store
        .execute_sql("CREATE TABLE account(name INTEGER PRIMARY KEY, amount INTEGER)", ())
        .unwrap();
    let accounts = (0..8).map(|name| ValuesBucket::new().put("name", name).put("amount", 100));
    store.batch_insert("account", &accounts.collect::<Vec<_>>()).unwrap();
    let observer = store.observe().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..3i64 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..40 {
                    let (from, to) = ((thread + n) % 8, (thread * 3 + n * 5 + 1) % 8);
                    until_done(|| {
                        store.write(|txn| {
                            for (name, by) in [(from, -n), (to, n)] {
                                let sql = "SELECT amount FROM account WHERE name = ?";
                                let amount: i64 = txn.query_one(sql, (name,))?;
                                let set = ValuesBucket::new().put("amount", amount + by);
                                assert_eq!(txn.update(&set, &account(name))?, 1);
                            }
                            Ok(())
                        })
                    });
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..100 {
                let mut found = store.query(&Predicates::new("account"), &["amount"]).unwrap();
                for _ in 0..2 {
                    let amounts = found.rows::<i64>().collect::<RdbResult<Vec<_>>>().unwrap();
                    assert_eq!((amounts.len(), amounts.iter().sum::<i64>()), (8, 800));
                    while found.go_to_previous_row().unwrap() {}
                }
            }
        });
    });
    let events = std::iter::from_fn(|| observer.try_next()).count();
    assert_eq!(events, 120);
}

/// Settings of a store change while others use it: each gets all of them at its next use, or none.
#[test]
fn stores_are_attached_and_observed_while_others_write() {
    let env = environment();
    let open = |name| RdbStore::open(&env, RdbConfig::new(name, SecurityLevel::S1)).unwrap();
    let (one, other) = (open("one"), open("other"));
    for store in [&one, &other] {
        store.execute_sql("CREATE TABLE t(a)", ()).unwrap();
    }
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for n in 0..50 {
                    until_done(|| one.execute("INSERT INTO t VALUES (?)", (n,)));
                    until_done(|| other.write(|txn| txn.execute("INSERT INTO t VALUES (?)", (n,))));
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..30 {
                until_done(|| one.attach("other", "o"));
                let sql = "SELECT count(*) FROM o.t";
                let counts = [0, 1].map(|_| one.query_one::<i64>(sql, ()).unwrap());
                assert!(counts[0] <= counts[1]);
                one.detach("o").unwrap();
                assert!(one.query_one::<i64>(sql, ()).is_err());
            }
        });
        scope.spawn(|| {
            for _ in 0..30 {
                let observer = one.observe().unwrap();
                until_done(|| one.execute("DELETE FROM t WHERE a = -1", ()));
                drop(observer);
            }
        });
    });
    for store in [&one, &other] {
        assert_eq!(store.query_one::<i64>("SELECT count(*) FROM t", ()).unwrap(), 100);
    }
}
