//! `Persistence`: what of a disk is durable, and what is pending until a sync.
//!
//! A file is its bytes, whatever its name; a directory is a list of names, each leading to a file
//! or directory. Both have a durable state, and changes that have been made and not yet synced.
//! Syncing a file makes its own pending writes durable, and says nothing of its name; syncing a
//! directory makes the changes of its names durable, and says nothing of the bytes behind them.
//! What a crash leaves is the durable state and a selection of the pending changes; which
//! selections there are is the subject of `crash`.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use crate::{
    chooser::Seeded,
    content::Content,
    hash::mix,
    image::Image,
    trace::{Entry, Op, Subject},
};

/// A file, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileId(u32);

/// A directory, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DirId(u32);

impl DirId {
    pub(crate) const ROOT: Self = Self(0);
}

/// What a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    File(FileId),
    Dir(DirId),
}

/// The names of a directory.
pub(crate) type Names = BTreeMap<Arc<str>, Node>;

/// Gives out ids, in the same order in a run and in the replay of its trace.
#[derive(Clone, Debug)]
pub(crate) struct Ids(u32);

impl Ids {
    pub(crate) fn file(&mut self) -> FileId {
        FileId(self.next())
    }

    pub(crate) fn dir(&mut self) -> DirId {
        DirId(self.next())
    }

    fn next(&mut self) -> u32 {
        self.0 += 1;
        self.0
    }
}

/// What is durable and what is pending.
#[derive(Clone, Debug)]
pub(crate) struct Persistence {
    /// Bytes that are durable, of every file that may still turn up after a crash.
    files: BTreeMap<FileId, Content>,
    /// Names that are durable.
    dirs: BTreeMap<DirId, Names>,
    /// In the order in which they were done.
    pending: Vec<Pending>,
}

/// An operation that no sync has made durable.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) number: usize,
    pub(crate) entry: Arc<Entry>,
}

/// What a write lacks after a crash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tear {
    /// The bytes of the write that did not arrive.
    pub(crate) lost: Range<usize>,
    pub(crate) fill: Fill,
}

/// What is found where bytes did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    /// What was there before; the length does not grow for the missing bytes.
    Old,
    /// Zeros; the length has grown.
    Zeros,
    /// Anything; the length has grown.
    Random,
}

impl Persistence {
    /// A disk on which everything in `image` is durable, and the ids that have been used for it:
    /// always the same for the same image.
    pub(crate) fn of(image: &Image) -> (Self, Ids) {
        let mut ids = Ids(0);
        let mut this = Self {
            files: BTreeMap::new(),
            dirs: BTreeMap::from([(DirId::ROOT, Names::new())]),
            pending: Vec::new(),
        };
        let mut by_path = BTreeMap::from([("", DirId::ROOT)]);
        let enter = |this: &mut Self, by_path: &BTreeMap<&str, DirId>, path: &str, node| {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            let parent = by_path[parent]; // sorted: a directory comes before what is in it
            this.dirs.entry(parent).or_default().insert(Arc::from(name), node);
        };
        for path in image.dirs() {
            let id = ids.dir();
            enter(&mut this, &by_path, path, Node::Dir(id));
            this.dirs.insert(id, Names::new());
            by_path.insert(path, id);
        }
        for (path, content) in image.contents() {
            let id = ids.file();
            enter(&mut this, &by_path, path, Node::File(id));
            this.files.insert(id, content.clone());
        }
        (this, ids)
    }

    /// The names that are durable in each directory.
    pub(crate) fn dirs(&self) -> &BTreeMap<DirId, Names> {
        &self.dirs
    }

    pub(crate) fn pending(&self) -> &[Pending] {
        &self.pending
    }

