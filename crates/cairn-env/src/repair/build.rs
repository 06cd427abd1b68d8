//! Writing what was found to the new environment.

use std::collections::{BTreeMap, BTreeSet};

use cairn_btree::{TreeId, ValueRef};
use cairn_log::Lsn;

use super::{
    Missing, RepairReport, journal::Commits, pieces::Pieces, source::Source, trees::Trees,
};
use crate::{
    Database, DatabaseOptions, Durability, EnvResult, Environment, Transaction,
    commit::Op,
    database::{MAX_NAME_LEN, NAMES},
    descriptor::Descriptor,
    recovery::FIRST_USER_TREE,
};

/// The databases of the source.
#[derive(Default)]
pub(crate) struct Names {
    databases: BTreeMap<TreeId, Database>,
    /// The commit as of which each of these is known to have its name.
    as_of: BTreeMap<TreeId, u64>,
    /// Trees with content that no name was found for.
    nameless: BTreeSet<TreeId>,
}

impl Names {
    pub(crate) fn trees(&self) -> impl Iterator<Item = TreeId> {
        self.databases.keys().chain(&self.nameless).copied()
    }

    pub(crate) fn has(&self, tree: TreeId) -> bool {
        self.databases.contains_key(&tree) || self.nameless.contains(&tree)
    }

    /// The database that a tree is, if its name is known.
    pub(crate) fn database(&self, tree: TreeId) -> Option<&Database> {
        self.databases.get(&tree)
    }

    /// The databases that are known to have had their names as of a commit before this one, and that commit. At
    /// another commit since, the name may have been given to another tree.
    pub(crate) fn known_before(&self, commit: u64) -> impl Iterator<Item = (&str, u64)> {
        let as_of = self.as_of.iter().filter(move |(_, as_of)| **as_of < commit);
        as_of.filter_map(|(tree, as_of)| Some((self.databases.get(tree)?.name(), *as_of)))
    }

    /// What a tree is called in the repaired environment.
    pub(crate) fn shown(&self, tree: TreeId) -> String {
        match self.databases.get(&tree) {
            Some(database) => database.name().to_owned(),
            None if tree == NAMES => "(the names of databases)".into(),
            None => self.new_name(tree),
        }
    }

    fn new_name(&self, tree: TreeId) -> String {
        let mut name = format!("recovered-tree-{}", tree.0);
        while self.databases.values().any(|database| database.name() == name) {
            name.push('x');
        }
        name
    }
}

