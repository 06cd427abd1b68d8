//! The command `flip`: every bit of small environments and of a backup is flipped, files are cut,
//! zeroed, exchanged and set back, and nothing of it passes unnoticed.

mod damage;
mod judge;
mod region;
mod subject;

use std::{collections::BTreeMap, fmt};

pub use damage::{Case, Damage};
pub use judge::{Verdict, judge};
pub use region::{Region, Rule};
pub use subject::{Subject, subjects};

use crate::{
    figure::Figure,
    pool,
    problem::{Checked, Problem},
};

/// How much is damaged.
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

/// What became of all damage.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    rows: BTreeMap<(&'static str, String), BTreeMap<Verdict, u64>>,
    /// How many damages there were.
    pub cases: u64,
    /// Broken promises: the subject, the damage and the story; the first of each row.
    pub violations: Vec<(&'static str, String, Problem)>,
    /// How many more there were.
    pub more_violations: u64,
}

impl Report {
    /// Whether nothing passed that must not.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.violations.is_empty() && self.cases > 0
    }

    /// How many damages had this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> u64 {
        self.rows.values().filter_map(|row| row.get(&verdict)).sum()
    }

    /// What counts toward goals.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let wrong = self.violations.len() as u64 + self.more_violations;
        vec![Figure { goal: "G5", name: "damages at rest", value: self.cases, wrong }]
    }

    fn add(&mut self, subject: &'static str, case: &Case, judged: Checked<Verdict>) {
        self.cases += 1;
        let row = self.rows.entry((subject, case.row.clone())).or_default();
        match judged {
            Ok(verdict) => *row.entry(verdict).or_default() += 1,
            Err(problem) => {
                /// So many are printed of each row.
                const SHOWN: usize = 3;
                let is_same = |(s, c, p): &&(&str, String, Problem)| {
                    *s == subject && c.starts_with(&case.row) && p.wrong == problem.wrong
                };
                if self.violations.iter().filter(is_same).count() >= SHOWN {
                    self.more_violations += 1;
                } else {
                    let place = format!("{}: {case}", case.row);
                    self.violations.push((subject, place, problem));
                }
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = "";
        for ((subject, row), counts) in &self.rows {
            if *subject != before {
                write!(f, "\n{subject:44}")?;
                Verdict::ALL.iter().try_for_each(|verdict| write!(f, "{:>9}", verdict.name()))?;
                writeln!(f)?;
                before = subject;
            }
            write!(f, "  {row:42}")?;
            for verdict in Verdict::ALL {
                match counts.get(&verdict) {
                    Some(count) => write!(f, "{count:>9}")?,
                    None => write!(f, "{:>9}", ".")?,
                }
            }
            writeln!(f)?;
        }
        writeln!(f, "\n{} damages", self.cases)?;
        for verdict in Verdict::ALL {
            writeln!(f, "{:>10} {}", self.count(verdict), verdict.name())?;
        }
        for (subject, place, problem) in &self.violations {
            writeln!(f, "\n{subject}, {place}\n  {problem}")?;
        }
        if self.more_violations > 0 {
            writeln!(f, "\n{} more of the same kinds", self.more_violations)?;
        }
        Ok(())
    }
}

/// Damages everything.
///
/// # Errors
/// If the subjects cannot be made.
pub fn run(plan: &Plan) -> Checked<Report> {
    /// So many at once, that threads need not meet often.
    const BATCH: usize = 64;
    let subjects = subjects()?;
    let mut report = Report::default();
    for subject in &subjects {
        let mut cases: Vec<Case> = damage::flips(subject, plan.every_bit, plan.seed)
            .into_iter()
            .step_by(plan.step)
            .collect();
        cases.extend(damage::blows(subject));
        let disk = subject.image.to_mem();
        let batches: Vec<&[Case]> = cases.chunks(BATCH).collect();
        let judged = pool::run(plan.threads, &batches, |batch| {
            batch.iter().map(|case| judge(subject, &disk, case)).collect::<Vec<_>>()
        });
        for (case, judged) in cases.iter().zip(judged.into_iter().flatten()) {
            report.add(subject.name, case, judged);
        }
    }
    Ok(report)
}
