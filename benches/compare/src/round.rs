//! Rounds: each engine in turn, each turn in a process of its own.

use std::{collections::BTreeMap, path::Path, process};

use crate::{
    Result, Run,
    engine::{ENGINES, Entry},
    large, page, report,
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
    let chosen: Vec<_> = match run.only.is_empty() {
        true => ENGINES.iter().collect(),
        false => run.only.iter().map(|name| find(name)).collect::<Result<_>>()?,
    };
    let mut rounds = Vec::new();
    for number in 0..run.rounds {
        let mut round = Round::new();
        for place in 0..chosen.len() {
            // Nobody always comes first, nor always after the same neighbour.
            let entry = chosen[(place + number) % chosen.len()];
            eprintln!("round {} of {}: {}", number + 1, run.rounds, entry.name);
            round.insert(entry.name, child(entry, run)?);
        }
        rounds.push(round);
    }
    let large = match run.skip_large {
        true => None,
        false => {
            eprintln!("1 GiB");
            let dir = scratch(run)?;
            Some(large::measure(&dir.path().join("env"))?)
        }
    };
    let text = report::page(&chosen, &rounds, large.as_ref(), run.size)?;
    println!("{text}");
    if let Some(path) = &run.write {
        page::write(path, "engines", &text)?;
    }
    Ok(())
}

fn find(name: &str) -> Result<&'static Entry> {
    let names = || ENGINES.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ");
    let found = ENGINES.iter().find(|entry| entry.name == name);
    found.ok_or_else(|| format!("no engine {name}; there are {}", names()).into())
}

fn scratch(run: &Run) -> Result<tempfile::TempDir> {
    let builder = tempfile::Builder::new().prefix("cairn-compare").to_owned();
    Ok(match &run.dir {
        Some(dir) => builder.tempdir_in(dir)?,
        None => builder.tempdir()?,
    })
}

fn child(entry: &Entry, run: &Run) -> Result<Turn> {
    let dir = scratch(run)?;
    let Size { entries, millis } = run.size;
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
