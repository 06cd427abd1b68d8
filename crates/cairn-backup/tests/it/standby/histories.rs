//! Random histories of an environment, of what is shipped of it, and of its standby, each of which dies now and then: what
//! the standby shows is what the environment held at that commit; after its promotion nothing is missing that is promised.
//!
//! `CAIRN_STANDBYS` says how many (default: 12), `CAIRN_STANDBYS_FROM` with which seed they begin:
//! `CAIRN_STANDBYS=1000 cargo nextest run -p cairn-backup -E 'test(standby::histories)' --no-capture`

use cairn_backup::{BackupError, PromoteOptions, Standby, StandbySource};
use cairn_env::{DatabaseOptions, EnvError, Environment, EnvironmentKeys, ReplicaPolicy};
use cairn_io::{DirRef, MemDisk};
use cairn_sim::{ChooserExt as _, Seeded, SimWorld};

use super::{arrive, assert_is_model, at_commit};
use crate::{
    fixture::{fill, options},
    repository::{
        backups::assert_sound,
        fixture::{raw_key, repository_for, small},
        shipped::{Model, how, note, ship},
        shipped_histories::{happen, open_at},
    },
};

/// Writes, deletes, loads, checkpoints, cleans, dies; is shipped, backed up, followed, read.
fn history(seed: u64) {
    let mut random = Seeded::new(seed);
    let directories = if random.range(0..3, "directories") == 0 { 2 } else { 0 };
    let options = options().data_directories(directories);
    let options = match seed % 4 {
        1 => options.key(raw_key(9)),
        _ => options,
    };
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
            0..=8 => {
                let another_epoch = random.range(0..2, "epoch") == 0;
                env = happen(env, &mut random, &mut model, || {
                    if let Some(key) = options.key.as_ref().filter(|_| another_epoch) {
                        let keys = EnvironmentKeys::open_in(dir.clone(), world.clone()).unwrap();
                        keys.unlock(key).unwrap().begin_epoch().unwrap();
                    }
                    open_at(&dir, &world, with.clone())
                });
            }
            9 => {
                let point = place.backup(&env, &small()).unwrap();
                if is_shipped {
                    promised = promised.max(point.commit);
                }
            }
            10 => promised = promised.max(ship(&mut shipper)),
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
#[expect(clippy::print_stdout, reason = "the count is what a long run is for")]
fn what_a_standby_shows_is_what_was_there_at_its_commit_in_random_histories() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let first = number("CAIRN_STANDBYS_FROM").unwrap_or(0);
    let count = number("CAIRN_STANDBYS").unwrap_or(12);
    for seed in first..first + count {
        println!("seed {seed}");
        history(seed);
    }
    println!("{count} standbys showed what was there");
}
