//! Planted bugs: what proves that the torture rigs find any.
//!
//! Under `--cfg planted` a process can be told to have one of the bugs that the catalogue of
//! `cairn-torture` lists; the places in the engine ask [`is`], or [`is_race`] where it takes several
//! threads to notice. Without that flag, and so in every build that anybody uses, the answer is a
//! constant and the places are gone.

#[cfg(planted)]
use std::sync::atomic::{AtomicU32, Ordering};

/// Whether this build can have planted bugs.
pub const POSSIBLE: bool = cfg!(planted);

/// The bug that this process has; 0: none.
#[cfg(planted)]
static PLANT: AtomicU32 = AtomicU32::new(0);

/// From now on this process has the bug `number` of the catalogue: to be called before the engine is.
#[cfg(planted)]
pub fn plant(number: u32) {
    PLANT.store(number, Ordering::Relaxed);
}

/// Does nothing: this build cannot have planted bugs.
#[cfg(not(planted))]
pub const fn plant(_number: u32) {}

/// Whether this process has the bug `number`.
#[cfg(planted)]
#[must_use]
pub fn is(number: u32) -> bool {
    PLANT.load(Ordering::Relaxed) == number
}

/// No: this build cannot have planted bugs.
#[cfg(not(planted))]
#[must_use]
#[inline(always)]
pub const fn is(_number: u32) -> bool {
    false
}

/// Whether this process has the race of this number: those of the schedules, which the other rigs are not
/// asked to find. For [`plant`] they are counted from [`RACES`] on.
#[must_use]
#[inline(always)]
pub fn is_race(number: u32) -> bool {
    is(RACES + number)
}

/// What is above this is the number of a race.
pub const RACES: u32 = 1000;
