//! Healing by content: what is in use in a damaged file that no copy has gets another place.
//!
//! A replica has every commit, but not every file: what the cleaner or a checkpoint has written since its base it has as
//! the journal that led there. So has a repository to which journal is shipped. It is opened as of the very commit at
//! which the trees are walked here, and what cannot be read of a large value here is there under the same key, with the
//! length and the checksum that the leaf here says.
//! Nodes are written anew from memory; one that is neither there nor can be read stays as it is, and is told with its
//! keys. As when cleaning, nothing is logged: until a checkpoint refers to the new place the old one counts, and the file
//! goes as soon as no checkpoint needs it.

use std::sync::Arc;

use cairn_btree::{FrozenRoot, NodeName, Problem, Reached, TreeId, ValuePointer, ValueRef, check};
use cairn_log::{FileClass, FileHeader, FileNumber, LogFile, Lsn, crc32c};

use super::HealSource;
use crate::{
    EnvError, EnvResult, Environment, Options,
    cleaner::{Move, Moving},
    core::Core,
};

/// Records that get another place under one hold of the commit lock.
const CHUNK: usize = 16;

/// Something in use in the damaged file.
enum InUse {
    Node { name: NodeName, lsn: Lsn },
    Value { tree: TreeId, key: Vec<u8>, pointer: ValuePointer },
}

impl Core {
    /// Gives everything that is in use in `file` another place, with the help of what has its commits; says what still
    /// stands in it alone, if anything.
    pub(super) fn move_out(
        &self,
        file: &LogFile,
        source: &dyn HealSource,
    ) -> EnvResult<Result<(), String>> {
        self.check_upkeep()?;
        self.begin()?;
        let root = self.freeze_latest()?;
        let _kept = self.keep_version(&root);
        // What is on both sides then is on the other one.
        self.flush_to(root.sequence(), true)?;
        let number = file.header().number;
        let (in_use, unreadable) = in_use(&root, number);
        let mut there = There { core: self, source, commit: root.sequence(), opened: None };
        let _moving = Moving::begin(self);
        let mut lacking = None;
        for some in in_use.chunks(CHUNK) {
            let mut moves = Vec::new();
            for one in some {
                match self.moved(file, one, &mut there) {
                    Ok(Ok(one)) => moves.push(one),
                    Ok(Err(why)) => drop(lacking.get_or_insert(why)),
                    // A sync that failed is more than a healing that did.
                    Err(error) if self.files.sync_failed() => return Err(self.node_failure(error)),
                    Err(error) => return Err(error),
                }
            }
            self.place_anew(moves)?;
        }
        Ok(match (lacking, unreadable) {
            (Some(why), _) => Err(why),
            (None, 0) => Ok(()),
            (None, nodes) => Err(format!("no copy has it, and {nodes} of its nodes")),
        })
    }

    /// How one of them gets another place, or why it cannot.
    fn moved(
        &self,
        file: &LogFile,
        one: &InUse,
        there: &mut There<'_>,
    ) -> EnvResult<Result<Move, String>> {
        let (tree, key, old) = match one {
            InUse::Node { name, lsn } => {
                return Ok(Ok(Move::Node { name: name.clone(), lsn: *lsn }));
            }
            InUse::Value { tree, key, pointer } => (*tree, key, *pointer),
        };
        let lsn = Lsn::from_raw(old.lsn)
            .ok_or_else(|| EnvError::internal("a large value without a position"))?;
        // Not as readers do, who would ask for the file to be healed.
        let new = match file.read_value(lsn.offset(), old.len as usize, old.crc, false) {
            Ok(value) => self.copy_value(there.commit, tree, key, &value, old.crc)?,
            Err(_) => match there.value(tree, key, old) {
                Ok(value) => self.copy_value(there.commit, tree, key, &value, old.crc)?,
                Err(why) => return Ok(Err(why)),
            },
        };
        Ok(Ok(Move::Value { tree, key: key.clone(), old, new }))
    }
}

/// What of a version stands in a file, and how many of its nodes cannot be read.
fn in_use(root: &Arc<FrozenRoot>, number: FileNumber) -> (Vec<InUse>, usize) {
    let mut found = Vec::new();
    let checked = check(root, &mut |reached| match reached {
        Reached::Node { tree, lsn, base, level, lower, .. } => {
            for lsn in [lsn, base].into_iter().flatten().filter(|lsn| lsn.file() == number) {
                let name = NodeName::new(tree, level, lower.to_vec());
                found.push(InUse::Node { name, lsn });
            }
        }
        Reached::Value { tree, key, pointer }
            if Lsn::from_raw(pointer.lsn).is_some_and(|lsn| lsn.file() == number) =>
        {
            found.push(InUse::Value { tree, key: key.to_vec(), pointer });
        }
        _ => {}
    });
    let unreadable = checked.findings.iter().filter(|finding| {
        matches!(finding.problem, Problem::Unreadable(_))
            && finding.lsn.is_some_and(|lsn| lsn.file() == number)
    });
    (found, unreadable.count())
}

/// What the source has, as of one commit; it is opened when something of it is needed.
struct There<'c> {
    core: &'c Core,
    source: &'c dyn HealSource,
    commit: u64,
    opened: Option<Result<Environment, String>>,
}

impl There<'_> {
    /// The large value to which the tree here refers.
    fn value(&mut self, tree: TreeId, key: &[u8], like: ValuePointer) -> Result<Vec<u8>, String> {
        if self.opened.is_none() {
            let opened = self.open().map_err(|why| format!("the copy has no such file, and {why}"));
            self.opened = Some(opened);
        }
        let env = match &self.opened {
            Some(Ok(env)) => env,
            Some(Err(why)) => return Err(why.clone()),
            None => return Err("the copy was not opened".into()),
        };
        let found =
            read(env, tree, key).map_err(|error| format!("the copy has it, but: {error}"))?;
        let is_it = |value: &Vec<u8>| value.len() == like.len as usize && crc32c(value) == like.crc;
        found.filter(is_it).ok_or_else(|| "the copy has something else".into())
    }

    fn open(&self) -> Result<Environment, String> {
        let options = Options { replica: None, ..self.core.options.clone() };
        let options = options.read_only(true).create(false).background(false);
        let env = self.source.at(self.commit, options)?;
        let there = env.core.enter().map_err(|error| format!("it was closed: {error}"))?;
        let has_commit = there.durable().is_ok_and(|durable| durable.sequence() == self.commit);
        // Commits of one number are the same if they stand in the same file: whoever goes another way begins one of his
        // own.
        let here = self.journal_of(self.core);
        if !has_commit || here.is_none() || here != self.journal_of(&there) {
            return Err("it has gone another way, or that cannot be told any more".into());
        }
        drop(there);
        Ok(env)
    }

    /// The beginning of the journal file that has the commit.
    fn journal_of(&self, core: &Core) -> Option<FileHeader> {
        let files = core.files.all().into_iter().map(|file| file.header().clone());
        let before = files.filter(|header| {
            header.class == FileClass::Journal && header.first_sequence <= self.commit
        });
        before.max_by_key(|header| header.number)
    }
}

/// The large value of a key.
fn read(env: &Environment, tree: TreeId, key: &[u8]) -> EnvResult<Option<Vec<u8>>> {
    let core = env.core.enter()?;
    let found = core.durable()?.get(tree, key)?;
    match found.as_ref().map(|found| found.value()) {
        Some(ValueRef::Pointer(pointer)) => Ok(Some(core.read_large_value(pointer)?.to_vec())),
        _ => Ok(None),
    }
}
