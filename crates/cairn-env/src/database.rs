//! `Database`: a named tree, and what it may be used for.

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use cairn_btree::TreeId;

use crate::{EnvError, EnvResult};

/// The tree that maps the name of each database to its descriptor.
pub(crate) const NAMES: TreeId = TreeId(1);
/// Values above this are never embedded: a leaf must hold several entries.
const EMBED_LIMIT: usize = 2048;
/// Longest name of a database in bytes.
pub(crate) const MAX_NAME_LEN: usize = 255;

/// What the entries of a database mean. Chosen when it is created, and recorded with its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DatabaseKind {
    /// Each key has one value.
    #[default]
    Map,
    /// Each key has a sorted set of values: see [`Multimap`](crate::Multimap).
    Multimap,
    /// The entries follow from those of another database: see [`Index`](crate::Index).
    Index,
}

impl fmt::Display for DatabaseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Map => "map",
            Self::Multimap => "multimap",
            Self::Index => "index",
        })
    }
}

/// What is chosen when a database is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatabaseOptions {
    /// Values up to this many bytes are kept in the tree, larger ones beside it (default: 1024, at
    /// most 2048).
    pub embed_max: usize,
    /// What its entries mean (default: [`DatabaseKind::Map`]).
    pub kind: DatabaseKind,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self { embed_max: 1024, kind: DatabaseKind::Map }
    }
}

impl DatabaseOptions {
    /// Sets [`DatabaseOptions::embed_max`](DatabaseOptions#structfield.embed_max).
    #[must_use]
    pub fn embed_max(mut self, embed_max: usize) -> Self {
        self.embed_max = embed_max;
        self
    }

    /// Sets [`DatabaseOptions::kind`](DatabaseOptions#structfield.kind).
    #[must_use]
    pub fn kind(mut self, kind: DatabaseKind) -> Self {
        self.kind = kind;
        self
    }

    /// An error unless a database `name` can be created with these.
    pub(crate) fn check_kind(self, name: &str) -> EnvResult<()> {
        if self.kind != DatabaseKind::Index {
            return Ok(());
        }
        let what = format!("{name:?} cannot be created like this: use Environment::index");
        Err(EnvError::InvalidInput { what })
    }
}

/// A handle to a named database: cheap to clone, valid as long as the environment is open, and in all
/// snapshots and transactions that know the database.
///
/// Reads through it give the entries as they are stored, whatever the database is used for. Writes are
/// for those in which each key has one value; others have a handle of their own, which keeps their
/// order: [`Multimap`](crate::Multimap), [`Index`](crate::Index).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    pub(crate) tree: TreeId,
    pub(crate) embed_max: usize,
    pub(crate) kind: DatabaseKind,
    name: Arc<str>,
}

impl Database {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its entries mean.
    #[must_use]
    pub const fn kind(&self) -> DatabaseKind {
        self.kind
    }

    /// The list of all databases, as if it were one.
    pub(crate) fn names() -> Self {
        static NAME: LazyLock<Arc<str>> = LazyLock::new(|| "the list of databases".into());
        let name = Arc::clone(&NAME);
        Self { tree: NAMES, embed_max: usize::MAX, kind: DatabaseKind::Map, name }
    }

    pub(crate) fn create(name: &str, tree: TreeId, options: DatabaseOptions) -> Self {
        let DatabaseOptions { embed_max, kind } = options;
        Self { tree, embed_max: embed_max.min(EMBED_LIMIT), kind, name: name.into() }
    }

    /// The same under another name.
    pub(crate) fn renamed(&self, name: &str) -> Self {
        Self { name: name.into(), ..self.clone() }
    }

    /// An error unless the database is of this kind.
    pub(crate) fn expect_kind(&self, kind: DatabaseKind) -> EnvResult<()> {
        if self.kind == kind {
            return Ok(());
        }
        Err(EnvError::WrongKind { name: self.name().into(), kind: self.kind, wanted: kind })
    }
}

/// Checks a name that is about to be used for a database.
pub(crate) fn check_name(name: &str) -> EnvResult<()> {
    if name.is_empty() || name.len() > MAX_NAME_LEN {
        let what =
            format!("the name of a database has 1 to {MAX_NAME_LEN} bytes, not {}", name.len());
        return Err(EnvError::InvalidInput { what });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_1_to_255_bytes() {
        assert!(check_name("").is_err() && check_name(&"x".repeat(256)).is_err());
        assert!(check_name("x").is_ok() && check_name(&"x".repeat(255)).is_ok());
    }
}
