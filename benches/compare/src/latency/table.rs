//! The part of the page about latency, and its plot.

use std::{fmt::Write as _, time::Duration};

use super::{Beside, KINDS, Round, commits::Percentiles};
use crate::{
    Result,
    chart::{Chart, Line},
    measure::median,
    report::thousands,
};

/// The 99th percentile beside something by that beside nothing.
const MOST: f64 = 3.0;

impl Beside {
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "quiet",
            Self::Checkpoint => "while a checkpoint runs",
            Self::Cleaner => "while the cleaner runs",
            Self::Backup => "while a backup runs",
        }
    }
}

pub fn text(rounds: &[Round], entries: u64) -> Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "## Latency of commits\n\nOne thread puts single entries of 1 KiB, one after the other, into {} of them; another one \
         makes a checkpoint\nof a quarter of them, cleans files of which half is in use, or backs up everything. Every \
         figure is the median of\n{} rounds; ratios are taken within a round. Less is better. This part is written \
         by\n\n```sh\ncargo xtask bench compare latency --write docs/benchmarks.md\n```\n\n\
         ![How long commits take beside what](benchmarks/latency.svg)\n",
        thousands(entries as f64),
        rounds.len()
    )?;
    writeln!(
        text,
        "| commits | p50 | p99 | p99.9 | commits/round | p99 by quiet p99 | goal | |\n\
         |---|--:|--:|--:|--:|--:|---|---|"
    )?;
    for (kind, _) in KINDS {
        for beside in Beside::ALL {
            let of = |figure: fn(&Percentiles) -> f64| middle(rounds, kind, beside, figure);
            let (Some(p50), Some(p99), Some(p999), Some(count)) =
                (of(p50), of(p99), of(p999), of(|one| one.count as f64))
            else {
                continue;
            };
            write!(
                text,
                "| {kind}, {} | {} | {} | {} | {} |",
                beside.name(),
                shown(p50),
                shown(p99),
                shown(p999),
                thousands(count)
            )?;
            let ratios = rounds.iter().filter_map(|round| {
                Some(
                    self::p99(find(round, kind, beside)?)
                        / self::p99(find(round, kind, Beside::Nothing)?),
                )
            });
            let ratio = median(ratios.collect());
            match beside {
                Beside::Nothing => writeln!(text, " | | |")?,
                _ if ratio <= MOST => writeln!(text, " {ratio:.2} | ≤ {MOST} | reached |")?,
                _ => writeln!(text, " {ratio:.2} | ≤ {MOST} | **missed** |")?,
            }
        }
    }
    Ok(text)
}

fn p50(one: &Percentiles) -> f64 {
    one.p50.as_secs_f64()
}

fn p99(one: &Percentiles) -> f64 {
    one.p99.as_secs_f64()
}

fn p999(one: &Percentiles) -> f64 {
    one.p999.as_secs_f64()
}

fn find<'r>(round: &'r Round, kind: &str, beside: Beside) -> Option<&'r Percentiles> {
    let found = round.iter().find(|measured| measured.kind == kind && measured.beside == beside);
    found.map(|measured| &measured.percentiles)
}

fn middle(
    rounds: &[Round],
    kind: &str,
    beside: Beside,
    figure: fn(&Percentiles) -> f64,
) -> Option<f64> {
    let figures: Vec<_> =
        rounds.iter().filter_map(|round| find(round, kind, beside)).map(figure).collect();
    (!figures.is_empty()).then(|| median(figures))
}

fn shown(seconds: f64) -> String {
    format!("{:.1?}", Duration::from_secs_f64(seconds))
}

pub fn chart(rounds: &[Round]) -> Chart {
    let mut lines = Vec::new();
    for (kind, _) in KINDS {
        lines.push(Line::heading(kind));
        for beside in Beside::ALL {
            let micros = |figure| middle(rounds, kind, beside, figure).map(|figure| figure * 1e6);
            lines.push(Line {
                label: beside.name().into(),
                bar: micros(p99),
                dots: vec![micros(p50), micros(p999)],
            });
        }
    }
    Chart {
        title: "Latency of commits: less is better".into(),
        axis: "microseconds (logarithmic)".into(),
        bars: "p99".into(),
        dots: vec!["p50".into(), "p99.9".into()],
        base: None,
        lines,
    }
}
