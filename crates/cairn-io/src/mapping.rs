//! Read-only views of a file's pages, and memory that is lent by the page: the only `unsafe` code of the crate.
//!
//! A file is mapped once, as a whole, and the mapping stays a raw pointer. A slice is made only of
//! the range that a caller asks for, and callers ask only for records that are completely written,
//! checked, and never written again (the contract of [`File::map`](crate::File::map)). So no
//! reference covers bytes that this process still writes, although the file's tail is written
//! while its older records are read.
//!
//! What remains cannot be excluded by any program: when another program cuts the file, or the
//! device fails under a page, touching the page raises SIGBUS and the process dies; when another
//! program overwrites the range, the slice changes; and the system may drop a page and read it
//! again from the device without any check. Whoever must not live with that switches mapping off:
//! [`RealOptions::mapping`](crate::RealOptions::mapping).

use std::{io, os::fd::OwnedFd, sync::Arc};

use arc_swap::ArcSwapOption;
use bytes::{Bytes, BytesMut};
use memmap2::{MmapOptions, MmapRaw};

/// The mapping of one open file, made when first needed and made anew when the file has grown.
#[derive(Default)]
pub(crate) struct Mapping {
    whole: ArcSwapOption<MmapRaw>,
}

impl Mapping {
    /// The range as bytes that keep the mapping alive. `file_len` is asked only if the range is
    /// not mapped yet.
    pub(crate) fn slice(
        &self,
        fd: &OwnedFd,
        offset: u64,
        len: usize,
        file_len: impl FnOnce() -> io::Result<u64>,
    ) -> io::Result<Bytes> {
        let end = usize::try_from(offset).ok().and_then(|start| start.checked_add(len));
        let Some(end) = end else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        let whole = match self.whole.load_full().filter(|whole| end <= whole.len()) {
            Some(whole) => whole,
            None => {
                let file_len = usize::try_from(file_len()?).unwrap_or(usize::MAX);
                if end > file_len {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                if len == 0 {
                    return Ok(Bytes::new()); // nothing can be mapped of an empty file
                }
                let whole = Arc::new(MmapOptions::new().len(file_len).map_raw_read_only(fd)?);
                self.whole.store(Some(Arc::clone(&whole)));
                whole
            }
        };
        Ok(Bytes::from_owner(Range { whole, start: end - len, len }))
    }

    /// Forgets the mapping, so that the next range is checked against the file's length again.
    /// Views handed out keep theirs.
    pub(crate) fn forget(&self) {
        self.whole.store(None);
    }
}

/// One range of a mapping.
struct Range {
    whole: Arc<MmapRaw>,
    start: usize,
    len: usize,
}

impl AsRef<[u8]> for Range {
    fn as_ref(&self) -> &[u8] {
        assert!(self.start <= self.whole.len() && self.len <= self.whole.len() - self.start);
        let first = self.whole.as_ptr().wrapping_add(self.start);
        // SAFETY: the range lies within the mapping (asserted above; `first` is in bounds, so that
        // wrapping changes nothing), which `self.whole` keeps mapped for as long as `self` is
        // borrowed. `u8` has no alignment or invalid values. Nobody in this process writes to the
        // range any more: callers of `File::map` ask only for finished records. What other
        // programs may do is described at the top of this file.
        unsafe { std::slice::from_raw_parts(first, self.len) }
    }
}

/// Bytes of a huge page.
pub const HUGE_PAGE: usize = 2 << 20;

/// `len` bytes of zeros, beginning with a page. If they are to lie `on_huge_pages`, they begin with one of those, and the
/// system is asked to make them when they are first touched: reading at random in them costs fewer walks of the page table.
/// It may not do so, and does it only on Linux; nothing else is different then. No memory is taken before it is touched.
#[must_use]
pub fn lend_pages(len: usize, on_huge_pages: bool) -> BytesMut {
    let page = if on_huge_pages { HUGE_PAGE } else { LARGEST_PAGE };
    let mut bytes = BytesMut::zeroed(len + page);
    let first = bytes.as_ptr().align_offset(page);
    let mut bytes = bytes.split_off(first.min(page));
    bytes.truncate(len);
    #[cfg(all(target_os = "linux", not(miri)))]
    if on_huge_pages {
        let (first, len) = (bytes.as_mut_ptr().cast(), bytes.len());
        // SAFETY: the range is that of `bytes`, and the advice changes how its pages lie in memory, not what they hold.
        let advised = unsafe { rustix::mm::madvise(first, len, rustix::mm::Advice::LinuxHugepage) };
        // A system without huge pages refuses; small ones do as well.
        advised.unwrap_or(());
    }
    bytes
}

/// The largest pages that a supported system has, apart from huge ones.
const LARGEST_PAGE: usize = 64 << 10;

/// Gives memory that nobody needs the contents of back to the system, as far as it consists of whole, aligned pieces of 64
/// KiB; it comes again, as zeros, when it is touched. What the bytes are afterwards is not said. Only on Linux is
/// anything done at all.
pub fn give_pages_back(bytes: &mut [u8]) {
    #[cfg(all(target_os = "linux", not(miri)))]
    {
        let first = bytes.as_ptr().align_offset(LARGEST_PAGE).min(bytes.len());
        let whole = &mut bytes[first..];
        let len = whole.len() / LARGEST_PAGE * LARGEST_PAGE;
        if len > 0 {
            let first = whole.as_mut_ptr().cast();
            // SAFETY: the range lies within `whole`, begins with a page and has whole ones, so that no other memory is
            // touched; nobody else looks at it, since it is borrowed exclusively, and whatever bytes it holds
            // afterwards (zeros, if the memory belongs to no file) are valid ones.
            let given =
                unsafe { rustix::mm::madvise(first, len, rustix::mm::Advice::LinuxDontNeed) };
            given.unwrap_or(()); // it is kept, then
        }
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    let _ = bytes;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lent_memory_is_zero_and_begins_with_a_page() {
        let pages = if cfg!(miri) { 1 } else { 3 };
        let mut bytes = lend_pages(pages * HUGE_PAGE, true);
        assert_eq!((bytes.len(), bytes.as_ptr().align_offset(HUGE_PAGE)), (pages * HUGE_PAGE, 0));
        let mut rest = bytes.split_off(100);
        bytes.fill(7);
        rest[..100].fill(9);
        assert!(bytes.iter().all(|byte| *byte == 7));
        assert!(
            rest[..100].iter().all(|byte| *byte == 9)
                && rest[100..5000].iter().all(|byte| *byte == 0)
        );
    }
    #[test]
    fn memory_that_is_given_back_can_be_used_again_and_its_neighbours_stay() {
        let mut bytes = lend_pages(3 * LARGEST_PAGE, false);
        assert_eq!(bytes.as_ptr().align_offset(LARGEST_PAGE), 0);
        bytes.fill(7);
        let (before, after) = (100, 3 * LARGEST_PAGE - 100);
        give_pages_back(&mut bytes[before..after]);
        let is_left = |part: &[u8]| part.iter().all(|byte| *byte == 7);
        assert!(is_left(&bytes[..LARGEST_PAGE]) && is_left(&bytes[2 * LARGEST_PAGE..]));
        if cfg!(all(target_os = "linux", not(miri))) {
            assert!(bytes[LARGEST_PAGE..2 * LARGEST_PAGE].iter().all(|byte| *byte == 0));
        }
        bytes.fill(9);
        assert!(bytes.iter().all(|byte| *byte == 9));
        give_pages_back(&mut bytes[..0]);
        give_pages_back(&mut []);
    }
}
