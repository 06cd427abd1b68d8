//! Encrypted files: written, read with and without the key, and changed by somebody who has none.

use cairn_io::{Access, MemDisk};

use super::*;
use crate::{
    Audit, DataKey, DataKeys, FRAME_LEN, FileClass, FileHeader, FileNumber, FileSeed, Inset,
    Record, Scan, Scanner, Stop, TAG_LEN, Uuid, crc32c, layout,
    tail::{self, Outside, Reason, Verdict},
};

const SITE: SyncSite = SyncSite::new("test");
const CANARY: &[u8] = b"nobody may read this";

/// An interpreter needs seconds to unlock a file: it does a few of many cases, with fewer records.
const RARELY: usize = if cfg!(miri) { 131 } else { 1 };
const RECORDS: u8 = if cfg!(miri) { 4 } else { 20 };
const CAPACITY: u64 = if cfg!(miri) { 16 << 10 } else { 1 << 20 };

fn keys() -> DataKeys {
    DataKeys::new([(3, DataKey::new([7; 32]))]).unwrap()
}

fn new_file(class: FileClass) -> NewFile {
    let capacity = if class == FileClass::Journal { CAPACITY } else { 0 };
    let header = FileHeader {
        capacity,
        max_unsynced: capacity / 16,
        ..FileHeader::first(class, FileNumber::FIRST, Uuid([1; 16]), Uuid([2; 16]))
    };
    NewFile::encrypted(header, &keys(), [5; 32], Uuid::default())
}

fn writer(disk: &MemDisk, class: FileClass) -> LogWriter {
    LogWriter::create(&*disk.root(), new_file(class), Some((SITE, SITE))).unwrap()
}

/// The only file of the disk, opened anew, without its key.
fn locked(disk: &MemDisk) -> LogFile {
    let name = disk.root().list().unwrap().remove(0).name.unwrap();
    LogFile::open_any(disk.root().open(&name, Access::Read).unwrap()).unwrap()
}

fn unlocked(disk: &MemDisk) -> LogFile {
    locked(disk).unlock(&keys()).unwrap()
}

fn content(disk: &MemDisk) -> Vec<u8> {
    let file = locked(disk);
    let mut bytes = vec![0; usize::try_from(file.handle().len().unwrap()).unwrap()];
    file.handle().read_exact_at(0, &mut bytes).unwrap();
    bytes
}

fn overwrite(disk: &MemDisk, offset: u64, bytes: &[u8]) {
    let name = disk.root().list().unwrap().remove(0).name.unwrap();
    let file = disk.root().open(&name, Access::ReadWrite).unwrap();
    file.write_all_at(offset, bytes).unwrap();
}

fn scan(file: &LogFile, each: &mut dyn FnMut(Record<'_>)) -> Stop {
    let mut scanner = Scanner::new(file, u64::MAX);
    loop {
        match scanner.next().unwrap() {
            Scan::Record(record) => each(record),
            Scan::End(stop) => return stop,
        }
    }
}

/// A node file with a few records and its seal; where they stand.
fn sealed_file(disk: &MemDisk) -> Vec<(Lsn, Vec<u8>)> {
    let mut writer = writer(disk, FileClass::Node);
    let mut records = Vec::new();
    for n in 0..RECORDS {
        let body = [CANARY, &vec![n; usize::from(n)]].concat();
        records.push((writer.append(RecordKind::LEAF, n.into(), &[&body]).unwrap(), body));
    }
    for (lsn, body) in &records {
        assert_eq!(&writer.file().read(*lsn).unwrap().body, body, "from memory");
    }
    let sealed = writer.seal(CommitSpan::default(), SITE).unwrap();
    assert_eq!(sealed.seal.file_len(), sealed.file.handle().len().unwrap());
    assert_eq!(check_sealed(&sealed.file, sealed.seal.file_len()).unwrap(), sealed.seal);
    records
}

#[test]
fn records_come_back_with_the_key_and_are_whole_without() {
    let disk = MemDisk::new();
    let records = sealed_file(&disk);
    let bytes = content(&disk);
    assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY));
    let mut found = Vec::new();
    let stop = scan(&unlocked(&disk), &mut |record| found.push((record.lsn, record.body.to_vec())));
    let seal = stop.seal.unwrap();
    assert_eq!(found.len(), records.len() + 1);
    assert_eq!(found[..records.len()], records);
    let with_key = unlocked(&disk);
    for (lsn, body) in &records {
        assert_eq!(&with_key.read(*lsn).unwrap().body, body);
        assert_ne!(&locked(&disk).read(*lsn).unwrap().body, body);
    }
    // All that copying needs: headers, seal, digest.
    let file = locked(&disk);
    let mut headers = 0;
    assert_eq!(scan(&file, &mut |_| headers += 1).seal, Some(seal));
    assert_eq!(headers, records.len() + 1);
    assert_eq!(file.seal(seal.file_len()).unwrap(), Some(seal));
    assert_eq!(check_sealed(&file, seal.file_len()).unwrap(), seal);
}

