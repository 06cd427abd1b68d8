//! `Descriptor`: what the list of databases says of one.

use cairn_btree::TreeId;
use cairn_log::{
    codec::{ByteReader, ByteWriter, DecodeError},
    layout::{Field, table},
};

use crate::{Database, DatabaseKind, DatabaseOptions, EnvError, EnvResult};

/// A database in which each key has one value.
const MAP: u8 = 1;
/// Any other; what does not know of it leaves it alone.
const OTHER: u8 = 2;
const MULTIMAP: u8 = 1;
const INDEX: u8 = 2;
const UNIQUE: u8 = 1;
const BUILDING: u8 = 2;

/// What the list of databases says of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) database: Database,
    /// If it is an index.
    pub(crate) index: Option<IndexFacts>,
}

/// What is recorded of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexFacts {
    /// The database that it follows.
    pub(crate) primary: TreeId,
    /// Of the function that makes its keys.
    pub(crate) version: u32,
    /// Whether a key leads to one entry at most.
    pub(crate) unique: bool,
    /// Whether entries may still be missing.
    pub(crate) building: bool,
}

impl From<Database> for Descriptor {
    fn from(database: Database) -> Self {
        Self { database, index: None }
    }
}

impl Descriptor {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Self { database, index } = self;
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let (version, kind, flags) = match (database.kind, index) {
            (DatabaseKind::Map, _) => (MAP, 0, 0),
            (DatabaseKind::Multimap, _) => (OTHER, MULTIMAP, 0),
            (DatabaseKind::Index, facts) => {
                let flags = facts
                    .map_or(0, |facts| flag(facts.unique, UNIQUE) | flag(facts.building, BUILDING));
                (OTHER, INDEX, flags)
            }
        };
        let mut out = Vec::new();
        out.put_u8(version);
        out.put_u8(0);
        out.put_u8(kind);
        out.put_u8(flags);
        out.put_u32(database.tree.0);
        out.put_u32(u32::try_from(database.embed_max).unwrap_or(u32::MAX));
        if let Some(facts) = index {
            out.put_u32(facts.primary.0);
            out.put_u32(facts.version);
        }
        out
    }

    pub(crate) fn decode(name: &str, bytes: &[u8]) -> EnvResult<Self> {
        Self::read(name, bytes).map_err(|error| EnvError::Internal {
            what: format!("the descriptor of database {name:?} cannot be understood: {error}"),
        })
    }

    fn read(name: &str, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = ByteReader::new(bytes);
        let before = reader.clone();
        let version = reader.u8("version")?;
        if !matches!(version, MAP | OTHER) || reader.u8("shape")? != 0 {
            return Err(before.error("version or shape", "is unknown"));
        }
        let (kind, flags) = (reader.u8("kind")?, reader.u8("flags")?);
        let kind = match (version, kind, flags) {
            (MAP, 0, 0) => DatabaseKind::Map,
            (OTHER, MULTIMAP, 0) => DatabaseKind::Multimap,
            (OTHER, INDEX, 0..=3) => DatabaseKind::Index,
            _ => return Err(before.error("kind or flags", "are unknown")),
        };
        let tree = TreeId(reader.u32("tree")?);
        let embed_max = reader.u32("embed_max")? as usize;
        let index = match kind {
            DatabaseKind::Index => Some(IndexFacts {
                primary: TreeId(reader.u32("primary")?),
                version: reader.u32("index version")?,
                unique: flags & UNIQUE != 0,
                building: flags & BUILDING != 0,
            }),
            DatabaseKind::Map | DatabaseKind::Multimap => None,
        };
        reader.finish()?;
        let database = Database::create(name, tree, DatabaseOptions { embed_max, kind });
        Ok(Self { database, index })
    }
}

/// The tables of `docs/format` about databases.
pub(crate) fn spec() -> Vec<(&'static str, String)> {
    let field = |offset, size, name, meaning| Field { offset, size, name, meaning };
    let descriptor = [
        field(0, 1, "version", "1 for a map, 2 for any other kind"),
        field(1, 1, "shape", "0: an ordered map. 1 is reserved for page tables"),
        field(2, 1, "kind", "0: map, 1: multimap, 2: index"),
        field(3, 1, "flags", "of an index: 1, it is unique; 2, it is being built. Else zero"),
        field(4, 4, "tree", "number of the tree"),
        field(8, 4, "embed_max", "values up to this many bytes are kept in the leaves"),
        field(12, 4, "primary", "only of an index: number of the tree that it follows"),
        field(
            16,
            4,
            "index_version",
            "only of an index: version of the function that makes its keys",
        ),
    ];
    vec![("database_descriptor", table(&descriptor))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_survives_its_bytes_and_nothing_else_passes() {
        let of =
            |kind| Database::create("users", TreeId(20), DatabaseOptions::default().kind(kind));
        let facts = IndexFacts { primary: TreeId(17), version: 3, unique: true, building: false };
        let examples = [
            Descriptor::from(of(DatabaseKind::Map)),
            Descriptor::from(of(DatabaseKind::Multimap)),
            Descriptor { database: of(DatabaseKind::Index), index: Some(facts) },
        ];
        for descriptor in examples {
            let bytes = descriptor.encode();
            assert_eq!(Descriptor::decode("users", &bytes).unwrap(), descriptor);
            for len in 0..bytes.len() {
                assert!(Descriptor::decode("users", &bytes[..len]).is_err());
            }
            assert!(Descriptor::decode("users", &[bytes, vec![0]].concat()).is_err());
        }
    }

    /// What was written before there were kinds is still read, and still written for a map.
    #[test]
    fn the_descriptor_of_a_map_is_that_of_the_first_version() {
        let database = Database::create("users", TreeId(20), DatabaseOptions::default());
        let bytes = [1, 0, 0, 0, 20, 0, 0, 0, 0, 4, 0, 0];
        assert_eq!(Descriptor::from(database).encode(), bytes);
    }
}
