//! Frames: what an archive consists of behind its head: written one after the other, read with nothing
//! trusted.
//!
//! Content is compressed, then encrypted, then stored. Behind each frame stands its *link*: the BLAKE3 of the
//! link before it, its head and what is stored. So a frame is right only where it stands, behind those that
//! stand before it; and the link of the last one stands for all bytes of the archive. In an encrypted archive
//! the tag of a frame vouches for its head and the link before it, so that only who has the key makes a chain
//! that holds.

use std::{
    io::{Read, Write},
    path::Path,
};

use cairn_log::{Digest, NumberedCipher, TAG_LEN};

use crate::{
    ArchiveError, ArchiveResult, Compression, Compressor, Decompressor,
    hashing::PieceHasher,
    layout::{LINK_LEN, MAX_FRAME, STORED_AS_IS, ZSTANDARD, archive_frame},
    source::{Sink, Source},
};

/// What is stored of a frame, at most.
const MAX_STORED: usize = MAX_FRAME + TAG_LEN;

/// Writes frames.
pub(crate) struct FrameWriter<W> {
    sink: Sink<W>,
    cipher: Option<NumberedCipher>,
    compressor: Compressor,
    /// The link of the frame before.
    link: [u8; LINK_LEN],
    number: u64,
    hasher: PieceHasher,
    /// What is stored of the frame that is made, where that is not its content.
    stored: Vec<u8>,
}

impl<W: Write> FrameWriter<W> {
    /// Writes the beginning of an archive, and then frames.
    pub(crate) fn new(
        mut sink: Sink<W>,
        beginning: &[u8],
        cipher: Option<NumberedCipher>,
        compression: Compression,
    ) -> ArchiveResult<Self> {
        compression.check().map_err(|what| ArchiveError::InvalidInput { what })?;
        let compressor = Compressor::new(compression).map_err(|error| sink.error(error))?;
        let link = *blake3::hash(beginning).as_bytes();
        sink.write(beginning)?;
        sink.write(&link)?;
        let (hasher, stored) = (PieceHasher::default(), Vec::new());
        Ok(Self { sink, cipher, compressor, link, number: 0, hasher, stored })
    }

    /// Writes the next frame.
    pub(crate) fn write(&mut self, kind: u8, database: u16, content: &[u8]) -> ArchiveResult<()> {
        if content.len() > MAX_FRAME {
            let what = format!("{} bytes are too many for a frame", content.len());
            return Err(ArchiveError::InvalidInput { what });
        }
        self.stored.clear();
        let compressed = self.compressor.compress(content, &mut self.stored);
        let compression = match compressed.map_err(|error| self.sink.error(error))? {
            true => ZSTANDARD,
            false => STORED_AS_IS,
        };
        let is_as_it_is = compression == STORED_AS_IS && self.cipher.is_none();
        if compression == STORED_AS_IS && !is_as_it_is {
            self.stored.extend_from_slice(content);
        }
        let tag_len = if self.cipher.is_some() { TAG_LEN } else { 0 };
        let stored_len = if is_as_it_is { content.len() } else { self.stored.len() + tag_len };
        let mut head = [0; archive_frame::LEN];
        archive_frame::STORED.set_number(&mut head, stored_len as u64);
        archive_frame::LENGTH.set_number(&mut head, content.len() as u64);
        archive_frame::KIND.set_number(&mut head, kind.into());
        archive_frame::COMPRESSION.set_number(&mut head, compression.into());
        archive_frame::DATABASE.set_number(&mut head, database.into());
        if let Some(cipher) = &self.cipher {
            cipher.encrypt(self.number, &vouched(&head, &self.link), &mut self.stored);
        }
        let stored = if is_as_it_is { content } else { &self.stored };
        self.link = link(&mut self.hasher, &self.link, &head, stored);
        self.number += 1;
        self.sink.write(&head)?;
        self.sink.write(stored)?;
        self.sink.write(&self.link)
    }

    /// The link of the last frame, and the sink with all of them.
    pub(crate) fn finish(mut self) -> ArchiveResult<(Digest, Sink<W>)> {
        self.sink.flush()?;
        Ok((Digest(self.link), self.sink))
    }

    pub(crate) const fn written(&self) -> u64 {
        self.sink.written()
    }

    pub(crate) fn path(&self) -> &Path {
        self.sink.path()
    }
}

/// Reads frames.
pub(crate) struct FrameReader<R> {
    source: Source<R>,
    cipher: Option<NumberedCipher>,
    decompressor: Decompressor,
    link: [u8; LINK_LEN],
    number: u64,
    hasher: PieceHasher,
    stored: Vec<u8>,
    content: Vec<u8>,
}

/// What the head of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) kind: u8,
    pub(crate) database: u16,
    /// Where the frame begins in the archive.
    pub(crate) at: u64,
    stored: usize,
    length: usize,
    is_compressed: bool,
    bytes: [u8; archive_frame::LEN],
}

