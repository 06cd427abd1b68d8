//! How an environment is opened, and how sure a commit is.

use std::{path::Path, time::Duration};

use cairn_btree::ForestOptions;
use cairn_io::DirRef;
use cairn_log::DataKeys;

use crate::{JournalRetention, KeySource, ReplicaOptions, ReplicaPolicy, value_cache};

/// How sure a commit is when the call returns.
///
/// All levels share one journal, so what survives is always a prefix of the order of commits: a
/// later `Sync` makes all earlier commits durable, whatever their level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "callers choose, and tools show, exactly these")]
pub enum Durability {
    /// Survives power loss: one write and one sync, shared with all commits that wait at the time.
    #[default]
    Sync,
    /// Survives the death of the process, not of the system: one write.
    WriteNoSync,
    /// Survives nothing yet: written and synced in the background, about once per second.
    NoSync,
    /// As `NoSync`, and durable at the latest after this time. (While the device is full that cannot be; it
    /// is tried again after each [`Options::flush_interval`].)
    Relaxed(Duration),
}

/// How the nodes of trees are written to the disk.
///
/// In memory a node is always as it is, so what is in the cache is read as fast either way. Large values, which lie beside the
/// trees, and the journal are not compressed.
///
/// Where the device is fast, it costs more than it saves: 640 MiB of which half can be compressed, put in random order with a
/// budget of 64 MiB on two cores, took 30 instead of 25 seconds, wrote 3.4 instead of 4.6 GB, and took 0.9 instead of 1.2 GB
/// of disk; noise, of which nothing can be, took 26 instead of 24. So nodes are written as they are unless somebody asks. The
/// format is LZ4, one block for each node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// Compressed with LZ4, each one that gets shorter by an eighth or more.
    Lz4,
}

