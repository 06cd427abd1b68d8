//! Opening: the directory, the state, recovery, and the worker.

use std::{path::Path, sync::Arc, time::Duration};

use cairn_btree::Forest;
use cairn_io::{
    Access, DirExt as _, DirRef, FileRef, LockGuard, RealDir, RealWorld, World, WorldRef,
    shared::{
        Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};
use cairn_log::{CommitSpan, Uuid};

use crate::{
    EnvError, EnvResult, Environment, HealedFile, Options, RecoveryReport,
    checkpoint::{Checkpointer, Durable},
    commit::Recent,
    core::{CommitState, Core, Holders},
    directories,
    door::Door,
    environment::{Open, copied},
    events::Listeners,
    failure::Failure,
    files::{Files, Identity},
    heal,
    index::Indexes,
    journal::Journal,
    journal_worker, keyring,
    maintenance::{self, Schedule},
    past::{At, state_at},
    pin::Pins,
    pin::reader::{Entry, Hold},
    published::Published,
    recovery::{self, Recovered},
    restore::another_timeline,
    root::{Current, Generation, Root},
    ship::{
        Attachment, Shipping,
        attachment::Side,
        reconcile::{self, Met},
    },
    sites,
    space::Space,
    staging::Staging,
    standby::{StandbyInfo, Superseded},
    state::{Found, State, StateFile},
    sync::lock,
    tell,
    value_cache::ValueCache,
};

/// So many files are healed before an open at most: each takes another attempt.
const MOST_HEALED: usize = 64;

impl Environment {
    /// Opens the environment in the directory `path`, after recovery if it needs any; creates it if
    /// the directory is missing or empty and [`Options::create`] says so.
    ///
    /// An open changes nothing on the disk but the lock: files appear with the first write.
    ///
    /// One process opens an environment for writing; any number may read it meanwhile, with
    /// [`Options::read_only`]. What such a reader sees is what was durable when it came in, as far as
    /// the files say so (the commits of the last moments may be missing while others follow), and it
    /// does not advance. A pin keeps the files that it needs, for as long as it or its process lives;
    /// see [`Environment::pins`]. On a disk that cannot be written a reader keeps writers out instead.
    ///
    /// # Errors
    /// [`EnvError::Locked`] and [`EnvError::AlreadyOpen`] if somebody has it open for writing already;
    /// [`EnvError::NotAnEnvironment`] for a directory of something else; errors of the kind
    /// `Corrupt` that name the file for anything that is damaged, missing or foreign.
    pub fn open(path: impl AsRef<Path>, options: Options) -> EnvResult<(Self, RecoveryReport)> {
        let path = path.as_ref();
        let dir = match RealDir::open(path) {
            Ok(dir) => dir,
            Err(error) if error.is_not_found() && options.create && !options.read_only => {
                RealDir::create(path)?
            }
            Err(error) if error.is_not_found() => {
                let why = "there is no such directory".into();
                return Err(EnvError::NotAnEnvironment { path: path.to_owned(), why });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
                let why = "it is not a directory".into();
                return Err(EnvError::NotAnEnvironment { path: path.to_owned(), why });
            }
            Err(error) => return Err(error.into()),
        };
        Self::open_in(dir, Arc::new(RealWorld::new()), options)
    }

    /// As [`Environment::open`], on any directory and world: on a disk in memory, or on one that a
    /// test lets fail.
    ///
    /// # Errors
    /// As [`Environment::open`].
    pub fn open_in(
        dir: DirRef,
        world: WorldRef,
        options: Options,
    ) -> EnvResult<(Self, RecoveryReport)> {
        let mut healed = Vec::<HealedFile>::new();
        loop {
            let opened = Self::open_once(&dir, &world, &options, None, &healed);
            // A file that was healed and is not right is damaged on both sides, or it is something else.
            match opened {
                Err(error) if healed.len() < MOST_HEALED => {
                    let file = options.replica.as_ref().filter(|_| !options.read_only);
                    let file = file.and_then(|replica| {
                        heal::before_open(&dir, &replica.open().ok()?, &*world, &options, &error)
                    });
                    match file {
                        Some(file) if !healed.contains(&file) => healed.push(file),
                        _ => return Err(error),
                    }
                }
                opened => return opened,
            }
        }
    }

    /// As [`Environment::open_in`], or `at` a moment in its past, for reading only.
    pub(crate) fn open_in_at(
        dir: DirRef,
        world: WorldRef,
        options: Options,
        at: Option<&At<'_>>,
    ) -> EnvResult<(Self, RecoveryReport)> {
        Self::open_once(&dir, &world, &options, at, &[])
    }

    /// Opens it, with files that were healed so that it may open.
    fn open_once(
        dir: &DirRef,
        world: &WorldRef,
        options: &Options,
        at: Option<&At<'_>>,
        healed: &[HealedFile],
    ) -> EnvResult<(Self, RecoveryReport)> {
        let began = world.monotonic();
        let options = options.clone();
        let root = Root::new(DirRef::clone(dir));
        check_writable(&root, &options)?;
        if let Some(text) = root.restoring()? {
            let path = root.dir.path().to_owned();
            return Err(EnvError::IncompleteRestore { path, how: text.trim_end().into() });
        }
        let current = root.current()?;
        if current.is_none() {
            check_creatable(&root, &options)?;
        }
        let claim = match options.read_only {
            true => Claim::Reading(root.enter(&**world)?),
            false => Claim::Writing(root.lock(&**world)?),
        };
        check_writable(&root, &options)?;
        // Whoever had the environment until now may have changed what CURRENT says.
        let (current, created) = match root.current()? {
            Some(current) => (current, false),
            None => (create(&root, world, &options)?, true),
        };
        let dir = root.open_generation(current.generation)?;
        let (env, mut report, met) =
            open_generation(root, dir, world, options, Some(current), claim, (at, healed))?;
        report.created = created;
        report.duration = world.monotonic().saturating_sub(began);
        if let Some(met) = met {
            env.core.attach_met(met)?;
        }
        env.core.heal_when_noted();
        maintenance::start(&env.core)?;
        journal_worker::start(&env.core)?;
        tell_of(&env, &report);
        Ok((env, report))
    }

    /// Opens files that a restore has brought together, before they are an environment.
    pub(crate) fn open_staged(
        root: Root,
        dir: DirRef,
        world: &WorldRef,
        options: Options,
    ) -> EnvResult<(Self, RecoveryReport)> {
        let options = Options { replica: None, ..options };
        let (env, report, _) =
            open_generation(root, dir, world, options, None, Claim::Staging, (None, &[]))?;
        Ok((env, report))
    }

    /// An environment that lives in memory, for examples and tests.
    ///
    /// # Errors
    /// None that are worth handling.
    pub fn in_memory(options: Options) -> EnvResult<(Self, RecoveryReport)> {
        Self::open_in(cairn_io::MemDisk::new().root(), Arc::new(RealWorld::new()), options)
    }
}

/// By what right files are opened.
enum Claim {
    /// They are no environment yet, and whoever brings them together has the lock.
    Staging,
    Writing(LockGuard),
    Reading(Entry),
}

impl Claim {
    /// Whether another process is writing the environment.
    const fn has_writer(&self) -> bool {
        matches!(self, Self::Reading(Entry { has_writer: true, .. }))
    }
}

/// Opens the environment whose files lie in `dir`; recovery included, worker not.
fn open_generation(
    root: Root,
    dir: DirRef,
    world: &WorldRef,
    options: Options,
    current: Option<Current>,
    claim: Claim,
    (at, healed): (Option<&At<'_>>, &[HealedFile]),
) -> EnvResult<(Environment, RecoveryReport, Option<Met>)> {
    let has_writer = claim.has_writer();
    let read = || StateFile::open(&*dir, Access::Read);
    let (mut state_file, mut found) = match has_writer {
        true => patiently(&**world, read)?,
        false if options.read_only => read()?,
        false => {
            let (file, found) = StateFile::open(&*dir, Access::ReadWrite)?;
            // Whoever wrote the newest slot may have died before its sync, with the system alive. Then the
            // other slot is the durable one, and what it refers to must neither be overwritten nor go.
            file.sync(sites::RECOVERED_STATE)?;
            (file, found)
        }
    };
    if let Some(current) = current {
        check_identity(&root, current, &found.newest)?;
    }
    let are_right = options.encryption.is_none();
    let mut options = keyring::opening::unlocked(&root, &*dir, Some(&found.newest), options)?;
    let keys = options.encryption.as_ref();
    let authenticate = |found: &Found| found.authenticate(keys, are_right, root.dir.path());
    match authenticate(&found) {
        // Two slots of which one was looked at before a write and the other one after it.
        Err(EnvError::NotAuthentic { .. }) if has_writer => {
            let again =
                || read().and_then(|(file, found)| authenticate(&found).map(|()| (file, found)));
            (state_file, found) = patiently(&**world, again)?;
        }
        checked => checked?,
    }
    let is_written = matches!(claim, Claim::Writing(_));
    if is_written {
        Superseded::check(&root, found.newest.environment, found.newest.timeline)?;
    }
    let attachment = if is_written { Attachment::read(&root)? } else { None };
    if attachment.is_some_and(|found| found.side == Side::Replica) {
        // What was a replica becomes an environment that goes its own way, with its first write.
        found.newest.timeline = another_timeline(found.newest.timeline, &**world);
    }
    let state = found.newest.clone();
    let (asked, count) = (options.data_directories, state.directories);
    if asked != 0 && asked != count {
        let path = root.dir.path().display();
        let what = format!("{path} has {count} data directories, not {asked}: they are given once");
        return Err(EnvError::InvalidInput { what });
    }
    let data = root.open_data(state.environment, count, Generation(state.generation))?;
    let identity = Identity {
        environment: state.environment,
        timeline: state.timeline,
        generation: state.generation,
        incarnation: AtomicU64::new(state.incarnation),
    };
    let files =
        Arc::new(Files::new(dir, data, Arc::clone(world), identity, state.next_file, &options));
    let source: Arc<dyn cairn_btree::NodeSource> = files.clone();
    let forest = Forest::new(source, options.forest());
    let mut listing = recovery::list(&files)?;
    // What a writer is doing elsewhere cannot be told from what is missing.
    let is_copied = !matches!(claim, Claim::Staging)
        && at.is_none()
        && !has_writer
        && !found.newest.clean
        && !found.is_at_home();
    let hold = match claim {
        Claim::Staging => None,
        Claim::Writing(lock) => Some(Hold::Lock(lock)),
        Claim::Reading(entry) => {
            // All that is there, for a start: what of it is needed is not known yet.
            let (generation, all) = (Generation(state.generation), listing.logs.keys().copied());
            let hold = entry.pin(&root, &**world, state.environment, generation, all.collect())?;
            Some(hold)
        }
    };
    if has_writer {
        listing.leave_out_unborn(&state);
    }
    if hold.is_some() && StandbyInfo::read(&root)?.is_some() {
        // What has arrived behind the end that counts.
        listing.leave_out_later(&state);
    }
    if let Some(at) = at {
        let state = state_at(&files, &listing, &found.newest, at, has_writer)?;
        listing.leave_out_later(&state);
        (found.newest, found.older) = (state, None);
    }
    let (met, brought) = match options.replica.as_ref().filter(|_| is_written) {
        None => (None, 0),
        Some(replica) => {
            let own = attachment.filter(|found| found.side == Side::Source);
            files.second.begin(replica);
            let (met, brought) = reconcile::meet(replica, &files, &listing, &state, own, &**world)?;
            (Some(met), brought)
        }
    };
    // What comes after a moment in the past is none of ours, as what a writer does elsewhere is.
    let has_others = has_writer || at.is_some();
    let mut recovered = recovery::recover(&files, &forest, &found, &listing, &options, has_others)?;
    recovered.report.from_replica = brought;
    recovered.report.healed = healed.to_vec();
    let report = recovered.report.clone();
    let keep = *options.keep_journal.get_or_insert(found.newest.keep);
    let mut state_file = StateFile::new(state_file, found, options.encryption.as_ref());
    state_file.state.keep = keep; // durable with the first write
    let world = Arc::clone(world);
    let core = assemble(root, world, options, files, forest, state_file, recovered)?;
    *lock(&core.hold) = hold;
    *lock(&core.shipping.attachment) = attachment;
    core.narrow_pin(false);
    if is_copied {
        copied::check(&core)?;
    }
    Ok((Environment { core }, report, met))
}

/// Reads the state file while another process may be writing it. A slot that was looked at in the
/// middle of that is looked at again, and so are two that do not belong together; one that stays damaged is.
pub(crate) fn patiently(
    world: &dyn World,
    read: impl Fn() -> EnvResult<(FileRef, Found)>,
) -> EnvResult<(FileRef, Found)> {
    const ATTEMPTS: u32 = 5;
    let mut attempt = 0;
    loop {
        let read = read();
        attempt += 1;
        match &read {
            Ok((_, found)) if !found.damaged_slot => return read,
            Ok(_) | Err(EnvError::NeedsRepair { .. } | EnvError::NotAuthentic { .. })
                if attempt < ATTEMPTS => {}
            _ => return read,
        }
        world.pause(Duration::from_millis(1));
    }
}

/// An error if the directory is to be written and is a standby.
fn check_writable(root: &Root, options: &Options) -> EnvResult<()> {
    match StandbyInfo::read(root)? {
        Some(StandbyInfo { environment, follows, .. }) if !options.read_only => {
            let path = root.dir.path().to_owned();
            Err(EnvError::Standby { path, environment, follows })
        }
        _ => Ok(()),
    }
}

/// An error unless a new environment may be created here.
fn check_creatable(root: &Root, options: &Options) -> EnvResult<()> {
    let path = || root.dir.path().to_owned();
    check_writable(root, options)?;
    if !root.is_blank()? {
        let why = "it has no file CURRENT, and holds something else".into();
        return Err(EnvError::NotAnEnvironment { path: path(), why });
    }
    if !options.create || options.read_only {
        let why = "it is empty, and nothing may be created".into();
        return Err(EnvError::NotAnEnvironment { path: path(), why });
    }
    Ok(())
}

/// Creates an environment in a blank directory. It exists from the moment in which `CURRENT` does:
/// before, a crash leaves a directory that is as good as empty.
fn create(root: &Root, world: &WorldRef, options: &Options) -> EnvResult<Current> {
    check_creatable(root, options)?;
    let directories = options.data_directories;
    directories::check_count(directories)?;
    let mut uuid = [0; 16];
    world.random(&mut uuid);
    let environment = Uuid(uuid);
    let state = State { directories, ..State::first(environment) };
    let new = keyring::opening::create(environment, options, &**world)?;
    let is_again = root.dir.has(&Generation::FIRST.dir_name())?;
    let (keys, keyring) = (new.keys.as_ref(), new.keyring.as_deref());
    let staging = Staging::create(root, state, is_again, keys, keyring)?;
    staging.make_durable(root)?;
    let current = Current { environment, generation: Generation::FIRST };
    root.switch(current)?;
    Ok(current)
}

fn check_identity(root: &Root, current: Current, state: &State) -> EnvResult<()> {
    let path = root.dir.path().join(current.generation.dir_name().as_str()).join("STATE");
    if state.environment != current.environment {
        let why = format!(
            "CURRENT names the environment {}, the state file is of {}",
            current.environment, state.environment
        );
        return Err(EnvError::ForeignFile { path, why });
    }
    if state.generation != current.generation.0 {
        let why = format!("it is of generation {}", state.generation);
        return Err(EnvError::ForeignFile { path, why });
    }
    Ok(())
}

fn assemble(
    root: Root,
    world: WorldRef,
    options: Options,
    files: Arc<Files>,
    forest: Arc<Forest>,
    state: StateFile,
    recovered: Recovered,
) -> EnvResult<Arc<Open>> {
    let Recovered {
        mut writer,
        checkpoint,
        older_file,
        utilization,
        tail,
        unfinished,
        ended,
        oversized,
        sequence,
        time,
        next_tree,
        report,
    } = recovered;
    let published = writer.freeze(sequence)?;
    let mut checkpointer = Checkpointer::new(checkpoint, older_file, utilization);
    let is_checkpoint = |newest: &Durable| newest.record.sequence == sequence;
    checkpointer.cut =
        checkpointer.newest.as_ref().filter(|c| is_checkpoint(c)).map(|_| published.generation());
    let schedule = Schedule::default();
    schedule.has_graves.store(!published.graves()?.is_empty(), Ordering::Release);
    let journal = Journal::default();
    let journaled = report.replayed_bytes;
    journal.begin(sequence);
    let values = ValueCache::new(options.cache_bytes);
    let core = Core {
        options,
        world,
        root,
        files,
        forest,
        report,
        failure: Failure::default(),
        journal,
        commit: Mutex::new(CommitState {
            writer,
            appender: None,
            tail,
            unfinished: Some(unfinished),
            recent: Recent::default(),
            turn: None,
            exclusive: None,
            has_traces: false,
            sequence,
            time,
            next_tree,
            span: CommitSpan::default(),
            watermark: None,
            journal_bytes: 0,
            journaled,
            ended,
            oversized,
        }),
        turn_over: Condvar::new(),
        state: Mutex::new(state),
        checkpointer: Mutex::new(checkpointer),
        pins: Mutex::new(Pins::default()),
        evicting: Mutex::default(),
        values,
        indexes: Indexes::default(),
        building: Mutex::new(()),
        published: Published::new(published),
        latest: AtomicU64::new(sequence),
        acknowledged: AtomicU64::new(sequence),
        holders: Holders::default(),
        counters: super::Counters::default(),
        moving: AtomicUsize::new(0),
        schedule,
        space: Space::default(),
        shipping: Shipping::default(),
        healing: Mutex::default(),
        healed: Mutex::default(),
        events: Listeners::default(),
        scrubbed: Mutex::default(),
        door: Door::default(),
        attached: super::Attached::default(),
        worker: Mutex::new(None),
        journal_worker: Mutex::new(None),
        has_advanced: AtomicBool::new(false),
        hold: Mutex::new(None),
    };
    core.watch_space()?;
    Ok(Arc::new(Open::new(core)))
}

/// Tells what an open has found.
fn tell_of(env: &Environment, report: &RecoveryReport) {
    let path = || tell::display(env.core.root.dir.path().display());
    if let Some(torn) = &report.torn_tail {
        tell::torn_tail(path(), &*torn.set_aside, torn.bytes);
    }
    if let Some(why) = &report.older_checkpoint {
        tell::older_checkpoint(path(), &**why);
    }
    tell::opened(path(), report.sequence, report.replayed_commits, tell::micros(report.duration));
}
