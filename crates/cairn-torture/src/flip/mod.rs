//! The command `flip`: every bit of small environments and of a backup is flipped, and none of it passes
//! unnoticed.

use std::fmt;

use cairn_io::{IoResult, MemDisk};
use cairn_sim::{Chooser as _, Seeded};

use crate::{
    at_rest::{Expected, Report, Rule, Subject, Verdict, encrypted, judge, subjects},
    pool,
    problem::{Checked, Problem, Wrong},
};

/// How much is flipped.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the command line states each")]
pub struct Plan {
    /// Whether every bit of every byte is flipped, zeros included.
    pub every_bit: bool,
    /// Of the flips, only each so manieth is made.
    pub step: usize,
    /// Where the choice of bits comes from.
    pub seed: u64,
    /// How many threads.
    pub threads: usize,
}

/// A bit that is wrong.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests make their own")]
pub struct Flip {
    /// The file.
    pub path: String,
    /// The bit, counted from the lowest of the first byte.
    pub bit: usize,
    /// The row of the table.
    pub row: String,
    /// What may become of it.
    pub rule: Rule,
}

impl fmt::Display for Flip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, bit, .. } = self;
        write!(f, "bit {} of byte {} of {path}", bit % 8, bit / 8)
    }
}

impl Flip {
    /// Flips it on a copy of the disk, and looks what becomes of that.
    ///
    /// # Errors
    /// The promise that is broken.
    pub fn judge(&self, subject: &Subject, disk: &MemDisk) -> Checked<Verdict> {
        let disk = disk.fork();
        self.strike(&disk).map_err(|error| Problem::new(Wrong::Run, error))?;
        let at = self.bit as u64 / 8;
        let expected =
            Expected { rule: self.rule, files: vec![&self.path], place: Some(at..at + 1) };
        judge(subject, &disk, &expected)
    }

    fn strike(&self, disk: &MemDisk) -> IoResult<()> {
        disk.edit(&self.path, |bytes| bytes[self.bit / 8] ^= 1 << (self.bit % 8))
    }
}

/// Every bit that is flipped: in a short run every bit of what is dense, one bit of every byte of
/// what is not, and of every sixteenth byte where only zeros stand.
fn flips(subject: &Subject, every_bit: bool, seed: u64) -> Vec<Flip> {
    let mut cases = Vec::new();
    for (path, _) in subject.image.files() {
        let content = subject.image.read(path).unwrap_or_default();
        let mut random = Seeded::new(seed).stream(subject.name).stream(path);
        for region in subject.regions(path) {
            let is_blank = content[region.bytes.clone()].iter().all(|&byte| byte == 0);
            let step = if is_blank && !every_bit { 16 } else { 1 };
            for byte in region.bytes.clone().step_by(step) {
                let one = random.choose(8, "bit");
                let bits = if every_bit || region.is_dense { 0..8 } else { one..one + 1 };
                cases.extend(bits.map(|bit| Flip {
                    path: path.to_owned(),
                    bit: byte * 8 + bit,
                    row: region.name.clone(),
                    rule: region.rule,
                }));
            }
        }
    }
    cases
}

/// Flips everything.
///
/// # Errors
/// If the subjects cannot be made.
pub fn run(plan: &Plan) -> Checked<Report> {
    /// So many at once, that threads need not meet often.
    const BATCH: usize = 64;
    let mut report = Report::default();
    /// Of encrypted subjects so many fewer are made in a short run: it takes as long as it did.
    const SPARSE: usize = 4;
    let plain = subjects()?.into_iter().map(|subject| (subject, plan.step));
    let sparse = if plan.every_bit { plan.step } else { plan.step * SPARSE };
    let encrypted = encrypted()?.into_iter().map(|subject| (subject, sparse));
    for (subject, step) in &plain.chain(encrypted).collect::<Vec<_>>() {
        let flips: Vec<Flip> =
            flips(subject, plan.every_bit, plan.seed).into_iter().step_by(*step).collect();
        let disk = subject.image.to_mem();
        let batches: Vec<&[Flip]> = flips.chunks(BATCH).collect();
        let judged = pool::run(plan.threads, &batches, |batch| {
            batch.iter().map(|flip| flip.judge(subject, &disk)).collect::<Vec<_>>()
        });
        for (flip, judged) in flips.iter().zip(judged.into_iter().flatten()) {
            let how = if plan.every_bit { " --full" } else { "" };
            let again = format!("cargo xtask flip{how} --seed {:#x}", plan.seed);
            report.add(subject.name, &flip.row, judged, || (flip.to_string(), again));
        }
    }
    Ok(report)
}
