//! What ships: called where the journal is written, synced, begun and ended.
//!
//! Without a sink all of it is one look at a flag per sync, and nothing per commit. Feeds are looked at under a
//! lock of their own, which comes after those of the journal and before those of pins. Whoever pushes for a
//! sink that commits do not wait for lets that lock go meanwhile, so a slow sink keeps nobody up.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use cairn_io::shared::{
    Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use cairn_log::{FileNumber, Flusher, LogFile};

use crate::{
    EnvError, EnvResult, Event,
    core::Core,
    ship::{
        Attachment, JournalSink, ReplicaPolicy,
        feed::{Feed, Mode, Piece},
        syncer::Syncer,
        tending::Tending,
    },
    sync::lock,
};

/// The feed whose sink was asked for a sync, if one was.
#[must_use = "the sync is to be collected"]
pub(crate) struct Asked(Option<u64>);

/// The sinks of an environment.
#[derive(Debug, Default)]
pub(crate) struct Shipping {
    feeds: Mutex<Vec<Feed>>,
    has_feeds: AtomicBool,
    /// Whether commits wait for one of them.
    waits: AtomicBool,
    next: AtomicU64,
    pub(super) syncer: Syncer,
    /// What the file `REPLICA` of the root says.
    pub(crate) attachment: Mutex<Option<Attachment>>,
    pub(super) tending: Mutex<Tending>,
    /// Whether there is a replica, or should be.
    pub(super) tends: AtomicBool,
}

impl Shipping {
    /// Whether anybody gets the journal.
    pub(crate) fn has_feeds(&self) -> bool {
        self.has_feeds.load(Ordering::Acquire)
    }

    fn waits(&self) -> bool {
        self.waits.load(Ordering::Acquire)
    }

    /// Looks at the feeds, or changes them.
    fn with<T>(&self, core: &Core, look: impl FnOnce(&mut Vec<Feed>) -> T) -> T {
        let mut feeds = lock(&self.feeds);
        let result = look(&mut feeds);
        self.has_feeds.store(!feeds.is_empty(), Ordering::Release);
        let is_waited = feeds.iter().any(|feed| feed.mode == Mode::Waited);
        self.waits.store(is_waited, Ordering::Release);
        // What is not shipped yet stays.
        let kept: BTreeSet<FileNumber> = feeds.iter().flat_map(Feed::numbers).collect();
        lock(&core.pins).shipping = kept;
        result
    }

    /// Adds a feed; it gets the journal files that are begun from now on.
    pub(super) fn add(&self, core: &Core, sink: Arc<dyn JournalSink>, mode: Mode) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.with(core, |feeds| feeds.push(Feed::new(id, sink, mode)));
        id
    }

    /// Ends a feed.
    pub(super) fn remove(&self, core: &Core, id: u64) {
        self.with(core, |feeds| feeds.retain(|feed| feed.id != id));
    }

    /// Ends all feeds.
    pub(super) fn clear(&self, core: &Core) {
        self.with(core, Vec::clear);
    }

    /// Looks at a feed; `None` if it has ended.
    pub(super) fn with_feed<T>(
        &self,
        core: &Core,
        id: u64,
        look: impl FnOnce(&mut Feed) -> T,
    ) -> Option<T> {
        self.with(core, |feeds| feeds.iter_mut().find(|feed| feed.id == id).map(look))
    }

    /// Those that the background worker pushes for.
    fn behind(&self) -> Vec<u64> {
        let feeds = lock(&self.feeds);
        feeds.iter().filter(|feed| feed.mode == Mode::Behind).map(|feed| feed.id).collect()
    }

    /// Bytes that the sink furthest behind has yet to get, and for how long the one longest behind has been so.
    pub(crate) fn lag(&self, now: Duration) -> (u64, Duration) {
        let feeds = lock(&self.feeds);
        let time = feeds.iter().map(|feed| feed.lag_time(now)).max();
        (feeds.iter().map(Feed::lag).max().unwrap_or(0), time.unwrap_or_default())
    }
}

impl Core {
    /// A journal file was begun. The caller has the flush role and the commit lock.
    pub(crate) fn ship_begun(&self, file: &Arc<LogFile>) {
        if self.shipping.has_feeds() {
            self.shipping.with(self, |feeds| feeds.iter_mut().for_each(|feed| feed.begun(file)));
        }
    }

    /// The journal file `number` has come to an end. The caller has the flush role and the commit lock.
    pub(crate) fn ship_ended(&self, number: FileNumber, end: u64) -> EnvResult<()> {
        if !self.shipping.has_feeds() {
            return Ok(());
        }
        self.shipping.with(self, |feeds| feeds.iter_mut().for_each(|feed| feed.ended(number, end)));
        let asked = self.ship_waited(None)?;
        self.ship_synced(asked)
    }

    /// What `flusher` has written is about to be synced: those whom commits wait for have it when this returns, and
    /// have made it durable when [`Core::ship_synced`] does. (They may have it and a crash take it from the source: then
    /// nothing of it was acknowledged, and when both meet again the longer journal is that of both.)
    pub(crate) fn ship_written(&self, flusher: &Flusher) -> EnvResult<Asked> {
        if !self.shipping.waits() {
            return Ok(Asked(None));
        }
        self.ship_waited(Some((flusher.file().header().number, flusher.written())))
    }

