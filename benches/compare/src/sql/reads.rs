//! Rows of reads.

use std::time::Instant;

use super::{
    engine::{Engine, LARGE, mixed},
    per_second,
};
use crate::Result;

/// Selects of rows in no order, each in a transaction of its own or all in one: in a second.
pub fn selects(engine: &Engine, rows: i64, cache_kib: u64, in_one: bool) -> Result<f64> {
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

/// All rows in order: rows in a second.
pub fn scan(engine: &Engine, rows: i64, cache_kib: u64) -> Result<f64> {
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
