//! Backups of an environment: taken while writers go on, verified, published last; restored by proof.
//!
//! A backup is a directory: the files of one exact state of the environment, and a [`Manifest`] that
//! names each with its length and BLAKE3 hash (and the pieces in which it lies, if an earlier backup held its
//! beginning). The manifest comes last, so a directory without one is no
//! backup. A restore copies into a directory that does not open before everything in it was
//! verified, replayed and walked.
//!
//! ```
//! use cairn_backup::{BackupOptions, RestoreOptions, backup, restore};
//! use cairn_env::{DatabaseOptions, Environment, Options};
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let (live, saved, back) = (dir.path().join("live"), dir.path().join("saved"), dir.path().join("back"));
//! let (env, _) = Environment::open(&live, Options::default())?;
//! let users = env.database("users", DatabaseOptions::default())?;
//! env.write(|txn| txn.put(&users, b"ada", b"1815"))?;
//!
//! let report = backup(&env, &saved, &BackupOptions::default())?;
//! println!("commit {} in {} files", report.commit, report.files);
//!
//! restore(&saved, &back, &RestoreOptions::default())?;
//! let (env, _) = Environment::open(&back, Options::default())?;
//! let users = env.find_database("users")?.unwrap();
//! assert_eq!(env.snapshot()?.get(&users, b"ada")?.unwrap(), b"1815");
//! # Ok::<(), cairn_backup::BackupError>(())
//! ```
#![forbid(unsafe_code)]

mod backup;
mod bring;
mod copy;
mod crew;
mod diff;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod heal;
mod history;
mod joined;
mod keyring;
mod manifest;
mod one;
#[cfg(feature = "sql")]
mod one_table;
mod open;
mod pace;
mod piece;
mod previous;
mod progress;
mod publish;
mod read_only;
mod repository;
mod restore;
#[doc(hidden)]
pub mod spec;
#[cfg(feature = "sql")]
mod sql_text;
mod standby;
mod sync;
mod tell;
mod verify;

pub use backup::{BackupOptions, BackupReport, SYNC_SITES, backup, backup_to};
pub use cairn_archive::{Change, Compression};
pub use cairn_env::{Forgotten, KeptGeneration, RestoreTo, Superseded};
pub use diff::{
    CompareCounts, CompareOptions, CompareReport, ComparedEntry, ComparedKey, ComparedSort,
    ComparedStore, ComparedTable, compare,
};
pub use error::{BackupError, BackupResult, ObjectError};
pub use heal::{heal, heal_from};
pub use keyring::{check_key, check_key_in, is_encrypted};
pub use manifest::{MANIFEST_NAME, Manifest, ManifestFile};
pub use one::{One, OneOptions, OneReport, bring_one};
pub use open::{open_backup, open_backup_in};
pub use pace::{Cancel, Pace};
pub use piece::Piece;
pub use progress::Progress;
pub use publish::{publish, publish_in};
pub use repository::{
    AlsoCheck, BackendError, BackendResult, Begun, CheckFinding, CheckLevel, CheckOptions,
    CheckReport, Deleted, DirectoryCheck, Drill, DrillCheck, DrillDue, DrillFailure, DrillOptions,
    DrillPoint, DrillPolicy, DrillReport, DrillStage, EachReport, EnvironmentInfo, Folder,
    FoundLast, Hole, KeepReason, KeptJournal, LastShipped, Listed, ListedPoint, LocalBackend,
    MAX_POINT_LABEL_LEN, MemoryBackend, Moment, NeededObject, ObjectName, Opened, Origin, Part,
    PartName, PlannedPoint, Point, PointDatabase, PointFile, PointOptions, PointReport, PointState,
    Proof, ProveOptions, ProveReport, PruneOptions, PrunePlan, PruneRefusal, Put,
    REPOSITORY_SYNC_SITES, RepoBackend, Repository, RepositoryInfo, RepositorySalvage,
    RepositorySalvageOptions, RepositorySalvageReport, RestorableInterval, Restored, Retention,
    RetentionPoint, Segment, SegmentCommits, Share, ShipOptions, ShipReport, Shipper, Shipping,
    ShippingStatus, ShortHash, Sought, Subset, TimelineIntervals, Tomb, TombStage, Which,
    backup_each, conformance, is_object_store, is_repository,
};
#[cfg(feature = "object-store")]
pub use repository::{ObjectBackend, ObjectOptions};
pub use restore::{RestoreOptions, RestoreReport, forget_old, restore, restore_from, undo_restore};
pub use standby::{
    Following, PromoteOptions, Promotion, Standby, StandbyOptions, StandbySource, StandbyStatus,
    StandbyStep,
};
pub use verify::{BackupFinding, BackupVerifyReport, verify, verify_in};
