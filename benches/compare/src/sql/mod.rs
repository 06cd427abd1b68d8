//! SQL: SQLite on an environment beside the same SQLite with a file and a log of its own (WAL).
//!
//! Each row is the same work on both, in turn, in rounds; the ratio is the median of those within a round.
//! `FULL` waits for the disk with each commit, `NORMAL` does not.

use std::{
    fs,
    path::Path,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use cairn_env::{Environment, Options};
use cairn_rdb::{
    Access, SqliteConnections,
    rusqlite::{Connection, params},
};

use crate::{Result, measure::median};

#[derive(clap::Args)]
pub struct Sql {
    /// Rows of the tables that are read and changed
    #[arg(long, default_value_t = 300_000)]
    rows: i64,
    /// How many rounds
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Leave out all rows but those whose names contain this
    #[arg(long)]
    only: Option<String>,
    /// Where to put the files (default: the system's temporary directory)
    #[arg(long)]
    dir: Option<std::path::PathBuf>,
    /// Read large values without mapping files
    #[arg(long)]
    no_mapping: bool,
}

/// One of the two.
enum Engine {
    Stock(std::path::PathBuf),
    Cairn(Environment),
}

impl Engine {
    fn open(dir: &Path, is_stock: bool, options: &Options) -> Result<Self> {
        Ok(match is_stock {
            true => Self::Stock(dir.join("stock.db")),
            false => Self::Cairn(Environment::open(dir.join("cairn"), options.clone())?.0),
        })
    }

    fn connect(&self, synchronous: &str, cache_kib: u64) -> Result<Connection> {
        let connection = match self {
            Self::Stock(path) => {
                let connection = Connection::open(path)?;
                connection.pragma_update(None, "journal_mode", "wal")?;
                connection.busy_timeout(Duration::from_secs(60))?;
                connection
            }
            Self::Cairn(env) => env.sqlite_connection("app.db", Access::Create)?,
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.pragma_update(None, "cache_size", -i64::try_from(cache_kib)?)?;
        Ok(connection)
    }
}

/// What a row of the table measures.
type Work = fn(&Engine, i64) -> Result<f64>;

/// Large enough for everything.
const LARGE: u64 = 512 << 10;
const SMALL: u64 = 500;

/// Name, what counts, and the work; more is better.
const ROWS: &[(&str, &str, Work)] = &[
    ("insert, one row a commit, FULL", "commits/s", |engine, _| inserts(engine, "full", false)),
    ("… with an index, FULL", "commits/s", |engine, _| inserts(engine, "full", true)),
    ("insert, one row a commit, NORMAL", "commits/s", |engine, _| inserts(engine, "normal", false)),
    ("insert, 1000 rows a commit, FULL", "rows/s", |engine, _| batches(engine, "full", 1000, 40)),
    ("bulk insert, one commit, FULL", "rows/s", |engine, rows| batches(engine, "full", rows, 1)),
    ("20 updates with an index a commit, FULL", "commits/s", |engine, rows| {
        updates(engine, rows, "full")
    }),
    ("20 updates with an index a commit, NORMAL", "commits/s", |engine, rows| {
        updates(engine, rows, "normal")
    }),
    ("select, each its own transaction", "selects/s", |engine, rows| {
        selects(engine, rows, LARGE, false)
    }),
    ("… with a cache of 500 KiB", "selects/s", |engine, rows| {
        selects(engine, rows, SMALL, false)
    }),
    ("select in one transaction", "selects/s", |engine, rows| selects(engine, rows, LARGE, true)),
    ("… with a cache of 500 KiB in one transaction", "selects/s", |engine, rows| {
        selects(engine, rows, SMALL, true)
    }),
    ("full scan", "rows/s", |engine, rows| scan(engine, rows, LARGE)),
    ("… with a small cache, full scan", "rows/s", |engine, rows| scan(engine, rows, SMALL)),
    ("1 writer FULL beside 1 reader: reads", "selects/s", |engine, rows| {
        beside(engine, rows, true)
    }),
    ("1 writer FULL beside 1 reader: writes", "commits/s", |engine, rows| {
        beside(engine, rows, false)
    }),
    ("8 writers FULL", "commits/s", |engine, _| writers(engine)),
    ("VACUUM", "rows/s", vacuum),
];

pub fn run(sql: &Sql) -> Result {
    let base = sql.dir.clone().unwrap_or_else(std::env::temp_dir);
    let dir = tempfile::tempdir_in(base)?;
    let options = Options::default().cache_bytes(1 << 30).map_values(!sql.no_mapping);
    println!("{:46} {:>12} {:>12} {:>7}  {:>7}", "", "stock", "cairndb", "ratio", "bytes");
    for (n, (name, unit, work)) in ROWS.iter().enumerate() {
        if sql.only.as_ref().is_some_and(|only| !name.contains(only)) {
            continue;
        }
        let dir = dir.path().join(n.to_string());
        fs::create_dir(&dir)?;
        let engines = [Engine::open(&dir, true, &options)?, Engine::open(&dir, false, &options)?];
        for engine in &engines {
            fill(engine, sql.rows)?;
        }
        let (mut ratios, mut figures, mut bytes) =
            (Vec::new(), [Vec::new(), Vec::new()], Vec::new());
        for round in 0..sql.rounds {
            let (mut of_round, mut written) = ([0.0; 2], [0; 2]);
            for turn in 0..2 {
                let at = (turn + round) % 2;
                let before = written_bytes()?;
                of_round[at] = work(&engines[at], sql.rows)?;
                written[at] = written_bytes()? - before;
                figures[at].push(of_round[at]);
            }
            ratios.push(of_round[1] / of_round[0]);
            bytes.push(written[1] as f64 / written[0].max(1) as f64);
        }
        let [stock, cairn] = figures.map(median);
        let (ratio, bytes) = (median(ratios), median(bytes));
        println!("{name:46} {stock:>12.0} {cairn:>12.0} {ratio:>6.2}x  {bytes:>6.2}x  {unit}");
        drop(engines);
        fs::remove_dir_all(&dir)?;
    }
    Ok(())
}

/// Bytes that this process has given to write calls.
fn written_bytes() -> Result<u64> {
    let io = fs::read_to_string("/proc/self/io")?;
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    Ok(line.ok_or("no wchar")?.parse()?)
}

fn per_second(count: i64, start: Instant) -> f64 {
    count as f64 / start.elapsed().as_secs_f64()
}

/// A table of rows of about 100 bytes, with an index of numbers in no order.
fn fill(engine: &Engine, rows: i64) -> Result {
    let connection = engine.connect("normal", LARGE)?;
    connection.execute_batch(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, text TEXT); CREATE INDEX t_n ON t (n);
         CREATE TABLE plain (id INTEGER PRIMARY KEY, n INTEGER, text TEXT);
         CREATE TABLE indexed (id INTEGER PRIMARY KEY, n INTEGER, text TEXT);
         CREATE INDEX indexed_n ON indexed (n); BEGIN",
    )?;
    let mut statement = connection.prepare("INSERT INTO t VALUES (?1, ?2, ?3)")?;
    for id in 0..rows {
        statement.execute(params![id, mixed(id), text(id)])?;
    }
    drop(statement);
    connection.execute_batch("COMMIT")?;
    settle(engine, &connection)
}

/// What was written so far is not to cost anybody later.
fn settle(engine: &Engine, connection: &Connection) -> Result {
    match engine {
        Engine::Stock(_) => connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?,
        Engine::Cairn(env) => drop(env.checkpoint()?),
    }
    Ok(())
}

/// A number in no order, the same for both.
fn mixed(n: i64) -> i64 {
    (crate::work::mix(n.unsigned_abs()) >> 33).cast_signed()
}

fn text(id: i64) -> String {
    format!(
        "{:016x} some text of a row that has no meaning at all, but is about as long",
        mixed(id)
    )
}

fn inserts(engine: &Engine, synchronous: &str, indexed: bool) -> Result<f64> {
    const COUNT: i64 = 1500;
    let connection = engine.connect(synchronous, LARGE)?;
    let table = if indexed { "indexed" } else { "plain" };
    let sql = format!("INSERT INTO {table} (n, text) VALUES (?1, ?2)");
    let mut statement = connection.prepare(&sql)?;
    let mut times = Vec::new();
    for n in 0..COUNT {
        let text = text(n);
        let start = Instant::now();
        statement.execute(params![mixed(n), text])?;
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(1.0 / median(times))
}

fn batches(engine: &Engine, synchronous: &str, rows: i64, commits: i64) -> Result<f64> {
    let connection = engine.connect(synchronous, LARGE)?;
    let start = Instant::now();
    let mut statement = connection.prepare("INSERT INTO plain (n, text) VALUES (?1, ?2)")?;
    for _ in 0..commits {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for n in 0..rows {
            statement.execute(params![mixed(n), text(n)])?;
        }
        connection.execute_batch("COMMIT")?;
    }
    let rate = per_second(rows * commits, start);
    connection.execute_batch("DELETE FROM plain")?;
    Ok(rate)
}

fn updates(engine: &Engine, rows: i64, synchronous: &str) -> Result<f64> {
    const COMMITS: i64 = 1000;
    let connection = engine.connect(synchronous, LARGE)?;
    let mut statement = connection.prepare("UPDATE t SET n = ?2 WHERE id = ?1")?;
    let start = Instant::now();
    for commit in 0..COMMITS {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for n in 0..20 {
            let at = mixed(commit * 20 + n);
            statement.execute(params![at % rows, mixed(at)])?;
        }
        connection.execute_batch("COMMIT")?;
    }
    Ok(per_second(COMMITS, start))
}

fn selects(engine: &Engine, rows: i64, cache_kib: u64, in_one: bool) -> Result<f64> {
    const COUNT: i64 = 200_000;
    let connection = engine.connect("full", cache_kib)?;
    let mut statement = connection.prepare("SELECT text FROM t WHERE id = ?1")?;
    if in_one {
        connection.execute_batch("BEGIN")?;
    }
    for n in 0..if cache_kib == LARGE { rows } else { 0 } {
        statement.query_row([n], |row| row.get_ref(0).map(drop))?; // fill the cache
    }
    let start = Instant::now();
    for n in 0..COUNT {
        statement.query_row([mixed(n) % rows], |row| row.get_ref(0).map(drop))?;
    }
    Ok(per_second(COUNT, start))
}

fn scan(engine: &Engine, rows: i64, cache_kib: u64) -> Result<f64> {
    let connection = engine.connect("full", cache_kib)?;
    let sum =
        || connection.query_row("SELECT sum(length(text)) FROM t", [], |row| row.get::<_, i64>(0));
    if cache_kib == LARGE {
        sum()?;
    }
    let start = Instant::now();
    sum()?;
    Ok(per_second(rows, start))
}

/// A writer beside a reader, for two seconds.
fn beside(engine: &Engine, rows: i64, reads_count: bool) -> Result<f64> {
    let (stop, begin) = (AtomicBool::new(false), Barrier::new(2));
    let go_on = || !stop.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| -> Result<f64> {
            let connection = engine.connect("full", LARGE)?;
            let mut statement = connection.prepare("UPDATE t SET n = ?2 WHERE id = ?1")?;
            begin.wait();
            let (start, mut count) = (Instant::now(), 0);
            while go_on() {
                statement.execute(params![mixed(count) % rows, count])?;
                count += 1;
            }
            Ok(per_second(count, start))
        });
        let reader = scope.spawn(|| -> Result<f64> {
            let connection = engine.connect("full", LARGE)?;
            let mut statement = connection.prepare("SELECT text FROM t WHERE id = ?1")?;
            begin.wait();
            let (start, mut count) = (Instant::now(), 0);
            while go_on() {
                statement.query_row([mixed(count) % rows], |row| row.get_ref(0).map(drop))?;
                count += 1;
            }
            Ok(per_second(count, start))
        });
        std::thread::sleep(Duration::from_secs(2));
        stop.store(true, Ordering::Relaxed);
        let writes = writer.join().map_err(|_| "the writer panicked")??;
        let reads = reader.join().map_err(|_| "the reader panicked")??;
        Ok(if reads_count { reads } else { writes })
    })
}

fn writers(engine: &Engine) -> Result<f64> {
    const COMMITS: i64 = 100;
    let start = Instant::now();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| -> Result {
                    let connection = engine.connect("full", LARGE)?;
                    let mut statement =
                        connection.prepare("INSERT INTO plain (n, text) VALUES (?1, ?2)")?;
                    for n in 0..COMMITS {
                        statement.execute(params![n, text(n)])?;
                    }
                    Ok(())
                })
            })
            .collect();
        writers.into_iter().try_for_each(|writer| writer.join().map_err(|_| "a writer panicked")?)
    })?;
    Ok(per_second(COMMITS * 8, start))
}

fn vacuum(engine: &Engine, rows: i64) -> Result<f64> {
    let connection = engine.connect("full", LARGE)?;
    let start = Instant::now();
    connection.execute_batch("VACUUM")?;
    Ok(per_second(rows, start))
}
