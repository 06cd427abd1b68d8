//! Everything that somebody without the key does to a subject, in an order that stays: a case is repeated by its
//! number.

use std::{collections::BTreeSet, fmt, ops::Range, sync::Arc};

use cairn_log::{FRAME_LEN, layout::file_header};
use cairn_sim::Image;

use super::forge::{put_right, records};
use crate::at_rest::{Rule, Subject};

/// A slot of the state file, in bytes.
const SLOT: usize = 4096;

/// A record: its file, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    path: Arc<str>,
    bytes: Range<usize>,
    /// Whether it stands in the last group of a journal that a crash ended: it may be missing.
    is_last: bool,
    /// Whether no record follows it in its file.
    is_end: bool,
}

/// One thing that is done; all checksums are right afterwards.
#[derive(Clone, Debug)]
pub(super) enum Tampering {
    /// A byte of a record is changed.
    Changed(Place, usize),
    /// A record is overwritten with zeros.
    Dropped(Place),
    /// A record is taken out, what follows moves up.
    CutOut(Place),
    /// A record stands once more behind itself.
    Doubled(Place),
    /// A record stands in the place of another one, of the same file or not.
    Moved(Place, Place),
    /// What stands at the place of the record in a copy of the environment that went on in its own way.
    OfTwin(Place),
    /// A byte of the header of a log file is changed.
    Header(Arc<str>, usize),
    /// The file is that of the twin.
    FileOfTwin(Arc<str>),
    /// A slot of the state holds what it held earlier: the number counts the versions.
    OlderSlot(Arc<str>, usize, usize),
    /// A slot of the state holds that of the twin; whether it is the slot that counts.
    SlotOfTwin(Arc<str>, usize, bool),
    /// A byte of a slot of the state is changed.
    Slot(Arc<str>, usize),
}

/// What is tampered with, and what an attacker has beside it.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) subject: Subject,
    pub(super) twin: Image,
}

