//! Writing, reading back, sealing, and what is found at the end of a file.

use cairn_io::{MemDisk, Name};

use super::*;
use crate::{
    FRAME_LEN, FileClass, FileHeader, FileNumber, SEAL_RECORD_LEN, Scan, Scanner, Stop, Uuid,
    tail::{self, Outside, Reason, Verdict},
};

const SITE: SyncSite = SyncSite::new("test");

/// Of what is done at every place, an interpreter does a hundredth: it is some thousand times slower.
const RARELY: usize = if cfg!(miri) { 97 } else { 1 };
/// What is zeroed ahead is scanned: an interpreter gets a smaller file of the same shape.
const CAPACITY: u64 = if cfg!(miri) { 16 << 10 } else { 1 << 20 };
const LARGE: usize = if cfg!(miri) { 5000 } else { 50_000 };

fn header(class: FileClass, capacity: u64) -> FileHeader {
    FileHeader {
        capacity,
        max_unsynced: if capacity > 0 { 4096 } else { 0 },
        ..FileHeader::first(class, FileNumber::FIRST, Uuid([1; 16]), Uuid([2; 16]))
    }
}

fn journal(disk: &MemDisk) -> LogWriter {
    LogWriter::create(&*disk.root(), header(FileClass::Journal, CAPACITY), Some((SITE, SITE)))
        .unwrap()
}

fn put(writer: &mut LogWriter, sequence: u64, len: usize) -> Lsn {
    let payload = Payload::new(vec![7; len]).unwrap();
    if let Room::Extend(to) = writer.appender.room(payload.record_len()) {
        writer.flusher.extend(to, SITE).unwrap();
    }
    let durable = Some(writer.flusher.synced()).filter(|&at| at > HEADER_LEN);
    writer.appender.append(RecordKind::TRANSACTION, sequence, durable, &payload).unwrap()
}

/// Appends, writes and syncs one commit.
fn commit(writer: &mut LogWriter, sequence: u64, len: usize) -> Lsn {
    let lsn = put(writer, sequence, len);
    writer.write().unwrap();
    writer.sync(SITE).unwrap();
    lsn
}

/// Opens the only file of the disk, scans it, and judges its end.
fn judged(disk: &MemDisk, outside: Outside) -> (usize, tail::Tail) {
    let name = header(FileClass::Journal, 1).name();
    let file = LogFile::open(&*disk.root(), name, Uuid([1; 16])).unwrap();
    let mut scanner = Scanner::new(&file, u64::MAX);
    let mut records = 0;
    let stop = loop {
        match scanner.next().unwrap() {
            Scan::Record(_) => records += 1,
            Scan::End(stop) => break stop,
        }
    };
    let known_durable = scanner.known_durable().max(outside.known_durable);
    (records, tail::judge(&file, &stop, Outside { known_durable, ..outside }).unwrap())
}

fn damage(disk: &MemDisk, offset: u64, bytes: &[u8]) {
    let file = disk
        .root()
        .open(&header(FileClass::Journal, 1).name().to_name(), cairn_io::Access::ReadWrite);
    file.unwrap().write_all_at(offset, bytes).unwrap();
}

#[test]
fn records_are_readable_before_during_and_after_the_write() {
    let disk = MemDisk::new();
    let mut writer =
        LogWriter::create(&*disk.root(), header(FileClass::Node, 0), Some((SITE, SITE))).unwrap();
    let mut lsns = Vec::new();
    for round in 0..4u8 {
        for len in 0..40u8 {
            let lsn =
                writer.append(RecordKind::LEAF, 1, &[&vec![round; usize::from(len)]]).unwrap();
            lsns.push((lsn, vec![round; usize::from(len)]));
        }
        for (lsn, body) in &lsns {
            assert_eq!(&writer.file().read(*lsn).unwrap().body, body);
            let mut buf = Vec::new();
            let (_, len) = writer.file().read_into(*lsn, 100, &mut buf).unwrap();
            assert_eq!(&buf[FRAME_LEN..][..len], &body[..]);
        }
        if round % 2 == 0 {
            writer.write().unwrap();
        }
    }
    let Sealed { file, seal, chain } = writer.seal(CommitSpan::default(), SITE).unwrap();
    assert_eq!(file.digest(seal.file_len()).unwrap(), chain);
    assert_eq!(seal.records, 160);
    assert_eq!(check_sealed(&file, seal.file_len()).unwrap(), seal);
    for (lsn, body) in &lsns {
        assert_eq!(&file.read(*lsn).unwrap().body, body);
    }
}

