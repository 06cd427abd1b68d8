//! Backups of encrypted environments: copied and checked without a key, restored with it.

use std::sync::Arc;

use cairn_backup::{
    BackupOptions, MANIFEST_NAME, Manifest, RestoreOptions, backup_to, restore_from, verify_in,
};
use cairn_env::{Environment, Options};
use cairn_io::{Access, FileExt, MemDisk, Name};
use cairn_log::{
    DataKey, DataKeys, Digest, FRAME_LEN, FileSeed, LogFile, Scan, Scanner, crc32c, layout,
};

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

/// Where the records of a log file of a backup stand.
fn records(disk: &MemDisk, name: &str) -> Vec<usize> {
    let files = disk.root().open_dir(&Name::new("files").unwrap()).unwrap();
    let file = files.open(&Name::new(name).unwrap(), Access::Read).unwrap();
    let file = LogFile::open_any(file).unwrap();
    let (mut scanner, mut records) = (Scanner::new(&file, u64::MAX), Vec::new());
    while let Scan::Record(record) = scanner.next().unwrap() {
        records.push(usize::try_from(record.lsn.offset()).unwrap());
    }
    records
}

/// Makes both checksums of the record at `at` right.
fn put_right(bytes: &mut [u8], at: usize) {
    let uuid = cairn_log::Uuid(layout::file_header::FILE.of(bytes).try_into().unwrap());
    let len = usize::try_from(layout::frame::LENGTH.number(&bytes[at..])).unwrap();
    let end = at + FRAME_LEN + len.next_multiple_of(8);
    let body = crc32c(&bytes[at + FRAME_LEN..end]);
    layout::frame::BODY_CRC.set_number(&mut bytes[at..], body.into());
    let head = crc32c(&bytes[at + 4..at + FRAME_LEN]) ^ FileSeed::of(uuid).at(at as u64);
    layout::frame::HEAD_CRC.set_number(&mut bytes[at..], head.into());
}

/// The manifest has hashes and no signature. Whoever may write to a backup makes them right; the tags remain.
#[test]
fn a_restore_notices_each_record_that_was_changed_with_all_hashes_made_right() {
    let (saved, _) = saved();
    let manifest = Manifest::read(&*saved.root()).unwrap();
    let with = RestoreOptions::default().options(encrypted());
    let mut cases = 0;
    for (number, file) in manifest.files.iter().enumerate() {
        let path = format!("files/{}", file.name);
        let records = records(&saved, &file.name.to_string());
        let before = saved.read(&path).unwrap();
        for (i, at) in records.iter().copied().enumerate() {
            let other = records[(i + 1) % records.len()];
            for case in ["kind", "payload", "moved"] {
                let mut bytes = before.to_vec();
                match case {
                    "kind" => bytes[at + layout::frame::KIND.offset] ^= 1,
                    "payload" => bytes[at + FRAME_LEN] ^= 1,
                    _ => {
                        let payload = other + FRAME_LEN..other + FRAME_LEN + 8;
                        bytes.copy_within(payload, at + FRAME_LEN);
                    }
                }
                put_right(&mut bytes, at);
                let forged = saved.fork();
                let mut manifest = manifest.clone();
                manifest.files[number].digest = Digest::of(&bytes);
                forged.write(MANIFEST_NAME, manifest.encode().into_bytes()).unwrap();
                forged.write(&path, bytes).unwrap();
                let target = MemDisk::new();
                let restored = restore_from(&forged.root(), &dir(&target), &world(), &with);
                let error =
                    restored.map(drop).expect_err(&format!("{case} of {path}, offset {at}"));
                assert!(error.to_string().contains(&file.name.to_string()), "{case}: {error}");
                cases += 1;
            }
        }
    }
    assert!(cases > 100, "{cases}");
}
