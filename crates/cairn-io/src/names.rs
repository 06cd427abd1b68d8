//! `Name`: one path component that cannot escape its directory.

use std::{borrow::Cow, fmt, str::FromStr};

/// The name of a file or directory within a [`Dir`](crate::Dir).
///
/// A name is 1 to 100 ASCII letters, digits, `-`, `_` and `.`, and does not begin with a `.`. So
/// it can hold no separator, no `..`, no NUL and no look-alike: names rendered by the engine pass,
/// names read from hostile input either are of this shape or are never used to open anything.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Cow<'static, str>);

/// A text that is no [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a usable file name: 1 to 100 letters, digits, '-', '_', '.', not beginning with '.'")]
pub struct InvalidName;

const fn is_valid(text: &[u8]) -> bool {
    if text.is_empty() || text.len() > Name::MAX_LEN || text[0] == b'.' {
        return false;
    }
    let mut i = 0;
    while i < text.len() {
        if !(text[i].is_ascii_alphanumeric() || matches!(text[i], b'-' | b'_' | b'.')) {
            return false;
        }
        i += 1;
    }
    true
}

impl Name {
    /// Longest name in bytes.
    pub const MAX_LEN: usize = 100;

    /// Checks `text`.
    ///
    /// # Errors
    /// [`InvalidName`] if it is not of the shape described above.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
        let text = text.into();
        if is_valid(text.as_bytes()) { Ok(Self(Cow::Owned(text))) } else { Err(InvalidName) }
    }

    /// A name known at compile time.
    ///
    /// # Panics
    /// While compiling, if `text` is not a valid name (at run time if it is not used in a `const`).
    #[must_use]
    pub const fn constant(text: &'static str) -> Self {
        assert!(is_valid(text.as_bytes()), "not a valid name");
        Self(Cow::Borrowed(text))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_directory_are_refused() {
        let long = "a".repeat(101);
        for bad in
            ["", ".", "..", ".hidden", "a/b", "a\\b", "../x", "a\0b", "ä", "a b", "a:b", &long]
        {
            assert_eq!(Name::new(bad), Err(InvalidName), "{bad:?}");
        }
        for good in ["a", "J-00000001-00000003.log", "LOCK", "x_y.z", &long[..100]] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
    }
}
