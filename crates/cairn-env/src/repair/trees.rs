//! `Trees`: what every tree held, put together from the newest states that can be told.
//!
//! A leaf is the exact state of its range of keys as of the newest change in it, and a leaf that a
//! checkpoint reaches is so as of its cut. So for each range the newest such statement holds, and the
//! commits after it are replayed over it. If the newest checkpoint can be walked and the journal since
//! then is whole, that is an ordinary recovery; the worse the damage, the more comes from elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use cairn_btree::{ChildImage, NodeImage, RecordImage, TreeId};
use cairn_log::{FileClass, LogError, Lsn, RecordKind};

use super::{
    RepairReport,
    journal::Commits,
    pieces::{Piece, Pieces},
    scan,
    source::Source,
};
use crate::{EnvResult, checkpoint::CheckpointRecord};

/// What every tree held.
#[derive(Default)]
pub(crate) struct Trees {
    pub(crate) trees: BTreeMap<TreeId, Pieces>,
    /// Ranges whose newest leaves cannot be read.
    pub(crate) unreadable: Vec<ChildImage>,
    /// The commit of the checkpoint that all else was added to.
    pub(crate) checkpoint: Option<u64>,
    /// Whether there was no catalogue, so that it cannot be told what is missing.
    pub(crate) is_blind: bool,
}

/// A catalogue from which the trees can be walked.
struct Root {
    /// Where its checkpoint or it itself stands: the order of time.
    at: Lsn,
    root: Option<Lsn>,
    /// The cut, if a checkpoint says it.
    cut: Option<u64>,
}

/// What the node files hold.
#[derive(Default)]
struct Nodes {
    roots: Vec<Root>,
    /// Leaves by tree, with their positions.
    leaves: Vec<(TreeId, Piece)>,
}

/// One version of all trees, as far as its nodes can be read.
#[derive(Default)]
struct Walk {
    pieces: Vec<(TreeId, Piece)>,
    unreadable: Vec<ChildImage>,
    newest_change: u64,
}

/// So many versions are walked before single leaves are asked.
const VERSIONS: usize = 4;

impl Trees {
    pub(crate) fn find(
        source: &Source,
        commits: &mut Commits,
        report: &mut RepairReport,
    ) -> EnvResult<Self> {
        let nodes = Nodes::find(source, commits, report)?;
        let mut this = Self { is_blind: true, ..Self::default() };
        let mut pieces = Vec::new();
        let mut walked = 0;
        for root in &nodes.roots {
            let Some(walk) = Walk::of(source, root) else { continue };
            let cut = root.cut.unwrap_or(walk.newest_change);
            let is_proven = root.cut.is_some()
                || source.file(root.at.file()).is_ok_and(|f| commits.is_proven(source, f, cut));
            if !is_proven {
                continue;
            }
            let dated = |(tree, piece)| (tree, Piece { commit: cut, ..piece });
            pieces.extend(walk.pieces.into_iter().map(dated));
            if walked == 0 {
                this.is_blind = false;
                this.checkpoint = Some(cut);
                this.unreadable = walk.unreadable;
                let complete = commits.is_end_known && cut >= commits.complete_from();
                if this.unreadable.is_empty() && complete {
                    return Ok(this.with(pieces, 0));
                }
            }
            walked += 1;
            if walked == VERSIONS {
                break;
            }
        }
        let walked = pieces.len();
        let mut unproven = 0;
        for (tree, piece) in nodes.leaves {
            let file = piece.leaf.and_then(|lsn| source.files.get(&lsn.file()));
            match file {
                Some(file) if commits.is_proven(source, file, piece.commit) => {
                    pieces.push((tree, piece));
                }
                _ => unproven += 1,
            }
        }
        if unproven > 0 {
            report.note(format!(
                "{unproven} leaves were left aside: nothing proves that their newest commits were \
                 not given up by a crash"
            ));
        }
        Ok(this.with(pieces, walked))
    }

    /// Every key of the tree is as this commit has left it, or a later one.
    pub(crate) fn state_of(&self, tree: TreeId) -> u64 {
        let walked = self.checkpoint.filter(|_| self.has_whole_catalog()).unwrap_or(0);
        let Some(pieces) = self.trees.get(&tree) else { return walked };
        match pieces.holes(b"", None).is_empty() {
            true => pieces.iter().map(|piece| piece.commit).min().unwrap_or(0),
            false => 0,
        }
    }

    /// Whether it is certain which trees the checkpoint holds.
    pub(crate) fn has_whole_catalog(&self) -> bool {
        !self.is_blind && self.unreadable.iter().all(|range| range.tree != TreeId(0))
    }

    /// The newest state of each range. The first `walked` come before others of the same commit.
    fn with(mut self, pieces: Vec<(TreeId, Piece)>, walked: usize) -> Self {
        let mut order: Vec<usize> = (0..pieces.len()).collect();
        order.sort_by_key(|&i| {
            let (_, piece) = &pieces[i];
            (piece.commit, i < walked, piece.leaf)
        });
        for i in order.into_iter().rev() {
            let (tree, piece) = &pieces[i];
            self.trees.entry(*tree).or_default().add(piece);
        }
        self
    }
}