/// Finds out which databases there were.
pub(crate) fn names(
    source: &Source,
    commits: &Commits,
    trees: &Trees,
    report: &mut RepairReport,
) -> EnvResult<Names> {
    let mut entries = BTreeMap::new();
    let mut used = BTreeSet::new();
    let base = trees.trees.get(&NAMES);
    each_entry(source, trees, NAMES, &mut |key, value| {
        if let ValueRef::Inline(value) = value {
            let as_of = base.map_or(0, |pieces| pieces.commit_of(&key));
            entries.insert(key, (value.to_vec(), as_of));
        }
        Ok(())
    })?;
    for (tree, pieces) in &trees.trees {
        if pieces.iter().any(|piece| piece.leaf.is_some()) {
            used.insert(*tree);
        }
    }
    commits.replay(&mut |change, mut decoder| {
        while let Ok(Some(op)) = decoder.next() {
            let is_new = |key| base.is_none_or(|pieces| change.counts_after(pieces.commit_of(key)));
            match op {
                Op::Put { tree: NAMES, key, value } if is_new(key) => {
                    entries.insert(key.to_vec(), (value.to_vec(), change.sequence));
                }
                Op::Delete { tree: NAMES, key } if is_new(key) => {
                    entries.remove(key);
                }
                Op::Put { tree, .. } | Op::PutLarge { tree, .. } => {
                    used.insert(tree);
                }
                Op::Drop { tree } => drop(used.remove(&tree)),
                Op::Create { .. } | Op::Delete { .. } | Op::Mark { .. } => {}
            }
        }
        Ok(())
    })?;
    let mut names = Names::default();
    for (name, (descriptor, as_of)) in entries {
        let text = String::from_utf8(name).ok().filter(|name| name.len() <= MAX_NAME_LEN);
        match text.map(|text| Descriptor::decode(&text, &descriptor)) {
            Some(Ok(Descriptor { database, index: Some(_) })) => {
                report.note(format!(
                    "index {:?} is left out: it is built again when it is asked for",
                    database.name()
                ));
                used.remove(&database.tree);
            }
            Some(Ok(Descriptor { database, index: None })) => {
                names.as_of.insert(database.tree, as_of);
                names.databases.insert(database.tree, database);
            }
            Some(Err(error)) => report.note(error.to_string()),
            None => report.note("the name of a database is no text, and was left out"),
        }
    }
    // Where all names are known up to the newest commit, a tree that had content by then and has no name was
    // dropped. One that only leaves of later commits know of was made by one that is lost.
    let are_known = trees.state_of(NAMES) >= commits.complete_from();
    let is_of_lost = |tree: &TreeId| {
        let pieces = trees.trees.get(tree).into_iter().flat_map(Pieces::iter);
        let leaves = pieces.filter(|piece| piece.leaf.is_some());
        leaves.map(|leaf| leaf.commit).min().is_some_and(|first| first > commits.newest)
    };
    used.retain(|tree| {
        tree.0 >= FIRST_USER_TREE
            && !names.databases.contains_key(tree)
            && (!are_known || is_of_lost(tree))
    });
    if !(are_known && commits.is_end_known) {
        names.nameless = used;
    }
    Ok(names)
}

/// Writes all entries and replays the commits over them.
pub(crate) fn fill(
    env: &Environment,
    source: &Source,
    commits: &Commits,
    trees: &Trees,
    names: Names,
    report: &mut RepairReport,
) -> EnvResult<()> {
    let mut writer = Writer::new(env);
    for tree in names.trees() {
        let known = names.databases.get(&tree);
        let name = names.shown(tree);
        writer.create(tree, &name, known)?;
        if known.is_none() {
            report.missing.push(Missing::Name { database: name });
        }
    }
    let mut lost: BTreeMap<(TreeId, Vec<u8>), String> = BTreeMap::new();
    for tree in names.trees() {
        each_entry(source, trees, tree, &mut |key, value| match value {
            ValueRef::Inline(value) => writer.put(tree, &key, value),
            ValueRef::Pointer(pointer) => {
                match large_value(source, pointer.lsn, pointer.len, pointer.crc) {
                    Ok(value) => writer.put(tree, &key, &value),
                    Err(why) => {
                        lost.insert((tree, key), why);
                        Ok(())
                    }
                }
            }
        })?;
        report.leaves += trees.trees.get(&tree).map_or(0, |pieces| pieces.iter().count() as u64);
    }
    let (mut replayed, mut last) = (0, 0);
    let mut marks = Vec::new();
    commits.replay(&mut |change, mut decoder| {
        let mut applied = false;
        while let Ok(Some(op)) = decoder.next() {
            let (tree, key, value) = match op {
                Op::Put { tree, key, value } | Op::PutLarge { tree, key, value, .. } => {
                    (tree, key, Some(value))
                }
                Op::Delete { tree, key } => (tree, key, None),
                Op::Mark { label } => {
                    marks.push((label.to_owned(), change.sequence));
                    continue;
                }
                // A tree is made and dropped together with its name.
                Op::Create { .. } | Op::Drop { .. } => continue,
            };
            let base = trees.trees.get(&tree);
            if base.is_some_and(|pieces| !change.counts_after(pieces.commit_of(key))) {
                continue;
            }
            applied = true;
            lost.remove(&(tree, key.to_vec()));
            match value {
                Some(value) => writer.put(tree, key, value)?,
                None => writer.delete(tree, key)?,
            }
        }
        if applied && change.sequence != last {
            (replayed, last) = (replayed + 1, change.sequence);
        }
        Ok(())
    })?;
    writer.commit()?;
    report.replayed_commits = replayed;
    for (label, commit) in marks {
        // What it names is a commit of another history.
        report.note(format!("mark {label:?}, commit {commit}, is gone: commits are numbered anew"));
    }
    for ((tree, key), why) in lost {
        report.missing.push(Missing::Value { database: names.shown(tree), key, why });
    }
    Ok(())
}

