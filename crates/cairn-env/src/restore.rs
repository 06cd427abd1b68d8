//! `RestoreTarget`: a directory that becomes an environment only when everything in it was proved.
//!
//! The first thing that a restore writes is the file `RESTORING`; while it is there, and no `CURRENT`, the
//! directory does not open and says how to go on. The environment comes into being by `CURRENT`, after the
//! restored files were opened, replayed and walked. Only then the mark is removed, and nothing depends on that.
//!
//! In place, the files go into new generation directories beside those that count, in the root and in
//! each data directory; `RESTORING` is not needed because `CURRENT` does not know of them, and the last
//! thing is to rename `CURRENT`: a restore that fails or is killed leaves the environment as it was.
//!
//! A restore that was cut short has left files: see `earlier`.

use std::sync::Arc;

use cairn_io::{Access, Dir, DirExt, DirRef, FileRef, LockGuard, Name, World, WorldRef};
use cairn_log::{DataKeys, LogName, Timeline};

use crate::{
    EnvError, EnvResult, Environment, JournalRetention, Options, RecoveryReport, VerifyOptions,
    backup::Cut,
    earlier, keyring,
    root::{Current, Generation, Generations, Root},
    sites,
    staging::Staging,
    state::{State, StateFile},
};

/// A directory that a restore is filling.
pub struct RestoreTarget {
    root: Root,
    staging: Staging,
    timeline: Timeline,
    world: WorldRef,
    cut: Cut,
    lock: LockGuard,
    generation: Generation,
    /// What counted before, in place.
    kept: Option<Current>,
    /// Where files may lie already, by their data directories.
    earlier: Vec<(u16, DirRef)>,
}

/// What a restore has brought back.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Restored {
    /// The timeline on which the restored environment goes on.
    pub timeline: Timeline,
    /// What opening the restored files found.
    pub recovery: RecoveryReport,
    /// Entries of all databases that were walked.
    pub entries: u64,
    /// The generation that counted before and is kept, if the restore was in place.
    pub kept: Option<u32>,
}

/// The directory, locked, when all that may go has gone.
struct Target {
    root: Root,
    lock: LockGuard,
    /// What counts until the switch, in place.
    kept: Option<Current>,
    /// Whether a restore before this one may have left data directories.
    is_again: bool,
    /// Generations from which files can be taken.
    attempts: Vec<Generation>,
}

