//! The page: medians, ratios, goals.

use std::fmt::Write as _;

use crate::{
    Result,
    chart::{Chart, Line},
    engine::{ENGINES, Entry},
    large::Large,
    round::Round,
    work::{Row, Size, Turn},
};

/// The engine that the others are compared with.
pub const OURS: &str = ENGINES[0].name;

/// The same, encrypted: compared with nothing but the plain one.
pub const ENCRYPTED: &str = ENGINES[1].name;
/// What each row of the encrypted one must reach of the plain one.
fn encrypted_least(row: Row) -> f64 {
    if row.has_large_values() { 0.5 } else { 0.85 }
}

/// What a row has to show, and how it is said.
struct Goal {
    row: Row,
    said: &'static str,
    /// The figure of one round that must reach `least` in the median.
    figure: fn(&Figures<'_>) -> f64,
    least: f64,
}

/// The figures of one round.
struct Figures<'r> {
    round: &'r Round,
}

const GOALS: &[Goal] = &[
    Goal {
        row: Row::Get,
        said: "≥ 0.7 × the fastest",
        figure: |f| f.ours(Row::Get) / f.best(Row::Get, |_| true),
        least: 0.7,
    },
    Goal {
        row: Row::Batch,
        said: "≥ 1.0 × the fastest B-tree",
        figure: |f| f.ours(Row::Batch) / f.best(Row::Batch, |entry| entry.b_tree),
        least: 1.0,
    },
    Goal {
        row: Row::SyncOne,
        said: "≥ 1.0 × the fastest",
        figure: |f| f.ours(Row::SyncOne) / f.best(Row::SyncOne, |_| true),
        least: 1.0,
    },
    Goal {
        row: Row::SyncEight,
        said: "≥ 3 × our one thread",
        figure: |f| f.ours(Row::SyncEight) / f.ours(Row::SyncOne),
        least: 3.0,
    },
    Goal {
        row: Row::NoSync,
        said: "≥ 300,000/s or 4 × redb",
        figure: |f| {
            let ours = f.ours(Row::NoSync);
            let redb = f.of("redb", Row::NoSync);
            (ours / 300_000.0).max(ours / (4.0 * redb))
        },
        least: 1.0,
    },
    Goal {
        row: Row::Scan,
        said: "≥ 0.5 × LMDB",
        figure: |f| f.ours(Row::Scan) / f.of("lmdb", Row::Scan),
        least: 0.5,
    },
];

impl Figures<'_> {
    fn of(&self, engine: &str, row: Row) -> f64 {
        self.round.get(engine).map_or(f64::NAN, |turn| rate(turn, row))
    }

    fn ours(&self, row: Row) -> f64 {
        self.of(OURS, row)
    }

    /// The best of the others.
    fn best(&self, row: Row, which: fn(&Entry) -> bool) -> f64 {
        // What does not survive a power failure is no synced commit.
        let is_other = |entry: &&Entry| {
            ![OURS, ENCRYPTED].contains(&entry.name) && (entry.syncs || !row.is_synced())
        };
        let others = ENGINES.iter().filter(is_other).filter(|entry| which(entry));
        others.map(|entry| self.of(entry.name, row)).fold(f64::NAN, f64::max)
    }
}

fn rate(turn: &Turn, row: Row) -> f64 {
    let found = turn.rates.iter().find(|(measured, _)| *measured == row);
    found.map_or(f64::NAN, |(_, rate)| *rate)
}

/// The page in Markdown.
pub fn page(
    engines: &[&Entry],
    rounds: &[Round],
    large: Option<&Large>,
    size: Size,
) -> Result<String> {
    let mut page = String::new();
    let Size { entries, millis } = size;
    writeln!(
        page,
        "# Benchmarks\n\nCairnDB beside other embedded engines, doing the same work: {} random keys of \
         16 bytes with\nvalues of 100, then some values of 16 and 256 KiB, of which a read looks at one byte. \
         Every figure is the\nmedian of {} rounds; in a round each engine has one turn, in a process of its \
         own, on the same disk, and\nrows of commits of small entries run for {millis} ms. Higher is better. \
         The page is written by\n\n```sh\ncargo xtask bench compare run --write \
         docs/benchmarks.md\n```\n\n\
         ![What each engine does, by what the fastest of the others does](benchmarks/engines.svg)\n",
        thousands(entries as f64),
        rounds.len(),
    )?;
    rates(&mut page, engines, rounds)?;
    goals(&mut page, rounds)?;
    encryption(&mut page, rounds)?;
    costs(&mut page, engines, rounds)?;
    if let Some(large) = large {
        large_environment(&mut page, large)?;
    }
    settings(&mut page, engines)?;
    Ok(page)
}

