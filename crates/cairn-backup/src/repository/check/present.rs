//! The first level: points that can be read and name each other, and all objects that they need, with their lengths.

use std::collections::{BTreeMap, BTreeSet};

use cairn_log::{Digest, LogName, Uuid};

use super::{Check, Needed, SharedFile, what_is_wrong};
use crate::{
    BackupError, BackupResult,
    repository::{
        names::{Folder, ObjectName, ShortHash},
        point::Point,
        store::MAX_POINT,
    },
};

/// What a point says of a file: name, data directory, hash, seal, and the hashes of the objects in which it lies.
type Described = (LogName, u16, Digest, Option<Digest>, Vec<Digest>);

impl Check<'_> {
    /// The points of an environment, and what they name.
    pub(super) fn points(&mut self, environment: Uuid) -> BackupResult<()> {
        let mut chain = self.chain(environment)?;
        let (mut timelines, mut seen) = (BTreeSet::new(), BTreeSet::new());
        for number in self.repository.store.numbers(environment)? {
            self.report.points += 1;
            let store = &self.repository.store;
            let bytes = store.whole(ObjectName::Point { environment, number }, MAX_POINT);
            let bytes = self.note(bytes, &[number])?;
            let hash = bytes.as_deref().map(Digest::of);
            let store = &self.repository.store;
            let read = bytes.map(|bytes| store.decode_point(environment, number, &bytes));
            let read = read.map(|read| self.note(read, &[number])).transpose()?.flatten();
            let named = read.as_ref().map(|read| read.previous);
            self.follow(&mut chain, number, hash, named);
            let (Some(read), Some(hash)) = (read, hash) else { continue };
            self.index(environment, number, &read.point)?;
            if timelines.insert(read.point.cut.timeline) {
                let origin = self.repository.store.timeline(environment, read.point.cut.timeline);
                self.note(origin, &[number])?;
            }
            self.needs(environment, number, &read.point, &mut seen);
            self.hashes.insert((environment, number), hash);
            self.points.insert((environment, number), read.point);
        }
        self.end_of(&chain);
        let folder = Folder::Timelines(environment);
        for listed in self.repository.store.backend.list(&folder)? {
            if let Some(ObjectName::Fence { timeline, .. }) = folder.object(&listed.name) {
                let fence = self.repository.store.fence(environment, timeline);
                self.note(fence, &[])?;
            }
        }
        Ok(())
    }

    fn index(&mut self, environment: Uuid, number: u64, point: &Point) -> BackupResult<()> {
        let hash = ShortHash::of(point.index.1);
        let name = ObjectName::Index { environment, number, hash };
        let index = self.repository.store.index(name, point.index);
        let Some(index) = self.note(index, &[number])? else { return Ok(()) };
        if !index.into_iter().eq(point.objects()) {
            let problem = "it names other objects than the point".into();
            self.find(name, Some(0), problem, vec![number]);
        }
        Ok(())
    }

    /// Takes note of the files and objects that a point needs.
    fn needs(
        &mut self,
        environment: Uuid,
        number: u64,
        point: &Point,
        seen: &mut BTreeSet<Described>,
    ) {
        for file in &point.files {
            for object in file.objects(environment) {
                let (stored_length, stored) = (object.stored_length, object.stored);
                let points = Vec::new();
                let needed = self.objects.entry(object.name).or_insert(Needed {
                    stored_length,
                    stored,
                    points,
                });
                needed.points.push(number);
                if (needed.stored_length, needed.stored) != (stored_length, stored) {
                    let (points, problem) =
                        (needed.points.clone(), "two points say of it that it is another".into());
                    self.find(object.name, None, problem, points);
                }
            }
            let parts = file.parts.iter().map(|part| part.stored).collect();
            if seen.insert((file.name, file.directory, file.digest, file.seal, parts)) {
                self.files.push(SharedFile { environment, file: file.clone(), point: number });
            }
        }
    }

    /// Whether what is needed is there, and what else is.
    pub(super) fn present(&mut self, environment: Uuid) -> BackupResult<()> {
        let backend = &self.repository.store.backend;
        let mut folders = Vec::new();
        for (above, below) in [
            (Folder::DataTimelines(environment), Folder::Data as fn(_, _) -> _),
            (Folder::LogTimelines(environment), Folder::Log),
        ] {
            for listed in backend.list(&above)? {
                match Folder::timeline(&listed.name) {
                    Some(timeline) => folders.push(below(environment, timeline)),
                    None => self.report.foreign.push(format!("{above}/{}", listed.name)),
                }
            }
        }
        let mut there = BTreeMap::new();
        for folder in folders {
            for listed in backend.list(&folder)? {
                match (folder.object(&listed.name), listed.length) {
                    (Some(name), Some(length)) => drop(there.insert(name, length)),
                    _ => self.report.foreign.push(format!("{folder}/{}", listed.name)),
                }
            }
        }
        let others = [Folder::Points, Folder::Timelines, Folder::Proofs, Folder::Tombs];
        for folder in others.map(|folder| folder(environment)) {
            let listed = backend.list(&folder)?.into_iter();
            let foreign = listed.filter(|listed| folder.object(&listed.name).is_none());
            let foreign = foreign.map(|listed| format!("{folder}/{}", listed.name));
            self.report.foreign.extend(foreign);
        }
        let mut wrong = Vec::new();
        for (name, needed) in &self.objects {
            let is_of = |name: &ObjectName| match *name {
                ObjectName::Part { environment: of, .. } => of == environment,
                _ => false,
            };
            if !is_of(name) {
                continue;
            }
            // A listing may lack what was stored lately.
            let length = match there.remove(name) {
                Some(length) => Some(length),
                None => match self.repository.store.of(*name, backend.length(name)) {
                    Err(BackupError::Object(error)) => {
                        let (_, at, problem) = what_is_wrong(error);
                        wrong.push((*name, at, problem, needed.points.clone()));
                        continue;
                    }
                    length => length?,
                },
            };
            match length {
                Some(length) if length == needed.stored_length => {}
                Some(length) => {
                    let problem = format!("it has {length} bytes, not {}", needed.stored_length);
                    let at = Some(length.min(needed.stored_length));
                    wrong.push((*name, at, problem, needed.points.clone()));
                }
                None => wrong.push((*name, None, "it is missing".into(), needed.points.clone())),
            }
        }
        for (name, at, problem, points) in wrong {
            self.find(name, at, problem, points);
        }
        for (of, part, _) in &self.unnamed {
            there.remove(&ObjectName::Part { environment: *of, part: *part });
        }
        let tombs = self.tombs.get(&environment).cloned().unwrap_or_default();
        for (part, _) in tombs.tombs.iter().flat_map(|tomb| &tomb.parts) {
            if let Some(length) = there.remove(&ObjectName::Part { environment, part: *part }) {
                self.report.going_objects += 1;
                self.report.going_bytes += length;
            }
        }
        self.report.unused_objects += there.len() as u64;
        self.report.unused_bytes += there.values().sum::<u64>();
        Ok(())
    }
}