impl RestoreTarget {
    /// Begins a restore of `cut` into `root`, which must be empty, or hold an unfinished restore, of which
    /// files [may be taken](Self::earlier). `how` is what an open of the half-filled directory tells its user; `keyring`
    /// is the keyring file of an encrypted environment.
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] if the directory holds anything else; [`EnvError::Locked`] if
    /// somebody has it open.
    pub fn begin(
        root: DirRef,
        world: WorldRef,
        cut: Cut,
        how: &str,
        keyring: Option<&[u8]>,
    ) -> EnvResult<Self> {
        let root = Root::new(root);
        let unfinished = root.restoring()?.is_some();
        if !unfinished && !root.is_blank()? {
            return Err(not_empty(&root));
        }
        let lock = root.lock(&*world)?;
        let unfinished = root.restoring()?.is_some();
        if !unfinished && !root.is_blank()? {
            return Err(not_empty(&root));
        }
        root.check_no_strangers(&[cut.environment])?;
        root.begin_restoring(how)?;
        let attempts = root.attempts()?;
        root.remove_others(&attempts, &*world)?; // of a restore that was cut short
        let target = Target { root, lock, kept: None, is_again: unfinished, attempts };
        Self::stage(target, world, cut, keyring)
    }

    /// Begins a restore of `cut` in place of what the environment in `root` holds. That is kept until
    /// [`forget_old_generation`](crate::forget_old_generation), and
    /// [`undo_restore`](crate::undo_restore) goes back to it. A directory that is blank is restored
    /// into as by [`RestoreTarget::begin`].
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] if the environment is another one than that of the cut, unless
    /// `other_environment` is set, or if it keeps an old generation already;
    /// [`EnvError::NotAnEnvironment`]; [`EnvError::Locked`] and [`EnvError::AlreadyOpen`] if somebody
    /// has it open.
    pub fn begin_in_place(
        root: DirRef,
        world: WorldRef,
        cut: Cut,
        how: &str,
        keyring: Option<&[u8]>,
        other_environment: bool,
    ) -> EnvResult<Self> {
        let this = Root::new(Arc::clone(&root));
        if this.restoring()?.is_some() || this.is_blank()? {
            return Self::begin(root, world, cut, how, keyring);
        }
        let (lock, Generations { current, kept }) = this.lock_existing(&*world)?;
        let path = this.dir.path().display();
        if current.environment != cut.environment && !other_environment {
            let what = format!(
                "the backup is of the environment {}, {path} is the environment {}",
                cut.environment, current.environment
            );
            return Err(EnvError::InvalidInput { what });
        }
        if let Some(kept) = kept {
            let named = kept.generation.dir_name();
            let what =
                format!("{path} keeps {named} from the last restore: undo or forget it first");
            return Err(EnvError::InvalidInput { what });
        }
        this.check_no_strangers(&[current.environment, cut.environment])?;
        let attempts = this.attempts()?;
        this.remove_others(&[&*attempts, &[current.generation]].concat(), &*world)?;
        // It may be: nothing tells.
        let target = Target { root: this, lock, kept: Some(current), is_again: true, attempts };
        Self::stage(target, world, cut, keyring)
    }

    /// Makes the generation directories.
    fn stage(target: Target, world: WorldRef, cut: Cut, keyring: Option<&[u8]>) -> EnvResult<Self> {
        let Target { root, lock, kept, is_again, attempts } = target;
        let generation = match kept {
            None if attempts.is_empty() => Generation::FIRST,
            _ => root.next_generation()?,
        };
        let timeline = another_timeline(cut.timeline, &*world);
        // In place of what keeps history, it goes on keeping it.
        let old = kept.and_then(|old| root.open_generation(old.generation).ok());
        let old = old.and_then(|dir| StateFile::open(&*dir, Access::Read).ok());
        let keep = old.map_or(JournalRetention::Needed, |(_, found)| found.newest.keep);
        let state = State {
            keep,
            clean: false,
            timeline,
            generation: generation.0,
            directories: cut.directories,
            checkpoint: cut.checkpoint,
            checkpoint_number: cut.checkpoint_number,
            next_file: cut.next_file,
            tail: cut.journal_end,
            sequence: cut.commit,
            ..State::first(cut.environment)
        };
        let staging = Staging::create(&root, state, is_again, None, keyring)?;
        root.dir.sync(sites::CREATE_ROOT)?;
        earlier::note_staged(&*staging.dir)?;
        let earlier = root.places_of(&attempts)?;
        Ok(Self { root, staging, timeline, world, cut, lock, generation, kept, earlier })
    }

    /// Lets files be taken from what is replaced, too.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn take_from_current(&mut self) -> EnvResult<()> {
        if let Some(current) = self.kept {
            self.earlier.extend(self.root.places_of(&[current.generation])?);
        }
        Ok(())
    }

    /// Directories in which a file of data directory `directory` may lie, under its name, that need not be brought: of an
    /// attempt that was cut short, and of [what is replaced](Self::take_from_current). What lies there may be anything,
    /// or damaged. It can be [linked](Self::link), or copied.
    pub fn earlier(&self, directory: u16) -> impl Iterator<Item = &DirRef> {
        let its = self.earlier.iter().filter(move |(number, _)| *number == directory);
        its.map(|(_, dir)| dir)
    }

    /// Links a file from one of these directories, for reading; `None` if there is none, or it cannot be linked. It has to
    /// be compared with what it should be; then it has [arrived](Self::arrived), or is to be [dropped](Self::drop_file).
    ///
    /// # Errors
    /// If the disk fails, or there is no such data directory.
    pub fn link(
        &self,
        name: LogName,
        directory: u16,
        from: &dyn Dir,
    ) -> EnvResult<Option<FileRef>> {
        earlier::link(self.place(name, directory)?, from, name)
    }

    /// Creates a file of the restored environment in the data directory in which it lay. It is none of the environment
    /// before it has [arrived](Self::arrived).
    ///
    /// # Errors
    /// If it exists or the disk fails, or there is no such data directory.
    pub fn create(&self, name: LogName, directory: u16) -> EnvResult<FileRef> {
        Ok(self.place(name, directory)?.create(&earlier::arriving(name))?)
    }

    /// Gives a file its name that was created or linked, and is whole and durable.
    ///
    /// # Errors
    /// If it exists or the disk fails, or there is no such data directory.
    pub fn arrived(&self, name: LogName, directory: u16) -> EnvResult<()> {
        let dir = self.place(name, directory)?;
        Ok(dir.rename_new(&earlier::arriving(name), &name.to_name())?)
    }

    /// Removes a file that was created or linked and is not what it should be.
    ///
    /// # Errors
    /// If the disk fails, or there is no such data directory.
    pub fn drop_file(&self, name: LogName, directory: u16) -> EnvResult<()> {
        Ok(self.place(name, directory)?.remove(&earlier::arriving(name))?)
    }

    /// Shows a file that lies elsewhere in the data directory in which it lay, if the target is in memory. It has to
    /// stay as it is.
    ///
    /// # Errors
    /// As [`create`](Self::create); on a disk.
    pub fn show(&self, name: LogName, directory: u16, file: &FileRef) -> EnvResult<()> {
        Ok(self.place(name, directory)?.show(&name.to_name(), file)?)
    }

    fn place(&self, name: LogName, directory: u16) -> EnvResult<&dyn Dir> {
        self.staging.place(directory).ok_or_else(|| {
            let count = self.cut.directories;
            let what = format!("{name} lies in data directory {directory} of {count}");
            EnvError::InvalidInput { what }
        })
    }

    /// Makes the copied files durable, opens them, replays the journal, walks all trees, and only
    /// then lets the directory be an environment, on a new timeline.
    ///
    /// # Errors
    /// If anything is not as the cut says: the directory then stays an unfinished restore.
    pub fn finish(self, options: Options) -> EnvResult<Restored> {
        let options = self.unlocked(options)?;
        let Self { root, staging, timeline, world, cut, lock, generation, kept, .. } = self;
        // Planted: restored in place too early.
        if !cairn_io::planted::is(38) {
            staging.make_durable(&root)?;
        }
        if let Some(keys) = &options.encryption {
            encrypt_state(&staging.dir, keys)?;
        }
        let (recovery, entries) = prove(&root, &staging.dir, &world, &cut, options)?;
        // What was taken from attempts has names here.
        let stay = kept.iter().map(|kept| kept.generation).chain([generation]).collect::<Vec<_>>();
        root.remove_others(&stay, &*world)?;
        earlier::forget_staged(&*staging.dir)?;
        let current = Current { environment: cut.environment, generation };
        root.switch_keeping(Generations { current, kept })?;
        if kept.is_none() {
            root.end_restoring()?;
        }
        drop(lock);
        let kept = kept.map(|kept| kept.generation.0);
        Ok(Restored { timeline, recovery, entries, kept })
    }

    /// Opens what was brought together for reading, without making an environment of it: for files that are
    /// [shown](Self::show). The journal is replayed in memory; what is read is checked when it is read.
    ///
    /// # Errors
    /// If anything that recovery needs is not as the cut says.
    pub fn look(self, options: Options) -> EnvResult<(Environment, RecoveryReport)> {
        let options = self.unlocked(options)?;
        if let Some(keys) = &options.encryption {
            encrypt_state(&self.staging.dir, keys)?;
        }
        let Self { root, staging, world, cut, .. } = self;
        open_at_cut(&root, &staging.dir, &world, &cut, options)
    }

    /// The options with the keys of an encrypted environment.
    fn unlocked(&self, options: Options) -> EnvResult<Options> {
        let dir = &self.staging.dir;
        let (_, found) = StateFile::open(&**dir, Access::Read)?;
        keyring::opening::unlocked(&self.root, &**dir, Some(&found.newest), options)
    }
}

