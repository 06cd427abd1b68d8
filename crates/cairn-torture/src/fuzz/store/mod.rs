//! `store`: a key-value store, its queries and backups, against a model in memory; calls of the disk fail.

mod asked;

use std::collections::BTreeMap;

use bytes::Bytes;
use cairn_env::{Environment, VerifyOptions};
use cairn_io::{MemDisk, WorldRef};
use cairn_kv::{
    DeleteStatus, Entry, KvError, KvResult, KvStore, Observer, StoreEvent, SubscribeType, Value,
};
use cairn_sim::{Chooser, ChooserExt as _, Fault, FaultDisk, FuzzBytes, Rule, SimWorld};

use asked::Asked;

use crate::stores::{Entries, entries, open_environment, open_store, person, prepare};

/// An input has so many operations, at most.
const OPERATIONS: usize = 60;
const KEYS: usize = 12;
/// Of people; without one it is `nobody`.
const NAMES: [&str; 4] = ["n1", "n2", "N10", ""];
const BACKUPS: [&str; 2] = ["a", "b"];

/// Puts, deletes, transactions, queries, result sets, backups, restores and deaths of the process, in an order that
/// the bytes decide; a call of the disk may fail in any of them.
///
/// What a call says to have done is there, also for the next process. What one has not done because of the disk has
/// happened as a whole or not at all, and whatever backup there was is there and is what it was. An observer knows
/// what the store holds. Queries find what a look at all entries finds.
///
/// # Panics
/// If it is otherwise.
pub fn store(input: &[u8]) {
    let mut bytes = FuzzBytes::new(input);
    let mut run = Run::new();
    for _ in 0..OPERATIONS {
        if bytes.is_used_up() {
            break;
        }
        run.step(&mut bytes);
    }
    run.die();
    run.is_as_expected();
}

/// What is known of a backup: the digest of what it holds, and that.
type Backup = ([u8; 32], Entries);

struct Run {
    disk: MemDisk,
    faults: FaultDisk,
    world: WorldRef,
    open: Option<Open>,
    entries: Entries,
    backups: BTreeMap<String, Backup>,
}

/// The process that has the store open.
struct Open {
    env: Environment,
    store: KvStore,
    observer: Observer,
    /// What the store holds, as far as the observer was told.
    told: Entries,
}

impl Open {
    fn new(env: Environment, told: Entries) -> Self {
        let store = open_store(&env).expect("nothing is wrong with the disk");
        let observer = store.observe(SubscribeType::All).expect("it is the first one");
        Self { env, store, observer, told }
    }

    /// Takes what the observer was told.
    fn listen(&mut self, entries: &Entries) {
        while let Some(event) = self.observer.try_next() {
            let StoreEvent::Changed(change) = event else {
                self.told.clone_from(entries);
                continue;
            };
            for Entry { key, value, .. } in &change.inserted {
                assert_eq!(self.told.insert(key.clone(), value.clone()), None, "it is new");
            }
            for Entry { key, value, .. } in &change.updated {
                assert!(self.told.insert(key.clone(), value.clone()).is_some(), "it was there");
            }
            for key in &change.deleted {
                assert!(self.told.remove(key).is_some(), "it was there");
            }
        }
        assert_eq!(self.told, *entries, "an observer knows the store");
    }
}

impl Run {
    fn new() -> Self {
        let (disk, world) = (MemDisk::new(), SimWorld::new(1).world());
        prepare(&disk.root()).expect("a disk that is empty");
        let faults = FaultDisk::new(disk.root());
        let (entries, backups) = (Entries::new(), BTreeMap::new());
        let mut run = Self { disk, faults, world, open: None, entries, backups };
        run.reopen();
        run
    }

    /// Another process, if the one before has closed everything or is dead.
    fn reopen(&mut self) {
        self.open = None;
        self.faults = FaultDisk::new(self.disk.root());
        let env = open_environment(&self.faults.root(), &self.world);
        let env = env.expect("whatever has happened, it opens");
        let told = self.entries.clone();
        self.open = Some(Open::new(env, told));
    }

