//! `Repository::check`: everything that the points need is there, and is what they say.

mod chain;
mod locked;
mod open;
mod present;
mod report;
mod shipped;
mod structure;
mod subset;
mod trees;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cairn_log::{Digest, Uuid};

use super::{
    NeededObject, PartName, Proof, Repository,
    names::ObjectName,
    point::{Part, Point, PointFile},
    prune::Tombs,
    rotation::Rotation,
};
use crate::{BackupError, BackupResult, ObjectError, progress::Counter, tell};
pub use report::{CheckFinding, CheckLevel, CheckOptions, CheckReport};
use shipped::CheckedSegments;
use subset::Chosen;
pub use subset::{Share, Subset};
pub(super) use trees::other_trees;

/// An object, and the points that need it.
struct Needed {
    stored_length: u64,
    stored: Digest,
    points: Vec<u64>,
}

/// A file that is the same in several points.
struct SharedFile {
    environment: Uuid,
    file: PointFile,
    /// The first point that has it.
    point: u64,
}

struct Check<'a> {
    repository: &'a Repository,
    level: CheckLevel,
    report: CheckReport,
    objects: BTreeMap<ObjectName, Needed>,
    /// Objects of which it is known that something is wrong: what needs them is not looked at.
    damaged: BTreeSet<ObjectName>,
    files: Vec<SharedFile>,
    points: BTreeMap<(Uuid, u64), Point>,
    /// Of all bytes of each.
    hashes: BTreeMap<(Uuid, u64), Digest>,
    shipped: Vec<CheckedSegments>,
    /// What was removed of each environment.
    tombs: BTreeMap<Uuid, Arc<Tombs>>,
    /// Without the key: parts of journal that only a segment may need.
    unnamed: Vec<(Uuid, PartName, u64)>,
    /// Which of the objects are looked at.
    chosen: Chosen,
    /// With the number of each, how far checks of a subset have come.
    rotations: BTreeMap<Uuid, (u64, Rotation)>,
    /// What opening them has proved.
    opened: BTreeMap<(Uuid, u64), Proof>,
}

impl Repository {
    /// Checks all points, and all objects that they need. What is wrong is a finding, with its place.
    ///
    /// Of an encrypted repository that is locked, up to [`CheckLevel::Stored`], with the exception that it cannot be told
    /// whether a part of shipped journal is missing.
    ///
    /// No check shows that the newest point has been removed, together with all that came after it: nothing
    /// in the repository knows of it then.
    ///
    /// # Errors
    /// If the place fails; of the key, if points are opened; [`BackupError::RepositoryKeyRequired`] for more than can be
    /// told without the key, or recorded; [`BackupError::InvalidInput`] for a subset that is none.
    pub fn check(&self, options: &CheckOptions<'_>) -> BackupResult<CheckReport> {
        let records = options.record || options.rotates();
        if self.is_locked() && (options.level > CheckLevel::Stored || records) {
            return Err(self.store.locked());
        }
        options.subset.map_or(Ok(()), |subset| subset.check(options.level))?;
        let began = self.world.monotonic();
        let environments = match options.environment {
            Some(environment) => vec![environment],
            None => self.store.environments()?,
        };
        let mut check = Check {
            repository: self,
            level: options.level,
            report: CheckReport::default(),
            objects: BTreeMap::new(),
            damaged: BTreeSet::new(),
            files: Vec::new(),
            points: BTreeMap::new(),
            hashes: BTreeMap::new(),
            shipped: Vec::new(),
            tombs: BTreeMap::new(),
            unnamed: Vec::new(),
            chosen: Chosen::default(),
            rotations: BTreeMap::new(),
            opened: BTreeMap::new(),
        };
        if self.is_encrypted() {
            check.keys()?;
        }
        for environment in environments {
            if self.is_locked() {
                check.without_key(environment)?;
            } else {
                check.points(environment)?;
                check.shipped(environment)?;
                check.proofs(environment)?;
                check.rotations(environment)?;
            }
            check.present(environment)?;
        }
        let unnamed = check.unnamed.iter().map(|(.., length)| length);
        check.report.objects = (check.objects.len() + check.unnamed.len()) as u64;
        check.report.bytes = check.objects.values().map(|needed| needed.stored_length).sum();
        check.report.bytes += unnamed.sum::<u64>();
        check.choose(options.subset);
        let total = match check.level {
            CheckLevel::Present => 0,
            _ => check.report.bytes - check.report.skipped_bytes,
        };
        let counter = Counter::new(total, options.progress);
        match check.level {
            CheckLevel::Present => {}
            CheckLevel::Stored => check.stored(&counter)?,
            CheckLevel::Content | CheckLevel::Structure | CheckLevel::Open => {
                check.content(&counter)?;
                check.look_at_shipped()?;
            }
        }
        counter.end();
        if check.level >= CheckLevel::Structure {
            check.structure()?;
            check.trees()?;
        }
        if check.level == CheckLevel::Open {
            check.open_all(options)?;
        }
        let took = self.world.monotonic().saturating_sub(began);
        if options.rotates() {
            check.go_round(took)?;
        }
        if options.record {
            check.record(took)?;
        }
        check.report.findings.sort_by_key(|finding| (finding.object, finding.at));
        let CheckReport { points, findings, .. } = &check.report;
        let (place, level) = (tell::display(self.store.backend.place()), options.level.code());
        tell::checked(place, u64::from(level), *points, findings.len() as u64);
        Ok(check.report)
    }
}

