//! `LogWriter`: a file written from front to back, then sealed.
//!
//! A writer has two halves, so that two threads can hold them at the same time: the [`Appender`]
//! gives records their places and keeps them in memory (it is held under the commit lock), the
//! [`Flusher`] writes what was accepted and syncs it (it is held by whoever flushes). [`LogWriter`]
//! is both in one, for files that have a single user.

mod payload;
mod spare;

use std::sync::{Arc, atomic::Ordering};

use cairn_io::{Dir, FileExt, FileRef, SyncSite};

pub use payload::Payload;
pub use spare::{Spare, write_zeros};

use crate::{
    Damage, Digest, FrameHeader, HEADER_LEN, LogError, LogFile, LogResult, Lsn, NOTHING_DURABLE,
    NewFile, RecordKind, Seal, sync::lock,
};

/// The shortest length of a journal file, unless its capacity is smaller.
const FIRST_BOUNDARY: u64 = 64 << 10;
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
/// A journal file grows by at most this much at a time.
const LARGEST_STEP: u64 = 4 << 20;

/// The length that a journal file must durably have before anything is written up to `end`.
///
/// Journal files are zeroed ahead, so that a commit's sync changes no length. They grow along this
/// fixed sequence (the header alone, 64 KiB, doubling up to steps of 4 MiB, at last `capacity`), and
/// a step is synced before a record enters it. So a reader can tell from the place of the last record
/// how long the file must at least be: a file that lost its tail is noticed, and a torn write never
/// shortens it.
#[must_use]
pub const fn journal_boundary(end: u64, capacity: u64) -> u64 {
    if end <= HEADER_LEN {
        return HEADER_LEN;
    }
    let mut boundary = if FIRST_BOUNDARY < capacity { FIRST_BOUNDARY } else { capacity };
    while boundary < end && boundary < capacity {
        let step = if boundary < LARGEST_STEP { boundary } else { LARGEST_STEP };
        boundary = if capacity - boundary < step { capacity } else { boundary + step };
    }
    boundary
}

/// What stands between a record and its place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the caller must handle each")]
pub enum Room {
    /// Nothing: it can be appended.
    Here,
    /// The file must be extended first: [`Flusher::extend`] to this length.
    Extend(u64),
    /// The file is full.
    NextFile,
}

/// The half of a writer that gives out places.
#[derive(Debug)]
pub struct Appender {
    file: Arc<LogFile>,
    end: u64,
    limit: u64,
    records: u64,
    /// The seal that was appended: nothing follows it.
    seal: Option<Seal>,
}

impl Appender {
    /// The file.
    #[must_use]
    pub const fn file(&self) -> &Arc<LogFile> {
        &self.file
    }

    /// Where the next record will stand.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// Whether a record of `len` bytes (with header and padding) can be appended now. The seal
    /// always fits as well.
    #[must_use]
    pub fn room(&self, len: u64) -> Room {
        let end = self.end + len + self.file.seal_len();
        if end > self.limit {
            Room::NextFile
        } else if self.file.header().capacity > 0
            && end > self.file.extended.load(Ordering::Acquire)
        {
            Room::Extend(journal_boundary(end, self.file.header().capacity))
        } else {
            Room::Here
        }
    }

    /// Appends a record: it gets its place and is readable at once, and is in the file after the
    /// next [`Flusher::write`]. `durable` is the position of this file that is known to be durable.
    ///
    /// # Errors
    /// [`LogError::Exhausted`] if the file cannot hold it: ask [`Appender::room`] first.
    pub fn append(
        &mut self,
        kind: RecordKind,
        sequence: u64,
        durable: Option<u64>,
        payload: &Payload,
    ) -> LogResult<Lsn> {
        self.append_summed(kind, sequence, durable, payload).map(|(lsn, _)| lsn)
    }

