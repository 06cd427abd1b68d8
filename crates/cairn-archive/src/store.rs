//! `StoreInfo`: which store an archive is of, as the store itself says it.

use std::fmt;

use cairn_log::{
    Uuid,
    codec::{ByteReader, ByteWriter, DecodeError},
};

/// Longest name of a store in bytes.
pub(crate) const MAX_NAME: usize = 1024;
/// Most bytes of a store's options.
pub(crate) const MAX_OPTIONS: usize = 64 << 10;

/// What kind of store an archive is of. Who reads an archive of another kind than its own refuses it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreKind(pub u16);

impl StoreKind {
    /// Databases of an environment, as they are.
    pub const DATABASES: Self = Self(1);
    /// A key-value store.
    pub const KEY_VALUE: Self = Self(2);
    /// A relational store.
    pub const RELATIONAL: Self = Self(3);
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::DATABASES => f.write_str("databases"),
            Self::KEY_VALUE => f.write_str("key-value store"),
            Self::RELATIONAL => f.write_str("relational store"),
            Self(other) => write!(f, "store of kind {other}"),
        }
    }
}

impl fmt::Debug for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreKind({self})")
    }
}

/// Which store an archive is of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "archives record each field")]
pub struct StoreInfo {
    /// What kind of store.
    pub kind: StoreKind,
    /// Its name, at most 1024 bytes.
    pub name: String,
    /// What tells it from other stores of the same name, if the store has such an id; else zeros.
    pub id: Uuid,
    /// What the store wants to know of itself when it is restored: at most 64 KiB, which only it understands.
    pub options: Vec<u8>,
}

impl StoreInfo {
    /// Databases of an environment, as they are.
    #[must_use]
    pub fn databases() -> Self {
        let (kind, name, id) = (StoreKind::DATABASES, String::new(), Uuid::default());
        Self { kind, name, id, options: Vec::new() }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u16(self.kind.0);
        out.extend_from_slice(&self.id.0);
        out.put_prefixed(self.name.as_bytes());
        out.put_prefixed(&self.options);
    }

    pub(crate) fn decode(reader: &mut ByteReader<'_>) -> Result<Self, DecodeError> {
        let (kind, id) = (StoreKind(reader.u16("store kind")?), Uuid(reader.array("store id")?));
        let name = text(reader, "store name", MAX_NAME)?;
        let before = reader.clone();
        let options = reader.prefixed("store options")?;
        if options.len() > MAX_OPTIONS {
            return Err(before.error("store options", "are too long"));
        }
        Ok(Self { kind, name, id, options: options.to_vec() })
    }
}

impl fmt::Display for StoreInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if !self.name.is_empty() {
            write!(f, " {:?}", self.name)?;
        }
        if self.id != Uuid::default() {
            write!(f, " ({})", self.id)?;
        }
        Ok(())
    }
}

/// A text of at most `max` bytes.
pub(crate) fn text(
    reader: &mut ByteReader<'_>,
    field: &'static str,
    max: usize,
) -> Result<String, DecodeError> {
    let before = reader.clone();
    let bytes = reader.prefixed(field)?;
    match std::str::from_utf8(bytes) {
        Ok(text) if text.len() <= max => Ok(text.to_owned()),
        Ok(_) => Err(before.error(field, "is too long")),
        Err(_) => Err(before.error(field, "is no UTF-8")),
    }
}
