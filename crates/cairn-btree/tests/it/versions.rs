//! Random changes, freezes, flushes, evictions and reopens, compared with `BTreeMap`s.

use std::{collections::BTreeMap, sync::Arc};

use cairn_btree::{
    CheckReport, Flush, Forest, ForestOptions, FrozenRoot, MemorySource, NodeSource,
    PromisedVersion, Reached, Resident, TreeId, TreeWriter, ValuePointer, ValueRef, check,
};
use cairn_log::Lsn;
use proptest::prelude::*;

type Model = BTreeMap<TreeId, BTreeMap<Vec<u8>, Vec<u8>>>;

/// Small nodes: a few dozen entries make a tree of several levels.
const OPTIONS: ForestOptions = ForestOptions {
    cache_bytes: 16 << 10,
    leaf_bytes: 256,
    branch_bytes: 256,
    branch_entries: 6,
    huge_pages: true,
};

#[derive(Clone, Debug)]
enum Step {
    Put(u32, Vec<u8>, Vec<u8>),
    /// Many keys in order, as a sorted load gives them.
    Run(u32, u16, u8),
    Remove(u32, Vec<u8>),
    RemoveRange(u32, Vec<u8>, Vec<u8>),
    Freeze,
    Forget(usize),
    Promise,
    /// A promise is held no longer.
    Release(usize),
    Flush(usize),
    WriteBack,
    Reopen,
    /// Begins a fork, or ends the one that there is: it is adopted, or given up.
    Fork(bool),
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(prop::sample::select(vec![0u8, 1, b'a', b'b', 255]), 0..6),
        (0..200u16).prop_map(|n| format!("user/{n:05}").into_bytes()),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let tree = 1..4u32;
    prop_oneof![
        10 => (tree.clone(), key(), prop::collection::vec(any::<u8>(), 0..60)).prop_map(|(t, k, v)| Step::Put(t, k, v)),
        1 => (tree.clone(), any::<u16>(), any::<u8>()).prop_map(|(t, from, n)| Step::Run(t, from, n)),
        5 => (tree.clone(), key()).prop_map(|(t, k)| Step::Remove(t, k)),
        1 => (tree, key(), key()).prop_map(|(t, a, b)| Step::RemoveRange(t, a, b)),
        3 => Just(Step::Freeze),
        2 => any::<prop::sample::Index>().prop_map(|i| Step::Forget(i.index(1 << 16))),
        2 => Just(Step::Promise),
        1 => any::<prop::sample::Index>().prop_map(|i| Step::Release(i.index(1 << 16))),
        1 => any::<prop::sample::Index>().prop_map(|i| Step::Flush(i.index(1 << 16))),
        1 => Just(Step::WriteBack),
        1 => Just(Step::Reopen),
        2 => any::<bool>().prop_map(Step::Fork),
    ]
}

struct World {
    source: Arc<MemorySource>,
    forest: Arc<Forest>,
    writer: TreeWriter,
    model: Model,
    versions: Vec<(Arc<FrozenRoot>, Model)>,
    promises: Vec<(Arc<PromisedVersion>, Model)>,
    /// Where the fork that `writer` is came from.
    trunk: Option<(TreeWriter, Model)>,
    /// Gens of forks: no checkpoint is ever made of one on the way.
    apart: Vec<std::ops::Range<u64>>,
    sequence: u64,
    /// Live bytes according to the tallies, settled up to this gen.
    live: i64,
    settled: u64,
}

impl World {
    fn new() -> Self {
        let source = Arc::new(MemorySource::new());
        let forest = Forest::new(source.clone(), OPTIONS);
        let writer = TreeWriter::new(forest.clone(), None, 1).unwrap();
        Self {
            source,
            forest,
            writer,
            model: Model::new(),
            versions: vec![],
            promises: vec![],
            trunk: None,
            apart: vec![],
            sequence: 0,
            live: 0,
            settled: 0,
        }
    }

