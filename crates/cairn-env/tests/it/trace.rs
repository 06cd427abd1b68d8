//! What an environment does to the disk, operation by operation.

use std::collections::BTreeMap;

use cairn_env::Durability;
use cairn_sim::{Op, SimDisk, Trace};

use crate::fixture::{TestEnv, small_options};

/// Bytes written since entry `from`, by the letter of the file's class.
fn written(trace: &Trace, from: usize) -> BTreeMap<char, u64> {
    let mut bytes = BTreeMap::new();
    for entry in trace.entries().skip(from) {
        if let Op::Write { bytes: piece, .. } = entry.op() {
            let name = entry.path().rsplit('/').next().unwrap_or_default();
            let class = name.chars().next().unwrap_or('?');
            *bytes.entry(class).or_default() += piece.len() as u64;
        }
    }
    bytes
}

fn entries(disk: &SimDisk) -> usize {
    disk.trace().entries().len()
}

#[test]
fn between_checkpoints_a_commit_writes_journal_bytes_only() {
    let test = TestEnv::new(small_options().journal_file_bytes(1 << 20));
    test.put("db", b"first", b"1");
    test.env().checkpoint().unwrap();
    test.put("db", b"second", b"2");
    let from = entries(&test.disk);
    for i in 0..200u32 {
        test.put("db", &i.to_le_bytes(), &[7; 100]);
    }
    let by_class = written(&test.disk.trace(), from);
    assert_eq!(by_class.keys().collect::<Vec<_>>(), [&'J'], "{by_class:?}");
    let trace = test.disk.trace();
    let syncs = trace
        .entries()
        .skip(from)
        .filter(|entry| matches!(entry.op(), Op::SyncFile { .. } | Op::SyncDir { .. }));
    assert_eq!(syncs.count(), 200, "one sync for each commit");
    // A commit writes little more than its key and value.
    assert!(by_class[&'J'] < 200 * (100 + 4 + 60), "{by_class:?}");
}

#[test]
fn a_checkpoint_does_not_write_clean_nodes_again() {
    let test = TestEnv::new(small_options().node_file_bytes(1 << 20).journal_file_bytes(1 << 20));
    for i in 0..2000u32 {
        test.put("db", &i.to_le_bytes(), &[7; 20]);
    }
    let first = test.env().checkpoint().unwrap();
    assert!(first.nodes > 200, "{first:?}");
    let from = entries(&test.disk);
    test.put("db", &77u32.to_le_bytes(), &[8; 20]);
    let second = test.env().checkpoint().unwrap();
    assert!(second.nodes <= 8, "a leaf, its ancestors, the catalogue: {second:?}");
    let bytes = written(&test.disk.trace(), from)[&'N'];
    assert!(bytes < 4096 + 8 * 600 + 1000, "{bytes} bytes of nodes");
    let from = entries(&test.disk);
    assert_eq!(test.env().checkpoint().unwrap().number, None);
    assert_eq!(entries(&test.disk), from, "nothing changed, nothing is written");
}

#[test]
fn a_finished_file_is_never_written_again() {
    let mut test = TestEnv::new(small_options().cache_bytes(20 << 10));
    for round in 0..3u32 {
        for i in 0..150u32 {
            let durability = if i % 7 == 0 { Durability::NoSync } else { Durability::Sync };
            let db = test.db("db");
            let value = vec![7; usize::try_from(i * 13 % 1500).unwrap()];
            test.env()
                .write_with(durability, |txn| txn.put(&db, &(i * round).to_le_bytes(), &value))
                .unwrap();
        }
        test.env().checkpoint().unwrap();
        test.reopen();
    }
    // Log files are written from front to back by the run that created them.
    let mut ends: BTreeMap<String, u64> = BTreeMap::new();
    let mut sealed: BTreeMap<String, u64> = BTreeMap::new();
    for entry in test.disk.trace().entries() {
        let name = entry.path().rsplit('/').next().unwrap_or_default().to_owned();
        if !name.ends_with(".log") {
            continue;
        }
        match entry.op() {
            Op::Write { offset, bytes } => {
                assert!(!sealed.contains_key(&name), "{entry} after its seal");
                let zeros = bytes.iter().all(|&byte| byte == 0);
                let end = ends.entry(name).or_default();
                if !zeros {
                    assert_eq!(*offset, *end, "{entry} is not where the file ended");
                    *end = offset + bytes.len() as u64;
                }
            }
            Op::SyncFile { site, .. } if site.name().ends_with(".seal") => {
                sealed.insert(name, 0);
            }
            _ => {}
        }
    }
    assert!(sealed.len() > 10);
}

#[test]
fn nothing_is_acknowledged_before_its_sync_and_the_name_of_its_file_are_durable() {
    let test = TestEnv::new(small_options());
    for i in 0..300u32 {
        test.put("db", &i.to_le_bytes(), &[7; 100]);
        test.disk.mark("acknowledged", u64::from(i));
    }
    let mut named = std::collections::BTreeSet::new();
    let mut created = std::collections::BTreeSet::new();
    let mut unsynced = None;
    for entry in test.disk.trace().entries() {
        match entry.op() {
            Op::Create => drop(created.insert(entry.path().to_owned())),
            Op::SyncDir { .. } => named.append(&mut created),
            Op::Write { .. } if entry.path().contains("/J-") => {
                unsynced = Some(entry.path().to_owned());
            }
            Op::SyncFile { .. } if unsynced.as_deref() == Some(entry.path()) => {
                assert!(named.contains(entry.path()) || !entry.to_string().contains("commit"));
                unsynced = None;
            }
            Op::Mark { .. } => assert_eq!(unsynced, None, "acknowledged before its sync"),
            _ => {}
        }
    }
}
