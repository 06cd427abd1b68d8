//! `Upload`: log files get into the repository, as far as it does not have them.
//!
//! A part that is there already is used again only if it holds what the file holds: because a point says that it is
//! of a file with the same seal, or because it was read, whole, and compared. So a backup that was killed goes on
//! with what it has stored, and a name alone is never believed.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use cairn_archive::Compression;
use cairn_env::{BackupFile, Cut, EnvError};
use cairn_log::{Digest, FileClass, FileNumber, Timeline, Uuid};

use super::{
    frames::Damaged,
    journal::Journal,
    layout::MAX_PART,
    names::{Folder, ObjectName, PartName},
    point::{NeededObject, Part, Point, PointFile},
    prune::Tombs,
    store::Store,
    storing::Storing,
};
use crate::{
    BackupError, BackupResult, Piece, copy::Beginning, piece::MIN_LINKED, progress::Counter,
};

/// What has become of the parts of a point.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uploaded {
    pub(crate) new_objects: u64,
    pub(crate) new_bytes: u64,
    /// Bytes of log files in objects that a point before has.
    pub(crate) kept_bytes: u64,
    /// Objects that a backup before has left, which did not come to its end.
    pub(crate) adopted_objects: u64,
    /// What was wrong with objects of points before.
    pub(crate) damaged: Vec<String>,
    /// Folders with objects that may not be durable yet.
    pub(super) to_settle: BTreeSet<Folder>,
}

impl Uploaded {
    /// Together with what has become of others.
    pub(crate) fn add(&mut self, other: Self) {
        let Self { new_objects, new_bytes, kept_bytes, adopted_objects, damaged, to_settle } =
            other;
        self.new_objects += new_objects;
        self.new_bytes += new_bytes;
        self.kept_bytes += kept_bytes;
        self.adopted_objects += adopted_objects;
        self.damaged.extend(damaged);
        self.to_settle.extend(to_settle);
    }

    /// Makes durable what was stored, by us or by others.
    pub(crate) fn settle(&self, store: &Store) -> BackupResult<()> {
        self.to_settle.iter().try_for_each(|folder| Ok(store.backend.settle(folder)?))
    }
}

/// The copies of parts that were shipped have this bit.
pub(super) const SHIPPED_COPY: u32 = 1 << 31;

/// Bytes that parts have on average, if a point names those that were shipped.
const SMALL_PART: u64 = 16 << 10;

/// Which part of which file.
type Place = (FileClass, FileNumber, u64, u64);

/// A backup that is being made: what is known before any of its files is read.
pub(crate) struct Upload {
    pub(super) store: Store,
    pub(super) environment: Uuid,
    pub(super) timeline: Timeline,
    pub(super) compression: Compression,
    part_len: u64,
    pub(super) read_back: bool,
    previous: Option<Arc<(u64, Point)>>,
    /// What was shipped of the journal.
    shipped: Journal,
    /// What was removed when it began.
    tombs: Arc<Tombs>,
    /// Objects of this timeline that are there, used or not.
    pub(super) there: BTreeMap<Place, Vec<ObjectName>>,
}

impl Upload {
    pub(crate) fn new(
        store: &Store,
        cut: &Cut,
        (previous, shipped): (Option<Arc<(u64, Point)>>, Journal),
        tombs: &Arc<Tombs>,
        options: &super::PointOptions<'_>,
        is_encrypted: bool,
    ) -> BackupResult<Self> {
        let Cut { environment, timeline, .. } = *cut;
        let mut there: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for folder in [Folder::Data(environment, timeline), Folder::Log(environment, timeline)] {
            for listed in store.backend.list(&folder)? {
                if let Some(name @ ObjectName::Part { part, .. }) = folder.object(&listed.name) {
                    let PartName { class, file, start, length, .. } = part;
                    there.entry((class, file, start, length)).or_default().push(name);
                }
            }
        }
        let compression = if is_encrypted { Compression::None } else { options.compression };
        Ok(Self {
            store: store.clone(),
            environment,
            timeline,
            compression,
            part_len: options.part_bytes.clamp(1, MAX_PART),
            read_back: !options.skip_read_back,
            previous,
            shipped,
            tombs: Arc::clone(tombs),
            there,
        })
    }

