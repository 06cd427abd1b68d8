//! `Standby::promote`: the standby becomes the environment, and what it has followed is fenced off.
//!
//! The order is what it is about: all that is there arrives; the fence is put, durably; what was stored between these two
//! arrives; only then is the standby one that can be written. Whatever ends it in between, the same call goes on: the fence
//! that it finds is its own.

use std::{path::Path, sync::Arc};

use cairn_env::{Environment, StandbyTarget, Superseded};
use cairn_io::{DirRef, RealDir, RealWorld, WorldRef};
use cairn_log::Timeline;

use super::{Standby, StandbyOptions};
use crate::{BackupError, BackupResult};

/// How a standby is promoted.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct PromoteOptions {
    /// Whether it is promoted although the source has commits that it cannot get, since something is missing before
    /// them.
    pub leave_behind: bool,
}

impl PromoteOptions {
    /// Sets [`PromoteOptions::leave_behind`](PromoteOptions#structfield.leave_behind).
    #[must_use]
    pub fn leave_behind(mut self, leave: bool) -> Self {
        self.leave_behind = leave;
        self
    }
}

/// That a standby has taken the place of what it followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Promotion {
    /// The timeline on which it goes on.
    pub timeline: Timeline,
    /// The one that it has followed.
    pub superseded: Timeline,
    /// Its newest commit.
    pub commit: u64,
    /// The time of that, in microseconds since 1970, if it is known.
    pub time: Option<u64>,
    /// Whether there is a fence.
    pub is_fenced: bool,
}

fn promote_alone(
    root: DirRef,
    world: &WorldRef,
    options: &StandbyOptions,
) -> BackupResult<(Environment, Promotion)> {
    let target = StandbyTarget::open(&root, &**world, &options.options)?;
    end(target, &root, world, options, false)
}

/// Makes a standby an environment, and opens it.
fn end(
    target: StandbyTarget,
    root: &DirRef,
    world: &WorldRef,
    options: &StandbyOptions,
    is_fenced: bool,
) -> BackupResult<(Environment, Promotion)> {
    let (commit, time) = target.newest();
    let (timeline, superseded) = (target.timeline(), target.info().follows);
    target.promote()?;
    let how = options.options.clone().read_only(false).create(false);
    let (env, _) = Environment::open_in(DirRef::clone(root), WorldRef::clone(world), how)?;
    Ok((env, Promotion { timeline, superseded, commit, time, is_fenced }))
}

impl Standby {
    /// Makes the standby the environment, on a timeline of its own, with every commit that its source has, and opens it
    /// for writing. Before that, durably, a fence keeps what it has followed from storing anything more in the repository, or
    /// from being opened for writing in the directory, and from passing for the newer one. A promotion that was cut short
    /// is ended by the next.
    ///
    /// # Errors
    /// [`BackupError::Superseded`] if another standby was promoted before; [`BackupError::InvalidInput`] if something is
    /// missing, and [`PromoteOptions`] do not say that this is right; of a directory
    /// [`EnvError::Locked`](cairn_env::EnvError::Locked) and [`EnvError::AlreadyOpen`](cairn_env::EnvError::AlreadyOpen) as
    /// long as somebody writes it; as [`step`](Self::step), and as the open of an environment.
    pub fn promote(mut self, options: &PromoteOptions) -> BackupResult<(Environment, Promotion)> {
        self.reader = None;
        self.is_last = true;
        self.arrive_all(options)?;
        let by = self.by()?;
        self.source.supersede(&by)?;
        self.arrive_all(options)?;
        self.target()?;
        let Self { target, root, world, options, .. } = self;
        match target {
            Some(target) => end(target, &root, &world, &options, true),
            None => promote_alone(root, &world, &options),
        }
    }

    /// As [`promote`](Self::promote), of the standby in the directory `path`, when the source is lost: nothing more comes
    /// from there, and nothing keeps what it has followed from going on, if it is still there.
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`](cairn_env::EnvError::InvalidInput) if it is no standby; as the open of an environment.
    pub fn promote_alone(
        path: impl AsRef<Path>,
        options: &StandbyOptions,
    ) -> BackupResult<(Environment, Promotion)> {
        let root = RealDir::open(path.as_ref())?;
        promote_alone(root, &(Arc::new(RealWorld::new()) as WorldRef), options)
    }

    /// As [`promote_alone`](Self::promote_alone), in any directory and world.
    ///
    /// # Errors
    /// As [`promote_alone`](Self::promote_alone).
    pub fn promote_alone_in(
        root: DirRef,
        world: &WorldRef,
        options: &StandbyOptions,
    ) -> BackupResult<(Environment, Promotion)> {
        promote_alone(root, world, options)
    }

    /// What is put as a fence.
    fn by(&mut self) -> BackupResult<Superseded> {
        let at = self.world.wall().0;
        let target = self.target()?;
        let info = target.info();
        Ok(Superseded {
            environment: info.environment,
            timeline: info.follows,
            by: target.timeline(),
            standby: info.standby,
            commit: target.newest().0,
            at,
        })
    }

    /// Applies all that there is.
    fn arrive_all(&mut self, options: &PromoteOptions) -> BackupResult<()> {
        loop {
            match self.step_behind_the_fence() {
                Ok(step) if step.has_more => {}
                Ok(_) => break,
                // A newer base that cannot be had.
                Err(BackupError::Object(_)) if options.leave_behind => break,
                Err(error) => return Err(error),
            }
        }
        match &self.status.hole {
            Some(why) if !options.leave_behind => {
                let newest = self.status.known.map_or_else(String::new, |(commit, _)| {
                    format!(", of which the newest is {commit}")
                });
                let what = format!(
                    "the standby has the commits up to {}, and cannot get those after it{newest}: {why}; say so if it is \
                     to be promoted without them",
                    self.status.commit
                );
                Err(BackupError::InvalidInput { what })
            }
            _ => Ok(()),
        }
    }
}