impl Tampering {
    /// The row of the table.
    pub(super) const fn row(&self) -> &'static str {
        match self {
            Self::Changed(..) => "byte of a record changed",
            Self::Dropped(_) => "record zeroed",
            Self::CutOut(_) => "record cut out",
            Self::Doubled(_) => "record doubled",
            Self::Moved(..) => "record in place of another one",
            Self::OfTwin(_) => "record of a copy that went on",
            Self::Header(..) => "byte of a header changed",
            Self::FileOfTwin(_) => "file of a copy that went on",
            Self::OlderSlot(..) => "slot of the state put back",
            Self::SlotOfTwin(..) => "slot of the state of a copy that went on",
            Self::Slot(..) => "byte of a slot of the state changed",
        }
    }

    /// What may become of it.
    pub(super) const fn rule(&self) -> Rule {
        match self {
            // Nothing is left that could be authentic or not.
            Self::Dropped(place) | Self::CutOut(place) | Self::OfTwin(place) if place.is_last => {
                Rule::Wiped
            }
            // The header says how long the record is: it looks like one that was torn.
            Self::Changed(place, at) if place.is_last && *at < place.bytes.start + FRAME_LEN => {
                Rule::Torn
            }
            // What stands behind the end of a journal does not count, whatever it is.
            Self::Doubled(place) if place.is_end => Rule::Behind,
            // Undoing the very last write of the state leaves what a crash right before it leaves.
            Self::OlderSlot(..) => Rule::Ignored,
            // The slot that does not count is another one of the same number.
            Self::SlotOfTwin(_, _, false) => Rule::Ignored,
            _ => Rule::Noticed,
        }
    }

    /// The files that are touched.
    pub(super) fn files(&self) -> Vec<&str> {
        match self {
            Self::Moved(from, to) => vec![&from.path, &to.path],
            Self::Changed(place, _)
            | Self::Dropped(place)
            | Self::CutOut(place)
            | Self::Doubled(place)
            | Self::OfTwin(place) => vec![&place.path],
            Self::Header(path, _)
            | Self::FileOfTwin(path)
            | Self::OlderSlot(path, ..)
            | Self::SlotOfTwin(path, ..)
            | Self::Slot(path, _) => vec![path],
        }
    }

    /// The file that is changed, and what it holds then; `None` if nothing changes.
    pub(super) fn after(&self, scene: &Scene) -> Option<(Arc<str>, Vec<u8>)> {
        let Scene { subject, twin } = scene;
        let read = |path: &str| subject.image.read(path).map(|bytes| bytes.to_vec());
        let path = match self {
            Self::Moved(_, to) => &to.path,
            Self::Changed(place, _)
            | Self::Dropped(place)
            | Self::CutOut(place)
            | Self::Doubled(place)
            | Self::OfTwin(place) => &place.path,
            Self::Header(path, _)
            | Self::FileOfTwin(path)
            | Self::OlderSlot(path, ..)
            | Self::SlotOfTwin(path, ..)
            | Self::Slot(path, _) => path,
        };
        let before = read(path)?;
        let mut bytes = before.clone();
        match self {
            Self::Changed(place, at) => {
                bytes[*at] ^= 1;
                put_right(&mut bytes, Some(place.bytes.start));
            }
            Self::Dropped(place) => {
                bytes[place.bytes.clone()].fill(0);
                put_right(&mut bytes, None);
            }
            Self::CutOut(place) => {
                bytes.drain(place.bytes.clone());
                put_right(&mut bytes, Some(place.bytes.start));
            }
            Self::Doubled(place) => {
                let end = place.bytes.end;
                bytes.splice(end..end, before[place.bytes.clone()].iter().copied());
                put_right(&mut bytes, Some(end));
            }
            Self::Moved(from, to) => {
                let record = read(&from.path)?[from.bytes.clone()].to_vec();
                let room = &mut bytes[to.bytes.clone()];
                room.fill(0);
                room[..record.len()].copy_from_slice(&record);
                put_right(&mut bytes, Some(to.bytes.start));
            }
            Self::OfTwin(place) => {
                let other = twin.read(path)?;
                bytes[place.bytes.clone()].copy_from_slice(other.get(place.bytes.clone())?);
                put_right(&mut bytes, Some(place.bytes.start));
            }
            Self::Header(_, at) => {
                bytes[*at] ^= 1;
                put_right(&mut bytes, None);
            }
            Self::FileOfTwin(_) => bytes = twin.read(path)?.to_vec(),
            Self::OlderSlot(_, slot, version) => {
                let older = subject.versions.get(&**path)?.get(*version)?;
                bytes[slot_range(*slot)].copy_from_slice(older.get(slot_range(*slot))?);
            }
            Self::SlotOfTwin(_, slot, _) => {
                let other = twin.read(path)?;
                bytes[slot_range(*slot)].copy_from_slice(other.get(slot_range(*slot))?);
            }
            Self::Slot(_, at) => {
                bytes[*at] ^= 1;
                let slot = &mut bytes[slot_range(*at / SLOT)];
                let crc = cairn_log::crc32c(&slot[..SLOT - 4]);
                slot[SLOT - 4..].copy_from_slice(&crc.to_le_bytes());
            }
        }
        (bytes != before).then(|| (path.clone(), bytes))
    }
}

fn slot_range(slot: usize) -> Range<usize> {
    slot * SLOT..(slot + 1) * SLOT
}

