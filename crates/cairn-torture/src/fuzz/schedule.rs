//! `transaction_schedule`: transactions that get in each other's way, in any order of their steps.

use cairn_sim::FuzzBytes;

use crate::serial::{Key, Plan, check, scheduled};

/// The first byte says how many clients there are, the second how many keys; the others are whose turn
/// it is, and what each does. What all of them saw must be explained by the order of the commits.
///
/// # Panics
/// If it is not.
pub fn transaction_schedule(input: &[u8]) {
    /// Bytes that a transaction takes, about.
    const EACH: usize = 8;
    const MOST: usize = 200;
    let Some((&[clients, keys], schedule)) = input.split_first_chunk() else { return };
    let plan = Plan {
        clients: 1 + usize::from(clients) % 8,
        keys: 1 + Key::from(keys) % 32,
        ..Plan::new(1 + (schedule.len() / EACH).min(MOST) as u64, 1)
    };
    let history = match scheduled(&plan, &mut FuzzBytes::new(schedule)) {
        Ok(history) => history,
        Err(problem) => panic!("{plan:?}: {problem}"),
    };
    assert_eq!(check(&history.committed), Ok(()), "{plan:?}");
    let ended = history.committed.len() as u64 + history.conflicts;
    assert_eq!(ended, plan.transactions, "each commits or is told of a conflict");
}
