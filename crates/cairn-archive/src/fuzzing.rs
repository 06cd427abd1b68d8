//! Bodies of the fuzz targets. Not part of the public interface.

use crate::{ArchiveKeys, ArchiveReader, Item};

/// Any bytes as an archive: reading ends, and what it gives is in order and adds up.
pub fn archive(input: &[u8]) {
    let Ok(mut reader) = ArchiveReader::new(input, "fuzz", &ArchiveKeys::none()) else { return };
    let (mut entries, mut left) = (0, 0);
    loop {
        match reader.next() {
            Ok(Item::Database(_)) => assert_eq!(left, 0),
            Ok(Item::Entry { value_len, .. }) => {
                assert_eq!(left, 0);
                (entries, left) = (entries + 1, value_len);
            }
            Ok(Item::Value(piece)) => left -= piece.len() as u64,
            Ok(Item::End(totals)) => {
                assert_eq!((totals.entries(), left), (entries, 0));
                return;
            }
            Err(_) => return,
        }
    }
}
