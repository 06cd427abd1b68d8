//! Repositories that earlier versions wrote.

use std::{
    fs,
    path::{Path, PathBuf},
};

use cairn_backup::{PointOptions, Repository, RestoreOptions, Which};
use cairn_env::{DatabaseOptions, Environment};

use super::backups::assert_sound;
use crate::fixture::options;

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

fn update(place: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let (env, _) = Environment::open(dir.path().join("env"), options()).unwrap();
    let db = env.database("numbers", DatabaseOptions::default()).unwrap();
    let repository = Repository::create(place).unwrap();
    for n in 0..3_u32 {
        for key in n * 10..n * 10 + 10 {
            let value = key.to_string();
            env.write(|txn| txn.put(&db, &key.to_le_bytes(), value.as_bytes())).unwrap();
        }
        let how = PointOptions::default();
        repository.backup(&env, &if n == 1 { how.label("second") } else { how }).unwrap();
    }
    fs::remove_dir_all(place.join("writers")).unwrap();
}

#[test]
fn golden_repositories_are_checked_and_each_point_is_restored() {
    let newest = goldens().join("v1");
    if std::env::var_os("CAIRN_UPDATE_GOLDENS").is_some() && !newest.exists() {
        update(&newest);
    }
    let mut read = 0;
    for golden in fs::read_dir(goldens()).unwrap() {
        let golden = golden.unwrap().path();
        if !golden.is_dir() {
            continue;
        }
        let repository = Repository::open(&golden).unwrap();
        assert_sound(&repository);
        let second = Which::Label("second".into());
        assert_eq!(repository.find(None, &second).unwrap().0, 2);
        for number in 1..=3_u32 {
            let dir = tempfile::tempdir().unwrap();
            let (target, how) = (dir.path().join("env"), RestoreOptions::default());
            let which = Which::Number(number.into());
            repository.restore(None, &which, &target, &how).unwrap();
            let (env, _) = Environment::open(&target, options()).unwrap();
            let db = env.find_database("numbers").unwrap().unwrap();
            let snapshot = env.snapshot().unwrap();
            assert_eq!(snapshot.len(&db).unwrap(), u64::from(number) * 10);
            for key in 0..number * 10 {
                let value = snapshot.get(&db, &key.to_le_bytes()).unwrap().unwrap();
                assert_eq!(&value[..], key.to_string().as_bytes());
            }
        }
        read += 1;
    }
    assert!(read > 0, "there is a golden");
}