    /// The bytes of a file that are durable or pending; `None` if it is gone for good. The running system may
    /// see others: those that a failed sync has left in memory.
    pub(crate) fn newest(&self, file: FileId) -> Option<Content> {
        let mut content = self.files.get(&file)?.clone();
        for pending in self.pending.iter().filter(|p| p.entry.subject == Subject::File(file)) {
            write_to(&mut content, pending, None);
        }
        Some(content)
    }

    /// The durable length of the file that a pending operation is about.
    pub(crate) fn durable_len(&self, pending: &Pending) -> usize {
        match pending.entry.subject {
            Subject::File(file) => self.files.get(&file).map_or(0, Content::len),
            _ => 0,
        }
    }

    /// Takes note of operation `number` of the run.
    pub(crate) fn apply(&mut self, number: usize, entry: Arc<Entry>) {
        match (&entry.op, &entry.subject) {
            (Op::SyncFile { failed, .. }, Subject::File(file)) => {
                let synced = self.take_pending(|subject| *subject == Subject::File(*file), *failed);
                for pending in synced {
                    if let Some(content) = self.files.get_mut(file) {
                        write_to(content, &pending, None);
                    }
                }
            }
            (Op::SyncDir { failed, .. }, Subject::Dir(synced_dir)) => {
                let here = |subject: &Subject| matches!(subject, Subject::Name { dir, .. } if dir == synced_dir);
                for pending in self.take_pending(here, *failed) {
                    let names = self.dirs.entry(*synced_dir).or_default();
                    if let Some(Node::File(gone)) = change(names, &pending.entry)
                        && !self.is_linked(gone)
                    {
                        self.forget(gone);
                    }
                }
            }
            // Bytes of a file whose name is gone for good never turn up again.
            (_, Subject::File(file)) if !self.files.contains_key(file) => {}
            (_, Subject::File(_)) => self.pending.push(Pending { number, entry }),
            (op, Subject::Name { node, .. }) => {
                if let (Op::Create, Node::File(file)) = (op, node) {
                    self.files.insert(*file, Content::default());
                }
                self.pending.push(Pending { number, entry });
            }
            (_, Subject::Dir(_) | Subject::Run) => {}
        }
    }

    /// Takes out the pending operations of a subject that a sync is about, and returns those that
    /// it makes durable: all, or as many as a failed sync left.
    fn take_pending(
        &mut self,
        concerned: impl Fn(&Subject) -> bool,
        failed: Option<usize>,
    ) -> Vec<Pending> {
        let (mut taken, rest) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition::<Vec<_>, _>(|pending| concerned(&pending.entry.subject));
        self.pending = rest;
        taken.truncate(failed.unwrap_or(usize::MAX));
        taken
    }

    /// Whether a directory has a name of the file, or gets one by what is pending.
    fn is_linked(&self, file: FileId) -> bool {
        let file = Node::File(file);
        let names_it = |pending: &Pending| {
            matches!(&pending.entry.subject, Subject::Name { node, .. } if *node == file)
                && pending.entry.op != Op::Remove
        };
        self.dirs.values().any(|names| names.values().any(|node| *node == file))
            || self.pending.iter().any(names_it)
    }

    fn forget(&mut self, file: FileId) {
        self.files.remove(&file);
        self.pending.retain(|pending| pending.entry.subject != Subject::File(file));
    }

    /// The disk as a crash leaves it that keeps these of the pending operations, one of them
    /// possibly torn.
    pub(crate) fn image(&self, kept: &[bool], torn: Option<&(usize, Tear)>) -> Image {
        let mut files = BTreeMap::<FileId, Content>::new();
        let mut dirs = BTreeMap::<DirId, Names>::new();
        for (index, pending) in self.pending.iter().enumerate().filter(|(index, _)| kept[*index]) {
            match &pending.entry.subject {
                Subject::File(file) => {
                    let durable = || self.files.get(file).cloned().unwrap_or_default();
                    let content = files.entry(*file).or_insert_with(durable);
                    let tear = torn.filter(|(torn, _)| *torn == index).map(|(_, tear)| tear);
                    write_to(content, pending, tear);
                }
                Subject::Name { dir, .. } => {
                    let durable = || self.dirs.get(dir).cloned().unwrap_or_default();
                    change(dirs.entry(*dir).or_insert_with(durable), &pending.entry);
                }
                Subject::Dir(_) | Subject::Run => {}
            }
        }
        let mut view = View { durable: self, files, dirs, paths: Default::default() };
        view.gather(DirId::ROOT, "");
        let (dirs, files) = view.paths;
        Image::from_parts(dirs, files)
    }
}

