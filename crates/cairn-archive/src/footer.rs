//! `Totals`: what an archive says of its entries after they have come.

use cairn_log::{
    Digest,
    codec::{ByteReader, ByteWriter, DecodeError},
};

use crate::{Header, header::kind_code};

/// What all entries of an archive add up to.
///
/// Two archives with the same digest hold the same databases with the same entries, whenever, from wherever
/// and however compressed or encrypted they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Of each database, in the order of the header.
    pub databases: Vec<DatabaseTotals>,
    /// BLAKE3 over the names, kinds and digests of the databases.
    pub digest: Digest,
}

/// What the entries of one database add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatabaseTotals {
    /// How many there are.
    pub entries: u64,
    /// Bytes of their keys, values and lengths.
    pub bytes: u64,
    /// BLAKE3 over them, in the order of their keys.
    pub digest: Digest,
}

/// What is shorter is no content of a footer.
const ENTRY: usize = 8 + 8 + 32;

impl Totals {
    pub(crate) fn new(header: &Header, databases: Vec<DatabaseTotals>) -> Self {
        let mut hasher = blake3::Hasher::new();
        let mut head = Vec::new();
        for (database, totals) in header.databases.iter().zip(&databases) {
            head.clear();
            head.put_prefixed(database.shape.name.as_bytes());
            head.put_u8(kind_code(database.shape.options.kind));
            hasher.update(&head).update(&totals.digest.0);
        }
        Self { databases, digest: Digest(*hasher.finalize().as_bytes()) }
    }

    /// Number of entries.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.databases.iter().map(|database| database.entries).sum()
    }

    /// Bytes of all entries.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.databases.iter().map(|database| database.bytes).sum()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32 + self.databases.len() * ENTRY);
        out.extend_from_slice(&self.digest.0);
        for DatabaseTotals { entries, bytes, digest } in &self.databases {
            out.put_u64(*entries);
            out.put_u64(*bytes);
            out.extend_from_slice(&digest.0);
        }
        out
    }

    pub(crate) fn decode(content: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = ByteReader::new(content);
        let digest = Digest(reader.array("digest")?);
        let mut databases = Vec::new();
        while !reader.rest().is_empty() {
            let (entries, bytes) = (reader.u64("entries")?, reader.u64("bytes")?);
            databases.push(DatabaseTotals {
                entries,
                bytes,
                digest: Digest(reader.array("digest of a database")?),
            });
        }
        Ok(Self { databases, digest })
    }
}
