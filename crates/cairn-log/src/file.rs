//! `LogFile`: one log file, open for reading at any position, also while it is being written.

use std::{fmt, path::Path, sync::Arc};

use bytes::Bytes;
use cairn_io::{
    Access, Dir, FileExt, FileRef, IoError, IoOp,
    shared::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crate::{
    Damage, DataKeys, Digest, FRAME_LEN, FileHeader, FileSeed, FrameHeader, HEADER_LEN, LogError,
    LogName, LogResult, Lsn, NewFile, Payload, Predecessor, RecordKind, Seal, StoredAs, TAG_LEN,
    Uuid, buffer::Buffer, cipher::FileCipher, compressed, crc32c, frame::record_len, layout,
    new_file, seal::seal_record_len, sync::lock,
};

/// A record that was read: checked, and owned.
#[derive(Clone, Debug)]
pub struct OwnedRecord {
    /// Where it stands.
    pub lsn: Lsn,
    /// Its header.
    pub header: FrameHeader,
    /// Its payload, without padding.
    pub body: Vec<u8>,
}

/// What a writer has accepted and not yet written to the file.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// Offset of the first byte of `writing`.
    pub(crate) base: u64,
    /// Bytes that are being written; they stay readable here until they are in the file.
    pub(crate) writing: Option<Arc<Vec<u8>>>,
    /// Bytes that follow them.
    pub(crate) filling: Vec<u8>,
}

impl Pending {
    fn writing_len(&self) -> usize {
        self.writing.as_ref().map_or(0, |bytes| bytes.len())
    }

    /// End of all that was accepted.
    pub(crate) fn end(&self) -> u64 {
        self.base + (self.writing_len() + self.filling.len()) as u64
    }

    /// Copies what is in memory of `offset..offset + buf.len()` and returns how many bytes at the
    /// beginning of the range lie in the file instead; `None` if the range exceeds what was
    /// accepted.
    fn copy(&self, offset: u64, buf: &mut [u8]) -> Option<usize> {
        if offset + buf.len() as u64 > self.end() {
            return None;
        }
        let below = usize::try_from(self.base.saturating_sub(offset)).unwrap_or(usize::MAX);
        let in_file = below.min(buf.len());
        let wanted = &mut buf[in_file..];
        let mut skip = usize::try_from(offset.saturating_sub(self.base)).ok()?;
        let mut filled = 0;
        for part in [self.writing.as_ref().map_or(&[][..], |bytes| &bytes[..]), &self.filling] {
            let part = &part[skip.min(part.len())..];
            skip = skip.saturating_sub(self.writing_len());
            let n = part.len().min(wanted.len() - filled);
            wanted[filled..filled + n].copy_from_slice(&part[..n]);
            filled += n;
        }
        Some(in_file)
    }
}

/// A log file, open for reading.
///
/// Every record that leaves it has passed both checksums, and with the key of an encrypted file its tag.
/// Without the key ([`LogFile::unlock`]) the payload of a record is what is stored, and that is all
/// that copying and checking need. While the file is still being written, bytes
/// that its writer holds in memory are served from there, so a position is readable as soon as it was
/// given out.
pub struct LogFile {
    pub(crate) handle: FileRef,
    header: FileHeader,
    pub(crate) seed: FileSeed,
    /// The key of an encrypted file, if it is there.
    pub(crate) cipher: Option<FileCipher>,
    /// Bytes below this are in the file.
    pub(crate) written: AtomicU64,
    /// The file is zeroed up to here, durably (journal).
    pub(crate) extended: AtomicU64,
    pub(crate) pending: Mutex<Pending>,
    /// Whether memory was ever mapped to it, which may live on.
    mapped: AtomicBool,
    /// Whether it came into being through this very value.
    created: bool,
}

