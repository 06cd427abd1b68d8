//! Replacing: databases that take the place of others, with all that is in them, in one commit.
//!
//! What is new is made beside what is old, and takes its name at once, within the transaction; everybody
//! else sees the old until the commit. What is old is dropped with it, so that it goes by and by, and
//! snapshots from before still have it. A crash before the commit leaves nothing.

use super::ExclusiveTransaction;
use crate::{
    Database, DatabaseKind, DatabaseShape, EnvError, EnvResult, IndexShape,
    database::{NAMES, check_name},
    descriptor::{Descriptor, IndexFacts},
    index::{IndexChange, IndexState},
    pair,
};

impl ExclusiveTransaction {
    /// Puts a new, empty database of this shape in the place of the one with its name, if there is one,
    /// which is dropped with its indexes. [`load`](ExclusiveTransaction::load) then takes its entries as
    /// they are stored, whatever its kind.
    ///
    /// Handles of the old database are those of a dropped one: in snapshots from after the commit they find
    /// nothing, and writing through them is [`EnvError::NoSuchDatabase`]. Take the one that is returned, or
    /// ask for the name again.
    ///
    /// An index follows a database that this very transaction has put in place, and must be loaded with
    /// what follows from that. If one of the same name and version was there before, what its keys are
    /// ([`Environment::index`](crate::Environment::index)) is still known; for others that has to be said.
    ///
    /// ```
    /// # use cairn_env::{DatabaseOptions, Environment, Options};
    /// let (env, _) = Environment::in_memory(Options::default())?;
    /// let old = env.database("stock", DatabaseOptions::default())?;
    /// env.write(|txn| txn.put(&old, b"pears", b"3"))?;
    /// let shapes = env.snapshot()?.shapes()?;
    ///
    /// let mut txn = env.begin_exclusive()?;
    /// let new = txn.replace_database(&shapes[0])?;
    /// txn.load(&new, [(b"apples", b"11")])?;
    /// txn.commit()?;
    /// assert_eq!(env.find_database("stock")?, Some(new.clone()));
    /// assert!(env.snapshot()?.get(&new, b"pears")?.is_none());
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] for a name that is not allowed, a shape that contradicts itself, a name
    /// that this transaction has used for another one already, and an index whose database was not put in
    /// place here: then nothing was changed. As [`ExclusiveTransaction::put`].
    pub fn replace_database(&mut self, shape: &DatabaseShape) -> EnvResult<Database> {
        let place = self.place_for(shape)?;
        let created = Database::create(&shape.name, self.core.next_tree()?, shape.options);
        self.create_tree(created.tree)?;
        self.put_in_place(created, place)
    }

    /// As [`replace_database`](ExclusiveTransaction::replace_database), with a database that is there already, under
    /// another name, which is free then. So one of any size is made beside everything else, in as many transactions as
    /// it takes, while others go on; and takes its place in a short one.
    ///
    /// In the place of a multimap or an index it is a multimap until then. That of an index must hold what follows from
    /// the database that the index is of. Nobody may write to it any more by the handles from before.
    ///
    /// ```
    /// # use cairn_env::{DatabaseOptions, Environment, Options};
    /// let (env, _) = Environment::in_memory(Options::default())?;
    /// let old = env.database("stock", DatabaseOptions::default())?;
    /// env.write(|txn| txn.put(&old, b"pears", b"3"))?;
    /// let shapes = env.snapshot()?.shapes()?;
    ///
    /// let made = env.database("stock of tomorrow", shapes[0].options)?;
    /// env.write(|txn| txn.put(&made, b"apples", b"11"))?;
    /// let mut txn = env.begin_exclusive()?;
    /// let stock = txn.replace_database_by(&shapes[0], &made)?;
    /// txn.commit()?;
    /// assert_eq!(env.snapshot()?.databases()?, [stock.clone()]);
    /// assert!(env.snapshot()?.contains(&stock, b"apples")?);
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    ///
    /// # Errors
    /// As [`replace_database`](ExclusiveTransaction::replace_database); [`EnvError::NoSuchDatabase`] and
    /// [`EnvError::WrongKind`] for `made`, and [`EnvError::InvalidInput`] if it has an index, another
    /// [`embed_max`](crate::DatabaseOptions#structfield.embed_max), or the very name of the shape.
    pub fn replace_database_by(
        &mut self,
        shape: &DatabaseShape,
        made: &Database,
    ) -> EnvResult<Database> {
        let found = self.descriptor(made.name())?.map(|found| found.database);
        let found = found.filter(|found| found.tree == made.tree);
        let found = found.ok_or_else(|| EnvError::NoSuchDatabase { name: made.name().into() })?;
        found.expect_kind(match shape.options.kind {
            DatabaseKind::Map => DatabaseKind::Map,
            DatabaseKind::Multimap | DatabaseKind::Index => DatabaseKind::Multimap,
        })?;
        let adopted = Database::create(&shape.name, found.tree, shape.options);
        if adopted.embed_max != found.embed_max
            || found.name() == shape.name
            || self.has_index(&found)?
        {
            return refused(
                &shape.name,
                "what is to take it has an index, other options or its name",
            );
        }
        let place = self.place_for(shape)?;
        self.delete_in(NAMES, found.name().as_bytes())?;
        self.put_in_place(adopted, place)
    }

    /// Makes room for a database of this shape: drops what has its name. Returns what it follows, if it is an index.
    fn place_for(&mut self, shape: &DatabaseShape) -> EnvResult<Option<(IndexFacts, Database)>> {
        let DatabaseShape { name, options, index } = shape;
        check_name(name)?;
        if (options.kind == DatabaseKind::Index) != index.is_some() {
            return refused(name, "it is an index, or it follows a database, and not both");
        }
        let primary = match index {
            Some(shape) => self.descriptor(&shape.primary)?.map(|found| found.database),
            None => None,
        };
        if index.is_some()
            && primary.as_ref().is_none_or(|primary| {
                primary.kind() != DatabaseKind::Map || !self.replaced.contains(&primary.tree)
            })
        {
            return refused(
                name,
                "the database that it follows is no map that was put in place before",
            );
        }
        let old = self.descriptor(name)?.map(|found| found.database);
        if old.as_ref().is_some_and(|old| self.replaced.contains(&old.tree)) {
            return refused(name, "this transaction has done so already");
        }
        if let Some(old) = old {
            self.drop_with_indexes(&old)?;
        }
        Ok(index.as_ref().zip(primary).map(|(shape, primary)| (shape.facts(&primary), primary)))
    }

    /// Gives a database its place, which is free.
    fn put_in_place(
        &mut self,
        database: Database,
        follows: Option<(IndexFacts, Database)>,
    ) -> EnvResult<Database> {
        let facts = follows.as_ref().map(|(facts, _)| *facts);
        let descriptor = Descriptor { database: database.clone(), index: facts };
        self.put_in(NAMES, database.name().as_bytes(), &descriptor.encode(), usize::MAX)?;
        if let Some((facts, primary)) = follows {
            let name = database.name();
            let def = self.core.indexes()?.values().find_map(|set| set.def_of(name, &facts));
            let state = IndexState::restored(database.clone(), facts, def);
            self.index_changes.push(IndexChange::Define { primary, state });
        }
        self.replaced.insert(database.tree);
        Ok(database)
    }

    /// The database `name`, of whatever kind, if it exists, as this transaction left it.
    ///
    /// # Errors
    /// If the catalogue cannot be read.
    pub fn find_database(&mut self, name: &str) -> EnvResult<Option<Database>> {
        Ok(self.descriptor(name)?.map(|found| found.database))
    }

    fn descriptor(&mut self, name: &str) -> EnvResult<Option<Descriptor>> {
        let found = self.get_in(NAMES, name.as_bytes())?;
        found.map(|found| Descriptor::decode(name, &found)).transpose()
    }

    /// Whether the database has an index, be it one that this transaction has put in place.
    pub(super) fn has_index(&self, database: &Database) -> EnvResult<bool> {
        let is_defined = self.index_changes.iter().any(|change| {
            matches!(change, IndexChange::Define { primary, .. } if primary.tree == database.tree)
        });
        Ok(is_defined || self.core.indexes()?.contains_key(&database.tree))
    }

    /// An error unless entries can be loaded into the database.
    pub(super) fn check_loadable(&mut self, database: &Database) -> EnvResult<()> {
        match self.replaced.contains(&database.tree) {
            true => self.check_database(database),
            false => self.check_writable(database),
        }
    }

    /// Drops a database and the indexes that follow it, as far as they are there.
    pub(super) fn drop_with_indexes(&mut self, database: &Database) -> EnvResult<()> {
        let registry = self.core.indexes()?;
        let of_registry = registry.get(&database.tree).into_iter().flat_map(|set| set.databases());
        let mut indexes: Vec<Database> = of_registry.cloned().collect();
        for change in &self.index_changes {
            match change {
                IndexChange::Define { primary, state } if primary.tree == database.tree => {
                    indexes.push(state.database().clone());
                }
                _ => {}
            }
        }
        for index in indexes {
            if self.fork()?.has(index.tree)? {
                self.drop_alone(&index)?;
            }
        }
        self.drop_alone(database)
    }

    fn drop_alone(&mut self, database: &Database) -> EnvResult<()> {
        self.delete_in(NAMES, database.name().as_bytes())?;
        self.unlogged.drop_tree(database.tree);
        self.change(|fork| fork.bury(database.tree).map(drop).map_err(EnvError::from))?;
        self.index_changes.push(IndexChange::Drop { tree: database.tree });
        self.drops = true;
        Ok(())
    }
}

fn refused<T>(name: &str, why: &str) -> EnvResult<T> {
    let what = format!("{name:?} cannot be put in place of a database: {why}");
    Err(EnvError::InvalidInput { what })
}

impl IndexShape {
    fn facts(&self, primary: &Database) -> IndexFacts {
        let Self { version, unique, .. } = *self;
        IndexFacts { primary: primary.tree, version, unique, building: false }
    }
}

/// An error unless the database can have such an entry.
pub(super) fn check_entry(database: &Database, key: &[u8], value: &[u8]) -> EnvResult<()> {
    if database.kind() == DatabaseKind::Map || (value.is_empty() && pair::decode(key).is_some()) {
        return Ok(());
    }
    Err(EnvError::NoPair { database: database.name().into(), stored: key.to_vec() })
}