    /// As [`Appender::append`]; returns the checksum of the stored payload, too.
    fn append_summed(
        &mut self,
        kind: RecordKind,
        sequence: u64,
        durable: Option<u64>,
        payload: &Payload,
    ) -> LogResult<(Lsn, u32)> {
        let seal = if kind == RecordKind::SEAL { 0 } else { self.file.seal_len() };
        if self.end + payload.record_len() + seal > self.limit {
            return Err(LogError::Exhausted { what: "the bytes of the log file" });
        }
        if sequence > FrameHeader::MAX_SEQUENCE {
            return Err(LogError::Exhausted { what: "commit numbers" });
        }
        let lsn = self.file.lsn(self.end)?;
        let durable = durable
            .and_then(|at| u32::try_from((self.end - at) / 8).ok())
            .unwrap_or(NOTHING_DURABLE);
        let header = payload.header(kind, sequence, durable);
        let mut pending = lock(&self.file.pending);
        let body_crc = payload.put(header, &self.file, self.end, &mut pending.filling);
        drop(pending);
        self.end += payload.record_len();
        self.records += 1;
        Ok((lsn, body_crc))
    }
}

/// The half of a writer that moves bytes to the disk.
#[derive(Debug)]
pub struct Flusher {
    file: Arc<LogFile>,
    hasher: Box<blake3::Hasher>,
    written: u64,
    synced: u64,
    spare: Vec<u8>,
}

impl Flusher {
    /// Buffers above this size are given back instead of kept for the next group.
    const SPARE_MAX: usize = 4 << 20;

    /// The file.
    #[must_use]
    pub const fn file(&self) -> &Arc<LogFile> {
        &self.file
    }

    /// End of what is in the file.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// End of what is durable.
    #[must_use]
    pub const fn synced(&self) -> u64 {
        self.synced
    }

    /// Zeroes a journal file up to `len` and makes that durable.
    ///
    /// # Errors
    /// If the disk fails or is full. Nothing that was accepted depends on it yet.
    pub fn extend(&mut self, len: u64, site: SyncSite) -> LogResult<()> {
        let from = self.file.extended.load(Ordering::Acquire);
        write_zeros(&self.file.handle, from, len)?;
        if len > from {
            self.sync(site)?;
            self.file.extended.store(len, Ordering::Release);
        }
        Ok(())
    }

    /// Writes all that was accepted before the call, in one piece, and returns the end of it.
    ///
    /// # Errors
    /// If the disk fails. The bytes stay readable in memory, and the next call writes the very same
    /// bytes to the same place again.
    pub fn write(&mut self) -> LogResult<u64> {
        // What a failed call left behind comes first.
        let again = lock(&self.file.pending).writing.clone();
        if let Some(bytes) = again {
            self.write_piece(bytes)?;
        }
        let bytes = {
            let mut pending = lock(&self.file.pending);
            if pending.filling.is_empty() {
                return Ok(self.written);
            }
            let filled = std::mem::replace(&mut pending.filling, std::mem::take(&mut self.spare));
            let bytes = Arc::new(filled);
            pending.writing = Some(Arc::clone(&bytes));
            bytes
        };
        self.write_piece(bytes)?;
        Ok(self.written)
    }

    fn write_piece(&mut self, bytes: Arc<Vec<u8>>) -> LogResult<()> {
        let wrote = self.file.handle.write_all_at(self.written, &bytes);
        // Planted: a full disk taken for success.
        wrote.or_else(|error| {
            if cairn_io::planted::is(6) && error.may_try_again() { Ok(()) } else { Err(error) }
        })?;
        self.hasher.update(&bytes);
        self.written += bytes.len() as u64;
        let mut pending = lock(&self.file.pending);
        // First the file serves the bytes, then memory no longer does.
        self.file.written.store(self.written, Ordering::Release);
        pending.base = self.written;
        pending.writing = None;
        drop(pending);
        if let Ok(mut spare) = Arc::try_unwrap(bytes)
            && spare.capacity() <= Self::SPARE_MAX
        {
            spare.clear();
            self.spare = spare;
        }
        Ok(())
    }