    /// Returns when the sink that was asked for a sync has done it.
    pub(crate) fn ship_synced(&self, asked: Asked) -> EnvResult<()> {
        let Some(id) = asked.0 else { return Ok(()) };
        self.shipping.syncer.collect().or_else(|error| {
            self.shipping.with_feed(self, id, |feed| feed.mode = Mode::Held);
            self.sink_failed(id, error)
        })
    }

    /// What `flusher` has written is durable: those whom nobody waits for may have it.
    pub(crate) fn ship_durable(&self, flusher: &Flusher) {
        if self.shipping.has_feeds() {
            let (number, end) = (flusher.file().header().number, flusher.synced());
            let now = self.world.monotonic();
            self.shipping.with(self, |feeds| {
                feeds.iter_mut().for_each(|feed| feed.reaches(number, end, now));
            });
        }
    }

    /// Pushes what there is for those whom commits wait for. One of them is asked for its sync, which is to be collected;
    /// if there are several, the others have done theirs.
    fn ship_waited(&self, reached: Option<(FileNumber, u64)>) -> EnvResult<Asked> {
        let (mut asked, now) = (None, self.world.monotonic());
        let failed = self.shipping.with(self, |feeds| {
            let mut failed = Vec::new();
            for feed in feeds.iter_mut().filter(|feed| feed.mode == Mode::Waited) {
                if let Some((number, end)) = reached {
                    feed.reaches(number, end, now);
                }
                let pushed = feed.push_all();
                let done = pushed.and_then(|pushed| match asked {
                    _ if !pushed => Ok(()),
                    None => {
                        asked = Some((feed.id, Arc::clone(&feed.sink)));
                        Ok(())
                    }
                    Some(_) => feed.sink.sync(),
                });
                if let Err(error) = done {
                    feed.mode = Mode::Held; // what it has is unknown: it gets nothing more
                    failed.push((feed.id, error));
                }
            }
            failed
        });
        failed.into_iter().try_for_each(|(id, error)| self.sink_failed(id, error))?;
        Ok(Asked(asked.map(|(id, sink)| {
            self.shipping.syncer.ask(sink);
            id
        })))
    }

    /// Gives the replica what there is of the journal, without a commit.
    pub(super) fn ship_to_replica(&self) -> EnvResult<()> {
        let Some(id) = lock(&self.shipping.tending).feed() else { return Ok(()) };
        let _role = self.take_flush_role();
        self.failure.check()?;
        let sent = self.shipping.with_feed(self, id, |feed| {
            feed.drain().inspect_err(|_| feed.mode = Mode::Held) // what it has is unknown: it gets nothing more
        });
        sent.unwrap_or(Ok(())).or_else(|error| self.sink_failed(id, error))
    }

    /// Goes on without a sink, if that is allowed, and says so before anything is acknowledged; otherwise the
    /// environment fails.
    pub(super) fn sink_failed(&self, id: u64, error: EnvError) -> EnvResult<()> {
        let may_go_on = self
            .options
            .replica
            .as_ref()
            .is_some_and(|replica| replica.policy() == ReplicaPolicy::Degrade)
            && lock(&self.shipping.tending).is_replica(id);
        if !may_go_on {
            return Err(self.commit_unknown(error));
        }
        self.shipping.remove(self, id);
        if let Err(error) = self.detach() {
            return Err(self.commit_unknown(error));
        }
        let (now, error) = (self.world.monotonic(), Arc::new(error));
        lock(&self.shipping.tending).lost(id, Arc::clone(&error), now);
        self.raise(|path| Event::ReplicaLost { path, error });
        Ok(())
    }

    /// Notes, durably, that this environment goes on without its replica.
    pub(super) fn detach(&self) -> EnvResult<()> {
        let mut attachment = lock(&self.shipping.attachment);
        let Some(found) = *attachment else { return Ok(()) };
        if found.is_attached {
            let now = Attachment { number: found.number + 1, is_attached: false, ..found };
            now.write(&self.root)?;
            *attachment = Some(now);
        }
        Ok(())
    }

    /// Pushes a piece to each sink that commits do not wait for; returns whether there was one, and what went
    /// wrong last. One that does not take its own keeps none of the others waiting.
    pub(super) fn ship_behind(&self) -> (bool, Option<Arc<EnvError>>) {
        let (mut did, mut failed) = (false, None);
        for id in self.shipping.behind() {
            match self.ship_piece(id) {
                Ok(shipped) => did |= shipped,
                Err(error) => {
                    let error = Arc::new(error);
                    self.shipping.with_feed(self, id, |feed| {
                        feed.trouble = Some(Arc::clone(&error));
                    });
                    self.events.raise(Event::ShippingTrouble { error: Arc::clone(&error) });
                    failed = Some(error);
                }
            }
        }
        (did, failed)
    }

    /// Pushes the next piece of a feed that nobody else pushes for, and makes it durable; returns whether there
    /// was one.
    pub(super) fn ship_piece(&self, id: u64) -> EnvResult<bool> {
        let next = self.shipping.with_feed(self, id, |feed| {
            let piece: Option<Piece> = feed.next();
            piece.map(|piece| (piece, Arc::clone(&feed.sink)))
        });
        let Some(Some((piece, sink))) = next else { return Ok(false) };
        piece.push(&*sink)?;
        sink.sync()?;
        self.shipping.with_feed(self, id, |feed| feed.taken(&piece));
        Ok(true)
    }
}
