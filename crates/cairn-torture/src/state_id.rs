//! `StateId`: the name of one crash state, from which it can be made again.

use std::{fmt, str::FromStr};

use cairn_sim::{Bounds, Level};

use crate::{operation::parse_level, workload::Workload};

/// How thoroughly the crashes of a run are gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Effort {
    /// Its name.
    pub name: &'static str,
    /// What [`cairn_sim::Crash::images`] makes.
    pub bounds: Bounds,
    /// How many images of one level are looked at where the run is cut: an even selection if there
    /// are more.
    pub images_max: usize,
    /// How many states each cell of the table must have.
    pub cell_min: u64,
}

impl Effort {
    /// To be told soon: for an engine that is suspected.
    pub const QUICK: Self =
        Self { name: "quick", bounds: Bounds::smoke(), images_max: 1, cell_min: 0 };

    /// For every change to the code.
    pub const SMOKE: Self =
        Self { name: "smoke", bounds: Bounds::smoke(), images_max: 4, cell_min: 12 };

    /// For long runs.
    pub const FULL: Self = Self {
        name: "full",
        bounds: Bounds {
            subsets_of_max: 8,
            subsets_sampled: 64,
            torn_subsets_of_max: 2,
            torn_subsets_sampled: 1,
            every_byte_max: 256,
            edges_max: 8,
            tears_sampled: 8,
            seed: 0,
        },
        images_max: 96,
        cell_min: 1000,
    };

    fn find(name: &str) -> Option<Self> {
        [Self::QUICK, Self::SMOKE, Self::FULL].into_iter().find(|effort| effort.name == name)
    }
}

/// Names one crash state. It prints as a word and parses back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "coordinates")]
pub struct StateId {
    /// How the run was gone through.
    pub effort: Effort,
    /// Which run.
    pub run: RunId,
    /// The disk, and from which power failure on.
    pub life: usize,
    /// How many operations the disk had carried out.
    pub position: usize,
    /// How the crash treated what was not durable.
    pub level: Level,
    /// Which of the images of that level.
    pub index: usize,
}

/// Names one run of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "coordinates")]
pub struct RunId {
    /// The workload; `script` for one from a file.
    pub workload: String,
    /// Its seed.
    pub seed: u64,
}

impl RunId {
    /// The run of a workload with this seed.
    #[must_use]
    pub fn of(workload: &Workload, seed: u64) -> Self {
        Self { workload: workload.name.to_owned(), seed }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:#x}", self.workload, self.seed)
    }
}

impl fmt::Display for StateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { effort, run, life, position, level, index } = self;
        write!(f, "{}/{run}/{life}/{position}/{level}/{index}", effort.name)
    }
}

/// A text that names no run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a run of the form workload/seed: {0:?}")]
pub struct InvalidRunId(String);

impl FromStr for RunId {
    type Err = InvalidRunId;

    fn from_str(text: &str) -> Result<Self, InvalidRunId> {
        let parse = || {
            let (workload, seed) = text.split_once(['/', ':'])?;
            let seed = match seed.strip_prefix("0x") {
                Some(hex) => u64::from_str_radix(hex, 16).ok()?,
                None => seed.parse().ok()?,
            };
            Some(Self { workload: workload.to_owned(), seed })
        };
        parse().ok_or_else(|| InvalidRunId(text.to_owned()))
    }
}

/// A text that names no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a state of the form effort/workload/seed/life/position/level/index: {0:?}")]
pub struct InvalidStateId(String);

impl FromStr for StateId {
    type Err = InvalidStateId;

    fn from_str(text: &str) -> Result<Self, InvalidStateId> {
        let parse = || {
            let parts: Vec<_> = text.split('/').collect();
            let [effort, workload, seed, life, position, level, index] = parts[..] else {
                return None;
            };
            Some(Self {
                effort: Effort::find(effort)?,
                run: format!("{workload}/{seed}").parse().ok()?,
                life: life.parse().ok()?,
                position: position.parse().ok()?,
                level: parse_level(level)?,
                index: index.parse().ok()?,
            })
        };
        parse().ok_or_else(|| InvalidStateId(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_prints_and_parses_back() {
        assert_eq!("commits/0x1f".parse::<RunId>().unwrap().to_string(), "commits/0x1f");
        assert_eq!("commits:31".parse::<RunId>().unwrap().to_string(), "commits/0x1f");
        assert!("commits".parse::<RunId>().is_err());
    }

    #[test]
    fn a_state_prints_and_parses_back() {
        let text = "smoke/commits/0x1f/0/217/L3/4";
        assert_eq!(text.parse::<StateId>().unwrap().to_string(), text);
        for text in ["", "smoke/commits/0x1f/0/217/L3", "x/commits/0x1f/0/217/L3/4"] {
            assert!(text.parse::<StateId>().is_err());
        }
    }
}