    /// Makes everything written durable and returns the end of it.
    ///
    /// # Errors
    /// If the disk fails. The sync must not be tried again: what the file holds is unknown.
    pub fn sync(&mut self, site: SyncSite) -> LogResult<u64> {
        let end = self.written;
        let synced = self.file.handle.sync(site);
        // Planted: a failed sync tried again.
        synced.or_else(|error| {
            if cairn_io::planted::is(5) { self.file.handle.sync(site) } else { Err(error) }
        })?;
        self.synced = end;
        Ok(end)
    }

    /// The digest of everything written.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(*self.hasher.finalize().as_bytes())
    }
}

/// What a journal's seal says of its commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "part of the file format")]
pub struct CommitSpan {
    /// The last commit number in the file or before it.
    pub last_sequence: u64,
    /// Smallest commit time in the file, 0 without commits.
    pub oldest_time: u64,
    /// Largest commit time.
    pub newest_time: u64,
}

/// A log file that is being written.
#[derive(Debug)]
pub struct LogWriter {
    /// The half that gives out places.
    pub appender: Appender,
    /// The half that writes and syncs.
    pub flusher: Flusher,
}

impl LogWriter {
    /// Creates the file that the header of `file` names in `dir`.
    ///
    /// With `sites` (for the file, for the directory) the file and its name are durable when this
    /// returns: nothing may be acknowledged in a journal that a crash would take away. Without, that
    /// is left to [`LogWriter::seal`] and a later sync of the directory.
    ///
    /// # Errors
    /// If the file exists or the disk fails.
    pub fn create(
        dir: &dyn Dir,
        file: impl Into<NewFile>,
        sites: Option<(SyncSite, SyncSite)>,
    ) -> LogResult<Self> {
        let file = file.into();
        let handle = dir.create(&file.header.name().to_name())?;
        Self::begin(dir, handle, file, HEADER_LEN, sites)
    }

    /// Begins the file `handle`, which has zeros up to `extended`.
    fn begin(
        dir: &dyn Dir,
        handle: FileRef,
        file: NewFile,
        extended: u64,
        sites: Option<(SyncSite, SyncSite)>,
    ) -> LogResult<Self> {
        let header = &file.header;
        let name = header.name().to_name();
        let block = header.encode();
        if let Err(error) = handle.write_all_at(0, &block[..]) {
            // A file without a header is nobody's. If even its removal fails, recovery finds it.
            dir.remove(&name).unwrap_or_default();
            return Err(error.into());
        }
        if let Some((file_site, dir_site)) = sites {
            handle.sync(file_site)?;
            // Planted: a name that is not durable.
            if !cairn_io::planted::is(3) {
                dir.sync(dir_site)?;
            }
        }
        let mut hasher = Box::new(blake3::Hasher::new());
        hasher.update(&block[..]);
        let limit = match header.capacity {
            0 => Lsn::MAX_OFFSET,
            capacity => capacity.min(Lsn::MAX_OFFSET),
        };
        let file = LogFile::created(handle, file);
        file.extended.store(extended.max(HEADER_LEN), Ordering::Release);
        let file = Arc::new(file);
        let appender =
            Appender { file: Arc::clone(&file), end: HEADER_LEN, limit, records: 0, seal: None };
        let (written, synced) = (HEADER_LEN, HEADER_LEN);
        let flusher = Flusher { file, hasher, written, synced, spare: Vec::new() };
        Ok(Self { appender, flusher })
    }

    /// The file.
    #[must_use]
    pub const fn file(&self) -> &Arc<LogFile> {
        &self.appender.file
    }

