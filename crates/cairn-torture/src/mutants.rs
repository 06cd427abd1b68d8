//! The command `mutants`: every sync of the engine, site by site, is made to do nothing, and a crash
//! must show that it is missed.
//!
//! It proves two things at once: that each sync is needed, and that the sweep would notice if one
//! were forgotten.

use std::fmt;

use cairn_io::SyncSite;
use cairn_sim::Op;

use crate::{
    figure::Figure,
    pool,
    problem::Problem,
    run::{Recording, record},
    script::Script,
    state_id::{Effort, RunId},
    sweep::{Sweep, Violation},
    without::{Place, Without},
    workload::WORKLOADS,
};

/// Sites that no crash state proves necessary, each with the reason why it stays all the same.
pub const JUSTIFIED: &[(&str, &str)] = &[];

/// All sites of the engine, and each of them apart at the places that are added to an environment: a data
/// directory, a new generation, a value file.
#[must_use]
pub fn syncs() -> Vec<Without> {
    let syncs = sites().into_iter();
    syncs
        .flat_map(|site| Place::ALL.into_iter().map(move |place| Without { site, place }))
        .collect()
}

fn sites() -> Vec<SyncSite> {
    let mut sites: Vec<_> =
        [cairn_env::SYNC_SITES, cairn_backup::SYNC_SITES].concat().into_iter().collect();
    sites.sort_unstable();
    sites.dedup();
    sites
}

/// What the removal of a site has led to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Mutant {
    /// The site, and where.
    pub without: Without,
    /// How many syncs of the workloads were removed with it.
    pub syncs: u64,
    /// How many states were held against the oracle.
    pub checked: u64,
    /// The first broken promise.
    pub proof: Option<Violation>,
}

impl Mutant {
    /// Why the site stays although nothing proves that it must.
    #[must_use]
    pub fn justification(&self) -> Option<&'static str> {
        let name = self.without.to_string();
        JUSTIFIED.iter().find(|(site, _)| *site == name).map(|(_, why)| *why)
    }

    /// Whether the site is proved necessary, or else justified, and not both.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.proof.is_some() != self.justification().is_some()
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { without, syncs, checked, proof } = self;
        write!(f, "{without:44}{syncs:>8}{checked:>9}  ")?;
        match (proof, self.justification()) {
            (Some(Violation { problem: Problem { wrong, .. }, state, .. }), stale) => {
                write!(f, "needed: {wrong}")?;
                if let Some(state) = state {
                    write!(f, " at {state}")?;
                }
                stale.map_or(Ok(()), |why| write!(f, "; BUT JUSTIFIED: {why}"))
            }
            (None, Some(why)) => write!(f, "kept: {why}"),
            (None, None) => write!(f, "NOT PROVED NECESSARY"),
        }
    }
}

/// All removals.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// One for each site.
    pub mutants: Vec<Mutant>,
    /// Runs that failed with all their syncs: nothing can be said before that is mended.
    pub broken: Vec<String>,
}

impl Report {
    /// Whether every site is proved necessary or justified.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.broken.is_empty() && self.mutants.iter().all(Mutant::is_good)
    }

    /// What counts toward goals.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let value = self.mutants.len() as u64;
        let unproved = self.mutants.iter().filter(|mutant| !mutant.is_good()).count() as u64;
        let wrong = unproved + self.broken.len() as u64;
        vec![Figure { goal: "G4", name: "syncs left out", value, wrong }]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:44}{:>8}{:>9}  without it", "sync site", "syncs", "states")?;
        self.mutants.iter().try_for_each(|mutant| writeln!(f, "{mutant}"))?;
        self.broken.iter().try_for_each(|broken| writeln!(f, "{broken}"))
    }
}

/// Removes each of `syncs` in turn from one round of all workloads. Places at which a site has no sync in
/// any of them are left out.
#[must_use]
pub fn run(syncs: &[Without], effort: Effort, seed: u64, threads: usize) -> Report {
    let jobs: Vec<(RunId, Script)> = WORKLOADS
        .iter()
        .flat_map(|workload| {
            (0..workload.runs_in_round as u64).map(move |run| {
                let id = RunId { workload: workload.name.to_owned(), seed: seed + run };
                (id, workload.script(seed + run))
            })
        })
        .collect();
    let recorded = pool::run(threads, &jobs, |(id, script)| {
        record(script).map_err(|problem| Violation::of_run(id.clone(), problem).to_string())
    });
    let mut report = Report::default();
    let mut runs = Vec::new();
    for ((id, script), recording) in jobs.into_iter().zip(recorded) {
        match recording {
            Ok(recording) => runs.push((id, script, recording)),
            Err(broken) => report.broken.push(broken),
        }
    }
    let has_any = |without: &&Without| {
        let is_there = |(_, _, recording): &(_, _, Recording)| syncs_of(**without, recording) > 0;
        without.place == Place::Anywhere || runs.iter().any(is_there)
    };
    let syncs: Vec<Without> = syncs.iter().filter(has_any).copied().collect();
    report.mutants = pool::run(threads, &syncs, |syncs| without(*syncs, &runs, effort));
    report
}

/// Looks for a crash that shows that a site is missed.
fn without(without: Without, runs: &[(RunId, Script, Recording)], effort: Effort) -> Mutant {
    let mut mutant = Mutant { without, syncs: 0, checked: 0, proof: None };
    // Where the workload itself has none of them, crashes of recovery still may.
    let mut ordered: Vec<_> = runs.iter().collect();
    ordered.sort_by_key(|(_, _, recording)| syncs_of(without, recording) == 0);
    if mutant.justification().is_some() {
        // Long searches are for sites of which it is not known that they are in vain.
        ordered.retain(|(_, _, recording)| syncs_of(without, recording) > 0);
    }
    for (id, script, recording) in ordered {
        mutant.syncs += syncs_of(without, recording);
        let sweep = Sweep::new(recording, id.clone(), script.settings.options(), effort);
        let outcome = sweep.without(without).run();
        mutant.checked += outcome.checked;
        mutant.proof = outcome.violations.into_iter().next();
        if mutant.proof.is_some() {
            break;
        }
    }
    mutant
}

fn syncs_of(without: Without, recording: &Recording) -> u64 {
    let entries = recording.lives.iter().flat_map(|life| life.trace.entries());
    let syncs = entries.filter(|entry| match entry.op() {
        Op::SyncFile { site, .. } | Op::SyncDir { site, .. } => without.has(*site, entry.path()),
        _ => false,
    });
    syncs.count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_justification_is_of_a_site_that_there_is() {
        let names: Vec<_> = syncs().iter().map(ToString::to_string).collect();
        for (site, why) in JUSTIFIED {
            assert!(names.iter().any(|name| name == site), "{site}: {why}");
        }
    }

    #[test]
    fn without_the_sync_of_commits_one_is_lost() {
        let commit = syncs().into_iter().find(|syncs| syncs.to_string() == "commit").unwrap();
        let report = run(&[commit], Effort::SMOKE, 1, 2);
        let proof = report.mutants[0].proof.as_ref().unwrap();
        assert_eq!(proof.problem.wrong, crate::problem::Wrong::LostCommit, "{report}");
    }
}
