//! The tree digest: what a checkpoint says, what a walk finds, in an open environment and in its files.

use std::{collections::BTreeMap, fs, path::Path};

use cairn_env::{CheckpointTrees, Environment, Options, StoredTrees, TreeDigest, VerifyOptions};
use cairn_io::Name;
use cairn_log::{LogFile, LogName};

use crate::fixture::{TestEnv, ordered, small_options};

fn found(env: &Environment) -> Option<TreeDigest> {
    let report = env.verify(&VerifyOptions::new()).unwrap();
    assert_eq!(report.findings, []);
    report.tree_digest
}

/// What the newest checkpoint says, and what the files alone tell of it.
fn stored(test: &TestEnv) -> (TreeDigest, CheckpointTrees) {
    let set = test.env().begin_backup().unwrap();
    let names: BTreeMap<_, _> =
        set.files().iter().map(|file| (file.name.number, file.name)).collect();
    let files = test.disk.root().open_dir(&Name::new("g-000001").unwrap()).unwrap();
    let environment = set.cut().environment;
    let mut open = |number| {
        let name: LogName = names[&number];
        Ok(LogFile::open(&*files, name, environment)?)
    };
    let mut trees = StoredTrees::new(&mut open);
    let checkpoint = set.cut().checkpoint.unwrap();
    let read = trees.read(checkpoint).unwrap();
    // What was seen is not read again, and is the same.
    assert_eq!(trees.read(checkpoint).unwrap(), read);
    (set.tree_digest().unwrap(), read)
}

/// Splits, merges, dropped trees, what the cleaner moves, what is replayed: the digest that is kept up is that of the nodes that are
/// there, whoever looks at them.
#[test]
fn the_digest_of_a_checkpoint_is_that_of_the_nodes_that_are_there() {
    let mut test = TestEnv::new(small_options());
    assert_eq!(found(test.env()), None, "there is no checkpoint");
    let mut seen = Vec::new();
    for round in 0..6_u32 {
        for n in 0..150 {
            test.put("numbers", &ordered(n * 7 % 150 + round * 20), &[7; 60]);
        }
        test.put("large", &ordered(round), &[1; 30_000]);
        let (numbers, dropped) = (test.db("numbers"), test.db("dropped"));
        test.env()
            .write(|txn| {
                (0..100).try_for_each(|n| txn.put(&dropped, &ordered(n), &[2; 100]))?;
                (0..round * 20).try_for_each(|n| txn.delete(&numbers, &ordered(n)).map(drop))
            })
            .unwrap();
        if round % 2 == 1 {
            test.env().checkpoint().unwrap();
            test.env().write(|txn| txn.drop_database(&dropped)).unwrap();
        }
        if round > 2 {
            test.env().clean().unwrap();
        }
        let (said, read) = stored(&test);
        assert_eq!((read.said, read.found), (Some(said), said), "round {round}");
        assert!(!read.needs.is_empty());
        assert_eq!(found(test.env()), Some(said), "round {round}");
        seen.push(said);
        match round % 3 {
            0 => test.reopen(),
            1 => test.kill(),
            _ => {}
        }
    }
    seen.sort_by_key(|digest| digest.to_bytes());
    seen.dedup();
    assert_eq!(seen.len(), 6, "each round has others");

    // With commits behind the checkpoint only who cannot write knows what it was made of.
    let (said, _) = stored(&test);
    test.put("numbers", b"more", b"1");
    assert_eq!(found(test.env()), None);
    let reader = test.options.clone().read_only(true).create(false);
    let (env, _) = Environment::open_in(test.disk.root(), test.world.world(), reader).unwrap();
    assert_eq!(found(&env), Some(said));
}

#[test]
fn an_environment_of_a_version_without_digests_gets_one_when_it_is_verified() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/v4/closed");
    let dir = tempfile::tempdir().unwrap();
    for folder in ["", "g-000001"] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
        for entry in fs::read_dir(golden.join(folder)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), dir.path().join(folder).join(entry.file_name())).unwrap();
            }
        }
    }
    let (env, _) = Environment::open(dir.path(), Options::default()).unwrap();
    let said = || env.begin_backup().unwrap().tree_digest();
    let more = |n: u8| {
        let numbers = env.find_database("numbers").unwrap().unwrap();
        env.write(|txn| txn.put(&numbers, &[n], b"more")).unwrap();
        env.checkpoint().unwrap();
    };
    more(1);
    assert_eq!(said(), None, "nobody has walked the trees");
    let first = found(&env);
    assert!(first.is_some());
    more(2);
    assert_eq!(said(), found(&env));
    assert!(said().is_some() && said() != first);
}