/// The plot of the rates.
pub fn chart(engines: &[&Entry], rounds: &[Round]) -> Chart {
    let others: Vec<_> = engines.iter().filter(|entry| entry.name != OURS).collect();
    let line = |row: Row| {
        let part = |name: &str| {
            let part = median(rounds, |round| {
                let figures = Figures { round };
                figures.of(name, row) / figures.best(row, |_| true)
            });
            part.is_finite().then_some(part)
        };
        Line {
            label: row.name().rsplit_once(',').map_or("", |(name, _)| name).to_owned(),
            bar: part(OURS),
            dots: others.iter().map(|entry| part(entry.name)).collect(),
        }
    };
    Chart {
        title: "Engines: more is better".into(),
        axis: "rate by that of the fastest other engine (logarithmic)".into(),
        bars: OURS.into(),
        dots: others.iter().map(|entry| entry.name.to_owned()).collect(),
        base: Some(1.0),
        lines: Row::ALL.into_iter().map(line).collect(),
    }
}

fn rates(page: &mut String, engines: &[&Entry], rounds: &[Round]) -> Result {
    heading(page, "", engines)?;
    for row in Row::ALL {
        write!(page, "| {} |", row.name())?;
        let medians: Vec<f64> = engines
            .iter()
            .map(|entry| median(rounds, |round| rate(&round[entry.name], row)))
            .collect();
        let counts = |entry: &Entry| entry.syncs || !row.is_synced();
        let comparable = engines.iter().zip(&medians).filter(|(entry, _)| counts(entry));
        let best = comparable.map(|(_, rate)| *rate).fold(0.0, f64::max);
        for (entry, rate) in engines.iter().zip(medians) {
            match counts(entry) {
                false => write!(page, " ({}) |", thousands(rate))?,
                true if rate == best => write!(page, " **{}** |", thousands(rate))?,
                true => write!(page, " {} |", thousands(rate))?,
            }
        }
        writeln!(page)?;
    }
    writeln!(page)?;
    Ok(())
}

fn goals(page: &mut String, rounds: &[Round]) -> Result {
    writeln!(
        page,
        "## Goals\n\nRatios are taken within a round; the median and the extremes over the rounds.\n\n\
         | row | goal | median | least … most | |\n|---|---|--:|--:|---|"
    )?;
    for goal in GOALS {
        let mut ratios: Vec<f64> =
            rounds.iter().map(|round| (goal.figure)(&Figures { round })).collect();
        ratios.retain(|ratio| ratio.is_finite());
        ratios.sort_by(f64::total_cmp);
        let (Some(least), Some(most)) = (ratios.first(), ratios.last()) else { continue };
        let middle = ratios[ratios.len() / 2];
        let verdict = if middle >= goal.least { "reached" } else { "**missed**" };
        let unit = if goal.row == Row::NoSync { " of it" } else { "" };
        writeln!(
            page,
            "| {} | {} | {middle:.2}{unit} | {least:.2} … {most:.2} | {verdict} |",
            goal.row.name().rsplit_once(',').map_or("", |(name, _)| name),
            goal.said,
        )?;
    }
    writeln!(page)?;
    Ok(())
}

/// The encrypted environment beside the plain one, if both had their turns.
fn encryption(page: &mut String, rounds: &[Round]) -> Result {
    let ratio_of = |row: Row| {
        let figures = rounds.iter().map(|round| Figures { round });
        let ratios = figures.map(|figures| figures.of(ENCRYPTED, row) / figures.ours(row));
        let mut ratios: Vec<f64> = ratios.filter(|ratio| ratio.is_finite()).collect();
        ratios.sort_by(f64::total_cmp);
        Some((*ratios.first()?, ratios[ratios.len() / 2], *ratios.last()?))
    };
    if ratio_of(Row::Get).is_none() {
        return Ok(());
    }
    writeln!(
        page,
        "## Encryption\n\nThe encrypted environment as a part of the plain one, within a round.\n\n\
         | row | goal | median | least … most | |\n|---|--:|--:|--:|---|"
    )?;
    for row in Row::ALL {
        let Some((least, middle, most)) = ratio_of(row) else { continue };
        let goal = encrypted_least(row);
        let verdict = if middle >= goal { "reached" } else { "**missed**" };
        let (name, _) = row.name().rsplit_once(',').unwrap_or((row.name(), ""));
        writeln!(page, "| {name} | ≥ {goal} | {middle:.2} | {least:.2} … {most:.2} | {verdict} |")?;
    }
    writeln!(page)?;
    Ok(())
}

