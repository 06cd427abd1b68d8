//! `Buffer`: memory for a value that was decrypted, used again for the next one.
//!
//! What is decrypted needs memory of its own, where a plain value is handed out as the mapping of its file. To
//! get it from the allocator, and fill it with zeros first, costs a third of what decrypting costs: fresh pages
//! must be mapped in and cleared. So each thread keeps a few buffers that it has let go.

use std::cell::RefCell;

use bytes::Bytes;

/// Bytes that a thread keeps at most, in so many buffers.
const KEPT_BYTES: usize = 1 << 20;
const KEPT: usize = 8;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer with anything in it, which goes back to its thread when it is dropped.
pub(crate) struct Buffer(Vec<u8>);

impl Buffer {
    /// A buffer of `len` bytes. What stands in it is what it was last used for.
    pub(crate) fn new(len: usize) -> Self {
        let spare = SPARE.with_borrow_mut(|spare| {
            let fits = |buffer: &Vec<u8>| buffer.len() >= len && buffer.len() / 2 <= len;
            spare.iter().position(fits).map(|at| spare.swap_remove(at))
        });
        Self(spare.unwrap_or_else(|| vec![0; len])).cut(len)
    }

    fn cut(mut self, len: usize) -> Self {
        self.0.truncate(len);
        self
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl From<Buffer> for Bytes {
    fn from(buffer: Buffer) -> Self {
        Self::from_owner(buffer)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        // A thread that is ending keeps nothing.
        let kept = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            let bytes: usize = spare.iter().map(Vec::capacity).sum();
            if spare.len() < KEPT && bytes + buffer.capacity() <= KEPT_BYTES {
                spare.push(buffer);
            }
        });
        kept.unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Vec<usize> {
        SPARE.with_borrow(|spare| spare.iter().map(Vec::len).collect())
    }

    #[test]
    fn what_was_let_go_is_used_again_and_not_too_much_is_kept() {
        let mut buffer = Buffer::new(1000);
        buffer.bytes().fill(7);
        let bytes = Bytes::from(buffer);
        let (slice, place) = (bytes.slice(10..20), bytes.as_ptr());
        drop(bytes);
        assert_eq!((&slice[..], kept()), (&[7; 10][..], vec![]));
        drop(slice);
        assert_eq!(kept(), [1000]);
        // One that is far too large is not taken for a small value.
        assert_eq!(Buffer::new(100).as_ref(), [0; 100]);
        let again = Buffer::new(900);
        assert_eq!((again.as_ref().len(), again.as_ref().as_ptr()), (900, place));
        let many: Vec<_> = (0..40).map(|_| Buffer::new(64 << 10)).collect();
        drop((many, again, Buffer::new(4 << 20)));
        assert!(kept().len() <= KEPT && kept().iter().sum::<usize>() <= KEPT_BYTES);
    }
}
