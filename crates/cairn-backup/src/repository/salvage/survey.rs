//! `Survey`: which objects hold bytes of log files, and which frames of them can be read.

use std::collections::BTreeMap;

use cairn_log::{FileNumber, Timeline, Uuid};

use super::RepositorySalvageReport;
use crate::{
    BackupError, BackupResult,
    progress::Counter,
    repository::{
        ObjectName, PartName, Point,
        frames::{self, FramePlace},
        layout::{repository_encryption, repository_part},
        names::Folder,
        secrecy::Secrecy,
        store::Store,
    },
};

/// No object is longer: of 16 MiB of a file, with all that is around them.
const MAX_OBJECT: u64 = 32 << 20;

/// The objects with bytes of log files of an environment.
pub(super) struct Survey<'s> {
    store: &'s Store,
    environment: Uuid,
    /// Of each the frames that can be read, with their numbers.
    pub(super) parts: BTreeMap<PartName, Vec<(u64, FramePlace)>>,
    damaged: BTreeMap<ObjectName, String>,
}

/// The folder of a timeline.
type Below = fn(Uuid, Timeline) -> Folder;

/// The objects that a listing has, in the order of their names.
pub(super) fn parts_of(store: &Store, environment: Uuid) -> BackupResult<Vec<PartName>> {
    let mut parts = Vec::new();
    let folders: [(Folder, Below); 2] = [
        (Folder::DataTimelines(environment), Folder::Data),
        (Folder::LogTimelines(environment), Folder::Log),
    ];
    for (above, below) in folders {
        for timeline in store.backend.list(&above)? {
            let Some(timeline) = Folder::timeline(&timeline.name) else { continue };
            let folder = below(environment, timeline);
            for listed in store.backend.list(&folder)? {
                if let Some(ObjectName::Part { part, .. }) = folder.object(&listed.name) {
                    parts.push(part);
                }
            }
        }
    }
    parts.sort_unstable();
    Ok(parts)
}

impl<'s> Survey<'s> {
    pub(super) fn find(store: &'s Store, environment: Uuid) -> BackupResult<Self> {
        let parts = parts_of(store, environment)?.into_iter().map(|part| (part, Vec::new()));
        Ok(Self { store, environment, parts: parts.collect(), damaged: BTreeMap::new() })
    }

    /// Bytes of the files in all of them.
    pub(super) fn bytes(&self) -> BackupResult<u64> {
        Ok(self.parts.keys().map(|part| part.length).sum())
    }

    /// Reads each object once.
    pub(super) fn read(
        mut self,
        counter: &Counter<'_>,
        report: &mut RepositorySalvageReport,
    ) -> BackupResult<Self> {
        let mut parts = std::mem::take(&mut self.parts);
        for (part, readable) in &mut parts {
            let object = ObjectName::Part { environment: self.environment, part: *part };
            report.objects += 1;
            match self.store.whole(object, MAX_OBJECT) {
                Ok(bytes) => {
                    report.bytes += bytes.len() as u64;
                    *readable = match self.store.decode_part(self.environment, *part, &bytes) {
                        Ok(decoded) => (0..).zip(frames::places(&bytes, decoded.begin)).collect(),
                        Err(error) => {
                            self.damaged.insert(object, error.to_string());
                            self.frames(*part, &bytes)
                        }
                    };
                }
                // It cannot be read at the moment, or is something else.
                Err(error @ (BackupError::Object(_) | BackupError::Backend(_))) => {
                    self.damaged.insert(object, error.to_string());
                }
                Err(error) => return Err(error),
            }
            counter.add(part.length)?;
        }
        self.parts = parts;
        report.damaged.clone_from(&self.damaged);
        Ok(self)
    }

    /// What is left of a damaged object.
    fn frames(&self, part: PartName, object: &[u8]) -> Vec<(u64, FramePlace)> {
        let begin = match self.store.secrecy {
            Secrecy::Plain => repository_part::LEN,
            Secrecy::Locked | Secrecy::Unlocked(_) => {
                repository_part::LEN + repository_encryption::LEN
            }
        };
        let length = usize::try_from(part.length).unwrap_or(usize::MAX);
        frames::readable(object, begin, length)
    }

    /// The parts of each file.
    pub(super) fn files(&self) -> BTreeMap<FileNumber, Vec<PartName>> {
        let mut files = BTreeMap::<_, Vec<_>>::new();
        for part in self.parts.keys() {
            files.entry(part.file).or_default().push(*part);
        }
        files
    }

    /// Whether there is anything of a file.
    pub(super) fn has_file(&self, number: FileNumber) -> bool {
        self.parts.keys().any(|part| part.file == number)
    }

    /// Why a point cannot be restored, as far as its objects go.
    pub(super) fn why_not(&self, point: &Point) -> Option<String> {
        point.objects().find_map(|needed| match needed.name {
            ObjectName::Part { part, .. } if !self.parts.contains_key(&part) => {
                Some(format!("{} is missing", needed.name))
            }
            name => self.damaged.get(&name).map(|why| format!("{name}: {why}")),
        })
    }
}
