//! Salvage: whatever can be read is handed out, with what is known of it, and nothing of the source changes.

use std::collections::BTreeMap;

use cairn_env::{
    DatabaseOptions, EnvError, Environment, ErrorKind, Missing, Naming, SalvageOptions,
    SalvageReport, SalvagedEntry, Standing, salvage, salvage_in, salvage_to_in,
};
use cairn_io::{Access, MemDisk};
use cairn_log::{DataKey, DataKeys, LogFile, LogName, RecordKind, Scan, Scanner};
use cairn_sim::{Image, SimWorld};

use crate::{
    fixture::{Model, TestEnv, content, ordered, small_options},
    repair::{logs, samples},
};

/// What was handed out, to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) database: String,
    pub(crate) tree: u32,
    pub(crate) naming: Naming,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) commit: u64,
    pub(crate) is_exact: bool,
    pub(crate) standing: Standing,
    pub(crate) is_substitute: bool,
}

impl From<&SalvagedEntry<'_>> for Given {
    fn from(entry: &SalvagedEntry<'_>) -> Self {
        Self {
            database: entry.database.name.clone(),
            tree: entry.database.tree,
            naming: entry.database.naming,
            key: entry.key.to_vec(),
            value: entry.value.map(<[u8]>::to_vec),
            commit: entry.commit,
            is_exact: entry.is_exact,
            standing: entry.standing,
            is_substitute: entry.is_substitute,
        }
    }
}

/// Salvages an image, which stays as it is.
pub(crate) fn salvaged(image: &Image, what: &SalvageOptions<'_>) -> (Vec<Given>, SalvageReport) {
    let (source, mut found) = (image.to_mem(), Vec::new());
    let report = salvage_in(source.root(), &small_options(), what, &mut |entry| {
        found.push(Given::from(entry));
        Ok(())
    });
    assert_eq!(Image::of(&source).hash(), image.hash(), "the source was changed");
    (found, report.unwrap())
}

pub(crate) fn newest() -> SalvageOptions<'static> {
    SalvageOptions::new()
}

pub(crate) fn everything() -> SalvageOptions<'static> {
    SalvageOptions::new().all_versions(true).uncommitted(true)
}

/// What was handed out, and the databases that the report has, as an environment would hold it.
pub(crate) fn model(found: &[Given], report: &SalvageReport) -> Model {
    let empty = report.databases.iter().map(|one| (one.name.clone(), BTreeMap::new()));
    let mut model: Model = empty.collect();
    for given in found {
        let entries = model.entry(given.database.clone()).or_default();
        let value = given.value.clone().expect("the newest version that there is");
        assert_eq!(entries.insert(given.key.clone(), value), None, "handed out once");
    }
    model
}

/// A closed environment whose small files are gone, so that it does not open.
fn closed(mut test: TestEnv) -> Image {
    test.close();
    let image = test.disk.image().without("CURRENT").without("g-000001/STATE");
    let opened = Environment::open_in(
        image.to_mem().root(),
        SimWorld::new(2).world(),
        small_options().create(false),
    );
    assert!(opened.is_err());
    image
}

/// The places and lengths of the records of a kind in a log file.
pub(crate) fn records(image: &Image, path: &str, kind: RecordKind) -> Vec<(usize, usize)> {
    let disk = image.to_mem();
    let dir = disk.root().open_dir(&"g-000001".parse().unwrap()).unwrap();
    let name: LogName = path.rsplit('/').next().unwrap().parse().unwrap();
    let file = LogFile::open_any(dir.open(&name.to_name(), Access::Read).unwrap()).unwrap();
    let mut scanner = Scanner::new(&file, u64::MAX);
    let mut found = Vec::new();
    while let Scan::Record(record) = scanner.next().unwrap() {
        if record.header.kind == kind {
            let at = usize::try_from(record.lsn.offset()).unwrap();
            found.push((at, usize::try_from(record.header.record_len()).unwrap()));
        }
    }
    found
}

