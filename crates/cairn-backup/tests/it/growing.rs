//! Backups of a journal that grows from one to the next, because another process writes it: what the one
//! before has of it is linked, as pieces.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use cairn_backup::{
    BackupError, BackupOptions, BackupReport, Manifest, RestoreOptions, backup_to, restore_from,
    verify_in,
};
use cairn_env::{DatabaseOptions, Environment, Options};
use cairn_io::{DirRef, MemDisk, Name};
use cairn_log::LogName;
use cairn_sim::{Op, SimDisk, SimWorld};

use crate::{
    fixture::{Content, content, dir, world},
    incremental::restored,
};

const MIB: u64 = 1 << 20;

fn large_files() -> Options {
    Options::default().background(false).journal_file_bytes(64 << 20)
}

fn open(dir: &DirRef) -> Environment {
    Environment::open_in(Arc::clone(dir), world(), large_files()).unwrap().0
}

/// Opens what somebody else writes.
fn read(dir: &DirRef, seed: u64) -> Environment {
    let options = large_files().read_only(true);
    Environment::open_in(Arc::clone(dir), SimWorld::new(seed).world(), options).unwrap().0
}

/// Puts `count` values of 20 KiB, and a small one that lets the others be known as durable.
fn put(env: &Environment, round: u32, count: u32) {
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    for n in 0..count {
        let key = (round * 1000 + n).to_le_bytes();
        // Each begins otherwise, so that no two pieces are the same.
        let value: Vec<u8> = key.into_iter().cycle().take(20 << 10).collect();
        env.write(|txn| txn.put(&db, &key, &value)).unwrap();
    }
    env.write(|txn| txn.put(&db, b"last", &round.to_le_bytes())).unwrap();
}

fn back_up(env: &Environment, to: &DirRef, since: Option<&DirRef>) -> BackupReport {
    let options =
        since.map_or_else(BackupOptions::default, |since| BackupOptions::default().since_in(since));
    backup_to(env, to, &world(), &options).unwrap()
}

/// What `now` has of the log that `before` has not.
fn new_log_bytes(before: &Manifest, now: &Manifest) -> u64 {
    let had: BTreeMap<LogName, u64> =
        before.files.iter().map(|file| (file.name, file.length)).collect();
    let new = |name, length: u64| length - had.get(name).copied().unwrap_or(0);
    now.files.iter().map(|file| new(&file.name, file.length)).sum()
}

/// The most pieces in which a file lies.
fn most_pieces(manifest: &Manifest) -> usize {
    manifest.files.iter().map(|file| file.pieces.len()).max().unwrap_or(0)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Owner,
    Another,
    Turns,
}

/// Fourteen backups, each made from the one before it, which is then removed.
fn incrementals(by: By) {
    let disk = SimDisk::new().without_trace();
    let below = |name: String| disk.root().create_dir(&Name::new(name).unwrap()).unwrap();
    let live = below("env".into());
    let env = open(&live);
    let written = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&written);
    disk.watch(move |entry| match entry.op() {
        Op::Write { bytes, .. } if entry.path().starts_with('b') => {
            counter.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        _ => {}
    });
    put(&env, 0, 100);
    let mut previous: Option<(DirRef, Manifest)> = None;
    let mut most = 0;
    for round in 1..15u32 {
        // Some of them find next to nothing new, one of them a journal that has come to its end.
        put(&env, round, [40, 1, 3, 30][round as usize % 4]);
        if round == 9 {
            env.checkpoint().unwrap();
            drop(env.begin_backup().unwrap());
        }
        let owner = by == By::Owner || by == By::Turns && round % 5 == 0;
        let reader = (!owner).then(|| read(&live, round.into()));
        let backed_up = reader.as_ref().unwrap_or(&env);
        let expected = content(backed_up);
        let target = below(format!("b{round}"));
        let before = written.load(Ordering::Relaxed);
        let report = back_up(backed_up, &target, previous.as_ref().map(|(dir, _)| dir));
        let wrote = written.load(Ordering::Relaxed) - before;
        assert_eq!(report.previous_damaged, [""; 0]);
        let manifest = Manifest::read(&*target).unwrap();
        if let Some((dir, previous)) = previous {
            let new = new_log_bytes(&previous, &manifest);
            assert!(wrote <= new + MIB, "{by:?} {round}: {wrote} bytes for {new} new ones");
            assert!(report.bytes - report.linked_bytes <= wrote, "{report:?}");
            remove_files(&dir);
        }
        most = most.max(most_pieces(&manifest));
        assert!(restored(&target) == expected, "{by:?} {round}");
        previous = Some((target, manifest));
    }
    // A journal of its own is finished by each backup, that of another goes on.
    assert_eq!(most > 3, by != By::Owner, "{most} pieces");
}

