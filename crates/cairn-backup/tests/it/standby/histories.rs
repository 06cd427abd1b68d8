//! Random histories of an environment, of what is shipped of it, and of its standby, each of which dies now and then: what
//! the standby shows is what the environment held at that commit; after its promotion nothing is missing that is promised.

use cairn_backup::{BackupError, PromoteOptions, Standby, StandbySource};
use cairn_env::{DatabaseOptions, EnvError, Environment, Options, ReplicaPolicy};
use cairn_io::{DirRef, MemDisk, WorldRef};
use cairn_sim::{ChooserExt as _, Seeded, SimWorld};

use super::{arrive, assert_is_model, at_commit};
use crate::{
    fixture::{fill, options},
    repository::{
        backups::assert_sound,
        fixture::{repository_for, small},
        shipped::{Model, how, note, ship},
    },
};

fn open_at(dir: &DirRef, world: &WorldRef, options: Options) -> Environment {
    Environment::open_in(DirRef::clone(dir), WorldRef::clone(world), options).unwrap().0
}

/// Writes, deletes, loads, checkpoints, cleans, dies; is shipped, backed up, followed, read.
fn history(seed: u64) {
    let mut random = Seeded::new(seed);
    let directories = if random.range(0..3, "directories") == 0 { 2 } else { 0 };
    let options = options().data_directories(directories);
    let (dir, replica, there) =
        (MemDisk::new().root(), MemDisk::new().root(), MemDisk::new().root());
    let (place, world) = (repository_for(seed), SimWorld::new(seed).world());
    // Its source: the repository, or a replica that commits wait for.
    let is_shipped = !seed.is_multiple_of(3);
    let with = match is_shipped {
        true => options.clone(),
        false => options.clone().replica_in(replica.clone(), ReplicaPolicy::Require),
    };
    let mut env = open_at(&dir, &world, with.clone());
    let mut model = Model::new();
    note(&env, &mut model);
    env.database("db", DatabaseOptions::default()).unwrap();
    note(&env, &mut model);
    let new = || {
        let how = how().options(options.clone());
        place.shipper(DirRef::clone(&dir), &world, how).unwrap()
    };
    let mut shipper = new();
    let mut promised = ship(&mut shipper);
    let begin = || {
        let source = match is_shipped {
            true => place.clone().into(),
            false => StandbySource::Directory(replica.clone()),
        };
        // The standby has another number of directories in its root only as its base has.
        let how = super::how(&options.clone().data_directories(0));
        let how = how.rebase_bytes(60 << 10);
        Standby::follow_in(source, there.clone(), &world, how).unwrap()
    };
    let mut standby = begin();
    let mut seen = 0;
    for _ in 0..70 {
        match random.range(0..14, "step") {
            0..=3 => {
                for n in 0..random.range(1..4, "commits") {
                    let n = u32::try_from(n).unwrap();
                    fill(&env, u32::try_from(random.range(0..60, "from")).unwrap() + n, 1);
                    note(&env, &mut model);
                }
            }
            4 => {
                let db = env.database("db", DatabaseOptions::default()).unwrap();
                let key = u32::try_from(random.range(0..60, "key")).unwrap();
                env.write(|txn| txn.delete(&db, &key.to_le_bytes()).map(drop)).unwrap();
                note(&env, &mut model);
            }
            5 => {
                let db = env.database("bulk", DatabaseOptions::default()).unwrap();
                note(&env, &mut model);
                let mut bulk = env.begin_exclusive().unwrap();
                for n in 0..40_u32 {
                    bulk.put(&db, &n.to_le_bytes(), &[7; 200]).unwrap();
                }
                bulk.commit().unwrap();
                note(&env, &mut model);
            }
            6 => drop(env.checkpoint().unwrap()),
            7 => drop(env.clean().unwrap()),
            8 => {
                if random.range(0..2, "close") == 0 {
                    env.close().unwrap();
                } else {
                    drop(env);
                }
                env = open_at(&dir, &world, with.clone());
            }
            9 => drop(place.backup(&env, &small()).unwrap()),
            10 => promised = ship(&mut shipper),
            11 => {
                drop(standby);
                standby = begin();
            }
            _ => {
                arrive(&mut standby);
                let commit = assert_is_model(&mut standby, &model);
                assert!(commit >= seen, "seed {seed}: {commit} after {seen}");
                seen = commit;
            }
        }
    }
    let last = at_commit(&env);
    if is_shipped {
        promised = promised.max(seen);
    } else {
        drop(env);
        promised = last.0;
        env = open_at(&MemDisk::new().root(), &world, options.clone());
    }
    let (promoted, promotion) = standby.promote(&PromoteOptions::default()).unwrap();
    let (commit, found) = at_commit(&promoted);
    assert!(commit >= promised && commit == promotion.commit, "seed {seed}: {commit} {promised}");
    assert!(found == model[&commit].1, "seed {seed}: commit {commit}");
    fill(&promoted, 80, 3);
    promoted.checkpoint().unwrap();
    let expected = at_commit(&promoted);
    promoted.close().unwrap();
    let again = open_at(&there, &world, options.clone().data_directories(0));
    assert!(at_commit(&again) == expected, "seed {seed}");
    // The old one comes back.
    if is_shipped {
        fill(&env, 0, 1);
        let refused = shipper.step();
        assert!(matches!(refused, Err(BackupError::Superseded { .. })), "seed {seed}: {refused:?}");
        let refused = place.backup(&env, &small());
        assert!(matches!(refused, Err(BackupError::Superseded { .. })), "seed {seed}: {refused:?}");
        assert_sound(&place);
    } else {
        let refused = Environment::open_in(dir, world, with);
        assert!(matches!(refused, Err(EnvError::Superseded { .. })), "seed {seed}: {refused:?}");
    }
}

#[test]
fn what_a_standby_shows_is_what_was_there_at_its_commit_in_random_histories() {
    for seed in 0..9 {
        history(seed);
    }
}
