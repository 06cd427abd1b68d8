//! SQL: SQLite on an environment beside the same SQLite with a file and a log of its own (WAL).
//!
//! Each row is the same work on all, in turn, in rounds; ratios are taken within a round. `FULL` waits for the disk
//! with each commit, `NORMAL` does not.

mod commits;
mod engine;
pub mod pages;
mod reads;
pub mod speedtest;
mod table;
mod whole;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use self::{
    commits::Of,
    engine::{Engine, Kind, LARGE, SMALL, fill},
    table::Measured,
};
use crate::{Result, page};

#[derive(clap::Args)]
pub struct Sql {
    /// Rows of the tables that are read and changed
    #[arg(long, default_value_t = 300_000)]
    rows: i64,
    /// Rows of the table that is copied out and in (8,000,000 make a gigabyte)
    #[arg(long, default_value_t = 8_000_000)]
    copied: i64,
    /// Pages of the large file; 0 leaves it out
    #[arg(long, default_value_t = 1_000_000)]
    pages: i64,
    /// How many rounds
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Leave out all rows but those whose names contain this
    #[arg(long)]
    only: Option<String>,
    /// Leave out all but stock and these
    #[arg(long, value_name = "KIND")]
    kind: Vec<Kind>,
    /// Where to put the files (default: the system's temporary directory)
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Also write the part of the page to this file
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// Where a row is measured.
struct Place<'a> {
    engine: &'a Engine,
    rows: i64,
    dir: &'a Path,
}

