//! The workloads: what kinds of operations each is made of, and which part of the engine it is for.

mod author;
mod catalogue;

use cairn_sim::{Chooser, Seeded};

use author::{Author, Part};
pub use catalogue::WORKLOADS;

use crate::{
    operation::Operation,
    script::{Script, Settings},
};

/// A kind of workload; with a seed it becomes a [`Script`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Workload {
    /// Its name.
    pub name: &'static str,
    settings: Settings,
    /// With how many seeds it runs in a round: short ones with more.
    pub runs_in_round: usize,
    /// How many changes its first commit has, if not as many as others.
    begins_with: usize,
    /// Whether what follows happens in a generation that a restore in place has made.
    is_restored: bool,
    /// Processes die at the call whose number is the seed, modulo this: seeds in a row try each.
    call_of_death: Option<u32>,
    /// How many parts it has.
    parts: usize,
    /// How many databases there are.
    databases: usize,
    /// How many keys there are: the fewer, the more is overwritten.
    keys: usize,
    /// Lengths of values.
    lens: &'static [usize],
    /// Changes of a transaction, at most.
    changes: usize,
    /// One change in so many drops a database; 0: none.
    drops: usize,
    /// What the parts are, each as probable as its weight.
    weights: &'static [(u32, Part)],
}

impl Workload {
    /// The workload of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        WORKLOADS.iter().find(|workload| workload.name == name)
    }

    /// The script of a seed: the same for the same seed.
    #[must_use]
    pub fn script(&self, seed: u64) -> Script {
        let mut random = Seeded::new(seed).stream(self.name);
        let settings = Settings { seed: random.next_u64(), ..self.settings };
        let mut operations = self.operations(&mut random);
        if let Some(most) = self.call_of_death {
            for operation in &mut operations {
                if let Operation::Die(calls, _) = operation {
                    *calls = u32::try_from(seed % u64::from(most)).unwrap_or(0);
                }
            }
        }
        Script { settings, operations }
    }

    /// The operations that `chooser` wants.
    pub fn operations(&self, chooser: &mut (impl Chooser + ?Sized)) -> Vec<Operation> {
        Author::new(self, chooser).write()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_script_and_every_script_prints_and_parses() {
        for workload in WORKLOADS {
            let script = workload.script(3);
            assert_eq!(script, Workload::find(workload.name).unwrap().script(3));
            assert_ne!(script, workload.script(4), "{}", workload.name);
            assert_eq!(script.to_string().parse(), Ok(script));
        }
    }
}
