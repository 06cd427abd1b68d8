//! `Repository::check`: everything that the points need is there, and is what they say.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use cairn_env::EnvError;
use cairn_io::{Access, DirRef};
use cairn_log::{Digest, FileClass, LogError, LogFile, Scan, Scanner, Uuid};

use super::{
    Repository,
    check_shipped::{CheckedSegments, Wrong},
    names::{Folder, ObjectName},
    point::{NeededObject, Part, Point, PointFile},
    store::MAX_POINT,
    view,
};
use crate::{
    BackupError, BackupResult, ObjectError, Progress,
    manifest::FILES,
    progress::{Counter, Report},
};

/// How closely a repository is looked at. Each level does what those before it do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "the levels of the format page")]
pub enum CheckLevel {
    /// Points can be read, name each other, and all objects that they need are there, as long as they have to be.
    Present,
    /// The bytes of each object have the hash that they had when they were stored. That takes no key.
    #[default]
    Stored,
    /// Each object decompresses to what it was made of, and the parts of a file are that file.
    Content,
    /// The files are log files: all records, seals, and each journal file goes on from the one before.
    Structure,
}

/// How a repository is checked.
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub struct CheckOptions<'a> {
    /// How closely.
    pub level: CheckLevel,
    /// Only backups of this environment.
    pub environment: Option<Uuid>,
    /// Called from time to time.
    pub progress: Report<'a>,
}

impl<'a> CheckOptions<'a> {
    /// Sets [`CheckOptions::level`](CheckOptions#structfield.level).
    #[must_use]
    pub fn level(mut self, level: CheckLevel) -> Self {
        self.level = level;
        self
    }

    /// Sets [`CheckOptions::environment`](CheckOptions#structfield.environment).
    #[must_use]
    pub fn environment(mut self, environment: Option<Uuid>) -> Self {
        self.environment = environment;
        self
    }

    /// Reports progress.
    #[must_use]
    pub fn progress(mut self, progress: &'a (dyn Fn(Progress) + Send + Sync)) -> Self {
        self.progress = Some(progress);
        self
    }
}

impl fmt::Debug for CheckOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckOptions({:?}, environment: {:?})", self.level, self.environment)
    }
}

/// Something that is wrong with a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckFinding {
    /// With which object.
    pub object: ObjectName,
    /// From which byte of it on, as far as that can be told.
    pub at: Option<u64>,
    /// What.
    pub problem: String,
    /// The points that need the object.
    pub points: Vec<u64>,
}

/// What checking a repository found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// How many points there are.
    pub points: u64,
    /// How many segments of shipped journal there are.
    pub segments: u64,
    /// How many objects they need, and the bytes of these.
    pub objects: u64,
    /// See [`objects`](Self#structfield.objects).
    pub bytes: u64,
    /// What is wrong, all of it.
    pub findings: Vec<CheckFinding>,
    /// Objects that no point needs, and their bytes: of backups that did not come to their end. They do no harm.
    pub unused_objects: u64,
    /// See [`unused_objects`](Self#structfield.unused_objects).
    pub unused_bytes: u64,
    /// What lies in the folders of the repository and is of somebody else.
    pub foreign: Vec<String>,
}

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
    shipped: Vec<CheckedSegments>,
}

impl Repository {
    /// Checks all points, and all objects that they need. What is wrong is a finding, with its place.
    ///
    /// No check shows that the newest point has been removed, together with all that came after it: nothing
    /// in the repository knows of it then.
    ///
    /// # Errors
    /// If the place fails.
    pub fn check(&self, options: &CheckOptions<'_>) -> BackupResult<CheckReport> {
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
            shipped: Vec::new(),
        };
        for environment in environments {
            check.points(environment)?;
            check.shipped(environment)?;
            check.present(environment)?;
        }
        check.report.objects = check.objects.len() as u64;
        check.report.bytes = check.objects.values().map(|needed| needed.stored_length).sum();
        let total = if check.level == CheckLevel::Present { 0 } else { check.report.bytes };
        let mut counter = Counter::new(total, options.progress);
        match check.level {
            CheckLevel::Present => {}
            CheckLevel::Stored => check.stored(&mut counter)?,
            CheckLevel::Content | CheckLevel::Structure => {
                check.content(&mut counter)?;
                check.look_at_shipped()?;
            }
        }
        if check.level == CheckLevel::Structure {
            check.structure()?;
        }
        check.report.findings.sort_by_key(|finding| (finding.object, finding.at));
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

