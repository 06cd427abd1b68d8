//! Rows of commits: what a transaction costs, alone and beside others.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use cairn_rdb::rusqlite::params;

use super::{
    engine::{Engine, LARGE, mixed, text},
    per_second,
};
use crate::{Result, measure::median};

/// How long threads work beside each other.
const TOGETHER: Duration = Duration::from_secs(2);

/// One row a commit: commits in a second, were all as fast as the one in the middle.
pub fn inserts(engine: &Engine, synchronous: &str, table: &str) -> Result<f64> {
    const COUNT: i64 = 1500;
    let connection = engine.connect(synchronous, LARGE)?;
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

/// Many rows a commit: rows in a second.
pub fn batches(engine: &Engine, synchronous: &str, rows: i64, commits: i64) -> Result<f64> {
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
    Ok(per_second(rows * commits, start))
}

/// 20 updates of rows in no order and of their index a commit: commits in a second.
pub fn updates(engine: &Engine, rows: i64, synchronous: &str) -> Result<f64> {
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

/// What counts of a writer beside a reader.
#[derive(Clone, Copy)]
pub enum Of {
    /// Selects in a second.
    Reads,
    /// Commits in a second.
    Writes,
    /// One by the time that one in a hundred selects takes longer than.
    SlowestReads,
}

/// A writer whose commits are durable, beside a reader.
pub fn beside(engine: &Engine, rows: i64, of: Of) -> Result<f64> {
    let (stop, begin) = (AtomicBool::new(false), Barrier::new(2));
    let go_on = || !stop.load(Ordering::Relaxed);
    thread::scope(|scope| {
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
        let reader = scope.spawn(|| -> Result<(f64, Vec<f64>)> {
            let connection = engine.connect("full", LARGE)?;
            let mut statement = connection.prepare("SELECT text FROM t WHERE id = ?1")?;
            begin.wait();
            let (start, mut count, mut times) = (Instant::now(), 0, Vec::new());
            while go_on() {
                let begun = Instant::now();
                statement.query_row([mixed(count) % rows], |row| row.get_ref(0).map(drop))?;
                times.push(begun.elapsed().as_secs_f64());
                count += 1;
            }
            Ok((per_second(count, start), times))
        });
        thread::sleep(TOGETHER);
        stop.store(true, Ordering::Relaxed);
        let writes = writer.join().map_err(|_| "the writer panicked")??;
        let (reads, mut times) = reader.join().map_err(|_| "the reader panicked")??;
        times.sort_by(f64::total_cmp);
        let p99 = times.get(times.len() * 99 / 100).copied().unwrap_or(f64::NAN);
        Ok(match of {
            Of::Reads => reads,
            Of::Writes => writes,
            Of::SlowestReads => 1.0 / p99,
        })
    })
}

/// Eight writers of one row a commit: all commits in a second, and the slowest writer's as a part of the fastest's.
pub fn writers(engine: &Engine) -> Result<(f64, f64)> {
    let (stop, begin) = (AtomicBool::new(false), Barrier::new(9));
    thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| -> Result<f64> {
                    let connection = engine.connect("full", LARGE)?;
                    let mut statement =
                        connection.prepare("INSERT INTO plain (n, text) VALUES (?1, ?2)")?;
                    begin.wait();
                    let (start, mut count) = (Instant::now(), 0);
                    while !stop.load(Ordering::Relaxed) {
                        statement.execute(params![count, text(count)])?;
                        count += 1;
                    }
                    Ok(per_second(count, start))
                })
            })
            .collect();
        begin.wait();
        thread::sleep(TOGETHER);
        stop.store(true, Ordering::Relaxed);
        let rates =
            writers.into_iter().map(|writer| writer.join().map_err(|_| "a writer panicked")?);
        let rates: Vec<f64> = rates.collect::<Result<_>>()?;
        let least = rates.iter().copied().fold(f64::INFINITY, f64::min);
        let most = rates.iter().copied().fold(0.0, f64::max);
        Ok((rates.iter().sum(), least / most))
    })
}
