//! The hot paths, as `cargo xtask bench` has measured them: a table and a plot of what Criterion has left.

use std::{fmt::Write as _, fs, path::PathBuf, time::Duration};

use serde_json::Value;

use crate::{
    Result,
    chart::{Chart, Line},
    page,
    report::thousands,
};

#[derive(clap::Args)]
pub struct Hot {
    /// Where Criterion has left its figures
    #[arg(long, default_value = "target/criterion")]
    criterion: PathBuf,
    /// Also write this part of the page to this file, and its plot beside it
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// What one of it is.
enum Per {
    /// What is measured once.
    Call,
    /// One of so many.
    Of(f64),
    /// An element of the throughput.
    Element,
    /// So many of its bytes.
    Bytes(f64),
}

/// The directory of a benchmark, what its row is called, and what is counted.
const PATHS: &[(&str, &str, Per)] = &[
    ("environment_get", "get", Per::Call),
    ("environment_put", "put, in a transaction", Per::Call),
    ("environment_commit_no_sync", "commit of one put, NoSync", Per::Call),
    ("environment_commit_sync", "commit of one put, Sync", Per::Call),
    ("environment_scan/all", "step of a scan", Per::Element),
    ("environment_seek", "seek of a cursor", Per::Call),
    ("log_append/128", "append of 128 bytes to the log", Per::Of(100.0)),
    ("log_crc32c/4096", "CRC-32C of 4 KiB", Per::Call),
    ("tree_split", "put that splits a leaf", Per::Call),
    ("environment_checkpoint_of_1000_puts", "checkpoint, a put of 1000", Per::Of(1000.0)),
    ("environment_recovery/replay", "replay of a put", Per::Element),
    ("environment_clean/moved", "record that the cleaner moves", Per::Element),
    ("backup/backup", "4 KiB of a backup", Per::Bytes(4096.0)),
];

pub fn run(hot: &Hot) -> Result {
    let mut rows = Vec::new();
    for (directory, name, per) in PATHS {
        match nanos(hot, directory, per) {
            Ok(nanos) => rows.push((*name, nanos)),
            Err(error) => eprintln!("{name}: {error}"),
        }
    }
    let text = text(&rows)?;
    println!("{text}");
    if let Some(path) = &hot.write {
        page::write(path, "hot", &text)?;
        page::write_beside(path, "hot.svg", &chart(&rows).svg()?)?;
    }
    Ok(())
}

fn nanos(hot: &Hot, directory: &str, per: &Per) -> Result<f64> {
    let read = |name: &str| -> Result<Value> {
        let path = hot.criterion.join(directory).join("new").join(name);
        let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    };
    let median = read("estimates.json")?["median"]["point_estimate"].as_f64();
    let throughput = &read("benchmark.json")?["throughput"];
    let times = match per {
        Per::Call => Some(1.0),
        Per::Of(times) => Some(*times),
        Per::Element => throughput["Elements"].as_f64(),
        Per::Bytes(bytes) => throughput["Bytes"].as_f64().map(|all| all / bytes),
    };
    let nanos = median.zip(times).map(|(median, times)| median / times);
    nanos.ok_or_else(|| "Criterion has left something else".into())
}

fn text(rows: &[(&str, f64)]) -> Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "## Hot paths\n\nWhat `cargo xtask bench` measures of the layers, 200,000 entries with values of 100 bytes in memory. \
         Medians; less\nis better. This part is written by\n\n```sh\ncargo xtask bench\ncargo xtask bench compare hot \
         --write docs/benchmarks.md\n```\n\n![How long each hot path takes](benchmarks/hot.svg)\n\n\
         | path | each | 1/s |\n|---|--:|--:|"
    )?;
    for (name, nanos) in rows {
        let each = Duration::from_secs_f64(nanos / 1e9);
        let shown = if *nanos < 1000.0 { format!("{nanos:.1}ns") } else { format!("{each:.1?}") };
        writeln!(text, "| {name} | {shown} | {} |", thousands(1e9 / nanos))?;
    }
    Ok(text)
}

fn chart(rows: &[(&str, f64)]) -> Chart {
    let line = |(name, nanos): &(&str, f64)| Line {
        label: (*name).to_owned(),
        bar: Some(*nanos),
        dots: Vec::new(),
    };
    Chart {
        title: "Hot paths: less is better".into(),
        axis: "nanoseconds (logarithmic)".into(),
        bars: "cairndb".into(),
        dots: Vec::new(),
        base: None,
        lines: rows.iter().map(line).collect(),
    }
}
