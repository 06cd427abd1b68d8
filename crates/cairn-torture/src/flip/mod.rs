//! The command `flip`: every bit of small environments and of a backup is flipped, and none of it passes
//! unnoticed.

use std::fmt;

use cairn_io::{IoResult, MemDisk};
use cairn_sim::{Chooser as _, Seeded};

use crate::{
    at_rest::{
        Expected, Report, Rule, Subject, Verdict, encrypted, judge, large_subjects, subjects,
    },
    part::Part,
    pool,
    problem::{Checked, Problem, Wrong},
};

/// How much is flipped.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the command line states each")]
pub struct Plan {
    /// Whether every bit of every byte is flipped, zeros included, and of large subjects too.
    pub every_bit: bool,
    /// Which of the flips are made.
    pub part: Part,
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
/// what is not, and of every sixteenth byte where only zeros stand. Of them, those of the part.
fn flips(subject: &Subject, plan: &Plan) -> Vec<Flip> {
    let Plan { every_bit, part, seed, .. } = *plan;
    let (mut cases, mut index) = (Vec::new(), 0);
    for (path, _) in subject.image.files() {
        let content = subject.image.read(path).unwrap_or_default();
        let mut random = Seeded::new(seed).stream(subject.name).stream(path);
        for region in subject.regions(path) {
            let is_blank = content[region.bytes.clone()].iter().all(|&byte| byte == 0);
            let step = if is_blank && !every_bit { 16 } else { 1 };
            for byte in region.bytes.clone().step_by(step) {
                let one = random.choose(8, "bit");
                let bits = if every_bit || region.is_dense { 0..8 } else { one..one + 1 };
                for bit in bits {
                    if part.has(index) {
                        cases.push(Flip {
                            path: path.to_owned(),
                            bit: byte * 8 + bit,
                            row: region.name.clone(),
                            rule: region.rule,
                        });
                    }
                    index += 1;
                }
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
    let mut all: Vec<_> = subjects()?.into_iter().map(|subject| (subject, 1)).collect();
    let sparse = if plan.every_bit { 1 } else { SPARSE };
    all.extend(encrypted()?.into_iter().map(|subject| (subject, sparse)));
    if plan.every_bit {
        all.extend(large_subjects()?.into_iter().map(|subject| (subject, 1)));
    }
    for (subject, step) in &all {
        let flips: Vec<Flip> = flips(subject, plan).into_iter().step_by(*step).collect();
        let disk = subject.image.to_mem();
        let batches: Vec<&[Flip]> = flips.chunks(BATCH).collect();
        let judged = pool::run(plan.threads, &batches, |batch| {
            batch.iter().map(|flip| flip.judge(subject, &disk)).collect::<Vec<_>>()
        });
        for (flip, judged) in flips.iter().zip(judged.into_iter().flatten()) {
            let how = if plan.every_bit { " --full" } else { "" };
            let Plan { part, seed, .. } = plan;
            let again = format!("cargo xtask flip{how} --seed {seed:#x} --part {part}");
            report.add(subject.name, &flip.row, judged, || (flip.to_string(), again));
        }
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SOME: Part = Part { number: 1, of: 97 };

    #[test]
    fn large_subjects_have_the_bits_that_a_full_run_is_to_flip() {
        let subjects = large_subjects().unwrap();
        let bytes = subjects.iter().map(|subject| {
            let files = subject.image.files();
            files.map(|(path, _)| subject.image.read(path).unwrap().len()).sum::<usize>()
        });
        let bytes: Vec<usize> = bytes.collect();
        assert!(bytes.iter().all(|&bytes| bytes >= 256 << 10), "{bytes:?}");
        let rows: BTreeSet<_> = subjects
            .iter()
            .flat_map(|subject| {
                flips(subject, &Plan { every_bit: true, part: SOME, seed: 1, threads: 1 })
            })
            .map(|flip| flip.row)
            .collect();
        assert!(rows.len() > 10, "{rows:?}");
    }
}