/// Calls `each` with every entry of a tree as its leaves have it.
fn each_entry(
    source: &Source,
    trees: &Trees,
    tree: TreeId,
    each: &mut dyn FnMut(Vec<u8>, ValueRef<'_>) -> EnvResult<()>,
) -> EnvResult<()> {
    let Some(pieces) = trees.trees.get(&tree) else { return Ok(()) };
    for piece in pieces.iter() {
        let Some(leaf) = piece.leaf else { continue };
        let node = source.node(leaf)?;
        for (key, value) in node.entries() {
            let is_inside = key >= piece.lower && piece.upper.as_ref().is_none_or(|end| key < *end);
            if is_inside {
                each(key, value)?;
            }
        }
    }
    Ok(())
}

/// Reads a large value; what is wrong with it if that fails.
pub(crate) fn large_value(
    source: &Source,
    lsn: u64,
    len: u32,
    crc: u32,
) -> Result<Vec<u8>, String> {
    let lsn = Lsn::from_raw(lsn).ok_or("it has no position")?;
    let file = source.file_of_value(lsn.file()).map_err(|error| error.to_string())?;
    let value = file.read_value(lsn.offset(), len as usize, crc, false);
    value.map(|bytes| bytes.to_vec()).map_err(|error| error.to_string())
}

/// Writes in transactions of a handy size.
pub(crate) struct Writer<'a> {
    env: &'a Environment,
    databases: BTreeMap<TreeId, Database>,
    txn: Option<Transaction>,
    bytes: usize,
}

impl<'a> Writer<'a> {
    pub(crate) const fn new(env: &'a Environment) -> Self {
        Self { env, databases: BTreeMap::new(), txn: None, bytes: 0 }
    }

    /// Creates the database that takes the entries of a tree: as it was, if that is known.
    pub(crate) fn create(
        &mut self,
        tree: TreeId,
        name: &str,
        known: Option<&Database>,
    ) -> EnvResult<()> {
        let options = known.map_or_else(DatabaseOptions::default, |database| {
            DatabaseOptions::default().embed_max(database.embed_max).kind(database.kind)
        });
        self.databases.insert(tree, self.env.database(name, options)?);
        Ok(())
    }

    pub(crate) fn put(&mut self, tree: TreeId, key: &[u8], value: &[u8]) -> EnvResult<()> {
        self.change(tree, key.len() + value.len(), |txn, database| {
            txn.set(database, key, Some(value.to_vec()))
        })
    }

    fn delete(&mut self, tree: TreeId, key: &[u8]) -> EnvResult<()> {
        self.change(tree, key.len(), |txn, database| txn.set(database, key, None))
    }

    fn change(
        &mut self,
        tree: TreeId,
        bytes: usize,
        change: impl FnOnce(&mut Transaction, &Database) -> EnvResult<()>,
    ) -> EnvResult<()> {
        /// Bytes of keys and values.
        const HANDY: usize = 4 << 20;
        // Trees of the environment itself are made by the new one.
        let Some(database) = self.databases.get(&tree) else { return Ok(()) };
        let txn = match &mut self.txn {
            Some(txn) => txn,
            none => none.insert(self.env.begin_write()?),
        };
        change(txn, database)?;
        self.bytes += bytes + 64;
        if self.bytes > HANDY { self.commit() } else { Ok(()) }
    }

    pub(crate) fn commit(&mut self) -> EnvResult<()> {
        self.bytes = 0;
        match self.txn.take() {
            Some(txn) => txn.commit_with(Durability::NoSync).map(drop),
            None => Ok(()),
        }
    }
}
