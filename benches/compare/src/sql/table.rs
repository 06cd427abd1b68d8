//! The part of the page about SQL.

use std::fmt::Write as _;

use super::{Kind, Row, Sql};
use crate::{Result, measure::median};

/// One round of a row: what each kind has reached, and written.
pub struct Measured {
    pub figures: Vec<f64>,
    pub bytes: Vec<u64>,
}

/// Of one kind's figures in each round, those of another.
fn ratio(rounds: &[Measured], at: usize, by: usize) -> f64 {
    median(rounds.iter().map(|round| round.figures[at] / round.figures[by]).collect())
}

fn bytes(rounds: &[Measured], at: usize) -> f64 {
    let of = |round: &Measured| round.bytes[at] as f64 / round.bytes[0].max(1) as f64;
    median(rounds.iter().map(of).collect())
}

fn figure(rounds: &[Measured], at: usize) -> f64 {
    median(rounds.iter().map(|round| round.figures[at]).collect())
}

/// A row while the others still run.
pub fn line(row: &Row, kinds: &[Kind], rounds: &[Measured]) -> String {
    let of = |(at, kind): (usize, &Kind)| {
        let (figure, ratio) = (shown(figure(rounds, at)), ratio(rounds, at, 0));
        format!("{} {figure} ({ratio:.2}×, bytes {:.2}×)", kind.name(), bytes(rounds, at))
    };
    let all: Vec<_> = kinds.iter().enumerate().map(of).collect();
    format!("    {} {}", all.join("; "), row.unit)
}

pub fn text(
    sql: &Sql,
    kinds: &[Kind],
    measured: &[(&Row, Vec<Measured>)],
    pages: &[[String; 4]],
) -> Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "## SQL\n\nThe same build of SQLite with files of its own in WAL mode, and on an environment: plain, \
         encrypted, and\nwithout mapped files. Tables of {} rows of about 100 bytes; what is copied has {} rows. Every \
         figure is\nthe median of {} rounds, in which all take turns; more is better. `FULL` waits for the disk with \
         each\ncommit, `NORMAL` does not. This part is written by\n\n```sh\ncargo xtask bench compare sql --write \
         docs/benchmarks.md\n```\n",
        sql.rows, sql.copied, sql.rounds
    )?;
    let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
    writeln!(text, "|  | {} |\n|---|{}", names.join(" | "), "--:|".repeat(names.len()))?;
    for (row, rounds) in measured {
        let cells: Vec<_> = (0..kinds.len()).map(|at| shown(figure(rounds, at))).collect();
        let unit = if row.unit.is_empty() { String::new() } else { format!(", {}", row.unit) };
        writeln!(text, "| {}{unit} | {} |", row.name, cells.join(" | "))?;
    }
    writeln!(
        text,
        "\nGoals: of SQLite's figure, within a round; an encrypted environment's of the plain one's.\n\n| row | goal | \
         {} | |\n|---|--:|{}---|",
        names[1..].join(" | "),
        "--:|".repeat(names.len() - 1)
    )?;
    let plain = kinds.iter().position(|kind| *kind == Kind::Cairn);
    for (row, rounds) in measured {
        goals(&mut text, kinds, row, rounds)?;
        let encrypted = kinds.iter().position(|kind| *kind == Kind::Encrypted);
        if let Some((plain, encrypted)) = plain.zip(encrypted) {
            let of = ratio(rounds, encrypted, plain);
            let cells: Vec<_> = (1..kinds.len())
                .map(|at| if at == encrypted { format!("{of:.2}") } else { String::new() })
                .collect();
            let verdict = verdict(of >= row.encrypted);
            let (name, goal) = (row.name, row.encrypted);
            writeln!(text, "| {name}, of plain | ≥ {goal} | {} | {verdict} |", cells.join(" | "))?;
        }
    }
    if !pages.is_empty() {
        writeln!(
            text,
            "\nA file of {} pages of 4 KiB, in an environment with a cache of 64 MiB that maps no files:\n\n\
             | | goal | measured | |\n|---|--:|--:|---|",
            sql.pages
        )?;
        for row in pages {
            writeln!(text, "| {} |", row.join(" | "))?;
        }
    }
    Ok(text)
}

/// What a row must reach beside stock, which the plain environment does or does not.
fn goals(text: &mut String, kinds: &[Kind], row: &Row, rounds: &[Measured]) -> Result {
    let mut one =
        |name: &str, goal: String, of: &dyn Fn(usize) -> f64, holds: &dyn Fn(f64) -> bool| {
            let cells: Vec<_> = (1..kinds.len()).map(|at| format!("{:.2}", of(at))).collect();
            let verdict = verdict(holds(of(1)));
            writeln!(text, "| {name} | {goal} | {} | {verdict} |", cells.join(" | "))
        };
    if row.goal > 0.0 {
        let holds = |of: f64| of >= row.goal;
        one(row.name, format!("≥ {:.2}", row.goal), &|at| ratio(rounds, at, 0), &holds)?;
    } else {
        one(row.name, "≥ 0.50".into(), &|at| figure(rounds, at), &|of| of >= 0.5)?;
    }
    if let Some(most) = row.bytes {
        let name = format!("{}: bytes", row.name);
        one(&name, format!("≤ {most:.2}"), &|at| bytes(rounds, at), &|of| of <= most)?;
    }
    Ok(())
}

const fn verdict(is_reached: bool) -> &'static str {
    if is_reached { "reached" } else { "**missed**" }
}

/// With three digits at least.
fn shown(figure: f64) -> String {
    if figure >= 100.0 { format!("{figure:.0}") } else { format!("{figure:.2}") }
}
