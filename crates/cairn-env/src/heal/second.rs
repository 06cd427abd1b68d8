//! `Second`: what cannot be read here is read from the replica, until its file is healed.
//!
//! Checksums are mixed with the identity of their file, so what passes them in a copy that was begun as the same file,
//! at the same place, is the very record that cannot be read here. Whoever reads goes on with it, and the file waits
//! to be healed: by the background worker, or with the next checkpoint where there is none.

use std::{collections::BTreeSet, fmt, sync::OnceLock};

use cairn_io::{
    DirRef, IoOp,
    shared::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use cairn_log::{FileNumber, LogError, LogFile, LogResult, Uuid};

use crate::{
    EnvError, EnvResult,
    files::Files,
    root::{Generation, Root},
    ship::ReplicaOptions,
    sync::lock,
    tell,
};

/// Where second copies are, and which files were found to need one.
#[derive(Default)]
pub(crate) struct Second {
    place: OnceLock<ReplicaOptions>,
    /// Told that a file is to be healed.
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
    damaged: Mutex<Damaged>,
    has_damaged: AtomicBool,
    /// How often somebody got what could not be read here.
    served: AtomicU64,
}

#[derive(Debug, Default)]
struct Damaged {
    waiting: BTreeSet<FileNumber>,
    /// Those that could not be healed: not tried again before there is something new in the replica.
    given_up: BTreeSet<FileNumber>,
}

impl Second {
    /// From now on there are second copies at `place`.
    pub(crate) fn begin(&self, place: &ReplicaOptions) {
        self.place.get_or_init(|| place.clone());
    }

    /// Has `wake` called when a file is to be healed.
    pub(crate) fn on_damage(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.wake.get_or_init(|| wake);
    }

    /// A file is damaged, and is to be healed if that can be.
    pub(crate) fn note(&self, number: FileNumber) {
        if self.place.get().is_none() {
            return;
        }
        let mut damaged = lock(&self.damaged);
        if damaged.given_up.contains(&number) || !damaged.waiting.insert(number) {
            return;
        }
        self.has_damaged.store(true, Ordering::Release);
        drop(damaged);
        if let Some(wake) = self.wake.get() {
            wake();
        }
    }

    /// A file that is to be healed, if there is one.
    pub(super) fn take(&self) -> Option<FileNumber> {
        if !self.has_damaged.load(Ordering::Acquire) {
            return None;
        }
        let mut damaged = lock(&self.damaged);
        let number = damaged.waiting.pop_first();
        self.has_damaged.store(!damaged.waiting.is_empty(), Ordering::Release);
        number
    }

    /// A file has its bytes again.
    pub(super) fn is_healed(&self, number: FileNumber) {
        let mut damaged = lock(&self.damaged);
        damaged.waiting.remove(&number);
        damaged.given_up.remove(&number);
    }

    /// A file could not be healed.
    pub(super) fn give_up(&self, number: FileNumber) {
        let mut damaged = lock(&self.damaged);
        // Whoever looked at it has noted it again.
        damaged.waiting.remove(&number);
        damaged.given_up.insert(number);
    }

    /// The replica has something new: what could not be healed may be tried again.
    pub(crate) fn try_again(&self) {
        lock(&self.damaged).given_up.clear();
    }

    /// How often somebody got what could not be read here.
    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}

impl Files {
    /// Reads from `file`, or from a second copy of it.
    pub(crate) fn read_either<T>(
        &self,
        file: &LogFile,
        read: impl Fn(&LogFile) -> LogResult<T>,
    ) -> LogResult<T> {
        match read(file) {
            Err(error) if is_damage(&error) => {
                let second = self.second.place.get().and_then(|place| {
                    self.second_copy(place, file).ok().flatten().and_then(|copy| read(&copy).ok())
                });
                self.second.note(file.header().number);
                let name = tell::display(file.name());
                tell::unreadable(name, tell::display(&error), second.is_some());
                let found = second.ok_or(error)?;
                self.second.served.fetch_add(1, Ordering::Relaxed);
                Ok(found)
            }
            read => read,
        }
    }

    /// The copy that was begun as `file`, with its key.
    fn second_copy(&self, place: &ReplicaOptions, file: &LogFile) -> EnvResult<Option<LogFile>> {
        let environment = self.identity.environment;
        for dir in copies_in(place.open()?, environment)? {
            match LogFile::open(&*dir, file.name(), environment) {
                Ok(copy) if copy.header() == file.header() => {
                    return Ok(Some(self.with_key(copy)?));
                }
                _ => {}
            }
        }
        Ok(None)
    }
}

/// Whether a file does not give what was written to it.
fn is_damage(error: &LogError) -> bool {
    match error {
        LogError::Corrupt { .. } => true,
        LogError::Io(error) => error.op == IoOp::Read && !error.is_not_found(),
        _ => false,
    }
}

/// The directories of log files below `root`, which must be of this environment.
pub(super) fn copies_in(root: DirRef, environment: Uuid) -> EnvResult<Vec<DirRef>> {
    let root = Root::new(root);
    let path = root.dir.path().to_owned();
    let Some(current) = root.current()? else {
        let why = "it has no file CURRENT".into();
        return Err(EnvError::NotAnEnvironment { path, why });
    };
    if current.environment != environment {
        let why = format!("it is of the environment {}", current.environment);
        return Err(EnvError::ForeignFile { path, why });
    }
    generation_dirs(&root, current.generation)
}

/// The directories of a generation: in the root, and in all data directories that have it.
pub(crate) fn generation_dirs(root: &Root, generation: Generation) -> EnvResult<Vec<DirRef>> {
    let mut dirs = vec![root.open_generation(generation)?];
    for (_, home) in root.data_dirs()? {
        match home.open_dir(&generation.dir_name()) {
            Ok(dir) => dirs.push(dir),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(dirs)
}

impl fmt::Debug for Second {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Second({:?})", self.place.get())
    }
}