impl std::fmt::Debug for RestoreTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RestoreTarget({})", self.root.dir.path().display())
    }
}

/// A new line of history, which never has the number of the old one.
pub(crate) fn another_timeline(old: Timeline, world: &dyn World) -> Timeline {
    let mut random = [0; 4];
    world.random(&mut random);
    match Timeline(u32::from_le_bytes(random)) {
        new if new == old => Timeline(new.0 ^ 1),
        new => new,
    }
}

fn not_empty(root: &Root) -> EnvError {
    let path = root.dir.path().display();
    let what = match root.dir.has(&RESTORING) {
        Ok(true) => {
            format!("{path} is not empty: the restore into it had come to its end, and it opens")
        }
        _ => format!(
            "{path} is not empty: a restore needs a new or an empty directory, or to be told to go in place"
        ),
    };
    EnvError::InvalidInput { what }
}

/// Makes the state that the restore began with that of an encrypted environment. That the files are encrypted
/// is known only with their keys, and these come last.
fn encrypt_state(dir: &DirRef, keys: &DataKeys) -> EnvResult<()> {
    let (file, found) = StateFile::open(&**dir, Access::ReadWrite)?;
    let mut state = StateFile::new(file, found, Some(keys));
    state.rewrite(|state| *state = state.clone().encrypted(Some(keys)))
}

