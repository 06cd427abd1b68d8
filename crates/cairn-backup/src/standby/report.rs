//! `StandbyStatus`, `StandbyStep`: how far a standby has come.

use std::time::Duration;

use cairn_env::{StandbyInfo, StandbyTarget};
use cairn_log::{FileNumber, Timeline, Uuid};

use super::source::{Arrived, Base};

/// How far a standby has come: [`Standby::status`](super::Standby::status).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StandbyStatus {
    /// Which standby it is.
    pub standby: Uuid,
    /// The environment.
    pub environment: Uuid,
    /// The timeline whose journal it gets.
    pub follows: Timeline,
    /// The newest commit that it has.
    pub commit: u64,
    /// The time of that, in microseconds since 1970, if it is known.
    pub time: Option<u64>,
    /// Where its journal ends that counts: a file, and an offset in bytes.
    pub position: Option<(FileNumber, u64)>,
    /// The newest commit of which the source is known to have it, and its time.
    pub known: Option<(u64, u64)>,
    /// Bytes of journal that have arrived since it was opened.
    pub bytes: u64,
    /// The number of the point from which it has begun, if that is known, and was one.
    pub base: Option<u64>,
    /// How often it has begun again from another base since it was opened.
    pub rebases: u64,
    /// Why it does not go on, if it does not: something is missing that comes next, and there is no newer base.
    pub hole: Option<String>,
    /// How long ago it had all that was there.
    pub since_caught_up: Option<Duration>,
}

/// What one step has brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StandbyStep {
    /// Bytes of journal that have arrived.
    pub bytes: u64,
    /// How many commits count that did not before.
    pub commits: u64,
    /// Whether it has begun again from another base.
    pub rebased: bool,
    /// The newest commit that it has, and its time if that is known.
    pub newest: (u64, Option<u64>),
    /// Whether there is more at once.
    pub has_more: bool,
}

impl StandbyStatus {
    pub(super) const fn new(info: StandbyInfo) -> Self {
        Self {
            standby: info.standby,
            environment: info.environment,
            follows: info.follows,
            commit: 0,
            time: None,
            position: None,
            known: None,
            bytes: 0,
            base: None,
            rebases: 0,
            hole: None,
            since_caught_up: None,
        }
    }

    /// How many commits it lacks, as far as that is known.
    #[must_use]
    pub fn lag_commits(&self) -> u64 {
        self.known.map_or(0, |(commit, _)| commit.saturating_sub(self.commit))
    }

    /// How much older its newest commit is than that of the source, as far as that is known.
    #[must_use]
    pub fn lag(&self) -> Option<Duration> {
        match (self.known, self.time) {
            (Some((commit, _)), _) if commit <= self.commit => Some(Duration::ZERO),
            (Some((_, there)), Some(here)) => {
                Some(Duration::from_micros(there.saturating_sub(here)))
            }
            _ => None,
        }
    }

    pub(super) const fn newest(&self) -> (u64, Option<u64>) {
        (self.commit, self.time)
    }

    pub(super) fn based_on(&mut self, base: Option<Base>) {
        if let Some(base) = base {
            self.base = base.point;
            self.commit = self.commit.max(base.commit);
        }
    }

    pub(super) fn reached(&mut self, target: &StandbyTarget) {
        (self.commit, self.time) = target.newest();
        self.position = target.position();
    }

    pub(super) fn add(&mut self, arrived: &Arrived) {
        self.known = arrived.newest.max(self.known);
        self.bytes += arrived.bytes;
        self.hole.clone_from(&arrived.hole);
    }
}
