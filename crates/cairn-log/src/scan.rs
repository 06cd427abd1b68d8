//! `Scanner`: the records of a file from front to back, as far as they are whole.

use cairn_io::FileExt;

use crate::{
    Damage, Digest, FRAME_LEN, FrameHeader, HEADER_LEN, LogFile, LogResult, Lsn, RecordKind, Seal,
    StoredAs, compressed, file::check_body,
};

/// A record that a scan found whole.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Where it stands.
    pub lsn: Lsn,
    /// Its header.
    pub header: FrameHeader,
    /// Its payload, without padding. Insets are as they are stored, unless they were
    /// [asked for](Scanner::with_insets), and without the key of an encrypted file all of it is.
    pub body: &'a [u8],
}

/// Where a scan ended, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Offset of the first byte that is no part of a whole record.
    pub offset: u64,
    /// What is there; `None` at the limit that the scan was given.
    pub damage: Option<Damage>,
    /// The seal, if the last record was one: then the file is complete.
    pub seal: Option<Seal>,
}

/// What a scan found next.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "there is a record or there is none")]
pub enum Scan<'a> {
    /// A whole record.
    Record(Record<'a>),
    /// The end; asking again gives the same.
    End(Stop),
}

/// Reads records in the order in which they stand, checking each.
///
/// It stops at the first bytes that are no whole record, at a seal, or at its limit. Whether what
/// stopped it is the torn end of a journal or damage is decided by [`tail`](crate::tail).
#[derive(Debug)]
pub struct Scanner<'a> {
    file: &'a LogFile,
    at: u64,
    limit: u64,
    buf: Vec<u8>,
    /// File offset of `buf[0]`.
    buf_at: u64,
    known_durable: u64,
    checked: Option<blake3::Hasher>,
    with_insets: bool,
    /// The payload of the record, if it is compressed.
    decompressed: Vec<u8>,
    end: Option<Stop>,
}

impl<'a> Scanner<'a> {
    const READ_AHEAD: usize = 1 << 18;

    /// Scans `file` from its first record up to `limit` (which may exceed the file).
    #[must_use]
    pub fn new(file: &'a LogFile, limit: u64) -> Self {
        Self::from(file, HEADER_LEN, limit)
    }

    /// Scans from the record at `offset`.
    #[must_use]
    pub fn from(file: &'a LogFile, offset: u64, limit: u64) -> Self {
        let limit = limit.min(file.end());
        Self {
            file,
            at: offset,
            limit,
            buf: Vec::new(),
            buf_at: 0,
            known_durable: 0,
            checked: None,
            with_insets: false,
            decompressed: Vec::new(),
            end: None,
        }
    }

    /// Adds the stored bytes of every record that is found whole to `digest`: exactly those that were
    /// checked.
    #[must_use]
    pub fn with_digest(mut self, digest: blake3::Hasher) -> Self {
        self.checked = Some(digest);
        self
    }