/// Opens the restored files without changing them, and compares them with the cut. Of an encrypted
/// environment the state then says which files it means.
fn prove(
    root: &Root,
    dir: &DirRef,
    world: &WorldRef,
    cut: &Cut,
    options: Options,
) -> EnvResult<(RecoveryReport, u64)> {
    let keys = options.encryption.clone();
    let (env, recovery) = open_at_cut(root, dir, world, cut, options)?;
    let report = env.verify(&VerifyOptions::new())?;
    report.prove(dir.path(), "what was restored")?;
    if let Some(keys) = keys {
        let find = |number| env.core.files.find(number).map(|file| file.header().file);
        let (file, found) = StateFile::open(&**dir, Access::ReadWrite)?;
        let mut state = StateFile::new(file, found, Some(&keys));
        state.rewrite(|state| state.identify(&find))?;
    }
    Ok((recovery, report.entries))
}

/// Opens the files without changing them: they must end where the cut is.
fn open_at_cut(
    root: &Root,
    dir: &DirRef,
    world: &WorldRef,
    cut: &Cut,
    options: Options,
) -> EnvResult<(Environment, RecoveryReport)> {
    let options = options.read_only(true).background(false);
    let root = Root::new(Arc::clone(&root.dir));
    let (env, recovery) = Environment::open_staged(root, Arc::clone(dir), world, options)?;
    let found = env.snapshot()?.commit();
    if found != cut.commit {
        let what =
            format!("the restored files end with commit {found}, the backup with {}", cut.commit);
        return Err(EnvError::NeedsRepair { path: dir.path().to_owned(), why: what });
    }
    Ok((env, recovery))
}

const RESTORING: Name = Name::constant("RESTORING");
const RESTORING_NEW: Name = Name::constant("RESTORING.new");

impl Root {
    pub(crate) fn begin_restoring(&self, how: &str) -> EnvResult<()> {
        Ok(self.dir.replace_small(&RESTORING, &RESTORING_NEW, how.as_bytes(), sites::RESTORING)?)
    }

    /// Removes the mark if it is there. It means nothing beside `CURRENT`, so nobody waits for that.
    pub(crate) fn end_restoring(&self) -> EnvResult<()> {
        match self.dir.remove(&RESTORING) {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(()),
        }
    }
}
