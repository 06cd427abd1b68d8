//! `Known`: the states that showed last time that a sync is missed, to be looked at first.
//!
//! They mean something else as soon as a workload or what the engine does changes. That makes a
//! search longer, never wrong: whoever finds nothing there looks everywhere.

use std::{collections::BTreeMap, str::FromStr};

use super::Report;
use crate::{
    state_id::{InvalidStateId, StateId},
    without::Without,
};

/// Syncs by name, with a state in which they were missed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    states: BTreeMap<String, StateId>,
}

/// Printed above the list.
const HEAD: &str = "\
# Where a crash has shown last that a sync is missed: `cargo xtask sync-mutants --known` looks there first, and
# everywhere if it finds nothing. `cargo xtask sync-mutants --write FILE` makes the list anew.
";

impl Known {
    /// The list of the last change that needed a new one.
    ///
    /// # Errors
    /// If a line is none.
    pub fn committed() -> Result<Self, InvalidStateId> {
        include_str!("../../proofs.txt").parse()
    }

    /// What a search has found.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        let states = report.mutants.iter().filter_map(|mutant| {
            let state = mutant.proof.as_ref()?.state.clone()?;
            Some((mutant.without.to_string(), state))
        });
        Self { states: states.collect() }
    }

    /// The list as a file holds it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let lines = self.states.iter().map(|(name, state)| format!("{name} = {state}\n"));
        HEAD.to_owned() + &lines.collect::<String>()
    }

    /// Where these syncs were missed.
    pub(super) fn state(&self, without: Without) -> Option<&StateId> {
        self.states.get(&without.to_string())
    }
}

impl FromStr for Known {
    type Err = InvalidStateId;

    fn from_str(text: &str) -> Result<Self, InvalidStateId> {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let states = lines.map(|line| {
            let (name, state) = line.split_once(" = ").unwrap_or((line, ""));
            Ok((name.to_owned(), state.parse()?))
        });
        Ok(Self { states: states.collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_prints_and_parses_back() {
        let text = format!("{HEAD}commit = smoke/commits/0x1/0/17/L3/4\n");
        assert_eq!(text.parse::<Known>().unwrap().to_text(), text);
        assert!("commit\n".parse::<Known>().is_err());
    }

    #[test]
    fn the_committed_list_names_syncs_and_workloads_that_there_are() {
        let names: Vec<_> = super::super::syncs().iter().map(ToString::to_string).collect();
        for (name, state) in Known::committed().unwrap().states {
            assert!(names.contains(&name), "{name}");
            assert!(crate::workload::Workload::find(&state.run.workload).is_some(), "{state}");
        }
    }
}