    /// The segments of an environment, and what they need.
    fn shipped(&mut self, environment: Uuid) -> BackupResult<()> {
        let (store, points) = (&self.repository.store, &self.points);
        let points: Vec<_> = points.keys().filter(|(of, _)| *of == environment).collect();
        let points: Vec<_> = points.into_iter().map(|(_, number)| *number).collect();
        let shipped = CheckedSegments::read(store, environment, &points)?;
        self.report.segments += shipped.segments.len() as u64;
        for (NeededObject { name, stored_length, stored }, point) in shipped.objects() {
            let points = Vec::new();
            let needed =
                self.objects.entry(name).or_insert(Needed { stored_length, stored, points });
            if !needed.points.contains(&point) {
                needed.points.push(point);
            }
        }
        self.find_all(&shipped.wrong);
        self.report.foreign.extend(shipped.foreign.iter().cloned());
        self.shipped.push(shipped);
        Ok(())
    }

    fn find_all(&mut self, wrong: &[Wrong]) {
        for (object, at, problem, point) in wrong.iter().cloned() {
            self.find(object, at, problem, vec![point]);
        }
    }

    /// What has been shipped and is in no point, as closely as that is looked at.
    fn look_at_shipped(&mut self) -> BackupResult<()> {
        let seen = self.files.iter().flat_map(|SharedFile { environment, file, .. }| {
            file.objects(*environment).map(|object| object.name)
        });
        let seen: BTreeSet<_> = seen.chain(self.damaged.iter().copied()).collect();
        for shipped in std::mem::take(&mut self.shipped) {
            let mut wrong = shipped.content(&self.repository.store, &seen)?;
            if self.level == CheckLevel::Structure && wrong.is_empty() {
                wrong = shipped.structure(self.repository, &self.points, &self.damaged)?;
            }
            self.find_all(&wrong);
        }
        Ok(())
    }

    /// The points of an environment, and what they name.
    fn points(&mut self, environment: Uuid) -> BackupResult<()> {
        let store = &self.repository.store;
        let numbers = store.numbers(environment)?;
        let mut before: Option<(u64, Digest)> = None;
        let (mut timelines, mut seen) = (BTreeSet::new(), BTreeSet::new());
        for number in numbers {
            self.report.points += 1;
            let name = ObjectName::Point { environment, number };
            let expected = before.map_or(1, |(number, _)| number + 1);
            if number != expected {
                let object = ObjectName::Point { environment, number: expected };
                let problem = format!("it is missing: the next point is {number}");
                self.find(object, None, problem, vec![expected]);
            }
            let store = &self.repository.store;
            let raw = store.whole(name, MAX_POINT);
            let raw = self.note(raw, &[number])?;
            let hash = raw.map(|bytes| Digest::of(&bytes));
            let read = self.repository.store.point(environment, number);
            let read = self.note(read, &[number])?;
            let last = before.take();
            before = hash.map(|hash| (number, hash));
            let Some(read) = read else { continue };
            let previous = match last {
                Some((last, hash)) if last + 1 == number => Some(hash),
                None if number == 1 => Some(Digest([0; 32])),
                _ => None,
            };
            if let Some(previous) = previous.filter(|previous| *previous != read.previous) {
                let problem = format!(
                    "it goes on from a point with the hash {}, the one before has {previous}",
                    read.previous
                );
                self.find(name, Some(0), problem, vec![number]);
            }
            self.index(environment, number, &read.point)?;
            if timelines.insert(read.point.cut.timeline) {
                let origin = self.repository.store.timeline(environment, read.point.cut.timeline);
                self.note(origin, &[number])?;
            }
            self.needs(environment, number, &read.point, &mut seen);
            self.points.insert((environment, number), read.point);
        }
        Ok(())
    }

