//! Read-only views of a file's pages, and memory on huge pages: the only `unsafe` code of the crate.
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

/// So many huge pages of zeros, of which the system is asked to make huge pages when they are first touched: reading at
/// random in them costs fewer walks of the page table. It may not do so, and does it only on Linux; nothing else is
/// different then. No memory is taken before it is touched.
#[must_use]
pub fn on_huge_pages(pages: usize) -> BytesMut {
    let mut bytes = BytesMut::zeroed((pages + 1) * HUGE_PAGE);
    let first = bytes.as_ptr().align_offset(HUGE_PAGE);
    let mut bytes = bytes.split_off(first.min(HUGE_PAGE));
    bytes.truncate(pages * HUGE_PAGE);
    #[cfg(all(target_os = "linux", not(miri)))]
    {
        let (first, len) = (bytes.as_mut_ptr().cast(), bytes.len());
        // SAFETY: the range is that of `bytes`, and the advice changes how its pages lie in memory, not what they hold.
        let advised = unsafe { rustix::mm::madvise(first, len, rustix::mm::Advice::LinuxHugepage) };
        // A system without huge pages refuses; small ones do as well.
        advised.unwrap_or(());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_on_huge_pages_is_zero_and_begins_with_one() {
        let pages = if cfg!(miri) { 1 } else { 3 };
        let mut bytes = on_huge_pages(pages);
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
}
