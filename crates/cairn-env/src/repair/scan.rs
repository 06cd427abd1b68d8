//! Reading a file record by record, on behind damage.

use cairn_io::FileExt;
use cairn_log::{
    Damage, FRAME_LEN, FrameHeader, LogError, LogFile, LogResult, Lsn, Record, Scan, Scanner,
};

use crate::EnvResult;

/// Bytes of a file that are no whole record.
#[derive(Debug)]
pub(super) struct Gap {
    pub(super) at: u64,
    /// The header of a record, if that is whole and only its payload is not.
    pub(super) header: Option<FrameHeader>,
    pub(super) problem: String,
}

/// What a file holds beside the records that were handed out.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    pub(super) gaps: Vec<Gap>,
    /// End of the last whole record.
    pub(super) end: u64,
    /// End of the records before the first gap.
    pub(super) first_end: u64,
    /// The largest watermark: everything before it was durable once.
    pub(super) durable: u64,
    pub(super) sealed: bool,
}

/// Calls `each` with every whole record of a file that begins before `limit`.
///
/// The checksum of a record is bound to its file and its place, so whatever passes it behind damage is
/// a record that was written there.
pub(super) fn records(
    file: &LogFile,
    limit: u64,
    each: &mut dyn FnMut(Record<'_>) -> EnvResult<()>,
) -> EnvResult<Scanned> {
    let mut found = Scanned { end: cairn_log::HEADER_LEN, ..Scanned::default() };
    let len = file.end().min(limit);
    let mut at = found.end;
    loop {
        let mut scanner = Scanner::from(file, at, len).with_insets();
        let (offset, damage) = loop {
            match scanner.next() {
                Ok(Scan::Record(record)) => {
                    found.end = record.lsn.offset() + record.header.record_len();
                    each(record)?;
                }
                Ok(Scan::End(stop)) => {
                    found.sealed |= stop.seal.is_some();
                    break (stop.offset, stop.damage);
                }
                Err(LogError::Io(error)) => {
                    let (position, problem) = (scanner.position(), error.to_string());
                    found.gaps.push(Gap { at: position, header: None, problem });
                    break (position, Some(Damage::Nothing));
                }
                Err(error) => return Err(error.into()),
            }
        };
        found.durable = found.durable.max(scanner.known_durable());
        if found.first_end == 0 {
            found.first_end = found.end;
        }
        let Some(damage) = damage else { return Ok(found) };
        let header = header_at(file, offset);
        if found.gaps.last().is_none_or(|gap| gap.at != offset) {
            found.gaps.push(Gap { at: offset, header, problem: damage.to_string() });
        }
        match next_record(file, offset, header, len) {
            Some(next) => at = next,
            None => return Ok(found),
        }
    }
}

fn header_at(file: &LogFile, offset: u64) -> Option<FrameHeader> {
    let mut frame = [0; FRAME_LEN];
    file.handle().read_exact_at(offset, &mut frame).ok()?;
    FrameHeader::decode(&frame, file.seed(), offset).ok()
}

/// The first whole record after the bad one at `offset`.
fn next_record(file: &LogFile, offset: u64, bad: Option<FrameHeader>, len: u64) -> Option<u64> {
    const CHUNK: usize = 1 << 16;
    let is_whole = |at: u64| -> LogResult<bool> {
        let lsn: Lsn = file.lsn(at)?;
        Ok(at < len && file.read(lsn).is_ok())
    };
    // A header that is whole says where the next record begins.
    let behind = bad.map(|header| offset + header.record_len());
    if let Some(next) = behind.filter(|next| is_whole(*next).unwrap_or(false)) {
        return Some(next);
    }
    let mut buf = vec![0; CHUNK + FRAME_LEN];
    let mut at = offset + 8;
    while at < len {
        // What cannot be read is passed over like what makes no sense.
        let got = file.handle().read_full_at(at, &mut buf).unwrap_or(0);
        for (i, frame) in buf[..got].windows(FRAME_LEN).step_by(8).take(CHUNK / 8).enumerate() {
            let place = at + 8 * i as u64;
            let Some((frame, _)) = frame.split_first_chunk() else { continue };
            if FrameHeader::decode(frame, file.seed(), place).is_ok()
                && is_whole(place).unwrap_or(false)
            {
                return Some(place);
            }
        }
        at += CHUNK as u64;
    }
    None
}
