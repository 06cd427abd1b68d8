//! Stores of both sorts, changed together by writers that never rest, and restored: all of them to one commit.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use cairn_backup::{
    BackupOptions, LocalBackend, PointOptions, Repository, RestoreOptions, Which, backup_to,
    restore_from,
};
use cairn_env::Environment;
use cairn_io::{DirRef, MemDisk};
use cairn_kv::{KvOptions, KvStore};
use cairn_rdb::{RdbConfig, RdbStore};
use cairn_sim::{Bounds, SimDisk};

use crate::fixture::{options, world};

const KEY_VALUE: [&str; 2] = ["carts", "stock"];
const SQL: [&str; 2] = ["books", "shop"];
/// So many rows are kept in each relational store.
const ROWS: i64 = 40;
/// So many transactions a writer may be ahead of the backups: more than a backup lets it do.
const AHEAD: u64 = 60;

/// How many backups are restored: a few, unless a long run asks for more.
fn count() -> u64 {
    std::env::var("CAIRN_JOINT_RESTORES").map_or(20, |count| count.parse().unwrap())
}

struct Stores {
    key_value: [KvStore; 2],
    sql: [RdbStore; 2],
}

impl Stores {
    fn open(env: &Environment) -> Self {
        let options = || KvOptions::new(cairn_kv::SecurityLevel::S1);
        let config = |name| RdbConfig::new(name, cairn_rdb::SecurityLevel::S1);
        Self {
            key_value: KEY_VALUE.map(|id| KvStore::open(env, id, options()).unwrap()),
            sql: SQL.map(|name| RdbStore::open(env, config(name)).unwrap()),
        }
    }

    fn create(env: &Environment) -> Self {
        let stores = Self::open(env);
        for store in &stores.sql {
            store.execute_sql("CREATE TABLE counter(n INTEGER)", ()).unwrap();
            store.execute_sql("INSERT INTO counter VALUES (0)", ()).unwrap();
            store.execute_sql("CREATE TABLE rows(n INTEGER PRIMARY KEY, text)", ()).unwrap();
        }
        stores.key_value.iter().for_each(|store| store.put("n", 0i64).unwrap());
        let [books, shop] = &stores.sql;
        shop.attach(books.name(), "books").unwrap();
        stores
    }

    /// Counts in all of them, in one transaction, and gives each something beside.
    fn count(&self) {
        let [_, shop] = &self.sql;
        let done = shop.write_joint(|sql, txn| -> Result<(), Box<dyn std::error::Error>> {
            let mut n = 0;
            for store in &self.key_value {
                let mut store = store.within(txn)?;
                n = store.require_number("n")? + 1;
                store.put("n", n)?;
                store.put(format!("k{}", n % ROWS), format!("value {n}"))?;
            }
            for schema in ["main", "books"] {
                sql.execute(&format!("UPDATE {schema}.counter SET n = n + 1"), ())?;
                let insert = format!("INSERT INTO {schema}.rows VALUES (?, hex(randomblob(60)))");
                sql.execute(&insert, (n,))?;
                sql.execute(&format!("DELETE FROM {schema}.rows WHERE n <= ?"), (n - ROWS,))?;
            }
            Ok(())
        });
        done.unwrap();
    }

    /// What they have counted to.
    ///
    /// # Panics
    /// If that is not the same in all, or anything beside does not belong to it.
    fn counted(&self) -> i64 {
        let [n, other] = self.key_value.each_ref().map(|store| {
            let n = store.require("n").unwrap().as_i64().unwrap();
            let newest = store.get(format!("k{}", n % ROWS)).unwrap();
            assert!(n == 0 || newest == Some(format!("value {n}").into()), "{newest:?} at {n}");
            n
        });
        assert_eq!(n, other, "both key-value stores");
        for store in &self.sql {
            let of_sql: i64 = store.query_one("SELECT n FROM counter", ()).unwrap();
            assert_eq!(of_sql, n, "{}", store.name());
            let rows = "SELECT count(*), coalesce(max(n), 0) FROM rows";
            let rows: (i64, i64) = store.query_one(rows, ()).unwrap();
            assert_eq!(rows, (n.min(ROWS), n), "{}", store.name());
            let whole: String =
                store.query_one("SELECT * FROM pragma_integrity_check", ()).unwrap();
            assert_eq!(whole, "ok", "{}", store.name());
        }
        n
    }
}

trait RequireNumber {
    fn require_number(&self, key: &str) -> Result<i64, Box<dyn std::error::Error>>;
}

impl RequireNumber for cairn_kv::KvWithin<'_> {
    fn require_number(&self, key: &str) -> Result<i64, Box<dyn std::error::Error>> {
        self.get(key)?.and_then(|n| n.as_i64()).ok_or_else(|| "no number".into())
    }
}