fn remove_files(backup: &DirRef) {
    let files = backup.open_dir(&Name::constant("files")).unwrap();
    for entry in files.list().unwrap() {
        files.remove(&entry.name.unwrap()).unwrap();
    }
}

#[test]
fn an_incremental_writes_at_most_the_new_log_bytes_and_one_mebibyte() {
    for by in [By::Owner, By::Another, By::Turns] {
        incrementals(by);
    }
}

/// A writer, and two backups of it by another process, the second with a journal in pieces.
fn two_backups() -> (MemDisk, [MemDisk; 2], Content, Environment) {
    let (disk, one, two) = (MemDisk::new(), MemDisk::new(), MemDisk::new());
    let env = open(&dir(&disk));
    put(&env, 0, 30);
    back_up(&read(&dir(&disk), 1), &dir(&one), None);
    put(&env, 1, 30);
    let reader = read(&dir(&disk), 2);
    let expected = content(&reader);
    let report = back_up(&reader, &dir(&two), Some(&dir(&one)));
    assert_eq!(report.linked_files, 0);
    assert!(report.linked_bytes > report.bytes / 3, "{report:?}");
    (disk, [one, two], expected, env)
}

#[test]
fn a_damaged_piece_is_found_refused_and_copied_anew() {
    let (disk, [_, two], expected, env) = two_backups();
    assert_eq!(most_pieces(&Manifest::read(&*two.root()).unwrap()), 2);
    assert_eq!(restored(&dir(&two)), expected);
    let pieces: Vec<_> = two.files().into_iter().filter(|(path, _)| path.contains("/J-")).collect();
    assert_eq!(pieces.len(), 2);
    put(&env, 2, 1);
    for (path, len) in pieces {
        let middle = usize::try_from(len / 2).unwrap();
        let damages: [&dyn Fn(&MemDisk); 3] = [
            &|disk| disk.edit(&path, |bytes| bytes[middle] ^= 1).unwrap(),
            &|disk| disk.edit(&path, |bytes| bytes.truncate(middle)).unwrap(),
            &|disk| disk.remove(&path).unwrap(),
        ];
        for damage in damages {
            let damaged = two.fork();
            damage(&damaged);
            let name = path.rsplit('/').next().unwrap();
            let found = verify_in(&*damaged.root(), None).unwrap().findings;
            assert_eq!(found.len(), 1);
            assert!(found[0].error.to_string().contains(name), "{}", found[0].error);
            let back = MemDisk::new();
            let how = RestoreOptions::default();
            let error = restore_from(&dir(&damaged), &dir(&back), &world(), &how).unwrap_err();
            assert!(
                matches!(error, BackupError::FileDamaged { .. } | BackupError::FileMissing { .. })
                    && error.to_string().contains(name),
                "{error}"
            );
            let (three, reader) = (MemDisk::new(), read(&dir(&disk), 3));
            let report = back_up(&reader, &dir(&three), Some(&dir(&damaged)));
            assert_eq!(report.previous_damaged.len(), 1, "{report:?}");
            assert!(report.previous_damaged[0].contains(name), "{report:?}");
            assert_eq!(restored(&dir(&three)), content(&reader));
        }
    }
}

/// An attacker, or a tool that mixes backups: the manifest is right for bytes that the environment never had.
#[test]
fn a_beginning_of_other_bytes_is_never_continued() {
    let (disk, [one, _], _, env) = two_backups();
    let manifest = Manifest::read(&*one.root()).unwrap();
    let mut forged = manifest.clone();
    let journal = forged.files.iter_mut().find(|file| file.length > 300_000).unwrap();
    let path = format!("files/{}", journal.name);
    one.edit(&path, |bytes| bytes[50_000] ^= 1).unwrap();
    journal.digest = cairn_log::Digest::of(&one.read(&path).unwrap());
    one.write("MANIFEST", forged.encode().into_bytes()).unwrap();
    put(&env, 2, 1);
    let (two, reader) = (MemDisk::new(), read(&dir(&disk), 3));
    let report = back_up(&reader, &dir(&two), Some(&dir(&one)));
    assert_eq!((report.linked_bytes, most_pieces(&Manifest::read(&*two.root()).unwrap())), (0, 0));
    assert_eq!(restored(&dir(&two)), content(&reader));
}

#[test]
fn an_unfinished_backup_in_pieces_starts_over() {
    let (disk, [one, two], expected, _) = two_backups();
    two.remove("MANIFEST").unwrap();
    let reader = read(&dir(&disk), 3);
    back_up(&reader, &dir(&two), Some(&dir(&one)));
    assert!(restored(&dir(&two)).len() == expected.len());
    assert_eq!(restored(&dir(&two)), content(&reader));
}
