//! Memory: a file that no other handle sees, and that is gone with it: SQLite's journals.

/// Bytes are kept in pieces of this length, so that a long file is not moved as it grows.
const PIECE: usize = 64 << 10;

/// A file in memory.
#[derive(Debug, Default)]
pub(crate) struct MemoryFile {
    pieces: Vec<Box<[u8]>>,
    len: usize,
}

impl MemoryFile {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Reads as far as there is something, and returns how far that was.
    pub(crate) fn read(&self, offset: usize, out: &mut [u8]) -> usize {
        let there = self.len.saturating_sub(offset).min(out.len());
        let mut done = 0;
        while done < there {
            let (piece, at) = ((offset + done) / PIECE, (offset + done) % PIECE);
            let now = (there - done).min(PIECE - at);
            out[done..done + now].copy_from_slice(&self.pieces[piece][at..at + now]);
            done += now;
        }
        there
    }

    /// Writes; what lies between is zero. `false` if there is no memory for it.
    pub(crate) fn write(&mut self, offset: usize, bytes: &[u8]) -> bool {
        let Some(end) = offset.checked_add(bytes.len()) else { return false };
        while self.pieces.len() * PIECE < end {
            self.pieces.push(vec![0; PIECE].into());
        }
        let mut done = 0;
        while done < bytes.len() {
            let (piece, at) = ((offset + done) / PIECE, (offset + done) % PIECE);
            let now = (bytes.len() - done).min(PIECE - at);
            self.pieces[piece][at..at + now].copy_from_slice(&bytes[done..done + now]);
            done += now;
        }
        self.len = self.len.max(end);
        true
    }

    /// Cuts it, or makes it longer with zeros.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.pieces.truncate(len.div_ceil(PIECE));
        while self.pieces.len() * PIECE < len {
            self.pieces.push(vec![0; PIECE].into());
        }
        if len < self.len && !len.is_multiple_of(PIECE) {
            self.pieces[len / PIECE][len % PIECE..].fill(0);
        }
        self.len = len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_is_zero_when_it_comes_back() {
        let mut file = MemoryFile::default();
        assert!(file.write(PIECE - 3, b"abcdef"));
        assert_eq!(file.len(), PIECE + 3);
        file.truncate(PIECE - 1);
        file.truncate(PIECE + 1);
        let mut out = [9; 6];
        assert_eq!(file.read(PIECE - 3, &mut out), 4);
        assert_eq!(out, *b"ab\0\0\x09\x09");
        assert_eq!(file.read(PIECE + 8, &mut out), 0);
    }
}
