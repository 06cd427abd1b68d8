//! `Storing`: the parts of one file get into the repository. While the disk writes one, the next one is read and hashed.

use cairn_archive::Compression;
use cairn_log::{Digest, LogName};

use super::{
    Put,
    backend::Begun,
    frames::Damaged,
    names::{ObjectName, PartName, ShortHash},
    part::StoredPart,
    point::{NeededObject, Part},
    upload::{Upload, Uploaded},
};
use crate::{BackupError, BackupResult};

/// The parts of a file, of which the last one may be on its way.
pub(super) struct Storing<'a, 'd> {
    of: &'a Upload,
    done: &'d mut Uploaded,
    file: LogName,
    start: u64,
    parts: Vec<Part>,
    on_its_way: Option<OnItsWay<'a>>,
}

/// A part of which the place was told, and which is not durable yet.
struct OnItsWay<'a> {
    name: PartName,
    content: Vec<u8>,
    copy: u32,
    stored: StoredPart,
    begun: Begun<'a>,
}

impl<'a, 'd> Storing<'a, 'd> {
    /// Goes on behind `parts`, which are there.
    pub(super) fn new(
        of: &'a Upload,
        done: &'d mut Uploaded,
        file: LogName,
        parts: Vec<Part>,
    ) -> Self {
        let start = parts.iter().map(|part| part.length).sum();
        Self { of, done, file, start, parts, on_its_way: None }
    }

    /// Stores the next bytes of the file, or finds them stored. Returns a buffer for those that come behind.
    pub(super) fn add(&mut self, content: Vec<u8>) -> BackupResult<Vec<u8>> {
        let name = PartName {
            timeline: self.of.timeline,
            class: self.file.class,
            file: self.file.number,
            start: self.start,
            length: content.len() as u64,
            hash: ShortHash(0),
        };
        self.start += content.len() as u64;
        let mut spare = if let Some(part) = self.adopt(name, &content)? {
            self.end_last()?;
            self.done.adopted_objects += 1;
            self.parts.push(part);
            content
        } else {
            // No name that was in a tomb comes back: who deletes what was in it may be late.
            let next = self.begin(name, content, self.of.first_copy())?;
            let spare = self.end_last()?;
            self.on_its_way = Some(next);
            spare
        };
        spare.clear();
        Ok(spare)
    }

    /// All parts, when they are there.
    pub(super) fn end(mut self) -> BackupResult<Vec<Part>> {
        self.end_last()?;
        Ok(self.parts)
    }

    /// Waits for the part that is on its way, and returns the buffer in which its content was.
    fn end_last(&mut self) -> BackupResult<Vec<u8>> {
        let Some(OnItsWay { name, content, copy, stored, begun }) = self.on_its_way.take() else {
            return Ok(Vec::new());
        };
        let (stored, content) = match self.wait(&stored, &content, begun) {
            // What is in the way stays as it is, as evidence. A second copy has another name.
            Err(BackupError::Object(error)) => {
                self.done.damaged.push(error.to_string());
                let second = self.begin(name, content, copy.saturating_add(1))?;
                self.wait(&second.stored, &second.content, second.begun)?;
                (second.stored, second.content)
            }
            waited => {
                waited?;
                (stored, content)
            }
        };
        self.parts.push(Part {
            timeline: self.of.timeline,
            length: content.len() as u64,
            content: stored.content,
            stored_length: stored.bytes.len() as u64,
            stored: stored.stored,
        });
        Ok(content)
    }

    fn begin(&self, name: PartName, content: Vec<u8>, copy: u32) -> BackupResult<OnItsWay<'a>> {
        let of = self.of;
        let stored = of.store.encode_part(of.environment, name, &content, copy, of.compression)?;
        let begun = of.store.backend.begin_put(&stored.name(), &stored.bytes)?;
        Ok(OnItsWay { name, content, copy, stored, begun })
    }

    /// Waits for an object, reads it, and compares what it holds.
    fn wait(&mut self, part: &StoredPart, content: &[u8], begun: Begun<'_>) -> BackupResult<()> {
        let put = begun()?;
        self.done.to_settle.insert(part.name().folder());
        if self.of.read_back || put == Put::Existed {
            self.read_back(part)?;
        }
        // What was compressed or encrypted wrongly would be found by nobody before the restore.
        if self.of.compression != Compression::None || self.of.store.is_encrypted() {
            let decoded =
                self.of.store.decode_part(part.environment, part.part, &part.bytes)?.content;
            if decoded != content {
                let problem = "it does not hold what was stored".into();
                return Err(self.of.store.damaged(part.name(), Damaged { at: 0, problem }));
            }
        }
        match put {
            Put::Stored => {
                self.done.new_objects += 1;
                self.done.new_bytes += part.bytes.len() as u64;
            }
            Put::Existed => self.done.adopted_objects += 1,
        }
        Ok(())
    }

    /// Reads what was stored, and compares it.
    fn read_back(&self, part: &StoredPart) -> BackupResult<()> {
        let store = &self.of.store;
        if store.holds(part.name(), &part.bytes)? {
            return Ok(());
        }
        // Where it is damaged. If the second reading is right, the first was not.
        store.stored(&NeededObject {
            name: part.name(),
            stored_length: part.bytes.len() as u64,
            stored: part.stored,
        })?;
        let problem = "it was read as something else than was stored".into();
        Err(store.damaged(part.name(), Damaged { at: 0, problem }))
    }

    /// A part that is there and holds exactly this.
    fn adopt(&mut self, name: PartName, content: &[u8]) -> BackupResult<Option<Part>> {
        let place = (name.class, name.file, name.start, name.length);
        for object in self.of.there.get(&place).cloned().unwrap_or_default() {
            let ObjectName::Part { part: named, .. } = object else { continue };
            // What is wrong with one that no point may need concerns nobody.
            let most = content.len() as u64 * 2 + (1 << 20);
            let bytes = match self.of.store.whole(object, most) {
                Err(BackupError::Object(_)) => continue,
                read => read?,
            };
            let stored = Digest::of(&bytes);
            if ShortHash::of(stored) != named.hash {
                continue;
            }
            let decoded = match self.of.store.decode_part(self.of.environment, named, &bytes) {
                Err(BackupError::Object(_)) => continue,
                decoded => decoded?,
            };
            // One that was stored before the last tomb was deleted may be in it, or have been.
            if decoded.content == content && decoded.copy >> 1 == self.of.first_copy() >> 1 {
                self.done.to_settle.insert(object.folder());
                return Ok(Some(Part {
                    timeline: self.of.timeline,
                    length: content.len() as u64,
                    content: decoded.digest,
                    stored_length: bytes.len() as u64,
                    stored,
                }));
            }
        }
        Ok(None)
    }
}
