//! `Standby::step`: journal arrives and counts; or, where it does not go on, another base.

use super::{Standby, StandbyStep};
use crate::BackupResult;

impl Standby {
    /// Applies what there is of the journal, about 64 MiB of it at most. Where that does not go on from what the standby
    /// has, it begins again from the newest base, if that is newer: it never goes past a hole. So it does after
    /// [`rebase_bytes`](super::StandbyOptions#structfield.rebase_bytes).
    ///
    /// # Errors
    /// [`BackupError::Superseded`](crate::BackupError::Superseded) if a standby was promoted; errors of the kind `Corrupt`
    /// if what has arrived is damaged; if the source or the disk fails. What has arrived stays, and another step goes on
    /// from there.
    pub fn step(&mut self) -> BackupResult<StandbyStep> {
        if let Some(by) = self.source.fence(self.status.environment, self.status.follows)? {
            return Err(self.source.is_superseded(by));
        }
        self.step_behind_the_fence()
    }

    /// As `step`, for who has put the fence there.
    pub(super) fn step_behind_the_fence(&mut self) -> BackupResult<StandbyStep> {
        let stepped = self.take_step();
        if stepped.is_err() {
            // What became of the last bytes is unknown.
            self.target = None;
            self.source.forget_place();
        }
        stepped
    }

    fn take_step(&mut self) -> BackupResult<StandbyStep> {
        let mut step = StandbyStep::default();
        if self.since_base >= self.options.rebase_bytes {
            self.since_base = 0; // it is asked again after as many
            step.rebased = self.rebase()?;
        }
        self.target()?;
        let Some(target) = &mut self.target else { return Ok(step) };
        let before = target.newest().0;
        let arrived = self.source.arrive(target)?;
        self.status.reached(target);
        self.status.add(&arrived);
        self.since_base += arrived.bytes;
        step.bytes = arrived.bytes;
        step.commits = self.status.commit.saturating_sub(before);
        step.has_more = arrived.has_more;
        if arrived.hole.is_some() && self.rebase()? {
            self.status.hole = None;
            (step.rebased, step.has_more) = (true, true);
        }
        if !step.has_more && self.status.hole.is_none() {
            self.caught_up = Some(self.world.monotonic());
        }
        step.newest = self.status.newest();
        Ok(step)
    }

    /// Begins again from the newest base, if that has a newer commit; says whether it has.
    fn rebase(&mut self) -> BackupResult<bool> {
        // The restore takes the lock.
        self.target = None;
        let commit = self.status.commit;
        let brought = self.source.bring(&self.root, &self.status, Some(commit));
        if let Ok(Some(_)) = &brought {
            self.reader = None;
        }
        let opened = self.open_target();
        let brought = brought?;
        opened?;
        if brought.is_some() {
            self.status.rebases += 1;
            self.status.based_on(brought);
        }
        Ok(brought.is_some())
    }
}
