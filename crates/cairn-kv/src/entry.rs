//! `Entry`: a key with its value.

use bytes::Bytes;

use crate::Value;

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// The key.
    pub key: Bytes,
    /// Its value.
    pub value: Value,
}

impl Entry {
    /// A key with a value, to be put.
    ///
    /// ```
    /// let entry = cairn_kv::Entry::new("tea", 7);
    /// assert_eq!((&entry.key[..], entry.value.as_i64()), (&b"tea"[..], Some(7)));
    /// ```
    #[must_use]
    pub fn new(key: impl AsRef<[u8]>, value: impl Into<Value>) -> Self {
        Self { key: Bytes::copy_from_slice(key.as_ref()), value: value.into() }
    }

    /// The key as text; bytes that are none are shown as `�`.
    #[must_use]
    pub fn key_str(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.key)
    }
}
