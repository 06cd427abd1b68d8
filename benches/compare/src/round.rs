//! Rounds: each engine in turn, each turn in a process of its own.

use std::{collections::BTreeMap, path::Path, process};

use crate::{
    Result, Run,
    engine::{ENGINES, Entry},
    large, measure, page, report,
    work::{self, Size, Turn},
};

/// The turns of one round, by engine.
pub type Round = BTreeMap<&'static str, Turn>;

/// One engine, once, in this process.
pub fn turn(engine: &str, size: Size, dir: &Path) -> Result {
    let entry = find(engine)?;
    println!("{}", serde_json::to_string(&work::turn(entry, size, dir)?)?);
    Ok(())
}

/// All rounds, and the page.
pub fn run(run: &Run) -> Result {
    let chosen = chosen(&run.only)?;
    let mut rounds = Vec::new();
    for number in 0..run.rounds {
        let mut round = Round::new();
        for entry in in_turn(&chosen, number) {
            eprintln!("round {} of {}: {}", number + 1, run.rounds, entry.name);
            round.insert(entry.name, child(entry, run)?);
        }
        rounds.push(round);
    }
    let large = match run.skip_large {
        true => None,
        false => {
            eprintln!("1 GiB");
            let dir = scratch(run.dir.as_deref())?;
            Some(large::measure(&dir.path().join("env"))?)
        }
    };
    let text = report::page(&chosen, &rounds, large.as_ref(), run.size)?;
    println!("{text}");
    if let Some(path) = &run.write {
        page::write(path, "engines", &text)?;
        page::write_beside(path, "engines.svg", &report::chart(&chosen, &rounds).svg()?)?;
    }
    Ok(())
}

/// The engine of that name.
pub fn find(name: &str) -> Result<&'static Entry> {
    let names = || ENGINES.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ");
    let found = ENGINES.iter().find(|entry| entry.name == name);
    found.ok_or_else(|| format!("no engine {name}; there are {}", names()).into())
}

/// Those of these names, or all.
pub fn chosen(only: &[String]) -> Result<Vec<&'static Entry>> {
    match only.is_empty() {
        true => Ok(ENGINES.iter().collect()),
        false => only.iter().map(|name| find(name)).collect(),
    }
}

/// All, in the order of the round of that number: nobody always comes first.
pub fn in_turn(engines: &[&'static Entry], number: usize) -> impl Iterator<Item = &'static Entry> {
    (0..engines.len()).map(move |place| engines[(place + number) % engines.len()])
}

/// A directory that is gone with what is returned, below this one if there is one.
pub fn scratch(dir: Option<&Path>) -> Result<tempfile::TempDir> {
    let builder = tempfile::Builder::new().prefix("cairn-compare").to_owned();
    Ok(match dir {
        Some(dir) => builder.tempdir_in(dir)?,
        None => builder.tempdir()?,
    })
}

fn child(entry: &Entry, run: &Run) -> Result<Turn> {
    let dir = scratch(run.dir.as_deref())?;
    let Size { entries, millis } = run.size;
    measure::warm_memory()?;
    let output = process::Command::new(std::env::current_exe()?)
        .args(["turn", entry.name, "--dir"])
        .arg(dir.path())
        .args(["--entries", &entries.to_string(), "--millis", &millis.to_string()])
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {}", entry.name, said.trim()).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
