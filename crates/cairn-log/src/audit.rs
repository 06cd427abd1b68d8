//! `Audit`: everything that a file holds, read from the disk piece by piece, on behind damage.

use std::sync::Arc;

use cairn_io::FileExt;
use crc_fast::CrcAlgorithm;

use crate::{
    Damage, Digest, FRAME_LEN, FileHeader, FrameHeader, HEADER_LEN, LogError, LogFile, RecordKind,
    Seal,
};

/// Bytes of a file that are not what was written there.
#[derive(Debug)]
#[non_exhaustive]
pub struct Spot {
    /// Offset of the first byte: of a record, where one can be told.
    pub offset: u64,
    /// How many bytes of the file can no longer be relied on; 0 where something is missing.
    pub len: u64,
    /// What is wrong with them, or why the disk does not give them.
    pub error: LogError,
}

impl Spot {
    /// A damaged spot of this length.
    #[must_use]
    pub const fn new(offset: u64, len: u64, error: LogError) -> Self {
        Self { offset, len, error }
    }

    /// Whether the byte at `offset` is among them.
    #[must_use]
    pub const fn contains(&self, offset: u64) -> bool {
        self.offset <= offset && offset - self.offset < self.len
    }
}

/// Goes through a file from front to back in pieces of a bounded size, and notes every damaged spot.
///
/// It reads around everything that has checked these bytes before, and keeps no more of them than one
/// piece. Behind damage it goes on: an intact header says where the next record begins, and where there
/// is none the next one that passes its checksum does, which is bound to its file and place.
///
/// ```
/// use cairn_io::{Access, Dir, FileExt, MemDisk, SyncSite};
/// use cairn_log::{Audit, FileClass, FileHeader, FileNumber, LogWriter, RecordKind, Uuid};
///
/// let disk = MemDisk::new();
/// let header = FileHeader::first(FileClass::Node, FileNumber::FIRST, Uuid([1; 16]), Uuid([2; 16]));
/// let mut log = LogWriter::create(&*disk.root(), header, None)?;
/// let lsns = [b"one", b"two", b"six"].map(|body| log.append(RecordKind::LEAF, 1, &[body]).unwrap());
/// let file = log.file().clone();
/// let end = log.seal(Default::default(), SyncSite::new("example.sync"))?.seal.file_len();
///
/// let mut audit = Audit::new(file.clone(), end);
/// while audit.step(64) > 0 {}
/// assert!(audit.finish().spots.is_empty());
///
/// let name = file.name().to_name();
/// disk.root().open(&name, Access::ReadWrite)?.write_all_at(lsns[1].offset() + 24, b"?")?;
/// let mut audit = Audit::new(file, end);
/// while audit.step(64) > 0 {}
/// let found = audit.finish();
/// assert_eq!((found.spots.len(), found.records), (1, 3)); // two of them, and the seal
/// assert_eq!(found.spots[0].offset, lsns[1].offset());
/// # Ok::<(), cairn_log::LogError>(())
/// ```
#[derive(Debug)]
pub struct Audit {
    file: Arc<LogFile>,
    /// Where the file ends, as far as it counts.
    end: u64,
    /// Bytes that were read and not yet looked at, and the offset of the first of them.
    held: Vec<u8>,
    at: u64,
    state: State,
    /// Of all bytes looked at, up to the seal.
    digest: blake3::Hasher,
    /// Of the payload that is being looked at.
    crc: crc_fast::Digest,
    /// That payload, if it is a seal's.
    sealing: Vec<u8>,
    uncached: bool,
    found: Audited,
}

/// What an audit found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Audited {
    /// What is damaged, from front to back.
    pub spots: Vec<Spot>,
    /// Whole records.
    pub records: u64,
    /// The largest watermark of them: everything before it was durable once.
    pub known_durable: u64,
    /// The seal, if the file has a whole one.
    pub seal: Option<Seal>,
}

#[derive(Debug)]
enum State {
    /// At the block that begins the file.
    Beginning,
    /// At the header of a record.
    Header,
    /// In the payload of the record at `offset`.
    Body { header: FrameHeader, offset: u64, left: u64 },
    /// Behind what makes no sense since `from`.
    Lost { from: u64, damage: Damage },
    /// Nothing that follows counts.
    Over,
}

/// What is asked for again on its own where a whole piece cannot be read.
const BLOCK: usize = 4096;

impl Audit {
    /// An audit of `file` up to `end`.
    #[must_use]
    pub fn new(file: Arc<LogFile>, end: u64) -> Self {
        Self {
            file,
            end,
            held: Vec::new(),
            at: 0,
            state: State::Beginning,
            digest: blake3::Hasher::new(),
            crc: crc_fast::Digest::new(CrcAlgorithm::Crc32Iscsi),
            sealing: Vec::new(),
            uncached: false,
            found: Audited::default(),
        }
    }

    /// Asks the system for what the device holds, not for a copy in its memory, and leaves none there.
    /// A hint: not every system takes it.
    #[must_use]
    pub fn uncached(mut self) -> Self {
        self.uncached = true;
        self
    }

