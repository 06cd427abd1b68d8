//! `Approach`: an environment and its replica meet again.
//!
//! First of all it is decided by what both say of themselves whether they belong together: the environment, its
//! timeline, and the number under which they were attached. Only if all that is the same do lengths count: then
//! the longer valid journal is that of both, before a commit is accepted. Everything else is either a replica
//! that is stale, whose own journal is set aside and which gets a new base, or one that went its own way, or
//! further than this environment: that one is refused, and nothing of it is touched.

use std::sync::Arc;

use cairn_io::{Access, DirRef, FileExt, LockGuard, shared::atomic::Ordering};
use cairn_log::{FileClass, FileNumber, LogError, LogFile, journal_boundary};

use crate::{
    EnvError, EnvResult,
    core::Core,
    files::Files,
    recovery::{Listing, replay::is_unborn},
    root::{Current, Root},
    ship::{
        ReplicaOptions, ReplicaPolicy,
        attachment::{Attachment, Side},
        feed::Mode,
        filling::Filling,
        replica::{self, Replica},
    },
    sites,
    standby::{StandbyInfo, Superseded},
    state::{State, StateFile},
    sync::lock,
};

/// A directory that is, or may become, a replica of this environment; locked.
#[derive(Debug)]
pub(crate) struct Open {
    pub(super) root: Root,
    pub(super) lock: LockGuard,
    current: Option<Current>,
}

/// What a replica is to the environment that comes to it.
#[derive(Debug)]
pub(crate) enum Approach {
    /// Every acknowledged commit is on both.
    Same(Open),
    /// It has nothing, or is stale.
    Fill(Open),
}

/// A replica as an open has found it.
#[derive(Debug)]
pub(crate) enum Met {
    Approach(Approach),
    /// It cannot be had, and that is not needed.
    Away(EnvError),
}

/// Looks at the replica, of an environment whose files are `files` and that says `own` of its replica.
fn look(
    options: &ReplicaOptions,
    files: &Files,
    own: Option<Attachment>,
    world: &dyn cairn_io::World,
) -> EnvResult<Approach> {
    let root = Root::new(options.open()?);
    let refused = |why: String| EnvError::Replica { path: options.path().to_owned(), why };
    let check = |root: &Root| -> EnvResult<Option<Attachment>> {
        let found = Attachment::read(root)?;
        match found {
            None if root.is_blank()? && StandbyInfo::read(root)?.is_none() => Ok(None),
            None => {
                let why =
                    "it is no replica: it holds something else, or was opened and goes its own way";
                Err(refused(why.into()))
            }
            Some(found) if found.side == Side::Source => {
                Err(refused("it is an environment that has a replica of its own".into()))
            }
            Some(found) if found.environment != files.identity.environment => {
                Err(refused(format!("it is a replica of the environment {}", found.environment)))
            }
            found => Ok(found),
        }
    };
    check(&root)?; // no lock file is left in a directory of something else
    let lock = root.lock(world)?;
    let found = check(&root)?;
    let current = root.current()?;
    let Some(found) = found else { return Ok(Approach::Fill(Open { root, lock, current })) };
    if let Some(current) = current {
        let dir = root.open_generation(current.generation)?;
        let (_, state) = StateFile::open(&*dir, Access::Read)?;
        let State { environment, timeline, .. } = state.newest;
        Superseded::check(&root, environment, timeline)?;
        if timeline != found.timeline {
            return Err(refused("it was opened, and goes its own way since".into()));
        }
    }
    let own = own.filter(|own| own.timeline == files.identity.timeline);
    let known = own.map_or(0, |own| own.number);
    if found.timeline == files.identity.timeline && found.number > known {
        let why = format!(
            "it is ahead: it was attached by number {}, and this environment knows of {known}; open the \
             replica instead, or remove it",
            found.number
        );
        return Err(refused(why));
    }
    let is_same = own.is_some_and(|own| own.is_attached && own.number == found.number)
        && found.timeline == files.identity.timeline
        && found.is_attached;
    let open = Open { root, lock, current };
    Ok(if is_same && current.is_some() { Approach::Same(open) } else { Approach::Fill(open) })
}

/// As [`look`], for an environment that is open.
pub(super) fn approach(core: &Core, options: &ReplicaOptions) -> EnvResult<Approach> {
    let own = *lock(&core.shipping.attachment);
    look(options, &core.files, own, &*core.world)
}

