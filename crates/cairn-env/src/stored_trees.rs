//! `StoredTrees`: the trees of checkpoints, walked in log files that no environment has open.
//!
//! A checkpoint says which nodes its trees consist of; who walks them can tell whether they still do. Nothing is
//! replayed, and no large value is read. Checkpoints of one environment share most of their nodes: the leaves below a
//! branch are read once, however many checkpoints have that branch.

use std::{collections::BTreeMap, fmt, sync::Arc};

use cairn_btree::{ChildImage, LoadError, NodeImage, NodeRecord, TreeDigest, TreeError, TreeId};
use cairn_log::{FRAME_LEN, FileClass, FileNumber, LogFile, Lsn};

use crate::{EnvError, EnvResult, checkpoint::CheckpointRecord, files::stored};

/// What a checkpoint says of its trees, and what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointTrees {
    /// The tree digest that its record has; `None` if it goes back to a version that had none.
    pub said: Option<TreeDigest>,
    /// That of the nodes to which its root leads.
    pub found: TreeDigest,
    /// The files that it needs for its trees.
    pub needs: Vec<(FileNumber, FileClass)>,
}

/// Opens log files by number.
type OpenFile<'a> = &'a mut dyn FnMut(FileNumber) -> EnvResult<LogFile>;

/// The log files of one environment, which are not encrypted, and what was seen in them.
pub struct StoredTrees<'a> {
    open: OpenFile<'a>,
    files: BTreeMap<FileNumber, Arc<LogFile>>,
    /// The branches all of whose children are leaves, with the digest of these.
    leaves: BTreeMap<Lsn, TreeDigest>,
    buffer: Vec<u8>,
}

impl fmt::Debug for StoredTrees<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredTrees({} files, {} branches)", self.files.len(), self.leaves.len())
    }
}

impl<'a> StoredTrees<'a> {
    /// The files that `open` opens: each once.
    pub fn new(open: OpenFile<'a>) -> Self {
        Self { open, files: BTreeMap::new(), leaves: BTreeMap::new(), buffer: Vec::new() }
    }

    /// Walks all trees of the checkpoint whose record stands at `checkpoint`.
    ///
    /// # Errors
    /// Errors of the kind `Corrupt` for a record that is no checkpoint or no node, or another node than the one that refers to
    /// it means; whatever the opening of a file answers.
    pub fn read(&mut self, checkpoint: Lsn) -> EnvResult<CheckpointTrees> {
        let record = CheckpointRecord::read(&*self.file(checkpoint.file())?, checkpoint)?;
        let mut found = TreeDigest::EMPTY;
        if let Some(root) = record.root {
            let node = self.node(root, &mut found)?;
            if !node.is_catalog_root() {
                return Err(wrong(root));
            }
            self.below(root, &node, &mut found)?;
        }
        let needed = record.files.iter().filter(|file| file.live > 0);
        let needs = needed.map(|file| (file.number, file.class)).collect();
        Ok(CheckpointTrees { said: record.digest, found, needs })
    }

    /// Adds all nodes below `node`, whose record stands at `lsn`.
    fn below(&mut self, lsn: Lsn, node: &NodeImage, digest: &mut TreeDigest) -> EnvResult<()> {
        let are_leaves = node.level() == 1;
        if let Some(leaves) = self.leaves.get(&lsn).filter(|_| are_leaves) {
            digest.join(leaves);
            return Ok(());
        }
        let mut all = TreeDigest::EMPTY;
        for child in node.all_children() {
            let Some(place) = child.lsn else { continue };
            let found = self.node(place, &mut all)?;
            if !is_meant(&found, &child) {
                return Err(wrong(place));
            }
            self.below(place, &found, &mut all)?;
        }
        digest.join(&all);
        if are_leaves {
            self.leaves.insert(lsn, all);
        }
        Ok(())
    }

    fn node(&mut self, lsn: Lsn, digest: &mut TreeDigest) -> EnvResult<NodeImage> {
        let (node, records) = match NodeImage::load(lsn, |lsn| self.record(lsn)) {
            Ok(loaded) => loaded,
            Err(LoadError::Read(error)) => return Err(error),
            Err(LoadError::Damaged { lsn, damage }) => {
                return Err(self.file(lsn.file())?.corrupt(lsn.offset(), damage).into());
            }
        };
        records.into_iter().for_each(|record| digest.add(record));
        Ok(node)
    }

    fn record(&mut self, lsn: Lsn) -> EnvResult<NodeRecord> {
        /// Most nodes fit; a longer one takes a second read.
        const HINT: usize = 9 << 10;
        let file = self.file(lsn.file())?;
        let (header, len) = file.read_into(lsn, HINT, &mut self.buffer)?;
        let body = self.buffer[FRAME_LEN..][..len].to_vec();
        let stored = stored(lsn, &header);
        Ok(NodeRecord { kind: header.kind, sequence: header.sequence, body, stored })
    }

    fn file(&mut self, number: FileNumber) -> EnvResult<Arc<LogFile>> {
        if let Some(file) = self.files.get(&number) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new((self.open)(number)?);
        self.files.insert(number, Arc::clone(&file));
        Ok(file)
    }
}

fn wrong(lsn: Lsn) -> EnvError {
    TreeError::Structure { lsn, what: "it is of another place in the trees" }.into()
}

/// Whether a node is the one that `child` means.
fn is_meant(node: &NodeImage, child: &ChildImage) -> bool {
    // The trees of the catalogue are others: a node that leads back to it would lead round for ever.
    node.is(child) && (child.level.is_some() || child.tree != TreeId(0))
}
