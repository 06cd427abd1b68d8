//! A repository: a place with many backups of any number of environments, in which nothing is stored twice.
//!
//! What it holds are immutable objects with typed names. A backup is a [`Point`]: the object that names all files of
//! an environment at one commit, and the parts in which each of them lies. It is stored last, so that whatever comes
//! before is garbage until then, and each point names the hash of the one before. The next backup stores what is
//! new: log files never change once they are finished, and a journal file that has grown adds a part. The bytes
//! are specified in `docs/format/repository.md`.
//!
//! Each object has two hashes: of what is stored, for everybody, and of what it holds, so that a damaged object is
//! found without a key, and a wrong one with.
//!
//! | file | what it is about |
//! |---|---|
//! | `names` | what objects are called |
//! | `backend` | the place: a directory, memory, or what a program brings along |
//! | `layout`, `frames`, `fields` | what objects are made of |
//! | `secrecy` | how objects are encrypted, and for whom |
//! | `access` | the keys of an encrypted repository: made, given, changed |
//! | `header`, `part`, `statement` | the three kinds: `repo.cairn`, bytes of a log file, what says something of others |
//! | `point` | what a point says |
//! | `store` | objects, read with nothing trusted |
//! | `backup`, `upload`, `storing`, `each` | a point comes into being; several do |
//! | `segment`, `segments` | shipped journal, and that it counts |
//! | `shipper`, `ship_options`, `ship_store`, `shipping` | the journal of an environment comes here while it is written |
//! | `fence` | what keeps who was superseded from storing more |
//! | `past` | the segments from a position on |
//! | `intervals` | which moments can be restored |
//! | `view`, `reader` | a point as the directory of a backup, and the bytes of its files |
//! | `journal`, `moment` | what leads from a point to a moment |
//! | `restore` | a point becomes an environment |
//! | `heal` | damaged files of an environment get their bytes back |
//! | `salvage` | what can be read of a repository that is damaged, as log files again |
//! | `find_last` | the newest point that has something |
//! | `check` | all of it, looked at in up to five ways |
//! | `rotation` | how far checks of a part each have come round all of it |
//! | `prune` | points go, and what only they need |
//! | `prove`, `proof` | a point, opened and read to its end; what is then known of it |
//! | `drill` | a restore is tried, and what came of it is recorded |

mod access;
mod backend;
mod backup;
mod check;
pub(crate) mod drill;
mod each;
pub(crate) mod fence;
mod fields;
mod find_last;
mod frames;
pub(crate) mod header;
mod heal;
mod intervals;
mod journal;
pub(crate) mod layout;
mod moment;
mod names;
pub(crate) mod part;
pub(crate) mod past;
pub(crate) mod point;
pub(crate) mod proof;
mod prove;
pub(crate) mod prune;
mod reader;
mod restore;
pub(crate) mod rotation;
mod salvage;
pub(crate) mod secrecy;
pub(crate) mod segment;
mod segments;
mod ship_options;
mod ship_store;
mod shipper;
mod shipping;
pub(crate) mod statement;
pub(crate) mod store;
mod storing;
mod upload;
mod view;

use std::{path::Path, sync::Arc};

use cairn_io::{RealWorld, WorldRef};
use cairn_log::{Digest, Timeline, Uuid};