#[test]
fn of_a_sound_environment_everything_is_handed_out() {
    for (image, truth) in samples() {
        let (found, report) = salvaged(&image, &newest());
        assert!(report.is_complete(), "{report:#?}");
        assert_eq!(model(&found, &report), truth.newest);
        assert!(found.iter().all(|given| given.standing == Standing::Committed));
        let commit = truth.states.keys().next_back();
        assert_eq!(Some(&report.newest_commit), commit);
        assert_eq!(report.versions(), found.len() as u64);
        assert_eq!(report.files.len(), logs(&image).len());

        let (all, report) = salvaged(&image, &newest().all_versions(true));
        assert!(report.is_complete(), "{report:#?}");
        let mut last = BTreeMap::new();
        for given in &all {
            let key = (given.database.clone(), given.key.clone());
            match &given.value {
                Some(value) => assert!(truth.values[&key].contains(value), "{given:?}"),
                None => assert!(given.is_exact && truth.changes.contains_key(&key), "{given:?}"),
            }
            if given.is_exact {
                assert_eq!(truth.changes[&key].get(&given.commit), Some(&given.value));
            }
            let before = last.insert(key, (given.commit, given.value.clone(), given.naming));
            assert!(before.is_none_or(|(commit, ..)| commit < given.commit), "{given:?}");
        }
        for given in &found {
            let key = (given.database.clone(), given.key.clone());
            assert_eq!(last[&key].1, given.value, "the last version is the newest one");
        }
        assert!(all.len() > found.len() * 2, "{} of {}", all.len(), found.len());
        let dropped = all.iter().filter(|given| given.naming == Naming::Former);
        assert!(
            dropped.clone().count() > 0 && dropped.clone().all(|one| one.database == "dropped")
        );

        for memory in [1, 3000, 20_000] {
            let options = everything().memory(memory);
            assert_eq!(salvaged(&image, &options).0, salvaged(&image, &everything()).0);
            assert_eq!(salvaged(&image, &newest().memory(memory)).0, found);
        }
    }
}

/// A salvage of Berkeley DB JE found 1000 of these large values, and nothing else.
#[test]
fn je_m9_after_cleaning_small_values_duplicates_and_large_ones_all_come_back() {
    let test = TestEnv::new(
        small_options().leaf_bytes(2048).journal_file_bytes(256 << 10).node_file_bytes(128 << 10),
    );
    let (small, large) = (test.db("small"), test.db("large"));
    let duplicate = test.env().multimap("duplicate").unwrap();
    for round in 0..2u8 {
        for n in 0..1000u32 {
            test.env()
                .write(|txn| {
                    txn.put(&small, &ordered(n), &[round; 10])?;
                    txn.put(&large, &ordered(n), &[round; 1100])?;
                    duplicate.put(txn, &ordered(n), &[1])?;
                    duplicate.put(txn, &ordered(n), &[2])
                })
                .unwrap();
        }
        test.env().checkpoint().unwrap();
    }
    test.env().compact().unwrap();
    test.env().checkpoint().unwrap();
    let expected = content(test.env()).unwrap();
    let image = closed(test);
    // What was not moved by the cleaner is gone: few commits have their records any more.
    let records = |path: &String| records(&image, path, RecordKind::TRANSACTION).len();
    assert!(logs(&image).iter().map(records).sum::<usize>() < 100);
    let (found, report) = salvaged(&image, &newest());
    let counted: Vec<_> = report.databases.iter().map(|one| (&one.name[..], one.keys)).collect();
    assert_eq!(counted, [("duplicate", 2000), ("large", 1000), ("small", 1000)]);
    assert_eq!(model(&found, &report), expected);
}

/// A salvage of Berkeley DB JE threw an exception, and produced nothing.
#[test]
fn je_m10_after_a_rename_everything_comes_back_under_the_new_name() {
    let test = TestEnv::new(small_options());
    let db = test.db("old");
    for n in 0..50u32 {
        test.put("old", &ordered(n), &[1; 30]);
        if n == 20 {
            test.env().checkpoint().unwrap();
        }
    }
    let new = test.env().write(|txn| txn.rename_database(&db, "new")).unwrap();
    test.env().write(|txn| txn.put(&new, b"after", b"1")).unwrap();
    test.put("old", b"another", b"2");
    let expected = content(test.env()).unwrap();
    let image = closed(test);
    let (found, report) = salvaged(&image, &newest());
    assert_eq!(model(&found, &report), expected);
    assert_eq!((found.len(), report.databases.len()), (52, 2));
    let (found, report) = salvaged(&image, &newest().database("new"));
    assert!(found.len() == 51 && report.databases.len() == 1, "{report:?}");
    let (found, _) = salvaged(&image, &newest().database("old").all_versions(true));
    assert_eq!(found.iter().map(|given| &given.key[..]).collect::<Vec<_>>(), [b"another"]);
    assert_eq!(salvaged(&image, &newest().database("none")).0, []);
}