    /// The file that is gone through.
    #[must_use]
    pub const fn file(&self) -> &Arc<LogFile> {
        &self.file
    }

    /// Reads at most `max` bytes more and looks at them; returns how many, 0 at the end.
    pub fn step(&mut self, max: usize) -> u64 {
        let from = self.at + self.held.len() as u64;
        let left = usize::try_from(self.end.saturating_sub(from)).unwrap_or(usize::MAX);
        let want = left.min(max.max(1));
        if matches!(self.state, State::Over) || want == 0 {
            self.state = State::Over;
            return 0;
        }
        let got = self.read(from, want);
        self.look();
        if got < want {
            let (len, expected) = (from + got as u64, self.end);
            self.abandon(Damage::Truncated { len, expected });
        } else if from + got as u64 == self.end {
            self.come_to_the_end();
        }
        got as u64
    }

    /// What was found. The digest of a file that has a seal, and nothing else that is wrong with it, is
    /// compared with the one in the seal. With the key of an encrypted file the seal's tag is checked: it
    /// vouches for the digest, and this for all records.
    #[must_use]
    pub fn finish(mut self) -> Audited {
        if self.found.spots.is_empty()
            && let Some(seal) = self.found.seal
            && seal.digest != Digest(*self.digest.finalize().as_bytes())
        {
            let error = self.file.corrupt(seal.end, Damage::Digest { by: "in its seal" });
            self.found.spots.push(Spot { offset: seal.end, len: self.file.seal_len(), error });
        }
        self.found
    }

    /// Reads bytes behind those that are held. What the disk does not give becomes a spot, and zeros.
    fn read(&mut self, from: u64, want: usize) -> usize {
        let before = self.held.len();
        self.held.resize(before + want, 0);
        let handle = Arc::clone(self.file.handle());
        if self.uncached {
            handle.forget(from, want as u64);
        }
        let new = &mut self.held[before..];
        let got = handle.read_full_at(from, new).unwrap_or_else(|_| {
            let mut got = 0;
            for block in new.chunks_mut(BLOCK) {
                match handle.read_full_at(from + got as u64, block) {
                    Ok(n) if n < block.len() => return got + n,
                    Ok(n) => got += n,
                    Err(error) => {
                        block.fill(0);
                        let (offset, len) = (from + got as u64, block.len() as u64);
                        let spots = &mut self.found.spots;
                        match spots.last_mut().filter(|spot| spot.offset + spot.len == offset) {
                            Some(last) if matches!(last.error, LogError::Io(_)) => last.len += len,
                            _ => spots.push(Spot { offset, len, error: error.into() }),
                        }
                        got += block.len();
                    }
                }
            }
            got
        });
        if self.uncached {
            handle.forget(from, want as u64);
        }
        self.held.truncate(before + got);
        got
    }

    /// Looks at what is held, as far as it can be told without more.
    fn look(&mut self) {
        let mut held = std::mem::take(&mut self.held);
        let mut used = 0;
        while let Some(n) = self.look_at(&held[used..]) {
            used += n;
            self.at += n as u64;
        }
        held.drain(..used);
        self.held = held;
    }

