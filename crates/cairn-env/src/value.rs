//! `Value`: what a read returns: owned, `'static`, and without a copy where that is possible.

use std::{fmt, ops::Deref};

use bytes::{Buf, Bytes};
use cairn_btree::{FrozenRoot, HeldValue, ValuePointer, ValueRef};
use cairn_log::{LogFile, Lsn};

use crate::{EnvResult, core::Core};

/// A value that was read. It keeps alive what it needs, and outlives every handle.
///
/// A small value keeps the leaf that holds it in memory; to keep many small values for long, copy
/// them (`to_vec`, as of any slice). A large value may be mapped memory of its file.
#[derive(Clone)]
pub struct Value(Kind);

#[derive(Clone)]
enum Kind {
    Held(HeldValue),
    Bytes(Bytes),
}

impl Value {
    /// The value as shared bytes; copies a small one.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Kind::Held(_) => Bytes::copy_from_slice(&self),
            Kind::Bytes(bytes) => bytes,
        }
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Bytes(bytes))
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Kind::Held(held) => match held.value() {
                ValueRef::Inline(bytes) => bytes,
                ValueRef::Pointer(_) => &[], // never held: see `Core::value`
            },
            Kind::Bytes(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq<[u8]> for Value {
    fn eq(&self, other: &[u8]) -> bool {
        **self == *other
    }
}

impl<const N: usize> PartialEq<[u8; N]> for Value {
    fn eq(&self, other: &[u8; N]) -> bool {
        **self == *other
    }
}

impl<const N: usize> PartialEq<&[u8; N]> for Value {
    fn eq(&self, other: &&[u8; N]) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} bytes)", self.len())
    }
}

/// A value where it lies, while it is looked at.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a value is in its leaf or beside the tree")]
pub enum Stored<'a> {
    /// In its leaf.
    Embedded(&'a [u8]),
    /// Beside the tree: shared bytes, maybe mapped memory of its file.
    Beside(Bytes),
}

impl Stored<'_> {
    /// The bytes from `at` on, to keep: a copy of what lies in a leaf, no copy of what lies beside the tree. There are
    /// none behind its end.
    #[must_use]
    pub fn keep_from(self, at: usize) -> Bytes {
        match self {
            Self::Embedded(bytes) => {
                bytes.get(at..).map(Bytes::copy_from_slice).unwrap_or_default()
            }
            Self::Beside(mut bytes) => {
                // Its own end is moved: to slice would be to share it first.
                bytes.advance(at.min(bytes.len()));
                bytes
            }
        }
    }
}

impl Deref for Stored<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Embedded(bytes) => bytes,
            Self::Beside(bytes) => bytes,
        }
    }
}

impl From<Bytes> for Stored<'_> {
    fn from(bytes: Bytes) -> Self {
        Self::Beside(bytes)
    }
}

impl Core {
    /// The value of a key in a version.
    pub(crate) fn get(
        &self,
        root: &FrozenRoot,
        tree: cairn_btree::TreeId,
        key: &[u8],
    ) -> EnvResult<Option<Value>> {
        self.value_of(root.get(tree, key)?)
    }

    /// The values of two keys in a version, of which the second is above the first.
    pub(crate) fn get_both(
        &self,
        root: &FrozenRoot,
        tree: cairn_btree::TreeId,
        first: &[u8],
        second: &[u8],
    ) -> EnvResult<[Option<Value>; 2]> {
        let [first, second] = root.get_both(tree, first, second)?;
        Ok([self.value_of(first)?, self.value_of(second)?])
    }

    /// The values of several keys in a version, in their order.
    pub(crate) fn get_many<K: AsRef<[u8]>>(
        &self,
        root: &FrozenRoot,
        tree: cairn_btree::TreeId,
        keys: &[K],
    ) -> EnvResult<Vec<Option<Value>>> {
        root.get_many(tree, keys)?.into_iter().map(|held| self.value_of(held)).collect()
    }

    fn value_of(&self, held: Option<HeldValue>) -> EnvResult<Option<Value>> {
        let Some(held) = held else { return Ok(None) };
        match held.value() {
            ValueRef::Inline(_) => Ok(Some(Value(Kind::Held(held)))),
            ValueRef::Pointer(pointer) => Ok(Some(self.large_value(pointer)?.into())),
        }
    }

    /// What `read` makes of the value of a key in a version.
    pub(crate) fn get_with<R>(
        &self,
        root: &FrozenRoot,
        tree: cairn_btree::TreeId,
        key: &[u8],
        read: impl FnOnce(Stored<'_>) -> R,
    ) -> EnvResult<Option<R>> {
        let found = root.get_with(tree, key, |value| match value {
            ValueRef::Inline(bytes) => Ok(read(Stored::Embedded(bytes))),
            ValueRef::Pointer(pointer) => Err((pointer, read)),
        })?;
        Ok(match found {
            None => None,
            Some(Ok(made)) => Some(made),
            Some(Err((pointer, read))) => Some(read(Stored::Beside(self.large_value(pointer)?))),
        })
    }

    /// A value that a leaf refers to or holds.
    pub(crate) fn value(&self, value: ValueRef<'_>) -> EnvResult<Bytes> {
        match value {
            ValueRef::Inline(bytes) => Ok(Bytes::copy_from_slice(bytes)),
            ValueRef::Pointer(pointer) => self.large_value(pointer),
        }
    }

    /// A large value, which was checked when it was read from the disk.
    pub(crate) fn large_value(&self, pointer: ValuePointer) -> EnvResult<Bytes> {
        match self.values.get(pointer.lsn) {
            // A damaged node may name the right place and the wrong length.
            Some(value) if value.len() == pointer.len as usize => Ok(value),
            _ => self.read_large_value(pointer),
        }
    }

    /// Reads a large value from the disk, and checks it.
    pub(crate) fn read_large_value(&self, pointer: ValuePointer) -> EnvResult<Bytes> {
        /// Below this a copy is cheaper than a mapping.
        const MAP_MIN: usize = 16 << 10;
        let lsn = Lsn::from_raw(pointer.lsn)
            .ok_or_else(|| crate::EnvError::internal("a large value without a position"))?;
        let file = self.files.get(lsn.file())?;
        let len = pointer.len as usize;
        let map = self.options.map_values && len >= MAP_MIN;
        let read = |file: &LogFile| file.read_value(lsn.offset(), len, pointer.crc, map);
        let value = self.files.read_either(&file, read)?;
        if !map || self.files.is_encrypted() {
            self.values.put(pointer.lsn, &value);
        } else if self.values.is_worth_a_copy(pointer.lsn, len) {
            // What is mapped is in memory once already, but would be checked with each read: the system may have read it
            // again since.
            self.values.put(pointer.lsn, &Bytes::copy_from_slice(&value));
        }
        Ok(value)
    }
}
