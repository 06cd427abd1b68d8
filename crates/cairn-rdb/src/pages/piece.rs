//! Pieces: what an entry of a file's database is, for who has the entries without the environment.

use super::{
    Head, delta,
    layout::{CHUNK, HEAD, STAMP},
};

/// What an entry of a file's database is.
pub(crate) enum Piece<'v> {
    Head(Head),
    Base { chunk: u32, stamp: u64, image: Box<[u8; CHUNK]> },
    Delta { chunk: u32, delta: Delta<'v> },
}

/// What differs from a base.
pub(crate) struct Delta<'v>(&'v [u8]);

impl Delta<'_> {
    /// Makes the image of its base, in place; an error if it is of another one, or makes no sense.
    pub(crate) fn apply(&self, stamp: u64, image: &mut [u8]) -> Result<(), &'static str> {
        delta::apply(stamp, image, self.0)
    }
}

impl<'v> Piece<'v> {
    /// `None` for what is none of the file's, or makes no sense.
    #[expect(clippy::big_endian_bytes, reason = "the order of keys is the order of chunks")]
    pub(crate) fn of(key: &[u8], value: &'v [u8]) -> Option<Self> {
        match key {
            HEAD => Head::decode(value).ok().map(Self::Head),
            [a, b, c, d] => {
                let (stamp, stored) = value.split_first_chunk::<STAMP>()?;
                let image = match stored {
                    [] => Box::new([0; CHUNK]),
                    stored => Box::new(*stored.as_array()?),
                };
                let chunk = u32::from_be_bytes([*a, *b, *c, *d]);
                Some(Self::Base { chunk, stamp: u64::from_le_bytes(*stamp), image })
            }
            [a, b, c, d, 1] => {
                let chunk = u32::from_be_bytes([*a, *b, *c, *d]);
                Some(Self::Delta { chunk, delta: Delta(value) })
            }
            _ => None,
        }
    }

    /// Where in the file the chunk begins that a key is of, or would be.
    #[expect(clippy::big_endian_bytes, reason = "the order of keys is the order of chunks")]
    pub(crate) fn place(key: &[u8]) -> u64 {
        let mut chunk = [0; 4];
        chunk.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        u64::from(u32::from_be_bytes(chunk)) * CHUNK as u64
    }
}
