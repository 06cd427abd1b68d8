//! `DatabaseShape`: what a database is, without what is in it.

use cairn_btree::TreeId;

use crate::{DatabaseOptions, EnvResult, Snapshot, descriptor::Descriptor};

/// What a database is, without what is in it: enough to make it again, here or elsewhere. See
/// [`ExclusiveTransaction::replace_database`](crate::ExclusiveTransaction::replace_database).
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "archives record each field")]
pub struct DatabaseShape {
    /// Its name.
    pub name: String,
    /// What was chosen when it was created.
    pub options: DatabaseOptions,
    /// Of an index: what it follows.
    pub index: Option<IndexShape>,
}

/// What an index is, without its function, which cannot be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "archives record each field")]
pub struct IndexShape {
    /// The name of the database that it follows.
    pub primary: String,
    /// The version of its function.
    pub version: u32,
    /// Whether a key leads to one entry at most.
    pub unique: bool,
    /// Whether it is whole: `false` while it is being built.
    pub whole: bool,
}

impl Snapshot {
    /// The shapes of all databases, by name.
    ///
    /// # Errors
    /// If the catalogue cannot be read.
    pub fn shapes(&self) -> EnvResult<Vec<DatabaseShape>> {
        let descriptors = self.descriptors()?;
        let name_of = |tree: TreeId| {
            let found = descriptors.iter().find(|found| found.database.tree == tree);
            found.map(|found| found.database.name().to_owned()).unwrap_or_default()
        };
        let shape = |Descriptor { database, index }: &Descriptor| DatabaseShape {
            name: database.name().to_owned(),
            options: DatabaseOptions { embed_max: database.embed_max, kind: database.kind },
            index: index.as_ref().map(|facts| IndexShape {
                primary: name_of(facts.primary),
                version: facts.version,
                unique: facts.unique,
                whole: !facts.building,
            }),
        };
        Ok(descriptors.iter().map(shape).collect())
    }
}
