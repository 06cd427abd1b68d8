//! `Repository::plan_prune`: what goes and what stays, and why; or why nothing is to go.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use cairn_log::{FileClass, FileNumber, Timeline, Uuid};

use super::{
    journal,
    reach::{Present, Reach, ReachedSegment},
    retention::{KeepReason, Retention, RetentionPoint},
    tombs::{Tomb, TombStage, Tombs},
};
use crate::{
    BackupResult,
    repository::{PointState, Repository, names::ObjectName, names::PartName},
};

/// How a prune is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PruneOptions {
    /// How long what goes can be taken back (default: a day). It should be longer than the longest backup or restore takes.
    pub grace: Duration,
    /// Whether more than half of the points, or of their bytes, may go.
    pub more_than_half: bool,
    /// Whether nothing goes unless a point stays that is proved.
    pub require_proof: bool,
    /// Whether points and segments that cannot be read go, too. Otherwise nothing does as long as there are any.
    pub damaged: bool,
    /// Whether parts go that no point needs, of backups that were cut short (default: yes).
    pub unused: bool,
}

impl Default for PruneOptions {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(24 * 3600),
            more_than_half: false,
            require_proof: false,
            damaged: false,
            unused: true,
        }
    }
}

macro_rules! setters {
    ($($name:ident: $type:ty),+ $(,)?) => {$(
        #[doc = concat!("Sets [`PruneOptions::", stringify!($name), "`](PruneOptions#structfield.", stringify!($name), ").")]
        #[must_use]
        pub const fn $name(mut self, $name: $type) -> Self {
            self.$name = $name;
            self
        }
    )+};
}

impl PruneOptions {
    setters!(
        grace: Duration,
        more_than_half: bool,
        require_proof: bool,
        damaged: bool,
        unused: bool,
    );
}

/// A point in a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlannedPoint {
    /// Its number.
    pub number: u64,
    /// When it was made, in microseconds since 1970; 0 if it cannot be read.
    pub created: u64,
    /// What it is called.
    pub label: Option<String>,
    /// Why it stays; empty if it goes.
    pub reasons: BTreeSet<KeepReason>,
}

/// Why nothing is to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PruneRefusal {
    /// The clock is behind a point, so one of the two was wrong.
    Clock {
        /// What the clock says, in microseconds since 1970.
        now: u64,
        /// The point.
        point: u64,
        /// When that was made.
        created: u64,
    },
    /// Something lies in the folders of the environment that is of somebody else, or of a later version.
    Foreign {
        /// What.
        names: Vec<String>,
    },
    /// What something needs is not known, because it cannot be read.
    Unreadable {
        /// What cannot be read.
        object: ObjectName,
        /// Why.
        problem: String,
    },
    /// A point or segment that is to stay is not complete.
    Incomplete {
        /// The object that is missing, or has another length.
        object: ObjectName,
        /// The points that need it; none if segments do.
        points: Vec<u64>,
    },
    /// No point that is to stay is proved.
    NoProof,
    /// More than half of the points would go.
    HalfOfPoints {
        /// How many would.
        going: u64,
        /// How many there are.
        of: u64,
    },
    /// More than half of the bytes would go.
    HalfOfBytes {
        /// How many would.
        going: u64,
        /// How many there are.
        of: u64,
    },
}

impl fmt::Display for PruneRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clock { now, point, created } => {
                let behind = Duration::from_micros(created.saturating_sub(*now)).as_secs_f64();
                write!(
                    f,
                    "the clock is {behind:.1} s behind the time at which point {point} was made"
                )
            }
            Self::Foreign { names } => {
                write!(
                    f,
                    "{} in the repository is of somebody else, or of a later version",
                    names.join(", ")
                )
            }
            Self::Unreadable { object, problem } => write!(f, "{object} cannot be read: {problem}"),
            Self::Incomplete { object, points } => {
                let points: Vec<_> = points.iter().map(u64::to_string).collect();
                let who = match &*points {
                    [] => "shipped journal".to_owned(),
                    points => format!("point {}", points.join(", ")),
                };
                write!(
                    f,
                    "{object} is missing or has another length, and {who}, which is to stay, needs it"
                )
            }
            Self::NoProof => f.write_str("no point that is to stay is proved"),
            Self::HalfOfPoints { going, of } => {
                write!(f, "{going} of {of} points would go, more than half")
            }
            Self::HalfOfBytes { going, of } => {
                write!(f, "{going} of {of} bytes would go, more than half")
            }
        }
    }
}

