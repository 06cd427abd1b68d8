//! `Damage`: one thing that is done to the files of a subject.

use std::{fmt, ops::Range};

use cairn_io::{IoResult, MemDisk};
use cairn_log::HEADER_LEN;
use cairn_sim::{Chooser as _, Seeded};

use super::{
    region::{Region, Rule, regions},
    subject::Subject,
};

/// One thing that goes wrong with files at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "each must be done and judged")]
pub enum Damage {
    /// A bit is wrong; bits count from the lowest of the first byte.
    Flip(usize),
    /// Zeros stand in place of these bytes.
    Zero(usize, usize),
    /// The file ends here.
    Truncate(usize),
    /// The file is gone.
    Missing,
    /// Its content and that of another one are exchanged.
    Swap(String),
    /// It holds what it held earlier.
    Stale,
}

/// A damage with its place.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests make their own")]
pub struct Case {
    /// The file.
    pub path: String,
    /// What is done to it.
    pub damage: Damage,
    /// The row of the table.
    pub row: String,
    /// What may become of it.
    pub rule: Rule,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, damage, .. } = self;
        match damage {
            Damage::Flip(bit) => write!(f, "{path}: bit {} of byte {}", bit % 8, bit / 8),
            Damage::Zero(from, to) => write!(f, "{path}: zeros at {from}..{to}"),
            Damage::Truncate(len) => write!(f, "{path}: cut at {len}"),
            Damage::Missing => write!(f, "{path}: missing"),
            Damage::Swap(other) => write!(f, "{path}: exchanged with {other}"),
            Damage::Stale => write!(f, "{path}: as it was earlier"),
        }
    }
}

impl Case {
    /// Does it.
    ///
    /// # Errors
    /// If the file is not there.
    pub fn strike(&self, disk: &MemDisk, subject: &Subject) -> IoResult<()> {
        match &self.damage {
            Damage::Flip(bit) => disk.edit(&self.path, |bytes| bytes[bit / 8] ^= 1 << (bit % 8)),
            Damage::Zero(from, to) => disk.edit(&self.path, |bytes| bytes[*from..*to].fill(0)),
            Damage::Truncate(len) => disk.edit(&self.path, |bytes| bytes.truncate(*len)),
            Damage::Missing => disk.remove(&self.path),
            Damage::Swap(other) => {
                let (one, two) = (disk.read(&self.path)?, disk.read(other)?);
                disk.write(&self.path, two)?;
                disk.write(other, one)
            }
            Damage::Stale => {
                disk.write(&self.path, subject.earlier.read(&self.path).unwrap_or_default())
            }
        }
    }
}

/// The paths that are damaged: of a backup, those of the backup itself.
fn paths(subject: &Subject) -> Vec<String> {
    subject.image.files().map(|(path, _)| path.to_owned()).collect()
}

fn regions_of(subject: &Subject, path: &str) -> Vec<Region> {
    let is_journal = |path: &&str| path.rsplit('/').next().unwrap_or_default().starts_with("J-");
    let last = subject.image.files().map(|(path, _)| path).filter(is_journal).last();
    let is_last_open = !subject.is_clean && last == Some(path);
    regions(&subject.image, path, is_last_open)
}

/// Every bit that is flipped: in a short run every bit of what is dense, one bit of every byte of
/// what is not, and of every sixteenth byte where only zeros stand.
pub(crate) fn flips(subject: &Subject, every_bit: bool, seed: u64) -> Vec<Case> {
    let mut cases = Vec::new();
    for path in paths(subject) {
        let content = subject.image.read(&path).unwrap_or_default();
        let mut random = Seeded::new(seed).stream(subject.name).stream(&path);
        for region in regions_of(subject, &path) {
            let is_blank = content[region.bytes.clone()].iter().all(|&byte| byte == 0);
            let step = if is_blank && !every_bit { 16 } else { 1 };
            for byte in region.bytes.clone().step_by(step) {
                let one = random.choose(8, "bit");
                let bits = if every_bit || region.is_dense { 0..8 } else { one..one + 1 };
                cases.extend(bits.map(|bit| Case {
                    path: path.clone(),
                    damage: Damage::Flip(byte * 8 + bit),
                    row: region.name.clone(),
                    rule: region.rule,
                }));
            }
        }
    }
    cases
}