    /// The process dies; what it has written is there for the next one.
    fn die(&mut self) {
        self.faults.die();
        self.reopen();
    }

    fn store(&self) -> &KvStore {
        &self.open.as_ref().expect("it is open between operations").store
    }

    fn step(&mut self, bytes: &mut FuzzBytes<'_>) {
        if bytes.choose(4, "fault") == 3 {
            let fault = *bytes.pick(&[Fault::Eio, Fault::NoSpace, Fault::Short], "what");
            let rule = Rule::new(fault).nth(bytes.choose(64, "call") as u64);
            self.faults.inject(if bytes.choose_bool("on") { rule.and_on() } else { rule });
        }
        let name = |bytes: &mut FuzzBytes<'_>| *bytes.pick(&BACKUPS, "name");
        match bytes.choose(12, "operation") {
            0..=2 => self.write(bytes, false),
            3 => self.write(bytes, true),
            4..=6 => self.ask(bytes),
            7 => self.back_up(name(bytes)),
            8 => self.restore(name(bytes)),
            9 => self.delete_backup(name(bytes)),
            10 => self.die(),
            _ => self.checkpoint(),
        }
    }

    /// Puts or deletes an entry, or several in a transaction.
    fn write(&mut self, bytes: &mut FuzzBytes<'_>, in_transaction: bool) {
        let count = if in_transaction { bytes.choose(4, "changes") } else { 1 };
        let mut after = self.entries.clone();
        let mut changes = Vec::new();
        for _ in 0..count {
            let key = format!("k{}", bytes.choose(KEYS, "key"));
            let value = bytes.choose_bool("put").then(|| Value::from(any_person(bytes)));
            match &value {
                Some(value) => drop(after.insert(Bytes::from(key.clone()), value.clone())),
                None => drop(after.remove(key.as_bytes())),
            }
            changes.push((key, value));
        }
        let done = match in_transaction {
            true => commit(self.store(), changes),
            false => changes.into_iter().try_for_each(|(key, value)| match value {
                Some(value) => self.store().put(key, value),
                None => self.store().delete(key),
            }),
        };
        self.end(done, after, None);
    }

    fn ask(&mut self, bytes: &mut FuzzBytes<'_>) {
        let done = Asked::any(bytes).check(self.store(), &self.entries);
        self.end(done, self.entries.clone(), None);
    }

    fn back_up(&mut self, name: &str) {
        let done = self.store().backup(name).map(|backup| {
            self.backups.insert(name.into(), (backup.digest, self.entries.clone()));
        });
        self.end(done, self.entries.clone(), Some(name));
    }

    fn restore(&mut self, name: &str) {
        let known = self.backups.get(name).cloned();
        let after = known.as_ref().map_or_else(|| self.entries.clone(), |(_, of)| of.clone());
        let done = match (self.store().restore(name), known) {
            (Ok(backup), Some((digest, _))) => {
                assert_eq!(backup.digest, digest, "what was restored is what was backed up");
                Ok(())
            }
            (Ok(_), None) => panic!("there was no backup {name}"),
            (Err(KvError::NoSuchBackup { .. }), None) => Ok(()),
            (Err(error), _) => Err(error),
        };
        self.end(done, after, None);
    }

    fn delete_backup(&mut self, name: &str) {
        let done = self.store().delete_backup([name]).map(|results| {
            match (&results[0].1, self.backups.contains_key(name)) {
                (DeleteStatus::Deleted, true) => drop(self.backups.remove(name)),
                (DeleteStatus::NotFound, false) => {}
                (status, _) => assert!(self.faults.has_struck(), "{name}: {status:?}"),
            }
        });
        self.end(done, self.entries.clone(), Some(name));
    }

