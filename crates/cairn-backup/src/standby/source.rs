//! `StandbySource`: where the base and the journal of a standby come from.

use std::path::Path;

use cairn_env::{StandbyTarget, Superseded};
use cairn_io::{DirRef, RealDir, WorldRef};
use cairn_log::{Timeline, Uuid};

use super::{
    StandbyOptions, StandbyStatus, from_directory::FromDirectory, from_repository::FromRepository,
};
use crate::{BackupError, BackupResult, Repository};

/// Where the base and the journal of a standby come from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StandbySource {
    /// A repository into which the journal of the environment is [shipped](Repository::ship).
    Repository {
        /// The repository.
        repository: Repository,
        /// The environment, if there are several in it.
        environment: Option<Uuid>,
    },
    /// The directory of the environment, or of its replica, whoever has it open. If its replica is
    /// [required](cairn_env::ReplicaPolicy::Require), it has every commit that was acknowledged.
    Directory(DirRef),
}

impl StandbySource {
    /// The directory of an environment, or of its replica.
    ///
    /// # Errors
    /// If there is no such directory.
    pub fn directory(path: impl AsRef<Path>) -> BackupResult<Self> {
        Ok(Self::Directory(RealDir::open(path.as_ref())?))
    }
}

impl From<Repository> for StandbySource {
    fn from(repository: Repository) -> Self {
        Self::Repository { repository, environment: None }
    }
}

/// A source, and how far it was read.
#[derive(Debug)]
pub(super) enum Source {
    Repository(FromRepository),
    Directory(FromDirectory),
}

/// What a base is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Base {
    /// The number of its point, if it is one.
    pub(super) point: Option<u64>,
    pub(super) commit: u64,
}

/// What has come of looking for more.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    /// Bytes of journal.
    pub(super) bytes: u64,
    /// Whether there is more at once.
    pub(super) has_more: bool,
    /// Why it does not go on.
    pub(super) hole: Option<String>,
    /// The newest commit that is known of, and its time.
    pub(super) newest: Option<(u64, u64)>,
    /// Bytes that are known to be there, and have yet to arrive.
    pub(super) behind: u64,
}

/// Bytes that arrive in one step, about.
pub(super) const STEP: u64 = 64 << 20;

impl Source {
    pub(super) fn new(source: StandbySource, options: &StandbyOptions, world: &WorldRef) -> Self {
        match source {
            StandbySource::Repository { repository, environment } => {
                Self::Repository(FromRepository::new(repository, environment, options, world))
            }
            StandbySource::Directory(root) => {
                Self::Directory(FromDirectory::new(root, options, world))
            }
        }
    }

    /// The environment and the timeline of what is newest there.
    pub(super) fn newest_line(&self) -> BackupResult<(Uuid, Timeline)> {
        match self {
            Self::Repository(source) => source.newest_line(),
            Self::Directory(source) => source.line(),
        }
    }

    /// Who has superseded a timeline, if anybody has.
    pub(super) fn fence(
        &self,
        environment: Uuid,
        timeline: Timeline,
    ) -> BackupResult<Option<Superseded>> {
        match self {
            Self::Repository(source) => source.repository.superseded(environment, timeline),
            Self::Directory(source) => source.fence(environment, timeline),
        }
    }

    pub(super) fn is_superseded(&self, by: Superseded) -> BackupError {
        let place = match self {
            Self::Repository(source) => source.repository.place_name(),
            Self::Directory(source) => source.path().display().to_string(),
        };
        BackupError::Superseded { place, by: Box::new(by) }
    }

    /// Puts a fence there, of which nobody gets by from then on.
    pub(super) fn supersede(&mut self, by: &Superseded) -> BackupResult<()> {
        match self {
            Self::Repository(source) => source.repository.put_fence(by),
            Self::Directory(source) => source.supersede(by),
        }
    }

    /// Brings the newest base into the directory of a standby; with `than`, only one that is newer, in the place of what
    /// the standby has.
    pub(super) fn bring(
        &mut self,
        root: &DirRef,
        of: &StandbyStatus,
        than: Option<u64>,
    ) -> BackupResult<Option<Base>> {
        match self {
            Self::Repository(source) => source.bring(root, of, than),
            Self::Directory(source) => source.bring(root, of, than),
        }
    }

    /// What was known of where it goes on is asked again.
    pub(super) fn forget_place(&mut self) {
        if let Self::Repository(source) = self {
            source.forget_place();
        }
    }

    /// Says that there is a hole, if there is no more journal although a point is newer than what has arrived.
    pub(super) fn look_for_points(
        &self,
        target: &StandbyTarget,
        arrived: &mut Arrived,
    ) -> BackupResult<()> {
        match self {
            Self::Repository(source) => source.look_for_points(target, arrived),
            Self::Directory(_) => Ok(()), // it is the journal itself
        }
    }

    /// Lets journal arrive that follows what the target has, and count.
    pub(super) fn arrive(&mut self, target: &mut StandbyTarget) -> BackupResult<Arrived> {
        match self {
            Self::Repository(source) => source.arrive(target),
            Self::Directory(source) => source.arrive(target),
        }
    }
}
