//! `Survey`: how the trees of an environment are built.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cairn_btree::{Reached, TreeId, check};
use cairn_log::{FileNumber, Lsn};

use crate::{EnvResult, Finding, environment::Open, verify::Names};

/// How the trees of an environment are built: see [`Environment::survey`](crate::Environment::survey).
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Survey {
    /// The commit whose trees these are.
    pub commit: u64,
    /// The databases, in the order of their names.
    pub trees: Vec<TreeSurvey>,
    /// What could not be read, or is wrong with what could: its nodes are not counted.
    pub findings: Vec<Finding>,
}

/// How the tree of one database is built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeSurvey {
    /// The name of the database.
    pub database: String,
    /// Entries in its leaves.
    pub entries: u64,
    /// Its nodes by level, leaves first; empty for an empty tree. Their number is the height.
    pub levels: Vec<LevelSurvey>,
    /// Leaves by how full they are: less than a tenth of [`Options::leaf_bytes`], less than two, and so
    /// on; those in the last place are at least nine tenths full.
    ///
    /// [`Options::leaf_bytes`]: crate::Options#structfield.leaf_bytes
    pub fill: [u64; 10],
    /// Large values, which stand beside the tree.
    pub values: u64,
    /// Their bytes.
    pub value_bytes: u64,
    /// Log files that hold its nodes and large values.
    pub files: u64,
    /// Nodes that are not on disk yet.
    pub unwritten: u64,
}

/// The nodes of one level of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LevelSurvey {
    /// How many there are.
    pub nodes: u64,
    /// Bytes that they take, without what a record adds to them.
    pub bytes: u64,
    /// Their entries: of a leaf keys with their values, of a branch separators.
    pub entries: u64,
}

impl TreeSurvey {
    fn add(&mut self, level: u8, bytes: u64, entries: u64, leaf_bytes: u64) {
        let level = usize::from(level);
        if self.levels.len() <= level {
            self.levels.resize(level + 1, LevelSurvey::default());
        }
        let at = &mut self.levels[level];
        (at.nodes, at.bytes, at.entries) = (at.nodes + 1, at.bytes + bytes, at.entries + entries);
        if level == 0 {
            self.entries += entries;
            let tenth = (bytes * 10 / leaf_bytes.max(1)).min(9);
            self.fill[usize::try_from(tenth).unwrap_or(9)] += 1;
        }
    }
}

/// Walks all trees of the newest version. Reads each node once, and no large value.
pub(crate) fn survey(core: &Arc<Open>) -> EnvResult<Survey> {
    let root = core.freeze_latest()?;
    let _kept = core.keep_version(&root);
    let names = Names::read(core, &root);
    let mut trees: BTreeMap<TreeId, (TreeSurvey, BTreeSet<FileNumber>)> = names
        .all()
        .map(|(tree, name)| {
            let survey = TreeSurvey { database: name.to_owned(), ..TreeSurvey::default() };
            (tree, (survey, BTreeSet::new()))
        })
        .collect();
    let leaf_bytes = core.forest.options().leaf_bytes as u64;
    let checked = check(&root, &mut |what| match what {
        Reached::Node { tree, lsn, level, entries, bytes, .. } => {
            let Some((survey, files)) = trees.get_mut(&tree) else { return };
            survey.add(level, bytes, entries, leaf_bytes);
            survey.unwritten += u64::from(lsn.is_none());
            files.extend(lsn.map(Lsn::file));
        }
        Reached::Value { tree, pointer, .. } => {
            let Some((survey, files)) = trees.get_mut(&tree) else { return };
            survey.values += 1;
            survey.value_bytes += u64::from(pointer.len);
            files.extend(Lsn::from_raw(pointer.lsn).map(Lsn::file));
        }
    });
    let mut trees: Vec<TreeSurvey> = trees
        .into_values()
        .map(|(survey, files)| TreeSurvey { files: files.len() as u64, ..survey })
        .collect();
    trees.sort_by(|a, b| a.database.cmp(&b.database));
    let findings = checked.findings.into_iter().map(|one| names.finding_of(core, one)).collect();
    Ok(Survey { commit: root.sequence(), trees, findings })
}
