//! Forging: what somebody without the key does so that nothing but a tag gives him away.

use std::ops::Range;

use cairn_io::{Access, MemDisk};
use cairn_log::{
    Digest, FRAME_LEN, FileSeed, LogFile, RecordKind, Scan, Scanner, TAGGED_SEAL_RECORD_LEN, Uuid,
    crc32c, layout,
};

/// The records of a log file, without its key: where each stands.
pub(super) fn records(content: &[u8]) -> Vec<Range<usize>> {
    let disk = MemDisk::new();
    let name = cairn_io::Name::constant("file");
    let read = || -> Option<Vec<Range<usize>>> {
        disk.write("file", content.to_vec()).ok()?;
        let file = LogFile::open_any(disk.root().open(&name, Access::Read).ok()?).ok()?;
        let (mut scanner, mut records) = (Scanner::new(&file, u64::MAX), Vec::new());
        while let Ok(Scan::Record(record)) = scanner.next() {
            let at = usize::try_from(record.lsn.offset()).ok()?;
            records.push(at..at + usize::try_from(record.header.record_len()).ok()?);
        }
        Some(records)
    };
    read().unwrap_or_default()
}

/// Makes right what can be computed without the key: the checksums of the header and of the record at `at`, if
/// there is one, and if the file ends with a seal, the digest in it and its checksums.
pub(super) fn put_right(bytes: &mut [u8], at: Option<usize>) {
    let Some((head, _)) = bytes.split_at_checked(layout::file_header::LEN) else { return };
    let crc = crc32c(&head[..layout::file_header::CRC.offset]);
    let Ok(uuid) = layout::file_header::FILE.of(head).try_into().map(Uuid) else { return };
    layout::file_header::CRC.set_number(bytes, crc.into());
    if let Some(at) = at {
        put_record_right(bytes, at, uuid);
    }
    let seal_len = usize::try_from(TAGGED_SEAL_RECORD_LEN).unwrap_or(usize::MAX);
    let seal = bytes.len().checked_sub(seal_len).filter(|seal| *seal > layout::file_header::LEN);
    let is_seal = |at: &usize| bytes[at + layout::frame::KIND.offset] == RecordKind::SEAL.code();
    if let Some(seal) = seal.filter(is_seal) {
        let digest = Digest::of(&bytes[..seal]);
        layout::seal::DIGEST.set_bytes(&mut bytes[seal + FRAME_LEN..], &digest.0);
        put_record_right(bytes, seal, uuid);
    }
}

fn put_record_right(bytes: &mut [u8], at: usize, uuid: Uuid) {
    let Some(record) = bytes.get_mut(at..).filter(|record| record.len() >= FRAME_LEN) else {
        return;
    };
    let len = usize::try_from(layout::frame::LENGTH.number(record)).unwrap_or(usize::MAX);
    let end = len.checked_next_multiple_of(8).and_then(|len| len.checked_add(FRAME_LEN));
    let Some(record) = end.and_then(|end| record.get_mut(..end)) else { return };
    let body = crc32c(&record[FRAME_LEN..]);
    layout::frame::BODY_CRC.set_number(record, body.into());
    let head = crc32c(&record[layout::frame::HEAD_CRC.end()..FRAME_LEN]);
    layout::frame::HEAD_CRC.set_number(record, (head ^ FileSeed::of(uuid).at(at as u64)).into());
}