    /// What tells the parts that are stored now from those with the same bytes of before: two numbers for each tomb that
    /// was deleted, and never those of parts that were shipped.
    pub(super) fn first_copy(&self) -> u32 {
        u32::try_from(self.tombs.closed).unwrap_or(u32::MAX).saturating_mul(2) & (SHIPPED_COPY - 1)
    }

    /// Brings a file into the repository, and returns what the point is to say of it.
    pub(crate) fn file(
        &self,
        file: &BackupFile,
        counter: &Counter<'_>,
    ) -> BackupResult<(PointFile, Uploaded)> {
        let mut one = One { of: self, done: Uploaded::default() };
        Ok((one.file(file, counter)?, one.done))
    }
}

/// One file of it.
struct One<'a> {
    of: &'a Upload,
    done: Uploaded,
}

impl One<'_> {
    fn file(&mut self, file: &BackupFile, counter: &Counter<'_>) -> BackupResult<PointFile> {
        let seal = file.seal().map(|seal| seal.digest);
        let known = self.of.previous.as_ref().and_then(|previous| {
            let files = &previous.1.files;
            let at = files.binary_search_by_key(&file.name.number, |file| file.name.number);
            at.ok().map(|at| &files[at]).filter(|known| known.name == file.name)
        });
        if let Some(begun) = self.shipped(file, known)? {
            match self.go_on(file, seal, &begun.parts, begun.parts.len(), counter) {
                // It is of another history, as whoever ships next will say.
                Err(BackupError::Env(EnvError::ForeignFile { .. })) => {}
                copied => return copied,
            }
        }
        let Some(known) = known else { return self.copy(file, seal, counter) };
        if let (Some(_), Some(_)) = (seal, known.seal) {
            if seal != known.seal || file.length != known.length {
                self.check_past(file)?;
            } else if self.has_all(known)? {
                self.done.kept_bytes += known.length;
                counter.skip(known.length)?;
                return Ok(PointFile { directory: file.directory, ..known.clone() });
            }
            return self.copy(file, seal, counter);
        }
        if file.name.class != FileClass::Journal || known.length > file.length {
            return self.copy(file, seal, counter);
        }
        let is_small = known.parts.last().is_some_and(|last| last.length < MIN_LINKED);
        let is_left_out = is_small && known.length < file.length;
        let kept = known.parts.len() - usize::from(is_left_out);
        let begun = PointFile { parts: known.parts[..kept].to_vec(), ..known.clone() };
        if !self.has_all(&begun)? {
            return self.copy(file, seal, counter);
        }
        // A small part at the end is stored anew, as part of a larger one, and compared all the same.
        match self.go_on(file, seal, &known.parts, kept, counter) {
            Err(BackupError::Env(EnvError::ForeignFile { .. })) => {
                self.check_past(file)?;
                self.copy(file, seal, counter)
            }
            copied => copied,
        }
    }

    /// Copies what comes after the first `kept` of the parts with which it should begin; what was counted until it failed
    /// is to be done again.
    fn go_on(
        &mut self,
        file: &BackupFile,
        seal: Option<Digest>,
        begins: &[Part],
        kept: usize,
        counter: &Counter<'_>,
    ) -> BackupResult<PointFile> {
        let before = counter.counted();
        let copied = self.copy_behind(file, seal, begins, kept, counter);
        if let Err(BackupError::Env(EnvError::ForeignFile { .. })) = copied {
            counter.again(counter.counted() - before);
        }
        copied
    }

    /// The beginning of a journal file as it was shipped, if that is more than the point before has, and the parts are
    /// not too small for a point to name each.
    fn shipped(
        &mut self,
        file: &BackupFile,
        known: Option<&PointFile>,
    ) -> BackupResult<Option<PointFile>> {
        let mut parts = self.of.shipped.parts(file.name.number);
        if file.name.class != FileClass::Journal || parts.is_empty() {
            return Ok(None);
        }
        let mut length = parts.iter().map(|part| part.length).sum::<u64>();
        while length > file.length || parts.len() as u64 > 16 + length / SMALL_PART {
            let Some(last) = parts.pop() else { return Ok(None) };
            length -= last.length;
        }
        if parts.is_empty() || known.is_some_and(|known| known.length >= length) {
            return Ok(None);
        }
        let (name, directory, digest) = (file.name, file.directory, Digest([0; 32]));
        let begun = PointFile { name, directory, length, digest, seal: None, parts };
        Ok(self.has_all(&begun)?.then_some(begun))
    }

    /// Within a timeline no number of a file comes twice: two files of one name are of two histories.
    fn check_past(&self, file: &BackupFile) -> BackupResult<()> {
        match self.of.previous.as_deref() {
            Some((number, point)) if point.cut.timeline == self.of.timeline => {
                Err(BackupError::OtherPast {
                    place: self.of.store.backend.place(),
                    environment: self.of.environment,
                    timeline: self.of.timeline,
                    point: *number,
                    file: file.name,
                })
            }
            _ => Ok(()),
        }
    }

    /// Whether all parts of a file of the point before are there, and as long as they have to be, and stay.
    fn has_all(&mut self, known: &PointFile) -> BackupResult<bool> {
        if known.placed().any(|(start, part)| self.of.tombs.dooms(&known.part_name(start, part))) {
            return Ok(false);
        }
        for NeededObject { name, stored_length, .. } in known.objects(self.of.environment) {
            let found = self.of.store.backend.length(&name)?;
            if found == Some(stored_length) {
                continue;
            }
            let error = match found {
                None => self.of.store.missing(name),
                Some(at) => {
                    let problem = format!("it has {at} bytes, not {stored_length}");
                    self.of.store.damaged(name, Damaged { at, problem })
                }
            };
            self.done.damaged.push(error.to_string());
            return Ok(false);
        }
        Ok(true)
    }

    /// Reads a file, and stores all of it.
    fn copy(
        &mut self,
        file: &BackupFile,
        seal: Option<Digest>,
        counter: &Counter<'_>,
    ) -> BackupResult<PointFile> {
        self.copy_behind(file, seal, &[], 0, counter)
    }

    /// Reads a file, which should begin with the parts `begins`, and stores what does not lie in the first `kept` of them.
    fn copy_behind(
        &mut self,
        file: &BackupFile,
        seal: Option<Digest>,
        begins: &[Part],
        kept: usize,
        counter: &Counter<'_>,
    ) -> BackupResult<PointFile> {
        let pieces: Vec<_> =
            begins.iter().map(|part| Piece { length: part.length, digest: part.content }).collect();
        let mut beginning = Beginning::new(&pieces);
        let parts = begins[..kept].to_vec();
        let kept: u64 = parts.iter().map(|part| part.length).sum();
        let part_len = usize::try_from(self.of.part_len).unwrap_or(usize::MAX);
        self.done.kept_bytes += kept;
        let mut storing = Storing::new(self.of, &mut self.done, file.name, parts);
        let mut content = Vec::new();
        let digest = file.copy(|at, bytes| -> BackupResult<()> {
            counter.add(bytes.len() as u64)?;
            let known = &bytes[..beginning.len_in(at, bytes.len())];
            if !beginning.is_followed_by(known) {
                let why = "it does not begin as the file of this name in the point before".into();
                return Err(EnvError::ForeignFile { path: file.path().to_owned(), why }.into());
            }
            let old = usize::try_from(kept.saturating_sub(at)).unwrap_or(usize::MAX);
            let mut new = &bytes[old.min(bytes.len())..];
            while !new.is_empty() {
                let (these, others) = new.split_at((part_len - content.len()).min(new.len()));
                content.extend_from_slice(these);
                new = others;
                if content.len() == part_len {
                    content = storing.add(mem::take(&mut content))?;
                }
            }
            Ok(())
        });
        let digest = match digest {
            Ok(digest) => digest,
            Err(error) => {
                drop(storing);
                self.done.kept_bytes -= kept;
                return Err(error);
            }
        };
        if !content.is_empty() {
            storing.add(content)?;
        }
        let parts = storing.end()?;
        let (name, directory, length) = (file.name, file.directory, file.length);
        Ok(PointFile { name, directory, length, digest, seal, parts })
    }
}