    fn put(&mut self, tree: u32, key: &[u8], value: &[u8]) {
        let tree = TreeId(tree);
        self.sequence += 1;
        self.writer.create(tree).unwrap();
        let model = self.model.entry(tree).or_default();
        let replaced =
            self.writer.insert(tree, key, ValueRef::Inline(value), self.sequence).unwrap();
        assert_eq!(replaced.is_some(), model.insert(key.to_vec(), value.to_vec()).is_some());
        assert_eq!(self.writer.len(tree).unwrap(), Some(model.len() as u64));
        assert_eq!(self.writer.get_with(tree, key, inline).unwrap().as_deref(), Some(value));
    }

    fn remove(&mut self, tree: u32, key: &[u8]) {
        let tree = TreeId(tree);
        let Some(model) = self.model.get_mut(&tree) else { return };
        self.sequence += 1;
        let removed = self.writer.remove(tree, key, self.sequence).unwrap();
        assert_eq!(removed.is_some(), model.remove(key).is_some());
        assert_eq!(self.writer.get_with(tree, key, inline).unwrap(), None);
    }

    fn freeze(&mut self) {
        let frozen = self.writer.freeze(self.sequence).unwrap();
        self.versions.push((frozen, self.model.clone()));
    }

    /// Flushes a version and checks the account of reachable bytes at its cut.
    fn flush(&mut self, which: usize) -> Option<(Arc<FrozenRoot>, Model)> {
        let (frozen, model) = self.versions.get(which % self.versions.len().max(1))?.clone();
        let mut flush = Flush::new(frozen.clone()).unwrap();
        while !flush.step(3).unwrap() {}
        let is_apart = self.apart.iter().any(|gens| gens.contains(&frozen.generation()));
        // The account goes forward only, as checkpoints do.
        if frozen.generation() >= self.settled && !is_apart {
            self.settled = frozen.generation();
            self.live +=
                self.forest.settle(self.settled).iter().map(|tally| tally.bytes).sum::<i64>();
            let report = checked(&frozen);
            let reachable: u64 = report.reachable.values().sum();
            assert_eq!(self.live, i64::try_from(reachable).unwrap(), "live bytes at the cut");
        }
        Some((frozen, model))
    }

    /// Opens the newest version again from what is on disk, in a new forest.
    fn reopen(&mut self) {
        self.end_fork(true);
        self.freeze();
        let (frozen, model) = self.flush(self.versions.len() - 1).unwrap();
        let (root, generation) = (frozen.root_lsn(), frozen.generation() + 1);
        drop(frozen);
        self.versions.clear();
        self.promises.clear();
        self.apart.clear();
        self.forest = Forest::new(self.source.clone(), OPTIONS);
        self.writer = TreeWriter::new(self.forest.clone(), root, generation).unwrap();
        assert_eq!(model, self.model);
        self.freeze();
        self.check_all();
    }

    fn begin_fork(&mut self) {
        let fork = self.writer.fork(self.sequence).unwrap();
        self.apart.push(fork.generation()..u64::MAX);
        self.trunk = Some((std::mem::replace(&mut self.writer, fork), self.model.clone()));
    }

    fn end_fork(&mut self, adopt: bool) {
        let Some((trunk, model)) = self.trunk.take() else { return };
        let fork = std::mem::replace(&mut self.writer, trunk);
        let gens = self.apart.pop().unwrap();
        if adopt {
            self.writer.adopt(fork);
        } else {
            self.writer.give_up_fork(fork).unwrap();
            self.model = model;
        }
        self.apart.push(gens.start..self.writer.generation());
        let next = self.writer.freeze(self.sequence).unwrap();
        assert_equal(&next, &self.model);
    }

    fn check_all(&self) {
        for (frozen, model) in &self.versions {
            assert_equal(frozen, model);
        }
        for (promised, model) in &self.promises {
            if let Some(frozen) = promised.made() {
                assert_eq!(frozen.sequence(), promised.sequence());
                assert_equal(frozen, model);
            }
        }
    }

    /// What is promised and not made can be read from the writer.
    fn look_at_promises(&mut self) {
        for (promised, model) in &self.promises {
            if promised.made().is_some() {
                continue;
            }
            assert!(self.trunk.is_none(), "a fork begins with a version");
            for (&tree, entries) in model {
                assert_eq!(self.writer.len(tree).unwrap(), Some(entries.len() as u64));
                for (key, value) in entries.iter().take(5).chain(entries.iter().next_back()) {
                    match self.writer.get_resident(tree, key, inline).unwrap() {
                        Resident::Found(found) => assert_eq!(&found, value),
                        Resident::Missing => panic!("{key:?} is there"),
                        Resident::Away => {}
                    }
                }
                let missing = self.writer.get_resident(tree, b"user/00100x", inline).unwrap();
                assert!(!matches!(missing, Resident::Found(_)));
            }
        }
    }

