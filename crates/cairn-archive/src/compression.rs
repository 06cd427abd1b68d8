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
pub struct Compressor {
    zstd: Option<Zstd<'static>>,
    compressed: Vec<u8>,
}

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
        Ok(Self { zstd, compressed: Vec::new() })
    }

    /// Appends what is to be stored of `content` to `stored`; returns whether that is compressed. What would not
    /// shrink is stored as it is.
    ///
    /// # Errors
    /// If Zstandard fails.
    pub fn append(&mut self, content: &[u8], stored: &mut Vec<u8>) -> io::Result<bool> {
        if let Some(zstd) = &mut self.zstd {
            let room = zstd::zstd_safe::compress_bound(content.len());
            self.compressed.resize(self.compressed.len().max(room), 0);
            let len = zstd.compress_to_buffer(content, &mut self.compressed[..])?;
            if len < content.len() {
                stored.extend_from_slice(&self.compressed[..len]);
                return Ok(true);
            }
        }
        stored.extend_from_slice(content);
        Ok(false)
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
