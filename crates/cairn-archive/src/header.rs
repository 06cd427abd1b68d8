//! `Header`: what an archive says of itself before its entries come.

use cairn_env::{DatabaseKind, DatabaseOptions, DatabaseShape, IndexShape};
use cairn_log::{
    Timeline, Uuid,
    codec::{ByteReader, ByteWriter, DecodeError},
};

use crate::{
    StoreInfo,
    store::{MAX_NAME, text},
};

/// Most databases of an archive.
pub(crate) const MAX_DATABASES: usize = 1024;
/// Longest name of a database in bytes.
const MAX_DATABASE_NAME: usize = 255;

const MAP: u8 = 0;
const MULTIMAP: u8 = 1;
const INDEX: u8 = 2;

/// What an archive says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// Of which store it is.
    pub store: StoreInfo,
    /// Which environment it is from.
    pub environment: Uuid,
    /// On which line of its history.
    pub timeline: Timeline,
    /// The last commit that is in it: the cut.
    pub commit: u64,
    /// When it was made, in microseconds since 1970: no earlier than the cut. For people.
    pub created: u64,
    /// The version of the library that has made it.
    pub library: String,
    /// The databases in it, in the order in which they come: those with entries of their own by name, then
    /// the indexes by name.
    pub databases: Vec<ArchivedDatabase>,
}

/// A database in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArchivedDatabase {
    /// What it is.
    pub shape: DatabaseShape,
    /// How many entries it has.
    pub entries: u64,
}

impl Header {
    /// Number of entries in all databases.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.databases.iter().map(|database| database.entries).fold(0, u64::saturating_add)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.store.encode(&mut out);
        out.extend_from_slice(&self.environment.0);
        out.put_u32(self.timeline.0);
        out.put_u64(self.commit);
        out.put_u64(self.created);
        out.put_prefixed(self.library.as_bytes());
        out.put_varint(self.databases.len() as u64);
        for database in &self.databases {
            database.encode(&mut out);
        }
        out
    }

    pub(crate) fn decode(content: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = ByteReader::new(content);
        let store = StoreInfo::decode(&mut reader)?;
        let environment = Uuid(reader.array("environment")?);
        let timeline = Timeline(reader.u32("timeline")?);
        let (commit, created) = (reader.u64("commit")?, reader.u64("created")?);
        let library = text(&mut reader, "library", MAX_NAME)?;
        let count = reader.varint_max("number of databases", MAX_DATABASES as u64)?;
        let mut databases: Vec<ArchivedDatabase> = Vec::new();
        for _ in 0..count {
            let before = reader.clone();
            let next = ArchivedDatabase::decode(&mut reader, &databases)?;
            if databases.last().is_some_and(|last| last.place() >= next.place()) {
                return Err(before.error("database", "is not in its place"));
            }
            databases.push(next);
        }
        reader.finish()?;
        Ok(Self { store, environment, timeline, commit, created, library, databases })
    }
}

impl ArchivedDatabase {
    /// The order of the databases.
    pub(crate) fn place(&self) -> (bool, &str) {
        (self.shape.index.is_some(), &self.shape.name)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let DatabaseShape { name, options, index } = &self.shape;
        out.put_prefixed(name.as_bytes());
        out.put_u8(kind_code(options.kind));
        out.put_u32(u32::try_from(options.embed_max).unwrap_or(u32::MAX));
        out.put_u64(self.entries);
        if let Some(index) = index {
            out.put_prefixed(index.primary.as_bytes());
            out.put_u32(index.version);
            out.put_u8(index.unique.into());
        }
    }

    fn decode(reader: &mut ByteReader<'_>, before: &[Self]) -> Result<Self, DecodeError> {
        let name = text(reader, "database name", MAX_DATABASE_NAME)?;
        if name.is_empty() {
            return Err(reader.error("database name", "is empty"));
        }
        let kind = match reader.u8("kind")? {
            MAP => DatabaseKind::Map,
            MULTIMAP => DatabaseKind::Multimap,
            INDEX => DatabaseKind::Index,
            _ => return Err(reader.error("kind", "is unknown")),
        };
        let embed_max = reader.u32("embed_max")? as usize;
        let options = DatabaseOptions::default().embed_max(embed_max).kind(kind);
        let entries = reader.u64("entries")?;
        let index = match kind {
            DatabaseKind::Index => {
                let primary = text(reader, "primary", MAX_DATABASE_NAME)?;
                let is_primary = |other: &Self| {
                    other.shape.name == primary && other.shape.options.kind == DatabaseKind::Map
                };
                if !before.iter().any(is_primary) {
                    return Err(reader.error("primary", "is no map of the archive"));
                }
                let version = reader.u32("index version")?;
                let unique = match reader.u8("unique")? {
                    0 => false,
                    1 => true,
                    _ => return Err(reader.error("unique", "is neither 0 nor 1")),
                };
                Some(IndexShape { primary, version, unique, whole: true })
            }
            _ => None,
        };
        if before.iter().any(|other| other.shape.name == name) {
            return Err(reader.error("database name", "comes twice"));
        }
        Ok(Self { shape: DatabaseShape { name, options, index }, entries })
    }
}

/// The code of a kind of database.
pub(crate) const fn kind_code(kind: DatabaseKind) -> u8 {
    match kind {
        DatabaseKind::Multimap => MULTIMAP,
        DatabaseKind::Index => INDEX,
        _ => MAP,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn example() -> Header {
        let database = |name: &str, kind, index| ArchivedDatabase {
            shape: DatabaseShape {
                name: name.into(),
                options: DatabaseOptions::default().kind(kind),
                index,
            },
            entries: 7,
        };
        let index = IndexShape { primary: "users".into(), version: 3, unique: true, whole: true };
        Header {
            store: StoreInfo {
                name: "store".into(),
                options: b"options".to_vec(),
                ..StoreInfo::databases()
            },
            environment: Uuid([1; 16]),
            timeline: Timeline(1),
            commit: 9,
            created: 10,
            library: "0.1.0".into(),
            databases: vec![
                database("tags", DatabaseKind::Multimap, None),
                database("users", DatabaseKind::Map, None),
                database("by mail", DatabaseKind::Index, Some(index)),
            ],
        }
    }

    #[test]
    fn a_header_survives_its_bytes_and_is_refused_at_every_other_length() {
        let header = example();
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes).unwrap(), header);
        for len in 0..bytes.len() {
            assert!(Header::decode(&bytes[..len]).is_err());
        }
        assert!(Header::decode(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn databases_out_of_order_twice_or_without_what_they_follow_are_refused() {
        for wrong in [[1, 0, 2], [0, 2, 1], [1, 1, 2]] {
            let mut header = example();
            header.databases = wrong.map(|i| header.databases[i].clone()).to_vec();
            assert!(Header::decode(&header.encode()).is_err(), "{wrong:?}");
        }
        let mut header = example();
        header.databases.remove(1);
        assert!(Header::decode(&header.encode()).is_err());
        let mut header = example();
        header.databases[2].shape.name = "tags".into();
        assert!(Header::decode(&header.encode()).is_err());
    }
}
