//! Closing: everything durable, one last checkpoint, and the mark that says so.

use std::{
    ops::Deref,
    sync::{Arc, Weak, atomic::Ordering},
};

use crate::{EnvError, EnvResult, Environment, core::Core, sync::lock, tell};

impl Environment {
    /// Closes the environment in order: what was committed becomes durable, a checkpoint makes the
    /// next open quick, and the lock is released. All other handles answer [`EnvError::Closed`] from
    /// then on.
    ///
    /// A backup of an environment that was opened for reading outlives it: the files that the backup
    /// has not [released](crate::BackupSet::release) stay pinned, and no others.
    ///
    /// # Errors
    /// [`EnvError::Busy`], with a list, while snapshots, transactions or backups are alive, or other
    /// threads write: then nothing has happened. Any other error: the environment is closed, but not in order, so the
    /// next open runs recovery.
    pub fn close(self) -> EnvResult<()> {
        let core = &self.core;
        core.failure.check()?;
        while !core.door.close()? {
            let holders = core.holders.list(core.options.read_only, core.door.inside());
            // Otherwise all of them have left since.
            if !holders.is_empty() {
                return Err(EnvError::Busy { holders });
            }
        }
        core.shut_down()?;
        tell::closed(tell::display(core.root.dir.path().display()));
        Ok(())
    }
}

impl Core {
    /// Ends the work on the disk. Called once.
    fn shut_down(&self) -> EnvResult<()> {
        for worker in [&self.journal_worker, &self.worker] {
            let worker = lock(worker).take();
            if let Some(worker) = worker {
                worker.stop();
            }
        }
        let result = self.put_in_order();
        self.end_shipping();
        match self.options.read_only {
            true => self.narrow_pin(true),
            false => drop(lock(&self.hold).take()),
        }
        result
    }

    fn put_in_order(&self) -> EnvResult<()> {
        self.failure.check()?;
        if !self.schedule.begun.load(Ordering::Acquire) {
            return Ok(()); // nothing was written: nothing is changed
        }
        self.files.end_recycling();
        let opens_again = cairn_io::planted::is_race(4); // Planted race: open while it closes.
        if opens_again {
            self.door.reopen();
        }
        self.flush_and_checkpoint()?;
        if opens_again {
            self.door.shut();
        }
        // Both slots say so: damage to one must not make the other, older one count.
        for _ in 0..2 {
            let tail = lock(&self.commit).tail;
            let next_file = self.files.next();
            lock(&self.state).write(|state| {
                state.clean = true;
                state.name_tail(tail, &self.files);
                state.next_file = next_file;
            })?;
        }
        Ok(())
    }

    fn flush_and_checkpoint(&self) -> EnvResult<()> {
        self.flush_to(self.latest.load(Ordering::Acquire), true)?;
        self.seal_journal(|_| Ok(()))?;
        self.checkpoint()?;
        Ok(())
    }
}

/// What the handles of an environment share: when the last of them goes, it is closed before that
/// returns, so that whoever drops it can open it again at once.
///
/// The background worker is not among them. Were it the one that closes, because the last handle went
/// in the middle of one of its steps, nobody would know when.
#[derive(Debug)]
pub(crate) struct Open {
    core: Arc<Core>,
}

impl Open {
    pub(crate) fn new(core: Core) -> Self {
        Self { core: Arc::new(core) }
    }

    /// For the background worker, which does not keep the environment open.
    pub(crate) fn downgrade(&self) -> Weak<Core> {
        Arc::downgrade(&self.core)
    }
}

impl Deref for Open {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.door.shut() {
            // Whoever wants to know closes explicitly; what fails here the next open finds.
            self.shut_down().unwrap_or_default();
        }
    }
}
