//! An embedded database whose data can always be brought back.
//!
//! An [`Environment`] is a directory that holds any number of named [`Database`]s: ordered maps from
//! byte strings to byte strings. Transactions span databases and are serializable; snapshots never
//! change and never wait; a commit survives what its [`Durability`] says; opening runs recovery and
//! says what it did ([`RecoveryReport`]).
//!
//! ```
//! use cairndb::{DatabaseOptions, Environment, Options};
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("data");
//! let (env, report) = Environment::open(&path, Options::default())?;
//! println!("{report}");
//! let users = env.database("users", DatabaseOptions::default())?;
//!
//! env.write(|txn| {
//!     txn.put(&users, b"ada", b"1815")?;
//!     txn.put(&users, b"grace", b"1906")
//! })?;
//!
//! let snapshot = env.snapshot()?;
//! assert_eq!(snapshot.get(&users, b"ada")?.unwrap(), b"1815");
//! for entry in snapshot.prefix(&users, b"g")? {
//!     let (key, value) = entry?;
//!     println!("{key:?} {value:?}");
//! }
//! # drop(snapshot);
//! env.close()?;
//! # Ok::<(), cairndb::EnvError>(())
//! ```
//!
//! # Beyond one value per key
//!
//! A [`Multimap`] holds a sorted set of values for each key. An [`Index`] finds the entries of a
//! database by keys that a function makes of them, and changes in the transaction that changes an entry.
//! A [`Sequence`] gives out numbers, each once.
//!
//! ```
//! use cairndb::{DatabaseOptions, Environment, IndexDef, Options, SequenceOptions};
//!
//! let (env, _) = Environment::in_memory(Options::default())?;
//! let users = env.database("users", DatabaseOptions::default())?;
//! let counters = env.database("counters", DatabaseOptions::default())?;
//! let numbers = env.sequence(&counters, b"users", SequenceOptions::default())?;
//! let by_mail = IndexDef::new("users by mail", 1, |_number, mail, emit| emit(mail));
//! let by_mail = env.index(&users, by_mail.unique())?;
//! let groups = env.multimap("groups")?;
//!
//! let ada = numbers.next()?.to_be_bytes();
//! env.write(|txn| {
//!     txn.put(&users, &ada, b"ada@example.org")?;
//!     groups.put(txn, b"admins", &ada)
//! })?;
//! let snapshot = env.snapshot()?;
//! let found = by_mail.get(&snapshot, b"ada@example.org")?.unwrap();
//! assert_eq!(found.primary_key, ada[..]);
//! assert_eq!(groups.first(&snapshot, b"admins")?.unwrap(), ada[..]);
//! # Ok::<(), cairndb::EnvError>(())
//! ```
//!
//! # Guarantees
//!
//! - A commit that was acknowledged with [`Durability::Sync`] survives power loss; all earlier commits
//!   do with it. What a crash leaves is always the state after some commit, never a mixture.
//! - Bytes that are damaged on disk are reported as such, with file and offset. They are never returned,
//!   and never taken for the end of the log.
//! - After a failed sync nothing is acknowledged any more: [`Environment::is_valid`] says so, and
//!   opening again decides from the disk.
//! - A backup is one commit of all databases. It exists only when it is complete and verified, and what
//!   it is restored to opens only when it was proved.
//!
//! # Limits
//!
//! Keys have 0 to [`MAX_KEY_LEN`] bytes, values 0 to [`MAX_VALUE_LEN`], the changes of a transaction
//! together at most [`MAX_TRANSACTION_LEN`]. One process has an environment open for writing at a time.
//!
//! # Features
//!
//! All are on by default. `archive` and `backup`: the modules of these names. `kv`: the module `kv`, a key-value store
//! with typed values, queries and observers. `sql`: the module `sql`, SQLite on the environment; with both, the module
//! `joint`, transactions over stores of both sorts. `serde`: the module `typed`, values of types of your own.
#![forbid(unsafe_code)]

#[cfg(all(feature = "kv", feature = "sql"))]
pub mod joint;
#[cfg(feature = "serde")]
pub mod typed;

