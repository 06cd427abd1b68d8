//! Rows about a SQL file as a whole: written anew, copied out, and copied in.

use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, Instant},
};

use cairn_rdb::{
    Access, PlainOptions, SqlFiles, SqliteConnections,
    rusqlite::{Connection, backup::Backup},
};

use super::{
    engine::{Engine, LARGE, NAME, remove},
    per_second,
};
use crate::{Result, measure::rate};

/// SQL's `VACUUM` in all: rows in a second.
pub fn vacuum(engine: &Engine, rows: i64) -> Result<f64> {
    let connection = engine.connect("full", LARGE)?;
    let start = Instant::now();
    connection.execute_batch("VACUUM")?;
    Ok(per_second(rows, start))
}

/// `compact()` where there is one, SQL's `VACUUM` elsewhere: rows in a second.
pub fn compact(engine: &Engine, rows: i64) -> Result<f64> {
    let Engine::Cairn(env) = engine else { return vacuum(engine, rows) };
    let start = Instant::now();
    SqlFiles::of(env).compact(NAME)?;
    Ok(per_second(rows, start))
}

/// Out to a plain file that is synced: an export, beside a copy of the file of SQLite. MiB in a second.
pub fn export(engine: &Engine, dir: &Path) -> Result<f64> {
    let target = dir.join("exported.db");
    remove(&target)?;
    let start = Instant::now();
    let bytes = out(engine, &target)?;
    let rate = rate(bytes, start.elapsed());
    remove(&target)?;
    Ok(rate)
}

fn out(engine: &Engine, target: &Path) -> Result<u64> {
    match engine {
        Engine::Stock(path) => {
            fs::copy(path, target)?;
            File::open(target)?.sync_all()?;
            Ok(fs::metadata(path)?.len())
        }
        Engine::Cairn(env) => {
            let options = PlainOptions::default().in_the_clear();
            Ok(SqlFiles::of(env).export_sqlite(NAME, target, options)?)
        }
    }
}

/// In from a plain file: an import, beside SQLite's online backup into a file of its own. MiB in a second.
pub fn import(engine: &Engine, dir: &Path) -> Result<f64> {
    let source = dir.join("source.db");
    if !source.exists() {
        out(engine, &source)?;
    }
    let bytes = fs::metadata(&source)?.len();
    match engine {
        Engine::Stock(_) => {
            let target = dir.join("imported.db");
            remove(&target)?;
            let start = Instant::now();
            let source = Connection::open(&source)?;
            let mut imported = Connection::open(&target)?;
            Backup::new(&source, &mut imported)?.run_to_completion(
                1 << 14,
                Duration::ZERO,
                None,
            )?;
            drop(imported);
            let rate = rate(bytes, start.elapsed());
            remove(&target)?;
            Ok(rate)
        }
        Engine::Cairn(env) => {
            let start = Instant::now();
            SqlFiles::of(env).import_sqlite("imported.db", &source, PlainOptions::default())?;
            let rate = rate(bytes, start.elapsed());
            env.sqlite_connection("imported.db", Access::ReadOnly)?.query_row(
                "SELECT count(*) FROM t",
                [],
                |_| Ok(()),
            )?;
            SqlFiles::of(env).remove("imported.db")?;
            Ok(rate)
        }
    }
}