/// How an environment is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Whether a missing or empty directory becomes a new environment (default: yes).
    pub create: bool,
    /// Whether nothing may be written: the open then works on damaged or full disks where it can.
    pub read_only: bool,
    /// The key of an encrypted environment (default: none). One that is created is encrypted if it is given,
    /// and has this key as its first; any key that is in its keyring opens it. A plain environment is not
    /// opened with a key, and never becomes an encrypted one.
    pub key: Option<KeySource>,
    /// How many data directories a new environment spreads its log files over (default: 0, none: they
    /// lie in the root; at most 999). An existing one keeps what it has; a number other than 0 that
    /// differs from it is refused.
    pub data_directories: u16,
    /// The durability of commits that do not choose one (default: `Sync`).
    pub durability: Durability,
    /// Bytes of memory for tree nodes and for the tables that say where they are, an eighth of it for large values (default:
    /// 256 MiB). Where the data is larger, leaves that were not used lately are written and let go; whoever commits helps
    /// when the background worker does not keep up, so that it is exceeded by a sixteenth, by what the last commit has
    /// changed, and by what is in use: inner nodes stay, about 1 % of the data, and as much for the tables.
    pub cache_bytes: usize,
    /// Whether the memory for tree nodes lies on huge pages, where the system has them for who asks (default: no). Where
    /// the data in memory is larger than the processor's caches, a point read takes about two thirds of its time
    /// then. What nodes do not need any more is for the nodes of other environments of the process then, and goes back to
    /// the system with the last of them; otherwise it goes back at once.
    pub huge_pages: bool,
    /// Size at which a leaf is split (default: 8 KiB).
    pub leaf_bytes: usize,
    /// How nodes are written from now on (default: as in the newest node file that there is, and as they are in a new
    /// environment). Those that are there already stay as they are until they are written again; both are read.
    /// Nodes of an encrypted environment are never compressed, because how long they are would tell of what is in them.
    pub compression: Option<Compression>,
    /// Length that a journal file may grow to (default: 64 MiB, at least 16 KiB).
    pub journal_file_bytes: u64,
    /// Length at which a node file is finished (default: 64 MiB).
    pub node_file_bytes: u64,
    /// Journal bytes after which a checkpoint is begun (default: 256 MiB). Replay after a crash is
    /// bounded by about twice this.
    pub checkpoint_bytes: u64,
    /// How much of what the log files take should be in use, in percent (default: 70, at most 95). The
    /// background worker moves what is in use out of files that hold little else, so that they can go;
    /// a higher target takes less space and more writing. 0: it never does.
    pub space_target: u8,
    /// Bytes that the environment may take on disk (default: 0, no limit). Near it, files that can go are
    /// removed and less waste is tolerated; then a commit is answered with
    /// [`EnvError::DiskLimit`](crate::EnvError::DiskLimit), except one that only deletes entries or drops
    /// databases. Some room is kept below the limit, so that these, checkpoints, cleaning and closing
    /// still succeed: two steps of the journal (8 MiB, less with short journal files), and what a
    /// checkpoint would write. A limit below that refuses every commit that adds something.
    pub max_disk: u64,
    /// Bytes that the environment leaves free on its device, and on that of each data directory
    /// (default: 0, no limit). What happens near it is the same.
    pub free_disk: u64,
    /// How much journal is kept that nothing needs any more, so that a restore from a backup can go to each commit in
    /// it (default: what the environment was told last, which is none of it at first). It is part of the environment
    /// from the first write on, and holds for whoever opens it afterwards. What is kept counts as used under the disk
    /// limits, is not given up for them, and [`Environment::space`](crate::Environment::space) says how much it is.
    pub keep_journal: Option<JournalRetention>,
    /// Bytes per second at which the background worker reads finished log files again, so that damage
    /// is found while there are backups to mend it from (default: 4 MiB; 0: it never does). That is two
    /// percent of what a disk that turns gives, and 2.3 TiB in a week.
    pub scrub_rate: u64,
    /// How long after one such pass over all files began the next one does, at the earliest (default:
    /// a week). The first begins after this time as well, or ten minutes after the open if that is
    /// sooner: how far scrubbing is does not survive a close.
    pub scrub_interval: Duration,
    /// How long a snapshot, cursor or transaction may keep log files from being removed (default: for
    /// ever). The first checkpoint that finds one which has done so for longer lets the files go; whatever
    /// it reads from then on may answer [`EnvError::SnapshotTooOld`](crate::EnvError::SnapshotTooOld). One
    /// that holds nothing back may live as long as it likes, and so may a backup:
    /// [`Environment::begin_backup_within`](crate::Environment::begin_backup_within).
    pub snapshot_age: Option<Duration>,
    /// Whether large values are handed out as mapped memory where that is possible (default: yes).
    /// Without, they are read into buffers: for storage that may fail under a mapping.
    pub map_values: bool,
    /// Whether recovery refuses a journal that ends in a torn write, as any crash may leave it
    /// (default: no).
    pub strict_tail: bool,
    /// Whether a background worker flushes, checkpoints and evicts, and another one writes the journal of
    /// commits that do not wait for it (default: yes). Without, these happen inside of calls, and
    /// [`Durability::NoSync`] commits become durable only with a later call.
    pub background: bool,
    /// How long a commit that did not ask for a sync may stay undurable while the background worker
    /// runs (default: 1 s).
    pub flush_interval: Duration,
    /// The replica of the environment (default: none): a directory that has every commit that is acknowledged
    /// as [`Durability::Sync`], and opens as an environment when this one is gone. An environment that had one
    /// and is written without it goes on alone, and says so before its first commit. Ignored where nothing may be
    /// written.
    pub replica: Option<ReplicaOptions>,
    /// The data keys of an encrypted environment (default: none, it is not encrypted), for whoever keeps them
    /// outside of it. With a [`key`](Self#structfield.key), which most should use, they come from its keyring. A new one is
    /// encrypted from its first byte on if there are any; an existing one stays what it was created as,
    /// and is opened only with its keys, or only without any.
    pub encryption: Option<DataKeys>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create: true,
            read_only: false,
            key: None,
            data_directories: 0,
            durability: Durability::Sync,
            cache_bytes: 256 << 20,
            huge_pages: false,
            leaf_bytes: ForestOptions::default().leaf_bytes,
            compression: None,
            journal_file_bytes: 64 << 20,
            node_file_bytes: 64 << 20,
            checkpoint_bytes: 256 << 20,
            space_target: 70,
            max_disk: 0,
            free_disk: 0,
            keep_journal: None,
            scrub_rate: 4 << 20,
            scrub_interval: Duration::from_secs(7 * 24 * 3600),
            snapshot_age: None,
            map_values: true,
            strict_tail: false,
            background: true,
            flush_interval: Duration::from_secs(1),
            replica: None,
            encryption: None,
        }
    }
}