    fn step(&mut self, step: Step) {
        self.take(step);
        self.look_at_promises();
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Promise if self.trunk.is_some() => {}
            Step::Promise => {
                let promised = self.writer.promise(self.sequence).unwrap();
                self.promises.push((promised, self.model.clone()));
            }
            Step::Release(i) => {
                if !self.promises.is_empty() {
                    let i = i % self.promises.len();
                    drop(self.promises.swap_remove(i));
                }
            }
            Step::Put(tree, key, value) => self.put(tree, &key, &value),
            Step::Run(tree, from, n) => {
                for i in 0..u32::from(n) {
                    self.put(tree, format!("run/{:08}", u32::from(from) + i).as_bytes(), b"value");
                }
            }
            Step::Remove(tree, key) => self.remove(tree, &key),
            Step::RemoveRange(tree, a, b) => {
                let (low, high) = if a <= b { (a, b) } else { (b, a) };
                let keys: Vec<_> = self
                    .model
                    .get(&TreeId(tree))
                    .map(|model| model.range(low..=high).map(|(key, _)| key.clone()).collect())
                    .unwrap_or_default();
                for key in keys {
                    self.remove(tree, &key);
                }
            }
            Step::Freeze => self.freeze(),
            Step::Forget(i) => {
                if !self.versions.is_empty() {
                    let i = i % self.versions.len();
                    drop(self.versions.swap_remove(i));
                }
            }
            Step::Flush(i) => drop(self.flush(i)),
            Step::WriteBack => {
                self.forest.write_back(1000).unwrap();
            }
            Step::Reopen => self.reopen(),
            Step::Fork(_) if self.trunk.is_none() => self.begin_fork(),
            Step::Fork(adopt) => self.end_fork(adopt),
        }
    }
}

fn checked(frozen: &Arc<FrozenRoot>) -> CheckReport {
    let report = check(frozen, &mut |_| {});
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    report
}

fn inline(value: ValueRef<'_>) -> Vec<u8> {
    match value {
        ValueRef::Inline(bytes) => bytes.to_vec(),
        ValueRef::Pointer(pointer) => panic!("{pointer:?}"),
    }
}

/// Every way of reading a version gives what the model holds.
fn assert_equal(frozen: &Arc<FrozenRoot>, model: &Model) {
    assert_eq!(frozen.trees().unwrap(), model.keys().copied().collect::<Vec<_>>());
    for (&tree, entries) in model {
        assert_eq!(frozen.len(tree).unwrap(), Some(entries.len() as u64));
        let mut cursor = frozen.cursor(tree).unwrap();
        for (key, value) in entries {
            assert!(cursor.next().unwrap());
            assert_eq!((cursor.key(), inline(cursor.value().unwrap())), (&key[..], value.clone()));
            assert_eq!(frozen.get_with(tree, key, inline).unwrap().as_ref(), Some(value));
        }
        assert!(!cursor.next().unwrap() && !cursor.next().unwrap());
        for (key, value) in entries.iter().rev() {
            assert!(cursor.previous().unwrap());
            assert_eq!((cursor.key(), inline(cursor.value().unwrap())), (&key[..], value.clone()));
        }
        assert!(!cursor.previous().unwrap() && !cursor.previous().unwrap());
        let keys: Vec<&Vec<u8>> = entries.keys().collect();
        for pair in keys.windows(2).chain(keys.windows(9)) {
            // Some lie in one leaf, and some in two; and nothing lies right behind a key.
            let (first, second) = (pair[0], pair[pair.len() - 1]);
            let behind = [&first[..], b"\0"].concat();
            let both = |first: &[u8], second: &[u8]| {
                let both = frozen.get_both(tree, first, second).unwrap();
                both.map(|held| held.map(|held| inline(held.value())))
            };
            let is_there = |key: &Vec<u8>| entries.get(key).cloned();
            assert_eq!(both(first, second), [is_there(first), is_there(second)]);
            assert_eq!(both(first, &behind), [is_there(first), is_there(&behind)]);
            assert_eq!(both(&behind, second), [is_there(&behind), is_there(second)]);
        }
        for probe in
            [&b""[..], b"a", b"user/00100", b"user/00100x", b"\xff\xff\xff\xff\xff\xff\xff"]
        {
            let above = entries.range(probe.to_vec()..).next().map(|(key, _)| key.clone());
            assert_eq!(cursor.seek(probe).unwrap().then(|| cursor.key().to_vec()), above);
            let below = entries.range(..probe.to_vec()).next_back().map(|(key, _)| key.clone());
            assert_eq!(cursor.seek_before(probe).unwrap().then(|| cursor.key().to_vec()), below);
            assert_eq!(frozen.get(tree, probe).unwrap().is_some(), entries.contains_key(probe));
        }
    }
    checked(frozen);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn each_version_stays_what_it_was(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.end_fork(false);
        world.freeze();
        world.check_all();
        // With the last version nothing is kept that it does not have.
        let last = world.versions.pop().unwrap();
        world.versions.clear();
        world.promises.clear();
        prop_assert_eq!(world.forest.cache().blocked, 0);
        assert_equal(&last.0, &last.1);
        world.versions.push(last);
        world.reopen();
    }
}

