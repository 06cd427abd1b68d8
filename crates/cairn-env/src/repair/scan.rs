//! Reading a file record by record, on behind damage.

use cairn_io::FileExt;
use cairn_log::{
    FRAME_LEN, FrameHeader, LogError, LogFile, OwnedRecord, Record, RecordKind, Scan, Scanner,
};

use crate::EnvResult;

/// Bytes of a file that are no whole record.
#[derive(Debug)]
pub(crate) struct Gap {
    pub(crate) at: u64,
    /// Where the next whole record begins, or what was read ends.
    pub(crate) end: u64,
    /// The header of a record, if that is whole and only its payload is not.
    pub(crate) header: Option<FrameHeader>,
    pub(crate) problem: String,
    /// Whether there is nothing but zeros, up to the end of what was read.
    pub(crate) is_blank: bool,
}

/// What a file holds beside the records that were handed out.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    pub(crate) gaps: Vec<Gap>,
    /// End of the last whole record.
    pub(crate) end: u64,
    /// End of the records before the first gap.
    pub(crate) first_end: u64,
    /// The largest watermark: everything before it was durable once.
    pub(crate) durable: u64,
    pub(crate) sealed: bool,
}

/// Calls `each` with every whole record of a file that begins before `limit`.
///
/// The checksum of a record is bound to its file and its place, so whatever passes it behind damage is
/// a record that was written there.
pub(crate) fn records(
    file: &LogFile,
    limit: u64,
    each: &mut dyn FnMut(Record<'_>) -> EnvResult<()>,
) -> EnvResult<Scanned> {
    let mut found = Scanned { end: cairn_log::HEADER_LEN, ..Scanned::default() };
    let len = file.end().min(limit);
    let mut search = Search { file, len, vain: 0 };
    let mut at = found.end;
    loop {
        let mut scanner = Scanner::from(file, at, len).with_insets();
        let (offset, problem, is_unread) = loop {
            match scanner.next() {
                Ok(Scan::Record(record)) => {
                    found.end = record.lsn.offset() + record.header.record_len();
                    each(record)?;
                }
                Ok(Scan::End(stop)) => {
                    found.sealed |= stop.seal.is_some();
                    break (stop.offset, stop.damage.map(|damage| damage.to_string()), false);
                }
                Err(LogError::Io(error)) => {
                    break (scanner.position(), Some(error.to_string()), true);
                }
                Err(error) => return Err(error.into()),
            }
        };
        found.durable = found.durable.max(scanner.known_durable());
        let Some(problem) = problem else {
            found.note_first_end();
            return Ok(found);
        };
        // What the disk does not give together with what follows, it may give alone.
        if is_unread && let Some(record) = search.record(offset) {
            let OwnedRecord { lsn, header, body } = &record;
            found.end = offset + header.record_len();
            found.durable = found.durable.max(header.durable_end(offset).unwrap_or(0));
            found.sealed |= header.kind == RecordKind::SEAL;
            each(Record { lsn: *lsn, header: *header, body })?;
            at = found.end;
            if found.sealed {
                found.note_first_end();
                return Ok(found);
            }
            continue;
        }
        found.note_first_end();
        let header = header_at(file, offset);
        search.vain += header.map_or(0, |header| header.record_len());
        let (next, is_blank) = search.next(offset, header);
        let end = next.unwrap_or(len);
        found.gaps.push(Gap { at: offset, end, header, problem, is_blank });
        match next {
            Some(next) => at = next,
            None => return Ok(found),
        }
    }
}

impl Scanned {
    fn note_first_end(&mut self) {
        if self.first_end == 0 {
            self.first_end = self.end;
        }
    }
}

fn header_at(file: &LogFile, offset: u64) -> Option<FrameHeader> {
    let mut frame = [0; FRAME_LEN];
    file.handle().read_exact_at(offset, &mut frame).ok()?;
    FrameHeader::decode(&frame, file.seed(), offset).ok()
}

/// The search for the next whole record behind a bad one.
struct Search<'f> {
    file: &'f LogFile,
    len: u64,
    /// Bytes of payloads that were read and were not what their headers say.
    vain: u64,
}

impl Search<'_> {
    const CHUNK: usize = 1 << 16;
    const BLOCK: usize = 1 << 12;

    /// The whole record at a place.
    fn record(&self, at: u64) -> Option<OwnedRecord> {
        let lsn = self.file.lsn(at).ok().filter(|_| at < self.len)?;
        self.file.read(lsn).ok()
    }

    fn is_whole(&mut self, at: u64, claimed: u64) -> bool {
        if claimed > self.len.saturating_sub(at) {
            return false;
        }
        let is_whole = self.record(at).is_some();
        self.vain += if is_whole { 0 } else { claimed };
        is_whole
    }

    /// The first whole record behind the bad one at `offset`, and whether there are only zeros up to the end.
    fn next(&mut self, offset: u64, bad: Option<FrameHeader>) -> (Option<u64>, bool) {
        static ZEROS: [u8; Search::CHUNK + FRAME_LEN] = [0; Search::CHUNK + FRAME_LEN];
        // A header that is whole says where the next record begins.
        let behind = bad.map(|header| offset + header.record_len());
        let claimed = |at| header_at(self.file, at).map(|header| header.record_len());
        let behind = behind.and_then(|at| Some((at, claimed(at)?)));
        if let Some((next, claimed)) = behind
            && self.is_whole(next, claimed)
        {
            return (Some(next), false);
        }
        let mut first = [0; 8];
        let mut is_blank = self.read(offset, &mut first) == first.len() && first == [0; 8];
        let mut buf = vec![0; Self::CHUNK + FRAME_LEN];
        let mut at = offset + 8;
        // Damage alone has nobody read a record more than a few times in vain. Headers that mean harm would have it
        // done for all that follows each of them.
        while at < self.len && self.vain <= 4 * self.len {
            let got = self.read(at, &mut buf);
            if buf[..got] != ZEROS[..got] || got == 0 {
                is_blank = false;
                let frames = buf[..got].windows(FRAME_LEN).step_by(8).take(Self::CHUNK / 8);
                for (i, frame) in frames.enumerate() {
                    let place = at + 8 * i as u64;
                    let Some((frame, _)) = frame.split_first_chunk() else { continue };
                    if let Ok(header) = FrameHeader::decode(frame, self.file.seed(), place)
                        && self.is_whole(place, header.record_len())
                    {
                        return (Some(place), false);
                    }
                }
            }
            at += Self::CHUNK as u64;
        }
        (None, is_blank && at >= self.len)
    }

    /// Reads up to the end of the file. Blocks that cannot be read are zeros, as what makes no sense.
    fn read(&self, at: u64, buf: &mut [u8]) -> usize {
        let handle = self.file.handle();
        if let Ok(got) = handle.read_full_at(at, buf) {
            return got;
        }
        let room = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let wanted = room.min(buf.len());
        for (i, block) in buf[..wanted].chunks_mut(Self::BLOCK).enumerate() {
            if handle.read_exact_at(at + (i * Self::BLOCK) as u64, block).is_err() {
                block.fill(0);
            }
        }
        wanted
    }
}