/// A load of a gigabyte once kept a megabyte of empty buffer for each of its hundreds of files.
#[test]
fn a_sealed_file_keeps_no_buffer() {
    let disk = MemDisk::new();
    let mut writer =
        LogWriter::create(&*disk.root(), header(FileClass::Node, 0), Some((SITE, SITE))).unwrap();
    for _ in 0..3 {
        writer.append(RecordKind::LEAF, 1, &[&[1; 100_000]]).unwrap();
        writer.write().unwrap();
    }
    let file = writer.seal(CommitSpan::default(), SITE).unwrap().file;
    assert_eq!(lock(&file.pending).filling.capacity(), 0);
}

#[test]
fn a_sealed_file_is_whole_or_refused_whatever_bit_flips() {
    let disk = MemDisk::new();
    let mut writer =
        LogWriter::create(&*disk.root(), header(FileClass::Node, 0), Some((SITE, SITE))).unwrap();
    for len in 0..10 {
        writer.append(RecordKind::LEAF, 1, &[&vec![1; len * 3]]).unwrap();
    }
    let name = writer.file().name().to_name();
    let Sealed { file, .. } = writer.seal(CommitSpan::default(), SITE).unwrap();
    let len = file.handle().len().unwrap();
    for bit in (0..len * 8).step_by(RARELY * RARELY) {
        let mut byte = [0];
        let handle = disk.root().open(&name, cairn_io::Access::ReadWrite).unwrap();
        handle.read_exact_at(bit / 8, &mut byte).unwrap();
        let flipped = [byte[0] ^ 1 << (bit % 8)];
        handle.write_all_at(bit / 8, &flipped).unwrap();
        let opened = LogFile::open(&*disk.root(), file.name(), Uuid([1; 16]));
        assert!(opened.and_then(|file| check_sealed(&file, len)).is_err(), "bit {bit}");
        handle.write_all_at(bit / 8, &byte).unwrap();
    }
    assert!(check_sealed(&file, len).is_ok());
}

#[test]
fn a_journal_grows_only_to_its_boundaries() {
    let disk = MemDisk::new();
    let mut writer = journal(&disk);
    for sequence in 1..200 {
        commit(&mut writer, sequence, 5000);
        let (end, len) = (writer.end(), writer.file().handle().len().unwrap());
        if writer.appender.room(6000) == Room::NextFile {
            break;
        }
        assert_eq!(len, journal_boundary(end.min(len), CAPACITY), "after {end}");
        assert!(len >= end + SEAL_RECORD_LEN);
    }
    assert_eq!(journal_boundary(HEADER_LEN, 1 << 20), HEADER_LEN);
    assert_eq!(journal_boundary(HEADER_LEN + 1, 1 << 20), 64 << 10);
    assert_eq!(journal_boundary((64 << 10) + 1, 1 << 20), 128 << 10);
    assert_eq!(journal_boundary(5 << 20, 64 << 20), 8 << 20);
    assert_eq!(journal_boundary(9 << 20, 64 << 20), 12 << 20);
    assert_eq!(journal_boundary(u64::MAX, 64 << 20), 64 << 20);
    assert_eq!(journal_boundary(5000, 16 << 10), 16 << 10);
}

#[test]
fn a_log_that_ends_after_its_last_record_is_clean() {
    let disk = MemDisk::new();
    let mut writer = journal(&disk);
    let end = commit(&mut writer, 1, 100).offset() + 24 + 104;
    let (records, tail) = judged(&disk, Outside::default());
    assert_eq!((records, tail.verdict, tail.offset, tail.bytes), (1, Verdict::Clean, end, 0));
}

