//! Which keys may not be as they were.

use cairn_btree::ChildImage;

use super::{Missing, RepairReport, build::Names, journal::Commits, trees::Trees};
use crate::database::NAMES;

/// A range of keys, from the first to before the second, and the commit that it is of.
type Old = (Vec<u8>, Option<Vec<u8>>, Option<u64>);

/// Lists what is lost: commits, and ranges of keys whose state is older than the journal reaches back.
pub(crate) fn list(commits: &Commits, trees: &Trees, names: &Names, report: &mut RepairReport) {
    let complete_from = commits.complete_from();
    let from = match trees.checkpoint {
        Some(cut) => cut,
        // What the journal has never held, or holds no more, is in the leaves; see below.
        None if !trees.trees.is_empty() => complete_from.min(commits.first_held()),
        None => 0,
    };
    report.missing = commits.lost_after(from);
    // Where the newest names are lost, an older one may lead to a tree that another has replaced since.
    for (database, as_of) in names.known_before(from.min(complete_from)) {
        let (database, from, to, as_of) = (database.to_owned(), Vec::new(), None, Some(as_of));
        report.missing.push(Missing::Keys { database, from, to, as_of });
    }
    for range in ranges(trees, names) {
        let Some(pieces) = trees.trees.get(&range.tree) else {
            if complete_from > 0 {
                let (from, to) = (range.lower, range.upper);
                let database = names.shown(range.tree);
                report.missing.push(Missing::Keys { database, from, to, as_of: None });
            }
            continue;
        };
        let database = names.shown(range.tree);
        let upper = range.upper.as_deref();
        let mut found: Vec<Old> = Vec::new();
        if complete_from > 0 {
            let holes = pieces.holes(&range.lower, upper);
            found.extend(holes.into_iter().map(|(lower, upper)| (lower, upper, None)));
        }
        for piece in pieces.overlapping(&range.lower, upper) {
            if piece.commit < complete_from {
                let lower = piece.lower.clone().max(range.lower.clone());
                let upper = match (&piece.upper, &range.upper) {
                    (Some(one), Some(other)) => Some(one.min(other).clone()),
                    (one, other) => one.clone().or(other.clone()),
                };
                found.push((lower, upper, Some(piece.commit)));
            }
        }
        found.sort();
        let mut last: Option<Old> = None;
        let mut joined = Vec::new();
        for (lower, upper, as_of) in found {
            match &mut last {
                Some(last) if last.1.as_ref() == Some(&lower) && last.2 == as_of => last.1 = upper,
                last => joined.extend(last.replace((lower, upper, as_of))),
            }
        }
        for (from, to, as_of) in joined.into_iter().chain(last) {
            report.missing.push(Missing::Keys { database: database.clone(), from, to, as_of });
        }
    }
}

/// The ranges whose newest state was not found where it should be.
fn ranges(trees: &Trees, names: &Names) -> Vec<ChildImage> {
    let whole = |tree| {
        let (lower, upper) = (Vec::new(), None);
        ChildImage { tree, level: None, lower, upper, lsn: None }
    };
    let mut ranges: Vec<ChildImage> = trees.unreadable.clone();
    if !trees.has_whole_catalog() {
        // Any tree may be as old as its leaves.
        ranges = [NAMES].into_iter().chain(names.trees()).map(whole).collect();
    }
    ranges.retain(|range| range.tree == NAMES || names.has(range.tree));
    ranges.sort_by(|a, b| (a.tree, &a.lower).cmp(&(b.tree, &b.lower)));
    ranges
}