/// What is to be removed, and what stays: [`Repository::plan_prune`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PrunePlan {
    /// The environment.
    pub environment: Uuid,
    /// When it was made, in microseconds since 1970.
    pub now: u64,
    /// The points that stay, in order.
    pub kept: Vec<PlannedPoint>,
    /// The points that go, in order.
    pub going: Vec<PlannedPoint>,
    /// How many segments of shipped journal go.
    pub segments: u64,
    /// How many objects with bytes of log files go because only points and segments need them that go.
    pub objects: u64,
    /// The bytes of these.
    pub bytes: u64,
    /// How many go because nothing needs them.
    pub unused_objects: u64,
    /// The bytes of these.
    pub unused_bytes: u64,
    /// Why it is not to be carried out; it can be if there is nothing.
    pub refusals: Vec<PruneRefusal>,
    /// What it was made of.
    pub(super) tombs: Tombs,
    pub(super) tomb: Tomb,
}

impl PrunePlan {
    /// Whether nothing goes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tomb.points.is_empty() && self.tomb.segments.is_empty() && self.tomb.parts.is_empty()
    }
}

impl Repository {
    /// Plans what to remove of the backups of an environment by a policy, at the time `now`, in microseconds since 1970.
    /// Nothing is changed. What stays was proved to be complete: all objects are there, as long as they have to be.
    ///
    /// Points count on all timelines together. The newest one always stays, and so do points from which shipped journal
    /// goes on that stays.
    ///
    /// ```
    /// use cairn_backup::{PointOptions, PruneOptions, Repository, Retention};
    /// # use cairn_env::{DatabaseOptions, Environment, Options};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let (env, _) = Environment::in_memory(Options::default())?;
    /// # let users = env.database("users", DatabaseOptions::default())?;
    /// let repository = Repository::create(dir.path().join("repo"))?;
    /// for n in 0..5_u8 {
    ///     env.write(|txn| txn.put(&users, &[n], b"entry"))?;
    ///     repository.backup(&env, &PointOptions::default())?;
    /// }
    /// let now = u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap();
    /// let (policy, options) = (Retention::new().last(3), PruneOptions::default());
    /// let plan = repository.plan_prune(None, &policy, &options, now)?;
    /// assert_eq!((plan.kept.len(), plan.going.len()), (3, 2));
    ///
    /// repository.prune(&plan)?;
    /// assert_eq!(repository.points(None)?.len(), 3);
    /// // A day later: repository.delete_pruned(None, now)?; until then:
    /// repository.take_back(None, None)?;
    /// assert_eq!(repository.points(None)?.len(), 5);
    /// # Ok::<(), cairn_backup::BackupError>(())
    /// ```
    ///
    /// # Errors
    /// [`BackupError::RepositoryKeyRequired`](crate::BackupError::RepositoryKeyRequired);
    /// [`BackupError::SeveralEnvironments`](crate::BackupError::SeveralEnvironments); if the place fails, or
    /// this version may not write to the repository. Why nothing is to go, the plan says.
    pub fn plan_prune(
        &self,
        environment: Option<Uuid>,
        policy: &Retention,
        options: &PruneOptions,
        now: u64,
    ) -> BackupResult<PrunePlan> {
        if self.is_locked() {
            return Err(self.store.locked());
        }
        self.check_writable()?;
        let environment = self.environment(environment)?;
        let tombs = self.store.tombs(environment)?;
        // Before what needs it: what comes between the two is not taken for unused.
        let present = self.listed_parts(environment)?;
        let reach = self.reach(environment, &tombs)?;
        let mut refusals = Vec::new();
        let behind = reach.points.iter().filter(|point| point.created > now);
        if let Some(point) = behind.max_by_key(|point| point.created) {
            let (point, created) = (point.number, point.created);
            refusals.push(PruneRefusal::Clock { now, point, created });
        }
        if !present.foreign.is_empty() {
            refusals.push(PruneRefusal::Foreign { names: present.foreign.clone() });
        }
        if !options.damaged {
            refusals.extend(reach.unreadable.iter().map(|(object, problem)| {
                PruneRefusal::Unreadable { object: *object, problem: problem.clone() }
            }));
        }
        let candidates = self.candidates(environment, &reach)?;
        let mut kept = policy.keep(&candidates);
        let first = journal::first_that_stay(&reach, policy.journal, &mut kept);
        let is_proved =
            |point: &RetentionPoint| point.is_proved && kept.contains_key(&point.number);
        if options.require_proof && !candidates.iter().any(is_proved) {
            refusals.push(PruneRefusal::NoProof);
        }
        let mut plan = Self::split(environment, now, &reach, &kept, tombs);
        plan.refusals = refusals;
        let segment_stays =
            |timeline: &Timeline, number: u64| number >= first.get(timeline).copied().unwrap_or(0);
        let needed = reach.needed(
            |point| kept.contains_key(&point.number),
            |timeline, segment| segment_stays(&timeline, segment.number),
        );
        for (timeline, segments) in &reach.segments {
            let buried = plan.tombs.tombs.iter().flat_map(|tomb| &tomb.segments);
            let buried = buried.filter(|(of, _)| of == timeline).map(|(_, first)| *first).max();
            let goes = |segment: &&ReachedSegment| {
                !segment_stays(timeline, segment.number) && Some(segment.number) >= buried
            };
            let going = segments.iter().filter(goes).count() as u64;
            if let Some(first) = first.get(timeline).filter(|_| going > 0) {
                plan.segments += going;
                plan.tomb.segments.push((*timeline, *first));
            }
        }
        plan.refusals.extend(self.incomplete(environment, &reach, &needed, &kept, &present)?);
        plan.bury(&reach, &needed, &present, options);
        plan.tomb.until =
            now.saturating_add(u64::try_from(options.grace.as_micros()).unwrap_or(u64::MAX));
        if !options.more_than_half {
            plan.refuse_half(&present);
        }
        Ok(plan)
    }

