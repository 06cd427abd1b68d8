//! A small repository in memory, and objects that no writer stores: they say something wrong, with all hashes right.

use std::sync::Arc;

use cairn_archive::Compression;
use cairn_env::{DatabaseOptions, Environment, KeySource, Options};
use cairn_io::{MemDisk, WorldRef};
use cairn_log::{Digest, FileClass, LogName, Timeline, Uuid};
use cairn_sim::SimWorld;

use crate::{
    CheckFinding, CheckLevel, CheckOptions, CheckReport, MemoryBackend, ObjectName, PartName,
    Point, PointFile, PointOptions, Repository, Segment, ShipOptions, ShortHash,
    repository::{
        point::Part,
        segments::ReadSegment,
        store::{ReadPoint, Store},
    },
};

pub(super) fn world() -> WorldRef {
    SimWorld::new(3).world()
}

pub(super) fn options() -> Options {
    Options::default().background(false).journal_file_bytes(16 << 10).node_file_bytes(16 << 10)
}

pub(super) fn key() -> KeySource {
    KeySource::raw(&mut std::array::from_fn(|at| u8::try_from(at + 1).unwrap()))
}

pub(super) fn open(disk: &MemDisk) -> Environment {
    Environment::open_in(disk.root(), world(), options()).unwrap().0
}

pub(super) fn fill(env: &Environment, from: u32, count: u32) {
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    for n in from..from + count {
        let value = [n.to_le_bytes()[0]; 400];
        env.write(|txn| txn.put(&db, &n.to_le_bytes(), &value)).unwrap();
    }
}

/// Backs up as a process beside the one that writes: the newest journal file goes on, so it has no seal yet.
pub(super) fn backup_beside(repository: &Repository, disk: &MemDisk) {
    let options = options().read_only(true).create(false);
    let (env, _) = Environment::open_in(disk.root(), world(), options).unwrap();
    repository.backup(&env, &PointOptions::default().part_bytes(5000)).unwrap();
}

/// See the module.
pub(super) struct Forged {
    pub(super) backend: Arc<MemoryBackend>,
    pub(super) repository: Repository,
    pub(super) environment: Uuid,
}

impl Forged {
    /// Nothing is in it.
    pub(super) fn empty(is_encrypted: bool) -> (Arc<MemoryBackend>, Repository) {
        let backend = Arc::new(MemoryBackend::new());
        let place = Arc::clone(&backend) as _;
        let repository = match is_encrypted {
            true => Repository::create_encrypted_in(place, &world(), &key()),
            false => Repository::create_in(place, &world()),
        };
        (backend, repository.unwrap())
    }

    /// With so many points: of each, a checkpoint, and journal in several files behind it.
    pub(super) fn with_points(count: u32) -> Self {
        let (disk, (backend, repository)) = (MemDisk::new(), Self::empty(false));
        let env = open(&disk);
        fill(&env, 0, 60);
        env.checkpoint().unwrap();
        fill(&env, 60, 60);
        for n in 0..count {
            fill(&env, 200 + n * 10, 10);
            backup_beside(&repository, &disk);
        }
        Self { backend, repository, environment: env.identity().environment }
    }

    /// With a point, and journal shipped behind it, in several segments.
    pub(super) fn with_segments(is_encrypted: bool) -> Self {
        let (disk, (backend, repository)) = (MemDisk::new(), Self::empty(is_encrypted));
        let env = open(&disk);
        fill(&env, 0, 3);
        let how = ShipOptions::default().options(options()).segment_bytes(700);
        let mut shipper = repository.shipper(disk.root(), &world(), how).unwrap();
        shipper.step().unwrap();
        fill(&env, 10, 12);
        shipper.step().unwrap();
        Self { backend, repository, environment: env.identity().environment }
    }

    /// The same objects once more, to be forged in another way.
    pub(super) fn again(&self) -> Self {
        let backend = Arc::new(MemoryBackend::new());
        self.backend.objects().into_iter().for_each(|(name, bytes)| backend.replace(name, bytes));
        let repository = Repository::open_in(Arc::clone(&backend) as _, &world()).unwrap();
        let repository = match repository.is_locked() {
            true => repository.unlock(&key()).unwrap(),
            false => repository,
        };
        Self { backend, repository, environment: self.environment }
    }

    /// As who has no key sees it.
    pub(super) fn locked(&self) -> Repository {
        Repository::open_in(Arc::clone(&self.backend) as _, &world()).unwrap()
    }

    pub(super) fn store(&self) -> &Store {
        &self.repository.store
    }

    pub(super) fn check(&self, level: CheckLevel) -> CheckReport {
        self.repository.check(&CheckOptions::default().level(level).options(options())).unwrap()
    }

