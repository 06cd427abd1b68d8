//! `Shipper`: the journal of an environment gets into the repository while it is written.
//!
//! It reads the files of the environment, beside whoever writes them, in this process or another one, and never
//! more than is durable. What it has stored counts from when a segment says so. It remembers nothing that the repository
//! does not say: whatever ends it, the next one goes on from the newest segment.

use cairn_env::{EnvError, Environment, JournalRange, JournalSource, Keyring, Since};
use cairn_io::{DirRef, FileExt as _, WorldRef};
use cairn_log::{DataKeys, Digest, FileClass, FileNumber, LogName, Timeline, Uuid};

use super::{
    ObjectName, PointReport, Repository, ShipOptions, ShipReport, prune::Tombs, segment::Segment,
    segments::ReadSegment, statement::Unread, store::MAX_POINT,
};
use crate::{BackupError, BackupResult, ObjectError, PointOptions, tell};

/// Journal that is sent in one step, about.
const STEP: u64 = 64 << 20;

/// What a shipper knows of the repository.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    pub(super) timeline: Timeline,
    /// Of the newest segment, and its hash; zeros if there is none.
    pub(super) number: u64,
    pub(super) hash: Digest,
    /// The first segment of the interval that goes on; `None` if the next one begins it.
    pub(super) interval: Option<u64>,
    pub(super) base: u64,
    /// Why the next one does not go on from the one before.
    pub(super) gap: Option<String>,
    /// Why nothing can go on from here: a point is needed.
    pub(super) is_over: Option<String>,
    /// Up to where the journal is there.
    pub(super) position: Option<(FileNumber, u64)>,
    pub(super) newest: (u64, u64),
}

/// Ships the journal of one environment into a repository, step by step: [`Repository::shipper`].
#[derive(Debug)]
pub struct Shipper {
    pub(super) repository: Repository,
    root: DirRef,
    pub(super) world: WorldRef,
    pub(super) options: ShipOptions,
    /// What the repository says, unless that has to be asked again.
    tail: Option<Tail>,
    /// What was removed, when it was asked last.
    pub(super) tombs: Option<Tombs>,
    /// The keys of the keyring with this hash.
    keys: Option<(Digest, DataKeys)>,
    /// Keeps the journal files that are yet to be shipped.
    held: Option<JournalSource>,
    /// Bytes that were shipped since the last point.
    pub(super) since_point: u64,
}

impl Repository {
    /// Ships the journal of the environment in `root`, which anybody may have open, whenever
    /// [`step`](Shipper::step) is called.
    ///
    /// # Errors
    /// If this version may not write to the repository.
    pub fn shipper(
        &self,
        root: DirRef,
        world: &WorldRef,
        options: ShipOptions,
    ) -> BackupResult<Shipper> {
        self.check_writable()?;
        options.compression.check().map_err(|what| BackupError::InvalidInput { what })?;
        Ok(Shipper {
            repository: self.clone(),
            root,
            world: WorldRef::clone(world),
            options,
            tail: None,
            tombs: None,
            keys: None,
            held: None,
            since_point: 0,
        })
    }
}

impl Shipper {
    /// How it ships.
    #[must_use]
    pub const fn options(&self) -> &ShipOptions {
        &self.options
    }

    /// Ships what there is of the durable journal, about 64 MiB of it at most. Makes a point first if there is none
    /// from whose end the journal goes on: then what was shipped before has come to its end.
    ///
    /// # Errors
    /// [`BackupError::Superseded`] if a standby was promoted in the place of the environment: what was stored since the step
    /// before may be on it, or not; [`BackupError::ShippedOtherwise`] if the repository has another history of the environment; errors of the kind
    /// `Corrupt` if the journal is damaged; if the environment or the place fails. What was stored stays, and another
    /// step goes on from there.
    pub fn step(&mut self) -> BackupResult<ShipReport> {
        let mut report = ShipReport::default();
        let done = self.ship(&mut report);
        if done.is_err() {
            // What became of the last object is unknown.
            self.tail = None;
        }
        let place = || tell::display(self.repository.store.backend.place());
        if let Some(why) = &report.gap {
            tell::shipping_gap(place(), &**why);
        }
        if report.segments > 0 {
            let newest = report.newest.map_or(0, |(commit, _)| commit);
            tell::shipped(place(), newest, report.segments, report.bytes);
        }
        done.map(|()| report)
    }

