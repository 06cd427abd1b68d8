//! Crashes at every operation of an encrypted repository that is made, and of each change of its keys: the keys of before
//! count, or those of after, and nothing is in the way of the next change.

use cairn_backup::{BackupError, CheckOptions, REPOSITORY_SYNC_SITES, Repository};
use cairn_io::SyncSite;
use cairn_sim::{Bounds, Image, SimDisk, SimWorld, Trace};

use super::{
    both::{Known, below, sweep_both},
    fixture::{local, raw_key},
};

/// Which keys open it after how many changes.
const OPENING: [&[u8]; 4] = [&[1], &[1, 2], &[2, 3], &[3]];

fn run() -> Trace {
    let disk = SimDisk::new();
    let world = SimWorld::new(3).world();
    let place = below(&disk.root(), "repo");
    disk.root().sync(SyncSite::new("test.dirs")).unwrap();
    let repository = Repository::create_encrypted_in(local(place), &world, &raw_key(1)).unwrap();
    disk.mark("made", 1);
    let second = repository.add_key("second", &raw_key(2)).unwrap();
    disk.mark("keys", 1);
    repository.rotate_key(&raw_key(3)).unwrap();
    disk.mark("keys", 2);
    repository.remove_key(second.number).unwrap();
    disk.mark("keys", 3);
    disk.trace()
}

fn judge(image: &Image, (made, changes): Known) -> Result<(), String> {
    let text = |error: BackupError| error.to_string();
    let disk = image.to_mem();
    let world = SimWorld::new(9).world();
    let open = || Repository::open_in(local(below(&disk.root(), "repo")), &world);
    match open() {
        Ok(_) => {}
        Err(BackupError::NotARepository { .. }) if !made => {
            let place = local(below(&disk.root(), "repo"));
            Repository::create_encrypted_in(place, &world, &raw_key(1)).map_err(text)?;
        }
        Err(error) => return Err(error.to_string()),
    }
    let mut opening = Vec::new();
    for key in 1..=3 {
        match open().map_err(text)?.unlock(&raw_key(key)) {
            Ok(_) => opening.push(key),
            Err(BackupError::WrongRepositoryKey { .. }) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    let changes = usize::try_from(changes).unwrap();
    let after = OPENING.get(changes..).unwrap_or_default().iter().take(2);
    if !after.clone().any(|keys| **keys == *opening) {
        return Err(format!("the keys {opening:?} open it after {changes} changes"));
    }
    let repository = open().map_err(text)?.unlock(&raw_key(opening[0])).map_err(text)?;
    repository.add_key("next", &raw_key(9)).map_err(text)?;
    let repository = open().map_err(text)?.unlock(&raw_key(9)).map_err(text)?;
    let report = repository.check(&CheckOptions::default()).map_err(text)?;
    match (&*report.findings, &*report.foreign) {
        ([], []) => Ok(()),
        found => Err(format!("{found:?}")),
    }
}

#[test]
fn after_a_crash_the_keys_of_before_or_of_after_a_change_open_an_encrypted_repository() {
    let states = sweep_both(&run(), "keys", &Bounds::smoke(), &judge).unwrap();
    assert!(states > 50, "{states}");
}

#[test]
fn each_sync_of_a_change_of_keys_is_needed() {
    let trace = run();
    for needed in REPOSITORY_SYNC_SITES {
        let without = trace.without_syncs(|site, _| site == *needed);
        assert!(sweep_both(&without, "keys", &Bounds::smoke(), &judge).is_err(), "{needed}");
    }
}