/// Everything.
pub(super) fn all(scene: &Scene) -> Vec<Tampering> {
    let Scene { subject, twin } = scene;
    let paths = subject.image.files().map(|(path, _)| Arc::from(path));
    let paths: Vec<Arc<str>> = paths.collect();
    let logs = paths.iter().filter(|path| path.ends_with(".log"));
    let places: Vec<Place> = logs.clone().flat_map(|path| places(subject, path)).collect();
    let mut all = Vec::new();
    for place in &places {
        let bytes = place.bytes.clone();
        // The checksums themselves are put right again.
        all.extend(bytes.skip(4).map(|at| Tampering::Changed(place.clone(), at)));
        all.extend([
            Tampering::Dropped(place.clone()),
            Tampering::CutOut(place.clone()),
            Tampering::Doubled(place.clone()),
            Tampering::OfTwin(place.clone()),
        ]);
        let fits = |to: &&Place| *to != place && place.bytes.len() <= to.bytes.len();
        let others = places.iter().filter(fits);
        all.extend(others.map(|to| Tampering::Moved(place.clone(), to.clone())));
    }
    for path in logs.clone() {
        let fields = 0..file_header::CRC.offset;
        all.extend(fields.map(|at| Tampering::Header(path.clone(), at)));
    }
    let has_twin = |path: &&Arc<str>| twin.read(path).is_some();
    let of_twin = paths.iter().filter(has_twin).filter(|path| !path.ends_with("LOCK"));
    all.extend(of_twin.map(|path| Tampering::FileOfTwin(path.clone())));
    for path in paths.iter().filter(|path| path.ends_with("/STATE")) {
        for slot in [0, 1] {
            let older = older_slots(subject, path, slot).into_iter();
            all.extend(older.map(|version| Tampering::OlderSlot(path.clone(), slot, version)));
            let counts = number(subject, path, slot) > number(subject, path, 1 - slot);
            all.push(Tampering::SlotOfTwin(path.clone(), slot, counts));
            let bytes = slot_range(slot).start..slot_range(slot).end - 4;
            all.extend(bytes.map(|at| Tampering::Slot(path.clone(), at)));
        }
    }
    all
}

/// The records of a log file.
fn places(subject: &Subject, path: &Arc<str>) -> Vec<Place> {
    let content = subject.image.read(path).unwrap_or_default();
    let regions = subject.regions(path);
    let is_last = |bytes: &Range<usize>| {
        let region = regions.iter().find(|region| region.bytes.contains(&bytes.start));
        region.is_some_and(|region| region.rule == Rule::Torn)
    };
    let records = records(&content);
    let end = records.last().map_or(0, |record| record.end);
    let place = |bytes: Range<usize>| {
        let (is_last, is_end) = (is_last(&bytes), bytes.end == end);
        Place { path: path.clone(), bytes, is_last, is_end }
    };
    records.into_iter().map(place).collect()
}

/// The number of the state in a slot.
fn number(subject: &Subject, path: &str, slot: usize) -> u64 {
    const NUMBER: Range<usize> = 16..24;
    let content = subject.image.read(path).unwrap_or_default();
    let number = content.get(slot_range(slot)).and_then(|slot| slot[NUMBER].try_into().ok());
    number.map_or(0, u64::from_le_bytes)
}

/// The versions of the state file with different states in this slot.
fn older_slots(subject: &Subject, path: &str, slot: usize) -> Vec<usize> {
    let versions = subject.versions.get(path).map_or(&[][..], Vec::as_slice);
    let mut seen = BTreeSet::new();
    let is_new = |(_, content): &(usize, &Arc<Vec<u8>>)| {
        let content = content.get(slot_range(slot)).unwrap_or_default();
        content.iter().any(|byte| *byte != 0) && seen.insert(content.to_vec())
    };
    versions.iter().enumerate().filter(is_new).map(|(version, _)| version).collect()
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the record at {} of {}", self.bytes.start, self.path)
    }
}

impl fmt::Display for Tampering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(place, at) => write!(f, "byte {at} of {place}"),
            Self::Dropped(place) | Self::CutOut(place) | Self::Doubled(place) => {
                write!(f, "{place}")
            }
            Self::Moved(from, to) => write!(f, "{from} in place of {to}"),
            Self::OfTwin(place) => write!(f, "that of the copy in place of {place}"),
            Self::Header(path, at) | Self::Slot(path, at) => write!(f, "byte {at} of {path}"),
            Self::FileOfTwin(path) => write!(f, "{path}"),
            Self::OlderSlot(path, slot, version) => {
                write!(f, "slot {slot} of {path} as it was in version {version}")
            }
            Self::SlotOfTwin(path, slot, _) => write!(f, "slot {slot} of {path}"),
        }
    }
}
