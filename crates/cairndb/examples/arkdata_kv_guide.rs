//! ArkData's guide "Database Backup and Restore", its part on the key-value store, step by step, with its names and
//! values. Each step asserts what the guide promises.
//!
//! ```sh
//! cargo run -p cairndb --example arkdata_kv_guide
//! ```
#![expect(clippy::print_stdout, reason = "the guide prints what it does")]

use cairndb::{
    KeySource,
    kv::{KvManager, KvManagerConfig, KvOptions, SecurityLevel, StoreType},
};

const KEY_TEST_STRING_ELEMENT: &str = "key_test_string";
const VALUE_TEST_STRING_ELEMENT: &str = "value_test_string";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("com.example.datamanagertest");

    // 1. Create a manager, and get a store. `encrypt: true` needs a key: here it is a passphrase.
    let config = KvManagerConfig::new().keys(KeySource::passphrase("of the application")?);
    let manager = KvManager::open(&path, config)?;
    let options = KvOptions::new(SecurityLevel::S3)
        .create_if_missing(true)
        .encrypt(true)
        .backup(false)
        .auto_sync(false)
        .store_type(StoreType::SingleVersion);
    let store = manager.get_store("storeId", options)?;
    assert!(store.is_encrypted());
    println!("Succeeded in getting KVStore.");

    // 2. Put data.
    store.put(KEY_TEST_STRING_ELEMENT, VALUE_TEST_STRING_ELEMENT)?;
    println!("Succeeded in putting data.");

    // 3. Back the store up.
    let file = "BK001";
    let backup = store.backup(file)?;
    assert_eq!((backup.name.as_str(), backup.entries), (file, 1));
    println!("Succeeded in backing up data.");

    // 4. Delete the data, as if by accident.
    store.delete(KEY_TEST_STRING_ELEMENT)?;
    assert_eq!(store.get(KEY_TEST_STRING_ELEMENT)?, None);
    println!("Succeeded in deleting data.");

    // 5. Restore it. The handle goes on.
    store.restore(file)?;
    let restored = store.get(KEY_TEST_STRING_ELEMENT)?;
    assert_eq!(restored, Some(VALUE_TEST_STRING_ELEMENT.into()));
    println!("Succeeded in restoring data.");

    // 6. Delete the backup. There is an answer for each name.
    let results = store.delete_backup([file])?;
    for (name, status) in &results {
        println!("delete backup file: {name}, result: {}", status.code());
    }
    assert_eq!(results.len(), 1);
    assert_eq!((results[0].0.as_str(), results[0].1.code()), (file, 0));
    assert!(store.backups()?.is_empty());

    drop(store);
    manager.close()?;
    Ok(())
}

/// `cargo test` runs examples only as far as they have tests.
#[test]
fn the_guide_does_what_it_says() {
    main().expect("each step holds");
}
