//! Encrypted stores: what others find of them, whose key opens them, and what a new key epoch leaves as it was.

use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Mutex,
};

use cairn_archive::{ArchiveError, ArchiveFile, Progress};
use cairn_env::{EnvironmentKeys, KeySource};
use cairn_kv::{BackupOptions, Compression, KvError, KvManager, KvManagerConfig, MAX_VALUE_LENGTH};

use crate::{
    backup::{Kept, kept, kept_with},
    fixture::{options, people},
};

pub(crate) fn key(n: u8) -> KeySource {
    // One whose bytes are all the same is none.
    KeySource::raw(&mut std::array::from_fn(|at| if at == 0 { n } else { 0x5a }))
}

#[test]
fn backups_of_an_encrypted_store_hold_no_plaintext_and_open_after_a_rekey() {
    let config = KvManagerConfig::new().keys(key(1));
    let mut kept = kept_with(options().encrypt(true), config);
    let canary = "canary-canary-canary";
    kept.store.put("canary-key", canary).unwrap();
    let first = kept.store.backup("BK001").unwrap();
    let epoch = kept.manager.rekey().unwrap();
    assert_eq!(kept.store.get("canary-key").unwrap_err().code(), Some(15_100_005));
    kept.store = kept.manager.get_store("storeId", options().encrypt(true)).unwrap();
    kept.store.put("canary-key", "other").unwrap();
    let second = kept.store.backup("BK002").unwrap();
    assert_eq!((first.key_epoch, second.key_epoch), (Some(epoch - 1), Some(epoch)));
    kept.store.restore("BK001").unwrap();
    assert_eq!(kept.store.get("canary-key").unwrap(), Some(canary.into()));
    kept.store.restore("BK002").unwrap();
    assert_eq!(kept.store.get("canary-key").unwrap(), Some("other".into()));
    for name in ["BK001", "BK002"] {
        let bytes = fs::read(kept.file(name)).unwrap();
        let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!has("canary"), "{name}");
    }
}

#[test]
fn a_plain_environment_cannot_be_rekeyed() {
    let mut kept = kept(options());
    let error = kept.manager.rekey().unwrap_err();
    assert!(matches!(error, KvError::NotEncrypted { .. }));
    assert_eq!(error.code(), Some(15_100_003));
    kept.store.put("a", 1).unwrap(); // nothing was closed
    let error = KvManager::of(kept.manager.environment()).rekey().unwrap_err();
    assert!(matches!(error, KvError::NotSupported { .. }));
}

#[test]
fn an_archive_with_another_key_says_wrong_key() {
    let [ours, theirs] = [1, 2].map(|n| {
        let kept = kept_with(options(), KvManagerConfig::new().keys(key(n)));
        kept.store.put("a", i32::from(n)).unwrap();
        kept.store.backup("BK001").unwrap();
        kept
    });
    let archive = ArchiveFile::at(theirs.file("BK001")).unwrap();
    let error = ours.store.restore_from(&archive, BackupOptions::new()).unwrap_err();
    assert!(matches!(error, KvError::Archive(ArchiveError::WrongKey { .. })), "{error}");
    assert_eq!(error.code(), Some(15_100_003));
    assert_eq!(ours.store.get("a").unwrap(), Some(1.into()));
    // The key of a user was replaced: what the environment knows opens it still.
    let Kept { dir, manager, store } = ours;
    drop(store);
    manager.close().unwrap();
    let path = dir.path().join("data");
    EnvironmentKeys::open(&path).unwrap().unlock(&key(1)).unwrap().rotate(&key(3)).unwrap();
    let manager = KvManager::open(&path, KvManagerConfig::new().keys(key(3))).unwrap();
    let store = manager.get_store("storeId", options()).unwrap();
    store.put("a", 9).unwrap();
    store.restore("BK001").unwrap();
    assert_eq!(store.get("a").unwrap(), Some(1.into()));
}

/// What each key has: short, long and indexed text, and long bytes.
const CANARY: &str = "canary-canary-canary";

/// All files below a directory in which a canary can be read.
fn leaks(dir: &Path) -> Vec<PathBuf> {
    let mut leaks = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            leaks.extend(self::leaks(&path));
            continue;
        }
        // A file may have gone since it was listed.
        let bytes = fs::read(&path).unwrap_or_default();
        if bytes.windows(6).any(|window| window == b"canary") {
            leaks.push(path);
        }
    }
    leaks
}

/// Nothing of an encrypted store is readable anywhere: neither in its environment, nor in archives, nor in what a backup
/// and a restore have not finished; and in a plain one it is, which shows that this looks well enough.
#[test]
fn no_file_holds_plaintext_while_a_store_is_backed_up_and_restored() {
    for encrypted in [true, false] {
        let config = KvManagerConfig::new();
        let config = if encrypted { config.keys(key(1)) } else { config };
        let options = options().encrypt(encrypted).schema(people());
        let kept = kept_with(options, config);
        let (dir, store) = (kept.dir.path(), &kept.store);
        let person = |name: &str| format!("{{\"name\":\"{name}\",\"age\":7}}");
        store.put("short", person(CANARY)).unwrap();
        store.put("long", person(&CANARY.repeat(400))).unwrap();
        store.put(CANARY, person(&CANARY.repeat(2000))).unwrap();

        let seen = Mutex::new(BTreeMap::<String, usize>::new());
        let look = |progress: Progress| {
            let leaks = leaks(dir).len();
            *seen.lock().unwrap().entry(format!("{:?}", progress.step)).or_default() += leaks;
            ControlFlow::Continue(())
        };
        let options = || BackupOptions::new().compression(Compression::None).progress(Some(&look));
        store.backup_with("BK001", options()).unwrap();
        store.delete(CANARY).unwrap();
        store.restore_with("BK001", options()).unwrap();
        assert_eq!(store.get_entries("").unwrap().len(), 3);
        kept.manager.environment().checkpoint().unwrap();

        let seen = seen.lock().unwrap().clone();
        assert!(seen.keys().eq(["Importing", "Verifying", "Writing"]), "{seen:?}");
        assert!(seen.values().all(|&leaks| (leaks == 0) == encrypted), "{seen:?}");
        assert_eq!(leaks(dir).is_empty(), encrypted, "{:?}", leaks(dir));
    }
}

/// ArkData: it keeps all data, may be repeated, works on an empty store and with entries of any size.
#[test]
fn rekey_keeps_all_data_and_may_be_repeated() {
    let mut kept = kept_with(options().encrypt(true), KvManagerConfig::new().keys(key(1)));
    let again = |kept: &mut Kept| {
        let epoch = kept.manager.rekey().unwrap();
        kept.store = kept.manager.get_store("storeId", options().encrypt(true)).unwrap();
        epoch
    };
    let first = again(&mut kept); // of an empty store
    assert_eq!(kept.store.get_result_size("").unwrap(), 0);
    let longest = vec![7; MAX_VALUE_LENGTH];
    kept.store.put("longest", longest.clone()).unwrap();
    kept.store.put("empty", "").unwrap();
    assert_eq!([again(&mut kept), again(&mut kept)], [first + 1, first + 2]);
    assert_eq!(kept.store.get("longest").unwrap(), Some(longest.into()));
    assert_eq!(kept.store.get("empty").unwrap(), Some("".into()));
}
