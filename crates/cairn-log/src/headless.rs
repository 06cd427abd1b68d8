//! Files whose header block is lost: what their records are bound to is told from the records themselves.
//!
//! The checksum of a record header is combined with that of the file's uuid and with the place. So each record, whose
//! place is known and whose payload passes its own checksum, tells the uuid's checksum; and where several records of a
//! file tell the same, they are of one file and stand where they were written. Of which environment it was nobody can
//! tell any more.

use cairn_io::{FileExt, FileRef};

use crate::{
    Damage, FRAME_LEN, FileHeader, FileSeed, FrameHeader, HEADER_LEN, LogError, LogFile, LogName,
    LogResult, Uuid, crc32c, layout::frame,
};

/// So many records that agree are enough.
const ENOUGH: u64 = 3;

impl LogFile {
    /// Opens a file that is not encrypted and whose header is lost, for salvage: its records can be read, and that it
    /// has this name and belongs to `environment` is taken for granted. An error if its records do not agree on what they
    /// are bound to, or there are none.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] if there is nothing to tell it from, [`LogError::Io`] if the disk fails.
    pub fn open_headless(handle: FileRef, name: LogName, environment: Uuid) -> LogResult<Self> {
        let len = handle.len()?;
        let Some(seed) = seed_of(&handle, len)? else {
            return Err(LogError::corrupt(handle.path(), 0, Damage::Magic));
        };
        let header = FileHeader::first(name.class, name.number, environment, Uuid::default());
        let timeline = name.timeline.unwrap_or(header.timeline);
        let header = FileHeader { timeline, incarnation: 0, ..header };
        let mut file = Self::new(handle, header, len);
        file.seed = seed;
        Ok(file)
    }
}

/// What most of the first records are bound to.
fn seed_of(handle: &FileRef, len: u64) -> LogResult<Option<FileSeed>> {
    const CHUNK: usize = 1 << 16;
    let mut votes: Vec<(u32, u64)> = Vec::new();
    let (mut buf, mut body) = (vec![0; CHUNK + FRAME_LEN], Vec::new());
    let (mut at, mut vain) = (HEADER_LEN, 0);
    while at < len && vain <= 4 * len {
        let got = handle.read_full_at(at, &mut buf).unwrap_or(0);
        let frames = buf[..got].windows(FRAME_LEN).step_by(8).take(CHUNK / 8);
        let mut next = at + CHUNK as u64;
        for (i, bytes) in frames.enumerate() {
            let offset = at + 8 * i as u64;
            let Some((bytes, _)) = bytes.split_first_chunk() else { continue };
            let Some((crc, header)) = bound_to(bytes, offset) else { continue };
            // Without a payload there is nothing that vouches for the checksum of it.
            let end = offset + header.record_len();
            if header.len == 0 || end > len {
                continue;
            }
            body.resize(usize::try_from(header.record_len()).unwrap_or(0) - FRAME_LEN, 0);
            let read = handle.read_exact_at(offset + FRAME_LEN as u64, &mut body);
            if read.is_err() || crc32c(&body) != header.body_crc {
                vain += header.record_len();
                continue;
            }
            let known = votes.iter_mut().find(|(known, _)| *known == crc);
            let agree = match known {
                Some((_, votes)) => {
                    *votes += 1;
                    *votes
                }
                None => {
                    // Where the first record of a file stands there can be no copy of one.
                    let first = if offset == HEADER_LEN { 2 } else { 1 };
                    votes.push((crc, first));
                    first
                }
            };
            if agree >= ENOUGH {
                return Ok(Some(FileSeed::of_checksum(crc)));
            }
            next = end;
            break;
        }
        at = next;
    }
    let best = votes.into_iter().max_by_key(|(_, votes)| *votes);
    Ok(best.filter(|(_, votes)| *votes > 1).map(|(crc, _)| FileSeed::of_checksum(crc)))
}

/// The checksum of the uuid that the record header at an offset is bound to, if it is one.
fn bound_to(bytes: &[u8; FRAME_LEN], offset: u64) -> Option<(u32, FrameHeader)> {
    // Cheap to ask first, and true of few bytes that are no header.
    if bytes[frame::FLAGS.offset] != 0 || bytes[frame::KIND.offset] == 0 {
        return None;
    }
    let stored = u32::try_from(frame::HEAD_CRC.number(bytes)).ok()?;
    let plain = crc32c(&bytes[frame::BODY_CRC.offset..]);
    let crc = stored ^ plain ^ FileSeed::of_checksum(0).at(offset);
    let header = FrameHeader::decode(bytes, FileSeed::of_checksum(crc), offset).ok()?;
    Some((crc, header))
}

#[cfg(test)]
mod tests {
    use cairn_io::{Access, MemDisk, SyncSite};

    use super::*;
    use crate::{FileClass, FileNumber, LogWriter, RecordKind, Scan, Scanner};

    /// A file of so many records, with this in place of its header.
    fn file(records: u8, header: &[u8]) -> (MemDisk, FileRef, LogName) {
        let disk = MemDisk::new();
        let class = FileClass::Node;
        let first = FileHeader::first(class, FileNumber::FIRST, Uuid([1; 16]), Uuid([2; 16]));
        let mut log = LogWriter::create(&*disk.root(), first, None).unwrap();
        for n in 0..records {
            log.append(RecordKind::LEAF, 1, &[&[n; 50]]).unwrap();
        }
        log.write().unwrap();
        log.sync(SyncSite::new("test.sync")).unwrap();
        let name = log.file().name();
        let handle = disk.root().open(&name.to_name(), Access::ReadWrite).unwrap();
        handle.write_all_at(0, header).unwrap();
        (disk, handle, name)
    }

    fn bodies(file: &LogFile) -> Vec<u8> {
        let mut scanner = Scanner::new(file, u64::MAX);
        let mut bodies = Vec::new();
        while let Scan::Record(record) = scanner.next().unwrap() {
            bodies.push(record.body[0]);
        }
        bodies
    }

    #[test]
    fn records_are_read_without_the_header() {
        for records in [1, 2, 3, 20] {
            let (_disk, handle, name) = file(records, &[0x5a; 4096]);
            let file = LogFile::open_headless(handle, name, Uuid([9; 16])).unwrap();
            assert_eq!(file.name(), name);
            assert_eq!(bodies(&file), (0..records).collect::<Vec<_>>());
        }
    }

    #[test]
    fn one_record_that_is_not_the_first_is_no_proof() {
        for (records, is_told) in [(2, false), (3, true)] {
            // The first record is lost with the header.
            let (_disk, handle, name) = file(records, &[0x5a; 4096 + 40]);
            let opened = LogFile::open_headless(handle, name, Uuid([9; 16]));
            assert_eq!(opened.is_ok(), is_told, "{records}");
        }
    }

    #[test]
    fn what_is_no_log_file_is_none() {
        let (_disk, handle, name) = file(0, &[0; 4096]);
        for fill in [0, 1, 0x5a, 0xff] {
            handle.write_all_at(0, &vec![fill; 100_000]).unwrap();
            assert!(LogFile::open_headless(handle.clone(), name, Uuid::default()).is_err());
        }
    }
}
