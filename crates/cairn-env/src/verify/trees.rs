//! The trees: every node and large value, and what trees, names and account say of each other.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use cairn_btree::{FrozenRoot, Problem, Reached, Tally, TreeDigest, TreeId, check};
use cairn_log::{FileNumber, LogError, Lsn};

use super::{Finding, Reach, VerifyOptions, VerifyReport, indexes, log::Spots};
use crate::{
    EnvError, EnvResult, Snapshot,
    core::Core,
    database::NAMES,
    environment::Open,
    error::tree_kind,
    sync::lock,
    utilization::{Utilization, take_back},
};

/// Walks all trees, and ends the list of what is wrong with the log: it tells what of that is needed.
pub(super) fn verify(
    core: &Arc<Open>,
    options: &VerifyOptions<'_>,
    spots: &mut Spots,
    report: &mut VerifyReport,
) -> EnvResult<()> {
    let root = core.freeze_latest()?;
    let _kept = core.keep_version(&root);
    report.commit = root.sequence();
    let names = Names::read(core, &root);
    // Before the walk: a checkpoint that ends during it counts nodes that had no place yet.
    let account = account(core, root.generation());
    let (mut reached, mut values, mut unread) = (Vec::new(), 0, None);
    let checked = check(&root, &mut |what| match what {
        Reached::Node { tree, lsn, base, lower, upper, .. } => {
            for lsn in [lsn, base].into_iter().flatten() {
                let Some(spot) = spots.need(lsn) else { continue };
                let keys = (lower.to_vec(), upper.map(<[u8]>::to_vec));
                let problem = spot.error.to_string();
                reached.push(names.finding(core, Some(lsn), tree, keys, problem, Reach::Memory));
            }
        }
        Reached::Value { tree, key, pointer } => {
            let lsn = Lsn::from_raw(pointer.lsn);
            // What is damaged anyway is read, also if nobody asked: some of it may be whole.
            if options.skip_values && lsn.is_none_or(|lsn| spots.need(lsn).is_none()) {
                return;
            }
            values += 1;
            if let Err(error) = core.read_large_value(pointer) {
                lsn.and_then(|lsn| spots.need(lsn));
                let keys = (key.to_vec(), Some([key, &[0]].concat()));
                let problem = error.to_string();
                reached.push(names.finding(core, lsn, tree, keys, problem, Reach::Keys));
                unread = unread.take().or(Some(error));
            }
        }
    });
    unread.iter().chain(&names.problem).for_each(|error| report.note(error));
    report.values += values;
    report.databases = names.names.len() as u64;
    // The names of the databases are entries too, of a tree that nobody has asked for.
    report.nodes = checked.nodes;
    report.entries = checked.entries.saturating_sub(report.databases);
    let mut all_reached = names.problem.is_none();
    for finding in checked.findings {
        if let Problem::Unreadable(error) = &finding.problem {
            report.note_kind(tree_kind(error));
            finding.lsn.and_then(|lsn| spots.need(lsn));
            all_reached = false;
        }
        reached.push(names.finding_of(core, finding));
    }
    let rest = if all_reached { Reach::Nothing } else { Reach::Unknown };
    report.findings.extend(std::mem::take(spots).findings(rest));
    report.findings.extend(names.problem.iter().map(|problem| Finding {
        file: None,
        offset: None,
        database: Some("(names)".into()),
        keys: None,
        problem: problem.to_string(),
        reach: Reach::Keys,
    }));
    report.findings.append(&mut reached);
    if all_reached {
        names.compare(&root, report)?;
        indexes::verify(core, &root, report);
        if let Some(account) = &account {
            if account.is_of_now() {
                verify_account(core, &account.kept, &checked.reachable, report);
            }
            verify_digest(core, account, checked.digest, report);
        }
    }
    Ok(())
}

/// The names of databases, by their trees.
pub(crate) struct Names {
    names: BTreeMap<TreeId, String>,
    /// Why there may be others.
    problem: Option<EnvError>,
}

impl Names {
    pub(crate) fn read(core: &Arc<Open>, root: &Arc<FrozenRoot>) -> Self {
        match Snapshot::new(core.follow(), Arc::clone(root)).databases() {
            Ok(databases) => {
                let named = databases.iter().map(|one| (one.tree, one.name().to_owned()));
                Self { names: named.collect(), problem: None }
            }
            Err(error) => Self { names: BTreeMap::new(), problem: Some(error) },
        }
    }

    /// The databases.
    pub(crate) fn all(&self) -> impl Iterator<Item = (TreeId, &str)> {
        self.names.iter().map(|(tree, name)| (*tree, &**name))
    }

    fn of(&self, tree: TreeId) -> String {
        match self.names.get(&tree) {
            Some(name) => name.clone(),
            None if tree.0 == 0 => "(catalogue)".into(),
            None if tree == NAMES => "(names)".into(),
            None if tree.is_grave() => "(dropped)".into(),
            None => format!("(tree {})", tree.0),
        }
    }