/// A salvage of Berkeley DB JE lost everything between two damaged records: 952 of 2500 came back.
#[test]
fn je_m11_between_damaged_spots_in_one_file_nothing_is_lost() {
    let mut test = TestEnv::new(small_options().journal_file_bytes(1 << 20));
    (0..2500u32).for_each(|n| test.put("db", &ordered(n), &[7; 20]));
    std::mem::forget(test.env.take()); // no checkpoint
    let image = test.disk.image();
    let journal = logs(&image).remove(0);
    let records = records(&image, &journal, RecordKind::TRANSACTION);
    assert_eq!(records.len(), 2501, "one has created the database");
    for spots in [&[100, 2000][..], &[3, 4, 900, 902, 1500, 2300, 2301, 2302, 2400]] {
        let damaged = image.with_edit(&journal, |bytes| {
            for spot in spots {
                let (at, len) = records[spot + 1];
                match spot % 3 {
                    0 => bytes[at] ^= 1,
                    1 => bytes[at + 30] ^= 1,
                    _ => bytes[at..at + len].fill(0xee),
                }
            }
        });
        let (found, report) = salvaged(&damaged, &newest());
        assert_eq!(found.len(), 2500 - spots.len());
        let lost = |given: &Given| {
            spots.iter().any(|spot| given.key == ordered(u32::try_from(*spot).unwrap()))
        };
        assert!(!found.iter().any(lost));
        // Spots that touch are one.
        let ranges = &report.files[0].damaged;
        let apart = spots.iter().filter(|spot| !spots.contains(&(*spot + 1))).count();
        assert!(ranges.len() >= apart && ranges.len() <= spots.len(), "{ranges:?}");
        let bytes: u64 = ranges.iter().map(|range| range.len).sum();
        let expected: usize = spots.iter().map(|spot| records[spot + 1].1).sum();
        assert_eq!(bytes, expected as u64);
        assert_eq!(report.files[0].records, 2501 - spots.len() as u64);
        assert!(!report.is_complete());
    }
}

#[test]
fn all_versions_of_a_key_come_in_order_with_its_deletions() {
    let test = TestEnv::new(small_options());
    let db = test.db("db");
    test.put("db", b"key", b"one");
    test.put("db", b"key", b"two");
    test.env().checkpoint().unwrap();
    test.env().write(|txn| txn.delete(&db, b"key")).unwrap();
    test.put("db", b"key", &[3; 1500]);
    test.put("db", b"other", b"1");
    let image = closed(test);
    let (found, _) = salvaged(&image, &newest().database("db").all_versions(true));
    let of_key: Vec<_> = found.iter().filter(|given| given.key == b"key").collect();
    let values: Vec<_> = of_key.iter().map(|given| given.value.as_deref()).collect();
    assert_eq!(values, [Some(&b"one"[..]), Some(b"two"), None, Some(&[3; 1500])]);
    assert_eq!(of_key.iter().map(|given| given.commit).collect::<Vec<_>>(), [2, 3, 4, 5]);
    // Without the journal a leaf remembers what was there by a commit.
    let leaves = logs(&image).into_iter().filter(|path| path.contains("/J-"));
    let image = leaves.fold(image.clone(), |image, path| image.without(&path));
    let (found, report) = salvaged(&image, &newest().all_versions(true));
    let of_key: Vec<_> = found.iter().filter(|given| given.key == b"key").collect();
    let [two] = &of_key[..] else { panic!("{of_key:?}") };
    assert_eq!((two.value.as_deref(), two.commit, two.is_exact), (Some(&b"two"[..]), 3, false));
    let is_value = |missing: &&Missing| matches!(missing, Missing::Value { .. });
    assert_eq!(report.missing.iter().filter(is_value).count(), 1, "{:?}", report.missing);
}