pub use backend::{
    BackendError, BackendResult, Begun, Listed, LocalBackend, MemoryBackend, Put,
    REPOSITORY_SYNC_SITES, RepoBackend, conformance, is_object_store, is_repository,
};
#[cfg(feature = "object-store")]
pub use backend::{ObjectBackend, ObjectOptions};
pub use backup::{PointOptions, PointReport};
pub use check::{CheckFinding, CheckLevel, CheckOptions, CheckReport, Share, Subset};
pub use drill::{
    DirectoryCheck, Drill, DrillCheck, DrillDue, DrillFailure, DrillOptions, DrillPoint,
    DrillPolicy, DrillReport, DrillStage, Restored,
};
pub use each::{EachReport, backup_each};
pub use find_last::{FoundLast, Sought};
pub use intervals::{Hole, LastShipped, Moment, RestorableInterval, TimelineIntervals};
pub use names::{Folder, ObjectName, PartName, ShortHash};
pub use point::{MAX_POINT_LABEL_LEN, NeededObject, Part, Point, PointDatabase, PointFile};
pub use proof::{Opened, PointState, Proof};
pub use prove::{AlsoCheck, ProveOptions, ProveReport};
pub use prune::{
    Deleted, KeepReason, KeptJournal, PlannedPoint, PruneOptions, PrunePlan, PruneRefusal,
    Retention, RetentionPoint, Tomb, TombStage,
};
pub use restore::Which;
pub use salvage::{RepositorySalvage, RepositorySalvageOptions, RepositorySalvageReport};
pub use segment::{Segment, SegmentCommits};
pub use ship_options::{ShipOptions, ShipReport};
pub use shipper::Shipper;
pub use shipping::{Shipping, ShippingStatus};
pub use store::Origin;

use crate::{BackupError, BackupResult};
use access::Access;
use header::Header;
use secrecy::Secrecy;
use statement::Unread;
use store::{MAX_POINT, Store};

/// A backup repository.
///
/// ```
/// use cairn_backup::{PointOptions, Repository, RestoreOptions, Which};
/// use cairn_env::{DatabaseOptions, Environment, Options};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let (live, place, back) = (dir.path().join("live"), dir.path().join("repo"), dir.path().join("back"));
/// let (env, _) = Environment::open(&live, Options::default())?;
/// let users = env.database("users", DatabaseOptions::default())?;
/// env.write(|txn| txn.put(&users, b"ada", b"1815"))?;
///
/// let repository = Repository::create(&place)?;
/// repository.backup(&env, &PointOptions::default().label("first"))?;
/// env.write(|txn| txn.delete(&users, b"ada"))?;
/// let report = repository.backup(&env, &PointOptions::default())?; // stores what is new
/// assert_eq!(report.number, 2);
///
/// repository.restore(None, &Which::Label("first".into()), &back, &RestoreOptions::default())?;
/// let (env, _) = Environment::open(&back, Options::default())?;
/// let users = env.find_database("users")?.unwrap();
/// assert_eq!(env.snapshot()?.get(&users, b"ada")?.unwrap(), b"1815");
/// # Ok::<(), cairn_backup::BackupError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Repository {
    store: Store,
    header: Header,
    world: WorldRef,
    /// With what it was unlocked.
    access: Option<Arc<Access>>,
}

/// What a repository says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepositoryInfo {
    /// Its uuid.
    pub repository: Uuid,
    /// Where it is.
    pub place: String,
    /// When it was made, in microseconds since 1970.
    pub created: u64,
    /// Whether what it holds is encrypted.
    pub encrypted: bool,
    /// The environments of which it has backups.
    pub environments: Vec<EnvironmentInfo>,
}

/// An environment in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnvironmentInfo {
    /// Its uuid.
    pub environment: Uuid,
    /// How many points there are.
    pub points: u64,
    /// The number of the newest one, if there is one.
    pub newest: Option<u64>,
    /// The timelines of which there are backups, with where each came from; nobody can tell that of an encrypted
    /// repository that is locked.
    pub timelines: Vec<(Timeline, Option<Origin>)>,
    /// What is about to be deleted.
    pub tombs: Vec<Tomb>,
}

/// A point in a list.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListedPoint {
    /// Its number.
    pub number: u64,
    /// What it says, or why it cannot be read.
    pub point: Result<Point, Arc<BackupError>>,
    /// What is known of it because somebody has looked, in the order of time.
    pub proofs: Vec<Proof>,
    /// What came of trying to restore it, in the order of time.
    pub drills: Vec<Drill>,
}

