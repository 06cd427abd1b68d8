//! The environment: named databases, transactions, commit and group commit, checkpoints, recovery,
//! pins, verification.
//!
//! The data of an environment *is* a set of append-only, checksummed log files. A commit is one
//! record in the journal; a checkpoint writes the tree nodes that changed, in new places, and one
//! record that names their root; recovery opens the newest checkpoint and replays the journal past
//! it. Nothing that was acknowledged is ever dropped silently: where the journal ends is decided by
//! proof, and what was cut from a torn end is kept and reported.
//!
//! Start at [`Environment`]. Applications depend on the crate `cairndb`, which re-exports what is
//! public here.
//!
//! ```
//! use cairn_env::{DatabaseOptions, Environment, Options};
//!
//! let (env, _report) = Environment::in_memory(Options::default())?;
//! let stock = env.database("stock", DatabaseOptions::default())?;
//! let orders = env.database("orders", DatabaseOptions::default())?;
//! env.write(|txn| {
//!     // Both or neither, also after a power failure.
//!     txn.put(&stock, b"apples", b"11")?;
//!     txn.put(&orders, b"0001", b"one apple")
//! })?;
//! assert_eq!(env.snapshot()?.get(&stock, b"apples")?.unwrap(), b"11");
//! # Ok::<(), cairn_env::EnvError>(())
//! ```
#![forbid(unsafe_code)]

mod audit;
mod backup;
mod checkpoint;
mod cleaner;
mod commit;
mod core;
mod database;
mod descriptor;
mod directories;
mod door;
mod earlier;
mod environment;
mod error;
mod event_queue;
mod events;
mod failure;
mod file_space;
mod files;
#[doc(hidden)]
pub mod fuzzing;
mod generations;
mod graves;
mod heal;
mod index;
pub mod inspect;
mod journal;
mod journal_worker;
mod keyring;
mod maintenance;
mod multimap;
mod options;
mod pair;
mod past;
mod pin;
mod published;
mod recovery;
mod rekey;
mod repair;
mod restore;
mod root;
mod salvage;
mod scrub;
mod seen;
mod sequence;
mod shape;
mod ship;
mod sites;
mod snapshot;
mod space;
#[doc(hidden)]
pub mod spec;
mod staging;
mod standby;
mod state;
mod state_keys;
mod stored_trees;
mod survey;
mod sync;
#[doc(hidden)]
pub mod tell;
mod transaction;
mod utilization;
mod value;
mod value_cache;
mod verify;

mod view;

pub use backup::{BackupFile, BackupSet, Cut};
pub use cairn_btree::{MAX_KEY_LEN, TreeDigest};
pub use checkpoint::CheckpointReport;
pub use cleaner::CleanReport;
pub use commit::{MAX_TRANSACTION_LEN, MAX_VALUE_LEN};
pub use database::{Database, DatabaseKind, DatabaseOptions};
pub use directories::data_directory_space;
pub use earlier::files_to_take;
pub use environment::{
    About, DataDirectory, Environment, Figure, HeldKeys, Identity, PinInfo, Stats, Unit, held_keys,
};
pub use error::{EnvError, EnvResult, ErrorKind, Scope};
pub use event_queue::{EventQueue, MAX_QUEUED_BYTES, MAX_QUEUED_CHANGES, QueuedEvent};
pub use events::{Event, Events};
pub use file_space::FileSpace;
pub use generations::{
    Forgotten, KeptGeneration, forget_old_generation, is_of_an_environment, kept_generation,
    undo_restore,
};
pub use heal::{Copies, HealReport, HealSource, HealedFile};
pub use index::{Index, IndexCursor, IndexDef, IndexEntries, IndexEntry};
pub use keyring::{
    EnvironmentKeys, KdfCost, KeyEpochInfo, KeyKind, KeyProvider, KeyRequest, KeySlotInfo,
    KeySource, Keyring, KeyringInfo, Outline, Recipient, RetiredEpochs, UnlockedKeyring,
    UnlockedKeys,
};
pub use multimap::{Keys, Multimap, Pairs};
pub use options::{Compression, Durability, Options};
pub use past::{
    JournalHistory, JournalRange, JournalRetention, JournalSource, JournalSpan, MAX_LABEL_LEN,
    Mark, PlannedFile, RestoreBase, RestorePlan, RestoreTo, Since,
};
pub use pin::PinBudget;
pub use recovery::report::{RecoveryReport, TornTail};
pub use rekey::{RekeyReport, finish_rekey};
pub use repair::{DamagedPlace, Missing, RepairReport, repair, repair_in};
pub use restore::{RestoreTarget, Restored};
pub use salvage::{
    ApartTransaction, DamagedRange, Naming, SalvageOptions, SalvageReport, SalvagedDatabase,
    SalvagedEntry, SalvagedFile, Standing, Substitute, salvage, salvage_in, salvage_to,
    salvage_to_in,
};
pub use scrub::{Scrub, ScrubReport, ScrubState};
pub use sequence::{Sequence, SequenceOptions};
pub use shape::{DatabaseShape, IndexShape};
pub use ship::{
    JournalPiece, JournalSink, ReplicaInfo, ReplicaOptions, ReplicaPolicy, ReplicaProgress,
    ReplicaState, ReplicaStatus, ShipMode, Shipment, ShipmentStatus, detach_replica,
    promote_replica, replica_info, replica_progress,
};
pub use sites::{REPLICA_SYNC_SITES, STANDBY_SYNC_SITES, SYNC_SITES};
pub use snapshot::{Cursor, Range, Snapshot};
pub use space::{DiskLimit, HolderKind, SpaceHolder, SpaceReport};
pub use standby::{
    StandbyInfo, StandbyProgress, StandbyTarget, Superseded, begin_standby, standby_info,
    standby_progress, supersede, superseded,
};
pub use stored_trees::{CheckpointTrees, StoredTrees};
pub use survey::{LevelSurvey, Survey, TreeSurvey};
pub use transaction::{
    CommitInfo, Companion, ExclusiveRange, ExclusiveTransaction, PendingCommit, Savepoint,
    Submission, Transaction, TransactionRange,
};
pub use value::{Stored, Value};
pub use verify::{Finding, Reach, VerifyOptions, VerifyReport};
pub use view::{KeyBounds, View};