#[test]
fn a_record_cut_short_in_the_last_group_is_a_torn_tail() {
    let disk = MemDisk::new();
    let mut writer = journal(&disk);
    commit(&mut writer, 1, 100);
    let last = commit(&mut writer, 2, 100);
    for keep in (0..24 + 104).step_by(RARELY) {
        let forked = disk.fork();
        damage(&forked, last.offset() + keep, &vec![0; usize::try_from(24 + 104 - keep).unwrap()]);
        let (records, tail) = judged(&forked, Outside::default());
        assert!(matches!(tail.verdict, Verdict::Torn | Verdict::Clean), "{keep}: {tail:?}");
        assert!(records == 1 || keep >= 124, "{keep}");
        let strict = judged(&forked, Outside { strict: true, ..Outside::default() }).1;
        assert_eq!(strict.verdict == Verdict::Clean, tail.verdict == Verdict::Clean);
    }
}

#[test]
fn damage_before_a_synced_record_is_never_taken_for_the_end() {
    let disk = MemDisk::new();
    let mut writer = journal(&disk);
    let first = commit(&mut writer, 1, 100);
    commit(&mut writer, 2, 100);
    commit(&mut writer, 3, 100);
    for bit in (0..(24 + 104) * 8).step_by(if cfg!(miri) { 307 } else { 1 }) {
        let forked = disk.fork();
        let mut byte = [0];
        let at = first.offset() + bit / 8;
        writer.file().handle().read_exact_at(at, &mut byte).unwrap();
        damage(&forked, at, &[byte[0] ^ 1 << (bit % 8)]);
        let (records, tail) = judged(&forked, Outside::default());
        assert_eq!(records, 0);
        assert_eq!(tail.verdict, Verdict::Corrupt(Reason::WatermarkBehind), "bit {bit}");
    }
}

#[test]
fn writes_of_one_group_that_arrived_out_of_order_are_torn() {
    let disk = MemDisk::new();
    let mut writer = journal(&disk);
    commit(&mut writer, 1, 100);
    let lost = put(&mut writer, 2, 100);
    put(&mut writer, 3, 100);
    writer.write().unwrap(); // never synced
    damage(&disk, lost.offset(), &[0; 24 + 104]);
    let (records, tail) = judged(&disk, Outside::default());
    assert_eq!((records, tail.verdict, tail.bytes), (1, Verdict::Torn, 24 + 100 + 24 + 104));
}

#[test]
fn what_is_recorded_outside_of_the_file_decides_first() {
    let disk = MemDisk::new();
    let mut writer = journal(&disk);
    let end = commit(&mut writer, 1, 100).offset() + 24 + 104;
    let verdict = |outside| judged(&disk, outside).1.verdict;
    let beyond = Outside { recorded_end: Some(end + 8), ..Outside::default() };
    assert_eq!(verdict(beyond), Verdict::Corrupt(Reason::BelowRecordedEnd));
    let beyond = Outside { known_durable: end + 8, ..Outside::default() };
    assert_eq!(verdict(beyond), Verdict::Corrupt(Reason::BelowWatermark));
    let here =
        Outside { recorded_end: Some(end), known_durable: end, promised: true, strict: true };
    assert_eq!(verdict(here), Verdict::Clean);
}

#[test]
fn a_journal_cut_at_any_length_is_noticed() {
    let disk = MemDisk::new();
    let mut writer = journal(&disk);
    for sequence in 1..40 {
        commit(&mut writer, sequence, 4000);
    }
    let name = writer.file().name().to_name();
    let len = writer.file().handle().len().unwrap();
    assert!(len > 128 << 10);
    for cut in (HEADER_LEN..len).step_by(333) {
        let forked = disk.fork();
        forked.root().open(&name, cairn_io::Access::ReadWrite).unwrap().set_len(cut).unwrap();
        let (_, tail) = judged(&forked, Outside { promised: true, ..Outside::default() });
        assert!(matches!(tail.verdict, Verdict::Corrupt(_)), "cut at {cut}: {tail:?}");
    }
}

#[test]
fn more_bytes_than_can_be_unsynced_are_damage() {
    let disk = MemDisk::new();
    let mut writer = journal(&disk);
    let end = commit(&mut writer, 1, 100).offset() + 24 + 104;
    damage(&disk, end, &[0xaa; 5000]);
    let (_, tail) = judged(&disk, Outside::default());
    assert_eq!(tail.verdict, Verdict::Corrupt(Reason::TooMuchBehind));
}

