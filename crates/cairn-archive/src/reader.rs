//! `ArchiveReader`: an archive from front to back, in bounded memory, whatever it is.
//!
//! Nothing that it gives has not passed the digest of its frame, and in an encrypted archive its tag. Whether
//! the archive is whole is known when [`Item::End`] has come: what was made of it before must not count until
//! then.

use std::{
    io::Read,
    ops::Range,
    path::{Path, PathBuf},
};

use cairn_env::{MAX_KEY_LEN, MAX_VALUE_LEN};
use cairn_log::{
    Digest, Uuid,
    codec::{ByteReader, DecodeError},
};

use crate::{
    ArchiveError, ArchiveKeys, ArchiveResult, DatabaseTotals, Header, Totals,
    frame::{FrameHead, FrameReader},
    hashing::PieceHasher,
    head::Head,
    layout::{ENTRIES, FOOTER, HEADER, LINK_LEN, archive_head},
    source::Source,
};

/// Reads an archive from front to back.
///
/// It takes some 3 MiB, whatever the archive says and however long its values are, and never more than 16.
pub struct ArchiveReader<R> {
    frames: FrameReader<R>,
    environment: Uuid,
    archive: Uuid,
    epoch: u32,
    header: Header,
    /// The frame that was read last, and how much of its content was given.
    frame: Option<FrameHead>,
    at: usize,
    /// The database whose entries come, once one has begun.
    database: Option<usize>,
    current: Current,
    databases: Vec<DatabaseTotals>,
    totals: Option<Totals>,
}

/// The database whose entries come.
#[derive(Default)]
struct Current {
    totals: DatabaseTotals,
    hasher: PieceHasher,
    last_key: Vec<u8>,
    /// Bytes of the value that are still to come.
    value_left: u64,
}

