//! `Subset`: a check that looks at some of the objects, and another one the next time.

use std::collections::{BTreeMap, BTreeSet};

use cairn_log::Uuid;

use super::{Check, CheckLevel, CheckOptions};
use crate::{
    BackupError, BackupResult,
    repository::{
        names::{ObjectName, ShortHash},
        point::Point,
        rotation::{Rotation, Stretch, WHOLE, place},
    },
};

/// Which objects a check looks at, at the levels [`CheckLevel::Stored`] and [`CheckLevel::Content`]. Whether all are
/// there it sees in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subset {
    /// One of so many parts. Each object is in the same one for ever, whatever is added.
    Part {
        /// Which one, from 1.
        part: u32,
        /// Of how many.
        of: u32,
    },
    /// So many, others each time.
    Random(Share),
    /// So many, from where the last such check has ended. That is recorded in the repository, for each environment; and
    /// a point is recorded to be [`Checked`](crate::PointState::Checked) when all that it needs was looked at, in this
    /// check and those before it, and nothing was wrong. Of two such checks at the same time one counts.
    Rotate(Share),
}

/// How many objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Share {
    /// One in so many: as many checks with [`Subset::Rotate`] look at all of them.
    OneIn(u32),
    /// So many in a million.
    PerMillion(u32),
    /// As many as have together this many stored bytes, at least one. Several environments share them.
    Bytes(u64),
}

impl Subset {
    pub(super) fn check(self, level: CheckLevel) -> BackupResult<()> {
        let what = match self {
            _ if !matches!(level, CheckLevel::Stored | CheckLevel::Content) => {
                "some of the objects can be looked at by the levels stored and content, and no others"
            }
            Self::Part { part, of } if part == 0 || part > of => "there is no such part",
            Self::Random(share) | Self::Rotate(share) => match share {
                Share::OneIn(0) | Share::PerMillion(0) | Share::Bytes(0) => "that is nothing",
                Share::PerMillion(1_000_001..) => "that is more than all",
                _ => return Ok(()),
            },
            Self::Part { .. } => return Ok(()),
        };
        Err(BackupError::InvalidInput { what: format!("a subset: {what}") })
    }
}

/// Which objects are looked at: all, unless there are stretches.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    stretches: Option<BTreeMap<Uuid, Stretch>>,
    /// Those that belong to a file that is looked at as a whole.
    also: BTreeSet<ObjectName>,
}

impl Chosen {
    pub(super) fn has(&self, name: &ObjectName) -> bool {
        let (Some(stretches), ObjectName::Part { environment, part }) = (&self.stretches, name)
        else {
            return true;
        };
        stretches.get(environment).is_some_and(|stretch| stretch.has(place(part)))
            || self.also.contains(name)
    }

    pub(super) fn has_all_of(&self, point: &Point) -> bool {
        point.objects().all(|object| self.has(&object.name))
    }
}

