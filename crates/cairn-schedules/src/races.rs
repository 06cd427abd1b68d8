//! Races that are planted in the engine: what proves that the schedules find any.

use std::fmt;

use crate::{Failure, Plan, run};

/// A race, and what the engine does wrong with it.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a table")]
pub struct Race {
    /// Its number in `cairn_io::planted::is_race`.
    pub number: u32,
    /// What is done wrong.
    pub about: &'static str,
}

/// All of them.
#[rustfmt::skip] // a table
pub const RACES: &[Race] = &[
    Race { number: 1, about: "a wake that comes during a step is forgotten" },
    Race { number: 2, about: "whoever has flushed wakes nobody to flush next" },
    Race { number: 3, about: "a failed sync wakes only those who wait for it" },
    Race { number: 4, about: "who closes lets others in until it is done" },
];

impl Race {
    /// Gives the engine this race, and runs what `plan` says; the first failure, if any.
    ///
    /// # Errors
    /// If this build cannot have races or schedules.
    pub fn hunt(&self, plan: &Plan) -> Result<Option<Failure>, String> {
        if !cairn_io::planted::POSSIBLE {
            return Err("this build has no planted races: `cargo xtask schedules` makes one".into());
        }
        cairn_io::planted::plant(cairn_io::planted::RACES + self.number);
        let report = run(plan);
        cairn_io::planted::plant(0);
        Ok(report?.failures.into_iter().next())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { program, seed, schedule, story } = self;
        write!(f, "{}, seed {seed:#x}, schedule {schedule}: {story}", program.name)
    }
}