/// What comes next in an archive.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "whoever reads an archive must handle each")]
pub enum Item<'r> {
    /// The entries of this database, by its place in [`Header::databases`](Header#structfield.databases). Each
    /// comes once, in order, also one without entries.
    Database(usize),
    /// An entry; its value follows.
    Entry {
        /// Its key, above those before it.
        key: &'r [u8],
        /// Bytes of its value.
        value_len: u64,
    },
    /// The next bytes of the value.
    Value(&'r [u8]),
    /// The end: the archive is whole. What its entries add up to.
    End(&'r Totals),
}

/// As [`Item`], before it borrows.
enum Next {
    Database(usize),
    Entry(Range<usize>, u64),
    Value(Range<usize>),
    End,
}

impl<R: Read> ArchiveReader<R> {
    /// Reads the beginning of an archive from a stream that `path` names for messages.
    ///
    /// # Errors
    /// [`ArchiveError::Empty`], [`ArchiveError::NotAnArchive`], [`ArchiveError::Truncated`],
    /// [`ArchiveError::Damaged`], [`ArchiveError::Unsupported`]: what is wrong with it.
    /// [`ArchiveError::KeyRequired`], [`ArchiveError::WrongKey`].
    pub fn new(stream: R, path: impl Into<PathBuf>, keys: &ArchiveKeys) -> ArchiveResult<Self> {
        let Beginning { source, head, keyring, link } = begin(stream, path.into())?;
        let cipher = match head.is_encrypted() {
            true => Some(head.unlock(&keyring, keys, source.path())?),
            false => None,
        };
        let mut frames = FrameReader::new(source, link, cipher);
        let frame = frames.read()?;
        if frame.kind != HEADER || frame.database != 0 {
            return Err(frames.source().damaged(frame.at, "it does not begin with its header"));
        }
        let header = Header::decode(frames.content());
        let header =
            header.map_err(|error| malformed(frames.source(), frame.at, "header", error))?;
        if header.environment != head.environment() {
            return Err(frames.source().damaged(frame.at, "its head is of another environment"));
        }
        Ok(Self {
            frames,
            environment: head.environment(),
            archive: head.archive(),
            epoch: head.epoch(),
            header,
            frame: None,
            at: 0,
            database: None,
            current: Current::default(),
            databases: Vec::new(),
            totals: None,
        })
    }

    /// What the archive says of itself.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// What tells this archive from all others.
    #[must_use]
    pub const fn archive(&self) -> Uuid {
        self.archive
    }

    /// The environment that its store is from.
    #[must_use]
    pub const fn environment(&self) -> Uuid {
        self.environment
    }

    /// The epoch of the data key under which it is encrypted; `None` if it is not.
    #[must_use]
    pub fn key_epoch(&self) -> Option<u32> {
        (self.epoch != 0).then_some(self.epoch)
    }

    /// Bytes of the archive that were read.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.frames.source().position()
    }

    /// The digest of all stored bytes up to here; after [`Item::End`] that of the archive.
    #[must_use]
    pub const fn stored_digest(&self) -> Digest {
        self.frames.link()
    }

    pub(crate) fn path(&self) -> &Path {
        self.frames.source().path()
    }

    /// What comes next. After [`Item::End`] that comes again.
    ///
    /// # Errors
    /// As [`ArchiveReader::new`]; the reader is of no use then. [`ArchiveError::NotAuthentic`].
    #[expect(clippy::should_implement_trait, reason = "what comes borrows the reader")]
    pub fn next(&mut self) -> ArchiveResult<Item<'_>> {
        Ok(match self.advance()? {
            Next::Database(database) => Item::Database(database),
            Next::Entry(key, value_len) => {
                Item::Entry { key: &self.frames.content()[key], value_len }
            }
            Next::Value(piece) => Item::Value(&self.frames.content()[piece]),
            Next::End => Item::End(self.totals.get_or_insert_default()),
        })
    }

    fn advance(&mut self) -> ArchiveResult<Next> {
        loop {
            if self.totals.is_some() {
                return Ok(Next::End);
            }
            let Some(frame) = self.frame else {
                let frame = self.frames.read()?;
                self.check_kind(&frame)?;
                self.frame = Some(frame);
                self.at = 0;
                continue;
            };
            let begun = self.database;
            let ends_at = match frame.kind {
                ENTRIES => usize::from(frame.database),
                _ => self.header.databases.len(),
            };
            // Databases without entries have no frames.
            if begun.is_none_or(|begun| begun < ends_at) {
                if begun.is_some() {
                    self.end_database(&frame)?;
                }
                let next = begun.map_or(0, |begun| begun + 1);
                self.database = Some(next);
                if next == self.header.databases.len() {
                    continue;
                }
                return Ok(Next::Database(next));
            }
            if frame.kind == FOOTER {
                self.end(&frame)?;
                continue;
            }
            if self.at == 0 {
                self.current.hasher.update(self.frames.content());
                self.current.totals.bytes += self.frames.content().len() as u64;
            }
            if self.at == self.frames.content().len() {
                self.frame = None;
                continue;
            }
            return match self.current.value_left {
                0 => self.entry(&frame),
                left => Ok(self.value(left)),
            };
        }
    }

    /// An error unless a frame of this kind may come here.
    fn check_kind(&self, frame: &FrameHead) -> ArchiveResult<()> {
        let database = usize::from(frame.database);
        let begun = self.database.unwrap_or(0);
        let may_come = match frame.kind {
            ENTRIES => {
                database < self.header.databases.len()
                    && (database == begun || database > begun && self.current.value_left == 0)
            }
            FOOTER => database == 0 && self.current.value_left == 0,
            _ => false,
        };
        match may_come {
            true => Ok(()),
            false => Err(self.frames.source().damaged(frame.at, "a frame is out of its place")),
        }
    }

    /// Lengths and key of the next entry.
    fn entry(&mut self, frame: &FrameHead) -> ArchiveResult<Next> {
        let content = &self.frames.content()[self.at..];
        let entry = decode_entry(content)
            .map_err(|error| malformed(self.frames.source(), frame.at, "entry", error))?;
        let (key_from, key_len, value_len) = entry;
        let key = self.at + key_from..self.at + key_from + key_len;
        let current = &mut self.current;
        let bytes = &self.frames.content()[key.clone()];
        if current.totals.entries > 0 && bytes <= &current.last_key[..] {
            return Err(self.frames.source().damaged(frame.at, "an entry is out of its place"));
        }
        current.last_key.clear();
        current.last_key.extend_from_slice(bytes);
        current.totals.entries += 1;
        current.value_left = value_len;
        self.at = key.end;
        Ok(Next::Entry(key, value_len))
    }

    /// The next piece of the value, of which so much is left.
    fn value(&mut self, left: u64) -> Next {
        let room = self.frames.content().len() - self.at;
        let len = room.min(usize::try_from(left).unwrap_or(usize::MAX));
        let piece = self.at..self.at + len;
        self.at = piece.end;
        self.current.value_left -= len as u64;
        Next::Value(piece)
    }

    fn end_database(&mut self, frame: &FrameHead) -> ArchiveResult<()> {
        let Current { totals, mut hasher, .. } = std::mem::take(&mut self.current);
        let digest = Digest(hasher.finish());
        let stated = self.header.databases.get(self.databases.len());
        if stated.is_none_or(|database| database.entries != totals.entries) {
            let what = "a database has another number of entries than the header says";
            return Err(self.frames.source().damaged(frame.at, what));
        }
        self.databases.push(DatabaseTotals { digest, ..totals });
        Ok(())
    }

    /// The footer: everything was there, and nothing else.
    fn end(&mut self, frame: &FrameHead) -> ArchiveResult<()> {
        let found = Totals::new(&self.header, std::mem::take(&mut self.databases));
        let stated = Totals::decode(self.frames.content())
            .map_err(|error| malformed(self.frames.source(), frame.at, "footer", error))?;
        if stated != found {
            let what = "its entries do not add up to what the footer says";
            return Err(self.frames.source().damaged(frame.at, what));
        }
        self.frames.expect_end()?;
        self.totals = Some(found);
        Ok(())
    }
}

