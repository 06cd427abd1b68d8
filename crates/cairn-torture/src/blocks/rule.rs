//! What may become of a damage: follows from the bytes that differ and from what they were.

use std::{collections::BTreeMap, sync::Arc};

use cairn_log::HEADER_LEN;

use super::damage::{After, Content, Damage};
use crate::at_rest::{Region, Rule, Subject};

/// The parts of all files of a subject.
#[derive(Debug)]
pub(crate) struct Ground<'s> {
    subject: &'s Subject,
    regions: BTreeMap<String, Vec<Region>>,
}

impl<'s> Ground<'s> {
    pub(crate) fn new(subject: &'s Subject) -> Self {
        let files = subject.image.files();
        let regions = files.map(|(path, _)| (path.to_owned(), subject.regions(path))).collect();
        Self { subject, regions }
    }

    /// What may become of it; `None` if it changes nothing.
    pub(crate) fn rule(&self, damage: &Damage, after: &[After]) -> Option<Rule> {
        let rules = after.iter().filter_map(|(path, after)| self.of_file(path, after.as_deref()));
        let rule = rules.min()?;
        // A log file that is none of this environment, or not where it was, shows in its header.
        if let Damage::Extra(_, Content::Here(_) | Content::Foreign(_), _) = damage
            && !self.subject.is_backup
        {
            return Some(Rule::Noticed);
        }
        // An older state file leads to the same state by a longer way.
        let is_older = matches!(
            damage,
            Damage::Block(_, Content::Earlier(_)) | Damage::File(_, Content::Earlier(_))
        );
        let is_state = after.iter().all(|(path, _)| path.ends_with("/STATE"));
        Some(if is_older && is_state { Rule::Ignored } else { rule })
    }

    /// Whether a part of the file begins or ends here, or a byte before or behind.
    pub(crate) fn is_boundary(&self, path: &str, at: usize) -> bool {
        let regions = self.regions.get(path).map_or(&[][..], Vec::as_slice);
        let mut ends = regions.iter().flat_map(|region| [region.bytes.start, region.bytes.end]);
        ends.any(|end| end.abs_diff(at) <= 1)
    }

    fn of_file(&self, path: &Arc<str>, after: Option<&[u8]>) -> Option<Rule> {
        let Some(before) = self.subject.image.read(path) else { return Some(Rule::Behind) };
        if after == Some(&before) {
            return None;
        }
        let regions = self.regions.get(&**path).map_or(&[][..], Vec::as_slice);
        if after.is_none() && before.is_empty() {
            return Some(Rule::Ignored);
        }
        let after = after.unwrap_or_default();
        let is_hit = |region: &&Region| {
            let bytes = &before[region.bytes.clone()];
            let kept =
                &after[region.bytes.start.min(after.len())..region.bytes.end.min(after.len())];
            // Zeros behind the end are as good as none.
            bytes[..kept.len()] != *kept || bytes[kept.len()..].iter().any(|byte| *byte != 0)
        };
        let hit: Vec<&Region> = regions.iter().filter(is_hit).collect();
        let strictest = hit.iter().map(|region| region.rule).min();
        // Frames and payloads take turns.
        let group: Vec<&Region> =
            regions.iter().filter(|region| region.rule == Rule::Torn).collect();
        let is_record_hit = |record: &[&Region]| record.iter().any(&is_hit);
        let in_header = hit.iter().any(|region| (region.bytes.start as u64) < HEADER_LEN);
        if !group.is_empty() && !in_header && group.chunks(2).all(is_record_hit) {
            let is_blank = |record: &[&Region]| {
                let frame =
                    record[0].bytes.start.min(after.len())..record[0].bytes.end.min(after.len());
                after[frame].iter().all(|byte| *byte == 0)
            };
            // Nothing is left that says how far the journal went.
            if strictest == Some(Rule::Noticed) || group.chunks(2).all(is_blank) {
                return Some(Rule::Wiped);
            }
        }
        // Only the length differs, or what lies behind the end.
        let is_needless =
            !regions.is_empty() && regions.iter().all(|region| region.rule == Rule::Ignored);
        let unhit = if is_needless { Rule::Ignored } else { Rule::Behind };
        Some(strictest.unwrap_or(unhit))
    }
}
