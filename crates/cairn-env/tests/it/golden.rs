//! Environments that earlier versions wrote.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use cairn_env::{
    Compression, Environment, EnvironmentKeys, JournalRetention, KdfCost, KeySource, Options,
    RestoreTo, VerifyOptions,
};
use cairn_io::{Access, RealDir};
use cairn_log::{
    DataKey, DataKeys, FileClass, LogFile, LogName, RecordKind, Scan, Scanner, StoredAs,
};
use cairn_sim::SimWorld;

use crate::fixture::{Model, TestEnv, content, small_options};

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

fn large(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251).to_le_bytes()[0]).collect()
}

/// What every golden holds.
fn expected() -> Model {
    let numbers = (0..300u32).filter(|n| n % 10 != 3);
    let numbers = numbers.map(|n| (n.to_le_bytes().to_vec(), n.to_string().into_bytes()));
    let values = [1000, 5000, 40_000].map(|len: usize| (len.to_string().into_bytes(), large(len)));
    let databases: [(&str, BTreeMap<_, _>); 2] =
        [("numbers", numbers.collect()), ("large", values.into())];
    databases.map(|(name, entries)| (name.to_owned(), entries)).into()
}

/// The keys of goldens whose name says that they are encrypted.
fn keys() -> DataKeys {
    DataKeys::new([(1, DataKey::new(*b"the key of the golden, no secret"))]).unwrap()
}

/// The key of goldens whose name says that they have a keyring.
fn raw_key() -> KeySource {
    KeySource::raw(&mut { *b"the second golden key, no secret" })
}

/// The other one.
fn passphrase() -> KeySource {
    KeySource::passphrase("no secret").unwrap().cost(KdfCost::new(64, 2).unwrap())
}

/// The ways to open a golden.
fn options_of(golden: &str, options: &Options) -> Vec<Options> {
    match golden.rsplit_once('-') {
        Some((_, "encrypted")) => vec![options.clone().encryption(keys())],
        Some((_, "compressed")) => vec![options.clone().compression(Compression::Lz4)],
        Some((_, "keyring")) => {
            [raw_key(), passphrase()].map(|key| options.clone().key(key)).into()
        }
        _ => vec![options.clone()],
    }
}

/// Of which version the state of a golden is. Those of `v1` are of the version that there was: 1, or 3 with encryption.
fn state_version(golden: &str) -> u64 {
    let number = golden.split('-').next().unwrap().strip_prefix('v').unwrap();
    match (number.parse().unwrap(), golden) {
        (1, "v1") => 1,
        (1, _) => 3,
        (other, _) => other,
    }
}

/// Whether the journal of a golden is kept as history.
fn keeps_history(golden: &str) -> bool {
    [6, 7].contains(&state_version(golden))
}

/// A second key, and a second key epoch.
fn change_keys(test: &mut TestEnv) {
    test.close();
    let world = SimWorld::new(3).world();
    let keys = EnvironmentKeys::open_in(test.disk.root(), world).unwrap();
    let mut keys = keys.unlock(&raw_key()).unwrap();
    keys.add("people", &passphrase()).unwrap();
    keys.begin_epoch().unwrap();
    test.open().unwrap();
}

/// Writes an environment with that content, in which leaves stand as deltas if `has_deltas`.
fn write(options: Options, has_deltas: bool) -> TestEnv {
    let has_keyring = options.key.is_some();
    let mut test = TestEnv::new(options.journal_file_bytes(64 << 10));
    for n in 0..200u32 {
        test.put("numbers", &n.to_le_bytes(), n.to_string().as_bytes());
    }
    test.put("large", b"5000", &large(5000));
    test.env().checkpoint().unwrap();
    if has_keyring {
        change_keys(&mut test);
    }
    for n in 200..300u32 {
        test.put("numbers", &n.to_le_bytes(), n.to_string().as_bytes());
    }
    test.put("large", b"1000", &large(1000));
    test.put("large", b"40000", &large(40_000));
    let numbers = test.db("numbers");
    if has_deltas {
        test.env().checkpoint().unwrap();
        test.put("numbers", &77u32.to_le_bytes(), b"another");
        test.env().checkpoint().unwrap();
        test.put("numbers", &77u32.to_le_bytes(), b"77");
    }
    test.env()
        .write(|txn| {
            (3..300u32).step_by(10).try_for_each(|n| txn.delete(&numbers, &n.to_le_bytes()))
        })
        .unwrap();
    test
}