#[test]
fn the_wrong_key_reads_nothing() {
    let disk = MemDisk::new();
    sealed_file(&disk);
    let wrong = DataKeys::new([(3, DataKey::new([8; 32]))]).unwrap();
    let other = DataKeys::new([(4, DataKey::new([7; 32]))]).unwrap();
    assert!(matches!(
        locked(&disk).unlock(&wrong),
        Err(LogError::Corrupt { damage: Damage::NotAuthentic, .. })
    ));
    assert!(matches!(locked(&disk).unlock(&other), Err(LogError::KeyRequired { epoch: 3, .. })));
}

/// Makes both checksums of the record at `offset` right.
fn put_right(bytes: &mut [u8], offset: usize) {
    let len = usize::try_from(layout::frame::LENGTH.number(&bytes[offset..])).unwrap();
    let end = offset + FRAME_LEN + len.next_multiple_of(8);
    let body = crc32c(&bytes[offset + FRAME_LEN..end]);
    layout::frame::BODY_CRC.set_number(&mut bytes[offset..], body.into());
    let head = crc32c(&bytes[offset + 4..offset + FRAME_LEN]);
    let head = head ^ FileSeed::of(Uuid([2; 16])).at(offset as u64);
    layout::frame::HEAD_CRC.set_number(&mut bytes[offset..], head.into());
}

#[test]
fn each_changed_byte_with_right_checksums_is_not_authentic() {
    let disk = MemDisk::new();
    let records = sealed_file(&disk);
    let bytes = content(&disk);
    let end = bytes.len();
    let places = records.iter().map(|(lsn, _)| usize::try_from(lsn.offset()).unwrap());
    let mut places: Vec<_> = places.collect();
    places.push(end - usize::try_from(crate::TAGGED_SEAL_RECORD_LEN).unwrap());
    for pair in places.iter().zip(places[1..].iter().chain([&end])).map(|(a, b)| (*a, *b)) {
        let (begin, behind) = pair;
        let len = usize::try_from(layout::frame::LENGTH.number(&bytes[begin..])).unwrap();
        // The padding included, which no tag vouches for.
        let bytes_of_it = begin + 8..begin + FRAME_LEN + len.next_multiple_of(8);
        for at in bytes_of_it.filter(|at| *at < behind && at.is_multiple_of(RARELY)) {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            if at >= begin + FRAME_LEN
                || layout::frame::LENGTH.number(&changed[begin..]) == len as u64
            {
                put_right(&mut changed, begin);
            }
            overwrite(&disk, 0, &changed);
            let file = unlocked(&disk);
            let stop = scan(&file, &mut |_| ());
            assert_eq!(stop.offset, begin as u64, "byte {at}");
            assert!(stop.damage.is_some(), "byte {at}");
            let lsn = file.lsn(begin as u64).unwrap();
            assert!(file.read(lsn).is_err(), "byte {at}");
        }
    }
}

#[test]
fn a_record_that_was_moved_or_put_in_anothers_place_is_not_authentic() {
    let disk = MemDisk::new();
    let mut writer = writer(&disk, FileClass::Node);
    for n in 0..10u8 {
        writer.append(RecordKind::LEAF, 1, &[&[n; 40]]).unwrap();
    }
    writer.seal(CommitSpan::default(), SITE).unwrap();
    let bytes = content(&disk);
    let record = |n: usize| 4096 + n * 80..4096 + (n + 1) * 80;
    let pairs = (0..100).map(|n| (n / 10, n % 10)).filter(|(from, to)| from != to);
    for (from, to) in pairs.step_by(RARELY) {
        let mut changed = bytes.clone();
        changed.copy_within(record(from), record(to).start);
        put_right(&mut changed, record(to).start);
        overwrite(&disk, 0, &changed);
        let stop = scan(&unlocked(&disk), &mut |_| ());
        assert_eq!(stop.offset, record(to).start as u64);
        assert_eq!(stop.damage, Some(Damage::NotAuthentic));
    }
}

