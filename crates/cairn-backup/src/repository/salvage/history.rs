//! `History`: which files belong together. After a restore two histories of an environment may have files of one number.

use std::collections::{BTreeMap, BTreeSet};

use cairn_log::{FileNumber, LogName, Timeline, Uuid};

use super::survey::Survey;
use crate::{
    BackupError, BackupResult,
    repository::{PartName, Point, store::Store},
};

/// What is known of the history that is asked for.
pub(super) struct History {
    pub(super) timeline: Option<Timeline>,
    /// What can be read of the points, by their numbers.
    pub(super) points: BTreeMap<u64, Result<Point, String>>,
    /// The newest wrapped keys of an encrypted environment.
    pub(super) keyring: Option<Vec<u8>>,
    /// The files that its points name.
    named: BTreeSet<FileNumber>,
    /// Where files end, as its points and segments say.
    pub(super) ends: BTreeMap<LogName, u64>,
    /// The lowest number of a file of which something was stored on the timeline.
    lowest: Option<FileNumber>,
    pub(super) notes: Vec<String>,
}

impl History {
    pub(super) fn find(
        store: &Store,
        environment: Uuid,
        timeline: Option<Timeline>,
        survey: &Survey<'_>,
    ) -> BackupResult<Self> {
        let mut points = BTreeMap::new();
        for number in store.listed_numbers(environment)? {
            let read = match store.point(environment, number) {
                Ok(read) => Ok(read.point),
                Err(error @ (BackupError::Object(_) | BackupError::Backend(_))) => {
                    Err(error.to_string())
                }
                Err(error) => return Err(error),
            };
            points.insert(number, read);
        }
        let readable = || points.values().filter_map(|point| point.as_ref().ok());
        let by_points = readable().next_back().map(|point| point.cut.timeline);
        let highest = survey.parts.keys().max_by_key(|part| (part.file, part.start));
        let timeline = timeline.or(by_points).or(highest.map(|part| part.timeline));
        let is_its = |point: &&Point| Some(point.cut.timeline) == timeline;
        let files = || readable().filter(is_its).flat_map(|point| &point.files);
        let named = files().map(|file| file.name.number).collect();
        let mut ends = BTreeMap::<LogName, u64>::new();
        for file in files() {
            let end = ends.entry(file.name).or_default();
            *end = file.length.max(*end);
        }
        let stored = survey.parts.keys().filter(|part| Some(part.timeline) == timeline);
        let lowest = stored.map(|part| part.file).min();
        let mut history = Self {
            keyring: readable()
                .filter(is_its)
                .filter_map(|point| point.keyring.clone())
                .next_back(),
            timeline,
            named,
            ends,
            lowest,
            notes: Vec::new(),
            points,
        };
        history.add_shipped(store, environment)?;
        if history.points.is_empty() {
            history.notes.push("no point is left: files are told apart by their numbers".into());
        }
        Ok(history)
    }

    /// Adds what segments say: journal was shipped past the points, and may have keys that came after them.
    fn add_shipped(&mut self, store: &Store, environment: Uuid) -> BackupResult<()> {
        let Some(timeline) = self.timeline else { return Ok(()) };
        let mut keyring = None;
        for read in store.segments_back(environment, timeline)? {
            let segment = match read {
                Ok(read) => read.segment,
                Err(BackupError::Object(_) | BackupError::Backend(_)) => continue,
                Err(error) => return Err(error),
            };
            let end = self.ends.entry(segment.file).or_default();
            *end = segment.end.max(*end);
            keyring = keyring.or(segment.keyring);
        }
        self.keyring = keyring.or(self.keyring.take());
        Ok(())
    }

    /// The parts of a file, those of this history first; `None` if it is of another one.
    pub(super) fn of(&self, number: FileNumber, parts: &[PartName]) -> Option<Vec<PartName>> {
        let is_own = |part: &PartName| Some(part.timeline) == self.timeline;
        let is_before = self.lowest.is_none_or(|lowest| number < lowest);
        if !parts.iter().any(is_own) && !self.named.contains(&number) && !is_before {
            return None;
        }
        let mut parts = parts.to_vec();
        parts.sort_by_key(|part| (!is_own(part), part.start));
        Some(parts)
    }
}
