//! `Report`: what became of all damage, by subject and kind.

use std::{collections::BTreeMap, fmt};

use super::Verdict;
use crate::{
    figure::Figure,
    problem::{Checked, Problem},
};

/// Damage that did not end as it must.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Violation {
    /// What was damaged.
    pub subject: &'static str,
    /// The row of the table.
    pub row: String,
    /// What was done to it.
    pub damage: String,
    /// What was wrong.
    pub problem: Problem,
    /// The command that does exactly this again.
    pub repeat: String,
}

/// What became of all damage.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    rows: BTreeMap<(&'static str, String), BTreeMap<Verdict, u64>>,
    /// How many damages there were.
    pub cases: u64,
    /// Broken promises; the first of each row.
    pub violations: Vec<Violation>,
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

    /// What counts toward a goal.
    #[must_use]
    pub fn figures(&self, goal: &'static str, name: &'static str) -> Vec<Figure> {
        let wrong = self.violations.len() as u64 + self.more_violations;
        vec![Figure { goal, name, value: self.cases, wrong }]
    }

    /// Counts one; `told` says what was done and how it is done again.
    pub(crate) fn add(
        &mut self,
        subject: &'static str,
        row: &str,
        judged: Checked<Verdict>,
        told: impl FnOnce() -> (String, String),
    ) {
        /// So many are printed of each row.
        const SHOWN: usize = 3;
        self.cases += 1;
        let counts = self.rows.entry((subject, row.to_owned())).or_default();
        let problem = match judged {
            Ok(verdict) => return *counts.entry(verdict).or_default() += 1,
            Err(problem) => problem,
        };
        let is_same = |other: &&Violation| {
            other.subject == subject && other.row == row && other.problem.wrong == problem.wrong
        };
        if self.violations.iter().filter(is_same).count() >= SHOWN {
            self.more_violations += 1;
        } else {
            let (damage, repeat) = told();
            self.violations.push(Violation {
                subject,
                row: row.to_owned(),
                damage,
                problem,
                repeat,
            });
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
        self.violations.iter().try_for_each(|violation| writeln!(f, "\n{violation}"))?;
        if self.more_violations > 0 {
            writeln!(f, "\n{} more of the same kinds", self.more_violations)?;
        }
        Ok(())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, row, damage, problem, repeat } = self;
        write!(f, "{subject}, {row}: {damage}\n  {problem}\n  again: {repeat}")
    }
}
