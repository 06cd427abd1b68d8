//! Header: the fields of a SQLite file's first bytes that matter here. (<https://sqlite.org/fileformat2.html>)

use std::ops::Range;

const PAGE_SIZE: Range<usize> = 16..18;
const WRITE_AND_READ_VERSION: Range<usize> = 18..20;
const CHANGE_COUNTER: Range<usize> = 24..28;
/// The length of the file in pages.
const PAGES: Range<usize> = 28..32;
const SCHEMA_COOKIE: Range<usize> = 40..44;
const VERSION_VALID_FOR: Range<usize> = 92..96;
/// By these bytes a connection knows whether what it remembers of the file still holds.
const VALIDITY: Range<usize> = 24..40;
/// A version of 2 means that there is a log beside the file.
const WAL: u8 = 2;
const ROLLBACK: u8 = 1;

/// The first chunk of a file.
pub(super) struct Header<B>(pub(super) B);

#[expect(clippy::big_endian_bytes, reason = "SQLite's format")]
impl<B: AsRef<[u8]>> Header<B> {
    fn u32(&self, at: Range<usize>) -> u32 {
        u32::from_be_bytes(self.0.as_ref()[at].try_into().expect("ranges of four bytes"))
    }

    pub(super) fn change_counter(&self) -> u32 {
        self.u32(CHANGE_COUNTER)
    }

    pub(super) fn schema_cookie(&self) -> u32 {
        self.u32(SCHEMA_COOKIE)
    }

    /// How long the file is, as far as the header knows.
    pub(super) fn counted_len(&self) -> Option<u64> {
        let bytes = self.0.as_ref();
        let page = match u16::from_be_bytes(bytes[PAGE_SIZE].try_into().ok()?) {
            1 => 64 << 10,
            page if page.is_power_of_two() && page >= 512 => u64::from(page),
            _ => return None,
        };
        let pages = self.u32(PAGES);
        let is_valid = pages > 0 && self.u32(VERSION_VALID_FOR) == self.change_counter();
        is_valid.then(|| u64::from(pages) * page)
    }

    fn validity(&self) -> &[u8] {
        &self.0.as_ref()[VALIDITY]
    }

    fn is_wal(&self) -> bool {
        self.0.as_ref()[WRITE_AND_READ_VERSION].contains(&WAL)
    }
}

#[expect(clippy::big_endian_bytes, reason = "SQLite's format")]
impl<B: AsRef<[u8]> + AsMut<[u8]>> Header<B> {
    /// Sets the change counter. What is only valid together with it stays as valid as it was.
    fn set_counter(&mut self, counter: u32) {
        let is_valid = self.u32(VERSION_VALID_FOR) == self.change_counter();
        let valid_for = if is_valid { counter } else { counter.wrapping_sub(1) };
        let bytes = self.0.as_mut();
        bytes[CHANGE_COUNTER].copy_from_slice(&counter.to_be_bytes());
        bytes[VERSION_VALID_FOR].copy_from_slice(&valid_for.to_be_bytes());
    }

    /// Makes it one that every connection believes: a file in rollback mode, which is another one than
    /// `before`, if that is the header that it replaces.
    ///
    /// An image of a file that had a log would make SQLite look for that log. And a connection that may skip
    /// counting its changes, since it believes that it keeps all others out, would leave others with what they
    /// remember.
    pub(super) fn settle(&mut self, before: Option<&[u8]>) {
        let mut is_changed = false;
        if self.is_wal() {
            self.0.as_mut()[WRITE_AND_READ_VERSION].fill(ROLLBACK);
            is_changed = true;
        }
        if is_changed || before.is_some_and(|before| Header(before).validity() == self.validity()) {
            self.set_counter(self.change_counter().wrapping_add(1));
        }
    }

    /// Sets both counters above what any connection may have seen.
    pub(super) fn outrun(&mut self, counter: u32, cookie: u32) {
        self.set_counter(counter.wrapping_add(1).max(1));
        let cookie = cookie.wrapping_add(1).max(1);
        self.0.as_mut()[SCHEMA_COOKIE].copy_from_slice(&cookie.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_of_a_file_with_a_log_becomes_one_without() {
        let mut header = Header(vec![0; 100]);
        header.0[WRITE_AND_READ_VERSION].fill(WAL);
        header.settle(None);
        assert!(!header.is_wal());
        assert_eq!(header.change_counter(), 1);
    }

    #[test]
    fn a_change_that_was_not_counted_is_counted() {
        let before = vec![0; 100];
        let mut header = Header(before.clone());
        header.settle(Some(&before));
        assert_eq!((header.change_counter(), header.u32(VERSION_VALID_FOR)), (1, 1));
        let counted = header.0.clone();
        header.settle(Some(&before));
        assert_eq!(header.0, counted, "what was counted stays as it is");
    }
}
