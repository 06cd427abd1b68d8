//! `Filling`: a replica gets its base, then the journal since, and then counts.
//!
//! It is filled in a generation directory of its own, beside whatever it held before, and `CURRENT` is switched
//! to that when it has everything: until then it is what it was. First of all the source takes the next number,
//! so a replica that is overtaken by a crash in the middle is known to be one that was never attached.

use std::sync::Arc;

use cairn_io::{FileExt, LockGuard, shared::atomic::Ordering};
use cairn_log::{FileClass, LogError, LogFile, Timeline};

use crate::{
    EnvError, EnvResult, PinBudget,
    backup::{self, Frozen},
    core::Core,
    heal::generation_dirs,
    journal::RoleGuard,
    recovery::replay::set_aside_name,
    root::{Current, Root},
    ship::{
        attachment::{Attachment, Side},
        feed::Mode,
        reconcile::{self, Approach, Open},
        replica::{self, Replica},
        sink::{JournalPiece, JournalSink},
    },
    sites,
    staging::Staging,
    state::State,
    sync::lock,
};

/// A replica that is getting its base, and the journal since.
#[derive(Debug)]
pub(super) struct Filling {
    feed: u64,
    replica: Arc<Replica>,
    staging: Staging,
    set: Frozen,
    /// How many files of the base are copied.
    copied: usize,
    number: u64,
    timeline: Timeline,
}

/// Takes the place of a sink until there is one: a feed that is held pushes nothing.
#[derive(Debug)]
struct NoSink;

impl JournalSink for NoSink {
    fn push(&self, _: &JournalPiece<'_>) -> EnvResult<()> {
        Err(EnvError::internal("a feed without a sink"))
    }

    fn sync(&self) -> EnvResult<()> {
        Ok(())
    }
}

/// Bytes of journal that may be left when commits begin to wait for the replica: they all wait until it has
/// these.
const REST: u64 = 256 << 10;

impl Filling {
    /// Begins to fill the replica of the options, wherever it stands.
    pub(super) fn begin(core: &Core) -> EnvResult<Option<Self>> {
        let Some(options) = &core.options.replica else { return Ok(None) };
        match reconcile::approach(core, options)? {
            Approach::Same(open) | Approach::Fill(open) => Self::begin_in(core, open).map(Some),
        }
    }

    /// Begins to fill the replica in `open`.
    pub(super) fn begin_in(core: &Core, open: Open) -> EnvResult<Self> {
        let number = core.next_attachment()?;
        // From here on each journal file that is begun is known to the feed: the base may end anywhere.
        let feed = core.shipping.add(core, Arc::new(NoSink), Mode::Held);
        let begun = Self::freeze(core, open, feed, number);
        if begun.is_err() {
            core.shipping.remove(core, feed);
        }
        begun
    }

    fn freeze(core: &Core, open: Open, feed: u64, number: u64) -> EnvResult<Self> {
        let Open { root, lock: held, .. } = open;
        root.check_no_strangers(&[core.files.identity.environment])?;
        // What fillings have left that were cut short.
        let current = root.current()?.map(|current| current.generation);
        root.remove_others(current.as_slice(), &*core.world)?;
        let set = backup::freeze(core, PinBudget::default())?;
        let begun = Self::begin_with(core, root, held, &set, number);
        match begun {
            Ok((replica, staging)) => Ok(Self {
                feed,
                replica: Arc::new(replica),
                staging,
                timeline: set.cut().timeline,
                set,
                copied: 0,
                number,
            }),
            Err(error) => {
                set.release(core);
                Err(error)
            }
        }
    }

    fn begin_with(
        core: &Core,
        root: Root,
        held: LockGuard,
        set: &Frozen,
        number: u64,
    ) -> EnvResult<(Replica, Staging)> {
        let cut = set.cut();
        let generation = root.next_generation()?;
        let is_first = root.current()?.is_none();
        let (environment, timeline) = (cut.environment, cut.timeline);
        if is_first {
            let side = Side::Replica;
            Attachment { environment, timeline, side, number, is_attached: false }.write(&root)?;
        }
        let keys = core.options.encryption.as_ref();
        let state = State {
            clean: false,
            timeline,
            generation: generation.0,
            directories: cut.directories,
            incarnation: core.files.identity.incarnation.load(Ordering::Relaxed),
            checkpoint: cut.checkpoint,
            checkpoint_number: cut.checkpoint_number,
            next_file: cut.next_file,
            tail: cut.journal_end,
            sequence: cut.commit,
            keep: core.retention(),
            ..State::first(environment)
        };
        // Fillings that failed may have come before this one.
        let staging = Staging::create(&root, state, true, keys, set.keyring())?;
        let replica = Replica::open(root, held, generation, environment, staging.dirs(), keys)?;
        Ok((replica, staging))
    }

    /// The feed that holds the journal since.
    pub(super) const fn feed(&self) -> u64 {
        self.feed
    }

    /// Takes a step; `None` when the replica is attached. On an error it is given up.
    pub(super) fn step(mut self, core: &Core) -> EnvResult<Option<Self>> {
        match self.step_once(core) {
            Ok(false) => Ok(Some(self)),
            Ok(true) => {
                self.set.release(core);
                Ok(None)
            }
            Err(error) => {
                self.set.release(core);
                core.shipping.remove(core, self.feed);
                Err(error)
            }
        }
    }

