//! The part of the page about these rows, and its plots.

use std::fmt::Write as _;

use super::{
    Larges, Round, Set, Size,
    larger::{self, Larger},
    row::{By, FILE_GOALS, Goal, RATE_GOALS, Row},
};
use crate::{
    Result,
    chart::{Chart, Line},
    engine::Entry,
    measure::median,
    report::{ENCRYPTED, OURS, heading, thousands},
    round,
};

pub fn text(engines: &[&Entry], rounds: &[Round], larges: &Larges, size: Size) -> Result<String> {
    let mut text = String::new();
    let Size { entries, longer_entries, millis, files_mib, killed_mib, .. } = size;
    writeln!(
        text,
        "## Row by row\n\nKeys of 16 bytes in no order, values of noise: {} entries with values of 100 bytes, then {} \
         with values of\n1 KiB. Every figure is the median of {} rounds, in which all take turns, each in a process of its \
         own; rows\nof commits run for {millis} ms. A row is reached if the median is at its goal less 5 %. This part is \
         written by\n\n```sh\ncargo xtask bench compare rows --write docs/benchmarks.md\n```\n\n\
         ![What each engine does, by what the fastest of the others does](benchmarks/rows.svg)\n",
        thousands(entries as f64),
        thousands(longer_entries as f64),
        rounds.len(),
    )?;
    for (set, title) in [(Set::Short, "Values of 100 bytes"), (Set::Long, "Values of 1 KiB")] {
        writeln!(text, "### {title}\n\nMore is better.\n")?;
        figures(&mut text, engines, rounds, set, &Row::RATES)?;
        goals(&mut text, rounds, set, RATE_GOALS)?;
        encryption(&mut text, rounds, set)?;
    }
    writeln!(
        text,
        "The first load is done in commits of 10,000, with one sync at the end; an engine's own way is one transaction of \
         everything\nin the B-trees (CairnDB logs it in parts, SQLite and canopydb have it in their logs, LMDB and redb have no \
         log), and files made\nbeside the log in fjall and RocksDB; it is durable when it returns. Appends to the device are of 100 bytes or 1 KiB to a file that grows, in turns with the \
         row below. In\nYCSB A half of the operations are reads, in B 95 of 100; the others are commits that are not synced. \
         A few keys are\npopular (zipfian, 0.99). What stands in brackets does not survive a power failure and is not compared with.\n"
    )?;
    writeln!(
        text,
        "### Files\n\n{files_mib} MiB of entries with values of 1 KiB change five times each, in random order, in commits \
         of 1000 with `Sync`;\nwritten is what goes to the system in calls. Another {files_mib} MiB are closed and opened, then \
         changed and killed, and opened\nagain: CairnDB after {killed_mib} MiB without a checkpoint, the others after {} MiB. An open ends \
         with the first answer. Less is\nbetter.\n",
        killed_mib / 4
    )?;
    figures(&mut text, engines, rounds, Set::Files, &Row::FILES)?;
    goals(&mut text, rounds, Set::Files, FILE_GOALS)?;
    with_little_memory(&mut text, engines, larges, size)?;
    Ok(text)
}

fn figure(round: &Round, set: Set, engine: &'static str, row: Row) -> Option<f64> {
    let figures = round.get(&(set, engine))?;
    figures.iter().find(|(measured, _)| *measured == row).map(|(_, figure)| *figure)
}

/// Whether an engine does in a row what the row is about.
fn counts(engine: &str, row: Row) -> bool {
    !row.is_synced() || round::find(engine).is_ok_and(|entry| entry.syncs)
}

/// The best of the others in a row that is per second.
fn fastest(round: &Round, set: Set, row: Row) -> Option<f64> {
    let is_other = |name: &&str| ![OURS, ENCRYPTED].contains(name) && counts(name, row);
    let others = round.keys().filter(|(of, name)| *of == set && is_other(name));
    others.filter_map(|(_, name)| figure(round, set, name, row)).max_by(f64::total_cmp)
}

/// Of all rounds that have it.
fn middle(rounds: &[Round], of: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
    let figures: Vec<_> = rounds.iter().filter_map(of).collect();
    (!figures.is_empty()).then(|| median(figures))
}

fn figures(
    text: &mut String,
    engines: &[&Entry],
    rounds: &[Round],
    set: Set,
    rows: &[Row],
) -> Result {
    heading(text, "", engines)?;
    for row in rows {
        let medians: Vec<_> = engines
            .iter()
            .map(|entry| middle(rounds, |round| figure(round, set, entry.name, *row)))
            .collect();
        let better = if set == Set::Files { f64::min } else { f64::max };
        let comparable = engines.iter().zip(&medians).filter(|(entry, _)| counts(entry.name, *row));
        let best = comparable.filter_map(|(_, median)| *median).reduce(better);
        let (name, unit) = row.names();
        write!(text, "| {name}, {unit} |")?;
        for (entry, median) in engines.iter().zip(medians) {
            let shown = match median {
                None => "–".to_owned(),
                Some(figure) if set == Set::Files => format!("{figure:.2}"),
                Some(figure) => thousands(figure),
            };
            // The device is the same for all.
            let is_best = median.is_some() && median == best && *row != Row::Device;
            match counts(entry.name, *row) {
                false => write!(text, " ({shown}) |")?,
                true if is_best => write!(text, " **{shown}** |")?,
                true => write!(text, " {shown} |")?,
            }
        }
        writeln!(text)?;
    }
    writeln!(text)?;
    Ok(())
}