    fn ship(&mut self, report: &mut ShipReport) -> BackupResult<()> {
        let from = self.tail.as_ref().and_then(|tail| tail.position);
        let mut source = self.follow(from)?;
        let environment = source.environment();
        let timeline = source.timeline().unwrap_or(Timeline::FIRST);
        self.repository.check_fence(environment, timeline)?;
        if self.ask_for_tombs(environment)? {
            self.tail = None;
        }
        let mut tail = match self.tail.take().filter(|tail| tail.timeline == timeline) {
            Some(tail) => tail,
            None => {
                let tail = self.ask(environment, timeline)?;
                source = self.follow(tail.position)?;
                tail
            }
        };
        let is_encrypted = self.unlock(&source)?;
        let ranges = match tail.is_over.take() {
            None => self.since(&mut source, &tail)?,
            Some(why) => Since::Gone { why },
        };
        let ranges = match ranges {
            Since::Ranges(ranges) => ranges,
            Since::Gone { why } => {
                // What is there now stays until there is a point.
                self.held = Some(source);
                let (begun, ranges) = self.begin(&mut tail, why, report)?;
                source = begun;
                ranges
            }
        };
        let keyring = source.keyring().map(<[u8]>::to_vec);
        self.held = Some(source);
        report.newest = Some(tail.newest);
        for range in ranges {
            let mut at = range.start;
            while at < range.end {
                if report.bytes >= STEP {
                    report.has_more = true;
                    self.tail = Some(tail);
                    return Ok(());
                }
                let stored = (environment, is_encrypted, keyring.as_deref());
                match self.segment(&mut tail, &range, at, stored, report)? {
                    Some(end) => at = end,
                    // Somebody else ships it as well: the repository is asked how far.
                    None => {
                        report.has_more = true;
                        return Ok(());
                    }
                }
                report.newest = Some(tail.newest);
            }
        }
        if self.since_point >= self.options.base_bytes {
            report.points.push(self.point()?.0);
        }
        self.tail = Some(tail);
        Ok(())
    }

    fn follow(&self, at: Option<(FileNumber, u64)>) -> BackupResult<JournalSource> {
        let from = at.map_or(FileNumber::FIRST, |(file, _)| file);
        Ok(JournalSource::follow(DirRef::clone(&self.root), &self.world, from)?)
    }

    /// Has the keys of the files; says whether they are encrypted.
    fn unlock(&mut self, source: &JournalSource) -> BackupResult<bool> {
        let options = &self.options.options;
        let Some(bytes) = source.keyring() else { return Ok(options.encryption.is_some()) };
        let hash = Digest::of(bytes);
        if self.keys.as_ref().is_some_and(|(known, _)| *known == hash) {
            return Ok(true);
        }
        let Some(key) = &options.key else {
            let path = self.root.path().to_owned();
            return Err(EnvError::KeyRequired { path, epoch: 1 }.into());
        };
        let keyring = Keyring::decode(bytes, self.root.path())?;
        self.keys = Some((hash, keyring.unlock(key)?.data_keys()));
        Ok(true)
    }

    fn since(&self, source: &mut JournalSource, tail: &Tail) -> BackupResult<Since> {
        let keys = self.keys.as_ref().map(|(_, keys)| keys);
        let keys = keys.or(self.options.options.encryption.as_ref());
        source.since(tail.position, keys).map_err(|error| match (error, tail.position) {
            (EnvError::OtherHistory { .. }, Some((file, _))) if tail.number > 0 => {
                self.otherwise(source.environment(), tail.timeline, tail.number, file)
            }
            (error, _) => error.into(),
        })
    }

    fn otherwise(
        &self,
        environment: Uuid,
        timeline: Timeline,
        segment: u64,
        file: FileNumber,
    ) -> BackupError {
        let place = self.repository.store.backend.place();
        let file = LogName::new(FileClass::Journal, file, timeline);
        BackupError::ShippedOtherwise { place, environment, timeline, segment, file }
    }

    /// What the repository says of the newest segment, which has to be of this journal.
    fn ask(&mut self, environment: Uuid, timeline: Timeline) -> BackupResult<Tail> {
        let store = &self.repository.store;
        let nothing = Tail {
            timeline,
            number: 0,
            hash: Digest([0; 32]),
            interval: None,
            base: 0,
            gap: None,
            is_over: Some("nothing of it was shipped yet".into()),
            position: None,
            newest: (0, 0),
        };
        let number = store.newest_segment(environment, timeline)?;
        if number == 0 {
            let point = self.repository.newest_of(environment, timeline)?;
            return Ok(point.map_or(nothing.clone(), |(base, point)| Tail {
                base,
                is_over: None,
                position: point.cut.journal_end.map(|end| (end.file, end.end)),
                newest: (point.cut.commit, point.cut.time),
                ..nothing
            }));
        }
        let name = ObjectName::Segment { environment, timeline, number };
        let bytes = store.whole(name, MAX_POINT)?;
        let (hash, segment, to_write) = match store.decode_segment(name, &bytes) {
            Ok(ReadSegment { hash, segment, to_write, .. }) => (hash, segment, to_write),
            // It is what it is if two readings say so.
            Err(BackupError::Object(ObjectError::Damaged { .. }))
                if store.whole(name, MAX_POINT)? == bytes =>
            {
                let why = format!("segment {number} is damaged");
                let hash = Digest::of(&bytes);
                return Ok(Tail { number, hash, is_over: Some(why), ..nothing });
            }
            Err(error) => return Err(error),
        };
        if to_write != 0 {
            let what = format!("to write behind it needs the features {to_write:#x}");
            return Err(store.unread(name, Unread::Unsupported(what)));
        }
        match self.compare(environment, number, &segment) {
            // What it is of cannot be told any more, and no restore goes through it.
            Err(BackupError::Object(error)) => {
                let why = format!("segment {number} is damaged: {error}");
                return Ok(Tail { number, hash, is_over: Some(why), ..nothing });
            }
            compared => compared?,
        }
        if self.tombs.as_ref().is_some_and(|tombs| tombs.number > 0)
            && self.repository.newest_of(environment, timeline)?.is_none()
        {
            let why = "no point of this timeline is left".into();
            return Ok(Tail { number, hash, is_over: Some(why), ..nothing });
        }
        Ok(Tail {
            timeline,
            number,
            hash,
            interval: Some(segment.interval),
            base: segment.base,
            gap: None,
            is_over: None,
            position: Some((segment.file.number, segment.end)),
            newest: segment.newest,
        })
    }

