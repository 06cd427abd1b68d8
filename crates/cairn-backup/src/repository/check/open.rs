//! What is known of the points: the last level, proofs that are there, and those that a check makes.

use std::{collections::BTreeSet, time::Duration};

use cairn_log::Uuid;

use super::{Check, CheckLevel, CheckOptions};
use crate::{
    BackupError, BackupResult,
    repository::{ObjectName, ProveOptions},
};

impl Check<'_> {
    /// Whether proofs and drills are what they were, and the proofs of points that are there.
    pub(super) fn proofs(&mut self, environment: Uuid) -> BackupResult<()> {
        for name in self.repository.store.proof_names(environment)? {
            let ObjectName::Proof { point: number, .. } = name else { continue };
            let read = self.repository.store.proof(name);
            let Some(read) = self.note(read, &[number])? else { continue };
            if self.hashes.get(&(environment, number)).is_some_and(|hash| *hash != read.of) {
                let problem = format!("it is of a point with the hash {}", read.of);
                self.find(name, Some(0), problem, vec![number]);
            }
        }
        for name in self.repository.store.drill_names(environment)? {
            let ObjectName::Drill { point: number, .. } = name else { continue };
            let read = self.repository.store.drill(name);
            self.note(read, &[number])?;
        }
        Ok(())
    }

    /// Opens each point that is not known to be damaged.
    pub(super) fn open_all(&mut self, options: &CheckOptions<'_>) -> BackupResult<()> {
        let bad = self.bad();
        let points: Vec<_> = self.points.iter().map(|(at, point)| (*at, point.clone())).collect();
        for ((environment, number), point) in points {
            if bad.contains(&(environment, number)) {
                continue;
            }
            let object = ObjectName::Point { environment, number };
            let mut how = options.options.clone();
            if point.keyring.is_none() {
                // The key is for those points that are of an encrypted environment.
                (how.key, how.encryption) = (None, None);
            }
            let prove = ProveOptions::default().options(how).skip_record(true);
            match self.repository.prove_point(number, &point, &prove) {
                Ok(report) => {
                    for problem in report.findings {
                        self.find(object, None, problem, vec![number]);
                    }
                    self.opened.extend(report.proof.map(|proof| ((environment, number), proof)));
                }
                Err(BackupError::Env(error)) if error.kind() == cairn_env::ErrorKind::Corrupt => {
                    self.find(object, None, error.to_string(), vec![number]);
                }
                Err(error) => drop(self.note(Err::<(), _>(error), &[number])?),
            }
        }
        Ok(())
    }

    /// Stores a proof for each point with which nothing is wrong.
    pub(super) fn record(&self, took: Duration) -> BackupResult<()> {
        if self.level == CheckLevel::Present {
            return Ok(()); // that was so when it was stored
        }
        let bad = self.bad();
        let is_seen = |at| self.points.get(at).is_some_and(|of| self.chosen.has_all_of(of));
        let good = self.hashes.iter().filter(|(at, _)| !bad.contains(at) && is_seen(at));
        for (at, of) in good {
            let made = || self.repository.proof(self.level, took);
            let proof = self.opened.get(at).cloned().unwrap_or_else(made);
            self.repository.store.put_proof(at.0, at.1, *of, &proof)?;
        }
        Ok(())
    }

    /// The points with which something is wrong.
    pub(super) fn bad(&self) -> BTreeSet<(Uuid, u64)> {
        let findings = self.report.findings.iter();
        let of = |object: &ObjectName| object.folder().of();
        let points = findings.filter_map(|finding| Some((of(&finding.object)?, &finding.points)));
        points.flat_map(|(of, points)| points.iter().map(move |point| (of, *point))).collect()
    }
}