#[test]
fn where_the_newest_value_is_lost_an_older_one_takes_its_place_and_is_named() {
    let test = TestEnv::new(small_options().journal_file_bytes(64 << 10));
    for (key, value) in [("a", 1), ("b", 1), ("a", 2), ("c", 1), ("b", 2)] {
        test.put("db", key.as_bytes(), &[value; 1500]);
    }
    test.env().checkpoint().unwrap();
    let image = closed(test);
    let journal = logs(&image).into_iter().find(|path| path.contains("/J-")).unwrap();
    let records = records(&image, &journal, RecordKind::TRANSACTION);
    // The newest values of `a` and `c` are gone.
    let damaged = image.with_edit(&journal, |bytes| {
        [3, 4].iter().for_each(|n: &usize| bytes[records[*n].0 + 1000] ^= 1);
    });
    let (found, report) = salvaged(&damaged, &newest());
    let shown: Vec<_> = found
        .iter()
        .map(|given| (&given.key[..], given.value.as_ref().unwrap()[0], given.is_substitute))
        .collect();
    assert_eq!(shown, [(&b"b"[..], 2, false), (b"a", 1, true)]);
    let [substitute] = &report.substitutes[..] else { panic!("{report:?}") };
    assert_eq!((substitute.commit, &substitute.key[..]), (2, &b"a"[..]));
    let is_c = |missing: &&Missing| matches!(missing, Missing::Value { key, .. } if key == b"c");
    assert_eq!(report.missing.iter().filter(is_c).count(), 1, "{report:?}");
}

#[test]
fn transactions_without_end_stand_apart() {
    let test = TestEnv::new(small_options().cache_bytes(48 << 10));
    test.put("db", b"before", b"1");
    let db = test.db("db");
    let before = content(test.env()).unwrap();
    let mut txn = test.env().begin_exclusive().unwrap();
    for n in 0..2500u32 {
        txn.put(&db, &ordered(n), &[9; 1400]).unwrap(); // parts have a MiB
    }
    let image = test.disk.image();
    let check = |image: &Image| {
        let (found, report) = salvaged(image, &newest());
        assert_eq!(model(&found, &report), before, "it is never mixed in");
        let [apart] = &report.apart[..] else { panic!("{report:#?}") };
        assert_eq!((apart.standing, apart.commit), (Standing::Unfinished, 3));
        let (found, _) = salvaged(image, &newest().uncommitted(true));
        let (counting, rest): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|given| given.standing == Standing::Committed);
        assert_eq!(model(&counting, &report), before);
        let unfinished = rest.iter().filter(|given| given.standing == Standing::Unfinished);
        assert!(unfinished.clone().all(|given| given.value.as_deref() == Some(&[9; 1400])));
        assert_eq!(unfinished.count() as u64, apart.changes);
        apart.changes
    };
    let written = check(&image);
    assert!(written > 100, "{written}");
    txn.commit().unwrap();
    let image = test.disk.image();
    let (found, report) = salvaged(&image, &newest());
    assert!(found.len() == 2501 && report.apart.is_empty(), "{report:#?}");
    // Without its COMMIT record nobody knows that it was committed.
    let (path, at) = logs(&image)
        .into_iter()
        .filter(|path| path.contains("/J-"))
        .find_map(|path| Some((path.clone(), records(&image, &path, RecordKind::COMMIT).pop()?.0)))
        .unwrap();
    let damaged = image.with_edit(&path, |bytes| bytes[at + 26] ^= 1);
    let logs = logs(&damaged).into_iter().filter(|path| path.contains("/N-"));
    let damaged = logs.fold(damaged.clone(), |image, path| image.without(&path));
    assert!(check(&damaged) == 2500);
}

#[test]
fn an_encrypted_environment_is_salvaged_with_its_key() {
    let key = |byte| DataKeys::new([(1, DataKey::new([byte; 32]))]).unwrap();
    let options = small_options().encryption(key(1));
    let mut test = TestEnv::new(options.clone());
    for n in 0..60u32 {
        test.put("db", &ordered(n), &vec![1; if n % 5 == 0 { 1500 } else { 30 }]);
        match n {
            20 => drop(test.env().checkpoint().unwrap()),
            40 => drop(test.env().compact().unwrap()),
            _ => {}
        }
    }
    let expected = content(test.env()).unwrap();
    test.close();
    let image = test.disk.image();
    let run = |image: &Image, options: &_| {
        let mut found = Vec::new();
        let source = image.to_mem().root();
        let report = salvage_in(source, options, &newest(), &mut |entry| {
            found.push(Given::from(entry));
            Ok(())
        })?;
        Ok::<_, EnvError>((found, report))
    };
    let (found, report) = run(&image, &options).unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(model(&found, &report), expected);
    for wrong in [small_options(), small_options().encryption(key(2))] {
        assert_eq!(run(&image, &wrong).unwrap_err().kind(), ErrorKind::Key);
    }
    // A record with a damaged tag is damage like any other.
    let journal = logs(&image).into_iter().rfind(|path| path.contains("/J-")).unwrap();
    let (at, _) = records(&image, &journal, RecordKind::TRANSACTION)[0];
    let damaged = image.with_edit(&journal, |bytes| bytes[at + 40] ^= 1);
    let (_, report) = run(&damaged, &options).unwrap();
    assert_eq!(report.damaged(), 1, "{report:?}");
}

