//! `Shipment`: the journal on its way to a sink of the user's own.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use cairn_log::FileNumber;

use crate::{
    EnvError, EnvResult, Environment, PinBudget,
    backup::{self, BackupSet},
    core::Core,
    ship::{JournalSink, feed::Mode},
};

/// Whether commits wait for a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "they wait or they do not")]
pub enum ShipMode {
    /// What is acknowledged as durable, the sink has, and has made durable. If it fails, the environment does.
    Waited,
    /// The background worker pushes what is durable here. If the sink fails, it is tried again each second, and
    /// the journal that it has yet to get stays; see [`Stats::ship_lag_bytes`](crate::Stats#structfield.ship_lag_bytes).
    Behind,
}

/// The journal on its way to a sink, until this is dropped or the environment closed:
/// [`Environment::ship`].
#[must_use = "shipping ends when it is dropped"]
#[derive(Debug)]
pub struct Shipment {
    core: Weak<Core>,
    feed: u64,
    base: Option<BackupSet>,
}

impl Shipment {
    /// The base: what is pushed to the sink is the journal from its cut on. `None` once it was taken.
    pub fn take_base(&mut self) -> Option<BackupSet> {
        self.base.take()
    }

    /// Bytes of the journal that the sink may have and has yet to get.
    #[must_use]
    pub fn lag_bytes(&self) -> u64 {
        let core = self.core.upgrade();
        core.and_then(|core| core.shipping.with_feed(&core, self.feed, |feed| feed.lag()))
            .unwrap_or(0)
    }
}

/// How a sink is: [`Shipment::status`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShipmentStatus {
    /// Whether commits wait for it.
    pub mode: ShipMode,
    /// Up to where it has the journal: a file, and an offset in bytes. `None` before the first.
    pub position: Option<(FileNumber, u64)>,
    /// Bytes of the journal that it may have and has yet to get.
    pub lag_bytes: u64,
    /// For how long there has been something that it has yet to get.
    pub lag_time: Duration,
    /// Bytes of the journal that it has got.
    pub shipped_bytes: u64,
    /// Why it did not take what it was given last; `None` if it did.
    pub trouble: Option<Arc<EnvError>>,
}

impl Shipment {
    /// How the sink is; `None` when the environment was closed, or the sink has failed it.
    #[must_use]
    pub fn status(&self) -> Option<ShipmentStatus> {
        let core = self.core.upgrade()?;
        let now = core.world.monotonic();
        core.shipping.with_feed(&core, self.feed, |feed| ShipmentStatus {
            mode: match feed.mode {
                Mode::Behind => ShipMode::Behind,
                Mode::Held | Mode::Waited => ShipMode::Waited,
            },
            position: feed.position(),
            lag_bytes: feed.lag(),
            lag_time: feed.lag_time(now),
            shipped_bytes: feed.shipped,
            trouble: feed.trouble.clone(),
        })
    }
}

impl Drop for Shipment {
    fn drop(&mut self) {
        if let Some(core) = self.core.upgrade() {
            core.shipping.remove(&core, self.feed);
        }
    }
}

impl Environment {
    /// Ships the journal to `sink` from now on: a base, which is a hot backup, for the caller to copy, and every
    /// byte of the journal from the base's cut on, without a gap. Commits that do not ask for a sync never wait for
    /// it. Without a [background worker](crate::Options#structfield.background) those that lag
    /// [behind](ShipMode::Behind) get what there is at each [checkpoint](Environment::checkpoint). What a sink has
    /// yet to get when the environment is closed it is given then, if it takes it.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use cairn_env::{DatabaseOptions, EnvResult, Environment, JournalPiece, JournalSink, Options, ShipMode};
    ///
    /// #[derive(Debug, Default)]
    /// struct Count(Mutex<usize>);
    ///
    /// impl JournalSink for Count {
    ///     fn push(&self, piece: &JournalPiece<'_>) -> EnvResult<()> {
    ///         *self.0.lock().unwrap() += piece.bytes.len();
    ///         Ok(())
    ///     }
    ///     fn sync(&self) -> EnvResult<()> {
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let (env, _) = Environment::in_memory(Options::new())?;
    /// let sink = Arc::new(Count::default());
    /// let mut shipment = env.ship(sink.clone(), ShipMode::Waited)?;
    /// // … copy what `take_base` gives …
    /// drop(shipment.take_base());
    /// let db = env.database("db", DatabaseOptions::default())?;
    /// env.write(|txn| txn.put(&db, b"key", b"value"))?;
    /// assert!(*sink.0.lock().unwrap() > 4096);
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Environment::begin_backup`].
    pub fn ship(&self, sink: Arc<dyn JournalSink>, mode: ShipMode) -> EnvResult<Shipment> {
        let core = self.core.enter_to_write()?;
        let feed = core.shipping.add(&core, sink, Mode::Held);
        let mut shipment = Shipment { core: core.downgrade(), feed, base: None };
        let base = backup::begin(&core, PinBudget::default())?;
        let mode = match mode {
            ShipMode::Waited => Mode::Waited,
            ShipMode::Behind => Mode::Behind,
        };
        // Nobody writes the journal while this decides who pushes what has been written meanwhile.
        let role = core.take_flush_role();
        let sent = core.shipping.with_feed(&core, feed, |feed| {
            if let Some(end) = base.cut().journal_end {
                feed.resume(end.file, end.end);
            }
            if mode == Mode::Waited {
                if let Some((number, written)) = role.written() {
                    feed.reaches(number, written, core.world.monotonic());
                }
                feed.drain()?;
            }
            feed.mode = mode;
            EnvResult::Ok(())
        });
        sent.unwrap_or(Ok(()))?;
        shipment.base = Some(base);
        Ok(shipment)
    }
}
