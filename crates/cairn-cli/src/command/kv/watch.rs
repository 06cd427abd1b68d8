//! `cairn kv watch`: what changes in a store, seen from outside.
//!
//! An observer is told what its own process commits. From outside, what is durable is looked at again and
//! again; so of several changes of an entry between two looks only the last one shows.

use std::{cmp::Ordering, time::Duration};

use cairn_io::{RealWorld, World};
use cairndb::{
    Environment,
    kv::{Entry, KvStore, ResultSet},
};
use serde::Serialize;

use super::{Place, ValueJson, show};
use crate::{
    Outcome,
    exit::{Exit, Failure},
    output::Output,
    saved::EnvironmentArgs,
    text,
};

/// Print what changes in a store, as it is found by looking again
///
/// An application may have the environment open and write. Each look reads the whole store; of several
/// changes of an entry between two looks the last one is printed. It ends when it is interrupted.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn kv watch data notes
  cairn kv watch data notes --prefix t --every 10 --json"
)]
pub(super) struct Watch {
    #[command(flatten)]
    place: Place,
    /// Only keys that begin with this
    #[arg(long, value_name = "P", default_value = "")]
    prefix: String,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    every: f64,
    /// End after so many looks
    #[arg(long, value_name = "N")]
    looks: Option<u64>,
}

#[derive(Serialize)]
struct ChangeJson {
    change: &'static str,
    #[serde(flatten)]
    entry: ValueJson,
}

/// The store as it was found.
struct Look {
    // The order is that in which they go.
    store: KvStore,
    _env: Environment,
}

impl Watch {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let every = Duration::try_from_secs_f64(self.every)
            .map_err(|_| Failure::usage("--every is a number of seconds"))?;
        let world = RealWorld::new();
        let mut before = self.look()?;
        output.flush()?;
        for _ in 0..self.looks.unwrap_or(u64::MAX) {
            world.pause(every);
            let now = self.look()?;
            let (old, new) = (self.entries(&before)?, self.entries(&now)?);
            compare(old, new, |change, entry| {
                let (key, value) = (text::escape(&entry.key), show(&entry.value));
                output.line(format_args!("{change} {key}\t{value}"))?;
                output.event(&ChangeJson { change, entry: ValueJson::from(entry) })
            })?;
            output.flush()?;
            before = now;
        }
        Ok(Exit::Good)
    }

    fn look(&self) -> Result<Look, Failure> {
        let (env, store) = self.place.for_reading(&EnvironmentArgs::default())?;
        Ok(Look { store, _env: env })
    }

    fn entries(&self, look: &Look) -> Result<ResultSet, Failure> {
        Ok(look.store.get_result_set(self.prefix.as_str())?)
    }
}

/// Says in which entries two sets differ, in the order of their keys.
fn compare(
    mut old: ResultSet,
    mut new: ResultSet,
    mut say: impl FnMut(&'static str, &Entry) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let next = |set: &mut ResultSet| -> Result<Option<Entry>, Failure> {
        Ok(if set.move_to_next()? { set.entry()? } else { None })
    };
    let (mut was, mut is) = (next(&mut old)?, next(&mut new)?);
    loop {
        let order = match (&was, &is) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(was), Some(is)) => was.key.cmp(&is.key),
        };
        match (order, &was, &is) {
            (Ordering::Less, Some(was), _) => say("deleted", was)?,
            (Ordering::Greater, _, Some(is)) => say("inserted", is)?,
            (Ordering::Equal, Some(was), Some(is)) if was.value != is.value => say("updated", is)?,
            _ => {}
        }
        if order.is_le() {
            was = next(&mut old)?;
        }
        if order.is_ge() {
            is = next(&mut new)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use cairndb::{
        Options,
        kv::{KvOptions, SecurityLevel},
    };

    use super::*;

    #[test]
    fn what_differs_is_said_once_in_the_order_of_keys() {
        let store = |entries: &[(&str, i32)]| {
            let (env, _) = Environment::in_memory(Options::default()).unwrap();
            let store = KvStore::open(&env, "s", KvOptions::new(SecurityLevel::S1)).unwrap();
            store.put_batch(entries.iter().map(|(key, value)| Entry::new(key, *value))).unwrap();
            store.get_result_set("").unwrap()
        };
        let old = store(&[("a", 1), ("b", 1), ("c", 1), ("e", 1)]);
        let new = store(&[("0", 1), ("b", 2), ("c", 1), ("d", 1), ("f", 1)]);
        let mut said = Vec::new();
        let say = |change, entry: &Entry| {
            said.push(format!("{change} {}", entry.key_str()));
            Ok(())
        };
        assert!(compare(old, new, say).is_ok());
        let expected =
            ["inserted 0", "deleted a", "updated b", "inserted d", "deleted e", "inserted f"];
        assert_eq!(said, expected);
    }
}