#[test]
fn a_fork_that_is_given_up_leaves_nothing_in_memory() {
    let mut world = World::new();
    for i in 0..300 {
        world.put(1, format!("{i:06}").as_bytes(), b"some value");
    }
    world.freeze();
    world.flush(0);
    let before = world.forest.cache();
    world.begin_fork();
    for i in 0..3000 {
        world.put(1 + i % 2, format!("{i:06}").as_bytes(), b"another value");
        if i % 500 == 0 {
            drop(world.writer.freeze(world.sequence).unwrap());
            world.forest.write_back(1000).unwrap();
        }
    }
    world.end_fork(false);
    world.check_all();
    let after = world.forest.cache();
    assert_eq!((after.dirty, after.blocked), (before.dirty, before.blocked));
    assert!(after.resident <= before.resident, "{after:?}, before {before:?}");
    assert!(world.forest.unsettled().is_empty());
}

#[test]
fn a_version_without_changes_is_the_same_version() {
    let mut world = World::new();
    world.put(1, b"a", b"1");
    let first = world.writer.freeze(1).unwrap();
    let second = world.writer.freeze(1).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    assert!(!world.writer.is_changed());
    // A commit that changes nothing is one all the same.
    let third = world.writer.freeze(2).unwrap();
    assert_eq!((first.sequence(), third.sequence()), (1, 2));
    assert!(
        third.generation() > first.generation()
            && third.get_with(TreeId(1), b"a", |_| ()).unwrap().is_some()
    );
}

#[test]
fn a_promise_that_nobody_holds_costs_nothing() {
    let mut world = World::new();
    world.put(1, b"a", b"1");
    drop(world.writer.promise(1).unwrap());
    let before = world.writer.generation();
    world.put(1, b"b", b"2");
    assert_eq!(world.writer.generation(), before, "no version was made");
    let held = world.writer.promise(2).unwrap();
    assert!(held.made().is_none());
    world.put(1, b"c", b"3");
    let made = held.made().expect("it is held");
    assert_eq!((made.sequence(), made.len(TreeId(1)).unwrap()), (2, Some(2)));
    let held = world.writer.promise(3).unwrap();
    // A commit that changes nothing has a version of its own, and takes none away.
    let next = world.writer.promise(4).unwrap();
    assert_eq!(held.made().map(|made| made.sequence()), Some(3));
    assert!(next.made().is_none());
    let frozen = world.writer.freeze(4).unwrap();
    assert!(next.made().is_some_and(|made| Arc::ptr_eq(made, &frozen)));
}

#[test]
fn only_what_changed_is_written_again() {
    let mut world = World::new();
    for i in 0..2000 {
        world.put(1, format!("{i:06}").as_bytes(), b"some value");
    }
    world.freeze();
    world.flush(0);
    let before = world.source.len();
    world.put(1, b"001000", b"other value");
    world.freeze();
    world.flush(1);
    let height = usize::try_from(checked(&world.versions[1].0).height).unwrap();
    assert!(world.source.len() - before <= height + 1, "a leaf, its ancestors, the catalogue");
    world.check_all();
}