/// The durable state with some files and directories changed, on its way to an image.
struct View<'p> {
    durable: &'p Persistence,
    files: BTreeMap<FileId, Content>,
    dirs: BTreeMap<DirId, Names>,
    paths: (BTreeSet<Arc<str>>, BTreeMap<Arc<str>, Content>),
}

impl View<'_> {
    fn gather(&mut self, dir: DirId, prefix: &str) {
        let names = self.dirs.remove(&dir); // each directory is met once
        let Some(names) = names.as_ref().or_else(|| self.durable.dirs.get(&dir)) else { return };
        for (name, node) in names {
            let path = if prefix.is_empty() {
                Arc::clone(name)
            } else {
                format!("{prefix}/{name}").into()
            };
            match node {
                Node::File(file) => {
                    let content =
                        self.files.get(file).or_else(|| self.durable.files.get(file)).cloned();
                    self.paths.1.insert(path, content.unwrap_or_default());
                }
                Node::Dir(below) => {
                    self.paths.0.insert(Arc::clone(&path));
                    self.gather(*below, &path);
                }
            }
        }
    }
}

/// Carries out an operation on bytes.
fn write_to(content: &mut Content, pending: &Pending, tear: Option<&Tear>) {
    match (&pending.entry.op, tear) {
        (Op::Write { offset, bytes }, None) => content.write(in_memory(*offset), bytes),
        (Op::Write { offset, bytes }, Some(Tear { lost, fill })) => {
            let offset = in_memory(*offset);
            content.write(offset, &bytes[..lost.start]);
            if *fill != Fill::Old {
                let mut found = vec![0; lost.len()];
                if *fill == Fill::Random {
                    let seed = [pending.number, lost.start, lost.end];
                    let seed = seed.iter().fold(0, |seed, &part| mix(seed ^ part as u64));
                    Seeded::new(seed).fill(&mut found);
                }
                content.write(offset + lost.start, &found);
            }
            content.write(offset + lost.end, &bytes[lost.end..]);
        }
        (Op::SetLen { len }, _) => content.set_len(in_memory(*len)),
        _ => {}
    }
}

fn in_memory(position: u64) -> usize {
    usize::try_from(position).expect("it fits because the file has been in memory")
}

/// Carries out an operation on names, and returns what has lost its name by it.
///
/// After a failed sync the names may differ from those that the operation met, so it says what is
/// to be and not only what to change.
fn change(names: &mut Names, entry: &Entry) -> Option<Node> {
    let Subject::Name { name, node, .. } = &entry.subject else { return None };
    match entry.op {
        Op::Create | Op::CreateDir | Op::Link => names.insert(Arc::clone(name), *node),
        Op::Rename { .. } => {
            unname(names, name, *node);
            let to = entry.new_name().expect("it is a rename");
            names.insert(Arc::from(to), *node)
        }
        Op::Remove | Op::RemoveDir => {
            let before = names.len();
            unname(names, name, *node);
            (names.len() < before).then_some(*node)
        }
        _ => None,
    }
    .filter(|gone| !names.values().any(|node| node == gone))
}

/// Takes the name away that leads to `node`: this one, or where a lost rename has left it.
fn unname(names: &mut Names, name: &str, node: Node) {
    if names.get(name) == Some(&node) {
        names.remove(name);
    } else {
        names.retain(|_, other| *other != node);
    }
}
