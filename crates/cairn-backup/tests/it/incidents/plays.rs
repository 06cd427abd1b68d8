//! Incidents that no other test plays.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{Arc, Mutex},
};

use cairn_backup::{
    BackendResult, BackupError, BackupOptions, Folder, Listed, MemoryBackend, ObjectError,
    ObjectName, PruneRefusal, Put, RepoBackend, Repository, RestoreOptions, Retention, Which,
    backup, restore,
};
use cairn_env::{DatabaseKind, DatabaseOptions, EnvError, Environment, ErrorKind, Options};
use cairn_io::{IoOp, MemDisk, WallTime};
use cairn_kv::{FieldNode, KvOptions, KvStore, Query, Schema, SecurityLevel, ValueType};
use cairn_sim::{Fault, FaultDisk, Rule, SimWorld};

use crate::{
    fixture::{content, fill, open, options, world},
    repository::{
        fixture::{self, local, restored, small},
        prune::{LATER, NOW, any, assert_restorable, numbers, start},
        tricky::honest,
    },
};

/// D 30.
#[test]
fn of_two_who_prune_at_the_same_time_one_does_and_what_stays_is_whole() {
    let (env, inner, mut contents) = start(5);
    let (one, other) = (honest(&inner), honest(&inner));
    let plan = |place: &Repository, last| {
        place.plan_prune(None, &Retention::new().last(last), &any(), NOW).unwrap()
    };
    let (few, more) = (plan(&one, 1), plan(&other, 3));
    other.prune(&more).unwrap();
    let error = one.prune(&few).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    assert_eq!(numbers(&one), [3, 4, 5], "those of who was first");
    assert_restorable(&one, &contents);
    for place in [&one, &other] {
        place.delete_pruned(None, LATER).unwrap();
        assert_restorable(place, &contents);
    }
    let report = fixture::backup(&one, &env);
    contents.insert(report.number, content(&env));
    assert_restorable(&other, &contents);
}

/// D 36.
#[test]
fn a_prune_in_a_place_that_is_full_removes_nothing_that_stays() {
    let env = open(&MemDisk::new());
    let (disk, mut contents) = (MemDisk::new(), BTreeMap::new());
    let faults = FaultDisk::new(disk.root());
    let place = Repository::create_in(local(faults.root()), &world()).unwrap();
    for n in 0..4 {
        fill(&env, n * 20, 20);
        contents.insert(fixture::backup(&place, &env).number, content(&env));
    }
    let is_full = || {
        for op in [IoOp::Create, IoOp::Write] {
            faults.inject(Rule::new(Fault::NoSpace).op(op).and_on());
        }
    };
    let plan = place.plan_prune(None, &Retention::new().last(2), &any(), NOW).unwrap();
    is_full();
    let error = place.prune(&plan).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    faults.clear();
    assert_eq!(numbers(&place), [1, 2, 3, 4], "nothing is about to go");
    place.prune(&plan).unwrap();
    is_full();
    // What needs room fails, what needs none is done.
    drop(place.delete_pruned(None, LATER));
    faults.clear();
    assert_restorable(&place, &contents);
    place.delete_pruned(None, LATER).unwrap();
    assert_restorable(&place, &contents);
    assert_eq!(numbers(&place), [3, 4]);
}

/// A place in which something happens when the first part of a log file is about to be read.
struct Racing {
    inner: Arc<MemoryBackend>,
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl std::fmt::Debug for Racing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Racing")
    }
}

impl RepoBackend for Racing {
    fn place(&self) -> String {
        self.inner.place()
    }

    fn put(&self, name: &ObjectName, bytes: &[u8]) -> BackendResult<Put> {
        self.inner.put(name, bytes)
    }

    fn read(&self, name: &ObjectName, offset: u64, len: usize) -> BackendResult<Vec<u8>> {
        if matches!(name, ObjectName::Part { .. })
            && let Some(meanwhile) = self.meanwhile.lock().unwrap().take()
        {
            meanwhile();
        }
        self.inner.read(name, offset, len)
    }

    fn length(&self, name: &ObjectName) -> BackendResult<Option<u64>> {
        self.inner.length(name)
    }

    fn settle(&self, folder: &Folder) -> BackendResult<()> {
        self.inner.settle(folder)
    }

    fn list(&self, folder: &Folder) -> BackendResult<Vec<Listed>> {
        self.inner.list(folder)
    }

    fn delete(&self, name: &ObjectName) -> BackendResult<()> {
        self.inner.delete(name)
    }
}

