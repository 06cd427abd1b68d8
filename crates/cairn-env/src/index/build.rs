//! Building: an index of a database that has entries already, while others write.
//!
//! 1. A commit creates the index, marked as being built. From here on every transaction that changes
//!    the database changes the index with it; those under way at that moment are in conflict.
//! 2. The entries are gone through in steps. A step is a transaction that reads some entries and puts
//!    their keys; if one of them has changed meanwhile, the step is in conflict and runs again.
//! 3. A commit takes the mark away.
//!
//! A crash leaves the mark, and what is marked is dropped and built again. What an index holds after
//! step 3 is what its function makes of every entry: of those that changed since step 1 by upkeep, of the
//! others by their step.

use std::ops::Bound;

use super::{Index, IndexDef, registry::IndexState};
use crate::{
    Database, DatabaseKind, DatabaseOptions, Durability, EnvError, EnvResult, Environment,
    Multimap, Transaction,
    database::check_name,
    descriptor::{Descriptor, IndexFacts},
    index::IndexChange,
    sync::lock,
};

/// Entries that a step goes through, at most.
const STEP_ENTRIES: usize = 1000;
/// Bytes of them, at most; less with a small cache.
const STEP_BYTES: usize = 1 << 20;

impl Environment {
    /// The index `def` of a database. Says what its keys are, without which nobody can write to the
    /// database; builds it, if it does not exist, was built by another version of its function, or was
    /// not finished. Returns when it is whole. Others can read and write all the while.
    ///
    /// Not to be called within a transaction. In an environment that is open for reading only, the index
    /// must be there.
    ///
    /// ```
    /// use cairn_env::{DatabaseOptions, Environment, IndexDef, Options};
    ///
    /// let (env, _) = Environment::in_memory(Options::default())?;
    /// let users = env.database("users", DatabaseOptions::default())?;
    /// // The value is `born,city`.
    /// let by_city = env.index(
    ///     &users,
    ///     IndexDef::new("users by city", 1, |_name, value, emit| {
    ///         value.splitn(2, |&byte| byte == b',').skip(1).for_each(emit);
    ///     }),
    /// )?;
    /// env.write(|txn| {
    ///     txn.put(&users, b"ada", b"1815,London")?;
    ///     txn.put(&users, b"alan", b"1912,London")?;
    ///     txn.put(&users, b"emmy", b"1882,Erlangen")
    /// })?;
    /// let snapshot = env.snapshot()?;
    /// let found: Vec<_> = by_city
    ///     .range(&snapshot, b"London".as_slice()..=b"London".as_slice())?
    ///     .map(|entry| entry.map(|entry| entry.primary_key))
    ///     .collect::<Result<_, _>>()?;
    /// assert_eq!(found, ["ada", "alan"]);
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    ///
    /// # Errors
    /// [`EnvError::WrongKind`] if one of the databases is of another kind;
    /// [`EnvError::NotUnique`] if entries have a key in common that must not: then the index is dropped
    /// again. [`EnvError::PairTooLong`] likewise.
    pub fn index(&self, database: &Database, def: IndexDef) -> EnvResult<Index> {
        database.expect_kind(DatabaseKind::Map)?;
        check_name(&def.name)?;
        self.core.indexes()?;
        let _building = lock(&self.core.building);
        if let Some(state) = self.known_index(database, &def)? {
            if state.def.is_none() {
                let _commit = lock(&self.core.commit);
                self.core.indexes.register(database.tree, state.database.tree, &def);
            }
            return Ok(handle(database, &state));
        }
        let created =
            self.write_with(Durability::NoSync, |txn| txn.create_index(database, &def))?;
        if let Err(error) = self.fill_index(database, &created) {
            // The cause is what counts. Should this fail too, the mark stays.
            self.write(|txn| txn.drop_database(&created.database)).unwrap_or_default();
            return Err(error);
        }
        match self.known_index(database, &def)? {
            Some(state) => Ok(handle(database, &state)),
            None => Err(EnvError::NoSuchDatabase { name: def.name }), // dropped by somebody
        }
    }