/// Meets the replica before the environment's own journal is looked at. If they belong together and the
/// replica's is longer, its end is brought over. Returns how many bytes that were, too.
pub(crate) fn meet(
    options: &ReplicaOptions,
    files: &Files,
    listing: &Listing,
    state: &State,
    own: Option<Attachment>,
    world: &dyn cairn_io::World,
) -> EnvResult<(Met, u64)> {
    let approach = match look(options, files, own, world) {
        Ok(approach) => approach,
        // One that is there and is none of ours is a mistake, whatever the policy.
        Err(error @ EnvError::Io(_)) if options.policy() == ReplicaPolicy::Degrade => {
            return Ok((Met::Away(error), 0));
        }
        Err(error) => return Err(error),
    };
    let brought = match &approach {
        Approach::Same(open) => bring_over(open, files, listing, state)?,
        Approach::Fill(_) => 0,
    };
    Ok((Met::Approach(approach), brought))
}

/// Brings over what the replica has of the newest journal file beyond what is valid here: the bytes that were
/// written here and that a crash took.
fn bring_over(open: &Open, files: &Files, listing: &Listing, state: &State) -> EnvResult<u64> {
    let Some(current) = open.current else { return Ok(0) };
    let dirs = replica_dirs(open, current, files)?;
    check_not_behind(open, &dirs, files, listing, state)?;
    let Some((theirs, longer)) = replica::newest_journal(&dirs, files.identity.environment)? else {
        return Ok(0);
    };
    let name = theirs.name();
    let lacks = || {
        let why = format!("it has {name}, which this environment lacks; open the replica instead");
        Err(EnvError::Replica { path: open.root.dir.path().to_owned(), why })
    };
    match listing.newest_journal() {
        Some(newest) if newest.number == name.number => {}
        Some(newest) if newest.number > name.number => return Ok(0),
        _ => return lacks(),
    }
    let ours = match files.look_at(name) {
        Err(LogError::Corrupt { .. }) if is_unborn(files, &name)? => return lacks(),
        ours => ours?,
    };
    if ours.header() != theirs.header() {
        let why = format!("{name} is another file here than there; open the replica instead");
        return Err(EnvError::Replica { path: open.root.dir.path().to_owned(), why });
    }
    let end = replica::valid_end(&ours)?;
    if end >= longer {
        return Ok(0);
    }
    copy_range(files, &theirs, end, longer)?;
    Ok(longer - end)
}

/// An error if the replica has what this environment has not come to: it was brought back from an earlier time, and
/// would use the numbers of files once more that the replica has.
fn check_not_behind(
    open: &Open,
    dirs: &[DirRef],
    files: &Files,
    listing: &Listing,
    state: &State,
) -> EnvResult<()> {
    let refused = |why: String| {
        let why = format!("{why}; this environment is older: open the replica instead");
        Err(EnvError::Replica { path: open.root.dir.path().to_owned(), why })
    };
    // Whatever a replica has was durable in its source before, names included.
    let next = listing.logs.keys().next_back().and_then(|last| last.next());
    let next = next.map_or(files.next(), |next| next.max(files.next()));
    for dir in dirs {
        if let Some(name) = replica::log_names(&**dir)?.into_iter().find(|n| n.number >= next) {
            return refused(format!("it has {name}, whose number was not given out here yet"));
        }
    }
    let (_, theirs) = StateFile::open(&*dirs[0], Access::Read)?;
    let (theirs, ours) = (theirs.newest.checkpoint_number, state.checkpoint_number);
    match theirs > ours {
        true => refused(format!("it starts from checkpoint {theirs}, the newest here is {ours}")),
        false => Ok(()),
    }
}

fn copy_range(files: &Files, theirs: &LogFile, from: u64, to: u64) -> EnvResult<()> {
    let (name, header) = (theirs.name(), theirs.header());
    let handle = files.dir_of(name.number).open(&name.to_name(), Access::ReadWrite)?;
    let boundary = journal_boundary(to, header.capacity);
    if handle.len()? < boundary {
        handle.set_len(boundary)?;
    }
    let mut buf = vec![0; 1 << 18];
    let mut at = from;
    while at < to {
        let want = usize::try_from(to - at).map_or(buf.len(), |left| left.min(buf.len()));
        theirs.handle().read_exact_at(at, &mut buf[..want])?;
        handle.write_all_at(at, &buf[..want])?;
        at += want as u64;
    }
    Ok(handle.sync(sites::BROUGHT_OVER)?)
}

fn replica_dirs(open: &Open, current: Current, files: &Files) -> EnvResult<Vec<DirRef>> {
    let root = open.root.open_generation(current.generation)?;
    let count = u16::try_from(files.dirs().count() - 1).unwrap_or(0);
    let data = open.root.open_data(files.identity.environment, count, current.generation)?;
    Ok([root].into_iter().chain(data).collect())
}