#[test]
fn a_new_environment_has_the_newest_values_and_log_files_of_higher_numbers() {
    let (image, truth) = samples().remove(1);
    let image = image.without("g-000001/STATE");
    let (source, target, world) = (image.to_mem(), MemDisk::new(), SimWorld::new(3));
    let options = small_options();
    let report = |target: &MemDisk| {
        let what = newest().all_versions(true);
        salvage_to_in(source.root(), target.root(), world.world(), options.clone(), &what)
    };
    let first = report(&target).unwrap();
    assert_eq!(first.versions(), first.keys(), "one version of each");
    assert_eq!(Image::of(&source).hash(), image.hash());
    let (env, _) = Environment::open_in(target.root(), world.world(), small_options()).unwrap();
    assert_eq!(content(&env).unwrap(), truth.newest);
    env.close().unwrap();
    let numbers = |image: &Image| {
        let names = logs(image).into_iter();
        let numbers =
            names.map(|path| path.rsplit('/').next().unwrap().parse::<LogName>().unwrap());
        numbers.map(|name| name.number).collect::<Vec<_>>()
    };
    let new = Image::of(&target);
    assert!(numbers(&new).iter().min() > numbers(&image).iter().max());
    // Neither over something else, nor beside somebody who has it open.
    assert!(matches!(report(&target), Err(EnvError::InvalidInput { .. })));
    assert_eq!(Image::of(&target).hash(), new.hash());
    let (image, _) = samples().remove(0);
    let open = image.to_mem();
    let (env, _) = Environment::open_in(open.root(), world.world(), small_options()).unwrap();
    let result = salvage_in(open.root(), &small_options(), &newest(), &mut |_| Ok(()));
    assert!(matches!(result, Err(EnvError::AlreadyOpen { .. })), "{result:?}");
    env.close().unwrap();
}

#[test]
fn on_a_real_disk_no_byte_and_no_time_changes() {
    let dir = tempfile::tempdir().unwrap();
    let (env, _) = Environment::open(dir.path(), small_options()).unwrap();
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    env.write(|txn| (0..100u8).try_for_each(|n| txn.put(&db, &[n], &[n; 40]))).unwrap();
    env.checkpoint().unwrap();
    env.close().unwrap();
    std::fs::write(dir.path().join("CURRENT"), "lost").unwrap();
    let state = || {
        let mut found = BTreeMap::new();
        let mut dirs = vec![dir.path().to_owned()];
        while let Some(dir) = dirs.pop() {
            let modified = std::fs::metadata(&dir).unwrap().modified().unwrap();
            found.insert(dir.clone(), (modified, Vec::new()));
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    dirs.push(path);
                } else {
                    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
                    let bytes = std::fs::read(&path).unwrap();
                    found.insert(path, (modified, bytes));
                }
            }
        }
        found
    };
    let before = state();
    let mut count = 0;
    let (done, last) = (std::sync::Mutex::new(Vec::new()), 0);
    let progress = |at, total| done.lock().unwrap().push((at, total));
    let what = newest().progress(&progress);
    salvage(dir.path(), &small_options(), &what, &mut |_| {
        count += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!(count, 100);
    assert!(state() == before);
    let done = done.into_inner().unwrap();
    assert!(done.is_sorted_by_key(|(at, _)| *at) && done.iter().all(|(at, total)| at <= total));
    assert!(done.last().unwrap().0 > last);
    let missing = salvage(dir.path().join("none"), &small_options(), &newest(), &mut |_| Ok(()));
    assert!(matches!(missing, Err(EnvError::NotAnEnvironment { .. })), "{missing:?}");
}
