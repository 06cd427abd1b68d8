//! Errors of the rows of ArkData's reference that no other file here has, with their numbers; and what a store
//! whose content is damaged still can.

use std::{fs, path::Path};

use cairn_env::{EnvError, Environment, ErrorKind, Options};
use cairn_io::{IoOp, WorldRef};
use cairn_kv::{BackupPlace, KvError, KvStore};
use cairn_sim::{Fault, FaultDisk, Rule, SimDisk, SimWorld};

use crate::fixture::options;

#[test]
fn a_limit_of_the_disk_is_14800047() {
    let limited = Options::default().background(false).max_disk(1 << 20);
    let (env, _) = Environment::in_memory(limited).unwrap();
    let error = KvStore::open(&env, "store", options()).unwrap_err();
    assert!(matches!(error, KvError::Env(EnvError::DiskLimit { .. })), "{error}");
    assert_eq!((error.code(), error.kind()), (Some(14_800_047), ErrorKind::Full));
}

/// A disk that fails or is full has no number; what was acknowledged before is there.
#[test]
fn a_disk_that_fails_or_is_full_has_no_number() {
    for (fault, kind) in [(Fault::NoSpace, ErrorKind::Full), (Fault::Eio, ErrorKind::Poisoned)] {
        let (sim, world) = (SimDisk::new(), SimWorld::new(7).world());
        let disk = FaultDisk::new(sim.root());
        let open = || {
            let options_of_env = Options::default().background(false);
            Environment::open_in(disk.root(), WorldRef::clone(&world), options_of_env).unwrap().0
        };
        let env = open();
        let store = KvStore::open(&env, "store", options()).unwrap();
        store.put("before", 1).unwrap();
        disk.inject(Rule::new(fault).op(IoOp::Write).and_on());
        let error = (0..10_000).find_map(|n| store.put(format!("k{n}"), vec![0; 100_000]).err());
        let error = error.unwrap();
        assert_eq!((error.code(), error.kind()), (None, kind), "{error}");
        disk.clear();
        drop((store, env));
        let store = KvStore::open(&open(), "store", options()).unwrap();
        assert_eq!(store.get("before").unwrap(), Some(1.into()));
    }
}

/// The one node file of an environment.
fn node_file(dir: &Path) -> std::path::PathBuf {
    let mut files: Vec<_> = fs::read_dir(dir.join("g-000001"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("N-"))
        .collect();
    files.sort_by_key(|path| fs::metadata(path).unwrap().len());
    files.pop().unwrap()
}

/// ArkData empties a damaged store without a word. Here what is damaged is said to be, a backup of it is refused,
/// and a restore brings the store back on the same handle.
#[test]
fn a_damaged_store_says_so_and_is_restored() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let options_of_env = || Options::default().background(false).leaf_bytes(256);
    let open = || {
        let (env, _) = Environment::open(&path, options_of_env()).ok()?;
        BackupPlace::beside(&path).attach(&env);
        let store = KvStore::open(&env, "store", options()).ok()?;
        Some((env, store))
    };
    let (env, store) = open().unwrap();
    let entries = (0..100).map(|n| cairn_kv::Entry::new(format!("k{n:03}"), "v".repeat(50)));
    store.put_batch(entries).unwrap();
    store.backup("BK001").unwrap();
    drop(store);
    env.close().unwrap();

    let file = node_file(&path);
    let whole = fs::read(&file).unwrap();
    for at in (0..whole.len()).step_by(61) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&file, &damaged).unwrap();
        // Most damage is met by the open, which is then refused; here that of a leaf is wanted.
        if let Some((env, store)) = open() {
            let Err(error) = store.get_entries("") else { continue };
            assert_eq!((error.code(), error.kind()), (Some(15_100_003), ErrorKind::Corrupt));
            let error = store.backup("BK002").unwrap_err();
            assert_eq!(error.code(), Some(15_100_003), "{error}");
            assert_eq!(store.backups().unwrap().len(), 1);
            assert!(env.is_valid());
            store.restore("BK001").unwrap();
            assert_eq!(store.get_entries("").unwrap().len(), 100);
            store.put("k000", "other").unwrap();
            assert_eq!(store.get("k000").unwrap(), Some("other".into()));
            return;
        }
    }
    panic!("no byte of a leaf was damaged");
}