/// A row of the table.
struct Row {
    name: &'static str,
    /// What counts; more is better.
    unit: &'static str,
    /// Of stock's figure, at least.
    goal: f64,
    /// Of stock's bytes, at most.
    bytes: Option<f64>,
    /// Of the plain environment's figure, at least, for the encrypted one.
    encrypted: f64,
    /// Whether it goes over the larger table.
    is_large: bool,
    work: fn(&Place<'_>) -> Result<f64>,
}

const fn row(
    name: &'static str,
    unit: &'static str,
    goal: f64,
    work: fn(&Place<'_>) -> Result<f64>,
) -> Row {
    Row { name, unit, goal, bytes: None, encrypted: 0.85, is_large: false, work }
}

impl Row {
    const fn bytes(self, most: f64) -> Self {
        Self { bytes: Some(most), ..self }
    }

    const fn encrypted(self, least: f64) -> Self {
        Self { encrypted: least, ..self }
    }

    const fn large(self) -> Self {
        Self { is_large: true, ..self }
    }
}

/// A goal of 1.0 has a band of 5 %.
const EVEN: f64 = 0.95;

const ROWS: &[Row] = &[
    row("insert, one row a commit, FULL", "commits/s", EVEN, |at| {
        commits::inserts(at.engine, "full", "plain")
    })
    .bytes(0.3),
    row("… with an index", "commits/s", EVEN, |at| {
        commits::inserts(at.engine, "full", "indexed")
    })
    .bytes(0.3),
    row("insert, one row a commit, NORMAL", "commits/s", EVEN, |at| {
        commits::inserts(at.engine, "normal", "plain")
    }),
    row("insert, 1000 rows a commit, FULL", "rows/s", 1.3, |at| {
        commits::batches(at.engine, "full", 1000, 40)
    }),
    row("insert of 1,000,000 rows, one commit", "rows/s", 1.0 / 0.7, |at| {
        commits::batches(at.engine, "full", 1_000_000, 1)
    }),
    row("20 updates with an index a commit, FULL", "commits/s", 1.8, |at| {
        commits::updates(at.engine, at.rows, "full")
    })
    .bytes(0.15),
    row("20 updates with an index a commit, NORMAL", "commits/s", 3.0, |at| {
        commits::updates(at.engine, at.rows, "normal")
    }),
    row("select, each its own transaction", "selects/s", 2.5, |at| {
        reads::selects(at.engine, at.rows, LARGE, false)
    }),
    row("… with a page cache of 500 KiB", "selects/s", 2.5, |at| {
        reads::selects(at.engine, at.rows, SMALL, false)
    })
    .encrypted(0.6),
    row("select in one transaction", "selects/s", EVEN, |at| {
        reads::selects(at.engine, at.rows, LARGE, true)
    }),
    row("… with a page cache of 500 KiB, in one", "selects/s", EVEN, |at| {
        reads::selects(at.engine, at.rows, SMALL, true)
    })
    .encrypted(0.6),
    row("full scan", "rows/s", EVEN, |at| reads::scan(at.engine, at.rows, LARGE)),
    row("… with a page cache of 500 KiB, full scan", "rows/s", EVEN, |at| {
        reads::scan(at.engine, at.rows, SMALL)
    })
    .encrypted(0.6),
    row("1 writer FULL beside 1 reader: reads", "selects/s", 2.0, |at| {
        commits::beside(at.engine, at.rows, Of::Reads)
    }),
    row("1 writer FULL beside 1 reader: writes", "commits/s", EVEN, |at| {
        commits::beside(at.engine, at.rows, Of::Writes)
    }),
    row("1 writer FULL beside 1 reader: 1 / p99 of reads", "1/s", 5.0, |at| {
        commits::beside(at.engine, at.rows, Of::SlowestReads)
    }),
    row("8 writers FULL", "commits/s", 3.5, |at| Ok(commits::writers(at.engine)?.0)),
    row("8 writers FULL: slowest by fastest", "", 0.0, |at| Ok(commits::writers(at.engine)?.1)),
    row("`compact()` beside `VACUUM`", "rows/s", EVEN, |at| whole::compact(at.engine, at.rows)),
    row("`VACUUM`", "rows/s", 1.0 / 1.5, |at| whole::vacuum(at.engine, at.rows)),
    row("export beside `cp`", "MiB/s", 0.7, |at| whole::export(at.engine, at.dir)).large(),
    row("import beside the backup API", "MiB/s", EVEN, |at| whole::import(at.engine, at.dir))
        .large(),
    row(SPEEDTEST, "runs/s", 1.0 / 0.75, |_| Err("it has a process of its own".into())),
];

/// It comes in the source of SQLite only.
const SPEEDTEST: &str = "speedtest1 in all";

/// The cache of the environment, if nothing else is said.
const CACHE: usize = 1 << 30;

pub fn run(sql: &Sql) -> Result {
    let base = sql.dir.clone().unwrap_or_else(std::env::temp_dir);
    let dir = tempfile::Builder::new().prefix("cairn-compare").tempdir_in(base)?;
    let mut kinds = vec![Kind::Stock];
    match sql.kind.is_empty() {
        true => kinds.extend([Kind::Cairn, Kind::Encrypted, Kind::Unmapped]),
        false => kinds.extend(sql.kind.iter().filter(|kind| **kind != Kind::Stock)),
    }
    let is_asked = |name: &str| sql.only.as_ref().is_none_or(|only| name.contains(only));
    let mut measured = Vec::new();
    for row in ROWS.iter().filter(|row| is_asked(row.name)) {
        if row.name == SPEEDTEST && !speedtest::IS_THERE {
            eprintln!("SKIPPED: {SPEEDTEST}: build with CAIRN_SPEEDTEST1=…/test/speedtest1.c");
            continue;
        }
        eprintln!("{}", row.name);
        let dir = dir.path().join("row");
        let of = measure(row, &kinds, sql, &dir)?;
        eprintln!("{}", table::line(row, &kinds, &of));
        measured.push((row, of));
        fs::remove_dir_all(&dir)?;
    }
    let pages = match sql.pages {
        1.. if is_asked("a file of many pages") => {
            eprintln!("{} pages", sql.pages);
            pages::measure(dir.path(), sql.pages)?
        }
        _ => Vec::new(),
    };
    let text = table::text(sql, &kinds, &measured, &pages)?;
    println!("{text}");
    match &sql.write {
        Some(path) => page::write(path, "sql", &text),
        None => Ok(()),
    }
}

/// All rounds of a row; in each, all kinds take turns, and nobody always comes first. Only the one whose turn it is is
/// open, so that what another does in the background is in nobody's way.
fn measure(row: &Row, kinds: &[Kind], sql: &Sql, dir: &Path) -> Result<Vec<Measured>> {
    let rows = if row.is_large { sql.copied } else { sql.rows };
    let place = |kind: Kind| dir.join(kind.name());
    for kind in kinds {
        fs::create_dir_all(place(*kind))?;
        if row.name != SPEEDTEST {
            let engine = Engine::open(&place(*kind), *kind, CACHE)?;
            fill(&engine, rows)?;
            engine.close()?;
        }
    }
    let mut rounds = Vec::new();
    for number in 0..sql.rounds {
        let mut round = Measured { figures: vec![0.0; kinds.len()], bytes: vec![0; kinds.len()] };
        for turn in 0..kinds.len() {
            let at = (turn + number) % kinds.len();
            let (kind, dir) = (kinds[at], place(kinds[at]));
            (round.figures[at], round.bytes[at]) = match row.name {
                SPEEDTEST => (speedtest::measure(kind, &dir)?, 0),
                _ => turn_of(row, kind, rows, &dir)?,
            };
        }
        rounds.push(round);
    }
    Ok(rounds)
}

/// One turn, which ends as it began: what was added is gone, and what was written is where it belongs.
fn turn_of(row: &Row, kind: Kind, rows: i64, dir: &Path) -> Result<(f64, u64)> {
    let engine = Engine::open(dir, kind, CACHE)?;
    engine.warm()?;
    let before = written_bytes()?;
    let figure = (row.work)(&Place { engine: &engine, rows, dir })?;
    let bytes = written_bytes()? - before;
    let connection = engine.connect("normal", LARGE)?;
    connection.execute_batch("DELETE FROM plain; DELETE FROM indexed")?;
    drop(connection);
    engine.settle()?;
    engine.close()?;
    Ok((figure, bytes))
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