    fn checkpoint(&mut self) {
        let env = &self.open.as_ref().expect("it is open between operations").env;
        let done = env.checkpoint().map(drop).map_err(KvError::from);
        self.end(done, self.entries.clone(), None);
    }

    /// An operation has ended, after which there is `after`; if it failed, what was before is as good. It may have
    /// changed the backup `touched`.
    fn end(&mut self, done: KvResult<()>, after: Entries, touched: Option<&str>) {
        let has_struck = self.faults.has_struck();
        self.faults.clear();
        self.faults.forget_struck();
        let before = std::mem::replace(&mut self.entries, after);
        match done {
            Ok(()) if !has_struck => {
                let open = self.open.as_mut().expect("it is open between operations");
                open.listen(&self.entries);
            }
            Ok(()) => self.go_on(None, touched),
            Err(error) => {
                assert!(has_struck, "nothing is wrong with the disk: {error}");
                self.go_on(Some(before), touched);
            }
        }
    }

    /// Finds out what there is after something has failed: this process goes on if it can, or else the next one does.
    fn go_on(&mut self, or_else: Option<Entries>, touched: Option<&str>) {
        let Open { env, store, observer, .. } = self.open.take().expect("it was open");
        store.close();
        drop((store, observer));
        match env.is_valid() {
            true => {
                env.sync().expect("nothing is wrong with the disk any more");
                self.open = Some(Open::new(env, Entries::new()));
            }
            false => {
                drop(env);
                self.reopen();
            }
        }
        let found = entries(self.store()).expect("nothing is wrong with the disk any more");
        let is_known = found == self.entries || or_else.is_some_and(|before| found == before);
        assert!(is_known, "{found:?} is not {:?}, nor what was before", self.entries);
        self.entries.clone_from(&found);
        self.open.as_mut().expect("it was opened").told = found;
        self.look_at_backups(touched);
    }

    /// All backups are whole, and are what they were; `touched` may be a new one, or gone.
    fn look_at_backups(&mut self, touched: Option<&str>) {
        let mut before = std::mem::take(&mut self.backups);
        for listed in self.store().backups().expect("nothing is wrong with the disk") {
            let (name, backup) = (listed.name, listed.state.expect("a backup is whole"));
            let known = before.remove(&name).filter(|(digest, _)| *digest == backup.digest);
            let known = known.unwrap_or_else(|| {
                assert_eq!(touched, Some(&*name), "only this backup can be another one");
                assert_eq!(backup.entries, self.entries.len() as u64);
                (backup.digest, self.entries.clone())
            });
            self.backups.insert(name, known);
        }
        let lost = before.keys().find(|name| touched != Some(name));
        assert_eq!(lost, None, "this backup is lost");
    }

    /// Everything that is known is there, in a process that has just opened it.
    fn is_as_expected(&mut self) {
        let found = entries(self.store()).expect("nothing is wrong with the disk");
        assert_eq!(found, self.entries);
        self.look_at_backups(None);
        for (name, (_, of)) in &self.backups {
            self.store().restore(name).expect("a backup is restored");
            assert_eq!(entries(self.store()).expect("it was restored"), *of, "{name}");
        }
        let env = &self.open.as_ref().expect("it is open").env;
        let report = env.verify(&VerifyOptions::default()).expect("nothing is wrong");
        assert!(report.findings.is_empty(), "{report:?}");
    }
}

fn commit(store: &KvStore, changes: Vec<(String, Option<Value>)>) -> KvResult<()> {
    let mut txn = store.start_transaction()?;
    for (key, value) in changes {
        match value {
            Some(value) => txn.put(key, value)?,
            None => txn.delete(key)?,
        }
    }
    txn.commit()
}

fn any_person(bytes: &mut FuzzBytes<'_>) -> String {
    let age = bytes.choose(8, "age");
    let age = i32::try_from(age).ok().filter(|age| *age < 7);
    let name = *bytes.pick(&NAMES, "name");
    person(age, (!name.is_empty()).then_some(name))
}