impl LogFile {
    /// Opens the file `name` in `dir` and checks that it is what its name says and belongs to
    /// `environment`.
    ///
    /// # Errors
    /// As [`FileHeader::decode`] and [`FileHeader::check_place`].
    pub fn open(dir: &dyn Dir, name: LogName, environment: Uuid) -> LogResult<Self> {
        let handle = dir.open(&name.to_name(), Access::Read)?;
        let header = Self::read_header(&handle)?;
        header.check_place(handle.path(), name, environment)?;
        Self::with(handle, header)
    }

    /// Opens a file whatever its name and environment: for tools that look at single files.
    ///
    /// # Errors
    /// As [`FileHeader::decode`].
    pub fn open_any(handle: FileRef) -> LogResult<Self> {
        let header = Self::read_header(&handle)?;
        Self::with(handle, header)
    }

    /// Opens a file whose header is known from elsewhere: for repair, where the one in the file is
    /// damaged.
    ///
    /// # Errors
    /// Only if the disk fails.
    pub fn open_as(handle: FileRef, header: FileHeader) -> LogResult<Self> {
        Self::with(handle, header)
    }

    fn read_header(handle: &FileRef) -> LogResult<FileHeader> {
        let mut block = [0; layout::file_header::LEN];
        let len = handle.read_full_at(0, &mut block)?;
        FileHeader::decode(&block[..len], handle.path())
    }

    fn with(handle: FileRef, header: FileHeader) -> LogResult<Self> {
        let len = handle.len()?;
        Ok(Self::new(handle, header, len))
    }

    pub(crate) fn new(handle: FileRef, header: FileHeader, len: u64) -> Self {
        Self {
            seed: FileSeed::of_file(&header),
            handle,
            header,
            cipher: None,
            written: AtomicU64::new(len),
            extended: AtomicU64::new(len),
            pending: Mutex::new(Pending { base: len, ..Pending::default() }),
            mapped: AtomicBool::new(false),
            created: false,
        }
    }

    /// A file that has just been created, and holds its header.
    pub(crate) fn created(handle: FileRef, file: NewFile) -> Self {
        let NewFile { header, cipher } = file;
        Self { created: true, cipher, ..Self::new(handle, header, HEADER_LEN) }
    }

    /// The same file with its key, so that what is read is what was written. Its header is checked.
    ///
    /// # Errors
    /// [`LogError::NotEncrypted`]; [`LogError::KeyRequired`] if the key of its epoch is not among `keys`;
    /// [`LogError::Corrupt`] with [`Damage::NotAuthentic`] if the header is not what was written with it.
    pub fn unlock(mut self, keys: &DataKeys) -> LogResult<Self> {
        self.cipher = Some(new_file::unlock(&self.header, keys, self.handle.path())?);
        Ok(self)
    }