impl Nodes {
    /// Reads all node files.
    fn find(source: &Source, commits: &mut Commits, report: &mut RepairReport) -> EnvResult<Self> {
        let mut this = Self::default();
        let mut catalogs = Vec::new();
        let states: Vec<Lsn> = source.states.iter().filter_map(|state| state.checkpoint).collect();
        for file in source.of_class(FileClass::Node) {
            let name = file.name().to_string();
            let mut bad = Vec::new();
            let scanned = scan::records(file, u64::MAX, &mut |record| {
                let (kind, sequence) = (record.header.kind, record.header.sequence);
                if kind == RecordKind::CHECKPOINT {
                    match CheckpointRecord::decode(record.body) {
                        Ok(checkpoint) => {
                            commits.checkpointed(file, checkpoint.sequence);
                            let (root, cut) = (checkpoint.root, Some(checkpoint.sequence));
                            this.roots.push(Root { at: record.lsn, root, cut });
                        }
                        Err(error) => bad.push((record.lsn.offset(), error.to_string())),
                    }
                    return Ok(());
                }
                match RecordImage::read(kind, sequence, record.body.to_vec()) {
                    Ok(Some(image)) => {
                        let is_whole = match &image {
                            RecordImage::Node(node) => {
                                catalogs.extend(node.is_catalog_root().then_some(record.lsn));
                                true
                            }
                            // Of an old one the base may have gone, and a damaged base is named where it stands.
                            RecordImage::Delta(_) => source.node(record.lsn).is_ok(),
                        };
                        if is_whole && image.level() == 0 && image.tree() != TreeId(0) {
                            let (lower, upper) = (image.lower().to_vec(), image.upper());
                            let upper = upper.map(<[u8]>::to_vec);
                            let leaf = Some(record.lsn);
                            let piece = Piece { lower, upper, commit: sequence, leaf };
                            this.leaves.push((image.tree(), piece));
                        }
                    }
                    Ok(None) => {}
                    Err(damage) => bad.push((record.lsn.offset(), damage.to_string())),
                }
                Ok(())
            })?;
            let gaps = scanned.gaps.iter().map(|gap| (gap.at, gap.problem.clone()));
            bad.extend(gaps);
            if !scanned.sealed {
                bad.push((scanned.end, "the file is cut, or was never finished".into()));
            }
            bad.sort();
            bad.into_iter().for_each(|(offset, problem)| report.damage(&name, offset, problem));
        }
        // A catalogue newer than all checkpoint records is one whose record is damaged.
        let newest = this.roots.iter().map(|root| root.at).max();
        let lost = catalogs.into_iter().filter(|at| newest.is_none_or(|newest| *at > newest));
        this.roots.extend(lost.map(|at| Root { at, root: Some(at), cut: None }));
        // A checkpoint counts once the state refers to it. One that a crash has kept from that may lack
        // what it refers to, so it comes last.
        let newest = states.first().filter(|_| source.is_state_certain);
        let is_unfinished = |at: Lsn| newest.is_some_and(|newest| at > *newest);
        this.roots.sort_by_key(|root| (is_unfinished(root.at), std::cmp::Reverse(root.at)));
        for lsn in states {
            if !this.roots.iter().any(|root| root.at == lsn) {
                report.note(format!("the checkpoint at {lsn}, which the state names, is lost"));
            }
        }
        Ok(this)
    }
}

impl Walk {
    /// Walks the trees below a catalogue; `None` if its own root cannot be read.
    fn of(source: &Source, root: &Root) -> Option<Self> {
        let mut this = Self::default();
        let Some(lsn) = root.root else { return Some(this) };
        let node = source.node(lsn).ok().filter(NodeImage::is_catalog_root)?;
        let mut open = node.children();
        let mut seen = BTreeSet::new();
        while let Some(child) = open.pop() {
            let Some(lsn) = child.lsn else {
                let piece = Piece { lower: Vec::new(), upper: None, commit: 0, leaf: None };
                this.pieces.push((child.tree, piece));
                continue;
            };
            // No two nodes have the same child; forged bytes must not lead in circles.
            let node = match source.node(lsn) {
                Ok(node) if node.is(&child) && seen.insert(lsn) => node,
                Ok(_) | Err(LogError::Corrupt { .. } | LogError::MissingFile { .. }) | Err(_) => {
                    this.unreadable.push(child);
                    continue;
                }
            };
            this.newest_change = this.newest_change.max(node.sequence());
            if node.level() == 0 && child.tree != TreeId(0) {
                let ChildImage { tree, lower, upper, .. } = child;
                this.pieces.push((tree, Piece { lower, upper, commit: 0, leaf: Some(lsn) }));
            } else {
                open.extend(node.children());
            }
        }
        Some(this)
    }
}
