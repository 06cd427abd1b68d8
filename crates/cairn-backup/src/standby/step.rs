//! `Standby::step`: journal arrives and counts; or, where it does not go on, another base.

use std::time::Duration;

use super::{Standby, StandbyStep};
use crate::BackupResult;

/// So long journal may be on its way that leads to a point which is there already.
const PATIENCE: Duration = Duration::from_secs(10);

impl Standby {
    /// Applies what there is of the journal, about 64 MiB of it at most. Where that does not go on from what the standby
    /// has, it begins again from the newest base, if that is newer: it never goes past a hole. So it does after
    /// [`rebase_bytes`](super::StandbyOptions#structfield.rebase_bytes), and where no journal has come for ten seconds and
    /// a point is newer: then shipping has ended, and backups go on.
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
        let mut arrived = self.source.arrive(target)?;
        if arrived.bytes > 0 {
            self.quiet_since = None;
        }
        if arrived.bytes == 0 && arrived.hole.is_none() && !arrived.has_more {
            let now = self.world.monotonic();
            let since = *self.quiet_since.get_or_insert(now);
            if self.is_last || now.saturating_sub(since) >= PATIENCE {
                self.quiet_since = Some(now);
                self.source.look_for_points(target, &mut arrived)?;
            }
        }
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
