//! `SimDisk`: a disk in memory that writes down what is done to it, and can lose power.

mod handle;

use std::{
    collections::BTreeMap,
    fmt, io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cairn_io::{DirRef, IoError, IoOp, IoResult, MemDisk, Name, SyncSite};

use crate::{
    chooser::Chooser,
    crash::{Bounds, Crash, CrashImage, Level},
    image::Image,
    model::{DirId, FileId, Ids, Names, Node, Persistence},
    trace::{Entry, Op, Subject, Trace},
};
use handle::SimDir;

/// A disk in memory that writes down what is done to it, and can lose power.
///
/// While it runs it is a [`MemDisk`]. Beside that it keeps a [`Trace`] of every change, and knows
/// at each moment what is durable and what only a sync would make so. A crash is not an event on
/// this disk but a question to its history: [`SimDisk::crash`] asks what a crash now might leave,
/// [`Trace::cuts`] asks it for every moment of the run. The answer is an [`Image`], and
/// [`SimDisk::from_image`] goes on from there, so crashes nest.
///
/// Locks are held by handles of this disk alone: a crash releases them because the disk after it is
/// another one. Clones are handles of the same disk.
#[derive(Clone)]
pub struct SimDisk {
    shared: Arc<Shared>,
}

struct Shared {
    live: MemDisk,
    log: Mutex<Log>,
}

impl Shared {
    /// Held while the live disk is changed, so that the trace has the changes in their order.
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Called with each entry before the operation returns.
type Watcher = Box<dyn FnMut(&Entry) + Send>;

/// What has been done.
struct Log {
    start: Image,
    entries: Option<Vec<Arc<Entry>>>,
    done: usize,
    persistence: Persistence,
    ids: Ids,
    /// The names as the running system sees them.
    names: BTreeMap<DirId, Names>,
    /// Where each file and directory was last.
    homes: BTreeMap<Node, (DirId, Arc<str>)>,
    failing_sync: Option<usize>,
    /// Whether a sync has failed: only then the running system sees what will never be written.
    has_failed: bool,
    watcher: Option<Watcher>,
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::from_image(&Image::new())
    }

    /// A disk that holds `image`, all of it durable, with nothing in its trace.
    #[must_use]
    pub fn from_image(image: &Image) -> Self {
        let (persistence, ids) = Persistence::of(image);
        let names = persistence.dirs().clone();
        let entries = names.iter().flat_map(|(&dir, names)| {
            names.iter().map(move |(name, &node)| (node, (dir, Arc::clone(name))))
        });
        let homes = entries.collect();
        let log = Log {
            start: image.clone(),
            entries: Some(Vec::new()),
            done: 0,
            persistence,
            ids,
            names,
            homes,
            failing_sync: None,
            has_failed: false,
            watcher: None,
        };
        Self { shared: Arc::new(Shared { live: image.to_mem(), log: Mutex::new(log) }) }
    }

    /// The root directory.
    #[must_use]
    pub fn root(&self) -> DirRef {
        let (shared, inner) = (Arc::clone(&self.shared), self.shared.live.root());
        Arc::new(SimDir { shared, inner, id: DirId::ROOT })
    }

    /// Writes a mark into the trace: commit 17 was acknowledged, say. A cut of the trace tells the
    /// latest mark of each label, which is what a sweep holds the image against.
    pub fn mark(&self, label: &'static str, value: u64) {
        self.shared.log().record_run(Op::Mark { label, value });
    }

    /// Writes into the trace that an operation of the workload begins; it ends when the guard is
    /// dropped. Operations nest. A cut of the trace tells in which one it lies.
    pub fn operation(&self, operation: &'static str) -> Operation {
        self.shared.log().record_run(Op::Begin { operation });
        Operation { shared: Arc::clone(&self.shared) }
    }

    /// Keeps no trace, so that a run of any length needs no memory for it. What
    /// [`SimDisk::crash`] may leave is known all the same.
    #[must_use]
    pub fn without_trace(self) -> Self {
        self.shared.log().entries = None;
        self
    }

    /// What has been done so far.
    ///
    /// # Panics
    /// If the disk was made [`without_trace`](SimDisk::without_trace).
    #[must_use]
    pub fn trace(&self) -> Trace {
        let log = self.shared.log();
        let entries = log.entries.as_deref().expect("a disk that keeps a trace");
        Trace::new(log.start.clone(), entries.into())
    }

    /// What a crash now may leave, one possibility of it, found by choices.
    pub fn crash(
        &self,
        level: Level,
        bounds: &Bounds,
        chooser: &mut (impl Chooser + ?Sized),
    ) -> CrashImage {
        let log = self.shared.log();
        Crash::new(&log.persistence, log.done).choose(level, bounds, chooser)
    }

    /// What a crash now may leave: the images of a level, within bounds.
    #[must_use]
    pub fn crash_images(&self, level: Level, bounds: &Bounds) -> Vec<CrashImage> {
        let log = self.shared.log();
        Crash::new(&log.persistence, log.done).images(level, bounds).collect()
    }

    /// What is on the disk now, durable or not: what is left if only the process dies.
    #[must_use]
    pub fn image(&self) -> Image {
        let log = self.shared.log();
        let keep_all = vec![true; log.persistence.pending().len()];
        log.persistence.image(&keep_all, None)
    }

    /// How many operations only a sync would make durable.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.shared.log().persistence.pending().len()
    }

    /// Lets the next sync, of whatever file or directory, fail as a kernel does it: the first `kept`
    /// of the operations that it was to make durable are durable, the others stay visible until the
    /// crash and are never written, not even by later syncs that succeed. Who has the system
    /// [forget](cairn_io::File::forget) bytes of a file before reading sees what is really there.
    pub fn fail_next_sync(&self, kept: usize) {
        self.shared.log().failing_sync = Some(kept);
    }

    /// Calls `watcher` with each operation from now on, before it returns to the caller; a panic in
    /// it then shows who did it. It must not use this disk.
    pub fn watch(&self, watcher: impl FnMut(&Entry) + Send + 'static) {
        self.shared.log().watcher = Some(Box::new(watcher));
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let log = self.shared.log();
        let (done, pending) = (log.done, log.persistence.pending().len());
        write!(f, "SimDisk({done} operations, {pending} pending)")
    }
}