fn costs(page: &mut String, engines: &[&Entry], rounds: &[Round]) -> Result {
    writeln!(
        page,
        "## What it costs\n\nPeak memory is the most that was resident during the turn, touched parts of \
         mapped files included.\nBytes written are what the process gave to the system over the whole \
         turn; faster engines write more\nin rows that run for a fixed time.\n"
    )?;
    heading(page, "MiB", engines)?;
    let mut line = |name: &str, of: fn(&Turn) -> u64| -> Result {
        write!(page, "| {name} |")?;
        for entry in engines {
            let bytes = median(rounds, |round| of(&round[entry.name]) as f64);
            write!(page, " {} |", thousands(bytes / f64::from(1 << 20)))?;
        }
        Ok(writeln!(page)?)
    };
    line("peak memory", |turn| turn.peak_memory)?;
    line("on disk after the load", |turn| turn.disk[0])?;
    line("on disk before the large values", |turn| turn.disk[1])?;
    line("written", |turn| turn.written)?;
    writeln!(page)?;
    Ok(())
}

fn large_environment(page: &mut String, large: &Large) -> Result {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    writeln!(
        page,
        "## An environment of 1 GiB\n\n{} entries in {:.0} MiB of files, closed in order.\n\n\
         | | goal | measured |\n|---|--:|--:|\n\
         | opening it reads | < 1 MiB | {:.0} KiB, in {:.1} ms |\n\
         | resident at most while it is scanned, with a cache of 64 MiB | < 128 MiB | {:.0} MiB, in \
         {:.1} s |\n",
        thousands(large.entries as f64),
        mib(large.disk),
        large.open_read as f64 / 1024.0,
        large.open_seconds * 1e3,
        mib(large.scan_peak_memory),
        large.scan_seconds,
    )?;
    Ok(())
}

fn settings(page: &mut String, engines: &[&Entry]) -> Result {
    writeln!(page, "## Settings\n\n| engine | version | settings |\n|---|---|---|")?;
    for entry in engines {
        writeln!(page, "| {} | {} | {} |", entry.name, version(entry), entry.settings)?;
    }
    writeln!(
        page,
        "\nNothing else is set. SQLite and fjall copy what they return; the others lend it. Keys are \
         loaded in\nrandom order everywhere. The newest commit survives a power failure wherever a row \
         says Sync,\nbut not where it stands in brackets. Before each turn half of the free memory is touched, 6 GiB \
         at\nmost: hosts take from virtual machines what they do not use."
    )?;
    Ok(())
}

/// From the lock file, so that no one has to remember to write it.
fn version(entry: &Entry) -> String {
    const LOCK: &str = include_str!("../Cargo.lock");
    let package = match entry.name {
        "cairndb" | "cairndb-encrypted" => "cairn-env",
        "lmdb" => "lmdb-master-sys",
        "sqlite" => "libsqlite3-sys",
        name => name,
    };
    let mut lines = LOCK.lines();
    let found = lines.find(|line| *line == format!("name = \"{package}\""));
    let version = found.and_then(|_| lines.next()).unwrap_or_default();
    let version = version.trim_start_matches("version = ").trim_matches('"');
    match package == entry.name || package == "cairn-env" {
        true => version.to_owned(),
        false => format!("{package} {version}"),
    }
}

pub fn heading(page: &mut String, corner: &str, engines: &[&Entry]) -> Result {
    let names: Vec<_> = engines.iter().map(|entry| entry.name).collect();
    writeln!(page, "| {corner} | {} |\n|---{}|", names.join(" | "), "|--:".repeat(names.len()))?;
    Ok(())
}

fn median(rounds: &[Round], figure: impl Fn(&Round) -> f64) -> f64 {
    let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A whole number, its digits in groups of three.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