impl ListedPoint {
    /// How far it is known to be good: by the proof that says most, or by a drill that has restored it, and nothing that
    /// came after it, with success.
    #[must_use]
    pub fn state(&self) -> PointState {
        let commit = self.point.as_ref().map(|point| point.cut.commit).ok();
        let is_it = |drill: &Drill| drill.restored.map(|restored| restored.commit) == commit;
        if self.drills.iter().any(|drill| drill.passed() && is_it(drill)) {
            return PointState::Proved;
        }
        self.proofs.iter().map(Proof::state).max().unwrap_or(PointState::Copied)
    }

    /// The last drill.
    #[must_use]
    pub fn last_drill(&self) -> Option<&Drill> {
        self.drills.last()
    }

    /// The newest of the proofs that say most.
    #[must_use]
    pub fn best_proof(&self) -> Option<&Proof> {
        self.proofs.iter().max_by_key(|proof| (proof.state(), proof.made))
    }
}

impl Repository {
    /// Makes a repository in the directory `path`, which must be missing or empty, or at the URL of an
    /// [object store](is_object_store).
    ///
    /// # Errors
    /// [`BackupError::RepositoryExists`], [`BackupError::TargetNotEmpty`], [`BackupError::NoObjectStores`], or what the
    /// place answers.
    pub fn create(path: impl AsRef<Path>) -> BackupResult<Self> {
        Self::create_in(backend::create(path.as_ref())?, &real_world())
    }

    /// Opens the repository in the directory `path`, or at the URL of an [object store](is_object_store). An encrypted one
    /// is to be [unlocked](Self::unlock) then.
    ///
    /// # Errors
    /// [`BackupError::NotARepository`], [`BackupError::NoObjectStores`]; if it is of a later version, or damaged.
    pub fn open(path: impl AsRef<Path>) -> BackupResult<Self> {
        Self::open_in(backend::open(path.as_ref())?, &real_world())
    }