    /// Whether the file is encrypted.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.header.encryption.is_some()
    }

    /// Whether the file is encrypted, and its key is not there.
    #[must_use]
    pub const fn is_locked(&self) -> bool {
        self.is_encrypted() && self.cipher.is_none()
    }

    /// A payload as the records of this file have it.
    ///
    /// # Errors
    /// As [`Payload::new`].
    pub fn payload(&self, bytes: Vec<u8>) -> LogResult<Payload> {
        match self.is_encrypted() {
            true => Payload::to_encrypt(bytes, Vec::new()),
            false => Payload::new(bytes),
        }
    }

    /// Bytes that the seal takes.
    #[must_use]
    pub const fn seal_len(&self) -> u64 {
        seal_record_len(self.is_encrypted())
    }

    /// Decrypts the stored payload of a record in place, if the key is there, with or without its insets;
    /// returns how many bytes of it are payload.
    pub(crate) fn decrypt(
        &self,
        header: &FrameHeader,
        offset: u64,
        stored: &mut [u8],
        with_insets: bool,
    ) -> Result<usize, Damage> {
        let (stored, padding) = stored.split_at_mut(header.len as usize);
        match &self.cipher {
            None => Ok(stored.len()),
            // No tag vouches for it, and only zeros are written there.
            Some(_) if padding.iter().any(|&byte| byte != 0) => Err(Damage::NotAuthentic),
            Some(cipher) => cipher.decrypt_payload(header, offset, stored, with_insets),
        }
    }

    /// Whether this process has created the file, through this very value: then it may still be writing it.
    #[must_use]
    pub const fn is_created_here(&self) -> bool {
        self.created
    }

    /// The file's header.
    #[must_use]
    pub const fn header(&self) -> &FileHeader {
        &self.header
    }

    /// The file's name.
    #[must_use]
    pub const fn name(&self) -> LogName {
        self.header.name()
    }

    /// Where the file is: for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.handle.path()
    }

    /// What the checksums of this file are mixed with.
    #[must_use]
    pub const fn seed(&self) -> FileSeed {
        self.seed
    }

    /// The open file, for copying it as it is.
    #[must_use]
    pub const fn handle(&self) -> &FileRef {
        &self.handle
    }

    /// End of what can be read: the file's length, or what its writer has accepted.
    #[must_use]
    pub fn end(&self) -> u64 {
        lock(&self.pending).end()
    }

    /// Bytes that the file takes on the disk, or is about to: its content, and the zeros ahead of a
    /// journal's records.
    #[must_use]
    pub fn footprint(&self) -> u64 {
        self.end().max(self.extended.load(Ordering::Acquire))
    }

    /// End of the whole records that are in the file itself: all of it, or what its writer has written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Whether memory that was handed out may be a mapping of this file.
    #[must_use]
    pub fn is_mapped(&self) -> bool {
        self.mapped.load(Ordering::Acquire)
    }

    /// The position of `offset` in this file.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] for an offset that no record can have.
    pub fn lsn(&self, offset: u64) -> LogResult<Lsn> {
        Lsn::new(self.header.number, offset).ok_or_else(|| {
            self.corrupt(offset, Damage::Overrun { end: offset, len: Lsn::MAX_OFFSET })
        })
    }

    /// The error for damage at `offset` of this file.
    #[must_use]
    pub fn corrupt(&self, offset: u64, damage: Damage) -> LogError {
        LogError::corrupt(self.path(), offset, damage)
    }

    /// Fills `buf` from `offset`, unchecked: from the file, or from memory while it is not there.
    pub(crate) fn read_bytes(&self, offset: u64, buf: &mut [u8]) -> LogResult<()> {
        let in_file = self.copy_pending(offset, buf)?;
        Ok(self.handle.read_exact_at(offset, &mut buf[..in_file])?)
    }

    /// As [`LogFile::read_bytes`], with zeros behind the end of the file.
    pub(crate) fn read_bytes_or_zeros(&self, offset: u64, buf: &mut [u8]) -> LogResult<()> {
        let in_file = self.copy_pending(offset, buf)?;
        let got = self.handle.read_full_at(offset, &mut buf[..in_file])?;
        buf[got..in_file].fill(0);
        Ok(())
    }

    /// Copies what is still in memory of these bytes; returns how many before it lie in the file.
    fn copy_pending(&self, offset: u64, buf: &mut [u8]) -> LogResult<usize> {
        let mut in_file = buf.len();
        if offset + buf.len() as u64 > self.written.load(Ordering::Acquire) {
            let pending = lock(&self.pending);
            in_file = pending.copy(offset, buf).ok_or_else(|| {
                self.corrupt(
                    offset,
                    Damage::Overrun { end: offset + buf.len() as u64, len: pending.end() },
                )
            })?;
        }
        Ok(in_file)
    }

    /// Reads and checks the record at `lsn` (which must be of this file), with its insets.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] if there is no whole record, [`LogError::Io`] if the disk fails.
    pub fn read(&self, lsn: Lsn) -> LogResult<OwnedRecord> {
        let mut buf = Vec::new();
        let (header, len) = self.read_record(lsn, 0, &mut buf, true)?;
        buf.drain(..FRAME_LEN);
        buf.truncate(len);
        Ok(OwnedRecord { lsn, header, body: buf })
    }

    /// Tells the system that the record at `lsn` (which must be of this file) of about `len` bytes will be read soon. A hint.
    pub fn expect(&self, lsn: Lsn, len: usize) {
        self.handle.expect(lsn.offset(), len as u64);
    }

    /// Reads and checks the record at `lsn` into `buf`, header included (its payload begins at
    /// [`FRAME_LEN`]), and returns the length of the payload, too. Insets stay as they are stored: see
    /// [`LogFile::read_value`]. With a `hint` of the record's length one read is enough.
    ///
    /// # Errors
    /// As [`LogFile::read`].
    pub fn read_into(
        &self,
        lsn: Lsn,
        hint: usize,
        buf: &mut Vec<u8>,
    ) -> LogResult<(FrameHeader, usize)> {
        self.read_record(lsn, hint, buf, false)
    }

    fn read_record(
        &self,
        lsn: Lsn,
        hint: usize,
        buf: &mut Vec<u8>,
        with_insets: bool,
    ) -> LogResult<(FrameHeader, usize)> {
        debug_assert_eq!(
            lsn.file(),
            self.header.number,
            "positions are resolved to files by number"
        );
        let (offset, end) = (lsn.offset(), self.end());
        let room = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        if offset < HEADER_LEN || room < FRAME_LEN {
            return Err(
                self.corrupt(offset, Damage::Overrun { end: offset + FRAME_LEN as u64, len: end })
            );
        }
        buf.clear();
        buf.resize(hint.clamp(FRAME_LEN, room), 0);
        self.read_bytes(offset, buf)?;
        let (frame, _) = buf.split_first_chunk().expect("the buffer holds at least a header");
        let header = FrameHeader::decode(frame, self.seed, offset)
            .map_err(|damage| self.corrupt(offset, damage))?;
        let total = header.record_len();
        if total > room as u64 {
            return Err(self.corrupt(offset, Damage::Overrun { end: offset + total, len: end }));
        }
        let total = usize::try_from(total).expect("not more than the room, which is a usize");
        let have = buf.len();
        buf.resize(total, 0);
        if have < total {
            self.read_bytes(offset + have as u64, &mut buf[have..])?;
        }
        // Planted: a checksum that nobody compares.
        if !cairn_io::planted::is(9) {
            check_body(&header, &buf[FRAME_LEN..])
                .map_err(|damage| self.corrupt(offset, damage))?;
        }
        let opened = match header.stored_as {
            StoredAs::Compressed => compressed::open(&header, buf, FRAME_LEN),
            _ => self.decrypt(&header, offset, &mut buf[FRAME_LEN..], with_insets),
        };
        Ok((header, opened.map_err(|damage| self.corrupt(offset, damage))?))
    }

    /// Reads and checks the large value of `len` bytes that stands at `offset`, inside of a record, and
    /// whose CRC-32C is `crc`. In an encrypted file it is an inset, of which the tag is checked instead.
    ///
    /// # Errors
    /// As [`LogFile::read_slice`]; [`LogError::KeyRequired`] without the key.
    pub fn read_value(&self, offset: u64, len: usize, crc: u32, map: bool) -> LogResult<Bytes> {
        let Some(encryption) = &self.header.encryption else {
            let bytes = self.read_slice(offset, len, map)?;
            let found = crc32c(&bytes);
            if found != crc {
                let damage = Damage::BodyChecksum { expected: crc, found };
                return Err(self.corrupt(offset, damage));
            }
            return Ok(bytes);
        };
        let Some(cipher) = &self.cipher else {
            let (path, epoch) = (self.path().to_owned(), encryption.epoch);
            return Err(LogError::KeyRequired { path, epoch });
        };
        let end = offset.saturating_add((len + TAG_LEN) as u64);
        if end > self.end() {
            return Err(self.corrupt(offset, Damage::Overrun { end, len: self.end() }));
        }
        if map
            && end <= self.written.load(Ordering::Acquire)
            && let Some(stored) = self.handle.map(offset, len + TAG_LEN)?
        {
            self.mapped.store(true, Ordering::Release);
            let value = cipher.decrypted_inset(offset, &stored);
            return Ok(value.map_err(|damage| self.corrupt(offset, damage))?.into());
        }
        let mut buf = Buffer::new(len + TAG_LEN);
        self.read_bytes(offset, buf.bytes())?;
        let opened = cipher.decrypt_inset(offset, buf.bytes());
        opened.map_err(|damage| self.corrupt(offset, damage))?;
        Ok(Bytes::from(buf).slice(..len))
    }

    /// Reads `len` bytes inside a record as they are, without a copy where `map` is asked for and
    /// possible. The caller checks them: a large value has a checksum of its own beside its
    /// position.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] if the range exceeds the file, [`LogError::Io`] if the disk fails.
    pub fn read_slice(&self, offset: u64, len: usize, map: bool) -> LogResult<Bytes> {
        let end = offset.saturating_add(len as u64);
        let written = self.written.load(Ordering::Acquire);
        if map
            && end <= written
            && let Some(bytes) = self.handle.map(offset, len)?
        {
            self.mapped.store(true, Ordering::Release);
            return Ok(bytes);
        }
        if end > written && end > self.end() {
            // Checked before anything is allocated: the length may come from damaged bytes.
            return Err(self.corrupt(offset, Damage::Overrun { end, len: self.end() }));
        }
        let mut buf = vec![0; len];
        self.read_bytes(offset, &mut buf)?;
        Ok(buf.into())
    }

    /// Reads the seal that ends at `end`; `None` if there is none. A finished file ends with its
    /// seal, but a journal may have zeros behind it: a crash can undo that they were cut.
    ///
    /// # Errors
    /// Only if the disk fails: a damaged seal is no seal.
    pub fn seal(&self, end: u64) -> LogResult<Option<Seal>> {
        let Some(offset) = end.checked_sub(self.seal_len()).filter(|at| at % 8 == 0) else {
            return Ok(None);
        };
        match self.lsn(offset).and_then(|lsn| self.read(lsn)) {
            Ok(record) if record.header.kind == RecordKind::SEAL => {
                Ok(Seal::decode(&record.header, &record.body, offset).ok())
            }
            Ok(_) | Err(LogError::Corrupt { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// This file as the one before another: it ends at `end`, with the commit `last_sequence`.
    ///
    /// # Errors
    /// As [`LogFile::digest`].
    pub fn predecessor(&self, end: u64, last_sequence: u64) -> LogResult<Predecessor> {
        let (file, directory) = (self.header.number, self.header.directory);
        Ok(Predecessor { file, directory, end, last_sequence, chain: self.digest(end)? })
    }

    /// The BLAKE3 hash of the first `end` bytes.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file is shorter.
    pub fn digest(&self, end: u64) -> LogResult<Digest> {
        let mut hasher = blake3::Hasher::new();
        let mut buf = vec![0; 1 << 18];
        let mut at = 0;
        while at < end {
            let want = usize::try_from(end - at).map_or(buf.len(), |left| left.min(buf.len()));
            let got = self.handle.read_full_at(at, &mut buf[..want])?;
            if got < want {
                let eof = std::io::ErrorKind::UnexpectedEof;
                return Err(IoError::new(IoOp::Read, self.path(), eof).into());
            }
            hasher.update(&buf[..want]);
            at += want as u64;
        }
        Ok(Digest(*hasher.finalize().as_bytes()))
    }
}

/// Checks payload and padding of a record against its header.
pub(crate) fn check_body(header: &FrameHeader, body: &[u8]) -> Result<(), Damage> {
    debug_assert_eq!(body.len() as u64, record_len(header.len.into()) - FRAME_LEN as u64);
    let (expected, found) = (header.body_crc, crc32c(body));
    if expected == found { Ok(()) } else { Err(Damage::BodyChecksum { expected, found }) }
}

impl fmt::Debug for LogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogFile({})", self.path().display())
    }
}
