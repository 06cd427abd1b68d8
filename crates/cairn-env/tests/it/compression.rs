//! Nodes that are compressed on the disk.

use cairn_env::{Compression, Environment, Options, Transaction, VerifyOptions};
use cairn_io::{Access, DirRef, Name};
use cairn_log::{
    DataKey, DataKeys, FileClass, FileFeatures, LogFile, LogName, Scan, Scanner, StoredAs,
};
use cairn_sim::{SimDisk, SimWorld};

use crate::fixture::{TestEnv, content, small_options};

/// Entries whose values say the same over and over.
fn fill(test: &TestEnv, round: u32) {
    let db = test.db("db");
    let put = |txn: &mut Transaction, n: u32| {
        let value = format!("{round}: the {n}th of many values; ").repeat(4);
        txn.put(&db, &n.to_le_bytes(), value.as_bytes())
    };
    test.env().write(|txn| (0..400).try_for_each(|n| put(txn, n))).unwrap();
    test.env().checkpoint().unwrap();
}

/// How many node records there are, how many of them are compressed, and whether the newest node file may have such.
fn nodes(root: &DirRef, keys: Option<&DataKeys>) -> (usize, usize, bool) {
    let dir = root.open_dir(&Name::new("g-000001").unwrap()).unwrap();
    let names = dir.list().unwrap().into_iter().filter_map(|entry| entry.display.parse().ok());
    let mut names: Vec<LogName> =
        names.filter(|name: &LogName| name.class == FileClass::Node).collect();
    names.sort_by_key(|name| name.number);
    let (mut count, mut compressed, mut newest) = (0, 0, false);
    for name in names {
        let file = LogFile::open_any(dir.open(&name.to_name(), Access::Read).unwrap()).unwrap();
        newest = file.header().features.has(FileFeatures::COMPRESSED_NODES);
        let file = match keys {
            Some(keys) => file.unlock(keys).unwrap(),
            None => file,
        };
        let mut scanner = Scanner::new(&file, u64::MAX);
        while let Scan::Record(record) = scanner.next().unwrap() {
            count += usize::from(record.header.kind.is_node());
            let is_compressed = record.header.stored_as == StoredAs::Compressed;
            assert!(newest || !is_compressed, "{name}: not without the feature");
            compressed += usize::from(is_compressed);
        }
    }
    (count, compressed, newest)
}

fn options(compression: Compression) -> Options {
    small_options().leaf_bytes(1024).compression(compression)
}

#[test]
fn compressed_nodes_take_less_and_hold_the_same() {
    let [plain, compressed] = [Compression::None, Compression::Lz4].map(|compression| {
        let mut test = TestEnv::new(options(compression));
        (0..3).for_each(|round| fill(&test, round));
        let before = content(test.env()).unwrap();
        test.reopen();
        assert!(content(test.env()).unwrap() == before);
        test.env().compact().unwrap();
        assert!(content(test.env()).unwrap() == before);
        assert!(test.env().verify(&VerifyOptions::new()).unwrap().findings.is_empty());
        let space = test.env().space().unwrap();
        test.close();
        let (count, compressed, newest) = nodes(&test.disk.root(), None);
        assert_eq!(newest, compression == Compression::Lz4);
        assert!(if newest { compressed > 0 && count > 0 } else { compressed == 0 });
        (space.live, before)
    });
    assert!(compressed.1 == plain.1);
    assert!(compressed.0 * 2 < plain.0, "{} of {}", compressed.0, plain.0);
}

#[test]
fn who_does_not_choose_goes_on_as_the_last_one_did() {
    let mut test = TestEnv::new(options(Compression::Lz4));
    let mut goes_on = |options: &Options| {
        test.close();
        test.options = options.clone();
        test.open().unwrap();
        fill(&test, 1);
        test.env().compact().unwrap();
        let (_, compressed, newest) = nodes(&test.disk.root(), None);
        assert_eq!(compressed > 0, newest);
        newest
    };
    let silent = small_options().leaf_bytes(1024);
    assert!(goes_on(&options(Compression::Lz4)));
    assert!(goes_on(&silent));
    assert!(!goes_on(&options(Compression::None)));
    assert!(!goes_on(&silent));
    assert!(goes_on(&options(Compression::Lz4)));
    // Not so in a new environment.
    let mut other = TestEnv::new(silent);
    fill(&other, 1);
    other.close();
    assert!(!nodes(&other.disk.root(), None).2);
}

#[test]
fn nodes_of_an_encrypted_environment_are_not_compressed() {
    let keys = DataKeys::new([(1, DataKey::new([7; 32]))]).unwrap();
    let mut test = TestEnv::new(options(Compression::Lz4).encryption(keys.clone()));
    fill(&test, 1);
    test.close();
    let (count, compressed, newest) = nodes(&test.disk.root(), Some(&keys));
    assert!(count > 0 && compressed == 0 && !newest);
}

#[test]
fn each_flipped_bit_of_a_compressed_node_is_noticed() {
    let mut test = TestEnv::new(options(Compression::Lz4));
    fill(&test, 1);
    let before = content(test.env()).unwrap();
    test.close();
    let image = test.disk.image();
    let (mut noticed, mut flips) = (0, 0);
    for (path, _) in image.files().filter(|(path, _)| path.contains("/N-")) {
        let bytes = image.read(path).unwrap();
        for at in (4096..bytes.len()).step_by(61) {
            let disk = SimDisk::from_image(&image.with_bit_flipped(path, at * 8 + at % 8));
            let opened = Environment::open_in(
                disk.root(),
                SimWorld::new(1).world(),
                options(Compression::Lz4),
            );
            let found = opened.and_then(|(env, _)| content(&env));
            flips += 1;
            match found {
                Ok(found) => assert!(found == before, "{path} {at}"),
                Err(_) => noticed += 1,
            }
        }
    }
    assert!(flips > 20 && noticed > flips / 4, "{noticed} of {flips}");
}
