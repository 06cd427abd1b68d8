//! Crashes at every write and sync of what a store does: the store is what it was before a call or after it, every
//! backup that was promised is there and restorable, and indexes agree with entries.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use cairn_env::{Environment, Options, VerifyOptions};
use cairn_io::{DirRef, Name, SyncSite, WorldRef};
use cairn_kv::{BackupPlace, Entry, KvOptions, KvStore, Query, SYNC_SITES, Value};
use cairn_sim::{Bounds, FaultDisk, Level, SimDisk, SimWorld};

use crate::{
    fixture::{options, people},
    observer::content,
};

const DATA: Name = Name::constant("data");
const BACKUPS: Name = Name::constant("backups");

type Content = BTreeMap<Bytes, Value>;

/// What there is after a step: the entries, and of each backup the entries that it has.
#[derive(Clone, Debug, Default, PartialEq)]
struct State {
    entries: Content,
    backups: BTreeMap<String, Content>,
}

/// Small everything: a few entries split a leaf, a few commits fill a journal file.
fn small_options() -> Options {
    Options::default()
        .background(false)
        .leaf_bytes(256)
        .cache_bytes(256 << 10)
        .journal_file_bytes(64 << 10)
        .node_file_bytes(64 << 10)
}

fn kv_options() -> KvOptions {
    let mut schema = people();
    schema.indexes.truncate(1);
    options().schema(schema)
}

fn open(root: &DirRef, world: &WorldRef) -> (Environment, KvStore) {
    let data = root.open_dir(&DATA).unwrap();
    let (env, _) = Environment::open_in(data, WorldRef::clone(world), small_options()).unwrap();
    let backups = root.open_dir(&BACKUPS).unwrap();
    BackupPlace::new(backups, WorldRef::clone(world)).attach(&env);
    let store = KvStore::open(&env, "store", kv_options()).unwrap();
    (env, store)
}

fn person(age: i32) -> String {
    format!("{{\"name\":\"somebody\",\"age\":{age}}}")
}

/// How often a value of this age is meant, by the index.
fn of_age(store: &KvStore, age: i32) -> usize {
    let entries = store.get_entries(Query::new().equal_to("$.age", age)).unwrap();
    let text = person(age);
    assert!(entries.iter().all(|entry| entry.value.as_str() == Some(&text)));
    entries.len()
}

/// What a store does, with what there is after each call; without the syncs of one site, if one is given.
fn run(without: Option<SyncSite>) -> (SimDisk, Vec<State>) {
    let (disk, world) = (SimDisk::new(), SimWorld::new(7).world());
    let faults = FaultDisk::new(disk.root());
    faults.skip_syncs(without);
    let root = faults.root();
    root.create_dir(&DATA).unwrap();
    root.create_dir(&BACKUPS).unwrap();
    root.sync(SyncSite::new("test.root")).unwrap();
    let (env, store) = open(&root, &world);

    let mut states = vec![State::default()];
    let mut done = |store: &KvStore, backup: Option<(&str, bool)>| {
        let mut state = states.last().unwrap().clone();
        state.entries = content(store);
        match backup {
            Some((name, true)) => drop(state.backups.insert(name.into(), state.entries.clone())),
            Some((name, false)) => drop(state.backups.remove(name)),
            None => {}
        }
        states.push(state);
        disk.mark("step", states.len() as u64 - 1);
    };
    done(&store, None);
    store.put_batch((0..4).map(|n| Entry::new(format!("k{n}"), person(n % 2)))).unwrap();
    done(&store, None);
    store.backup("BK001").unwrap();
    done(&store, Some(("BK001", true)));
    store.put("k0", person(7)).unwrap();
    done(&store, None);
    store.backup("BK002").unwrap();
    done(&store, Some(("BK002", true)));
    store.delete("k1").unwrap();
    done(&store, None);
    store.restore("BK001").unwrap();
    done(&store, None);
    store.put("k9", person(1)).unwrap();
    done(&store, None);
    store.backup("BK001").unwrap(); // over the one before
    done(&store, Some(("BK001", true)));
    store.restore("BK002").unwrap();
    done(&store, None);
    store.delete_backup(["BK002"]).unwrap();
    done(&store, Some(("BK002", false)));
    store.put("k9", person(2)).unwrap();
    done(&store, None);
    drop(store);
    env.close().unwrap();
    (disk, states)
}

