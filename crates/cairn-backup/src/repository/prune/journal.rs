//! Which of the journal that was shipped stays, and which points stay because of it.
//!
//! What goes of a timeline is the beginning of its segments, up to the beginning of a journal file: so each file of which
//! any segment stays can be put together as before, from its beginning on. Where that beginning is in a point only, the
//! point stays. The newest segment always does: the next one goes on from it.

use std::collections::{BTreeMap, BTreeSet};

use cairn_log::{FileNumber, Timeline};

use super::{
    reach::{Reach, ReachedSegment},
    retention::{KeepReason, KeptJournal},
};

/// The first segment that stays of each timeline with any; `kept` gets the points that stay because of them.
pub(super) fn first_that_stay(
    reach: &Reach,
    policy: KeptJournal,
    kept: &mut BTreeMap<u64, BTreeSet<KeepReason>>,
) -> BTreeMap<Timeline, u64> {
    loop {
        let mut first = BTreeMap::new();
        let mut needed = BTreeSet::new();
        for (timeline, segments) in &reach.segments {
            let from = from(reach, *timeline, policy, kept);
            let stays = |segment: &&ReachedSegment| from.is_some_and(|from| segment.file >= from);
            // From the newest one on: behind the first that goes, none stays.
            let staying: Vec<_> = segments.iter().take_while(stays).collect();
            let Some(last) = staying.last().copied().or(segments.first()) else { continue };
            first.insert(*timeline, last.number);
            needed.extend(staying.iter().filter_map(|segment| segment.begins_behind));
        }
        let is_there = |number: &u64| reach.points.iter().any(|point| point.number == *number);
        needed.retain(|number| is_there(number) && !kept.contains_key(number));
        if needed.is_empty() {
            return first;
        }
        for number in needed {
            kept.insert(number, BTreeSet::from([KeepReason::Journal]));
        }
    }
}

/// The journal file from whose beginning on the journal of a timeline stays; `None` if no point of it does.
fn from(
    reach: &Reach,
    timeline: Timeline,
    policy: KeptJournal,
    kept: &BTreeMap<u64, BTreeSet<KeepReason>>,
) -> Option<FileNumber> {
    let points = reach.points.iter();
    let points =
        points.filter(|point| point.timeline == timeline && kept.contains_key(&point.number));
    let files = points.map(|point| point.file);
    match policy {
        KeptJournal::SinceOldest => files.min(),
        KeptJournal::SinceNewest => files.max(),
    }
}
