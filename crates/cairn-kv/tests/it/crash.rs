//! Crashes at every write and sync of what a store does: the store is what it was before a call or after it, every
//! backup that was promised is there and restorable, and indexes agree with entries.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use cairn_env::{EnvError, Environment, EnvironmentKeys, Options, VerifyOptions};
use cairn_io::{DirRef, IoOp, Name, SyncSite, WorldRef};
use cairn_kv::{BackupPlace, Entry, KvError, KvOptions, KvStore, Query, SYNC_SITES, Value};
use cairn_sim::{Bounds, Fault, FaultDisk, Level, Rule, SimDisk, SimWorld};

use crate::{
    encryption::key,
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

/// A disk with room for an environment and its backups.
fn prepare(root: &DirRef) {
    root.create_dir(&DATA).unwrap();
    root.create_dir(&BACKUPS).unwrap();
    root.sync(SyncSite::new("test.root")).unwrap();
}

fn environment(root: &DirRef, world: &WorldRef, options: &Options) -> Environment {
    let data = root.open_dir(&DATA).unwrap();
    let (env, _) = Environment::open_in(data, WorldRef::clone(world), options.clone()).unwrap();
    let backups = root.open_dir(&BACKUPS).unwrap();
    BackupPlace::new(backups, WorldRef::clone(world)).attach(&env);
    env
}

fn open(root: &DirRef, world: &WorldRef, options: &Options) -> (Environment, KvStore) {
    let env = environment(root, world, options);
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

/// What there was after each call.
struct States {
    disk: SimDisk,
    all: Vec<State>,
}

impl States {
    fn new(disk: &SimDisk) -> Self {
        Self { disk: disk.clone(), all: vec![State::default()] }
    }

    /// A call has returned; it has made a backup, or deleted one.
    fn done(&mut self, store: &KvStore, backup: Option<(&str, bool)>) {
        let mut state = self.all.last().unwrap().clone();
        state.entries = content(store);
        match backup {
            Some((name, true)) => drop(state.backups.insert(name.into(), state.entries.clone())),
            Some((name, false)) => drop(state.backups.remove(name)),
            None => {}
        }
        self.all.push(state);
        self.disk.mark("step", self.all.len() as u64 - 1);
    }
}

/// What a store does; without the syncs of one site, if one is given.
fn run(without: Option<SyncSite>) -> (SimDisk, Vec<State>) {
    let (disk, world) = (SimDisk::new(), SimWorld::new(7).world());
    let faults = FaultDisk::new(disk.root());
    faults.skip_syncs(without);
    let root = faults.root();
    prepare(&root);
    let (env, store) = open(&root, &world, &small_options());

    let mut states = States::new(&disk);
    states.done(&store, None);
    store.put_batch((0..4).map(|n| Entry::new(format!("k{n}"), person(n % 2)))).unwrap();
    states.done(&store, None);
    store.backup("BK001").unwrap();
    states.done(&store, Some(("BK001", true)));
    store.put("k0", person(7)).unwrap();
    states.done(&store, None);
    store.backup("BK002").unwrap();
    states.done(&store, Some(("BK002", true)));
    store.delete("k1").unwrap();
    states.done(&store, None);
    store.restore("BK001").unwrap();
    states.done(&store, None);
    store.put("k9", person(1)).unwrap();
    states.done(&store, None);
    store.backup("BK001").unwrap(); // over the one before
    states.done(&store, Some(("BK001", true)));
    store.restore("BK002").unwrap();
    states.done(&store, None);
    store.delete_backup(["BK002"]).unwrap();
    states.done(&store, Some(("BK002", false)));
    store.put("k9", person(2)).unwrap();
    states.done(&store, None);
    drop(store);
    env.close().unwrap();
    (disk, states.all)
}

/// A store of an encrypted environment that begins a new key epoch, with backups from before and after.
fn run_with_rekey(options: &Options) -> (SimDisk, Vec<State>) {
    let (disk, world) = (SimDisk::new(), SimWorld::new(7).world());
    let root = disk.root();
    prepare(&root);
    let (env, store) = open(&root, &world, options);
    let mut states = States::new(&disk);
    store.put_batch((0..4).map(|n| Entry::new(format!("k{n}"), person(n % 2)))).unwrap();
    states.done(&store, None);
    store.backup("BK001").unwrap();
    states.done(&store, Some(("BK001", true)));
    store.put("k0", person(7)).unwrap();
    states.done(&store, None);
    drop(store);
    env.close().unwrap();
    let keys = EnvironmentKeys::open_in(root.open_dir(&DATA).unwrap(), WorldRef::clone(&world));
    keys.unwrap().unlock(&key(1)).unwrap().begin_epoch().unwrap();
    let (env, store) = open(&root, &world, options);
    states.done(&store, None);
    store.put("k1", person(7)).unwrap();
    states.done(&store, None);
    store.backup("BK002").unwrap();
    states.done(&store, Some(("BK002", true)));
    store.restore("BK001").unwrap();
    states.done(&store, None);
    drop(store);
    env.close().unwrap();
    (disk, states.all)
}

/// Looks at what each crash may leave; returns the steps that were found.
fn sweep(disk: &SimDisk, states: &[State], options: &Options) -> Result<BTreeSet<usize>, String> {
    let look = |root: &DirRef, states: &[State]| look(root, states, options);
    disk.trace().sweep_steps("step", states, &Bounds::smoke(), look).map(|(reached, _)| reached)
}

/// Opens what a crash has left; returns which of the states the entries are those of.
fn look(root: &DirRef, states: &[State], options: &Options) -> Result<usize, String> {
    let world = SimWorld::new(9).world();
    let (env, store) = open(root, &world, options);
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
    let reached = sweep(&disk, &states, &small_options()).unwrap();
    assert!(reached.into_iter().eq(1..states.len()), "each step is where a crash can leave it");
}

#[test]
fn a_crash_around_a_new_key_epoch_leaves_the_store_and_every_backup() {
    let options = small_options().key(key(1));
    let (disk, states) = run_with_rekey(&options);
    let reached = sweep(&disk, &states, &options).unwrap();
    assert!(reached.into_iter().eq(1..states.len()), "each step is where a crash can leave it");
}

#[test]
fn without_any_sync_of_this_crate_something_is_lost() {
    for &site in SYNC_SITES {
        let (disk, states) = run(Some(site));
        let lost =
            sweep(&disk, &states, &small_options()).expect_err(&format!("{site} is not needed"));
        assert!(lost.contains("backups"), "{site}: {lost}");
    }
}

/// Calls `look` with what each crash after the mark `from` may leave, and whether `to` was reached; returns how
/// many there were.
fn each_crash(disk: &SimDisk, from: &str, to: &str, mut look: impl FnMut(&DirRef, bool)) -> usize {
    let trace = disk.trace();
    let (mut cuts, mut seen) = (trace.cuts(), BTreeSet::new());
    while let Some(cut) = cuts.next_cut() {
        if cut.mark(from).is_none() {
            continue;
        }
        let is_over = cut.mark(to).is_some();
        for level in Level::ALL {
            for crashed in cut.crash().images(level, &Bounds::smoke()) {
                if seen.insert((crashed.image.hash(), is_over)) {
                    look(&crashed.image.to_mem().root(), is_over);
                }
            }
        }
    }
    seen.len()
}

#[track_caller]
fn verified(env: &Environment) {
    let report = env.verify(&VerifyOptions::default()).unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
}

/// A store comes into being with its record and its database at once; what is missing of its indexes comes with
/// the next open.
#[test]
fn a_crash_while_a_store_is_created_leaves_none_or_all_of_it() {
    let (disk, world) = (SimDisk::new(), SimWorld::new(8).world());
    let root = disk.root();
    prepare(&root);
    let env = environment(&root, &world, &small_options());
    disk.mark("begun", 1);
    let store = KvStore::open(&env, "store", kv_options()).unwrap();
    disk.mark("created", 1);
    drop((store, env));

    let mut found = BTreeSet::new();
    let states = each_crash(&disk, "begun", "created", |root, is_over| {
        let world = SimWorld::new(9).world();
        let env = environment(root, &world, &small_options());
        let is_there = !KvStore::ids(&env).unwrap().is_empty();
        assert!(is_there || !is_over, "a store that was created is lost");
        assert_eq!(env.find_database("cairn.kv/store").unwrap().is_some(), is_there);
        found.insert((is_there, env.find_database("cairn.kv/store/index/0").unwrap().is_some()));
        let store = KvStore::open(&env, "store", kv_options()).unwrap();
        store.put("k", person(3)).unwrap();
        assert_eq!(of_age(&store, 3), 1);
        verified(&env);
    });
    assert!(found.contains(&(false, false)) && found.contains(&(true, true)), "{found:?}");
    assert!(states > 5, "{states} states");
}

/// A schema that has grown, or has come, is recorded in one commit, with the end of indexes that it does not have; what
/// comes after that is built from entries.
#[test]
fn a_crash_while_a_schema_grows_leaves_the_old_one_or_the_new_one() {
    let grown = || {
        let mut schema = kv_options().schema.unwrap();
        let field = cairn_kv::FieldNode::new("more", cairn_kv::ValueType::Long).default_value(7);
        assert!(schema.root.append_child(field));
        schema.indexes = vec!["$.more".into(), "$.age".into()];
        options().schema(schema)
    };
    for before in [kv_options, options] {
        let (disk, world) = (SimDisk::new(), SimWorld::new(8).world());
        let root = disk.root();
        prepare(&root);
        let env = environment(&root, &world, &small_options());
        let store = KvStore::open(&env, "store", before()).unwrap();
        store.put_batch((0..20).map(|n| Entry::new(format!("k{n:02}"), person(n % 4)))).unwrap();
        store.close();
        drop(store);
        disk.mark("begun", 1);
        let store = KvStore::open(&env, "store", grown()).unwrap();
        disk.mark("grown", 1);
        drop((store, env));

        let mut found = BTreeSet::new();
        each_crash(&disk, "begun", "grown", |root, is_over| {
            let world = SimWorld::new(9).world();
            let env = environment(root, &world, &small_options());
            // Whoever knows the old schema finds that, or is told of the new one.
            let is_new = match KvStore::open(&env, "store", before()) {
                Ok(store) => {
                    if before().schema.is_some() {
                        assert!((0..4).all(|age| of_age(&store, age) == 5));
                    }
                    store.put("k00", person(0)).unwrap();
                    store.close();
                    false
                }
                Err(KvError::ChangedOptions { option: "schema", .. }) => true,
                Err(error) => panic!("{error}"),
            };
            assert!(is_new || !is_over, "a schema that had grown has not");
            found.insert(is_new);
            let store = KvStore::open(&env, "store", grown()).unwrap();
            assert_eq!(content(&store).len(), 20);
            assert!((0..4).all(|age| of_age(&store, age) == 5));
            let query = Query::new().equal_to("$.more", 7);
            assert_eq!(store.get_result_size(query).unwrap(), 20);
            verified(&env);
        });
        assert_eq!(found.len(), 2, "a crash can leave either");
    }
}

/// A disk that is full when a restore is committed: it has taken effect, and is written as soon as there is room.
#[test]
fn what_was_restored_and_is_not_durable_yet_is_there_for_all_handles() {
    let mut pending = 0;
    for call in 0.. {
        let faults = FaultDisk::new(SimDisk::new().root());
        let (root, world) = (faults.root(), SimWorld::new(8).world());
        prepare(&root);
        let (env, store) = open(&root, &world, &small_options());
        store.put("k", person(1)).unwrap();
        store.backup("BK001").unwrap();
        store.put("k", person(2)).unwrap();
        let other = KvStore::open(&env, "store", kv_options()).unwrap();
        let full = Rule::new(Fault::NoSpace).op(IoOp::Write).nth(call).and_on();
        faults.inject(full.file(|name| name.starts_with("J-")));
        let restored = store.restore("BK001");
        if !faults.has_struck() {
            break;
        }
        faults.clear();
        match restored {
            Err(KvError::Env(EnvError::CommitPending { .. })) => pending += 1,
            _ => continue,
        }
        let is_there = |store: &KvStore| {
            assert_eq!(store.get("k").unwrap(), Some(person(1).into()), "call {call}");
            assert_eq!(of_age(store, 1), 1);
        };
        is_there(&store);
        is_there(&other);
        store.close();
        let fresh = KvStore::open(&env, "store", kv_options()).unwrap();
        is_there(&fresh);
        env.sync().unwrap();
        is_there(&fresh);
    }
    assert!(pending > 0, "no call has left a commit to be written");
}

/// A handle sees what it has put and what is still to be written; so does one that is opened after that.
#[test]
fn what_was_put_and_is_not_durable_yet_is_there_for_who_has_put_it() {
    for in_transaction in [false, true] {
        let faults = FaultDisk::new(SimDisk::new().root());
        let (root, world) = (faults.root(), SimWorld::new(8).world());
        prepare(&root);
        let (env, store) = open(&root, &world, &small_options());
        let full = Rule::new(Fault::NoSpace).op(IoOp::Write).and_on();
        faults.inject(full.file(|name| name.starts_with("J-")));
        let put = || match in_transaction {
            false => store.put("k", person(1)),
            true => {
                let mut txn = store.start_transaction()?;
                txn.put("k", person(1))?;
                txn.commit()
            }
        };
        let error = put().unwrap_err();
        assert!(matches!(error, KvError::Env(EnvError::CommitPending { .. })), "{error}");
        faults.clear();
        assert_eq!((store.get("k").unwrap(), of_age(&store, 1)), (Some(person(1).into()), 1));
        store.close();
        let fresh = KvStore::open(&env, "store", kv_options()).unwrap();
        assert_eq!((fresh.get("k").unwrap(), of_age(&fresh, 1)), (Some(person(1).into()), 1));
    }
}

/// The index of a schema is built for what is there: a crash in the middle leaves no half of it.
#[test]
fn a_crash_while_an_index_is_built_leaves_no_half_index() {
    let (disk, world) = (SimDisk::new(), SimWorld::new(8).world());
    let root = disk.root();
    prepare(&root);
    let (env, store) = open(&root, &world, &small_options());
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

    let states = each_crash(&disk, "dropped", "built", |root, _| {
        let world = SimWorld::new(9).world();
        let (env, store) = open(root, &world, &small_options());
        assert_eq!(content(&store).len(), 20);
        assert!((0..4).all(|age| of_age(&store, age) == 5));
        verified(&env);
    });
    assert!(states > 10, "{states} states");
}