    /// Compares a segment with what the environment has in its place, if that is still there.
    pub(super) fn compare(
        &mut self,
        environment: Uuid,
        number: u64,
        segment: &Segment,
    ) -> BackupResult<()> {
        let at = (segment.file.number, segment.start);
        let mut source = self.follow(Some(at))?;
        self.unlock(&source)?;
        let keys = self.keys.as_ref().map(|(_, keys)| keys);
        let keys = keys.or(self.options.options.encryption.as_ref());
        let other = || self.otherwise(environment, segment.timeline, number, at.0);
        let ranges = match source.since(Some(at), keys) {
            Ok(Since::Ranges(ranges)) => ranges,
            Ok(Since::Gone { .. }) => return Ok(()),
            Err(EnvError::OtherHistory { .. }) => return Err(other()),
            Err(error) => return Err(error.into()),
        };
        let here = ranges.first().filter(|range| range.file().header().number == at.0);
        let Some(range) = here.filter(|range| range.start == segment.start) else { return Ok(()) };
        if range.file().name() != segment.file {
            return Err(other());
        }
        for (start, part) in segment.placed() {
            if start >= range.end {
                break;
            }
            let name = segment.part_name(start, part);
            let stored = self.repository.store.part(environment, name, part)?;
            let both = part.length.min(range.end - start);
            let both = usize::try_from(both).unwrap_or(usize::MAX);
            if read(range, start, both)? != stored[..both] {
                return Err(other());
            }
        }
        Ok(())
    }

    /// Begins an interval, from the newest point if the journal goes on from its end, else from a new one.
    fn begin(
        &mut self,
        tail: &mut Tail,
        why: String,
        report: &mut ShipReport,
    ) -> BackupResult<(JournalSource, Vec<JournalRange>)> {
        let environment = self.held.as_ref().map(JournalSource::environment);
        let newest = match environment {
            Some(environment) => self.repository.newest_of(environment, tail.timeline)?,
            None => None,
        };
        let gap = Some(why).filter(|_| tail.number > 0);
        let mut from = |number: u64, point: &super::Point| {
            tail.interval = None;
            tail.base = number;
            tail.gap.clone_from(&gap);
            tail.position = point.cut.journal_end.map(|end| (end.file, end.end));
            tail.newest = (point.cut.commit, point.cut.time);
            tail.clone()
        };
        report.gap.clone_from(&gap);
        if let Some((number, point)) = newest {
            let tail = from(number, &point);
            let mut source = self.follow(tail.position)?;
            if let Since::Ranges(ranges) = self.since(&mut source, &tail)? {
                return Ok((source, ranges));
            }
        }
        let (made, env) = self.point()?;
        let (number, point) =
            self.repository.find(Some(made.environment), &super::Which::Number(made.number))?;
        report.points.push(made);
        let tail = from(number, &point);
        let mut source = self.follow(tail.position)?;
        drop(env);
        match self.since(&mut source, &tail)? {
            Since::Ranges(ranges) => Ok((source, ranges)),
            Since::Gone { why } => {
                let why = format!("it has gone on faster than it was read: {why}");
                let (path, (last, time)) = (self.root.path().to_owned(), tail.newest);
                let missing = "a journal file behind the new point".into();
                Err(EnvError::JournalGap { path, missing, why, last, time }.into())
            }
        }
    }

    /// Makes a point; as long as what is returned with it lives, the journal behind it stays.
    fn point(&mut self) -> BackupResult<(PointReport, Environment)> {
        let options = self.options.options.clone().read_only(true).create(false);
        let (root, world) = (DirRef::clone(&self.root), WorldRef::clone(&self.world));
        let (env, _) = Environment::open_in(root, world, options)?;
        let how = PointOptions::default().compression(self.options.compression);
        let report = self.repository.backup(&env, &how)?;
        self.since_point = 0;
        Ok((report, env))
    }
}

/// Bytes of the journal, of which nothing is known yet.
pub(super) fn read(range: &JournalRange, start: u64, len: usize) -> BackupResult<Vec<u8>> {
    let mut bytes = vec![0; len];
    range.file().handle().read_exact_at(start, &mut bytes)?;
    Ok(bytes)
}
