//! An environment in memory with something in it, and its content.

use std::{collections::BTreeMap, sync::Arc};

use cairn_backup::{BackupOptions, backup_to};
use cairn_env::{DatabaseOptions, Environment, Options};
use cairn_io::{DirRef, MemDisk, WorldRef};
use cairn_sim::SimWorld;

pub(crate) type Content = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

pub(crate) fn options() -> Options {
    Options::default().background(false).journal_file_bytes(16 << 10).node_file_bytes(16 << 10)
}

pub(crate) fn world() -> WorldRef {
    SimWorld::new(3).world()
}

pub(crate) fn open(disk: &MemDisk) -> Environment {
    open_in(&disk.root())
}

pub(crate) fn open_in(dir: &DirRef) -> Environment {
    Environment::open_in(Arc::clone(dir), world(), options()).unwrap().0
}

/// As `open`, and what it creates is another environment.
pub(crate) fn open_seeded(disk: &MemDisk, seed: u64) -> Environment {
    Environment::open_in(disk.root(), SimWorld::new(seed).world(), options()).unwrap().0
}

/// Puts `count` entries, every seventh of them large.
pub(crate) fn fill(env: &Environment, from: u32, count: u32) {
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    for n in from..from + count {
        let len = if n % 7 == 0 { 3000 } else { 50 };
        let value = vec![n.to_le_bytes()[0]; len];
        env.write(|txn| txn.put(&db, &n.to_le_bytes(), &value)).unwrap();
    }
}

pub(crate) fn content(env: &Environment) -> Content {
    let snapshot = env.snapshot().unwrap();
    let mut content = Content::new();
    for db in snapshot.databases().unwrap() {
        let entries = snapshot.iter(&db).unwrap().map(|entry| {
            let (key, value) = entry.unwrap();
            (key.to_vec(), value.to_vec())
        });
        content.insert(db.name().to_owned(), entries.collect());
    }
    content
}

/// A backup of an environment with 120 entries, and what it holds.
pub(crate) fn saved() -> (MemDisk, Content) {
    let disk = MemDisk::new();
    let env = open(&disk);
    fill(&env, 0, 80);
    env.checkpoint().unwrap();
    fill(&env, 40, 80);
    let saved = MemDisk::new();
    backup_to(&env, &saved.root(), &world(), &BackupOptions::default()).unwrap();
    let content = content(&env);
    (saved, content)
}

pub(crate) fn dir(disk: &MemDisk) -> DirRef {
    Arc::clone(&disk.root())
}