pub use cairn_env::{
    About, ApartTransaction, BackupFile, BackupSet, CheckpointReport, CleanReport, CommitInfo,
    Companion, Compression, Copies, Cursor, Cut, DamagedPlace, DamagedRange, DataDirectory,
    Database, DatabaseKind, DatabaseOptions, DatabaseShape, DiskLimit, Durability, EnvError,
    EnvResult, Environment, EnvironmentKeys, ErrorKind, Event, Events, ExclusiveRange,
    ExclusiveTransaction, Figure, FileSpace, Finding, HealReport, HealSource, HealedFile,
    HolderKind, Identity, Index, IndexCursor, IndexDef, IndexEntries, IndexEntry, IndexShape,
    JournalHistory, JournalPiece, JournalRetention, JournalSink, KdfCost, KeptGeneration,
    KeyBounds, KeyEpochInfo, KeyKind, KeyProvider, KeyRequest, KeySlotInfo, KeySource, KeyringInfo,
    Keys, LevelSurvey, MAX_KEY_LEN, MAX_LABEL_LEN, MAX_TRANSACTION_LEN, MAX_VALUE_LEN, Mark,
    Missing, Multimap, Naming, Options, Outline, Pairs, PendingCommit, PinBudget, PinInfo, Range,
    Reach, Recipient, RecoveryReport, RekeyReport, RepairReport, ReplicaInfo, ReplicaOptions,
    ReplicaPolicy, ReplicaProgress, ReplicaState, ReplicaStatus, RestoreTo, RetiredEpochs,
    SalvageOptions, SalvageReport, SalvagedDatabase, SalvagedEntry, SalvagedFile, Savepoint, Scope,
    Scrub, ScrubReport, ScrubState, Sequence, SequenceOptions, ShipMode, Shipment, ShipmentStatus,
    Snapshot, SpaceHolder, SpaceReport, StandbyInfo, StandbyProgress, Standing, Stats, Submission,
    Substitute, Superseded, Survey, TornTail, Transaction, TransactionRange, TreeDigest,
    TreeSurvey, Unit, UnlockedKeyring, UnlockedKeys, Value, VerifyOptions, VerifyReport, View,
    detach_replica, finish_rekey, promote_replica, repair, replica_info, replica_progress, salvage,
    salvage_in, salvage_to, salvage_to_in, standby_info, standby_progress, superseded,
};

/// What tools need beside the environment: descriptions of log records.
pub use cairn_env::inspect;

/// The key-value store: see [`KvStore`](kv::KvStore).
#[cfg(feature = "kv")]
pub mod kv {
    pub use cairn_kv::{
        BackupInfo, BackupOptions, BackupPlace, BackupSchedule, ChangeNotification, Compression,
        DeleteStatus, Entry, Explanation, FieldNode, KvError, KvManager, KvManagerConfig,
        KvOptions, KvResult, KvStore, KvTransaction, KvWithin, Limits, ListedBackup,
        MAX_BATCH_SIZE, MAX_DEVICE_LENGTH, MAX_KEY_LENGTH, MAX_KEY_LENGTH_DEVICE, MAX_QUERY_LENGTH,
        MAX_STORE_ID_LENGTH, MAX_VALUE_LENGTH, Observer, Query, ResultSet, Scalar, Schema,
        SchemaMode, SecurityLevel, StoreEvent, StoreType, SubscribeType, Value, ValueType,
    };
}

/// The relational store, [`RdbStore`](sql::RdbStore), and plain SQLite connections whose files live in the environment,
/// [`SqliteConnections`](sql::SqliteConnections).
#[cfg(feature = "sql")]
pub mod sql {
    pub use cairn_rdb::{
        Access, BackupStatus, Cause, ChangeNotification, ColumnIndex, ColumnType, CompactReport,
        ConflictResolution, FromRow, FromValue, HaMode, IntoArgs, JointTransactions,
        ListedSqlBackup, MAX_STORE_NAME_LENGTH, Observer, PlainOptions, Predicates, RdbConfig,
        RdbError, RdbResult, RdbStore, RdbTransaction, RebuildType, ResultSet, Row, SalvageReport,
        SalvagedSqlFile, SalvagedTable, SecurityLevel, SqlFiles, SqlInfo, SqlSalvage,
        SqliteConnections, StoreEvent, TableChanges, TransactionType, TransferError,
        TransferProgress, TransferReport, TransferResult, Value, ValuesBucket, is_complete,
        rusqlite, take_cause,
    };
}