fn goals(text: &mut String, rounds: &[Round], set: Set, goals: &[Goal]) -> Result {
    writeln!(text, "| row | goal | median | least … most | |\n|---|---|--:|--:|---|")?;
    for Goal { row, by, bound, said } in goals {
        let of_round = |round: &Round| {
            let ours = figure(round, set, OURS, *row)?;
            Some(match by {
                By::Itself => ours,
                By::Fastest => ours / fastest(round, set, *row)?,
                By::Engine(name) => ours / figure(round, set, name, *row)?,
                By::Own(other) => ours / figure(round, set, OURS, *other)?,
            })
        };
        verdict(text, row.names().0, said, rounds, of_round, |figure| bound.is_reached(figure))?;
    }
    writeln!(text)?;
    Ok(())
}

/// The encrypted environment as a part of the plain one.
fn encryption(text: &mut String, rounds: &[Round], set: Set) -> Result {
    const LEAST: f64 = 0.85;
    if !rounds.iter().any(|round| round.contains_key(&(set, ENCRYPTED))) {
        return Ok(());
    }
    writeln!(
        text,
        "| encrypted, of plain | goal | median | least … most | |\n|---|---|--:|--:|---|"
    )?;
    for row in Row::RATES.into_iter().filter(|row| *row != Row::Device) {
        let part = |round: &Round| {
            Some(figure(round, set, ENCRYPTED, row)? / figure(round, set, OURS, row)?)
        };
        let said = format!("≥ {LEAST}");
        verdict(text, row.names().0, &said, rounds, part, |part| part >= 0.95 * LEAST)?;
    }
    writeln!(text)?;
    Ok(())
}

fn verdict(
    text: &mut String,
    name: &str,
    said: &str,
    rounds: &[Round],
    of: impl Fn(&Round) -> Option<f64>,
    is_reached: impl Fn(f64) -> bool,
) -> Result {
    let mut figures: Vec<_> = rounds.iter().filter_map(of).collect();
    figures.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (figures.first(), figures.last()) else {
        return Ok(writeln!(text, "| {name} | {said} | – | – | not measured |")?);
    };
    let middle = figures[figures.len() / 2];
    let verdict = if is_reached(middle) { "reached" } else { "**missed**" };
    Ok(writeln!(text, "| {name} | {said} | {middle:.2} | {least:.2} … {most:.2} | {verdict} |")?)
}

fn with_little_memory(
    text: &mut String,
    engines: &[&Entry],
    larges: &Larges,
    size: Size,
) -> Result {
    let mib = larger::MEMORY >> 20;
    writeln!(text, "### Larger than memory\n")?;
    let rounds = match larges {
        Ok(rounds) => rounds,
        Err(why) => {
            return Ok(writeln!(
                text,
                "**Skipped** where this page was written: {} MiB of entries in {mib} MiB of memory: {why}.",
                size.larger_mib
            )?);
        }
    };
    writeln!(
        text,
        "{} MiB of entries with values of 1 KiB, loaded in order, then changed at random in commits of 100 for {} s, then \
         read at\nrandom for as long, in {mib} MiB of memory, cached files included, with caches of 256 MiB. The median \
         of {} rounds. Who\ndoes not get by with that has no figures.\n",
        size.larger_mib,
        size.larger_seconds,
        rounds.len()
    )?;
    heading(text, "", engines)?;
    let mut line = |name: &str, of: fn(&Larger) -> f64| -> Result {
        write!(text, "| {name} |")?;
        for entry in engines {
            let figures: Vec<_> =
                rounds.iter().filter_map(|round| round.get(entry.name)).map(of).collect();
            match figures.is_empty() {
                true => write!(text, " – |")?,
                false => write!(text, " {} |", thousands_or_part(median(figures)))?,
            }
        }
        Ok(writeln!(text)?)
    };
    line("updates, entries/s", |larger| larger.updates)?;
    line("written, by what changes", |larger| larger.written)?;
    line("reads, entries/s", |larger| larger.reads)?;
    line("peak memory, MiB", |larger| larger.peak_memory as f64 / f64::from(1 << 20))
}

fn thousands_or_part(figure: f64) -> String {
    if figure < 100.0 { format!("{figure:.2}") } else { thousands(figure) }
}

/// Each with the name of its file.
pub fn charts(engines: &[&Entry], rounds: &[Round]) -> Vec<(&'static str, Chart)> {
    let others: Vec<_> = engines.iter().filter(|entry| entry.name != OURS).collect();
    let mut lines = Vec::new();
    for (set, title) in [(Set::Short, "values of 100 bytes"), (Set::Long, "values of 1 KiB")] {
        lines.push(Line::heading(title));
        for row in Row::RATES.into_iter().filter(|row| *row != Row::Device) {
            let part = |name: &'static str| {
                middle(rounds, |round| {
                    Some(figure(round, set, name, row)? / fastest(round, set, row)?)
                })
            };
            lines.push(Line {
                label: row.names().0.to_owned(),
                bar: part(OURS),
                dots: others.iter().map(|entry| part(entry.name)).collect(),
            });
        }
    }
    let chart = Chart {
        title: "Row by row: more is better".into(),
        axis: "rate by that of the fastest other engine (logarithmic)".into(),
        bars: OURS.into(),
        dots: others.iter().map(|entry| entry.name.to_owned()).collect(),
        base: Some(1.0),
        lines,
    };
    vec![("rows.svg", chart)]
}