macro_rules! setters {
    ($($name:ident: $type:ty;)+) => {
        impl Options {
            /// The defaults.
            #[must_use]
            pub fn new() -> Self {
                Self::default()
            }

            $(
                #[doc = concat!("Sets [`Options::", stringify!($name), "`](Options#structfield.", stringify!($name), ").")]
                #[must_use]
                pub fn $name(mut self, $name: $type) -> Self {
                    self.$name = $name;
                    self
                }
            )+
        }
    };
}

setters! {
    create: bool;
    read_only: bool;
    data_directories: u16;
    durability: Durability;
    cache_bytes: usize;
    huge_pages: bool;
    leaf_bytes: usize;
    journal_file_bytes: u64;
    node_file_bytes: u64;
    checkpoint_bytes: u64;
    space_target: u8;
    max_disk: u64;
    free_disk: u64;
    scrub_rate: u64;
    scrub_interval: Duration;
    snapshot_age: Option<Duration>;
    map_values: bool;
    strict_tail: bool;
    background: bool;
    flush_interval: Duration;
}

impl Options {
    /// Sets [`Options::encryption`](Options#structfield.encryption).
    #[must_use]
    pub fn encryption(mut self, keys: DataKeys) -> Self {
        self.encryption = Some(keys);
        self
    }

    /// Sets [`Options::replica`](Options#structfield.replica): the directory at `path`, which is made if it is
    /// missing, must be empty or the replica of this environment, and should lie on a disk of its own.
    ///
    /// ```
    /// use cairn_env::{DatabaseOptions, Environment, Options, ReplicaPolicy};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let (here, there) = (dir.path().join("here"), dir.path().join("there"));
    /// let options = Options::new().replica(&there, ReplicaPolicy::Require);
    /// let (env, _) = Environment::open(&here, options)?;
    /// let db = env.database("db", DatabaseOptions::default())?;
    /// env.write(|txn| txn.put(&db, b"key", b"on both disks"))?;
    /// drop((env, db));
    ///
    /// std::fs::remove_dir_all(&here).unwrap(); // the disk is gone
    /// let (env, _) = Environment::open(&there, Options::new())?;
    /// let db = env.database("db", DatabaseOptions::default())?;
    /// assert_eq!(env.snapshot()?.get(&db, b"key")?.unwrap(), b"on both disks");
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    #[must_use]
    pub fn replica(mut self, path: impl AsRef<Path>, policy: ReplicaPolicy) -> Self {
        self.replica = Some(ReplicaOptions::at(path.as_ref(), policy));
        self
    }

    /// As [`Options::replica`], in any directory: on a disk in memory, or on one that a test lets fail.
    #[must_use]
    pub fn replica_in(mut self, dir: DirRef, policy: ReplicaPolicy) -> Self {
        self.replica = Some(ReplicaOptions::within(dir, policy));
        self
    }

    /// Sets [`Options::compression`](Options#structfield.compression).
    ///
    /// ```
    /// use cairn_env::{Compression, DatabaseOptions, Environment, Options};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let options = Options::new().compression(Compression::Lz4);
    /// let (env, _) = Environment::open(dir.path(), options)?;
    /// let db = env.database("db", DatabaseOptions::default())?;
    /// env.write(|txn| (0..100u8).try_for_each(|n| txn.put(&db, &[n], &[n; 1000])))?;
    /// env.compact()?; // the journal is not needed any more
    /// assert!(env.space()?.live < 50_000);
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Sets [`Options::keep_journal`](Options#structfield.keep_journal).
    #[must_use]
    pub fn keep_journal(mut self, keep: JournalRetention) -> Self {
        self.keep_journal = Some(keep);
        self
    }

    /// Sets [`Options::key`](Options#structfield.key).
    #[must_use]
    pub fn key(mut self, key: KeySource) -> Self {
        self.key = Some(key);
        self
    }

    /// The capacity of a journal file, unless a record needs a larger one.
    pub(crate) fn journal_capacity(&self) -> u64 {
        self.journal_file_bytes.clamp(16 << 10, 1 << 30)
    }

    pub(crate) fn forest(&self) -> ForestOptions {
        let branch_bytes = (self.leaf_bytes / 2).clamp(256, 4 << 10);
        let leaf_bytes = self.leaf_bytes.clamp(256, 64 << 10);
        ForestOptions {
            cache_bytes: self.cache_bytes - value_cache::budget(self.cache_bytes),
            leaf_bytes,
            branch_bytes,
            huge_pages: self.huge_pages,
            ..ForestOptions::default()
        }
    }
}