/// E 42.
#[test]
fn a_restore_goes_on_while_its_point_goes_and_names_what_was_deleted_under_it() {
    for is_deleted in [false, true] {
        let (_env, inner, contents) = start(6);
        let other = honest(&inner);
        let objects = |number| -> BTreeSet<_> {
            let (_, point) = other.find(None, &Which::Number(number)).unwrap();
            point.objects().map(|needed| needed.name).collect()
        };
        let point = (1..6).find(|number| !objects(*number).is_subset(&objects(6))).unwrap();
        let plan = other.plan_prune(None, &Retention::new().last(1), &any(), NOW).unwrap();
        let meanwhile = move || {
            other.prune(&plan).unwrap();
            if is_deleted {
                other.delete_pruned(None, LATER).unwrap();
            }
        };
        let meanwhile = Mutex::new(Some(Box::new(meanwhile) as Box<dyn FnOnce() + Send>));
        let racing = Arc::new(Racing { inner: Arc::clone(&inner), meanwhile });
        let place = Repository::open_in(racing, &world()).unwrap();
        let target = MemDisk::new();
        let how = RestoreOptions::default().options(options());
        let result = place.restore_in(None, &Which::Number(point), &target.root(), &world(), &how);
        assert_eq!(numbers(&place), [6], "it was removed meanwhile");
        if !is_deleted {
            result.unwrap();
            assert!(content(&open(&target)) == contents[&point]);
            continue;
        }
        let error = result.unwrap_err();
        assert!(matches!(error, BackupError::Object(ObjectError::Missing { .. })), "{error}");
        let opened = Environment::open_in(target.root(), world(), options());
        assert!(matches!(opened, Err(EnvError::IncompleteRestore { .. })), "it opens");
        // The answer is another point, in the same place.
        place.restore_in(None, &Which::Newest, &target.root(), &world(), &how).unwrap();
        assert!(content(&open(&target)) == contents[&6]);
    }
}

/// F 52: as a mount point has it.
#[test]
fn a_new_file_system_is_an_empty_target() {
    let dir = tempfile::tempdir().unwrap();
    let mounted = |name: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.join("lost+found")).unwrap();
        path
    };
    let env = Environment::open(mounted("live"), Options::default()).unwrap().0;
    fill(&env, 0, 10);
    let (saved, back) = (mounted("saved"), mounted("back"));
    backup(&env, &saved, &BackupOptions::default()).unwrap();
    let repository = Repository::create(mounted("repo")).unwrap();
    repository.backup(&env, &small()).unwrap();
    restore(&saved, &back, &RestoreOptions::default()).unwrap();
    let other = mounted("other");
    repository.restore(None, &Which::Newest, &other, &RestoreOptions::default()).unwrap();
    for path in [back, other] {
        let restored = Environment::open(&path, Options::default()).unwrap().0;
        assert!(content(&restored) == content(&env) && path.join("lost+found").is_dir());
    }
}

/// I 65.
#[test]
fn a_point_from_the_future_is_not_the_newest_and_keeps_nobody_from_going_on() {
    let (world, env) = (SimWorld::new(3), open(&MemDisk::new()));
    let place = Repository::create_in(local(MemDisk::new().root()), &world.world()).unwrap();
    let present = 1_700_000_000_000_000;
    for (time, from) in [(present, 0), (NOW, 20), (present + 1, 40)] {
        world.set_wall(WallTime(time));
        fill(&env, from, 20);
        place.backup(&env, &small()).unwrap();
    }
    let (number, point) = place.find(None, &Which::Newest).unwrap();
    assert_eq!((number, point.created), (3, present + 1), "that of the newest commit");
    assert!(restored(&place, &Which::Newest) == content(&env));
    let plan = place.plan_prune(None, &Retention::new().last(1), &any(), present + 2).unwrap();
    assert!(matches!(&*plan.refusals, [PruneRefusal::Clock { .. }]), "{:?}", plan.refusals);
    assert!(plan.kept.iter().any(|point| point.number == 3), "{plan:?}");
}

/// M 81.
#[test]
fn what_stores_were_made_with_comes_back_with_them() {
    let with_schema = || {
        let mut schema = Schema::new();
        assert!(schema.root.append_child(FieldNode::new("age", ValueType::Integer)));
        schema.indexes = vec!["$.age".into()];
        KvOptions::new(SecurityLevel::S1).schema(schema)
    };
    let env = open(&MemDisk::new());
    let people = KvStore::open(&env, "people", with_schema()).unwrap();
    for n in 0..20 {
        people.put(format!("k{n:02}"), format!("{{\"age\":{}}}", n % 4)).unwrap();
    }
    let several = DatabaseOptions::default().kind(DatabaseKind::Multimap);
    env.database("several", several).unwrap();
    let place = fixture::repository();
    fixture::backup(&place, &env);

    let target = MemDisk::new();
    let how = RestoreOptions::default().options(options());
    place.restore_in(None, &Which::Newest, &target.root(), &world(), &how).unwrap();
    let env = open(&target);
    assert!(env.multimap("several").is_ok(), "its kind");
    let people = KvStore::open(&env, "people", with_schema()).unwrap();
    let explained = people.explain(Query::new().equal_to("$.age", 3)).unwrap();
    assert_eq!((explained.index.as_deref(), explained.examined), (Some("$.age"), 5));
    people.put("wrong", r#"{"age":"old"}"#).unwrap_err();
}
