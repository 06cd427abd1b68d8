//! Journal that arrives where one file ends and another begins, and where that has other keys.

use cairn_backup::{Repository, Standby, StandbySource};
use cairn_env::{
    DatabaseOptions, EnvironmentKeys, Keyring, Options, StandbyTarget, standby_progress,
};
use cairn_io::{Access, DirExt as _, DirRef, MemDisk, Name, WorldRef};
use cairn_log::{FileClass, LogFile, LogName, RecordKind, Scan, Scanner};
use cairn_sim::SimWorld;

use super::{arrive, assert_is_model, at_commit};
use crate::{
    fixture::{fill, options},
    repository::{
        fixture::{backup, local, raw_key},
        shipped::{Model, how, note, ship},
        shipped_histories::open_at,
    },
};

/// The journal files in a directory, in order, and what they are.
fn journals(dir: &DirRef) -> Vec<(LogName, Vec<u8>)> {
    let dir = dir.open_dir(&Name::new("g-000001").unwrap()).unwrap();
    let names =
        dir.list().unwrap().into_iter().filter_map(|entry| entry.name?.as_str().parse().ok());
    let mut names: Vec<LogName> =
        names.filter(|name: &LogName| name.class == FileClass::Journal).collect();
    names.sort_by_key(|name| name.number);
    names
        .into_iter()
        .map(|name| (name, dir.read_small(&name.to_name(), 1 << 24).unwrap()))
        .collect()
}

/// Where the first record of a journal file ends, which is no commit.
fn first_record(dir: &DirRef, name: LogName, options: &Options) -> u64 {
    let generation = dir.open_dir(&Name::new("g-000001").unwrap()).unwrap();
    let file = LogFile::open_any(generation.open(&name.to_name(), Access::Read).unwrap()).unwrap();
    let file = match &options.key {
        Some(key) => {
            let bytes = generation.read_small(&Name::new("KEYRING").unwrap(), 1 << 20).unwrap();
            let keyring = Keyring::decode(&bytes, generation.path()).unwrap();
            file.unlock(&keyring.unlock(key).unwrap().data_keys()).unwrap()
        }
        None => file,
    };
    let mut scanner = Scanner::new(&file, file.end());
    let Scan::Record(first) = scanner.next().unwrap() else { panic!("{name} has no record") };
    assert_ne!(first.header.kind, RecordKind::COMMIT);
    let Scan::Record(second) = scanner.next().unwrap() else { panic!("{name} has one record") };
    second.lsn.offset()
}

/// Journal arrives up to the first record of a file that has no commit until later.
fn a_file_without_a_commit(options: &Options) {
    let (disk, there) = (MemDisk::new(), MemDisk::new());
    let world: WorldRef = SimWorld::new(9).world();
    let (env, mut model) = (open_at(&disk.root(), &world, options.clone()), Model::new());
    fill(&env, 0, 2);
    let source = StandbySource::Directory(disk.root());
    let mut standby =
        Standby::follow_in(source, there.root(), &world, super::how(options)).unwrap();
    let base = arrive(&mut standby);
    drop(standby);
    fill(&env, 10, 2);
    note(&env, &mut model);
    let (expected, _) = at_commit(&env);
    env.close().unwrap();
    let env = open_at(&disk.root(), &world, options.clone());
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    let mut bulk = env.begin_exclusive().unwrap();
    for n in 0..4000_u32 {
        bulk.put(&db, &n.to_le_bytes(), &[7; 200]).unwrap();
    }
    bulk.commit().unwrap();
    drop(env);

    let files = journals(&disk.root());
    let mut target = StandbyTarget::open(&there.root(), &*world, options).unwrap();
    let (at, end) = target.position().unwrap();
    assert_eq!(target.newest().0, base);
    let here = files.iter().position(|(name, _)| name.number == at).unwrap();
    target.append(at, end, &files[here].1[usize::try_from(end).unwrap()..]).unwrap();
    let (next, bytes) = &files[here + 1];
    let first = first_record(&disk.root(), *next, options);
    target.append(next.number, 0, &bytes[..usize::try_from(first).unwrap()]).unwrap();
    target.sync().unwrap();
    assert_eq!(target.newest().0, expected);
    let progress = standby_progress(&there.root(), &*world).unwrap().unwrap();
    assert_eq!(progress.commit, expected);
    target.promote().unwrap();

    let env = open_at(&there.root(), &world, options.clone());
    assert_eq!(at_commit(&env), (expected, model[&expected].1.clone()));
}

#[test]
fn commits_count_whose_file_has_one_without_a_commit_behind_it() {
    a_file_without_a_commit(&options());
}

#[test]
fn commits_count_whose_encrypted_file_has_one_without_a_commit_behind_it() {
    a_file_without_a_commit(&options().key(raw_key(9)));
}

/// The journal up to the end of the base is shipped when the keys are others already: what is behind that says them, too.
#[test]
fn journal_is_followed_with_keys_that_came_into_being_after_the_base() {
    let (disk, objects, there) = (MemDisk::new(), MemDisk::new(), MemDisk::new());
    let world: WorldRef = SimWorld::new(9).world();
    let options = options().key(raw_key(9));
    let env = open_at(&disk.root(), &world, options.clone());
    let place = Repository::create_in(local(objects.root()), &world).unwrap();
    let how = how().options(options.clone());
    let mut shipper = place.shipper(disk.root(), &world, how).unwrap();
    let mut model = Model::new();
    fill(&env, 0, 1);
    note(&env, &mut model);
    ship(&mut shipper);
    fill(&env, 10, 1);
    note(&env, &mut model);
    let base = backup(&place, &env).commit;
    let mut standby =
        Standby::follow_in(place, there.root(), &world, super::how(&options)).unwrap();
    assert_eq!(assert_is_model(&mut standby, &model), base);

    drop(env);
    let keys = EnvironmentKeys::open_in(disk.root(), WorldRef::clone(&world)).unwrap();
    keys.unlock(options.key.as_ref().unwrap()).unwrap().begin_epoch().unwrap();
    let env = open_at(&disk.root(), &world, options);
    for from in [20, 30] {
        fill(&env, from, 1); // the second says that the first is durable
        note(&env, &mut model);
    }
    ship(&mut shipper);

    let newest = arrive(&mut standby);
    assert!(newest > base);
    assert_eq!(assert_is_model(&mut standby, &model), newest);
}