impl Check<'_> {
    /// How far the checks before have come, that each looked at some of the objects.
    pub(super) fn rotations(&mut self, environment: Uuid) -> BackupResult<()> {
        for number in self.repository.store.rotation_numbers(environment)? {
            let read = self.repository.store.rotation(environment, number);
            let read = self.note(read, &[])?;
            let known = self.rotations.entry(environment).or_default();
            known.0 = number;
            // One that cannot be read counts for nothing, but its number is taken.
            known.1 = read.unwrap_or_else(|| std::mem::take(&mut known.1));
        }
        Ok(())
    }

    /// Settles which objects are looked at, and says of how many that are not.
    pub(super) fn choose(&mut self, subset: Option<Subset>) {
        let Some(subset) = subset else { return };
        // The places of all objects, with their lengths.
        let mut standing: BTreeMap<Uuid, BTreeMap<u64, u64>> = BTreeMap::new();
        let named = self.objects.iter().filter_map(|(name, needed)| match name {
            ObjectName::Part { environment, part } => {
                Some((*environment, *part, needed.stored_length))
            }
            _ => None,
        });
        for (environment, part, length) in named.chain(self.unnamed.iter().copied()) {
            *standing.entry(environment).or_default().entry(place(&part)).or_default() += length;
        }
        // An environment may have points and no objects.
        for (environment, _) in self.hashes.keys() {
            standing.entry(*environment).or_default();
        }
        let all = standing.values().flat_map(BTreeMap::values).map(|length| u128::from(*length));
        let all = all.sum::<u128>().max(1);
        let mut stretches = BTreeMap::new();
        for (environment, places) in &standing {
            let mut random = [0; 8];
            self.repository.world.random(&mut random);
            let next = self.rotations.get(environment).map_or(0, |(_, rotation)| rotation.next);
            let stretch = match subset {
                Subset::Part { part, of } => {
                    let end = |part: u32| (WHOLE * u128::from(part)).div_ceil(of.into());
                    let (from, end) = (end(part - 1), end(part));
                    Stretch { from: u64::try_from(from).unwrap_or(0), length: end - from }
                }
                Subset::Random(share) => share.from(u64::from_le_bytes(random), places, all),
                Subset::Rotate(share) => share.from(next, places, all),
            };
            stretches.insert(*environment, stretch);
        }
        // The hash of a file of several parts takes all of them: it stands on the circle, too.
        if self.level == CheckLevel::Content {
            let files = self.files.iter().filter(|shared| shared.file.parts.len() > 1);
            let files = files.filter(|shared| {
                let stretch = stretches.get(&shared.environment);
                stretch.is_some_and(|of| of.has(ShortHash::of(shared.file.digest).0))
            });
            let objects = files.flat_map(|shared| shared.file.objects(shared.environment));
            self.chosen.also = objects.map(|object| object.name).collect();
        }
        self.chosen.stretches = Some(stretches);
        let named = self.objects.iter().map(|(name, needed)| (*name, needed.stored_length));
        let unnamed = self.unnamed.iter().map(|(environment, part, length)| {
            (ObjectName::Part { environment: *environment, part: *part }, *length)
        });
        for (_, length) in named.chain(unnamed).filter(|(name, _)| !self.chosen.has(name)) {
            self.report.skipped_objects += 1;
            self.report.skipped_bytes += length;
        }
    }

    /// Records what was looked at, for the check that goes on from here.
    pub(super) fn go_round(&mut self, took: std::time::Duration) -> BackupResult<()> {
        let bad = self.bad();
        for (environment, stretch) in self.chosen.stretches.iter().flatten() {
            let of = |number| (*environment, number);
            let good = self.hashes.range(of(0)..=of(u64::MAX)).filter(|(at, _)| !bad.contains(at));
            let good: Vec<_> = good.map(|((_, number), hash)| (*number, *hash)).collect();
            let (number, known) = self.rotations.remove(environment).unwrap_or_default();
            let made = self.repository.proof(self.level, took);
            let mut rotation = Rotation { made: made.made, library: made.library.clone(), ..known };
            for (number, hash, level) in rotation.go_on(stretch.length, self.level, &good) {
                let proof = crate::Proof { level, ..made.clone() };
                self.repository.store.put_proof(*environment, number, hash, &proof)?;
                self.report.completed.push((*environment, number));
            }
            self.repository.store.put_rotation(*environment, number + 1, &rotation)?;
        }
        Ok(())
    }
}

impl Share {
    /// The stretch from a place on that has this share of the objects, which stand at `places` with their lengths;
    /// `all` is the length of all of them, also of other environments.
    fn from(self, from: u64, places: &BTreeMap<u64, u64>, all: u128) -> Stretch {
        let length = match self {
            Self::OneIn(runs) => WHOLE.div_ceil(runs.into()),
            Self::PerMillion(share) => (WHOLE * u128::from(share)).div_ceil(1_000_000),
            Self::Bytes(bytes) => {
                let of_this = places.values().map(|length| u128::from(*length)).sum::<u128>();
                let mut left = u128::from(bytes) * of_this / all;
                let around = places.range(from..).chain(places.range(..from));
                let past = around.enumerate().find_map(|(at, (place, length))| {
                    let fits = at == 0 || u128::from(*length) <= left;
                    left = left.saturating_sub((*length).into());
                    (!fits).then(|| place.wrapping_sub(from).into())
                });
                past.unwrap_or(WHOLE)
            }
        };
        Stretch { from, length }
    }
}

impl CheckOptions<'_> {
    /// Whether it is recorded how far it has come.
    pub(super) fn rotates(&self) -> bool {
        matches!(self.subset, Some(Subset::Rotate(_)))
    }
}