impl Core {
    /// Attaches the replica that the open has met, or begins without it; before anybody can commit.
    pub(crate) fn attach_met(&self, met: Met) -> EnvResult<()> {
        self.shipping.tends.store(true, Ordering::Release);
        let policy = self.options.replica.as_ref().map(ReplicaOptions::policy).unwrap_or_default();
        match self.try_to_attach(met, policy) {
            Err(error) if policy == ReplicaPolicy::Degrade && self.check().is_ok() => {
                let now = self.world.monotonic();
                let error = Arc::new(error);
                lock(&self.shipping.tending).begin_detached(Some(error), now);
                Ok(())
            }
            attached => attached,
        }
    }

    fn try_to_attach(&self, met: Met, policy: ReplicaPolicy) -> EnvResult<()> {
        let open = match met {
            Met::Away(error) => return Err(error),
            Met::Approach(Approach::Same(open)) => match self.resume(open)? {
                None => return Ok(()),
                Some(open) => open,
            },
            Met::Approach(Approach::Fill(open)) => open,
        };
        if policy == ReplicaPolicy::Degrade && self.options.background {
            let now = self.world.monotonic();
            lock(&self.shipping.tending).begin_detached(None, now);
            return Ok(()); // the worker fills it; nobody waits for that
        }
        let mut filling = Some(Filling::begin_in(self, open)?);
        while let Some(step) = filling.take() {
            filling = step.step(self)?;
        }
        Ok(())
    }

    /// Goes on with a replica that has every acknowledged commit. Gives it back if it does not fit after all.
    fn resume(&self, open: Open) -> EnvResult<Option<Open>> {
        let Some(current) = open.current else { return Ok(Some(open)) };
        let dirs = replica_dirs(&open, current, &self.files)?;
        let (environment, keys) =
            (self.files.identity.environment, self.options.encryption.as_ref());
        let Open { root, lock: held, .. } = open;
        let again = Root::new(Arc::clone(&root.dir));
        let replica = Replica::open(root, held, current.generation, environment, dirs, keys)?;
        let journals = self.journals_from(replica.position().map(|(file, _)| file));
        let fits = match (replica.position(), journals.first()) {
            (None, _) => true,
            (Some((file, at)), Some((first, end))) => {
                let ends = |file: &LogFile| file.header().previous.map(|p| (p.file, p.end));
                let header = first.header();
                let is_in_it = header.number == file
                    && Some(header.file) == replica.journal_uuid()
                    && at <= *end;
                // One that was brought back from an earlier time may lack files that are gone here.
                let is_whole = journals
                    .windows(2)
                    .all(|pair| ends(&pair[1].0) == Some((pair[0].0.header().number, pair[0].1)));
                (is_in_it || ends(first) == Some((file, at))) && is_whole
            }
            (Some(_), None) => false,
        };
        if !fits {
            return Ok(Some(Open {
                root: again,
                lock: replica.into_lock(),
                current: Some(current),
            }));
        }
        replica.take_keyring(&*self.files.dir)?;
        let replica = Arc::new(replica);
        let feed = self.shipping.add(self, Arc::clone(&replica) as Arc<_>, Mode::Held);
        let sent = self.shipping.with_feed(self, feed, |feed| {
            for (file, end) in &journals {
                feed.begun(file);
                feed.ended(file.header().number, *end);
            }
            if let Some((number, at)) = replica.position() {
                feed.resume(number, at);
            }
            feed.drain()
        });
        if let Some(Err(error)) = sent {
            self.shipping.remove(self, feed);
            return Err(error);
        }
        self.replica_attached(feed, replica);
        Ok(None)
    }

    /// The journal files from `first` on, none of which is in use, with their ends.
    fn journals_from(&self, first: Option<FileNumber>) -> Vec<(Arc<LogFile>, u64)> {
        let mut checkpointer = lock(&self.checkpointer);
        self.add_new_files(&mut checkpointer.utilization);
        let is_wanted = |file: &Arc<LogFile>| {
            let header = file.header();
            header.class == FileClass::Journal && first.is_none_or(|first| header.number >= first)
        };
        let files = self.files.all().into_iter().filter(is_wanted);
        let end = |file: &Arc<LogFile>| {
            let used = checkpointer.utilization.files.get(&file.header().number)?;
            used.end.offset()
        };
        files.filter_map(|file| end(&file).map(|end| (file, end))).collect()
    }

    /// Does what is due before the first commit of this run, which has no replica although it had one, or is the
    /// first of what was a replica itself. The state is durable already, new timeline included.
    pub(crate) fn settle_attachment(&self) -> EnvResult<()> {
        let found = *lock(&self.shipping.attachment);
        match found {
            Some(found) if found.side == Side::Replica => {
                Attachment::remove(&self.root)?;
                *lock(&self.shipping.attachment) = None;
                Ok(())
            }
            Some(found) if found.is_attached => {
                let has_replica = lock(&self.shipping.tending).has_replica();
                if has_replica { Ok(()) } else { self.detach() }
            }
            _ => Ok(()),
        }
    }
}