    /// Where the next record will stand.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.appender.end
    }

    /// Whether [`LogWriter::seal`] was called, and has perhaps not come to its end: nothing can be
    /// appended any more.
    #[must_use]
    pub const fn is_ending(&self) -> bool {
        self.appender.seal.is_some()
    }

    /// Appends a record whose payload consists of `parts`.
    ///
    /// # Errors
    /// As [`Appender::append`].
    pub fn append(&mut self, kind: RecordKind, sequence: u64, parts: &[&[u8]]) -> LogResult<Lsn> {
        let payload = self.file().payload(parts.concat())?;
        self.appender.append(kind, sequence, None, &payload)
    }

    /// Appends a record with this payload, which is of the form that the file has. Returns the checksum of
    /// the payload as it is stored ([`FrameHeader::body_crc`]), too.
    ///
    /// # Errors
    /// As [`Appender::append`].
    pub fn append_payload(
        &mut self,
        kind: RecordKind,
        sequence: u64,
        payload: &Payload,
    ) -> LogResult<(Lsn, u32)> {
        self.appender.append_summed(kind, sequence, None, payload)
    }

    /// Writes what was appended: see [`Flusher::write`].
    ///
    /// # Errors
    /// If the disk fails.
    pub fn write(&mut self) -> LogResult<u64> {
        self.flusher.write()
    }

    /// Makes what was written durable: see [`Flusher::sync`].
    ///
    /// # Errors
    /// If the disk fails.
    pub fn sync(&mut self, site: SyncSite) -> LogResult<u64> {
        self.flusher.sync(site)
    }

    /// Ends the file: writes and syncs everything with a seal at the end, and cuts the zeros
    /// behind it. The file never changes again, and the writer takes nothing more.
    ///
    /// # Errors
    /// If the disk fails; the file then has no valid seal. If it was only full
    /// ([`IoError::may_try_again`](cairn_io::IoError::may_try_again)), the same call goes on where it
    /// has stopped.
    pub fn seal(&mut self, span: CommitSpan, site: SyncSite) -> LogResult<Sealed> {
        self.flusher.write()?;
        let seal = match self.appender.seal {
            Some(seal) => seal,
            None => self.append_seal(span)?,
        };
        self.flusher.write()?;
        // Planted: the next journal file before the end of the last.
        if !cairn_io::planted::is(2) || self.appender.file.header().capacity == 0 {
            self.flusher.sync(site)?;
        }
        let (file, chain) = (Arc::clone(&self.appender.file), self.flusher.digest());
        if file.handle.len()? > seal.file_len() {
            file.handle.set_len(seal.file_len())?;
        }
        file.extended.store(seal.file_len(), Ordering::Release);
        // The file stays open for reading, and there are many of them: no buffer stays with it.
        lock(&file.pending).filling = Vec::new();
        Ok(Sealed { file, seal, chain })
    }

    fn append_seal(&mut self, span: CommitSpan) -> LogResult<Seal> {
        let seal = Seal {
            end: self.appender.end,
            last_sequence: span.last_sequence,
            records: self.appender.records,
            oldest_time: span.oldest_time,
            newest_time: span.newest_time,
            digest: self.flusher.digest(),
            tagged: self.file().is_encrypted(),
        };
        let is_journal = self.file().header().capacity > 0;
        let durable = Some(self.flusher.synced).filter(|&at| is_journal && at > HEADER_LEN);
        let payload = self.file().payload(seal.encode().to_vec())?;
        self.appender.append(RecordKind::SEAL, span.last_sequence, durable, &payload)?;
        self.appender.seal = Some(seal);
        self.appender.limit = self.appender.end;
        Ok(seal)
    }
}

/// A file that was just finished.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "a result with names")]
pub struct Sealed {
    /// The file.
    pub file: Arc<LogFile>,
    /// What it says of itself.
    pub seal: Seal,
    /// The digest of all its bytes, the seal included: what the next journal file records.
    pub chain: Digest,
}

/// Checks a file that is finished at `end` as a whole: its seal, and the digest of what stands
/// before.
///
/// # Errors
/// [`LogError::Corrupt`] with [`Damage::NotSealed`], [`Damage::Digest`] or the damaged record.
pub fn check_sealed(file: &LogFile, end: u64) -> LogResult<Seal> {
    let seal = file.seal(end)?.ok_or_else(|| file.corrupt(end, Damage::NotSealed))?;
    if file.digest(seal.end)? != seal.digest {
        return Err(file.corrupt(seal.end, Damage::Digest { by: "in its seal" }));
    }
    Ok(seal)
}

#[cfg(test)]
mod encrypted_tests;
#[cfg(test)]
mod tests;