/// Where the key of an entry begins, its length, and that of its value.
fn decode_entry(content: &[u8]) -> Result<(usize, usize, u64), DecodeError> {
    let mut reader = ByteReader::new(content);
    let key_len = reader.varint_max("length of a key", MAX_KEY_LEN as u64)?;
    let value_len = reader.varint_max("length of a value", MAX_VALUE_LEN as u64)?;
    let key_from = reader.position();
    let key = reader.bytes("key", usize::try_from(key_len).unwrap_or(usize::MAX))?;
    Ok((key_from, key.len(), value_len))
}

fn malformed<R: Read>(source: &Source<R>, at: u64, what: &str, error: DecodeError) -> ArchiveError {
    source.damaged(at, format!("its {what} makes no sense: {error}"))
}

/// The epoch of the data key under which an archive is encrypted, of which only the beginning is read; `None`
/// if it is not encrypted.
pub(crate) fn key_epoch(stream: impl Read, path: PathBuf) -> ArchiveResult<Option<u32>> {
    let epoch = begin(stream, path)?.head.epoch();
    Ok((epoch != 0).then_some(epoch))
}

/// The beginning of an archive.
struct Beginning<R> {
    source: Source<R>,
    head: Head,
    keyring: Vec<u8>,
    link: [u8; LINK_LEN],
}

fn begin<R: Read>(stream: R, path: PathBuf) -> ArchiveResult<Beginning<R>> {
    let mut source = Source::new(stream, path);
    let mut bytes = [0; archive_head::LEN];
    let read = source.read(&mut bytes)?;
    if read == 0 {
        return Err(ArchiveError::Empty { path: source.path().to_owned() });
    }
    if read < bytes.len() {
        let magic = archive_head::MAGIC.of(&bytes);
        let begins = magic.iter().zip(crate::layout::MAGIC).take(read).all(|(a, b)| a == b);
        let path = source.path().to_owned();
        return Err(match begins {
            true => ArchiveError::Truncated { path, at: read as u64, what: "its head" },
            false => ArchiveError::NotAnArchive { path },
        });
    }
    let head = Head::decode(bytes, source.path())?;
    let mut keyring = vec![0; head.keyring_len()];
    source.fill(&mut keyring, "its keyring")?;
    let mut expected = [0; LINK_LEN];
    source.fill(&mut expected, "its head")?;
    let mut hasher = blake3::Hasher::new();
    let link = *hasher.update(head.bytes()).update(&keyring).finalize().as_bytes();
    if link != expected {
        return Err(source.damaged(0, "the digest of its beginning does not match"));
    }
    Ok(Beginning { source, head, keyring, link })
}

/// What can be said of an archive without its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredReport {
    /// The environment that its store is from.
    pub environment: Uuid,
    /// What tells the archive from all others.
    pub archive: Uuid,
    /// The epoch of the data key under which it is encrypted; `None` if it is not.
    pub key_epoch: Option<u32>,
    /// Its length.
    pub bytes: u64,
    /// The digest of its stored bytes.
    pub digest: Digest,
}

/// Reads an archive as it is stored: whether all bytes are those that were written, which needs no key.
///
/// What they hold is not looked at, and nobody vouches for it: who could write to the archive can have made
/// another one of it.
///
/// # Errors
/// As [`ArchiveReader::new`], but for those about keys. `progress` is given the bytes that were read, and
/// ends it by its error.
pub fn verify_stored(
    stream: impl Read,
    path: impl Into<PathBuf>,
    mut progress: impl FnMut(u64) -> ArchiveResult<()>,
) -> ArchiveResult<StoredReport> {
    let Beginning { source, head, link, .. } = begin(stream, path.into())?;
    let mut frames = FrameReader::new(source, link, None);
    let mut expected = HEADER;
    loop {
        let frame = frames.read_stored()?;
        let may_come = match expected {
            HEADER => frame.kind == HEADER,
            _ => matches!(frame.kind, ENTRIES | FOOTER),
        };
        if !may_come {
            return Err(frames.source().damaged(frame.at, "a frame is out of its place"));
        }
        progress(frames.source().position())?;
        expected = ENTRIES;
        if frame.kind == FOOTER {
            frames.expect_end()?;
            return Ok(StoredReport {
                environment: head.environment(),
                archive: head.archive(),
                key_epoch: (head.epoch() != 0).then_some(head.epoch()),
                bytes: frames.source().position(),
                digest: frames.link(),
            });
        }
    }
}
