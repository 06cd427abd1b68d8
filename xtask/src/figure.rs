//! `Figure`: what a command has counted toward a goal, in the form in which the rigs say it.

use std::path::Path;

use crate::{
    Result,
    reliability::ledger::{self, Entry},
};

/// One count.
pub(crate) struct Figure {
    /// `G16`.
    pub(crate) goal: &'static str,
    /// What was counted, as the goal names it.
    pub(crate) name: &'static str,
    /// How many.
    pub(crate) value: u64,
    /// How many of them were not as they must be.
    pub(crate) wrong: u64,
}

/// Prints the figures, and adds them to a file if one is named.
pub(crate) fn report(figures: &[Figure], seed: u64, file: Option<&Path>) -> Result {
    for Figure { goal, name, value, wrong } in figures {
        println!("{goal} {name}: {value}, {wrong} wrong");
    }
    let Some(file) = file else { return Ok(()) };
    let entry = |figure: &Figure| Entry {
        goal: figure.goal.to_owned(),
        name: figure.name.to_owned(),
        value: figure.value,
        wrong: figure.wrong,
        seed: format!("{seed:#x}"),
        command: String::new(),
        commit: String::new(),
        date: String::new(),
        seconds: 0,
    };
    ledger::append(file, &figures.iter().map(entry).collect::<Vec<_>>())
}
