//! An environment whose commits wait for a replica, or for none; and a replica whose source is gone.

use std::{
    error::Error,
    fs,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use cairn_env::{Database, DatabaseOptions, Durability, Environment, Options, ReplicaPolicy};
use tempfile::TempDir;

use crate::{VALUE, key};

/// Why a bench ends.
pub const NO_DISK: &str = "the temporary directory can be written";

/// An environment on the disk, with or without a replica beside it.
#[derive(Debug)]
pub struct Alone {
    env: Environment,
    database: Database,
    next: AtomicU64,
    /// Goes when the environment was closed.
    _dir: TempDir,
}

impl Alone {
    /// A new one.
    ///
    /// # Errors
    /// If the temporary directory cannot be written.
    pub fn new(with_replica: bool) -> Result<Self, Box<dyn Error>> {
        let dir = tempfile::tempdir()?;
        let mut options = Options::new();
        if with_replica {
            options = options.replica(dir.path().join("there"), ReplicaPolicy::Require);
        }
        let (env, _) = Environment::open(dir.path().join("here"), options)?;
        let database = env.database("main", DatabaseOptions::default())?;
        Ok(Self { env, database, next: AtomicU64::new(0), _dir: dir })
    }

    /// So many threads commit so many times each, one entry at a time, durably.
    ///
    /// # Panics
    /// If the disk fails.
    pub fn commit(&self, threads: u64, each: u64) {
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(|| self.commit_some(each));
            }
            self.commit_some(each);
        });
    }

    fn commit_some(&self, count: u64) {
        for _ in 0..count {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            self.env
                .write_with(Durability::Sync, |txn| txn.put(&self.database, &key(n), &VALUE))
                .expect(NO_DISK);
        }
    }
}

/// A replica whose source is gone, and that starts from nothing: all of it is in the journal.
#[derive(Debug)]
pub struct Lost {
    dir: TempDir,
}

/// A copy of one.
#[derive(Debug)]
pub struct Copy {
    dir: TempDir,
}

impl Lost {
    /// Has so many operations, so many of them in each commit.
    ///
    /// # Errors
    /// If the temporary directory cannot be written.
    pub fn new(operations: u64, in_a_commit: u64) -> Result<Self, Box<dyn Error>> {
        let dir = tempfile::tempdir()?;
        // Nothing makes a checkpoint.
        let options = Options::new()
            .background(false)
            .checkpoint_bytes(u64::MAX)
            .replica(dir.path().join("there"), ReplicaPolicy::Require);
        let (env, _) = Environment::open(dir.path().join("here"), options)?;
        let database = env.database("main", DatabaseOptions::default())?;
        for first in (0..operations).step_by(usize::try_from(in_a_commit)?) {
            env.write_with(Durability::WriteNoSync, |txn| {
                (first..(first + in_a_commit).min(operations))
                    .try_for_each(|n| txn.put(&database, &key(n), &VALUE))
            })?;
        }
        env.sync()?;
        // As a copy of a moment at which the source dies: what it does when it is closed is not in it.
        copy(&dir.path().join("there"), &dir.path().join("lost"))?;
        env.close()?;
        Ok(Self { dir })
    }

    /// A copy that nobody has opened.
    ///
    /// # Errors
    /// If the temporary directory cannot be written.
    pub fn copy(&self) -> Result<Copy, Box<dyn Error>> {
        let dir = tempfile::tempdir()?;
        copy(&self.dir.path().join("lost"), dir.path())?;
        Ok(Copy { dir })
    }
}

impl Copy {
    /// Opens it, and returns how many entries it has then.
    ///
    /// # Errors
    /// If it does not open.
    pub fn open(&self) -> Result<u64, Box<dyn Error>> {
        let (env, _) = Environment::open(self.dir.path(), Options::new().background(false))?;
        let snapshot = env.snapshot()?;
        let database = snapshot.database("main")?.ok_or("no database")?;
        Ok(snapshot.len(&database)?)
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => drop(fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}