    /// The index, if it is whole and of this function.
    fn known_index(&self, database: &Database, def: &IndexDef) -> EnvResult<Option<IndexState>> {
        let registry = self.core.indexes()?;
        let facts = def.facts(database, false);
        let known = registry.get(&database.tree).and_then(|set| {
            let is_it = |state: &&IndexState| state.database.name() == def.name;
            set.indexes.iter().find(is_it).filter(|state| state.facts == facts)
        });
        Ok(known.cloned())
    }

    fn fill_index(&self, database: &Database, index: &IndexState) -> EnvResult<()> {
        let bytes = STEP_BYTES.min(self.core.options.cache_bytes / 64);
        let mut from = Some(Bound::Unbounded);
        while let Some(start) = &from {
            let step =
                |txn: &mut Transaction| txn.index_step(database, index, start.clone(), bytes);
            from = self.write_with(Durability::NoSync, step)?;
        }
        self.write(|txn| txn.complete_index(index))
    }
}

fn handle(primary: &Database, state: &IndexState) -> Index {
    let pairs = Multimap::of_index(state.database.clone());
    Index { pairs, primary: primary.clone(), since: state.since }
}

impl IndexDef {
    fn facts(&self, primary: &Database, building: bool) -> IndexFacts {
        let (version, unique) = (self.version, self.unique);
        IndexFacts { primary: primary.tree, version, unique, building }
    }
}

impl Transaction {
    /// An empty index in the place of one that does not count.
    fn create_index(&mut self, primary: &Database, def: &IndexDef) -> EnvResult<IndexState> {
        if let Some(Descriptor { database, index }) = self.descriptor(&def.name)? {
            database.expect_kind(DatabaseKind::Index)?;
            if index.is_none_or(|facts| facts.primary != primary.tree) {
                let what = format!("{:?} is an index of another database", def.name);
                return Err(EnvError::InvalidInput { what });
            }
            self.drop_database(&database)?;
        }
        let options = DatabaseOptions::default().kind(DatabaseKind::Index);
        let facts = def.facts(primary, true);
        let database = self.create(&def.name, options, Some(facts))?;
        let state = IndexState { database, facts, since: 0, def: Some(def.clone()) };
        self.change_index(IndexChange::Define { primary: primary.clone(), state: state.clone() });
        Ok(state)
    }

    /// Puts the keys of some entries from `start` on; returns where to go on.
    fn index_step(
        &mut self,
        database: &Database,
        index: &IndexState,
        start: Bound<Vec<u8>>,
        step_bytes: usize,
    ) -> EnvResult<Option<Bound<Vec<u8>>>> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        let start = start.as_ref().map(Vec::as_slice);
        for entry in self.range(database, (start, Bound::Unbounded))? {
            let (key, value) = entry?;
            bytes += key.len() + value.len();
            entries.push((key, value));
            if entries.len() == STEP_ENTRIES || bytes >= step_bytes {
                break;
            }
        }
        for (key, value) in &entries {
            self.put_into(index, key, value)?;
        }
        Ok(entries.last().map(|(key, _)| Bound::Excluded(key.to_vec())))
    }

    fn complete_index(&mut self, index: &IndexState) -> EnvResult<()> {
        let IndexState { database, facts, .. } = index;
        let name = database.name();
        let found = self.descriptor(name)?;
        if found.is_none_or(|found| found.database.tree != database.tree) {
            return Err(EnvError::NoSuchDatabase { name: name.into() });
        }
        let facts = IndexFacts { building: false, ..*facts };
        self.describe(&Descriptor { database: database.clone(), index: Some(facts) })?;
        let (primary, index) = (facts.primary, database.tree);
        self.change_index(IndexChange::Complete { primary, index });
        Ok(())
    }
}
