//! Backups of encrypted environments: copied and checked without a key, restored with it.

use std::sync::Arc;

use cairn_backup::{BackupOptions, RestoreOptions, backup_to, restore_from, verify_in};
use cairn_env::{Environment, Options};
use cairn_io::{Access, FileExt, MemDisk, Name};
use cairn_log::{DataKey, DataKeys};

use crate::fixture::{Content, content, dir, fill, options, world};

fn encrypted() -> Options {
    options().encryption(DataKeys::new([(1, DataKey::new([9; 32]))]).unwrap())
}

fn saved() -> (MemDisk, Content) {
    let disk = MemDisk::new();
    let (env, _) = Environment::open_in(dir(&disk), world(), encrypted()).unwrap();
    fill(&env, 0, 60);
    env.checkpoint().unwrap();
    fill(&env, 40, 40);
    let saved = MemDisk::new();
    backup_to(&env, &saved.root(), &world(), &BackupOptions::default()).unwrap();
    let content = content(&env);
    (saved, content)
}

#[test]
fn a_backup_is_checked_without_a_key_and_restored_only_with_it() {
    let (saved, expected) = saved();
    verify_in(&*saved.root(), None).unwrap();
    let without = RestoreOptions::default().options(options());
    let error = restore_from(&saved.root(), &dir(&MemDisk::new()), &world(), &without).unwrap_err();
    assert!(error.to_string().contains("data key of epoch 1"), "{error}");
    let target = MemDisk::new();
    let with = RestoreOptions::default().options(encrypted());
    restore_from(&saved.root(), &dir(&target), &world(), &with).unwrap();
    let (env, _) = Environment::open_in(dir(&target), world(), encrypted()).unwrap();
    assert!(content(&env) == expected);
    fill(&env, 200, 20);
    env.close().unwrap();
    let (env, _) = Environment::open_in(dir(&target), world(), encrypted()).unwrap();
    assert_eq!(content(&env)["db"].len(), expected["db"].len() + 20);
}

/// The state was once written anew while the restore went on, and its number said that somebody had begun to
/// write to the environment. Then the first write did not make the names in the root durable, and a power
/// failure could bring back the mark of a restore that had died right at its end.
#[test]
fn nobody_has_written_to_what_was_restored() {
    let (saved, _) = saved();
    let target = MemDisk::new();
    let with = RestoreOptions::default().options(encrypted());
    restore_from(&saved.root(), &Arc::clone(&target.root()), &world(), &with).unwrap();
    let name = |text| Name::new(text).unwrap();
    let generation = target.root().open_dir(&name("g-000001")).unwrap();
    let state = generation.open(&name("STATE"), Access::Read).unwrap();
    let mut slots = vec![0; 8192];
    state.read_exact_at(0, &mut slots).unwrap();
    assert_eq!(slots[16..24], [0; 8], "the number of the first slot");
    assert!(slots[4096..].iter().all(|&byte| byte == 0), "the second was never written");
}
