//! `Indexes`: which indexes follow which database, as of the newest commit.
//!
//! A transaction keeps up the indexes that it knew when it first changed something. They change only
//! under the commit lock, together with the commit that says so; a transaction that knew others for a
//! database which it changes is in conflict. So no commit ever leaves an index behind.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use cairn_btree::TreeId;
use cairn_io::shared::ArcSwap;

use super::IndexDef;
use crate::{
    Database, EnvError, EnvResult, Snapshot, Transaction,
    descriptor::{Descriptor, IndexFacts},
    environment::Open,
};

/// The indexes of each database that has any.
pub(crate) type Registry = BTreeMap<TreeId, Arc<IndexSet>>;

/// The indexes of one database.
#[derive(Clone, Debug)]
pub(crate) struct IndexSet {
    pub(super) primary: Database,
    pub(super) indexes: Vec<IndexState>,
}

/// What is known of an index.
#[derive(Clone, Debug)]
pub(crate) struct IndexState {
    pub(super) database: Database,
    pub(super) facts: IndexFacts,
    /// The first commit of this process at which nothing is missing.
    pub(super) since: u64,
    /// What its keys are, once this process has said so.
    pub(super) def: Option<IndexDef>,
}

impl IndexSet {
    /// The databases in which the keys of the indexes lie.
    pub(crate) fn databases(&self) -> impl Iterator<Item = &Database> {
        self.indexes.iter().map(IndexState::database)
    }

    /// What the keys of the index `name` are, if that is known and there is one like this.
    pub(crate) fn def_of(&self, name: &str, like: &IndexFacts) -> Option<IndexDef> {
        let is_like = |state: &&IndexState| {
            let IndexFacts { version, unique, .. } = state.facts;
            state.database.name() == name && (version, unique) == (like.version, like.unique)
        };
        self.indexes.iter().find(is_like)?.def.clone()
    }
}

impl IndexState {
    /// An index that comes whole, with what its keys are if that is known.
    pub(crate) const fn restored(
        database: Database,
        facts: IndexFacts,
        def: Option<IndexDef>,
    ) -> Self {
        Self { database, facts, since: 0, def }
    }

    pub(crate) const fn database(&self) -> &Database {
        &self.database
    }
}

/// A change of the indexes that comes with a commit.
#[derive(Debug)]
pub(crate) enum IndexChange {
    /// An index comes into being, as yet without entries.
    Define { primary: Database, state: IndexState },
    /// Nothing is missing in the index.
    Complete { primary: TreeId, index: TreeId },
    /// A database is dropped, be it an index or one that has some.
    Drop { tree: TreeId },
}

/// The indexes as of the newest commit; read from the list of databases when they are first asked for.
#[derive(Debug, Default)]
pub(crate) struct Indexes {
    current: OnceLock<ArcSwap<Registry>>,
}

impl Open {
    /// The indexes as of the newest commit.
    pub(crate) fn indexes(self: &Arc<Self>) -> EnvResult<Arc<Registry>> {
        if let Some(current) = self.indexes.current.get() {
            return Ok(current.load_full());
        }
        // Who changes an index comes here first, so that until now none has changed since the open.
        let found = read(&Snapshot::new(self.follow(), self.newest()?).descriptors()?);
        Ok(self.indexes.current.get_or_init(|| ArcSwap::from_pointee(found)).load_full())
    }
}

/// What the list of databases says of indexes.
fn read(descriptors: &[Descriptor]) -> Registry {
    let mut registry = Registry::new();
    for Descriptor { database, index } in descriptors {
        let Some(facts) = index else { continue };
        let is_primary = |other: &&Descriptor| other.database.tree == facts.primary;
        let Some(primary) = descriptors.iter().find(is_primary) else { continue };
        let state = IndexState { database: database.clone(), facts: *facts, since: 0, def: None };
        add(&mut registry, &primary.database, state);
    }
    registry
}

fn add(registry: &mut Registry, primary: &Database, state: IndexState) {
    let new = || Arc::new(IndexSet { primary: primary.clone(), indexes: Vec::new() });
    Arc::make_mut(registry.entry(primary.tree).or_insert_with(new)).indexes.push(state);
}

impl Indexes {
    /// An error unless the indexes of these databases are still those of `known`. Under the commit
    /// lock, of which `sequence` is the newest commit.
    pub(crate) fn validate<'d>(
        &self,
        known: &Arc<Registry>,
        databases: impl IntoIterator<Item = &'d Database>,
        sequence: u64,
    ) -> EnvResult<()> {
        let Some(current) = self.current.get().map(|current| current.load()) else { return Ok(()) };
        if Arc::ptr_eq(known, &current) {
            return Ok(());
        }
        for database in databases {
            let unchanged = match (known.get(&database.tree), current.get(&database.tree)) {
                (Some(known), Some(current)) => Arc::ptr_eq(known, current),
                (known, current) => known.is_none() && current.is_none(),
            };
            if !unchanged {
                let name = database.name().as_bytes();
                return Err(EnvError::conflict(&Database::names(), name, sequence));
            }
        }
        Ok(())
    }

    /// What commit `sequence` has changed. Under the commit lock.
    pub(crate) fn apply(&self, changes: Vec<IndexChange>, sequence: u64) {
        if changes.is_empty() {
            return;
        }
        self.update(|registry| {
            for change in changes {
                change.apply(registry, sequence);
            }
        });
    }

    /// From now on this process knows what the keys of an index are that is complete. Under the commit
    /// lock.
    pub(super) fn register(&self, primary: TreeId, index: TreeId, def: &IndexDef) {
        self.update(|registry| {
            if let Some(state) = state_mut(registry, primary, index) {
                state.def = Some(def.clone());
            }
        });
    }

    fn update(&self, change: impl FnOnce(&mut Registry)) {
        if let Some(current) = self.current.get() {
            let mut registry = Registry::clone(&current.load());
            change(&mut registry);
            current.store(Arc::new(registry));
        }
    }
}

impl IndexChange {
    fn apply(self, registry: &mut Registry, sequence: u64) {
        match self {
            Self::Define { primary, mut state } => {
                // One that comes whole may have been filled before, when it was none.
                if !state.facts.building {
                    state.since = sequence;
                }
                add(registry, &primary, state);
            }
            Self::Complete { primary, index } => {
                if let Some(state) = state_mut(registry, primary, index) {
                    state.facts.building = false;
                    state.since = sequence;
                }
            }
            Self::Drop { tree } => {
                registry.remove(&tree);
                let is_it = |state: &IndexState| state.database.tree == tree;
                for set in registry.values_mut().filter(|set| set.indexes.iter().any(is_it)) {
                    Arc::make_mut(set).indexes.retain(|state| !is_it(state));
                }
                registry.retain(|_, set| !set.indexes.is_empty());
            }
        }
    }
}

fn state_mut(registry: &mut Registry, primary: TreeId, index: TreeId) -> Option<&mut IndexState> {
    let set = Arc::make_mut(registry.get_mut(&primary)?);
    set.indexes.iter_mut().find(|state| state.database.tree == index)
}

impl Transaction {
    /// The indexes of a database as the transaction knows them.
    pub(crate) fn indexes_of(&self, database: &Database) -> EnvResult<Vec<Database>> {
        let set = self.indexes()?.get(&database.tree);
        let indexes = set.iter().flat_map(|set| &set.indexes);
        Ok(indexes.map(|index| index.database.clone()).collect())
    }
}
