//! `Shown`: a log file that is put together from the frames that can be read; what is lost of it reads as zeros, which
//! are no record.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use cairn_io::{FileIdentity, IoError, IoOp, IoResult};
use cairn_log::Uuid;

use super::survey::Survey;
use crate::{
    BackupResult,
    read_only::Readable,
    repository::{
        ObjectName, PartName,
        frames::{self, FramePlace, Ratio},
        layout::{FRAME, repository_encryption, repository_part as layout},
        secrecy::{Lying, Secrecy},
        store::Store,
    },
};

/// How many frames of 1 MiB are kept.
const KEPT: usize = 16;

/// A frame that was read: of which object, its number, and its content.
type Kept = (PartName, u64, Arc<Vec<u8>>);

/// What frames are read through.
#[derive(Debug)]
pub(super) struct Reader {
    store: Store,
    environment: Uuid,
    /// The frames that were read last, the newest first.
    kept: Mutex<VecDeque<Kept>>,
}

impl Reader {
    pub(super) fn new(store: Store, environment: Uuid) -> Self {
        Self { store, environment, kept: Mutex::default() }
    }

    fn frame(&self, part: PartName, number: u64, place: FramePlace) -> BackupResult<Arc<Vec<u8>>> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |kept: &&Kept| (kept.0, kept.1) == (part, number);
        if let Some((.., bytes)) = kept().iter().find(is_it) {
            return Ok(Arc::clone(bytes));
        }
        let object = ObjectName::Part { environment: self.environment, part };
        let lying = match self.store.secrecy {
            Secrecy::Plain => Lying::Plain,
            Secrecy::Locked | Secrecy::Unlocked(_) => {
                let len = layout::LEN + repository_encryption::LEN;
                let head = self.store.range(object, 0, len)?;
                let of = self.store.secrecy.of(&head, layout::LEN, self.store.secrecy.algorithm());
                of.map_err(|unread| self.store.unread(object, unread))?.0
            }
        };
        let stored = self.store.range(object, place.at, place.stored)?;
        let content = frames::content(&stored, 0, place.length, Ratio::Any, &lying, number);
        let content = Arc::new(content.map_err(|damaged| self.store.damaged(object, damaged))?);
        let mut kept = kept();
        kept.push_front((part, number, Arc::clone(&content)));
        kept.truncate(KEPT);
        Ok(content)
    }
}

/// Bytes of a file, and where in a frame they begin.
#[derive(Clone, Copy, Debug)]
struct Piece {
    length: u64,
    part: PartName,
    number: u64,
    place: FramePlace,
    skip: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Shown {
    path: PathBuf,
    /// By where they begin.
    pieces: BTreeMap<u64, Piece>,
    length: u64,
    reader: Arc<Reader>,
}

impl Shown {
    /// Puts a file together from `parts`, of which the first count where several have the same bytes. It had at least so
    /// many.
    pub(super) fn new(
        place: &Path,
        (parts, known): (&[PartName], u64),
        survey: &Survey<'_>,
        reader: &Arc<Reader>,
    ) -> Self {
        let (mut pieces, mut length) = (BTreeMap::new(), known);
        for part in parts {
            length = length.max(part.start.saturating_add(part.length));
            for (number, place) in survey.parts.get(part).into_iter().flatten() {
                let start = part.start + number * FRAME as u64;
                let piece = Piece {
                    length: place.length as u64,
                    part: *part,
                    number: *number,
                    place: *place,
                    skip: 0,
                };
                fill(&mut pieces, start, piece);
            }
        }
        let name = parts.first().map(|part| part.file.to_string()).unwrap_or_default();
        Self { path: place.join(name), pieces, length, reader: Arc::clone(reader) }
    }

    /// The bytes that are missing: from, to.
    pub(super) fn missing(&self) -> Vec<(u64, u64)> {
        let (mut missing, mut at) = (Vec::new(), 0);
        for (start, piece) in &self.pieces {
            if at < *start {
                missing.push((at, *start));
            }
            at = start + piece.length;
        }
        if at < self.length {
            missing.push((at, self.length));
        }
        missing
    }
}

/// Adds what `piece` has at `start`, as far as nobody else has it.
fn fill(pieces: &mut BTreeMap<u64, Piece>, start: u64, piece: Piece) {
    let (mut at, end) = (start, start + piece.length);
    while at < end {
        let before = pieces.range(..=at).next_back().map(|(start, piece)| start + piece.length);
        if let Some(covered) = before.filter(|covered| *covered > at) {
            at = covered;
            continue;
        }
        let next = pieces.range(at..).next().map_or(end, |(next, _)| end.min(*next));
        pieces.insert(at, Piece { length: next - at, skip: at - start, ..piece });
        at = next;
    }
}

impl Readable for Shown {
    fn path(&self) -> &Path {
        &self.path
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> IoResult<usize> {
        let most =
            |to: u64| usize::try_from(to - offset).map_or(buf.len(), |len| len.min(buf.len()));
        let found = self.pieces.range(..=offset).next_back();
        let found = found.filter(|(start, piece)| offset < *start + piece.length);
        let Some((start, piece)) = found else {
            let next = self.pieces.range(offset..).next().map_or(self.length, |(next, _)| *next);
            let lost = most(next.max(offset));
            buf[..lost].fill(0);
            return Ok(lost);
        };
        let len = most(start + piece.length);
        let frame = self
            .reader
            .frame(piece.part, piece.number, piece.place)
            .map_err(|error| IoError::new(IoOp::Read, &self.path, io::Error::other(error)))?;
        let from = usize::try_from(piece.skip + (offset - start)).unwrap_or(usize::MAX);
        let bytes = frame.get(from..).and_then(|rest| rest.get(..len));
        let bytes = bytes
            .ok_or_else(|| IoError::new(IoOp::Read, &self.path, io::ErrorKind::UnexpectedEof))?;
        buf[..len].copy_from_slice(bytes);
        Ok(len)
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn identity(&self) -> IoResult<FileIdentity> {
        let number = self.pieces.values().next().map_or(0, |piece| piece.part.file.get().into());
        Ok(FileIdentity::new(number, 0))
    }
}
