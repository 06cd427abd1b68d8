//! Where the valid log ends: torn or damaged, decided by a table of cases.
//!
//! A scan of a journal stops at the first bytes that are no whole record. In a log that a crash cut
//! short this is normal: the last writes were not synced, nothing there was acknowledged, and the
//! log ends here. But if something behind that place was once durable, the same bytes are *damage*,
//! and treating them as the end would silently drop acknowledged commits. Most engines cannot tell
//! the two apart. CairnDB can, because each journal record carries the position that was known to be
//! durable when it was written (the *watermark*), because the end of a finished or recovered file
//! is recorded elsewhere, and because journal files only have certain lengths
//! ([`journal_boundary`]).
//!
//! The decision is the table [`CASES`], which `docs/format/log-file.md` shows and a test proves to
//! be total and unambiguous.

use std::fmt;

use crate::{
    Damage, HEADER_LEN, LogFile, LogResult, Stop, journal_boundary,
    scan::{Beyond, look_beyond},
};

/// Why bad bytes in a journal are damage to acknowledged data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The file's end is recorded, by its seal, a later file, or the state file, and lies beyond.
    BelowRecordedEnd,
    /// A record before it, or the state file, says that the log was durable beyond this place.
    BelowWatermark,
    /// A record behind it says so.
    WatermarkBehind,
    /// The file is shorter than it must have been for the records it holds.
    Truncated,
    /// More bytes follow than can have been written without a sync.
    TooMuchBehind,
    /// The strict mode refuses any tail that is not clean.
    Strict,
    /// What is there is whole, and was not written there with the key of the file: no crash does that.
    NotAuthentic,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BelowRecordedEnd => "the file is recorded to be longer",
            Self::BelowWatermark => "the log was known to be durable beyond this place",
            Self::WatermarkBehind => {
                "a record behind this place says that the log was durable beyond it"
            }
            Self::Truncated => "the file is shorter than the records in it require",
            Self::TooMuchBehind => "more follows than can have been written without a sync",
            Self::Strict => "strict mode accepts no torn tail",
            Self::NotAuthentic => "the record is whole, but not authentic",
        })
    }
}

/// What the end of a journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "recovery must handle each")]
pub enum Verdict {
    /// Nothing was written behind the last record.
    Clean,
    /// Writes that were never acknowledged were cut short.
    Torn,
    /// Acknowledged data is damaged.
    Corrupt(Reason),
}

/// What stands behind the place, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    /// Zeros up to the end of the file.
    Zeros,
    /// Something that is no record, or records that prove nothing.
    Something,
    /// More than the limit of unsynced bytes.
    TooMuch,
    /// A record whose watermark lies beyond the place.
    Proof,
}

/// The facts that decide.
#[derive(Clone, Copy, Debug)]
struct Facts {
    not_authentic: bool,
    below_recorded_end: bool,
    below_watermark: bool,
    too_short: bool,
    behind: Behind,
    strict: bool,
}

/// One row of the decision table: `None` means that the fact does not matter.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) when: &'static str,
    not_authentic: Option<bool>,
    below_recorded_end: Option<bool>,
    below_watermark: Option<bool>,
    too_short: Option<bool>,
    behind: &'static [Behind],
    strict: Option<bool>,
    pub(crate) verdict: Verdict,
}

const ANYTHING: &[Behind] = &[Behind::Zeros, Behind::Something, Behind::TooMuch, Behind::Proof];
const NO_PROOF: &[Behind] = &[Behind::Zeros, Behind::Something, Behind::TooMuch];

/// The decision table. Exactly one row matches any combination of facts.
pub(crate) const CASES: &[Case] = &[
    Case {
        when: "a whole record is there that is not authentic (encrypted, with the key)",
        not_authentic: Some(true),
        below_recorded_end: None,
        below_watermark: None,
        too_short: None,
        behind: ANYTHING,
        strict: None,
        verdict: Verdict::Corrupt(Reason::NotAuthentic),
    },
    Case {
        when: "the recorded end of the file lies beyond",
        not_authentic: Some(false),
        below_recorded_end: Some(true),
        below_watermark: None,
        too_short: None,
        behind: ANYTHING,
        strict: None,
        verdict: Verdict::Corrupt(Reason::BelowRecordedEnd),
    },
    Case {
        when: "no such end, but a watermark seen so far lies beyond",
        not_authentic: Some(false),
        below_recorded_end: Some(false),
        below_watermark: Some(true),
        too_short: None,
        behind: ANYTHING,
        strict: None,
        verdict: Verdict::Corrupt(Reason::BelowWatermark),
    },
    Case {
        when: "neither, but a whole record behind has a watermark beyond",
        not_authentic: Some(false),
        below_recorded_end: Some(false),
        below_watermark: Some(false),
        too_short: None,
        behind: &[Behind::Proof],
        strict: None,
        verdict: Verdict::Corrupt(Reason::WatermarkBehind),
    },
    Case {
        when: "no proof, but the file is shorter than its last record requires",
        not_authentic: Some(false),
        below_recorded_end: Some(false),
        below_watermark: Some(false),
        too_short: Some(true),
        behind: NO_PROOF,
        strict: None,
        verdict: Verdict::Corrupt(Reason::Truncated),
    },
    Case {
        when: "no proof, long enough, but more bytes follow than may be unsynced",
        not_authentic: Some(false),
        below_recorded_end: Some(false),
        below_watermark: Some(false),
        too_short: Some(false),
        behind: &[Behind::TooMuch],
        strict: None,
        verdict: Verdict::Corrupt(Reason::TooMuchBehind),
    },
    Case {
        when: "nothing but zeros follows",
        not_authentic: Some(false),
        below_recorded_end: Some(false),
        below_watermark: Some(false),
        too_short: Some(false),
        behind: &[Behind::Zeros],
        strict: None,
        verdict: Verdict::Clean,
    },
    Case {
        when: "torn or reordered writes follow",
        not_authentic: Some(false),
        below_recorded_end: Some(false),
        below_watermark: Some(false),
        too_short: Some(false),
        behind: &[Behind::Something],
        strict: Some(false),
        verdict: Verdict::Torn,
    },
    Case {
        when: "the same in strict mode",
        not_authentic: Some(false),
        below_recorded_end: Some(false),
        below_watermark: Some(false),
        too_short: Some(false),
        behind: &[Behind::Something],
        strict: Some(true),
        verdict: Verdict::Corrupt(Reason::Strict),
    },
];

