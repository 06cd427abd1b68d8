//! The ledger: what shards have counted, each figure as a line of JSON that names its commit and seed.

use std::{fs, io::Write as _, path::Path};

use serde::{Deserialize, Serialize};

use crate::Result;

/// One figure of one shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The goal: `G1`.
    pub(crate) goal: String,
    /// What was counted.
    pub(crate) name: String,
    /// How many.
    pub(crate) value: u64,
    /// How many of them were not as they must be.
    pub(crate) wrong: u64,
    /// The seed that repeats it.
    pub(crate) seed: String,
    /// The command, as the words after `cargo xtask`.
    #[serde(default)]
    pub(crate) command: String,
    /// The commit, marked if the tree was not as committed.
    #[serde(default)]
    pub(crate) commit: String,
    /// The day, in UTC.
    #[serde(default)]
    pub(crate) date: String,
    /// How long the command ran, building not included if it was built.
    #[serde(default)]
    pub(crate) seconds: u64,
}

/// Reads a ledger; one that is not there is empty.
pub(crate) fn read(path: &Path) -> Result<Vec<Entry>> {
    match fs::read_to_string(path) {
        Ok(text) => parse(&text).map_err(|error| format!("{}: {error}", path.display()).into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(format!("cannot read {}: {error}", path.display()).into()),
    }
}

/// Takes lines apart. A last line that a stopped run has not finished is left out.
fn parse(text: &str) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        match serde_json::from_str(line) {
            Ok(entry) => entries.push(entry),
            Err(_) if !line.ends_with('\n') => {}
            Err(error) => return Err(format!("line {number}: {error}").into()),
        }
    }
    Ok(entries)
}

/// Adds entries to the end.
pub(crate) fn append(path: &Path, entries: &[Entry]) -> Result {
    let mut text = String::new();
    for entry in entries {
        text.push_str(&serde_json::to_string(entry)?);
        text.push('\n');
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

/// What is published when a run has measured again: its goals are replaced, the others stay.
pub(crate) fn merge(published: Vec<Entry>, measured: Vec<Entry>) -> Vec<Entry> {
    let is_older = |entry: &Entry| !measured.iter().any(|new| new.goal == entry.goal);
    let mut all: Vec<Entry> = published.into_iter().filter(is_older).collect();
    all.extend(measured);
    let number = |entry: &Entry| entry.goal.trim_start_matches('G').parse::<u64>().unwrap_or(0);
    all.sort_by_key(number);
    all
}

#[cfg(test)]
pub(super) fn entry(goal: &str, name: &str, value: u64, wrong: u64) -> Entry {
    Entry {
        goal: goal.to_owned(),
        name: name.to_owned(),
        value,
        wrong,
        seed: "0x1".to_owned(),
        command: "rig --seed 0x1".to_owned(),
        commit: "0123456".to_owned(),
        date: "2026-01-02".to_owned(),
        seconds: 90,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_is_left_out_and_a_broken_one_is_not() {
        let line = serde_json::to_string(&entry("G1", "states", 7, 0)).unwrap();
        let found = parse(&format!("{line}\n{}", &line[..20])).unwrap();
        assert_eq!(found, [entry("G1", "states", 7, 0)]);
        let error = parse(&format!("{}\n{line}\n", &line[..20])).unwrap_err().to_string();
        assert!(error.starts_with("line 1: "), "{error}");
    }

    #[test]
    fn what_a_rig_writes_is_an_entry() {
        let line =
            r#"{"goal":"G1","name":"distinct crash states","seed":"0x10","value":7,"wrong":0}"#;
        let entry: Entry = serde_json::from_str(line).unwrap();
        assert_eq!((entry.value, &*entry.seed, &*entry.commit), (7, "0x10", ""));
    }

    #[test]
    fn goals_that_were_measured_again_are_replaced() {
        let published = vec![entry("G1", "states", 7, 0), entry("G5", "bits", 8, 0)];
        let measured = vec![entry("G10", "cuts", 1, 0), entry("G1", "states", 9, 0)];
        let merged = merge(published, measured);
        let found: Vec<_> = merged.iter().map(|entry| (&*entry.goal, entry.value)).collect();
        assert_eq!(found, [("G1", 9), ("G5", 8), ("G10", 1)]);
    }
}
