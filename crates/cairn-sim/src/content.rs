//! `Content`: the bytes of a file, shared in pieces between many images of a disk.
//!
//! A sweep makes thousands of images that differ in a few hundred bytes. So a file is a list of
//! shared chunks; writing copies only the chunks that it meets, and each chunk remembers its hash.

use std::sync::{Arc, OnceLock};

use crate::hash::Hasher;

const CHUNK: usize = 4096;

/// The bytes of a file. Clones are cheap and share everything until one is written to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    len: usize,
    /// As many as the length needs. What the last one holds past the length is zero.
    chunks: Vec<Chunk>,
    hash: OnceLock<u128>,
    flat: OnceLock<Arc<Vec<u8>>>,
}

/// `None` is a chunk of zeros.
type Chunk = Option<Arc<Bytes>>;

#[derive(Debug)]
struct Bytes {
    bytes: [u8; CHUNK],
    hash: OnceLock<u128>,
}

const ZEROS: [u8; CHUNK] = [0; CHUNK];
static HASH_OF_ZEROS: OnceLock<u128> = OnceLock::new();

impl Content {
    pub(crate) fn new(bytes: Arc<Vec<u8>>) -> Self {
        let chunks = bytes.chunks(CHUNK).map(|part| {
            let mut whole = ZEROS;
            whole[..part.len()].copy_from_slice(part);
            (whole != ZEROS).then(|| Arc::new(Bytes { bytes: whole, hash: OnceLock::new() }))
        });
        let (len, chunks) = (bytes.len(), chunks.collect());
        Self(Arc::new(Inner { len, chunks, hash: OnceLock::new(), flat: bytes.into() }))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len
    }

    /// All bytes in one piece; made once for all clones.
    pub(crate) fn flat(&self) -> Arc<Vec<u8>> {
        let flat = self.0.flat.get_or_init(|| {
            let mut flat = Vec::with_capacity(self.0.chunks.len() * CHUNK);
            for chunk in &self.0.chunks {
                flat.extend_from_slice(chunk.as_ref().map_or(&ZEROS, |chunk| &chunk.bytes));
            }
            flat.truncate(self.0.len);
            Arc::new(flat)
        });
        Arc::clone(flat)
    }

    /// The same for the same bytes, however they came about.
    pub(crate) fn hash(&self) -> u128 {
        *self.0.hash.get_or_init(|| {
            let mut hasher = Hasher::new();
            hasher.word(self.0.len as u64);
            for chunk in &self.0.chunks {
                hasher.wide(match chunk {
                    Some(chunk) => *chunk.hash.get_or_init(|| hash_of(&chunk.bytes)),
                    None => *HASH_OF_ZEROS.get_or_init(|| hash_of(&ZEROS)),
                });
            }
            hasher.finish()
        })
    }

    pub(crate) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if bytes.is_empty() {
            return;
        }
        let inner = self.edit();
        if inner.len < end {
            inner.len = end;
            inner.chunks.resize(end.div_ceil(CHUNK), None);
        }
        let mut rest = bytes;
        let mut at = offset;
        while !rest.is_empty() {
            let within = at % CHUNK;
            let (part, later) = rest.split_at(rest.len().min(CHUNK - within));
            chunk_mut(&mut inner.chunks[at / CHUNK])[within..within + part.len()]
                .copy_from_slice(part);
            at += part.len();
            rest = later;
        }
    }

    pub(crate) fn set_len(&mut self, len: usize) {
        let inner = self.edit();
        let cut = len < inner.len;
        inner.len = len;
        inner.chunks.resize(len.div_ceil(CHUNK), None);
        if cut
            && !len.is_multiple_of(CHUNK)
            && let Some(last) = inner.chunks.last_mut()
            && last.is_some()
        {
            chunk_mut(last)[len % CHUNK..].fill(0);
        }
    }

    /// The inside to change, with nothing remembered of how it was.
    fn edit(&mut self) -> &mut Inner {
        if Arc::get_mut(&mut self.0).is_none() {
            let Inner { len, chunks, .. } = &*self.0;
            self.0 = Arc::new(Inner { len: *len, chunks: chunks.clone(), ..Inner::default() });
        }
        let inner = Arc::get_mut(&mut self.0).expect("sole owner because it has just been copied");
        inner.hash = OnceLock::new();
        inner.flat = OnceLock::new();
        inner
    }
}

fn chunk_mut(chunk: &mut Chunk) -> &mut [u8; CHUNK] {
    let shared =
        chunk.get_or_insert_with(|| Arc::new(Bytes { bytes: ZEROS, hash: OnceLock::new() }));
    if Arc::get_mut(shared).is_none() {
        *shared = Arc::new(Bytes { bytes: shared.bytes, hash: OnceLock::new() });
    }
    let own = Arc::get_mut(shared).expect("sole owner because it has just been copied");
    own.hash = OnceLock::new();
    &mut own.bytes
}

fn hash_of(bytes: &[u8; CHUNK]) -> u128 {
    let mut hasher = Hasher::new();
    hasher.bytes(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chooser::{ChooserExt, Seeded};

    #[test]
    fn it_agrees_with_a_plain_vector_and_its_hash_is_of_the_bytes_alone() {
        let mut random = Seeded::new(1).stream("content");
        let mut model = Vec::new();
        let mut content = Content::default();
        for _ in 0..2000 {
            let shared = random.choose_bool("share").then(|| content.clone());
            let before = model.clone();
            if random.weighted(&[4, 1], "operation") == 0 {
                let offset = random.range(0..3 * CHUNK, "offset");
                let mut bytes = vec![0; random.range(0..2 * CHUNK, "len")];
                if random.choose_bool("zeros") {
                    random.fill(&mut bytes);
                }
                if !bytes.is_empty() {
                    model.resize(model.len().max(offset + bytes.len()), 0);
                    model[offset..offset + bytes.len()].copy_from_slice(&bytes);
                }
                content.write(offset, &bytes);
            } else {
                let len = random.range(0..5 * CHUNK, "len");
                model.resize(len, 0);
                content.set_len(len);
            }
            assert_eq!((content.len(), &*content.flat()), (model.len(), &model));
            assert_eq!(content.hash(), Content::new(Arc::new(model.clone())).hash());
            if let Some(shared) = shared {
                assert_eq!(*shared.flat(), before, "a clone keeps what it had");
                assert_eq!(shared.hash() == content.hash(), before == model);
            }
        }
    }
}
