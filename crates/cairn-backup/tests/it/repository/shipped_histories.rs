//! Random histories of an environment whose journal is shipped now and then: what is said to be restorable is, and what
//! is not is refused.

use cairn_backup::{RestoreTo, Which};
use cairn_env::{DatabaseOptions, Environment, Options};
use cairn_io::{DirRef, MemDisk, WorldRef};
use cairn_sim::{ChooserExt as _, Seeded, SimWorld};

use super::{
    backups::assert_sound,
    fixture::{repository_for, small},
    shipped::{Model, assert_intervals, how, note, restore, ship},
};
use crate::fixture::{content, fill, options};

pub(crate) fn open_at(dir: &DirRef, world: &WorldRef, options: Options) -> Environment {
    Environment::open_in(DirRef::clone(dir), WorldRef::clone(world), options).unwrap().0
}

/// Something happens to an environment whose journal is shipped: it is written, upkept, or it ends and is opened again.
pub(crate) fn happen(
    env: Environment,
    random: &mut Seeded,
    model: &mut Model,
    reopen: impl FnOnce() -> Environment,
) -> Environment {
    match random.range(0..9, "what happens") {
        0..=3 => {
            for n in 0..random.range(1..4, "commits") {
                let n = u32::try_from(n).unwrap();
                fill(&env, u32::try_from(random.range(0..60, "from")).unwrap() + n, 1);
                note(&env, model);
            }
        }
        4 => {
            let db = env.database("db", DatabaseOptions::default()).unwrap();
            let key = u32::try_from(random.range(0..60, "key")).unwrap();
            env.write(|txn| txn.delete(&db, &key.to_le_bytes()).map(drop)).unwrap();
            note(&env, model);
        }
        5 => {
            let db = env.database("bulk", DatabaseOptions::default()).unwrap();
            note(&env, model);
            let mut bulk = env.begin_exclusive().unwrap();
            for n in 0..40_u32 {
                bulk.put(&db, &n.to_le_bytes(), &[7; 200]).unwrap();
            }
            bulk.commit().unwrap();
            note(&env, model);
        }
        6 => drop(env.checkpoint().unwrap()),
        7 => drop(env.clean().unwrap()),
        _ => {
            if random.range(0..2, "close") == 0 {
                env.close().unwrap();
            } else {
                drop(env);
            }
            return reopen();
        }
    }
    env
}

/// Writes, deletes, checkpoints, cleans, dies, opens again, backs up, ships.
fn history(seed: u64) {
    let mut random = Seeded::new(seed);
    let directories = if random.range(0..3, "directories") == 0 { 2 } else { 0 };
    let options = options().data_directories(directories);
    let (dir, place, world) =
        (MemDisk::new().root(), repository_for(seed), SimWorld::new(seed).world());
    let mut env = open_at(&dir, &world, options.clone());
    let mut model = Model::new();
    let new = || {
        let how = how().options(options.clone());
        place.shipper(DirRef::clone(&dir), &world, how).unwrap()
    };
    let mut shipper = new();
    for _ in 0..60 {
        match random.range(0..12, "step") {
            0..=8 => {
                env =
                    happen(env, &mut random, &mut model, || open_at(&dir, &world, options.clone()));
            }
            9 => drop(place.backup(&env, &small()).unwrap()),
            10 => shipper = new(),
            _ => drop(ship(&mut shipper)),
        }
    }
    env.close().unwrap();
    let last = ship(&mut shipper);
    let env = open_at(&dir, &world, options.clone().read_only(true));
    let (commit, expected) = (env.snapshot().unwrap().commit(), content(&env));
    assert_eq!(last, commit, "seed {seed}");
    let newest = restore(&place, &Which::Newest, RestoreTo::Newest, &options).unwrap();
    assert!((newest.0.commit, newest.1) == (commit, expected), "seed {seed}");
    assert_intervals(&place, &model, &options);
    assert_sound(&place);
}

/// Invariants 14 and 15, over histories with bulk loads, the cleaner, deaths, and shippers that come and go.
#[test]
fn what_is_said_to_be_restorable_is_in_random_histories() {
    for seed in 0..12 {
        history(seed);
    }
}