#[test]
fn a_full_file_says_so_and_still_takes_its_seal() {
    let disk = MemDisk::new();
    let mut writer =
        LogWriter::create(&*disk.root(), header(FileClass::Journal, 16 << 10), Some((SITE, SITE)))
            .unwrap();
    let payload = Payload::new(vec![1; 1000]).unwrap();
    writer.flusher.extend(16 << 10, SITE).unwrap();
    while writer.appender.room(payload.record_len()) == Room::Here {
        writer.appender.append(RecordKind::TRANSACTION, 1, None, &payload).unwrap();
    }
    assert_eq!(writer.appender.room(payload.record_len()), Room::NextFile);
    assert!(writer.appender.append(RecordKind::TRANSACTION, 1, None, &payload).is_err());
    let Sealed { file, seal, chain } = writer.seal(CommitSpan::default(), SITE).unwrap();
    assert_eq!(file.digest(seal.file_len()).unwrap(), chain);
    assert_eq!(check_sealed(&file, seal.file_len()).unwrap(), seal);
    assert_eq!(file.handle().len().unwrap(), seal.file_len());
    assert!(disk.root().open(&Name::constant("other"), cairn_io::Access::Read).is_err());
}

/// A reader beside the writer has opened the file while it was zeroed ahead.
#[test]
fn a_file_that_is_ended_while_somebody_scans_it_ends_with_its_seal() {
    let disk = MemDisk::new();
    let mut writer = journal(&disk);
    commit(&mut writer, 1, 100);
    let name = writer.file().name();
    let reader = LogFile::open(&*disk.root(), name, Uuid([1; 16])).unwrap();
    let mut early = Scanner::new(&reader, u64::MAX);
    assert!(matches!(early.next().unwrap(), Scan::Record(_)));
    commit(&mut writer, 2, LARGE);
    commit(&mut writer, 3, 100);
    writer.seal(CommitSpan::default(), SITE).unwrap();
    let (mut late, mut records) = (Scanner::new(&reader, u64::MAX), 0);
    let stop = loop {
        match late.next().unwrap() {
            Scan::Record(_) => records += 1,
            Scan::End(stop) => break stop,
        }
    };
    assert_eq!((records, stop.seal.map(|seal| seal.records)), (4, Some(3)));
    // What the early one has read ahead is a prefix.
    assert!(matches!(early.next().unwrap(), Scan::End(Stop { seal: None, .. })));
}

#[test]
fn a_compressed_node_is_read_as_it_was() {
    let disk = MemDisk::new();
    let features = crate::FileFeatures::of_new(FileClass::Node, true);
    let header = FileHeader { features, ..header(FileClass::Node, 0) };
    let mut writer = LogWriter::create(&*disk.root(), header.clone(), None).unwrap();
    let bodies = [vec![7; 3000], (0..=255).collect(), b"pear, apple; ".repeat(40)];
    let mut records = Vec::new();
    for (sequence, body) in (1..).zip(&bodies) {
        let payload = Payload::compressed(body.clone()).unwrap();
        let is_shorter = payload.record_len() < body.len() as u64;
        let (lsn, crc) = writer.append_payload(RecordKind::LEAF, sequence, &payload).unwrap();
        records.push((lsn, crc, is_shorter));
    }
    assert_eq!(records.iter().filter(|(_, _, is_shorter)| *is_shorter).count(), 2);
    let look = |file: &LogFile| {
        for (body, (lsn, crc, _)) in bodies.iter().zip(&records) {
            let record = file.read(*lsn).unwrap();
            assert_eq!((&record.body, record.header.body_crc), (body, *crc));
            for hint in [0, 100, 9000] {
                let mut buf = vec![1; 5];
                let (header, len) = file.read_into(*lsn, hint, &mut buf).unwrap();
                assert_eq!((header, &buf[FRAME_LEN..][..len]), (record.header, &body[..]));
            }
        }
        let mut scanner = Scanner::new(file, u64::MAX);
        for body in &bodies {
            let Scan::Record(record) = scanner.next().unwrap() else { panic!("it is whole") };
            assert_eq!(record.body, body);
        }
        assert!(matches!(scanner.next().unwrap(), Scan::Record(_) | Scan::End(_)));
    };
    look(writer.file());
    writer.seal(CommitSpan::default(), SITE).unwrap();
    look(writer.file());
    look(&LogFile::open(&*disk.root(), header.name(), header.environment).unwrap());
}