    /// What a walk has found.
    pub(crate) fn finding_of(&self, core: &Core, finding: cairn_btree::Finding) -> Finding {
        let (problem, reach) = match finding.problem {
            Problem::Unreadable(error) => (error.to_string(), Reach::Keys),
            Problem::Order => ("the keys of a node are out of order".into(), Reach::Keys),
            Problem::Count { stated, found } => {
                (format!("the catalogue says {stated} entries, {found} are there"), Reach::Nothing)
            }
            problem => (format!("{problem:?}"), Reach::Unknown),
        };
        let keys = (finding.lower, finding.upper);
        self.finding(core, finding.lsn, finding.tree, keys, problem, reach)
    }

    fn finding(
        &self,
        core: &Core,
        lsn: Option<Lsn>,
        tree: TreeId,
        keys: (Vec<u8>, Option<Vec<u8>>),
        problem: String,
        reach: Reach,
    ) -> Finding {
        let file = lsn.map(|lsn| match core.files.find(lsn.file()) {
            Some(file) => file.name().to_string(),
            None => format!("file {}", lsn.file()),
        });
        let (offset, database) = (lsn.map(Lsn::offset), Some(self.of(tree)));
        Finding { file, offset, database, keys: Some(keys), problem, reach }
    }

    /// Each name must lead to a tree, and each tree have a name.
    fn compare(&self, root: &Arc<FrozenRoot>, report: &mut VerifyReport) -> EnvResult<()> {
        let trees = root.trees()?;
        let is_named =
            |tree: &TreeId| *tree == NAMES || tree.is_grave() || self.names.contains_key(tree);
        let lost = trees.iter().filter(|tree| !is_named(tree));
        let lost = lost.map(|tree| (self.of(*tree), "the tree has no name", Reach::Keys));
        let empty = self.names.iter().filter(|(tree, _)| !trees.contains(tree));
        let empty = empty.map(|(_, name)| (name.clone(), "the name has no tree", Reach::Keys));
        report.findings.extend(lost.chain(empty).map(|(database, problem, reach)| Finding {
            file: None,
            offset: None,
            database: Some(database),
            keys: Some((Vec::new(), None)),
            problem: problem.into(),
            reach,
        }));
        Ok(())
    }
}

/// The account of the newest checkpoint, and what has come and gone since.
struct Account {
    kept: Utilization,
    /// The gen of the checkpoint, if that is the version which is verified.
    cut: Option<u64>,
    since: Vec<Tally>,
}

impl Account {
    /// Whether it is that of the version which is verified.
    const fn is_of_now(&self) -> bool {
        self.cut.is_some()
    }
}

/// The account, if the newest checkpoint is of this very version, or nothing can be written: then what was replayed
/// over it is known to the last node, and stays so.
fn account(core: &Core, generation: u64) -> Option<Account> {
    let checkpointer = lock(&core.checkpointer);
    checkpointer.newest.as_ref()?;
    let cut = checkpointer.cut.filter(|cut| *cut == generation);
    let is_still = core.options.read_only && !core.has_advanced.load(Ordering::Acquire);
    if cut.is_none() && !is_still {
        return None;
    }
    let since = if cut.is_some() { Vec::new() } else { core.forest.pending(generation) };
    Some(Account { kept: checkpointer.utilization.clone(), cut, since })
}

/// Compares the nodes that the walk has come to with those of which the checkpoint says that its trees consist.
fn verify_digest(core: &Core, account: &Account, mut found: TreeDigest, report: &mut VerifyReport) {
    take_back(&mut found, &account.since);
    report.tree_digest = Some(found);
    match account.kept.digest {
        Some(said) if said != found => {
            let problem = format!(
                "the trees have the tree digest {found}, the newest checkpoint says {said}: \
                 a node is not the one that was written for it"
            );
            report.findings.push(Finding::of_file("(checkpoint)", None, problem, Reach::Unknown));
        }
        Some(_) => {}
        // Of a version that did not say: from now on it is known.
        None => {
            let mut checkpointer = lock(&core.checkpointer);
            if account.is_of_now() && checkpointer.cut == account.cut {
                checkpointer.utilization.digest = Some(found);
            }
        }
    }
}

/// Compares the account of reachable bytes with what the walk has reached.
fn verify_account(
    core: &Core,
    account: &Utilization,
    reachable: &BTreeMap<FileNumber, u64>,
    report: &mut VerifyReport,
) {
    let name_of = |number: FileNumber| match core.files.find(number) {
        Some(file) => file.name().to_string(),
        None => format!("file {number}"),
    };
    for (number, file) in &account.files {
        let reached = reachable.get(number).copied().unwrap_or(0);
        if u64::try_from(file.live).ok() != Some(reached) {
            let problem = format!(
                "file {number} is accounted with {} reachable bytes, {reached} are reachable",
                file.live
            );
            report.findings.push(Finding::of_file(name_of(*number), None, problem, Reach::Nothing));
        }
    }
    for number in reachable.keys().filter(|number| !account.files.contains_key(*number)) {
        let error = LogError::MissingFile { file: *number };
        let problem = format!("reachable, but not accounted: {error}");
        report.findings.push(Finding::of_file(name_of(*number), None, problem, Reach::Unknown));
    }
}