    /// The digest of what was checked, if [one was given](Self::with_digest).
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.checked.as_ref().map(|digest| Digest(*digest.finalize().as_bytes()))
    }

    /// Decrypts insets, too, so that payloads are as they were before they were encrypted. One that is not
    /// authentic ends the scan.
    #[must_use]
    pub const fn with_insets(mut self) -> Self {
        self.with_insets = true;
        self
    }

    /// Where the next record is expected.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.at
    }

    /// The largest watermark of all records seen: everything below was durable once.
    #[must_use]
    pub const fn known_durable(&self) -> u64 {
        self.known_durable
    }

    /// The next record.
    ///
    /// # Errors
    /// Only if the disk fails; damage ends the scan.
    #[expect(clippy::should_implement_trait, reason = "records borrow the scanner's buffer")]
    pub fn next(&mut self) -> LogResult<Scan<'_>> {
        if let Some(stop) = &self.end {
            return Ok(Scan::End(stop.clone()));
        }
        let (header, len) = match self.check()? {
            Ok(found) => found,
            Err(damage) => return Ok(Scan::End(self.stop(damage, None))),
        };
        let offset = self.at;
        let from = usize::try_from(offset - self.buf_at).expect("the record is in the buffer");
        self.at += header.record_len();
        if let Some(end) = header.durable_end(offset) {
            self.known_durable = self.known_durable.max(end);
        }
        let lsn = self.file.lsn(offset)?;
        if header.kind == RecordKind::SEAL {
            let body = &self.buf[from + FRAME_LEN..][..len];
            match Seal::decode(&header, body, offset) {
                Ok(seal) => drop(self.stop(None, Some(seal))),
                Err(damage) => {
                    self.at = offset;
                    return Ok(Scan::End(self.stop(Some(damage), None)));
                }
            }
        }
        let body = match header.stored_as {
            StoredAs::Compressed => &self.decompressed[..len],
            _ => &self.buf[from + FRAME_LEN..][..len],
        };
        Ok(Scan::Record(Record { lsn, header, body }))
    }

    fn stop(&mut self, damage: Option<Damage>, seal: Option<Seal>) -> Stop {
        let stop = Stop { offset: self.at, damage, seal };
        self.end = Some(stop.clone());
        stop
    }

    /// The header at the current position if a whole record stands there, which then is in the
    /// buffer, and the length of its payload; `Err(None)` at the limit.
    fn check(&mut self) -> LogResult<Result<(FrameHeader, usize), Option<Damage>>> {
        if self.at >= self.limit {
            return Ok(Err(None));
        }
        if self.limit - self.at < FRAME_LEN as u64 {
            let expected = self.at + FRAME_LEN as u64;
            return Ok(Err(Some(Damage::Truncated { len: self.limit, expected })));
        }
        let (seed, at) = (self.file.seed(), self.at);
        let from = self.fill(FRAME_LEN)?;
        let (frame, _) = self.buf[from..].split_first_chunk().expect("a header was read");
        let header = match FrameHeader::decode(frame, seed, at) {
            Ok(header) => header,
            Err(damage) => return Ok(Err(Some(damage))),
        };
        if header.record_len() > self.limit - self.at {
            // An intact header that claims more than there is: not the same as no header.
            let (end, len) = (self.at + header.record_len(), self.limit);
            return Ok(Err(Some(Damage::Overrun { end, len })));
        }
        let total = usize::try_from(header.record_len()).expect("not longer than its file");
        let from = self.fill(total)?;
        let record = &self.buf[from..from + total];
        // Planted: a torn record accepted.
        if !cairn_io::planted::is(10)
            && let Err(damage) = check_body(&header, &record[FRAME_LEN..])
        {
            return Ok(Err(Some(damage)));
        }
        if let Some(checked) = &mut self.checked {
            checked.update(&self.buf[from..from + total]);
        }
        if header.stored_as == StoredAs::Compressed {
            let stored = &self.buf[from + FRAME_LEN..][..header.len as usize];
            let opened = compressed::decompress(stored, &mut self.decompressed);
            return Ok(opened.map(|len| (header, len)).map_err(Some));
        }
        // In place: nobody looks at these bytes of the buffer again.
        let stored = &mut self.buf[from + FRAME_LEN..from + total];
        let decrypted = self.file.decrypt(&header, at, stored, self.with_insets);
        Ok(decrypted.map(|len| (header, len)).map_err(Some))
    }

    /// Has `len` bytes from the current position in the buffer, reading ahead, and returns where in it. The range lies below the limit. What lies behind
    /// the end of the file is zeros: its writer, perhaps another process, has ended it a moment ago, and
    /// has cut the zeros that were there when the file was opened.
    fn fill(&mut self, len: usize) -> LogResult<usize> {
        let have = self.buf_at + self.buf.len() as u64;
        if self.at < self.buf_at || self.at + len as u64 > have {
            let left = usize::try_from(self.limit - self.at).unwrap_or(usize::MAX);
            let want = len.max(Self::READ_AHEAD).min(left);
            self.buf.clear();
            self.buf.resize(want, 0);
            self.buf_at = self.at;
            self.file.read_bytes_or_zeros(self.at, &mut self.buf)?;
        }
        Ok(usize::try_from(self.at - self.buf_at).expect("the position is in the buffer"))
    }
}

/// What lies behind the place where a scan stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Beyond {
    /// End of the last byte that is not zero; the place itself if all are.
    pub(crate) content_end: u64,
    /// Whether a whole record stands somewhere behind.
    pub(crate) record: bool,
    /// The largest watermark of such records.
    pub(crate) known_durable: u64,
}

/// Looks at everything behind `from`: every multiple of 8 may be the beginning of a record.
pub(crate) fn look_beyond(file: &LogFile, from: u64) -> LogResult<Beyond> {
    const CHUNK: usize = 1 << 18;
    let end = file.handle().len()?;
    let mut beyond = Beyond { content_end: from, ..Beyond::default() };
    let mut buf = vec![0; CHUNK + FRAME_LEN];
    let mut at = from;
    while at < end {
        let got = file.handle().read_full_at(at, &mut buf)?;
        let chunk = &buf[..got];
        let content = chunk.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        if content > 0 {
            beyond.content_end = beyond.content_end.max(at + content as u64);
        }
        for (i, frame) in chunk.windows(FRAME_LEN).step_by(8).take(CHUNK / 8).enumerate() {
            let offset = at + 8 * i as u64;
            let (frame, _) =
                frame.split_first_chunk().expect("windows have the length of a header");
            let Ok(header) = FrameHeader::decode(frame, file.seed(), offset) else { continue };
            if offset > from
                && offset + header.record_len() <= end
                && file.read(file.lsn(offset)?).is_ok()
            {
                beyond.record = true;
                beyond.known_durable =
                    beyond.known_durable.max(header.durable_end(offset).unwrap_or(0));
            }
        }
        if got < buf.len() {
            break;
        }
        at += CHUNK as u64;
    }
    Ok(beyond)
}