    /// Looks at the bytes from the current place on and returns how many of them are done; `None` if
    /// it takes more to tell.
    fn look_at(&mut self, bytes: &[u8]) -> Option<usize> {
        let left = self.end - self.at;
        match &mut self.state {
            State::Over => None,
            State::Beginning => {
                let block = bytes.get(..usize::try_from(HEADER_LEN.min(left)).ok()?)?;
                match FileHeader::decode(block, self.file.path()) {
                    Ok(header) if header == *self.file.header() => {}
                    Ok(_) => {
                        let damage = Damage::FileHeaderField { field: "another file's header" };
                        self.note(0, HEADER_LEN, damage);
                    }
                    Err(LogError::Corrupt { damage, .. }) => self.note(0, HEADER_LEN, damage),
                    Err(error) => {
                        self.found.spots.push(Spot { offset: 0, len: HEADER_LEN, error });
                    }
                }
                self.digest.update(block);
                self.state = State::Header;
                Some(block.len())
            }
            State::Header if left == 0 => None,
            State::Header => {
                if left < FRAME_LEN as u64 {
                    let expected = self.at + FRAME_LEN as u64;
                    self.lose(Damage::Truncated { len: self.end, expected });
                    return Some(0);
                }
                let frame = bytes.first_chunk()?;
                let damage = match FrameHeader::decode(frame, self.file.seed(), self.at) {
                    Ok(header) if header.record_len() <= left => {
                        self.enter(header, frame);
                        return Some(FRAME_LEN);
                    }
                    Ok(header) => {
                        let (end, len) = (self.at + header.record_len(), self.end);
                        Damage::Overrun { end, len }
                    }
                    Err(damage) => damage,
                };
                self.lose(damage);
                Some(0)
            }
            State::Body { header, left, .. } => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                if n == 0 && *left > 0 {
                    return None;
                }
                self.crc.update(&bytes[..n]);
                if header.kind == RecordKind::SEAL {
                    self.sealing.extend_from_slice(&bytes[..n]);
                } else {
                    self.digest.update(&bytes[..n]);
                }
                *left -= n as u64;
                if *left == 0 {
                    self.leave();
                }
                Some(n)
            }
            State::Lost { from, .. } => {
                // Records begin at multiples of 8.
                let next = if self.at == *from { 8 } else { 0 };
                if left < next + FRAME_LEN as u64 {
                    return None;
                }
                let mut skipped = usize::try_from(next).ok()?;
                while let Some(frame) = bytes.get(skipped..).and_then(|rest| rest.first_chunk()) {
                    let at = self.at + skipped as u64;
                    if FrameHeader::decode(frame, self.file.seed(), at)
                        .is_ok_and(|header| header.record_len() <= self.end - at)
                    {
                        self.found_again(at);
                        return Some(skipped);
                    }
                    skipped += 8;
                }
                // The place at which it was lost must stay in sight until there is more.
                (skipped > 0 && bytes.len() >= skipped).then_some(skipped)
            }
        }
    }

    /// The header of the record at the current place is whole.
    fn enter(&mut self, header: FrameHeader, frame: &[u8]) {
        if header.kind != RecordKind::SEAL {
            self.digest.update(frame);
        }
        let (offset, left) = (self.at, header.record_len() - FRAME_LEN as u64);
        self.crc.reset();
        self.sealing.clear();
        self.state = State::Body { header, offset, left };
        if left == 0 {
            self.leave();
        }
    }

    /// All of a record's payload was looked at.
    fn leave(&mut self) {
        let State::Body { header, offset, .. } = std::mem::replace(&mut self.state, State::Header)
        else {
            return;
        };
        let (expected, found) = (header.body_crc, self.crc.finalize());
        if u64::from(expected) != found {
            let found = u32::try_from(found).unwrap_or_default();
            return self.note(
                offset,
                header.record_len(),
                Damage::BodyChecksum { expected, found },
            );
        }
        if header.kind == RecordKind::SEAL {
            let checked = self.file.decrypt(&header, offset, &mut self.sealing, false);
            let decoded =
                checked.and_then(|len| Seal::decode(&header, &self.sealing[..len], offset));
            match decoded {
                Ok(seal) => {
                    self.found.seal = Some(seal);
                    self.state = State::Over;
                }
                Err(damage) => return self.note(offset, header.record_len(), damage),
            }
        }
        self.found.records += 1;
        let durable = header.durable_end(offset).unwrap_or(0);
        self.found.known_durable = self.found.known_durable.max(durable);
    }

    fn lose(&mut self, damage: Damage) {
        self.state = State::Lost { from: self.at, damage };
    }

    fn found_again(&mut self, at: u64) {
        if let State::Lost { from, damage } = std::mem::replace(&mut self.state, State::Header) {
            self.note(from, at - from, damage);
        }
    }

    /// Everything up to the end was read.
    fn come_to_the_end(&mut self) {
        match &self.state {
            State::Lost { .. } => self.found_again(self.end),
            State::Beginning => {
                self.note(0, self.end, Damage::Truncated { len: self.end, expected: HEADER_LEN });
            }
            _ => {}
        }
        self.state = State::Over;
    }

    /// The file is shorter than it should be.
    fn abandon(&mut self, damage: Damage) {
        let Damage::Truncated { len, .. } = damage else { return };
        match self.state {
            State::Over => return,
            State::Lost { .. } => self.found_again(len),
            _ => {}
        }
        let offset = match self.state {
            State::Body { offset, .. } => offset,
            _ => self.at.min(len),
        };
        self.note(offset, self.end - offset, damage);
        self.state = State::Over;
    }

    /// Notes a damaged spot; where the disk did not give the bytes, that is what is wrong with it.
    fn note(&mut self, offset: u64, len: u64, damage: Damage) {
        let end = offset + len;
        let within = |spot: &Spot| spot.offset < end && offset < spot.offset + spot.len;
        let unreadable = self.found.spots.iter_mut().rev().take(2).find(|spot| within(spot));
        if let Some(spot) = unreadable.filter(|spot| matches!(spot.error, LogError::Io(_))) {
            (spot.offset, spot.len) = (offset, len.max(spot.offset + spot.len - offset));
            return;
        }
        let error = self.file.corrupt(offset, damage);
        self.found.spots.push(Spot { offset, len, error });
    }
}

/// Goes through a whole file at once, telling how far that is.
///
/// # Errors
/// None: what the disk does not give is a spot like any other.
pub fn audit(file: &Arc<LogFile>, end: u64, progress: &mut dyn FnMut(u64)) -> Audited {
    const PIECE: usize = 1 << 18;
    let mut audit = Audit::new(Arc::clone(file), end);
    loop {
        match audit.step(PIECE) {
            0 => return audit.finish(),
            n => progress(n),
        }
    }
}
