//! `ArchiveWriter`: entries become frames.
//!
//! The entries of a database are one stream of bytes, cut into frames: for each the length of its key, that of
//! its value, the key, the value. Lengths and key of an entry stand in one frame; a value goes on in the next
//! frames if it must. The digest of a database is that of its stream, so it does not depend on the cuts.

use std::io::Write;

use cairn_io::WorldRef;
use cairn_log::{
    Digest,
    codec::{ByteWriter, varint_len},
};

use crate::{
    ArchiveError, ArchiveResult, DatabaseTotals, Header, Totals,
    frame::FrameWriter,
    hashing::PieceHasher,
    layout::{ENTRIES, FOOTER, HEADER, MAX_FRAME},
    queue::FrameQueue,
    source::Sink,
};

/// Writes an archive: the databases in the order of the header, the entries of each in the order of their
/// keys.
pub(crate) struct ArchiveWriter<'h, W> {
    frames: FrameQueue<W>,
    header: &'h Header,
    /// Bytes of content after which a frame is written.
    frame_len: usize,
    content: Vec<u8>,
    current: DatabaseWriter,
    databases: Vec<DatabaseTotals>,
}

#[derive(Default)]
struct DatabaseWriter {
    totals: DatabaseTotals,
    hasher: PieceHasher,
}

/// What was written.
pub(crate) struct Written<W> {
    pub(crate) totals: Totals,
    pub(crate) link: Digest,
    pub(crate) sink: Sink<W>,
}

impl<'h, W: Write + Send + 'static> ArchiveWriter<'h, W> {
    /// Writes the header. A worker of `world` writes what follows, if one is given.
    pub(crate) fn new(
        mut frames: FrameWriter<W>,
        header: &'h Header,
        frame_len: usize,
        world: Option<WorldRef>,
    ) -> ArchiveResult<Self> {
        frames.write(HEADER, 0, &header.encode())?;
        let frames = FrameQueue::new(frames, world);
        let frame_len = frame_len.clamp(1, MAX_FRAME);
        let (content, databases) = (Vec::with_capacity(frame_len), Vec::new());
        let current = DatabaseWriter::default();
        Ok(Self { frames, header, frame_len, content, current, databases })
    }

    /// Adds an entry of the current database, whose key is above those before it.
    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) -> ArchiveResult<()> {
        let head_len = varint_len(key.len() as u64) + varint_len(value.len() as u64) + key.len();
        if !self.content.is_empty() && self.content.len() + head_len > self.frame_len {
            self.write_frame()?;
        }
        self.content.put_varint(key.len() as u64);
        self.content.put_varint(value.len() as u64);
        self.content.extend_from_slice(key);
        let mut rest = value;
        while !rest.is_empty() {
            let room = self.frame_len.saturating_sub(self.content.len());
            if room == 0 {
                self.write_frame()?;
                continue;
            }
            let (piece, after) = rest.split_at(room.min(rest.len()));
            self.content.extend_from_slice(piece);
            rest = after;
        }
        self.current.totals.entries += 1;
        Ok(())
    }

    /// Ends the current database; the next entries are of the one after it.
    pub(crate) fn end_database(&mut self) -> ArchiveResult<()> {
        if !self.content.is_empty() {
            self.write_frame()?;
        }
        let DatabaseWriter { totals, mut hasher } = std::mem::take(&mut self.current);
        let digest = Digest(hasher.finish());
        self.databases.push(DatabaseTotals { digest, ..totals });
        Ok(())
    }

    fn write_frame(&mut self) -> ArchiveResult<()> {
        let database = u16::try_from(self.databases.len()).unwrap_or(u16::MAX);
        self.current.hasher.update(&self.content);
        self.current.totals.bytes += self.content.len() as u64;
        let content = std::mem::take(&mut self.content);
        self.content = self.frames.put(ENTRIES, database, content)?;
        Ok(())
    }

    pub(crate) fn written(&self) -> u64 {
        self.frames.written()
    }

    /// Writes the footer, when all databases have ended.
    pub(crate) fn finish(self) -> ArchiveResult<Written<W>> {
        let entries = self.databases.iter().map(|database| database.entries);
        if !entries.eq(self.header.databases.iter().map(|database| database.entries)) {
            let what = "a database has other entries than its snapshot has counted".into();
            return Err(ArchiveError::InvalidInput { what });
        }
        let totals = Totals::new(self.header, self.databases);
        let mut frames = self.frames.finish()?;
        frames.write(FOOTER, 0, &totals.encode())?;
        let (link, sink) = frames.finish()?;
        Ok(Written { totals, link, sink })
    }
}