impl<R: Read> FrameReader<R> {
    /// Frames behind a beginning with this link.
    pub(crate) fn new(
        source: Source<R>,
        link: [u8; LINK_LEN],
        cipher: Option<NumberedCipher>,
    ) -> Self {
        let (hasher, stored, content) = (PieceHasher::default(), Vec::new(), Vec::new());
        let decompressor = Decompressor::default();
        Self { source, cipher, decompressor, link, number: 0, hasher, stored, content }
    }

    pub(crate) const fn source(&self) -> &Source<R> {
        &self.source
    }

    /// The link of the last frame that was read.
    pub(crate) const fn link(&self) -> Digest {
        Digest(self.link)
    }

    /// Reads the next frame as it is stored, and checks that it follows the one before.
    pub(crate) fn read_stored(&mut self) -> ArchiveResult<FrameHead> {
        let at = self.source.position();
        let mut bytes = [0; archive_frame::LEN];
        self.source.fill(&mut bytes, "a frame")?;
        let head = self.head(at, bytes)?;
        self.stored.resize(head.stored, 0);
        self.source.fill(&mut self.stored, "a frame")?;
        let mut expected = [0; LINK_LEN];
        self.source.fill(&mut expected, "a frame")?;
        self.link = link(&mut self.hasher, &self.link, &bytes, &self.stored);
        if self.link != expected {
            return Err(self.source.damaged(at, "the digest of a frame does not match"));
        }
        self.number += 1;
        Ok(head)
    }

    /// What the head of a frame says, if it can be said at all. Nothing is read or made room for before.
    fn head(&self, at: u64, bytes: [u8; archive_frame::LEN]) -> ArchiveResult<FrameHead> {
        let number = |field: cairn_log::layout::Field| {
            usize::try_from(field.number(&bytes)).unwrap_or(usize::MAX)
        };
        let (stored, length) = (number(archive_frame::STORED), number(archive_frame::LENGTH));
        let compression = number(archive_frame::COMPRESSION);
        let is_compressed = compression == usize::from(ZSTANDARD);
        let is_known = is_compressed || compression == usize::from(STORED_AS_IS);
        if stored > MAX_STORED || length > MAX_FRAME || length == 0 || !is_known {
            return Err(self.source.damaged(at, "the head of a frame is none"));
        }
        if archive_frame::RESERVED.number(&bytes) != 0 {
            return Err(self
                .source
                .damaged(at, "the head of a frame holds what was never written"));
        }
        let kind = u8::try_from(number(archive_frame::KIND)).unwrap_or(0);
        let database = u16::try_from(number(archive_frame::DATABASE)).unwrap_or(u16::MAX);
        Ok(FrameHead { kind, database, at, stored, length, is_compressed, bytes })
    }

    /// Reads the next frame with its content: see [`FrameReader::content`].
    pub(crate) fn read(&mut self) -> ArchiveResult<FrameHead> {
        let (before, number) = (self.link, self.number);
        let head = self.read_stored()?;
        if let Some(cipher) = &self.cipher {
            let vouched = vouched(&head.bytes, &before);
            if cipher.decrypt(number, &vouched, &mut self.stored).is_err() {
                return Err(self.source.not_authentic(head.at));
            }
        }
        let is_whole = match head.is_compressed {
            true => self.decompress(head.length)?,
            false => {
                std::mem::swap(&mut self.content, &mut self.stored);
                self.content.len() == head.length
            }
        };
        match is_whole {
            true => Ok(head),
            false => Err(self.source.damaged(head.at, "a frame does not hold what its head says")),
        }
    }

    /// Decompresses what is stored to exactly `length` bytes, and no more; returns whether that was it.
    fn decompress(&mut self, length: usize) -> ArchiveResult<bool> {
        self.content.resize(length, 0);
        let filled = self.decompressor.fill(&self.stored, &mut self.content);
        filled.map_err(|error| self.source.error(error))
    }

    /// The content of the frame that was read last.
    pub(crate) fn content(&self) -> &[u8] {
        &self.content
    }

    /// An error unless the archive ends here.
    pub(crate) fn expect_end(&mut self) -> ArchiveResult<()> {
        let at = self.source.position();
        match self.source.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(self.source.damaged(at, "there is more behind its end")),
        }
    }
}

/// The link of a frame, which comes in parts, behind that of the one before.
fn link(
    hasher: &mut PieceHasher,
    before: &[u8; LINK_LEN],
    head: &[u8; archive_frame::LEN],
    stored: &[u8],
) -> [u8; LINK_LEN] {
    [before.as_slice(), head, stored].into_iter().for_each(|part| hasher.update(part));
    hasher.finish()
}

/// What the tag of a frame vouches for beside its content.
fn vouched(
    head: &[u8; archive_frame::LEN],
    before: &[u8; LINK_LEN],
) -> [u8; archive_frame::LEN + LINK_LEN] {
    let mut vouched = [0; archive_frame::LEN + LINK_LEN];
    vouched[..archive_frame::LEN].copy_from_slice(head);
    vouched[archive_frame::LEN..].copy_from_slice(before);
    vouched
}
