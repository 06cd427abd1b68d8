//! The catalogue: what is planted, and the public bug of which it is modelled.
//!
//! It was written down before any rig ran on it: what the rigs find easily had no say in the choice. An
//! entry stays until the code that it changes is gone; one that no rig finds makes a rig better.

/// A planted bug.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the catalogue states each")]
pub struct Plant {
    /// What the engine's source calls it: `planted::is(7)`.
    pub number: u32,
    /// The same for people.
    pub name: &'static str,
    /// What the engine does wrong with it.
    pub here: &'static str,
    /// The bug that it is modelled on.
    pub model: Model,
}

/// A bug that another project had, and says so in public.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the catalogue states each")]
pub struct Model {
    /// Whose it was.
    pub project: &'static str,
    /// When it was reported or mended; 0: its source does not say.
    pub year: u16,
    /// What it was.
    pub there: &'static str,
    /// Where that can be read.
    pub source: &'static str,
}

const fn plant(number: u32, name: &'static str, here: &'static str, model: Model) -> Plant {
    Plant { number, name, here, model }
}

const fn model(
    project: &'static str,
    year: u16,
    there: &'static str,
    source: &'static str,
) -> Model {
    Model { project, year, there, source }
}

/// All planted bugs, by their numbers, from the journal up to backups and failures of the disk.
pub const CATALOGUE: &[Plant] = &[
    plant(
        1,
        "acknowledged before the sync",
        "a commit that asked for a sync is acknowledged when it is written",
        model(
            "etcd",
            2022,
            "a cluster of one member answered a client before its log was synced",
            "https://github.com/etcd-io/etcd/issues/14370",
        ),
    ),
    plant(
        2,
        "the next journal file before the end of the last",
        "the seal of a journal file is not synced before the next file is begun",
        model(
            "YugabyteDB",
            2020,
            "a segment of the log was not synced when the next one was begun: a gap between them",
            "https://github.com/yugabyte/yugabyte-db/issues/3490",
        ),
    ),
    plant(
        3,
        "a name that is not durable",
        "a new journal file is synced, its directory is not",
        model(
            "PostgreSQL",
            2016,
            "log segments got their names by a rename whose directory was not synced",
            "https://git.postgresql.org/gitweb/?p=postgresql.git;a=commit;h=1d4a0ab19a7e45aa8b94d7f720d1d9cefb81ec40",
        ),
    ),
    plant(
        4,
        "a short write taken for a whole one",
        "a write that took fewer bytes than it was given is not continued",
        model(
            "Redis",
            2012,
            "a short write left part of a buffer in the append-only file, which did not load again",
            "https://github.com/redis/redis/pull/587",
        ),
    ),
    plant(
        5,
        "a failed sync tried again",
        "a sync of a log file that failed is repeated, and believed",
        model(
            "PostgreSQL",
            2018,
            "a repeated fsync succeeded although the kernel had dropped the pages: fsyncgate",
            "commit `PANIC on fsync() failure`, 2018-11-19; https://pgpedia.info/d/data_sync_retry.html",
        ),
    ),
    plant(
        6,
        "a full disk taken for success",
        "bytes for which a disk had no room count as written",
        model(
            "Turso",
            2026,
            "a write that failed for want of room was dropped from the books before its error was seen",
            "https://github.com/tursodatabase/turso/issues/8163",
        ),
    ),
    plant(
        7,
        "any bad record ends the log",
        "recovery takes damage to what was durable for a torn tail",
        model(
            "RocksDB",
            2020,
            "a cut log counted as a clean end, and replay went on behind the hole",
            "https://github.com/facebook/rocksdb/pull/7701",
        ),
    ),
    plant(
        8,
        "written taken for durable",
        "the watermark of a record is the end of what was written, not of what was synced",
        model(
            "Turso",
            2025,
            "positions in the log were set from the last frame written, not from the last committed",
            "https://github.com/tursodatabase/turso/pull/2613",
        ),
    ),
    plant(
        9,
        "a checksum that nobody compares",
        "a record that is read by its position is not held against its checksum",
        model(
            "LevelDB",
            2013,
            "index blocks were read without their checksums, even with paranoid checks",
            "https://github.com/google/leveldb/issues/154",
        ),
    ),
    plant(
        10,
        "a torn record accepted",
        "replay believes a record whose header is whole, whatever its payload",
        model(
            "HashiCorp raft-wal",
            2022,
            "after a torn write the index counted an entry whose bytes were not all there",
            "https://github.com/hashicorp/raft-wal/issues/10",
        ),
    ),
    plant(
        11,
        "a checkpoint before its nodes",
        "the state names a checkpoint whose last node files are not written out and synced",
        model(
            "Turso",
            2026,
            "a checkpoint truncated the log before the database file was synced",
            "https://github.com/tursodatabase/turso/issues/4467",
        ),
    ),
    plant(
        12,
        "always the same slot",
        "the state is written over its own last version instead of the one before",
        model(
            "Bolt",
            2018,
            "commits wrote one of both meta pages only, so that the other one was of no use",
            "https://github.com/boltdb/bolt/issues/744",
        ),
    ),
    plant(
        13,
        "a node left out of a checkpoint",
        "a node that changes while a checkpoint is under way is not written by it",
        model(
            "WiredTiger",
            2021,
            "a page that was updated and evicted during a checkpoint was left out of it",
            "https://jira.mongodb.org/browse/WT-7984",
        ),
    ),
    plant(
        14,
        "a checkpoint that claims too much",
        "a checkpoint says that it holds commits that were made while it was written",
        model(
            "etcd",
            2022,
            "the index of what was applied was saved apart from the data: a crash skipped entries",
            "etcd-io/etcd Documentation/postmortems/v3.5-data-inconsistency.md",
        ),
    ),
    plant(
        15,
        "a second crash after the first",
        "recovery does not make durable what it has read before it goes on",
        model(
            "redb",
            2026,
            "a crash while recovering from a crash rolled back or corrupted durable commits",
            "cberner/redb CHANGELOG.md, 4.2.0",
        ),
    ),
    plant(
        16,
        "old bytes in a recycled file",
        "a journal file is used again with the records of its former life in it",
        model(
            "Pebble",
            2020,
            "records in the tail of a recycled log looked valid and could be replayed",
            "https://github.com/cockroachdb/pebble/pull/580",
        ),
    ),
    plant(
        17,
        "only the first file replayed",
        "replay does not go on to the files behind the one in which it began",
        model(
            "SurrealKV",
            2025,
            "only one segment of the log was replayed, not all since the last flush",
            "https://github.com/surrealdb/surrealkv/pull/264",
        ),
    ),
    plant(
        18,
        "dropped data that stays",
        "a database that is dropped loses its name only: its tree stays",
        model(
            "fjall",
            2026,
            "what clear() had removed reappeared when the database was opened again",
            "fjall-rs/fjall commit 5a6db12",
        ),
    ),
    plant(
        19,
        "the number of a database given twice",
        "replay does not count the databases that it creates: the next one gets a number again",
        model(
            "RocksDB",
            2020,
            "recovery gave a new manifest the number of one that was there, and truncated it",
            "https://github.com/facebook/rocksdb/pull/6426",
        ),
    ),
    plant(
        20,
        "the number of a file given twice",
        "the open does not look at which numbers the files have that it finds",
        model(
            "RocksDB",
            2020,
            "after a crash the number of a table file was used again, and the good file deleted",
            "https://github.com/facebook/rocksdb/pull/7621",
        ),
    ),
    plant(
        21,
        "a separator that is too low",
        "a leaf splits below its last left key instead of above it",
        model(
            "RavenDB",
            2026,
            "separators out of order: scans saw keys that no search could reach",
            "https://github.com/ravendb/ravendb/pull/22959",
        ),
    ),
    plant(
        22,
        "a merge with the wrong fence",
        "two leaves are merged under the upper fence of the left one: keys get a wrong prefix",
        model(
            "sled",
            2025,
            "prefix encoding was handled wrongly when nodes were merged",
            "spacejam/sled commit f6870e08, and CHANGELOG.md, 0.29.1",
        ),
    ),
    plant(
        23,
        "the wrong node unlinked",
        "a merge takes the left child out of the branch, and leaves the one that is gone",
        model(
            "Bolt",
            2014,
            "a merge to the left updated the parent so that a deleted node reappeared",
            "https://github.com/boltdb/bolt/pull/185",
        ),
    ),
    plant(
        24,
        "a backward scan that skips",
        "going back into an earlier leaf misses the last entry there",
        model(
            "LeanStore",
            2026,
            "the reverse iterator skipped the predecessor behind the border of a leaf",
            "https://github.com/leanstore/leanstore/pull/39",
        ),
    ),
    plant(
        25,
        "a count that is off",
        "removing an entry with a large value does not lower the number of entries",
        model(
            "redb",
            2026,
            "len() and is_empty() of a multimap's values returned stale counts",
            "cberner/redb CHANGELOG.md, 4.1.0",
        ),
    ),
    plant(
        26,
        "a phantom behind the last entry",
        "a scan to the end of its range counts only up to the last entry that it returned",
        model(
            "SlateDB",
            2026,
            "only keys that a scan yielded were tracked, not the range that was asked for",
            "https://github.com/slatedb/slatedb/issues/1711",
        ),
    ),
    plant(
        27,
        "a miss is no read",
        "looking up a key that is not there does not count as a read",
        model(
            "Badger",
            2020,
            "an iterator that found nothing added nothing to the reads: updates were lost",
            "https://github.com/dgraph-io/badger/pull/1328",
        ),
    ),
    plant(
        28,
        "reads dated by the commit",
        "what a transaction has read is held only against what commits after its own end",
        model(
            "ArcadeDB",
            2026,
            "the version to compare with was taken when a record was saved, not when it was read",
            "https://github.com/ArcadeData/arcadedb/pull/6979",
        ),
    ),
    plant(
        29,
        "the first commit after the snapshot",
        "validation of scans passes over the commit that comes right after the snapshot",
        model(
            "RocksDB",
            2022,
            "a write between validation and commit of an optimistic transaction was not noticed",
            "https://github.com/facebook/rocksdb/issues/10663",
        ),
    ),
    plant(
        30,
        "a savepoint that keeps inserts",
        "going back to a savepoint does not take back what was put under new keys",
        model(
            "Turso",
            2026,
            "ROLLBACK TO did not undo inserts into attached databases",
            "https://github.com/tursodatabase/turso/issues/6270",
        ),
    ),
    plant(
        31,
        "a file removed while in use",
        "a value that the cleaner moves does not count for the file that it moves to",
        model(
            "Berkeley DB JE",
            0,
            "a log file was deleted that the tree still needed: LogFileNotFoundException, data loss",
            "https://download.oracle.com/berkeley-db/docs/je/3.3.74/changelog.html",
        ),
    ),
    plant(
        32,
        "files removed under a reader",
        "dead files go although a snapshot or a backup holds a version that has them",
        model(
            "RocksDB",
            2024,
            "compactions deleted files during a backup that had disabled deletions",
            "https://github.com/facebook/rocksdb/issues/12849",
        ),
    ),
    plant(
        33,
        "an old value moved over a new one",
        "the cleaner writes a moved value back without looking whether it is still the value",
        model(
            "Badger",
            2026,
            "garbage collection wrote a value back that had been deleted meanwhile",
            "https://github.com/dgraph-io/badger/pull/2310",
        ),
    ),
    plant(
        34,
        "space that never comes back",
        "a large value that is replaced does not become garbage in the account of its file",
        model(
            "sled",
            2020,
            "a blob was not removed when another blob replaced it",
            "https://github.com/spacejam/sled/pull/1202",
        ),
    ),
    plant(
        35,
        "the wrong directory synced",
        "the names of node files are made durable in the root instead of where the files lie",
        model(
            "RocksDB",
            2019,
            "ingesting a file did not sync the directory that names it",
            "https://github.com/facebook/rocksdb/issues/5287",
        ),
    ),
    plant(
        36,
        "a backup without a log file",
        "a backup leaves out the journal file that ends at its cut",
        model(
            "RocksDB",
            2022,
            "a backup missed one of the live log files, and what was restored did not open",
            "https://github.com/facebook/rocksdb/pull/10083",
        ),
    ),
    plant(
        37,
        "an increment without the changes",
        "an incremental backup takes a journal file over as it was, although it has grown",
        model(
            "WiredTiger",
            2023,
            "an incremental backup left out blocks that had changed since the one before",
            "https://jira.mongodb.org/browse/WT-10551",
        ),
    ),
    plant(
        38,
        "restored in place too early",
        "the restored generation takes the place of the old one before it is durable",
        model(
            "RocksDB",
            2020,
            "a restore cleared the database's directory before it could fail",
            "https://github.com/facebook/rocksdb/pull/7254",
        ),
    ),
    plant(
        39,
        "renamed before it is synced",
        "a small file is renamed over the old one before its content is durable",
        model(
            "LevelDB",
            2021,
            "the first manifest was closed without a sync before CURRENT named it",
            "google/leveldb commit 8f18614",
        ),
    ),
    plant(
        40,
        "going on after a failure",
        "after a write or a sync of the journal has failed, the environment takes new commits",
        model(
            "LevelDB",
            2023,
            "writes went on after a log file could not be closed",
            "google/leveldb commit fb644cb, https://github.com/google/leveldb/issues/1081",
        ),
    ),
];