/// The goldens. What once was written stays as it was: a new format gets a new one.
const GOLDENS: [&str; 12] = [
    "v1",
    "v1-encrypted",
    "v1-keyring",
    "v4",
    "v5-encrypted",
    "v6",
    "v7-encrypted",
    "v4-trees",
    "v5-trees-encrypted",
    "v4-deltas",
    "v5-deltas-encrypted",
    "v4-deltas-compressed",
];

fn update() {
    let is_new = |golden: &&str| !goldens().join(golden).exists();
    let new = GOLDENS.into_iter().filter(is_new).collect::<Vec<_>>().into_iter();
    for (golden, killed) in new.flat_map(|golden| [(golden, false), (golden, true)]) {
        let mut options = options_of(golden, &small_options()).remove(0);
        if keeps_history(golden) {
            options = options.keep_journal(JournalRetention::Forever);
        }
        let mut test = write(options, golden.contains("deltas"));
        if killed {
            std::mem::forget(test.env.take());
        } else {
            test.close();
        }
        let image = test.disk.image();
        let dir = goldens().join(golden).join(if killed { "killed" } else { "closed" });
        for (path, _) in image.files() {
            let target = dir.join(path);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::write(target, &**image.read(path).unwrap()).unwrap();
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Whether leaves stand as deltas in the node files of a golden, and whether nodes are compressed.
fn nodes_of(root: &Path, encryption: Option<DataKeys>) -> (bool, bool) {
    let dir = RealDir::open(&root.join("g-000001")).unwrap();
    let names = dir.list().unwrap().into_iter().filter_map(|entry| entry.display.parse().ok());
    let (mut has_deltas, mut is_compressed) = (false, false);
    for name in names.filter(|name: &LogName| name.class == FileClass::Node) {
        let file = LogFile::open_any(dir.open(&name.to_name(), Access::Read).unwrap()).unwrap();
        let file = match &encryption {
            Some(keys) => file.unlock(keys).unwrap(),
            None => file,
        };
        let mut scanner = Scanner::new(&file, u64::MAX);
        while let Scan::Record(record) = scanner.next().unwrap() {
            has_deltas |= record.header.kind == RecordKind::LEAF_DELTA;
            is_compressed |= record.header.stored_as == StoredAs::Compressed;
        }
    }
    (has_deltas, is_compressed)
}

#[test]
fn golden_environments_open_with_every_value_and_go_on() {
    if std::env::var_os("CAIRN_UPDATE_GOLDENS").is_some() {
        update();
    }
    let mut opened = 0;
    for version in fs::read_dir(goldens()).unwrap() {
        let version = version.unwrap().path();
        if !version.is_dir() {
            continue;
        }
        for state in ["closed", "killed"] {
            let name = version.file_name().unwrap().to_str().unwrap();
            for options in options_of(name, &Options::default()) {
                let dir = tempfile::tempdir().unwrap();
                copy(&version.join(state), dir.path());
                if !name.contains("keyring") {
                    let keys = name.contains("encrypted").then(keys);
                    let expected = (name.contains("deltas"), name.contains("compressed"));
                    assert_eq!(nodes_of(dir.path(), keys), expected, "{name}");
                }
                let slots = fs::read(dir.path().join("g-000001/STATE")).unwrap();
                let newest = slots.chunks(slots.len() / 2).max_by_key(|slot| slot[16]).unwrap();
                assert_eq!(u64::from(newest[8]), state_version(name), "{name}");
                let (env, report) = Environment::open(dir.path(), options.clone()).unwrap();
                assert_eq!(report.clean, state == "closed", "{report}");
                assert!(content(&env).unwrap() == expected(), "{}", version.display());
                let has_digest = env.begin_backup().unwrap().tree_digest().is_some();
                assert_eq!(has_digest, name.contains("trees") || name.contains("deltas"), "{name}");
                let findings = env.verify(&VerifyOptions::new()).unwrap().findings;
                assert!(findings.is_empty(), "{findings:?}");
                let kept = keeps_history(name).then_some(JournalRetention::Forever);
                assert_eq!(env.options().keep_journal, Some(kept.unwrap_or_default()), "{name}");
                if kept.is_some() {
                    let (then, _) = env.open_at(&RestoreTo::Commit(101)).unwrap();
                    assert_eq!(content(&then).unwrap()["numbers"].len(), 100, "{name}");
                }
                let numbers = env.find_database("numbers").unwrap().unwrap();
                env.write(|txn| txn.put(&numbers, b"more", b"1")).unwrap();
                env.close().unwrap();
                let (env, _) = Environment::open(dir.path(), options).unwrap();
                assert_eq!(env.snapshot().unwrap().len(&numbers).unwrap(), 271);
                opened += 1;
            }
        }
    }
    assert!(opened >= 2 * GOLDENS.len(), "{opened}");
}