/// Archives: one store, or some databases, as one portable file.
///
/// ```
/// use cairndb::{DatabaseOptions, Environment, Options, archive};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let (path, file) = (dir.path().join("data"), dir.path().join("users.cairn"));
/// let (env, _) = Environment::open(&path, Options::default())?;
/// let users = env.database("users", DatabaseOptions::default())?;
/// env.write(|txn| txn.put(&users, b"ada", b"1815"))?;
///
/// let (snapshot, store) = (env.snapshot()?, archive::StoreInfo::databases());
/// let options = archive::ExportOptions::default();
/// archive::export_to(&env, &snapshot, &store, &["users"], &file, &options)?;
///
/// env.write(|txn| txn.delete(&users, b"ada"))?;
/// let file = archive::ArchiveFile::at(&file)?;
/// let report = archive::import(&env, &file, &store, &archive::ImportOptions::default())?;
/// assert_eq!(env.snapshot()?.get(&report.databases[0], b"ada")?.unwrap(), b"1815");
/// # Ok::<(), archive::ArchiveError>(())
/// ```
#[cfg(feature = "archive")]
pub mod archive {
    pub use cairn_archive::{
        ArchiveError, ArchiveFile, ArchiveKeys, ArchiveReader, ArchiveReport, ArchiveResult,
        ArchivedDatabase, BackupPlace, BeforeCommit, Change, Compression, DatabaseTotals,
        DiffReport, Difference, ExportOptions, FileReader, FileStream, Header, ImportOptions,
        ImportReport, Item, Progress, Report, Side, Step, StoreInfo, StoreKind, StoredReport,
        Totals, diff, export_to, import, verify, verify_stored,
    };
}

/// Backup and restore, into a directory or a [`Repository`](backup::Repository) of many.
#[cfg(feature = "backup")]
pub mod backup {
    pub use cairn_backup::{
        AlsoCheck, BackendError, BackendResult, BackupError, BackupFinding, BackupOptions,
        BackupReport, BackupResult, BackupVerifyReport, Begun, Cancel, Change, CheckFinding,
        CheckLevel, CheckOptions, CheckReport, CompareCounts, CompareOptions, CompareReport,
        ComparedEntry, ComparedKey, ComparedSort, ComparedStore, ComparedTable, Compression,
        Deleted, DirectoryCheck, Drill, DrillCheck, DrillDue, DrillFailure, DrillOptions,
        DrillPoint, DrillPolicy, DrillReport, DrillStage, EachReport, EnvironmentInfo, Folder,
        Following, Forgotten, FoundLast, Hole, KeepReason, KeptGeneration, KeptJournal,
        LastShipped, Listed, ListedPoint, LocalBackend, MANIFEST_NAME, MAX_POINT_LABEL_LEN,
        Manifest, ManifestFile, MemoryBackend, Moment, NeededObject, ObjectError, ObjectName, One,
        OneOptions, OneReport, Opened, Origin, Pace, Part, PartName, Piece, PlannedPoint, Point,
        PointDatabase, PointFile, PointOptions, PointReport, PointState, Progress, PromoteOptions,
        Promotion, Proof, ProveOptions, ProveReport, PruneOptions, PrunePlan, PruneRefusal, Put,
        RepoBackend, Repository, RepositoryInfo, RepositorySalvage, RepositorySalvageOptions,
        RepositorySalvageReport, RestorableInterval, RestoreOptions, RestoreReport, RestoreTo,
        Restored, Retention, RetentionPoint, Segment, SegmentCommits, Share, ShipOptions,
        ShipReport, Shipper, Shipping, ShippingStatus, ShortHash, Sought, Standby, StandbyOptions,
        StandbySource, StandbyStatus, StandbyStep, Subset, Superseded, TimelineIntervals, Tomb,
        TombStage, Which, backup, backup_each, bring_one, check_key, compare, conformance,
        forget_old, heal, is_encrypted, is_object_store, is_repository, open_backup, publish,
        restore, undo_restore, verify,
    };
    #[cfg(feature = "object-store")]
    pub use cairn_backup::{ObjectBackend, ObjectOptions};
}