/// An operation of the workload, in the trace: it ends when this is dropped.
#[must_use = "the operation ends when this is dropped"]
pub struct Operation {
    shared: Arc<Shared>,
}

impl Drop for Operation {
    fn drop(&mut self) {
        self.shared.log().record_run(Op::End);
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Operation")
    }
}

impl Log {
    fn record_run(&mut self, op: Op) {
        self.record(op, Arc::from(""), Subject::Run);
    }

    fn record_file(&mut self, op: Op, file: FileId) {
        let path = self.path(Node::File(file));
        self.record(op, path, Subject::File(file));
    }

    /// Records a change of the entry `name` of `dir`, which leads to `node`.
    fn record_name(&mut self, op: Op, dir: DirId, name: &Name, node: Node) {
        let path = self.path_below(dir, name.as_str());
        self.record(op, path, Subject::Name { dir, name: Arc::from(name.as_str()), node });
    }

    fn record(&mut self, op: Op, path: Arc<str>, subject: Subject) {
        let entry = Arc::new(Entry { op, path, subject });
        self.persistence.apply(self.done, Arc::clone(&entry));
        self.done += 1;
        if let Some(entries) = &mut self.entries {
            entries.push(Arc::clone(&entry));
        }
        if let Some(watcher) = &mut self.watcher {
            watcher(&entry);
        }
    }

    fn place(&mut self, dir: DirId, name: &Name, node: Node) {
        let name = Arc::<str>::from(name.as_str());
        self.homes.insert(node, (dir, Arc::clone(&name)));
        self.names.entry(dir).or_default().insert(name, node);
    }

    fn unplace(&mut self, dir: DirId, name: &Name) -> Option<Node> {
        self.names.get_mut(&dir)?.remove(name.as_str())
    }

    fn node(&self, dir: DirId, name: &Name) -> Option<Node> {
        self.names.get(&dir)?.get(name.as_str()).copied()
    }

    fn create_file(&mut self, dir: DirId, name: &Name) -> FileId {
        let file = self.ids.file();
        self.place(dir, name, Node::File(file));
        self.record_name(Op::Create, dir, name, Node::File(file));
        file
    }

    fn path(&self, node: Node) -> Arc<str> {
        match self.homes.get(&node) {
            Some((dir, name)) => self.path_below(*dir, name),
            None => Arc::from(""),
        }
    }

    fn path_below(&self, dir: DirId, name: &str) -> Arc<str> {
        let parent = self.path(Node::Dir(dir));
        if parent.is_empty() { Arc::from(name) } else { format!("{parent}/{name}").into() }
    }

    /// Records a sync, which fails if it was told to.
    fn sync(&mut self, at: &Path, site: SyncSite, subject: Subject) -> IoResult<()> {
        let failed = self.failing_sync.take();
        self.has_failed |= failed.is_some();
        let (op, node) = match subject {
            Subject::File(file) => (Op::SyncFile { site, failed }, Node::File(file)),
            Subject::Dir(dir) => (Op::SyncDir { site, failed }, Node::Dir(dir)),
            _ => unreachable!("only files and directories are synced"),
        };
        let path = self.path(node);
        self.record(op, path, subject);
        match failed {
            None => Ok(()),
            Some(_) => {
                const EIO: i32 = 5; // on every Unix
                let source = io::Error::from_raw_os_error(EIO);
                Err(IoError::new(IoOp::Sync, at, source).at_site(site))
            }
        }
    }
}