    fn step_once(&mut self, core: &Core) -> EnvResult<bool> {
        if let Some(file) = self.set.files().get(self.copied) {
            self.replica.copy(file)?;
            self.copied += 1;
            if self.copied == self.set.files().len() {
                self.base_is_there(core)?;
            }
            return Ok(false);
        }
        if self.set.files().is_empty() && self.copied == 0 {
            self.copied = 1;
            self.base_is_there(core)?;
            return Ok(false);
        }
        let lag = core.shipping.with_feed(core, self.feed, |feed| feed.lag());
        if lag.unwrap_or(0) > REST && core.ship_piece(self.feed)? {
            return Ok(false);
        }
        self.attach(core)?;
        Ok(true)
    }

    /// The base is copied: what follows is journal.
    fn base_is_there(&mut self, core: &Core) -> EnvResult<()> {
        self.replica.identify(core)?;
        self.replica.found_journal()?;
        self.set_aside(core)?;
        let cut = self.set.cut().journal_end;
        let sink: Arc<dyn JournalSink> = Arc::clone(&self.replica) as Arc<dyn JournalSink>;
        core.shipping.with_feed(core, self.feed, |feed| {
            feed.sink = sink;
            if let Some(end) = cut {
                feed.resume(end.file, end.end);
            }
        });
        Ok(())
    }

    /// Keeps what the replica held before and its source does not know: the tail of its journal. The base has
    /// been copied, so every journal file of the source that still counts is known.
    fn set_aside(&self, core: &Core) -> EnvResult<()> {
        let root = &self.replica.root;
        let Some(Current { environment, generation }) = root.current()? else { return Ok(()) };
        if environment != core.files.identity.environment {
            return Ok(());
        }
        let oldest = core.files.all().iter().map(|file| file.header().number).min();
        for dir in generation_dirs(root, generation)? {
            for name in replica::log_names(&*dir)? {
                if name.class != FileClass::Journal
                    || oldest.is_some_and(|oldest| name.number < oldest)
                {
                    continue;
                }
                let file = match LogFile::open(&*dir, name, environment) {
                    // What has no valid header holds nothing that could be read.
                    Err(LogError::Corrupt { .. }) => continue,
                    opened => opened?,
                };
                let end = replica::valid_end(&file)?;
                let known = core.files.find(name.number);
                let known = known.filter(|known| known.header().file == file.header().file);
                let from = known.map_or(0, |known| core.journal_file_end(&known));
                if from < end {
                    self.keep(&file, from, end)?;
                }
            }
        }
        Ok(())
    }

    fn keep(&self, file: &LogFile, from: u64, end: u64) -> EnvResult<()> {
        let name = cairn_io::Name::new(set_aside_name(file, from))
            .map_err(|_| EnvError::internal("the name for bytes that are set aside"))?;
        let copy = self.replica.dirs[0].create(&name)?;
        let mut buf = vec![0; 1 << 18];
        let mut at = from;
        while at < end {
            let want = usize::try_from(end - at).map_or(buf.len(), |left| left.min(buf.len()));
            file.handle().read_exact_at(at, &mut buf[..want])?;
            copy.write_all_at(at - from, &buf[..want])?;
            at += want as u64;
        }
        Ok(copy.sync(sites::SET_ASIDE)?)
    }

    /// Sends the rest while nobody commits, and has commits wait from then on.
    fn attach(&self, core: &Core) -> EnvResult<()> {
        let role = core.take_flush_role();
        core.failure.check()?;
        self.send_rest(core, &role)?;
        self.staging.make_durable(&self.replica.root)?;
        let Self { timeline, number, .. } = *self;
        let environment = core.files.identity.environment;
        let side = Side::Replica;
        let here = Attachment { environment, timeline, side, number, is_attached: true };
        here.write(&self.replica.root)?;
        let generation = self.replica.generation;
        self.replica.root.switch(Current { environment, generation })?;
        // Everything that is durable here is durable there: from here on that stays so.
        let source = Attachment { side: Side::Source, ..here };
        let mut attachment = lock(&core.shipping.attachment);
        let written = source.write(&core.root);
        written.map_err(|error| EnvError::Poisoned { cause: core.failure.poison(error) })?;
        *attachment = Some(source);
        drop(attachment);
        core.replica_attached(self.feed, Arc::clone(&self.replica));
        drop(role);
        // What it held before. If it stays, the next filling removes it.
        drop(self.replica.root.remove_others(&[generation], &*core.world));
        Ok(())
    }

    fn send_rest(&self, core: &Core, role: &RoleGuard<'_>) -> EnvResult<()> {
        let sent = core.shipping.with_feed(core, self.feed, |feed| {
            if let Some((number, written)) = role.written() {
                feed.reaches(number, written, core.world.monotonic());
            }
            feed.drain()
        });
        sent.unwrap_or(Ok(()))?;
        self.replica.sync()
    }
}

impl Core {
    /// Takes the next number of an attachment, durably: whatever has another one is stale.
    fn next_attachment(&self) -> EnvResult<u64> {
        let mut attachment = lock(&self.shipping.attachment);
        let number = attachment.map_or(0, |found| found.number) + 1;
        let identity = &self.files.identity;
        let (environment, timeline) = (identity.environment, identity.timeline);
        let side = Side::Source;
        let now = Attachment { environment, timeline, side, number, is_attached: false };
        now.write(&self.root)?;
        *attachment = Some(now);
        Ok(number)
    }

    /// Where a journal file of this environment ends, or what is written of it.
    fn journal_file_end(&self, file: &LogFile) -> u64 {
        let number = file.header().number;
        let checkpointer = lock(&self.checkpointer);
        let used = checkpointer.utilization.files.get(&number);
        used.and_then(|used| used.end.offset()).unwrap_or_else(|| file.written())
    }
}
