//! The part of the page about backups.

use std::fmt::Write as _;

use super::{Data, Round, Turn, commits::Commits};
use crate::{
    Result,
    measure::{median, rate},
};

/// What must be reached: at least, or at most.
enum Goal {
    Least(f64),
    Most(f64),
}

pub fn text(names: &[&str], rounds: &[Round], data: Data, commits: &Commits) -> Result<String> {
    let mut text = String::new();
    let gib = data.bytes() as f64 / f64::from(1 << 30);
    writeln!(
        text,
        "## Backups\n\nAll of {gib:.1} GiB in values of 1000 bytes of noise is saved while the environment is open, \
         one in a\nhundred values is changed, what is new is saved, and the newest state is brought back to a new \
         place. Every\nfigure is the median of {} rounds, in which all take turns; a turn ends when the file system \
         has everything.\nNothing is compressed. `cp` and restic save the files of the environment; RocksDB copies \
         with two threads;\nrestic encrypts what it stores. CairnDB verifies each record that it reads, reads what it \
         has stored again, and\nwalks what it has restored. This part is written by\n\n```sh\ncargo xtask bench \
         compare backup --write docs/benchmarks.md\n```\n",
        rounds.len()
    )?;
    writeln!(text, "|  | {} |\n|---|{}", names.join(" | "), "--:|".repeat(names.len()))?;
    let mut row = |name: &str, of: &dyn Fn(&Turn) -> Option<f64>| -> Result {
        let cells = (0..names.len()).map(|at| {
            let figures: Option<Vec<f64>> = rounds.iter().map(|round| of(&round[at])).collect();
            figures.map_or("–".to_owned(), |figures| shown(median(figures)))
        });
        Ok(writeln!(text, "| {name} | {} |", cells.collect::<Vec<_>>().join(" | "))?)
    };
    row("full backup, MiB/s", &|turn| Some(rate(data.bytes(), turn.full)))?;
    row("incremental backup, s", &|turn| Some(turn.increment?.0.as_secs_f64()))?;
    row("what it adds, MiB", &|turn| Some(turn.increment?.1 as f64 / f64::from(1 << 20)))?;
    row("restore, MiB/s", &|turn| Some(rate(data.bytes(), turn.restore)))?;
    row("check of what is stored, MiB/s", &|turn| {
        let proofs = turn.proofs.as_ref()?;
        Some(rate(proofs.stored_bytes, proofs.check))
    })?;
    row("proof of the newest point, MiB/s", &|turn| {
        Some(rate(data.bytes(), turn.proofs.as_ref()?.prove))
    })?;
    writeln!(text, "\n{commits}\n")?;
    writeln!(text, "| row | goal | median | |\n|---|---|--:|---|")?;
    let mut goal = |what: &str, goal: &Goal, figure: f64| -> Result {
        let (said, is_reached) = match *goal {
            Goal::Least(least) => (format!("≥ {least}"), figure >= least),
            Goal::Most(most) => (format!("≤ {most}"), figure <= most),
        };
        let verdict = if is_reached { "reached" } else { "**missed**" };
        Ok(writeln!(text, "| {what} | {said} | {figure:.2} | {verdict} |")?)
    };
    let ratio = |of: &dyn Fn(&Round) -> f64| median(rounds.iter().map(of).collect());
    for (at, name) in names.iter().enumerate().skip(1) {
        let least = if *name == "cp" { 0.8 } else { 1.2 };
        let full = ratio(&|round| round[at].full.as_secs_f64() / round[0].full.as_secs_f64());
        goal(&format!("full backup, of the rate of {name}"), &Goal::Least(least), full)?;
        let times = |round: &Round| {
            let seconds = |at: usize| round[at].increment.map(|(took, _)| took.as_secs_f64());
            seconds(at).zip(seconds(0)).map(|(other, ours)| other / ours)
        };
        if let Some(times) = rounds.iter().map(times).collect::<Option<Vec<_>>>() {
            let what = format!("incremental backup, times as fast as {name}");
            goal(&what, &Goal::Least(5.0), median(times))?;
        }
    }
    goal("commits beside a full backup, p99 by p99 without", &Goal::Most(2.0), commits.ratio)?;
    let of_cp = ratio(&|round| round[1].restore.as_secs_f64() / round[0].restore.as_secs_f64());
    goal("restore, of the rate of cp", &Goal::Least(0.8), of_cp)?;
    let proofs = |of: &dyn Fn(&Turn) -> Option<f64>| -> f64 {
        median(rounds.iter().filter_map(|round| of(&round[0])).collect())
    };
    let check = proofs(&|turn| {
        let proofs = turn.proofs.as_ref()?;
        Some(proofs.stored_bytes as f64 / 1e9 / proofs.check.as_secs_f64())
    });
    goal("check of what is stored, GB/s", &Goal::Least(2.0), check)?;
    let prove = proofs(&|turn| {
        Some(turn.restore.as_secs_f64() / turn.proofs.as_ref()?.prove.as_secs_f64())
    });
    goal("proof, of the rate of a restore", &Goal::Least(1.0), prove)?;
    Ok(text)
}

/// With three digits at least.
fn shown(figure: f64) -> String {
    if figure >= 100.0 { format!("{figure:.0}") } else { format!("{figure:.2}") }
}