/// Runs `back_up` so many times beside two writers, and the upkeep of the environment between them. What it is told is
/// which time it is.
fn under_load(env: &Environment, times: u64, mut back_up: impl FnMut(u64)) {
    let stores = Stores::create(env);
    let (done, round, is_over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let write = || {
        while !is_over.load(Ordering::Acquire) {
            // Otherwise the history would grow by as much as the machine can do.
            if done.load(Ordering::Acquire) < (round.load(Ordering::Acquire) + 1) * AHEAD {
                stores.count();
                done.fetch_add(1, Ordering::AcqRel);
            } else {
                std::thread::yield_now();
            }
        }
    };
    std::thread::scope(|scope| {
        let _over = Over(&is_over); // also if a backup panics
        scope.spawn(write);
        scope.spawn(write);
        for number in 0..times {
            let begin = done.load(Ordering::Acquire) + number % 7;
            round.store(number, Ordering::Release);
            while done.load(Ordering::Acquire) < begin {
                std::thread::yield_now();
            }
            back_up(number);
            if number % 5 == 4 {
                env.checkpoint().unwrap();
                env.clean().unwrap();
            }
        }
    });
    assert_eq!(stores.counted(), i64::try_from(done.into_inner()).unwrap());
}

struct Over<'o>(&'o AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// What was restored, one after the other.
fn show(mut counted: Vec<i64>) {
    let times = counted.len();
    assert!(counted.is_sorted(), "{counted:?}");
    counted.dedup();
    let states = counted.len();
    let last = counted.last();
    let mut out = std::io::stdout();
    writeln!(out, "{times} restores, {states} states, up to {last:?}").unwrap();
    assert!(states > times / 2, "nobody has written between many of them: {counted:?}");
}

fn target() -> DirRef {
    MemDisk::new().root()
}

fn restored(dir: &DirRef) -> Environment {
    Environment::open_in(Arc::clone(dir), world(), options()).unwrap().0
}

#[test]
fn every_hot_backup_restores_all_stores_to_one_commit() {
    let (env, _) = Environment::in_memory(options()).unwrap();
    let (mut previous, mut counted) = (None::<DirRef>, Vec::new());
    under_load(&env, count(), |number| {
        let saved = target();
        let how = BackupOptions::default().skip_read_back(true);
        let how = match &previous {
            Some(previous) if number % 10 > 0 => how.since_in(previous),
            _ => how,
        };
        let report = backup_to(&env, &saved, &world(), &how).unwrap();
        let back = target();
        restore_from(&saved, &back, &world(), &RestoreOptions::default().options(options()))
            .unwrap();
        let restored = restored(&back);
        assert_eq!(restored.snapshot().unwrap().commit(), report.commit);
        counted.push(Stores::open(&restored).counted());
        previous = Some(saved);
    });
    show(counted);
}

#[test]
fn every_point_of_a_repository_restores_all_stores_to_one_commit() {
    let (env, _) = Environment::in_memory(options()).unwrap();
    let place = Arc::new(LocalBackend::in_dir(target()));
    let repository = Repository::create_in(place, &world()).unwrap();
    let mut points = Vec::new();
    under_load(&env, count(), |_| {
        let report = repository.backup(&env, &PointOptions::default()).unwrap();
        points.push((report.number, report.commit));
    });
    drop(env);
    let mut counted = Vec::new();
    for (number, commit) in points {
        let back = target();
        let how = RestoreOptions::default().options(options());
        repository.restore_in(None, &Which::Number(number), &back, &world(), &how).unwrap();
        let restored = restored(&back);
        assert_eq!(restored.snapshot().unwrap().commit(), commit);
        counted.push(Stores::open(&restored).counted());
    }
    show(counted);
}

/// The power fails at every write and sync of transactions over all stores, and of checkpoints between them.
#[test]
fn a_crash_leaves_all_stores_at_one_commit() {
    let disk = SimDisk::new();
    let env = restored(&disk.root());
    let stores = Stores::create(&env);
    disk.mark("step", 0);
    for n in 1..7 {
        stores.count();
        disk.mark("step", n);
        if n % 3 == 0 {
            env.checkpoint().unwrap();
        }
    }
    drop(stores);
    env.close().unwrap();
    let states: Vec<i64> = (0..7).collect();
    let look = |root: &DirRef, may_be: &[i64]| -> Result<usize, String> {
        let env = restored(root);
        let stores = Stores::open(&env);
        let counted = stores.counted();
        let found = may_be.iter().position(|state| *state == counted);
        stores.sql[1].attach(SQL[0], "books").unwrap();
        stores.count(); // and it goes on
        assert_eq!(stores.counted(), counted + 1);
        found.ok_or_else(|| format!("{counted} is none of {may_be:?}"))
    };
    let swept = disk.trace().sweep_steps("step", &states, &Bounds::smoke(), look);
    let (reached, seen) = swept.unwrap_or_else(|what| panic!("{what}"));
    assert!(reached.into_iter().eq(0..7), "each count is where a crash can leave it");
    assert!(seen > 30, "{seen} states");
}
