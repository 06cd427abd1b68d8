//! The command `mutants`: every sync of the engine, site by site, is made to do nothing, and a crash
//! must show that it is missed.
//!
//! It proves two things at once: that each sync is needed, and that the sweep would notice if one
//! were forgotten.

mod known;

use std::{collections::BTreeMap, fmt};

pub use known::Known;

use cairn_io::SyncSite;
use cairn_sim::Op;

use crate::{
    figure::Figure,
    pool,
    problem::{Checked, Problem},
    run::{Recording, record},
    script::Script,
    state_id::{Effort, RunId},
    stores::{self, Swept},
    sweep::{Sweep, Violation},
    without::{Place, Without},
    workload::{WORKLOADS, Workload},
};

/// Sites that no crash state proves necessary, each with the reason why it stays all the same.
pub const JUSTIFIED: &[(&str, &str)] = &[(
    "generation.gone",
    "what was forgotten would be back, which nobody sees who opens the environment; the test \
     `each_sync_of_a_restore_in_place_is_needed` of cairn-backup does",
)];

/// All sites of the engine, and each of them apart at the places that are added to an environment: a data
/// directory, a new generation, a value file. Then those of stores, which have no such places.
#[must_use]
pub fn syncs() -> Vec<Without> {
    let syncs = sites().into_iter();
    let of_stores =
        stores::sites().into_iter().map(|site| Without { site, place: Place::Anywhere });
    syncs
        .flat_map(|site| Place::ALL.into_iter().map(move |place| Without { site, place }))
        .chain(of_stores)
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

    /// Adds what a further round has found.
    fn take_in(&mut self, further: Self) {
        self.broken.extend(further.broken);
        for found in further.mutants {
            let mine = self.mutants.iter_mut().find(|mutant| mutant.without == found.without);
            if let Some(mutant) = mine {
                let (syncs, checked) = (mutant.syncs + found.syncs, mutant.checked + found.checked);
                *mutant = Mutant { syncs, checked, ..found };
            }
        }
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

/// Rounds of all workloads, at most, that are looked through for a sync which the earlier ones do not prove necessary.
const ROUNDS: u64 = 8;
/// How far apart their seeds are: further than any workload has runs in a round.
const STRIDE: u64 = 0x20;

/// Removes each of `syncs` in turn from a round of all workloads, and from further ones as long as nothing shows that
/// it is needed; those of stores from what a store does. Places at which a site has no sync in any of them are left out.
#[must_use]
pub fn run(syncs: &[Without], effort: Effort, seed: u64, threads: usize) -> Report {
    let mut report = one_round(syncs, effort, seed, threads);
    for round in 1..ROUNDS {
        let open = report.mutants.iter().filter(|mutant| !mutant.is_good());
        let open: Vec<Without> = open.map(|mutant| mutant.without).collect();
        if open.is_empty() {
            break;
        }
        report.take_in(one_round(&open, effort, seed + round * STRIDE, threads));
    }
    report
}

fn one_round(syncs: &[Without], effort: Effort, seed: u64, threads: usize) -> Report {
    let (of_stores, syncs): (Vec<Without>, Vec<Without>) =
        syncs.iter().partition(|syncs| stores::sites().contains(&syncs.site));
    let mut report = match syncs.is_empty() {
        true => Report::default(),
        false => in_workloads(&syncs, effort, seed, threads),
    };
    let swept = pool::run(threads, &of_stores, |syncs| in_stores(*syncs));
    for result in swept {
        match result {
            Ok(mutant) => report.mutants.push(mutant),
            Err(problem) => report.broken.push(problem.to_string()),
        }
    }
    report
}

/// Looks for a crash of a store that shows that a site is missed.
fn in_stores(without: Without) -> Checked<Mutant> {
    let Swept { syncs, checked, problem } = stores::sweep(Some(without.site))?;
    let run = RunId { workload: "stores".into(), seed: 0 };
    let proof = problem.map(|problem| Violation::of_run(run, problem));
    Ok(Mutant { without, syncs, checked, proof })
}

fn in_workloads(syncs: &[Without], effort: Effort, seed: u64, threads: usize) -> Report {
    let ids = WORKLOADS.iter().flat_map(|workload| {
        (0..workload.runs_in_round as u64).map(move |run| RunId::of(workload, seed + run))
    });
    let (runs, broken) = recorded(ids.collect(), threads);
    let syncs: Vec<Without> =
        syncs.iter().filter(|syncs| is_any(**syncs, &runs)).copied().collect();
    let mutants = pool::run(threads, &syncs, |syncs| without(*syncs, &runs, effort));
    Report { mutants, broken }
}

/// The same, looking first where `known` says that they were missed before.
#[must_use]
pub fn run_known(
    syncs: &[Without],
    known: &Known,
    effort: Effort,
    seed: u64,
    threads: usize,
) -> Report {
    let states = || syncs.iter().filter_map(|syncs| known.state(*syncs));
    let mut ids: Vec<RunId> = states().map(|state| state.run.clone()).collect();
    ids.sort_by_key(ToString::to_string);
    ids.dedup();
    let (runs, broken) = recorded(ids, threads);
    let looked = pool::run(threads, syncs, |syncs| where_known(*syncs, known, &runs));
    let mut found: BTreeMap<Without, Mutant> =
        looked.into_iter().flatten().map(|mutant| (mutant.without, mutant)).collect();
    // A place that the list does not have may be one that no workload goes to.
    let is_open = |syncs: &&Without| {
        !found.contains_key(syncs) && (known.state(**syncs).is_some() || is_any(**syncs, &runs))
    };
    let open: Vec<Without> = syncs.iter().filter(is_open).copied().collect();
    let mut report = Report { broken, ..Report::default() };
    if !open.is_empty() {
        let everywhere = one_round(&open, effort, seed, threads);
        report.broken.extend(everywhere.broken);
        found.extend(everywhere.mutants.into_iter().map(|mutant| (mutant.without, mutant)));
    }
    report.mutants = syncs.iter().filter_map(|syncs| found.remove(syncs)).collect();
    report
}

/// A run with what it did to the disks.
type Recorded = (RunId, Script, Recording);

/// Carries runs out; those that fail although nothing is wrong with the disk come second.
fn recorded(ids: Vec<RunId>, threads: usize) -> (Vec<Recorded>, Vec<String>) {
    let script = |id: RunId| Some((Workload::find(&id.workload)?.script(id.seed), id));
    let jobs: Vec<(Script, RunId)> = ids.into_iter().filter_map(script).collect();
    let recorded = pool::run(threads, &jobs, |(script, id)| {
        record(script).map_err(|problem| Violation::of_run(id.clone(), problem).to_string())
    });
    let (mut runs, mut broken) = (Vec::new(), Vec::new());
    for ((script, id), recording) in jobs.into_iter().zip(recorded) {
        match recording {
            Ok(recording) => runs.push((id, script, recording)),
            Err(told) => broken.push(told),
        }
    }
    (runs, broken)
}

/// Whether any of the runs has these syncs, or may have them in crashes of recovery.
fn is_any(without: Without, runs: &[Recorded]) -> bool {
    let is_there = |(_, _, recording): &Recorded| syncs_of(without, recording) > 0;
    without.place == Place::Anywhere || runs.iter().any(is_there)
}

/// Looks for a crash where one was found before; `None`: there is none now.
fn where_known(without: Without, known: &Known, runs: &[Recorded]) -> Option<Mutant> {
    let state = known.state(without)?;
    let (id, script, recording) = runs.iter().find(|(id, ..)| *id == state.run)?;
    let sweep = Sweep::new(recording, id.clone(), script.settings.options(), state.effort);
    let outcome = sweep.without(without).near(state).run();
    let proof = Some(outcome.violations.into_iter().next()?);
    let syncs = syncs_of(without, recording);
    Some(Mutant { without, syncs, checked: outcome.checked, proof })
}

/// Looks for a crash that shows that a site is missed.
fn without(without: Without, runs: &[Recorded], effort: Effort) -> Mutant {
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
