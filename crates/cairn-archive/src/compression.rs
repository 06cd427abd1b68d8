//! Compressing what a frame holds, and making it what it was: of archives and of backup repositories.

use std::io;

use zstd::bulk::{Compressor as Zstd, Decompressor as Unzstd};

/// How content is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all: the fastest for a fast disk, and for values that are compressed already.
    None,
    /// Zstandard at this level, 1 to 19.
    Zstd(i32),
}

impl Default for Compression {
    fn default() -> Self {
        Self::Zstd(3)
    }
}

impl Compression {
    /// What is wrong with it, if anything is.
    ///
    /// # Errors
    /// For a level that Zstandard does not have.
    pub fn check(self) -> Result<(), String> {
        match self {
            Self::None | Self::Zstd(1..=19) => Ok(()),
            Self::Zstd(level) => Err(format!("Zstandard has the levels 1 to 19, not {level}")),
        }
    }
}

/// Compresses one frame after the other.
pub struct Compressor(Option<Zstd<'static>>);

impl Compressor {
    /// A compressor; one that compresses nothing for [`Compression::None`].
    ///
    /// # Errors
    /// For a level that Zstandard does not have, or if it has no memory.
    pub fn new(compression: Compression) -> io::Result<Self> {
        compression.check().map_err(io::Error::other)?;
        let zstd = match compression {
            Compression::None => None,
            Compression::Zstd(level) => Some(Zstd::new(level)?),
        };
        Ok(Self(zstd))
    }

    /// Appends `content` to `stored`, compressed; returns whether that was done, which it is not if that is no shorter.
    ///
    /// # Errors
    /// If Zstandard fails.
    pub fn compress(&mut self, content: &[u8], stored: &mut Vec<u8>) -> io::Result<bool> {
        let Some(zstd) = &mut self.0 else { return Ok(false) };
        let before = stored.len();
        stored.resize(before + zstd::zstd_safe::compress_bound(content.len()), 0);
        let len = zstd.compress_to_buffer(content, &mut stored[before..])?;
        let is_shorter = len < content.len();
        stored.truncate(if is_shorter { before + len } else { before });
        Ok(is_shorter)
    }

    /// Appends what is to be stored of `content` to `stored`; returns whether that is compressed. What would not
    /// shrink is stored as it is.
    ///
    /// # Errors
    /// If Zstandard fails.
    pub fn append(&mut self, content: &[u8], stored: &mut Vec<u8>) -> io::Result<bool> {
        let is_compressed = self.compress(content, stored)?;
        if !is_compressed {
            stored.extend_from_slice(content);
        }
        Ok(is_compressed)
    }
}

/// Decompresses one frame after the other.
#[derive(Default)]
pub struct Decompressor(Option<Unzstd<'static>>);

impl Decompressor {
    /// Fills `content`, to the last byte, with what `stored` is of; returns whether that was it, and no more.
    ///
    /// # Errors
    /// If Zstandard has no memory.
    pub fn fill(&mut self, stored: &[u8], content: &mut [u8]) -> io::Result<bool> {
        let unzstd = match &mut self.0 {
            Some(unzstd) => unzstd,
            none => none.insert(Unzstd::new()?),
        };
        let decompressed = unzstd.decompress_to_buffer(stored, content);
        Ok(decompressed.is_ok_and(|len| len == content.len()))
    }
}

macro_rules! debug {
    ($type:ident) => {
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($type))
            }
        }
    };
}

debug!(Compressor);
debug!(Decompressor);
