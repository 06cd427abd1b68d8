//! All crashes of a store that is written, backed up and restored; with all syncs, or without those of a site.

use std::collections::{BTreeMap, BTreeSet};

use cairn_env::VerifyOptions;
use cairn_io::{DirRef, SyncSite};
use cairn_kv::{Entry, KvError, KvStore, Query};
use cairn_sim::{Bounds, Level, Op, SimDisk, SimWorld};

use super::{Entries, entries, open_environment, open_store, person, prepare};
use crate::problem::{Checked, Problem, Wrong, caught};

/// What there is after a step: the entries, and of each backup the entries that it has.
#[derive(Clone, Debug, Default, PartialEq)]
struct State {
    entries: Entries,
    backups: BTreeMap<String, Entries>,
}

/// What was looked at.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    /// Syncs that were left out.
    pub(crate) syncs: u64,
    /// States that were held against what was known.
    pub(crate) checked: u64,
    /// The first broken promise.
    pub(crate) problem: Option<Problem>,
}

/// Looks at what each crash may leave, as if the disk had said `Ok` to the syncs of `without` and done nothing.
///
/// # Errors
/// If the run itself fails.
pub(crate) fn sweep(without: Option<SyncSite>) -> Checked<Swept> {
    let disk = SimDisk::new();
    let states = run(&disk).map_err(|error| Problem::new(Wrong::Run, error))?;
    let all = disk.trace();
    let is_of_site = |site: SyncSite| without == Some(site);
    let removed = all.entries().filter(|entry| match entry.op() {
        Op::SyncFile { site, .. } | Op::SyncDir { site, .. } => is_of_site(*site),
        _ => false,
    });
    let mut swept = Swept { syncs: removed.count() as u64, ..Swept::default() };
    let trace = all.without_syncs(|site, _| is_of_site(site));
    let (mut cuts, mut seen) = (trace.cuts(), BTreeSet::new());
    while let Some(cut) = cuts.next_cut() {
        let Some(step) = cut.mark("step").and_then(|step| usize::try_from(step).ok()) else {
            continue;
        };
        let may_be = &states[step..states.len().min(step + 2)];
        for level in Level::ALL {
            for crashed in cut.crash().images(level, &Bounds::smoke()) {
                if !seen.insert((crashed.image.hash(), step)) {
                    continue;
                }
                swept.checked += 1;
                let looked = caught(|| look(&crashed.image.to_mem().root(), may_be));
                if let Err(Problem { wrong, story }) = looked {
                    let place = format!("cut {}, step {step}, {crashed}", cut.position());
                    swept.problem = Some(Problem { wrong, story: format!("{place}: {story}") });
                    return Ok(swept);
                }
            }
        }
    }
    Ok(swept)
}

/// A call.
type Step<'s> = &'s dyn Fn() -> Result<(), KvError>;

/// What a store does, with what there is after each call, and the backup that it has made or deleted.
fn run(disk: &SimDisk) -> Result<Vec<State>, KvError> {
    let (root, world) = (disk.root(), SimWorld::new(7).world());
    prepare(&root)?;
    let env = open_environment(&root, &world)?;
    let store = open_store(&env)?;
    let mut states = vec![State::default()];
    let old = |n: i32| person(Some(n), None);
    let steps: [(Step<'_>, Option<&str>); 10] = [
        (&|| store.put_batch((0..4).map(|n| Entry::new(format!("k{n}"), old(n % 2)))), None),
        (&|| store.backup("one").map(drop), Some("one")),
        (&|| store.put("k0", old(7)), None),
        (&|| store.backup("two").map(drop), Some("two")),
        (&|| store.restore("one").map(drop), None),
        (&|| store.put("k9", old(1)), None),
        (&|| store.backup("one").map(drop), Some("one")), // over the one before
        (&|| store.restore("two").map(drop), None),
        (&|| store.delete_backup(["two"]).map(drop), Some("two")),
        (&|| store.delete("k2"), None),
    ];
    disk.mark("step", 0);
    for (step, backup) in steps {
        step()?;
        let mut state = states.last().cloned().unwrap_or_default();
        state.entries = entries(&store)?;
        if let Some(name) = backup {
            let is_there = store.backups()?.iter().any(|listed| listed.name == name);
            match is_there {
                true => drop(state.backups.insert(name.into(), state.entries.clone())),
                false => drop(state.backups.remove(name)),
            }
        }
        states.push(state);
        disk.mark("step", states.len() as u64 - 1);
    }
    drop(store);
    env.close()?;
    Ok(states)
}

/// Opens what a crash has left: the entries and the backups must be those of one of these states.
fn look(root: &DirRef, may_be: &[State]) -> Checked<()> {
    let refused = |error: KvError| Problem::new(Wrong::Refused, error);
    let env = open_environment(root, &SimWorld::new(9).world()).map_err(refused)?;
    let store = open_store(&env).map_err(refused)?;
    let found = entries(&store).map_err(refused)?;
    if may_be.iter().all(|state| state.entries != found) {
        let story = format!("{found:?} is none of {may_be:?}");
        return Err(Problem::new(Wrong::Content, story));
    }
    let by_index = store.get_result_size(Query::new().equal_to("$.age", 1)).map_err(refused)?;
    let of_age = |value: &&cairn_kv::Value| value.as_str() == Some(&person(Some(1), None));
    if found.values().filter(of_age).count() as u64 != by_index {
        return Err(Problem::new(Wrong::Content, "the index does not agree with the entries"));
    }
    let backups = restored(&store)?;
    if may_be.iter().all(|state| state.backups != backups) {
        let story = format!("backups {backups:?} are none of {may_be:?}");
        return Err(Problem::new(Wrong::Backup, story));
    }
    store.backup("after").map_err(refused)?; // and it goes on
    store.put("after", person(Some(7), None)).map_err(refused)?;
    let report = env.verify(&VerifyOptions::default());
    let report = report.map_err(|error| Problem::new(Wrong::Refused, error))?;
    match report.findings.is_empty() {
        true => Ok(()),
        false => Err(Problem::new(Wrong::Finding, format!("{report:?}"))),
    }
}

/// The entries of each backup that is listed.
fn restored(store: &KvStore) -> Checked<BTreeMap<String, Entries>> {
    let broken = |error: KvError| Problem::new(Wrong::Backup, error);
    let mut backups = BTreeMap::new();
    for listed in store.backups().map_err(broken)? {
        let backup = listed.state.map_err(broken)?;
        store.restore(&backup.name).map_err(broken)?;
        backups.insert(backup.name, entries(store).map_err(broken)?);
    }
    Ok(backups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_all_syncs_nothing_is_lost() {
        let swept = sweep(None).unwrap();
        assert_eq!((swept.problem, swept.syncs), (None, 0));
        assert!(swept.checked > 500, "{} states", swept.checked);
    }

    #[test]
    fn without_any_sync_of_stores_a_backup_is_lost() {
        for site in super::super::sites() {
            let swept = sweep(Some(site)).unwrap();
            assert!(swept.syncs > 0, "{site}");
            let problem = swept.problem.unwrap_or_else(|| panic!("{site} is not needed"));
            assert_eq!(problem.wrong, Wrong::Backup, "{site}: {problem}");
        }
    }
}