    /// The points as a policy sees them.
    fn candidates(&self, environment: Uuid, reach: &Reach) -> BackupResult<Vec<RetentionPoint>> {
        let mut proved = BTreeSet::new();
        for read in self.store.proofs(environment)? {
            if read.proof.state() == PointState::Proved {
                proved.insert((read.point, read.of.0));
            }
        }
        let numbers: Vec<_> = reach.points.iter().map(|point| point.number).collect();
        let mut restored = BTreeSet::new();
        for read in self.store.drills_of(environment, &numbers)? {
            if let (true, Some(back)) = (read.drill.passed(), read.drill.restored) {
                restored.insert((read.point, read.of.0, back.commit));
            }
        }
        let candidates = reach.points.iter().map(|point| RetentionPoint {
            number: point.number,
            time: point.created,
            has_label: point.label.is_some(),
            is_proved: proved.contains(&(point.number, point.hash.0))
                || restored.contains(&(point.number, point.hash.0, point.commit)),
        });
        Ok(candidates.collect())
    }

    fn split(
        environment: Uuid,
        now: u64,
        reach: &Reach,
        kept: &BTreeMap<u64, BTreeSet<KeepReason>>,
        tombs: Tombs,
    ) -> PrunePlan {
        let mut all: Vec<_> = reach
            .points
            .iter()
            .map(|point| PlannedPoint {
                number: point.number,
                created: point.created,
                label: point.label.clone(),
                reasons: kept.get(&point.number).cloned().unwrap_or_default(),
            })
            .collect();
        all.extend(reach.unreadable.iter().filter_map(|(object, _)| match *object {
            ObjectName::Point { number, .. } => {
                Some(PlannedPoint { number, created: 0, label: None, reasons: BTreeSet::new() })
            }
            _ => None,
        }));
        all.sort_by_key(|point| point.number);
        let (going, kept): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|point| point.reasons.is_empty());
        let tomb = Tomb {
            id: tombs.number.saturating_add(1),
            stage: TombStage::Waiting,
            closed: 0,
            made: now,
            until: now,
            points: going.iter().map(|point| point.number).collect(),
            segments: Vec::new(),
            parts: Vec::new(),
        };
        PrunePlan {
            environment,
            now,
            kept,
            going,
            segments: 0,
            objects: 0,
            bytes: 0,
            unused_objects: 0,
            unused_bytes: 0,
            refusals: Vec::new(),
            tombs,
            tomb,
        }
    }

    /// What is missing of what stays.
    fn incomplete(
        &self,
        environment: Uuid,
        reach: &Reach,
        needed: &[bool],
        kept: &BTreeMap<u64, BTreeSet<KeepReason>>,
        present: &Present,
    ) -> BackupResult<Vec<PruneRefusal>> {
        let mut refusals = Vec::new();
        for (place, (part, stored_length)) in reach.parts.iter().enumerate() {
            if !needed[place] || present.parts.get(part) == Some(stored_length) {
                continue;
            }
            let object = ObjectName::Part { environment, part: *part };
            // A listing may lack what was stored lately.
            if self.store.backend.length(&object)? == Some(*stored_length) {
                continue;
            }
            let needs = |parts: &[u32]| parts.iter().any(|needed| *needed as usize == place);
            let points = reach.points.iter().filter(|point| kept.contains_key(&point.number));
            let points = points.filter(|point| needs(&point.parts)).map(|point| point.number);
            refusals.push(PruneRefusal::Incomplete { object, points: points.collect() });
        }
        Ok(refusals)
    }
}