impl Case {
    fn matches(&self, facts: &Facts) -> bool {
        let agrees = |wanted: Option<bool>, fact| wanted.is_none_or(|wanted| wanted == fact);
        agrees(self.not_authentic, facts.not_authentic)
            && agrees(self.below_recorded_end, facts.below_recorded_end)
            && agrees(self.below_watermark, facts.below_watermark)
            && agrees(self.too_short, facts.too_short)
            && self.behind.contains(&facts.behind)
            && agrees(self.strict, facts.strict)
    }
}

/// What is known about a journal file from outside of it.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "recovery states each")]
pub struct Outside {
    /// The end of the file as recorded by a later file or the state file.
    pub recorded_end: Option<u64>,
    /// A position known to be durable, from records before the stop or from the state file.
    pub known_durable: u64,
    /// Whether the state file names the file as the journal in use: then it was extended for records.
    pub promised: bool,
    /// Whether any tail that is not clean is refused.
    pub strict: bool,
}

/// The end of a journal file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a result that recovery takes apart")]
pub struct Tail {
    /// What it is.
    pub verdict: Verdict,
    /// Where it begins.
    pub offset: u64,
    /// Bytes from there to the last one that is not zero: what a torn tail holds.
    pub bytes: u64,
}

/// Decides what the bytes are at which the scan of a journal stopped.
///
/// # Errors
/// Only if the disk fails.
pub fn judge(file: &LogFile, stop: &Stop, outside: Outside) -> LogResult<Tail> {
    let Beyond { content_end, record, known_durable } = look_beyond(file, stop.offset)?;
    let header = file.header();
    let bytes = content_end - stop.offset;
    // An intact header that says that its record goes on beyond the file needs that length, too: it
    // was written after the file had been extended for it.
    let needed = match stop.damage {
        Some(Damage::Overrun { end, .. }) => end,
        _ => stop.offset,
    };
    let needed = if outside.promised { needed.max(HEADER_LEN + 1) } else { needed };
    let behind = if record && known_durable > stop.offset {
        Behind::Proof
    } else if header.max_unsynced > 0 && bytes > header.max_unsynced {
        Behind::TooMuch
    } else if bytes > 0 {
        Behind::Something
    } else {
        Behind::Zeros
    };
    let facts = Facts {
        not_authentic: stop.damage == Some(Damage::NotAuthentic),
        below_recorded_end: outside.recorded_end.is_some_and(|end| end > stop.offset),
        below_watermark: outside.known_durable > stop.offset,
        too_short: file.handle().len()? < journal_boundary(needed, header.capacity),
        behind,
        strict: outside.strict,
    };
    let case = CASES.iter().find(|case| case.matches(&facts)).expect("the table is total");
    // Planted: any bad record ends the log.
    let verdict = if cairn_io::planted::is(7) { Verdict::Torn } else { case.verdict };
    Ok(Tail { verdict, offset: stop.offset, bytes })
}

impl Tail {
    /// The damage that the tail is, if it is damage.
    #[must_use]
    pub const fn damage(&self) -> Option<Damage> {
        match self.verdict {
            Verdict::Corrupt(reason) => Some(Damage::Tail(reason)),
            Verdict::Clean | Verdict::Torn => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_facts() -> impl Iterator<Item = Facts> {
        (0..128).map(|bits| Facts {
            below_recorded_end: bits & 1 != 0,
            below_watermark: bits & 2 != 0,
            too_short: bits & 4 != 0,
            strict: bits & 8 != 0,
            behind: ANYTHING[bits >> 4 & 3],
            not_authentic: bits & 64 != 0,
        })
    }

    #[test]
    fn each_combination_of_facts_has_exactly_one_case() {
        let mut used = vec![false; CASES.len()];
        for facts in all_facts() {
            let matching: Vec<usize> =
                (0..CASES.len()).filter(|&i| CASES[i].matches(&facts)).collect();
            assert_eq!(matching.len(), 1, "{facts:?}: {matching:?}");
            used[matching[0]] = true;
        }
        assert!(used.iter().all(|&used| used), "a case that never applies: {used:?}");
    }

    #[test]
    fn whatever_was_once_durable_is_never_a_torn_tail() {
        for facts in all_facts() {
            let case = CASES.iter().find(|case| case.matches(&facts)).unwrap();
            if facts.below_recorded_end || facts.below_watermark || facts.behind == Behind::Proof {
                assert!(matches!(case.verdict, Verdict::Corrupt(_)), "{facts:?}");
            }
        }
    }
}
