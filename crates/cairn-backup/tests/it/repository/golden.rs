//! Repositories that earlier versions wrote.

use std::{
    fs,
    path::{Path, PathBuf},
};

use cairn_backup::{
    CheckOptions, PointOptions, Repository, RestoreOptions, RestoreTo, ShipOptions, Which,
};
use cairn_env::{DatabaseOptions, Environment};
use cairn_io::RealDir;

use super::{
    backups::assert_sound,
    fixture::{Kind, raw_key},
};
use crate::fixture::options;

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

/// A repository with three points, and journal that was shipped from the third on if it `has_shipped`.
fn update(place: &Path, kind: Kind, has_shipped: bool) {
    let dir = tempfile::tempdir().unwrap();
    let (env, _) = Environment::open(dir.path().join("env"), options()).unwrap();
    let db = env.database("numbers", DatabaseOptions::default()).unwrap();
    let repository = match kind {
        Kind::Plain => Repository::create(place).unwrap(),
        _ => Repository::create_encrypted(place, &raw_key(1)).unwrap(),
    };
    for n in 0..3_u32 {
        for key in n * 10..n * 10 + 10 {
            let value = key.to_string();
            env.write(|txn| txn.put(&db, &key.to_le_bytes(), value.as_bytes())).unwrap();
        }
        let how = PointOptions::default();
        repository.backup(&env, &if n == 1 { how.label("second") } else { how }).unwrap();
    }
    if has_shipped {
        let root = RealDir::open(&dir.path().join("env")).unwrap();
        let how = ShipOptions::default().options(options());
        let mut shipper = repository.shipper(root, &env.world(), how).unwrap();
        for key in 30..40_u32 {
            let value = key.to_string();
            env.write(|txn| txn.put(&db, &key.to_le_bytes(), value.as_bytes())).unwrap();
            shipper.step().unwrap();
        }
        env.close().unwrap();
        shipper.step().unwrap();
    }
    fs::remove_dir_all(place.join("writers")).unwrap();
}

/// What a restore to a moment has brought back: the numbers up to that.
fn assert_numbers(target: &Path, count: u32) {
    let (env, _) = Environment::open(target, options()).unwrap();
    let db = env.find_database("numbers").unwrap().unwrap();
    let snapshot = env.snapshot().unwrap();
    assert_eq!(snapshot.len(&db).unwrap(), u64::from(count));
    for key in 0..count {
        let value = snapshot.get(&db, &key.to_le_bytes()).unwrap().unwrap();
        assert_eq!(&value[..], key.to_string().as_bytes());
    }
}

#[test]
fn golden_repositories_are_checked_and_each_point_is_restored() {
    let known = [
        ("v1", Kind::Plain, false),
        ("v1-shipped", Kind::Plain, true),
        ("v1-encrypted", Kind::Unlocked, true),
        ("v1-trees", Kind::Plain, false),
    ];
    for (name, kind, has_shipped) in known {
        let newest = goldens().join(name);
        if std::env::var_os("CAIRN_UPDATE_GOLDENS").is_some() && !newest.exists() {
            update(&newest, kind, has_shipped);
        }
    }
    let (mut read, mut moments, mut encrypted) = (0, 0, 0);
    for golden in fs::read_dir(goldens()).unwrap() {
        let golden = golden.unwrap().path();
        if !golden.is_dir() {
            continue;
        }
        let mut repository = Repository::open(&golden).unwrap();
        if repository.is_encrypted() {
            let report = repository.check(&CheckOptions::default()).unwrap();
            assert_eq!(report.findings, []);
            repository = repository.unlock(&raw_key(1)).unwrap();
            encrypted += 1;
        }
        assert_sound(&repository);
        let second = Which::Label("second".into());
        assert_eq!(repository.find(None, &second).unwrap().0, 2);
        for number in 1..=3_u32 {
            let dir = tempfile::tempdir().unwrap();
            let (target, how) = (dir.path().join("env"), RestoreOptions::default());
            let which = Which::Number(number.into());
            repository.restore(None, &which, &target, &how).unwrap();
            let (_, point) = repository.find(None, &which).unwrap();
            assert_eq!(point.tree_digest.is_some(), golden.ends_with("v1-trees"));
            assert_numbers(&target, number * 10);
        }
        let timelines = repository.intervals(None).unwrap();
        let last = timelines[0].intervals.last().unwrap();
        let shipped = (last.from.commit..=last.to.commit).filter(|_| last.segments > 0);
        for (commit, count) in shipped.zip(30..) {
            let dir = tempfile::tempdir().unwrap();
            let (target, to) = (dir.path().join("env"), RestoreTo::Commit(commit));
            let how = RestoreOptions::default().to(to);
            repository.restore(None, &Which::Newest, &target, &how).unwrap();
            assert_numbers(&target, count);
            moments += 1;
        }
        read += 1;
    }
    assert!(read > 2 && encrypted > 0, "{read} goldens, {encrypted} of them encrypted");
    assert!(moments >= 22, "{moments} moments of those that have them");
}
