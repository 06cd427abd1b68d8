//! The door of an environment: who is inside, and whether anybody may still enter.
//!
//! Both are one word. Were they two, somebody could look whether the environment is closed, enter after
//! the one who closes has looked who is inside, and be told that a commit is there which the closing has
//! not written: commits were lost like that, and a schedule of two threads showed it.

use std::{ops::Deref, sync::Arc};

use cairn_io::shared::atomic::{AtomicU64, Ordering};

use crate::{EnvError, EnvResult, environment::Open};

/// How many are inside, and above them whether it is closed.
#[derive(Debug, Default)]
pub(crate) struct Door(AtomicU64);

const CLOSED: u64 = 1 << 63;

impl Door {
    pub(crate) fn is_closed(&self) -> bool {
        self.0.load(Ordering::Acquire) & CLOSED != 0
    }

    /// How many are inside.
    pub(crate) fn inside(&self) -> u64 {
        self.0.load(Ordering::Acquire) & !CLOSED
    }

    /// Closes it for good, unless somebody is inside; says whether it did.
    ///
    /// # Errors
    /// If it has been closed before.
    pub(crate) fn close(&self) -> EnvResult<bool> {
        match self.0.compare_exchange(0, CLOSED, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(true),
            Err(found) if found & CLOSED != 0 => Err(EnvError::Closed),
            Err(_) => Ok(false),
        }
    }

    /// Opens it again, as nobody should: for a plant.
    pub(crate) fn reopen(&self) {
        self.0.fetch_and(!CLOSED, Ordering::AcqRel);
    }

    /// Closes it, whoever is inside; says whether it was open.
    pub(crate) fn shut(&self) -> bool {
        self.0.fetch_or(CLOSED, Ordering::AcqRel) & CLOSED == 0
    }
}

/// Somebody inside: as long as it lives the environment is not closed.
#[must_use = "the environment may be closed as soon as it is dropped"]
#[derive(Debug)]
pub(crate) struct Inside {
    core: Arc<Open>,
    counts: bool,
}

/// Somebody who is inside for one call, and keeps nothing of the environment.
#[must_use = "the environment may be closed as soon as it is dropped"]
#[derive(Debug)]
pub(crate) struct Visit<'e>(&'e Open);

impl Open {
    /// Enters for one call, unless the environment has failed or was closed.
    pub(crate) fn visit(&self) -> EnvResult<Visit<'_>> {
        self.failure.check()?;
        self.door.0.fetch_add(1, Ordering::AcqRel);
        let visit = Visit(self);
        match self.door.is_closed() {
            true => Err(EnvError::Closed),
            false => Ok(visit),
        }
    }

    /// Enters, unless the environment has failed or was closed.
    pub(crate) fn enter(self: &Arc<Self>) -> EnvResult<Inside> {
        self.failure.check()?;
        let inside = self.follow();
        match self.door.is_closed() {
            true => Err(EnvError::Closed),
            false => Ok(inside),
        }
    }

    /// As [`Open::enter`], for who is going to write.
    pub(crate) fn enter_to_write(self: &Arc<Self>) -> EnvResult<Inside> {
        self.check_write()?;
        self.enter()
    }

    /// Enters behind somebody who is inside, or who closes and is not done.
    pub(crate) fn follow(self: &Arc<Self>) -> Inside {
        self.door.0.fetch_add(1, Ordering::AcqRel);
        Inside { core: Arc::clone(self), counts: true }
    }

    /// Stands outside and looks on: does not keep anybody from closing.
    pub(crate) fn look_on(self: &Arc<Self>) -> Inside {
        Inside { core: Arc::clone(self), counts: false }
    }
}

impl Deref for Inside {
    type Target = Arc<Open>;

    fn deref(&self) -> &Arc<Open> {
        &self.core
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if self.counts {
            self.core.door.0.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Deref for Visit<'_> {
    type Target = Open;

    fn deref(&self) -> &Open {
        self.0
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.door.0.fetch_sub(1, Ordering::AcqRel);
    }
}
