//! `Database`: a named tree, and how its name is kept.

use std::sync::{Arc, LazyLock};

use cairn_btree::TreeId;
use cairn_log::{
    codec::{ByteReader, ByteWriter, DecodeError},
    layout::{Field, table},
};

use crate::{EnvError, EnvResult};

/// The tree that maps the name of each database to its descriptor.
pub(crate) const NAMES: TreeId = TreeId(1);
/// Values above this are never embedded: a leaf must hold several entries.
const EMBED_LIMIT: usize = 2048;
/// Longest name of a database in bytes.
pub(crate) const MAX_NAME_LEN: usize = 255;

/// What is chosen when a database is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatabaseOptions {
    /// Values up to this many bytes are kept in the tree, larger ones beside it (default: 1024, at
    /// most 2048).
    pub embed_max: usize,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self { embed_max: 1024 }
    }
}

impl DatabaseOptions {
    /// Sets [`DatabaseOptions::embed_max`](DatabaseOptions#structfield.embed_max).
    #[must_use]
    pub fn embed_max(mut self, embed_max: usize) -> Self {
        self.embed_max = embed_max;
        self
    }
}

/// A handle to a named database: cheap to clone, valid as long as the environment is open, and in all
/// snapshots and transactions that know the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    pub(crate) tree: TreeId,
    pub(crate) embed_max: usize,
    name: Arc<str>,
}

impl Database {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The list of all databases, as if it were one.
    pub(crate) fn names() -> Self {
        static NAME: LazyLock<Arc<str>> = LazyLock::new(|| "the list of databases".into());
        Self { tree: NAMES, embed_max: usize::MAX, name: Arc::clone(&NAME) }
    }

    pub(crate) fn create(name: &str, tree: TreeId, options: DatabaseOptions) -> Self {
        Self { tree, embed_max: options.embed_max.min(EMBED_LIMIT), name: name.into() }
    }

    /// The descriptor's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_u8(VERSION);
        out.put_u8(0);
        out.put_u16(0);
        out.put_u32(self.tree.0);
        out.put_u32(u32::try_from(self.embed_max).unwrap_or(u32::MAX));
        out
    }

    pub(crate) fn decode(name: &str, bytes: &[u8]) -> EnvResult<Self> {
        let fields = || -> Result<(u32, u32), DecodeError> {
            let mut reader = ByteReader::new(bytes);
            let before = reader.clone();
            if reader.u8("version")? != VERSION || reader.u8("shape")? != 0 {
                return Err(before.error("version or shape", "is unknown"));
            }
            if reader.u16("reserved")? != 0 {
                return Err(before.error("reserved", "is not zero"));
            }
            let fields = (reader.u32("tree")?, reader.u32("embed")?);
            reader.finish()?;
            Ok(fields)
        };
        let (tree, embed_max) = fields().map_err(|error| EnvError::Internal {
            what: format!("the descriptor of database {name:?} cannot be understood: {error}"),
        })?;
        Ok(Self { tree: TreeId(tree), embed_max: embed_max as usize, name: name.into() })
    }
}

const VERSION: u8 = 1;

/// Checks a name that is about to be used for a database.
pub(crate) fn check_name(name: &str) -> EnvResult<()> {
    if name.is_empty() || name.len() > MAX_NAME_LEN {
        let what =
            format!("the name of a database has 1 to {MAX_NAME_LEN} bytes, not {}", name.len());
        return Err(EnvError::InvalidInput { what });
    }
    Ok(())
}

/// The tables of `docs/format` about databases.
pub(crate) fn spec() -> Vec<(&'static str, String)> {
    let field = |offset, size, name, meaning| Field { offset, size, name, meaning };
    let descriptor = [
        field(0, 1, "version", "1"),
        field(1, 1, "shape", "0: an ordered map. 1 is reserved for page tables"),
        field(2, 2, "reserved", "zero"),
        field(4, 4, "tree", "number of the tree"),
        field(8, 4, "embed_max", "values up to this many bytes are kept in the leaves"),
    ];
    vec![("database_descriptor", table(&descriptor))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_survives_its_bytes_and_nothing_else_passes() {
        let database = Database::create("users", TreeId(20), DatabaseOptions::default());
        let bytes = database.encode();
        assert_eq!(Database::decode("users", &bytes).unwrap(), database);
        for len in 0..bytes.len() {
            assert!(Database::decode("users", &bytes[..len]).is_err());
        }
        assert!(Database::decode("users", &[bytes, vec![0]].concat()).is_err());
        assert!(check_name("").is_err() && check_name(&"x".repeat(256)).is_err());
    }
}
