//! Dropped databases: what they held goes by and by, so that no drop takes long.
//!
//! Nothing of it is logged. A crash goes back to what a checkpoint holds, and from there it goes on. Any
//! number of threads may be at it, the worker and callers of `clean`: whoever comes back to the commit lock
//! looks whether another one has been done with the same grave meanwhile.

use std::sync::atomic::Ordering;

use crate::{EnvResult, core::Core};

/// Keys that are looked up in one version.
const KEYS: usize = 4096;
/// Keys that are removed under one hold of the commit lock.
const CHUNK: usize = 256;

impl Core {
    /// Removes some of what dropped databases held; returns whether there was any.
    pub(crate) fn empty_graves(&self) -> EnvResult<bool> {
        self.check_upkeep()?;
        // Whoever drops a database from here on says so again.
        self.schedule.has_graves.store(false, Ordering::Release);
        let root = self.freeze_latest()?;
        let Some(grave) = root.graves()?.first().copied() else { return Ok(false) };
        self.schedule.has_graves.store(true, Ordering::Release);
        self.begin()?;
        let mut cursor = root.cursor(grave)?;
        let mut keys = Vec::new();
        loop {
            match cursor.next() {
                Ok(true) if keys.len() < KEYS => keys.push(cursor.key().to_vec()),
                Ok(_) => break,
                Err(error) if error.is_damage() && keys.is_empty() => {
                    // It stays where it is, and `verify` says what is wrong with it.
                    self.schedule.has_graves.store(false, Ordering::Release);
                    return Ok(false);
                }
                Err(error) if error.is_damage() => break,
                Err(error) => return Err(error.into()),
            }
        }
        drop((cursor, root));
        if keys.is_empty() {
            let _guard = self.failure.on_panic();
            let mut commit = self.lock_for_upkeep()?;
            if !commit.writer.has(grave)? {
                return Ok(true);
            }
            let closed = commit.writer.close_grave(grave);
            drop(commit);
            // Half a removal of an entry of the catalogue must never be frozen.
            closed
                .map_err(|error| self.failure.poison(error.into()))
                .map_err(|cause| crate::EnvError::Poisoned { cause })?;
            // The first finds dead files, the second lets them go.
            self.schedule.want_checkpoints(2);
            return Ok(true);
        }
        for keys in keys.chunks(CHUNK) {
            let _guard = self.failure.on_panic();
            let mut commit = self.lock_for_upkeep()?;
            if !commit.writer.has(grave)? {
                break;
            }
            let sequence = commit.sequence;
            for key in keys {
                commit.writer.remove(grave, key, sequence)?;
            }
            self.bound_private(&mut commit)?;
        }
        Ok(true)
    }
}