#[test]
fn large_values_are_counted_where_they_stand() {
    let mut world = World::new();
    let tree = TreeId(1);
    let pointer = |n: u64| ValuePointer {
        lsn: Lsn::from_raw((2 << 29) + n).unwrap().to_raw(),
        len: 5000,
        crc: 7,
    };
    world.writer.create(tree).unwrap();
    for (key, n) in [("a", 1), ("b", 2), ("a", 3)] {
        world.writer.insert(tree, key.as_bytes(), ValueRef::Pointer(pointer(n)), n).unwrap();
    }
    let frozen = world.writer.freeze(3).unwrap();
    world.writer.remove(tree, b"b", 4).unwrap();
    let later = world.writer.freeze(4).unwrap();
    let live = |cut: &Arc<FrozenRoot>| {
        let file = Lsn::from_raw(2 << 29).unwrap().file();
        let tallies = world.forest.settle(cut.generation());
        tallies.iter().filter(|t| t.file == file).map(|t| t.bytes).sum::<i64>()
    };
    assert_eq!(live(&frozen), 10_000);
    assert_eq!(live(&later), -5000);
    let mut seen = Vec::new();
    check(&frozen, &mut |reached| {
        if let Reached::Value { key, pointer, .. } = reached {
            seen.push((key.to_vec(), pointer));
        }
    });
    assert_eq!(seen, [(b"a".to_vec(), pointer(3)), (b"b".to_vec(), pointer(2))]);
}

#[test]
fn a_damaged_node_takes_only_its_range_with_it() {
    let mut world = World::new();
    for i in 0..500 {
        world.put(1, format!("{i:04}").as_bytes(), b"some value");
    }
    world.freeze();
    let (frozen, _) = world.flush(0).unwrap();
    let root = frozen.root_lsn();
    let damaged = Damaged { inner: world.source.clone(), bad: std::sync::Mutex::new(None) };
    let damaged = Arc::new(damaged);
    let forest = Forest::new(damaged.clone(), OPTIONS);
    let mut writer = TreeWriter::new(forest, root, 2).unwrap();
    let again = writer.freeze(1).unwrap();
    *damaged.bad.lock().unwrap() = Some(Lsn::from_raw(1 << 29).unwrap()); // the first leaf
    let tree = TreeId(1);
    assert!(again.get(tree, b"0000").is_err());
    assert!(again.get(tree, b"0499").unwrap().is_some());
    let report = check(&again, &mut |_| {});
    assert_eq!(report.findings.len(), 1);
    assert!(report.findings[0].upper.is_some() && report.entries > 400);
    let mut cursor = again.cursor(tree).unwrap();
    assert!(cursor.seek(b"0400").unwrap());
    let mut backwards = 0;
    let error = loop {
        match cursor.previous() {
            Ok(true) => backwards += 1,
            Ok(false) => panic!("the damage was skipped"),
            Err(error) => break error,
        }
    };
    assert!(error.is_damage() && backwards > 300);
    assert!(cursor.previous().is_err() && cursor.next().is_err(), "no silent end after an error");
    assert!(cursor.seek(b"0400").unwrap());
}

#[derive(Debug)]
struct Damaged {
    inner: Arc<MemorySource>,
    bad: std::sync::Mutex<Option<Lsn>>,
}

impl NodeSource for Damaged {
    fn read(&self, lsn: Lsn) -> cairn_log::LogResult<cairn_btree::NodeRecord> {
        if *self.bad.lock().unwrap() == Some(lsn) {
            return Err(self.damaged(lsn, cairn_log::Damage::Nothing));
        }
        self.inner.read(lsn)
    }

    fn write(
        &self,
        kind: cairn_log::RecordKind,
        sequence: u64,
        body: Vec<u8>,
    ) -> cairn_log::LogResult<cairn_btree::StoredNode> {
        self.inner.write(kind, sequence, body)
    }

    fn damaged(&self, lsn: Lsn, damage: cairn_log::Damage) -> cairn_log::LogError {
        self.inner.damaged(lsn, damage)
    }
}