    fn index(&mut self, environment: Uuid, number: u64, point: &Point) -> BackupResult<()> {
        let hash = super::names::ShortHash::of(point.index.1);
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
        seen: &mut BTreeSet<(cairn_log::LogName, Digest, Vec<Digest>)>,
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
            if seen.insert((file.name, file.digest, parts)) {
                self.files.push(SharedFile { environment, file: file.clone(), point: number });
            }
        }
    }

    /// Whether what is needed is there, and what else is.
    fn present(&mut self, environment: Uuid) -> BackupResult<()> {
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
        for folder in [Folder::Points(environment), Folder::Timelines(environment)] {
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
                None => backend.length(name)?,
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
        self.report.unused_objects += there.len() as u64;
        self.report.unused_bytes += there.values().sum::<u64>();
        Ok(())
    }

    fn stored(&mut self, counter: &mut Counter<'_>) -> BackupResult<()> {
        for (name, needed) in std::mem::take(&mut self.objects) {
            counter.add(needed.stored_length);
            if self.damaged.contains(&name) {
                continue;
            }
            let (stored_length, stored) = (needed.stored_length, needed.stored);
            let object = NeededObject { name, stored_length, stored };
            let read = self.repository.store.stored(&object);
            self.note(read, &needed.points)?;
        }
        Ok(())
    }

    /// Whether the parts of each file hold what they were made of, and are that file together.
    fn content(&mut self, counter: &mut Counter<'_>) -> BackupResult<()> {
        let mut read = BTreeSet::new();
        let files = std::mem::take(&mut self.files);
        for SharedFile { environment, file, .. } in &files {
            let mut whole = blake3::Hasher::new();
            let mut is_whole = true;
            for (start, part) in file.placed() {
                let part_name = file.part_name(start, part);
                let name = ObjectName::Part { environment: *environment, part: part_name };
                let is_new = read.insert(name);
                if is_new {
                    counter.add(part.stored_length);
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
        part_name: super::PartName,
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

    /// Whether the files are the log files that they were, and the journal has no gap.
    fn structure(&mut self) -> BackupResult<()> {
        for SharedFile { environment, file, point } in std::mem::take(&mut self.files) {
            if file.objects(environment).any(|object| self.damaged.contains(&object.name)) {
                continue;
            }
            let Some(read) = self.points.get(&(environment, point)) else { continue };
            let dir = self.open(environment, point, read.clone())?;
            let found = look_into(&dir, environment, read, &file).map_err(view::surface);
            if let Some(problem) = self.problem(found, &[point])? {
                let object = ObjectName::Point { environment, number: point };
                let points = self.points_with(environment, &file);
                self.find(object, None, format!("{}: {problem}", file.name), points);
            }
        }
        for (environment, number) in self.points.keys().copied().collect::<Vec<_>>() {
            let Some(point) = self.points.get(&(environment, number)) else { continue };
            if point.objects().any(|object| self.damaged.contains(&object.name)) {
                continue;
            }
            let dir = self.open(environment, number, point.clone())?;
            let found = look_at_cut(&dir, point).map_err(view::surface);
            if let Some(problem) = self.problem(found, &[number])? {
                let object = ObjectName::Point { environment, number };
                self.find(object, None, problem, vec![number]);
            }
        }
        Ok(())
    }

    fn open(&self, environment: Uuid, number: u64, point: Point) -> BackupResult<DirRef> {
        let store = &self.repository.store;
        let path = self.repository.point_path(environment, number);
        Ok(view::open(store, &path, point).open_dir(&FILES)?)
    }

    /// What is wrong with a file, if it was read.
    fn problem(&mut self, found: BackupResult<()>, points: &[u64]) -> BackupResult<Option<String>> {
        match found {
            Ok(()) => Ok(None),
            Err(BackupError::Env(error)) if error.kind() != cairn_env::ErrorKind::Io => {
                Ok(Some(error.to_string()))
            }
            Err(error) => self.note(Err(error), points).map(|_: Option<()>| None),
        }
    }
}

/// The object of an error, from which byte of it on, and what.
pub(super) fn what_is_wrong(error: ObjectError) -> (ObjectName, Option<u64>, String) {
    match error {
        ObjectError::Missing { object, .. } => (object, None, "it is missing".into()),
        ObjectError::Damaged { object, at, problem, .. } => (object, Some(at), problem),
        ObjectError::Unsupported { object, what, .. } => {
            (object, None, format!("it is of a later version: {what}"))
        }
    }
}

fn failed(error: LogError) -> BackupError {
    EnvError::from(error).into()
}

fn open_log(files: &DirRef, environment: Uuid, file: &PointFile) -> BackupResult<LogFile> {
    let handle = files.open(&file.name.to_name(), Access::Read)?;
    let log = LogFile::open_any(handle).map_err(failed)?;
    log.header().check_place(log.path(), file.name, environment).map_err(failed)?;
    Ok(log)
}

fn foreign(log: &LogFile, why: impl Into<String>) -> BackupError {
    EnvError::ForeignFile { path: log.path().to_owned(), why: why.into() }.into()
}

/// Reads all records of a file, compares its seal, and the end of the journal file before it.
fn look_into(
    files: &DirRef,
    environment: Uuid,
    point: &Point,
    file: &PointFile,
) -> BackupResult<()> {
    let log = open_log(files, environment, file)?;
    let header = log.header();
    if header.directory != file.directory {
        let (is, said) = (header.directory, file.directory);
        return Err(foreign(&log, format!("it is of data directory {is}, not {said}")));
    }
    let seal = log.seal(file.length).map_err(failed)?;
    if seal.map(|seal| seal.digest) != file.seal {
        return Err(foreign(&log, "it has another seal than the point says"));
    }
    if let Some(seal) = seal
        && log.digest(seal.end).map_err(failed)? != seal.digest
    {
        return Err(foreign(&log, "its seal vouches for other bytes"));
    }
    let mut scanner = Scanner::new(&log, file.length);
    let stop = loop {
        if let Scan::End(stop) = scanner.next().map_err(failed)? {
            break stop;
        }
    };
    if stop.offset != file.length {
        let damage = stop.damage.unwrap_or(cairn_log::Damage::Nothing);
        return Err(failed(log.corrupt(stop.offset, damage)));
    }
    let Some(before) = header.previous.filter(|_| file.name.class == FileClass::Journal) else {
        return Ok(());
    };
    let known = point
        .files
        .iter()
        .find(|known| known.name.number == before.file && known.name.class == FileClass::Journal);
    // A journal file that nothing needs is not in a backup.
    let Some(known) = known else { return Ok(()) };
    let earlier = open_log(files, environment, known)?;
    let is_followed =
        before.end <= known.length && earlier.digest(before.end).map_err(failed)? == before.chain;
    match is_followed {
        true => Ok(()),
        false => Err(foreign(&log, format!("it does not go on from {}", known.name))),
    }
}

/// Compares the end of the journal, and the place of the checkpoint, with the files.
fn look_at_cut(files: &DirRef, point: &Point) -> BackupResult<()> {
    let missing = |what: &str| {
        let (dir, why) = (files.path().to_owned(), "the point says that it is needed".into());
        BackupError::from(EnvError::MissingFile { name: what.into(), dir, why })
    };
    let find = |number| point.files.iter().find(|file| file.name.number == number);
    if let Some(lsn) = point.cut.checkpoint {
        let file = find(lsn.file()).ok_or_else(|| missing(&format!("file {}", lsn.file())))?;
        if lsn.offset() >= file.length {
            let log = open_log(files, point.cut.environment, file)?;
            return Err(foreign(&log, "it ends before the checkpoint that the point names"));
        }
    }
    // A journal file that nothing needs is not in a backup.
    if let Some(end) = point.cut.journal_end
        && let Some(file) = find(end.file)
    {
        let log = open_log(files, point.cut.environment, file)?;
        if end.end > file.length || log.digest(end.end).map_err(failed)? != end.chain {
            return Err(foreign(&log, "it does not end as the point says"));
        }
    }
    Ok(())
}
