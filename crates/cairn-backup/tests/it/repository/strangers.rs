//! What somebody else has put into the folders of a repository: it is named, and nothing is done to it.

use std::path::{Path, PathBuf};

use cairn_backup::{CheckLevel, CheckOptions, Repository, RestoreTo, Which};
use cairn_io::MemDisk;

use super::{
    backups::assert_sound,
    fixture::{backup, raw_key},
    shipped::{restore, ship, shipper},
};
use crate::fixture::{content, fill, open, options};

/// All files below a directory.
fn files(dir: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push((path.clone(), std::fs::read(&path).unwrap())),
        }
    }
    found.sort();
}

#[test]
fn what_is_of_somebody_else_is_named_by_a_check_and_in_nobodys_way() {
    for is_encrypted in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("repo");
        let place = match is_encrypted {
            true => Repository::create_encrypted(&path, &raw_key(1)).unwrap(),
            false => Repository::create(&path).unwrap(),
        };
        let disk = MemDisk::new();
        let env = open(&disk);
        fill(&env, 1, 4);
        backup(&place, &env);
        let mut shipper = shipper(&place, &disk.root());
        fill(&env, 8, 4);
        ship(&mut shipper);
        let info = place.info().unwrap();
        let environment = info.environments[0].environment;
        let strangers = [
            format!("envs/{environment}/data/notes"),
            format!("envs/{environment}/log/notes"),
            format!("envs/{environment}/segments/notes"),
        ];
        let mut expected: Vec<String> = strangers.to_vec();
        for name in &strangers {
            std::fs::create_dir(path.join(name)).unwrap();
        }
        for folder in ["data/00000001", "log/00000001", "segments/00000001", "points", "timelines"]
        {
            let name = format!("envs/{environment}/{folder}/README.txt");
            std::fs::write(path.join(&name), b"mine").unwrap();
            expected.push(name);
        }
        std::fs::write(path.join(format!("envs/{environment}/timelines/old.tl")), b"").unwrap();
        expected.push(format!("envs/{environment}/timelines/old.tl"));
        std::fs::create_dir_all(path.join("envs/somebody")).unwrap();
        if is_encrypted {
            std::fs::write(path.join("keys/README.txt"), b"mine").unwrap();
            expected.push("keys/README.txt".into());
        }
        expected.sort();
        let mut before = Vec::new();
        files(&path, &mut before);
        let locked = Repository::open(&path).unwrap();
        for place in [&place, &locked] {
            let level = if place.is_locked() { CheckLevel::Stored } else { CheckLevel::Structure };
            let report = place.check(&CheckOptions::default().level(level)).unwrap();
            assert_eq!(report.findings, []);
            let mut foreign = report.foreign;
            foreign.sort();
            assert_eq!(foreign, expected, "encrypted: {is_encrypted}");
            assert_eq!(place.info().unwrap().environments.len(), 1);
        }
        let mut after = Vec::new();
        files(&path, &mut after);
        assert_eq!(after, before);
        // Work goes on beside them.
        fill(&env, 20, 4);
        ship(&mut shipper);
        backup(&place, &env);
        let (_, found) = restore(&place, &Which::Newest, RestoreTo::Newest, &options()).unwrap();
        assert_eq!(found, content(&env));
        for (path, bytes) in before {
            assert_eq!(std::fs::read(path).unwrap(), bytes);
        }
        let clean = Repository::create(dir.path().join("other")).unwrap();
        backup(&clean, &env);
        assert_sound(&clean);
    }
}

#[test]
fn a_check_of_one_environment_finds_nothing_of_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let place = Repository::create(dir.path()).unwrap();
    let [one, two] = [1, 2].map(|seed| {
        let env = crate::fixture::open_seeded(&MemDisk::new(), seed);
        fill(&env, 1, 3);
        backup(&place, &env);
        env.identity().environment
    });
    let damaged = place.find(Some(two), &Which::Newest).unwrap().1;
    let name = damaged.objects().next().unwrap().name;
    let path = dir.path().join(name.to_string());
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let check =
        |environment| place.check(&CheckOptions::default().environment(environment)).unwrap();
    let (of_one, of_two, all) = (check(Some(one)), check(Some(two)), check(None));
    assert_eq!((of_one.points, of_one.findings), (1, Vec::new()));
    assert_eq!(of_two.findings.iter().map(|found| found.object).collect::<Vec<_>>(), [name]);
    assert_eq!((all.points, all.findings), (2, of_two.findings));
    assert_eq!(all.bytes, of_one.bytes + of_two.bytes);
}
