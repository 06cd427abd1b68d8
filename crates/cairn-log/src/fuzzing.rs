//! Bodies of the fuzz targets: they run under libFuzzer, in tests over the corpus, and in property
//! tests. Not part of the public interface.

use std::path::Path;

use cairn_io::{FileExt, MemDisk, Name};

use crate::{
    FRAME_LEN, FileHeader, FileSeed, FrameHeader, HEADER_LEN, LogFile, Scan, Scanner, Uuid, crc32c,
    dump, layout, tail,
};

/// Any 24 bytes as a record header: decoding must not panic, and what it accepts must be what
/// encoding gives.
pub fn record_header(input: &[u8]) {
    let Some((frame, _)) = input.split_first_chunk::<FRAME_LEN>() else { return };
    let seed = FileSeed::of(Uuid([1; 16]));
    let mut frame = *frame;
    for repair in [false, true] {
        if repair {
            let crc = crc32c(&frame[4..]) ^ seed.at(8192);
            frame[..4].copy_from_slice(&crc.to_le_bytes());
        }
        if let Ok(header) = FrameHeader::decode(&frame, seed, 8192) {
            assert_eq!(header.encode(seed, 8192), frame);
        }
    }
}

/// Any bytes as a file header, as they are and with the checksum made right.
pub fn file_header(input: &[u8]) {
    let mut block = vec![0; layout::file_header::LEN];
    let len = input.len().min(block.len());
    block[..len].copy_from_slice(&input[..len]);
    let path = Path::new("fuzz");
    for repair in [false, true] {
        if repair {
            layout::file_header::MAGIC.set_bytes(&mut block, b"CAIRNLOG");
            let crc = crc32c(&block[..layout::file_header::CRC.offset]);
            layout::file_header::CRC.set_number(&mut block, crc.into());
        }
        if let Ok(header) = FileHeader::decode(&block, path) {
            assert_eq!(header.encode()[..], block[..], "one header has one encoding");
        }
    }
}

/// Any bytes as the records of a file, with every header and payload checksum that can be made
/// right made right: scanning, dumping, reading each position and judging the tail must not panic.
pub fn file_scan(input: &[u8]) {
    let header = FileHeader {
        capacity: 1 << 20,
        max_unsynced: 4096,
        ..FileHeader::first(
            crate::FileClass::Journal,
            crate::FileNumber::FIRST,
            Uuid([1; 16]),
            Uuid([2; 16]),
        )
    };
    let mut bytes = header.encode().to_vec();
    bytes.extend_from_slice(&input[..input.len().min(1 << 16)]);
    repair_checksums(&mut bytes, FileSeed::of(header.file));

    let disk = MemDisk::new();
    let name = Name::constant("file");
    let Ok(handle) = disk.root().create(&name) else { return };
    if handle.write_all_at(0, &bytes).is_err() {
        return;
    }
    let file = LogFile::open_any(handle).expect("the header is whole");
    let mut scanner = Scanner::new(&file, u64::MAX);
    let mut lsns = Vec::new();
    let stop = loop {
        match scanner.next().expect("memory does not fail") {
            Scan::Record(record) => lsns.push(record.lsn),
            Scan::End(stop) => break stop,
        }
    };
    for lsn in lsns {
        file.read(lsn).expect("what a scan finds whole can be read");
    }
    let known_durable = scanner.known_durable();
    tail::judge(&file, &stop, tail::Outside { known_durable, ..tail::Outside::default() })
        .expect("memory does not fail");
    dump::dump(&file, &|_, body| Some(dump::show_bytes(body, 16)), &mut |_| ())
        .expect("memory does not fail");
}

/// Walks from record to record by the lengths in the headers and makes checksums right.
fn repair_checksums(bytes: &mut [u8], seed: FileSeed) {
    let mut at = layout::file_header::LEN;
    while at + FRAME_LEN <= bytes.len() {
        let len = layout::frame::LENGTH.number(&bytes[at..]);
        let padded = usize::try_from(len).map_or(usize::MAX, |len| len.saturating_add(7) & !7);
        let Some(end) = (at + FRAME_LEN).checked_add(padded).filter(|&end| end <= bytes.len())
        else {
            return;
        };
        let body_crc = crc32c(&bytes[at + FRAME_LEN..end]);
        layout::frame::BODY_CRC.set_number(&mut bytes[at..], body_crc.into());
        let head = crc32c(&bytes[at + 4..at + FRAME_LEN]) ^ seed.at(at as u64);
        layout::frame::HEAD_CRC.set_number(&mut bytes[at..], head.into());
        at = end;
    }
}

const _: () = assert!(HEADER_LEN == layout::file_header::LEN as u64);