#[test]
fn what_is_whole_and_not_authentic_is_no_torn_tail() {
    let disk = MemDisk::new();
    let mut writer = writer(&disk, FileClass::Journal);
    writer.flusher.extend(CAPACITY, SITE).unwrap();
    writer.append(RecordKind::TRANSACTION, 1, &[b"one"]).unwrap();
    let last = writer.append(RecordKind::TRANSACTION, 2, &[b"two"]).unwrap();
    writer.write().unwrap();
    let judge = || {
        let file = unlocked(&disk);
        let stop = scan(&file, &mut |_| ());
        tail::judge(&file, &stop, Outside::default()).unwrap().verdict
    };
    assert_eq!(judge(), Verdict::Clean);
    let mut bytes = content(&disk);
    let at = usize::try_from(last.offset()).unwrap();
    bytes[at + FRAME_LEN] ^= 1;
    overwrite(&disk, 0, &bytes);
    assert_eq!(judge(), Verdict::Torn, "a torn write has a wrong checksum");
    put_right(&mut bytes, at);
    overwrite(&disk, 0, &bytes);
    assert_eq!(judge(), Verdict::Corrupt(Reason::NotAuthentic));
}

#[test]
fn an_audit_with_the_key_tells_a_forged_seal() {
    let disk = MemDisk::new();
    let records = sealed_file(&disk);
    let mut bytes = content(&disk);
    let end = bytes.len() as u64;
    let audit = |file: LogFile| {
        let mut audit = Audit::new(Arc::new(file), end);
        while audit.step(1 << 16) > 0 {}
        audit.finish().spots.len()
    };
    assert_eq!((audit(locked(&disk)), audit(unlocked(&disk))), (0, 0));
    // A record is changed, and everything that can be computed without the key is put right.
    let at = usize::try_from(records[3].0.offset()).unwrap();
    bytes[at + FRAME_LEN] ^= 1;
    put_right(&mut bytes, at);
    let seal_at = bytes.len() - usize::try_from(crate::TAGGED_SEAL_RECORD_LEN).unwrap();
    let digest = Digest::of(&bytes[..seal_at]);
    layout::seal::DIGEST.set_bytes(&mut bytes[seal_at + FRAME_LEN..], &digest.0);
    put_right(&mut bytes, seal_at);
    overwrite(&disk, 0, &bytes);
    assert_eq!((audit(locked(&disk)), audit(unlocked(&disk))), (0, 1));
}

#[test]
fn an_inset_is_read_alone() {
    let disk = MemDisk::new();
    let mut writer = writer(&disk, FileClass::Value);
    let mut bytes = b"key:....".to_vec();
    bytes.extend_from_slice(CANARY);
    bytes.extend_from_slice(&[0; TAG_LEN]);
    bytes.extend_from_slice(b"behind");
    let len = u32::try_from(CANARY.len()).unwrap();
    let payload = Payload::to_encrypt(bytes, vec![Inset { offset: 8, len }]).unwrap();
    writer.append(RecordKind::VALUE, 1, &[b"before"]).unwrap();
    let (lsn, body_crc) = writer.append_payload(RecordKind::VALUE, 1, &payload).unwrap();
    assert_eq!(writer.file().read(lsn).unwrap().header.body_crc, body_crc);
    let place = lsn.offset() + (FRAME_LEN + 8) as u64;
    let read = |file: &LogFile| file.read_value(place, CANARY.len(), 0, true);
    assert_eq!(&read(writer.file()).unwrap()[..], CANARY, "from memory");
    writer.seal(CommitSpan::default(), SITE).unwrap();
    let with_key = unlocked(&disk);
    assert_eq!(&read(&with_key).unwrap()[..], CANARY);
    assert!(matches!(read(&locked(&disk)), Err(LogError::KeyRequired { .. })));
    let body = with_key.read(lsn).unwrap().body;
    assert_eq!((&body[..8], body.ends_with(b"behind")), (&b"key:...."[..], true));
    assert_eq!(&body[8..8 + CANARY.len()], CANARY);
    assert!(with_key.read_value(u64::MAX - 9, 4, 0, false).is_err(), "beyond the file");
    overwrite(&disk, place + 3, b"?");
    let error = read(&unlocked(&disk)).unwrap_err();
    assert!(matches!(error, LogError::Corrupt { damage: Damage::NotAuthentic, .. }));
}

#[test]
#[should_panic(expected = "was prepared for one")]
fn no_payload_gets_into_an_encrypted_file_as_it_is() {
    let disk = MemDisk::new();
    let payload = Payload::new(CANARY.to_vec()).unwrap();
    writer(&disk, FileClass::Node).append_payload(RecordKind::LEAF, 1, &payload).unwrap();
}