    /// As [`create`](Self::create), in any place that has nothing of a repository.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_in(backend: Arc<dyn RepoBackend>, world: &WorldRef) -> BackupResult<Self> {
        check_blank(&*backend)?;
        let mut repository = [0; 16];
        world.random(&mut repository);
        let (repository, created) = (Uuid(repository), world.wall().0);
        let header = Header { repository, created, is_encrypted: false, to_write: 0 };
        match backend.put(&ObjectName::Header, &header.encode())? {
            Put::Stored => Self::open_in(backend, world),
            Put::Existed => Err(BackupError::RepositoryExists { place: backend.place() }),
        }
    }

    /// As [`open`](Self::open), in any place.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(backend: Arc<dyn RepoBackend>, world: &WorldRef) -> BackupResult<Self> {
        let place = backend.place();
        let store = Store { backend, repository: Uuid::default(), secrecy: Secrecy::Plain };
        let bytes = match store.whole(ObjectName::Header, header::LEN as u64) {
            Err(BackupError::Object(crate::ObjectError::Missing { .. })) => {
                return Err(BackupError::NotARepository { place });
            }
            read => read?,
        };
        let header =
            Header::decode(&bytes).map_err(|unread| store.unread(ObjectName::Header, unread))?;
        let secrecy = if header.is_encrypted { Secrecy::Locked } else { Secrecy::Plain };
        let store = Store { repository: header.repository, secrecy, ..store };
        Ok(Self { store, header, world: Arc::clone(world), access: None })
    }

    /// What it says of itself, and of which environments it has backups.
    ///
    /// # Errors
    /// If the place fails, or what a timeline came from cannot be read.
    pub fn info(&self) -> BackupResult<RepositoryInfo> {
        let mut environments = Vec::new();
        for environment in self.store.environments()? {
            let numbers = self.store.numbers(environment)?;
            let folder = Folder::Timelines(environment);
            let mut timelines = Vec::new();
            for listed in self.store.backend.list(&folder)? {
                let Some(ObjectName::Timeline { timeline, .. }) = folder.object(&listed.name)
                else {
                    continue;
                };
                let origin = match self.is_locked() {
                    true => None,
                    false => Some(self.store.timeline(environment, timeline)?),
                };
                timelines.push((timeline, origin));
            }
            let (points, newest) = (numbers.len() as u64, numbers.last().copied());
            let tombs = self.store.readable_tombs(environment)?.tombs;
            environments.push(EnvironmentInfo { environment, points, newest, timelines, tombs });
        }
        Ok(RepositoryInfo {
            repository: self.store.repository,
            place: self.store.backend.place(),
            created: self.header.created,
            encrypted: self.header.is_encrypted,
            environments,
        })
    }

    /// The points of an environment, the oldest first; `None` means the only environment that there is. One that
    /// cannot be read is in the list all the same.
    ///
    /// # Errors
    /// [`BackupError::SeveralEnvironments`]; [`BackupError::NoPoint`] if there is none at all;
    /// [`BackupError::RepositoryKeyRequired`]; if the place fails.
    pub fn points(&self, environment: Option<Uuid>) -> BackupResult<Vec<ListedPoint>> {
        if self.is_locked() {
            return Err(self.store.locked());
        }
        let environment = self.environment(environment)?;
        let numbers = self.store.numbers(environment)?;
        if numbers.is_empty() {
            return Err(self.no_point(format!("backup of the environment {environment}")));
        }
        let known = self.store.proofs(environment)?;
        let drilled = self.store.drills_of(environment, &numbers)?;
        let listed = numbers.into_iter().map(|number| {
            let bytes = self.store.whole(ObjectName::Point { environment, number }, MAX_POINT);
            // One that is of another point proves nothing of this one.
            let hash = bytes.as_ref().map(|bytes| Digest::of(bytes)).ok();
            let is_its = |of: (u64, Digest)| of.0 == number && Some(of.1) == hash;
            let proofs = known.iter().filter(|read| is_its((read.point, read.of)));
            let mut proofs: Vec<_> = proofs.map(|read| read.proof.clone()).collect();
            proofs.sort_by_key(|proof| proof.made);
            let drills = drilled.iter().filter(|read| is_its((read.point, read.of)));
            let drills = drills.map(|read| read.drill.clone()).collect();
            let read = bytes.and_then(|bytes| self.store.decode_point(environment, number, &bytes));
            let point = read.map(|read| read.point).map_err(Arc::new);
            ListedPoint { number, point, proofs, drills }
        });
        Ok(listed.collect())
    }

    /// The environment that is meant.
    fn environment(&self, environment: Option<Uuid>) -> BackupResult<Uuid> {
        if let Some(environment) = environment {
            return Ok(environment);
        }
        match *self.store.environments()? {
            [] => Err(self.no_point("backup of any environment".into())),
            [only] => Ok(only),
            ref several => {
                let (place, count) = (self.store.backend.place(), several.len());
                Err(BackupError::SeveralEnvironments { place, count })
            }
        }
    }

    pub(crate) fn no_point(&self, what: String) -> BackupError {
        BackupError::NoPoint { place: self.store.backend.place(), what }
    }

    /// An error unless this version may write to the repository, and the key with which it was unlocked still is one of
    /// its keys.
    fn check_writable(&self) -> BackupResult<()> {
        self.check_features()?;
        match self.header.is_encrypted {
            true => self.current_keys().map(drop),
            false => Ok(()),
        }
    }

    /// An error unless this version may write to the repository.
    fn check_features(&self) -> BackupResult<()> {
        match self.header.to_write {
            0 => Ok(()),
            features => {
                let what = format!("to write to it needs the features {features:#x}");
                Err(self.store.unread(ObjectName::Header, Unread::Unsupported(what)))
            }
        }
    }
}

/// An error unless a repository can be made in a place.
fn check_blank(backend: &dyn RepoBackend) -> BackupResult<()> {
    match backend.length(&ObjectName::Header)? {
        Some(_) => Err(BackupError::RepositoryExists { place: backend.place() }),
        None => Ok(backend.probe()?),
    }
}

fn real_world() -> WorldRef {
    Arc::new(RealWorld::new())
}

#[cfg(test)]
mod tests;
