//! Planted bugs: small changes of the engine that the rigs must find, or the rigs are worth nothing.
//!
//! A build under `--cfg planted` has all of the [`CATALOGUE`]; a process has one of them, which an
//! environment variable names, so that the processes that it starts have it as well. A [`Hunt`] gives it
//! to one rig after the other, the cheapest first, until one complains. The catalogue knows nothing of who
//! found what: the order is the same for all.

mod catalogue;
mod hunt;
mod ledger;
#[cfg(test)]
mod tests;

use std::fmt;

pub use catalogue::{CATALOGUE, Model, Plant};
pub use hunt::{Found, Hunt, Plan};

use crate::{figure::Figure, pool};
use ledger::Ledger;

/// Names the bug that a process is to have, by its number.
pub const VARIABLE: &str = "CAIRN_PLANTED";

/// Has this process have the bug that its environment names, if any: to be called first of all.
pub fn plant() {
    let number = std::env::var(VARIABLE).ok().and_then(|number| number.parse().ok());
    cairn_io::planted::plant(number.unwrap_or(0));
}

impl Plant {
    /// The bug of this number.
    #[must_use]
    pub fn find(number: u32) -> Option<&'static Self> {
        CATALOGUE.iter().find(|plant| plant.number == number)
    }
}

impl fmt::Display for Plant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>2} {}", self.number, self.name)
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.year {
            0 => write!(f, "{}", self.project),
            year => write!(f, "{} {year}", self.project),
        }
    }
}

/// What became of all hunts.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a table with its footer")]
pub struct Report {
    /// What a process without a bug was told by the rigs: it must be nothing.
    pub control: Hunt,
    /// The plants and who found them.
    pub hunts: Vec<Hunt>,
}

impl Report {
    /// Hunts the plants, and gives all rigs an engine without any, as a control. `told`
    /// hears of each as it ends. What stands in the ledger of the plan is not done again.
    ///
    /// # Errors
    /// If a process cannot be started, or the ledger not be read or written.
    pub fn new(
        plants: &[&'static Plant],
        plan: &Plan,
        told: &(dyn Fn(&Hunt) + Sync),
    ) -> std::io::Result<Self> {
        let jobs: Vec<_> = [None].into_iter().chain(plants.iter().copied().map(Some)).collect();
        let ledger = match &plan.ledger {
            Some(path) => Some(Ledger::open(path, hunt::program()?)?),
            None => None,
        };
        let hunts = pool::run(plan.threads, &jobs, |plant| {
            let known = ledger.as_ref().and_then(|ledger| ledger.find(*plant));
            let hunt = match known {
                Some(known) => known,
                None => hunt::hunt(*plant, plan)?,
            };
            told(&hunt);
            ledger.iter().try_for_each(|ledger| ledger.note(&hunt))?;
            Ok(hunt)
        });
        let mut hunts = hunts.into_iter().collect::<std::io::Result<Vec<_>>>()?;
        let control = hunts.remove(0);
        Ok(Self { control, hunts })
    }

    /// The plants that no rig has found.
    pub fn missed(&self) -> impl Iterator<Item = &Hunt> {
        self.hunts.iter().filter(|hunt| hunt.found.is_none())
    }

    /// Whether each plant was found, and nothing else.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.control.found.is_none() && self.missed().next().is_none()
    }

    /// What counts toward goals: wrong is what rigs complain of without a bug, and each that was missed.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let missed = self.missed().count() as u64;
        let found = self.hunts.len() as u64 - missed;
        let false_alarms = u64::from(self.control.found.is_some());
        vec![
            Figure { goal: "G20", name: "planted bugs found", value: found, wrong: false_alarms },
            Figure { goal: "G20", name: "planted bugs missed", value: missed, wrong: missed },
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = CATALOGUE.iter().map(|plant| plant.name.len()).max().unwrap_or(0) + 3;
        let missed: Vec<_> = self.missed().collect();
        for hunt in &missed {
            writeln!(f, "MISSED {hunt:width$}")?;
        }
        for hunt in self.hunts.iter().filter(|hunt| hunt.found.is_some()) {
            writeln!(f, "       {hunt:width$}")?;
        }
        match &self.control.found {
            None => writeln!(f, "without a bug, no rig complains")?,
            Some(found) => {
                writeln!(f, "FALSE ALARM without a bug, by {}: {}", found.rig, found.how)?
            }
        }
        let planted = self.hunts.len();
        write!(f, "{} of {planted} planted bugs found", planted - missed.len())
    }
}