/// The strictest rule of what `bytes` of the file hold, zeros apart.
fn rule_of(content: &[u8], regions: &[Region], bytes: Range<usize>) -> Rule {
    let hit = |region: &&Region| {
        let changed = region.bytes.start.max(bytes.start)..region.bytes.end.min(bytes.end);
        !changed.is_empty() && content[changed].iter().any(|&byte| byte != 0)
    };
    let hit: Vec<Rule> = regions.iter().filter(hit).map(|region| region.rule).collect();
    // Whether no record of the last group is left whole: frames and payloads take turns.
    let last_group: Vec<_> = regions.iter().filter(|region| region.rule == Rule::Torn).collect();
    let is_hit = |record: &[&Region]| {
        let end = record.last().map_or(0, |region| region.bytes.end);
        record[0].bytes.start < bytes.end && bytes.start < end
    };
    let header = usize::try_from(HEADER_LEN).unwrap_or(usize::MAX);
    if !last_group.is_empty() && bytes.start >= header && last_group.chunks(2).all(is_hit) {
        return Rule::Wiped;
    }
    hit.into_iter().min().unwrap_or(Rule::Ignored)
}

/// Whole files and large parts of them.
pub(crate) fn blows(subject: &Subject) -> Vec<Case> {
    const SECTOR: usize = 512;
    let mut cases = Vec::new();
    let files: Vec<_> = paths(subject)
        .into_iter()
        .map(|path| {
            let content = subject.image.read(&path).unwrap_or_default();
            let regions = regions_of(subject, &path);
            let rule = rule_of(&content, &regions, 0..content.len());
            (path, content, regions, rule)
        })
        .collect();
    for (path, content, regions, whole) in &files {
        let rule_of = |bytes| rule_of(content, regions, bytes);
        let mut add = |row: &str, damage, rule| {
            cases.push(Case { path: path.clone(), damage, row: row.to_owned(), rule });
        };
        for from in (0..content.len()).step_by(SECTOR) {
            let to = (from + SECTOR).min(content.len());
            if content[from..to].iter().any(|&byte| byte != 0) {
                add("any file: a sector of zeros", Damage::Zero(from, to), rule_of(from..to));
            }
        }
        if *whole != Rule::Ignored {
            add("any file: all zeros", Damage::Zero(0, content.len()), *whole);
        }
        let mut ends: Vec<_> = regions.iter().flat_map(|r| [r.bytes.start, r.bytes.end]).collect();
        ends.extend(regions.iter().map(|region| region.bytes.start + region.bytes.len() / 2));
        ends.extend([1, content.len().saturating_sub(1)]);
        ends.sort_unstable();
        ends.dedup();
        for end in ends.into_iter().filter(|end| *end < content.len()) {
            add(
                "any file: cut short",
                Damage::Truncate(end),
                match rule_of(end..content.len()) {
                    Rule::Ignored if *whole != Rule::Ignored => Rule::Behind,
                    rule => rule,
                },
            );
        }
        add("any file: missing", Damage::Missing, *whole);
        for (other, others, _, rule) in files.iter().filter(|(other, ..)| other > path) {
            if others != content {
                let rule = *rule.min(whole);
                add("any two files: exchanged", Damage::Swap(other.clone()), rule);
            }
        }
        let earlier = subject.earlier.read(path);
        if subject.is_clean && earlier.is_some_and(|earlier| earlier != *content) {
            add("any file: as it was earlier", Damage::Stale, *whole);
        }
    }
    cases
}
