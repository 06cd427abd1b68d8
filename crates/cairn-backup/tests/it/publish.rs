//! Backups whose files a tool of the user's own has copied.

use cairn_backup::{BackupError, publish_in};
use cairn_env::{BackupSet, ErrorKind};
use cairn_io::MemDisk;

use crate::{
    fixture::{content, dir, fill, open, world},
    incremental::restored,
};

/// Copies as `cp` does: the whole file, whatever its length.
fn copy(from: &MemDisk, set: &BackupSet) -> MemDisk {
    let to = MemDisk::new();
    to.create_dirs("files").unwrap();
    for file in set.files() {
        let path = file.path().strip_prefix("mem:").unwrap().to_str().unwrap();
        to.write(&format!("files/{}", file.name), from.read(path).unwrap()).unwrap();
        set.release(file);
    }
    to
}

#[test]
fn what_was_copied_becomes_a_backup() {
    let disk = MemDisk::new();
    let env = open(&disk);
    fill(&env, 0, 100);
    let set = env.begin_backup().unwrap();
    let expected = content(&env);
    let to = copy(&disk, &set);
    assert!(set.snapshot().is_none());
    // The files were released, and go.
    fill(&env, 0, 300);
    env.compact().unwrap();
    assert!(set.files().iter().any(|file| {
        disk.read(file.path().strip_prefix("mem:").unwrap().to_str().unwrap()).is_err()
    }));
    assert!(set.files().iter().all(|file| file.seal().is_some()));
    let report = publish_in(&set, &dir(&to), &world(), None).unwrap();
    assert_eq!(report.commit, set.cut().commit);
    assert_eq!(restored(&dir(&to)), expected);
    let again = publish_in(&set, &dir(&to), &world(), None).unwrap_err();
    assert!(matches!(again, BackupError::TargetNotEmpty { .. }), "{again}");
}

/// A journal that a crash has cut is copied with what comes after its end.
#[test]
fn the_rest_of_a_cut_journal_is_cut_off_unless_it_is_the_environment_s_own() {
    let disk = MemDisk::new();
    let env = open(&disk);
    fill(&env, 0, 30);
    let killed = disk.fork();
    drop(env);
    let env = open(&killed);
    fill(&env, 100, 1);
    let set = env.begin_backup().unwrap();
    let unsealed = set.files().iter().find(|file| file.seal().is_none()).expect("it was cut");
    let to = copy(&killed, &set);
    let path = format!("files/{}", unsealed.name);
    to.edit(&path, |bytes| bytes.extend([0; 5000])).unwrap();
    let linked = to.fork();
    linked.hard_link(&path, "second").unwrap();
    let error = publish_in(&set, &dir(&linked), &world(), None).unwrap_err();
    assert!(error.to_string().contains("several names"), "{error}");
    publish_in(&set, &dir(&to), &world(), None).unwrap();
    assert_eq!(to.read(&path).unwrap().len() as u64, unsealed.length);
    assert_eq!(restored(&dir(&to)), content(&env));
}

#[test]
fn a_wrong_copy_is_named_and_nothing_is_published() {
    let disk = MemDisk::new();
    let env = open(&disk);
    fill(&env, 0, 60);
    let set = env.begin_backup().unwrap();
    let good = copy(&disk, &set);
    let files: Vec<_> = good.files();
    for (at, (path, len)) in files.iter().enumerate() {
        let len = usize::try_from(*len).unwrap();
        let other = good.read(&files[(at + 1) % files.len()].0).unwrap();
        let damages: [&dyn Fn(&MemDisk); 7] = [
            &|bad| bad.remove(path).unwrap(),
            &|bad| bad.write(path, other.clone()).unwrap(),
            &|bad| bad.edit(path, |bytes| bytes.truncate(len - 8)).unwrap(),
            &|bad| bad.edit(path, |bytes| bytes.push(0)).unwrap(),
            &|bad| bad.edit(path, |bytes| bytes[30] ^= 4).unwrap(),
            &|bad| bad.edit(path, |bytes| bytes[len / 2] ^= 4).unwrap(),
            &|bad| bad.edit(path, |bytes| bytes[len - 20] ^= 4).unwrap(),
        ];
        for (number, damage) in damages.iter().enumerate() {
            let bad = good.fork();
            damage(&bad);
            let error = publish_in(&set, &dir(&bad), &world(), None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{path} {number}: {error}");
            let name = path.rsplit('/').next().unwrap();
            assert!(error.to_string().contains(name), "{path} {number}: {error}");
            assert!(bad.read("MANIFEST").is_err());
        }
    }
    publish_in(&set, &dir(&good), &world(), None).unwrap();
}
