//! `simulation`: key-value stores with a model, and faults: the input is what is chosen.

use cairn_sim::FuzzBytes;

use crate::simulate::{Plan, simulate};

/// Runs a short simulation in which the bytes decide what happens.
///
/// # Panics
/// If a promise is broken.
pub fn simulation(input: &[u8]) {
    let outcome = simulate(&Plan::FUZZ, &mut FuzzBytes::new(input), false);
    if let Some(problem) = outcome.problem {
        panic!("{problem}");
    }
}