    pub(super) fn findings(&self, level: CheckLevel) -> Vec<CheckFinding> {
        self.check(level).findings
    }

    pub(super) fn bytes(&self, name: ObjectName) -> Vec<u8> {
        self.backend.objects()[&name].clone()
    }

    pub(super) fn point_name(&self, number: u64) -> ObjectName {
        ObjectName::Point { environment: self.environment, number }
    }

    pub(super) fn point(&self, number: u64) -> Point {
        self.store().point(self.environment, number).unwrap().point
    }

    /// Has a point say something else, and the point after it name that.
    pub(super) fn say(&self, number: u64, change: impl FnOnce(&mut Point)) {
        let ReadPoint { previous, mut point } =
            self.store().point(self.environment, number).unwrap();
        change(&mut point);
        let (name, index) = self.store().encode_index(number, &point).unwrap();
        point.index = (index.len() as u64, Digest::of(&index));
        self.backend.replace(name, index);
        self.put_point(number, previous, &point);
    }

    pub(super) fn put_point(&self, number: u64, previous: Digest, point: &Point) {
        let bytes = self.store().encode_point(number, previous, point).unwrap();
        let hash = Digest::of(&bytes);
        self.backend.replace(self.point_name(number), bytes);
        if let Ok(next) = self.store().point(self.environment, number + 1) {
            self.put_point(number + 1, hash, &next.point);
        }
    }

    /// What a file of a point holds.
    pub(super) fn content(&self, file: &PointFile) -> Vec<u8> {
        let parts = file.placed().map(|(start, part)| {
            let name = file.part_name(start, part);
            self.store().part(self.environment, name, part).unwrap()
        });
        parts.collect::<Vec<_>>().concat()
    }

    /// Stores a part with these bytes of a file.
    pub(super) fn part(&self, file: LogName, start: u64, bytes: &[u8]) -> Part {
        let timeline = file.timeline.unwrap_or(Timeline::FIRST);
        let (length, hash) = (bytes.len() as u64, ShortHash(0));
        let (class, file) = (file.class, file.number);
        let name = PartName { timeline, class, file, start, length, hash };
        let stored = self
            .store()
            .encode_part(self.environment, name, bytes, 0, Compression::Zstd(1))
            .unwrap();
        let stored_length = stored.bytes.len() as u64;
        self.backend.replace(stored.name(), stored.bytes);
        Part { timeline, length, content: stored.content, stored_length, stored: stored.stored }
    }

    /// Has a file of a point hold something else.
    pub(super) fn rewrite(
        &self,
        number: u64,
        name: LogName,
        change: impl FnOnce(&mut PointFile, &mut Vec<u8>),
    ) {
        self.say(number, |point| {
            let file = point.files.iter_mut().find(|file| file.name == name).unwrap();
            let mut bytes = self.content(file);
            change(file, &mut bytes);
            let part = self.part(file.name, 0, &bytes);
            (file.length, file.digest, file.parts) = (bytes.len() as u64, part.content, vec![part]);
        });
    }

    pub(super) fn segment_name(&self, number: u64) -> ObjectName {
        let (environment, timeline) = (self.environment, Timeline::FIRST);
        ObjectName::Segment { environment, timeline, number }
    }

    pub(super) fn segment(&self, number: u64) -> ReadSegment {
        self.store().segment(self.environment, Timeline::FIRST, number).unwrap()
    }

    /// The number of the newest segment.
    pub(super) fn last_segment(&self) -> u64 {
        self.store().newest_segment(self.environment, Timeline::FIRST).unwrap()
    }

    /// Has a segment say something else, of what comes before it, too, and those after it go on from that.
    pub(super) fn say_segment(&self, number: u64, change: impl FnOnce(&mut Segment, &mut Digest)) {
        let ReadSegment { mut previous, mut segment, .. } = self.segment(number);
        change(&mut segment, &mut previous);
        self.put_segment(number, previous, &segment);
    }

    fn put_segment(&self, number: u64, previous: Digest, segment: &Segment) {
        let store = self.store();
        let bytes = store.encode_segment(self.environment, number, previous, segment).unwrap();
        let hash = Digest::of(&bytes);
        self.backend.replace(self.segment_name(number), bytes);
        if let Ok(next) = store.segment(self.environment, Timeline::FIRST, number + 1) {
            self.put_segment(number + 1, hash, &next.segment);
        }
    }
}

/// The names of the files of a class, in order.
pub(super) fn files(point: &Point, class: FileClass) -> Vec<LogName> {
    point.files.iter().map(|file| file.name).filter(|name| name.class == class).collect()
}