impl PrunePlan {
    /// Puts into the tomb what is there and nothing that stays needs.
    fn bury(&mut self, reach: &Reach, needed: &[bool], present: &Present, options: &PruneOptions) {
        let newest: BTreeMap<Timeline, FileNumber> = reach
            .segments
            .iter()
            .filter_map(|(timeline, segments)| Some((*timeline, segments.first()?.file)))
            .collect();
        for (part, length) in &present.parts {
            if self.tombs.tombs.iter().any(|tomb| tomb.has(part)) {
                continue;
            }
            match reach.place_of(part) {
                Some(place) if needed[place] => continue,
                Some(_) => {
                    self.objects += 1;
                    self.bytes += length;
                }
                None if options.unused && !may_be_shipped(part, &newest) => {
                    self.unused_objects += 1;
                    self.unused_bytes += length;
                }
                None => continue,
            }
            self.tomb.parts.push((*part, *length));
        }
        self.tomb.parts.sort_unstable();
    }

    fn refuse_half(&mut self, present: &Present) {
        let going = self.going.len() as u64;
        let of = going + self.kept.len() as u64;
        if going * 2 > of {
            self.refusals.push(PruneRefusal::HalfOfPoints { going, of });
        }
        let (going, of) = (self.bytes, present.parts.values().sum::<u64>());
        if going.saturating_mul(2) > of {
            self.refusals.push(PruneRefusal::HalfOfBytes { going, of });
        }
    }
}

/// Whether a part that nothing needs may be of a segment that is about to be stored. Who ships stores one behind the newest
/// segment; whoever is too late for that stores none.
fn may_be_shipped(part: &PartName, newest: &BTreeMap<Timeline, FileNumber>) -> bool {
    part.class == FileClass::Journal
        && newest.get(&part.timeline).is_none_or(|newest| part.file >= *newest)
}
