//! The checker: the history again, in the order of the commits.

use std::{collections::BTreeMap, fmt};

use super::{Committed, Key, Step};

/// What the order of the commits does not explain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Anomaly {
    /// The number of the commit whose transaction saw it.
    pub commit: u64,
    /// What it says.
    pub what: String,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "commit {}: {}", self.commit, self.what)
    }
}

type State = BTreeMap<Key, u64>;

/// Whether every transaction saw what the commits before its own had left.
///
/// # Errors
/// The first thing that it cannot have seen.
pub fn check(history: &[Committed]) -> Result<(), Anomaly> {
    let mut in_order: Vec<&Committed> = history.iter().collect();
    // Who only read comes after the commit that it saw.
    in_order.sort_by_key(|txn| (txn.commit, !txn.wrote));
    let mut state = State::new();
    let mut newest = None;
    for txn in in_order {
        let wrong = |what: String| Anomaly { commit: txn.commit, what };
        if txn.wrote && newest == Some(txn.commit) {
            return Err(wrong("two commits with this number".into()));
        }
        let after = replay(txn, &state).map_err(wrong)?;
        if txn.wrote {
            (newest, state) = (Some(txn.commit), after);
        } else if after != state {
            return Err(wrong("wrote, and says that it did not".into()));
        }
    }
    Ok(())
}

fn replay(txn: &Committed, before: &State) -> Result<State, String> {
    let mut state = before.clone();
    for (number, step) in txn.steps.iter().enumerate() {
        let expected = match step {
            Step::Get(key, _) => Step::Get(*key, state.get(key).copied()),
            Step::Scan { from, to, back, limit, .. } => {
                let range = state.range(*from..(*to).max(*from));
                let entries = range.map(|(key, value)| (*key, *value));
                let seen = match back {
                    false => entries.take(*limit).collect(),
                    true => entries.rev().take(*limit).collect(),
                };
                Step::Scan { from: *from, to: *to, back: *back, limit: *limit, seen }
            }
            Step::Count(_) => Step::Count(state.len() as u64),
            Step::Put(key, value) => {
                state.insert(*key, *value);
                continue;
            }
            Step::Delete(key) => {
                state.remove(key);
                continue;
            }
        };
        if expected != *step {
            return Err(format!("step {number} is {step:?}, and should be {expected:?}"));
        }
    }
    Ok(state)
}