impl Check<'_> {
    fn find(&mut self, object: ObjectName, at: Option<u64>, problem: String, points: Vec<u64>) {
        self.damaged.insert(object);
        self.report.findings.push(CheckFinding { object, at, problem, points });
    }

    /// Makes a finding of an error that is about an object; any other one is the place's.
    fn note<T>(&mut self, result: BackupResult<T>, points: &[u64]) -> BackupResult<Option<T>> {
        let error = match result {
            Ok(value) => return Ok(Some(value)),
            Err(BackupError::Object(error)) => error,
            Err(error) => return Err(error),
        };
        let (object, at, problem) = what_is_wrong(error);
        self.find(object, at, problem, points.to_vec());
        Ok(None)
    }

    fn stored(&mut self, counter: &Counter<'_>) -> BackupResult<()> {
        for (name, needed) in std::mem::take(&mut self.objects) {
            if !self.chosen.has(&name) {
                continue;
            }
            counter.add(needed.stored_length)?;
            if self.damaged.contains(&name) {
                continue;
            }
            let (stored_length, stored) = (needed.stored_length, needed.stored);
            let object = NeededObject { name, stored_length, stored };
            let read = self.repository.store.stored(&object);
            self.note(read, &needed.points)?;
        }
        for (environment, part, length) in std::mem::take(&mut self.unnamed) {
            if !self.chosen.has(&ObjectName::Part { environment, part }) {
                continue;
            }
            counter.add(length)?;
            let read = self.repository.store.named_part(environment, part, length);
            self.note(read, &[])?;
        }
        Ok(())
    }

    /// Whether the parts of each file hold what they were made of, and are that file together.
    fn content(&mut self, counter: &Counter<'_>) -> BackupResult<()> {
        let mut read = BTreeSet::new();
        let files = std::mem::take(&mut self.files);
        for SharedFile { environment, file, .. } in &files {
            let mut whole = blake3::Hasher::new();
            let mut is_whole = true;
            for (start, part) in file.placed() {
                let part_name = file.part_name(start, part);
                let name = ObjectName::Part { environment: *environment, part: part_name };
                if !self.chosen.has(&name) {
                    is_whole = false;
                    continue;
                }
                let is_new = read.insert(name);
                if is_new {
                    counter.add(part.stored_length)?;
                }
                // One part has the hash of the file.
                if self.damaged.contains(&name) || !is_new && file.parts.len() == 1 {
                    is_whole = false;
                    continue;
                }
                let content = self.part(*environment, name, part_name, part)?;
                match content {
                    Some(content) => drop(whole.update(&content)),
                    None => is_whole = false,
                }
            }
            let found = Digest(*whole.finalize().as_bytes());
            if is_whole && found != file.digest {
                let points = self.points_with(*environment, file);
                let object = ObjectName::Point {
                    environment: *environment,
                    number: points.first().copied().unwrap_or(0),
                };
                let problem = format!(
                    "the parts of {} have the hash {found} together, not {}",
                    file.name, file.digest
                );
                self.find(object, None, problem, points);
            }
        }
        self.files = files;
        Ok(())
    }

    fn part(
        &mut self,
        environment: Uuid,
        name: ObjectName,
        part_name: PartName,
        part: &Part,
    ) -> BackupResult<Option<Vec<u8>>> {
        let read = self.repository.store.part(environment, part_name, part);
        let points = self.objects.get(&name).map(|needed| needed.points.clone());
        self.note(read, &points.unwrap_or_default())
    }

    fn points_with(&self, environment: Uuid, file: &PointFile) -> Vec<u64> {
        let points = self.points.iter().filter(|((of, _), _)| *of == environment);
        let points = points.filter(|(_, point)| point.files.contains(file));
        points.map(|((_, number), _)| *number).collect()
    }
}

/// The object of an error, from which byte of it on, and what.
fn what_is_wrong(error: ObjectError) -> (ObjectName, Option<u64>, String) {
    match error {
        ObjectError::Missing { object, .. } => (object, None, "it is missing".into()),
        ObjectError::Damaged { object, at, problem, .. } => (object, Some(at), problem),
        ObjectError::Unreadable { object, why, .. } => {
            (object, None, format!("it cannot be read: {why}"))
        }
        ObjectError::Unsupported { object, what, .. } => {
            (object, None, format!("it is of a later version: {what}"))
        }
    }
}