/// Looks at what each crash may leave; returns the steps that were found.
fn sweep(disk: &SimDisk, states: &[State]) -> Result<BTreeSet<usize>, String> {
    let trace = disk.trace();
    let (mut cuts, mut seen, mut reached) = (trace.cuts(), BTreeSet::new(), BTreeSet::new());
    while let Some(cut) = cuts.next_cut() {
        let Some(step) = cut.mark("step") else { continue };
        let step = usize::try_from(step).unwrap();
        let next = (step + 1).min(states.len() - 1);
        for level in Level::ALL {
            for crashed in cut.crash().images(level, &Bounds::smoke()) {
                if !seen.insert((crashed.image.hash(), step)) {
                    continue;
                }
                let found =
                    look(&crashed.image.to_mem().root(), &states[step..=next]).map_err(|what| {
                        format!("cut {}, step {step}, {crashed}: {what}", cut.position())
                    })?;
                reached.insert(step + found);
            }
        }
    }
    Ok(reached)
}

/// Opens what a crash has left; returns which of the states the entries are those of.
fn look(root: &DirRef, states: &[State]) -> Result<usize, String> {
    let world = SimWorld::new(9).world();
    let (env, store) = open(root, &world);
    let check = || {
        let report = env.verify(&VerifyOptions::default()).unwrap();
        if report.findings.is_empty() { Ok(()) } else { Err(format!("{report:?}")) }
    };
    let found = content(&store);
    let at = states.iter().position(|state| state.entries == found);
    let at = at.ok_or_else(|| format!("{found:?} is in none of {states:?}"))?;
    let ages = found.values().filter(|value| value.as_str() == Some(&person(1))).count();
    if of_age(&store, 1) != ages {
        return Err("the index does not agree with the entries".into());
    }
    check()?;
    // Whatever is listed is whole, and is what it was when it was made.
    let mut backups = BTreeMap::new();
    for listed in store.backups().unwrap() {
        let backup = listed.state.map_err(|error| error.to_string())?;
        store.restore(&backup.name).unwrap();
        backups.insert(backup.name, content(&store));
    }
    if states.iter().all(|state| state.backups != backups) {
        return Err(format!("backups {backups:?} are in none of {states:?}"));
    }
    store.backup("after").unwrap(); // and it goes on
    store.put("after", person(7)).unwrap();
    check()?;
    Ok(at)
}

#[test]
fn a_crash_leaves_the_store_before_a_call_or_after_it_and_every_backup() {
    let (disk, states) = run(None);
    let reached = sweep(&disk, &states).unwrap();
    assert!(reached.into_iter().eq(1..states.len()), "each step is where a crash can leave it");
}

#[test]
fn without_any_sync_of_this_crate_something_is_lost() {
    for &site in SYNC_SITES {
        let (disk, states) = run(Some(site));
        let lost = sweep(&disk, &states).expect_err(&format!("{site} is not needed"));
        assert!(lost.contains("backups"), "{site}: {lost}");
    }
}

/// The index of a schema is built for what is there: a crash in the middle leaves no half of it.
#[test]
fn a_crash_while_an_index_is_built_leaves_no_half_index() {
    let (disk, world) = (SimDisk::new(), SimWorld::new(8).world());
    let root = disk.root();
    root.create_dir(&DATA).unwrap();
    root.create_dir(&BACKUPS).unwrap();
    root.sync(SyncSite::new("test.root")).unwrap();
    let (env, store) = open(&root, &world);
    store.put_batch((0..20).map(|n| Entry::new(format!("k{n:02}"), person(n % 4)))).unwrap();
    store.close();
    // Somebody has dropped the index: the next open builds it.
    let index = env.find_database("cairn.kv/store/index/0").unwrap().unwrap();
    env.write(|txn| txn.drop_database(&index)).unwrap();
    drop(store);
    disk.mark("dropped", 1);
    let store = KvStore::open(&env, "store", kv_options()).unwrap();
    assert_eq!(of_age(&store, 3), 5);
    disk.mark("built", 1);
    drop((store, env));

    let trace = disk.trace();
    let (mut cuts, mut seen) = (trace.cuts(), BTreeSet::new());
    while let Some(cut) = cuts.next_cut() {
        if cut.mark("dropped").is_none() {
            continue;
        }
        for level in Level::ALL {
            for crashed in cut.crash().images(level, &Bounds::smoke()) {
                if !seen.insert(crashed.image.hash()) {
                    continue;
                }
                let world = SimWorld::new(9).world();
                let (env, store) = open(&crashed.image.to_mem().root(), &world);
                assert_eq!(content(&store).len(), 20);
                assert!((0..4).all(|age| of_age(&store, age) == 5), "{crashed}");
                let report = env.verify(&VerifyOptions::default()).unwrap();
                assert!(report.findings.is_empty(), "{crashed}: {report:?}");
            }
        }
    }
    assert!(seen.len() > 10, "{} states", seen.len());
}
