//! The background worker, step by step, and checkpoints.

use std::sync::atomic::{AtomicBool, Ordering};

use cairn_io::World as _;

use super::{Process, Runner, failed};
use crate::{problem::Checked, row::Row};

impl Runner<'_> {
    pub(super) fn checkpoint(&mut self) -> Checked<()> {
        let row = if self.graves { Row::Walker } else { Row::Checkpoint };
        self.in_process(row, |env, _| env.checkpoint().map(drop))?;
        // Where there is a worker, the rest is its business.
        self.graves &= self.script.settings.background;
        Ok(())
    }

    /// Lets the worker take steps while it has any to take, at most so many.
    pub(super) fn work(&mut self, most: usize) -> Checked<()> {
        let is_idle = AtomicBool::new(false);
        for _ in 0..most {
            let Some(process) = &self.process else { return Ok(()) };
            let row = self.row_of_step(process)?;
            self.in_process(row, |_, world| {
                match world.runnable().first() {
                    Some(worker) => drop(world.step(*worker)),
                    None => is_idle.store(true, Ordering::Relaxed),
                }
                Ok(())
            })?;
            if is_idle.load(Ordering::Relaxed) {
                self.graves = false;
                return self.in_time();
            }
        }
        Ok(())
    }

    /// What the worker does next, as far as can be told.
    fn row_of_step(&self, process: &Process) -> Checked<Row> {
        let stats = process.env.stats().map_err(failed)?;
        let now = process.world.monotonic();
        let is_due = |(commit, at): &(u64, _)| *commit > stats.durable_commits && *at <= now;
        Ok(match () {
            () if process.deadlines.iter().any(is_due) => Row::Relaxed,
            () if self.graves => Row::Walker,
            () if stats.commits == stats.checkpointed_commits => Row::CleanStep,
            () if stats.cache_resident > stats.cache_budget => Row::Eviction,
            () => Row::Checkpoint,
        })
    }

    /// Checks that what was to be durable by now is.
    fn in_time(&mut self) -> Checked<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let now = process.world.monotonic();
        let durable = process.env.stats().map_err(failed)?.durable_commits;
        process.deadlines.retain(|(commit, _)| *commit > durable);
        match process.deadlines.iter().find(|(_, at)| *at <= now) {
            None => Ok(()),
            Some((commit, _)) => {
                Err(failed(format!("commit {commit} was to be durable by now, but {durable} is")))
            }
        }
    }
}
