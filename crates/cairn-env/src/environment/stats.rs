//! Figures about an environment, each with its explanation.
//!
//! One table is the struct and its documentation, what [`Stats::explain`] and `cairn stats --explain`
//! say, and the list in `docs/cli.md`: a figure without an explanation does not compile. (As Berkeley DB
//! JE defines its statistics, each with a name, a group and a description.)

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use cairn_io::shared::atomic::{AtomicU64, Ordering};
use cairn_log::FileClass;

use crate::{CheckpointReport, HolderKind, core::Core, sync::lock};

/// What a figure is, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Figure {
    /// Its name: a field of [`Stats`], and a member of the JSON of `cairn stats`.
    pub name: &'static str,
    /// What it is counted in.
    pub unit: Unit,
    /// What it is about.
    pub about: About,
    /// What it says.
    pub text: &'static str,
}

/// What a figure is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Hundredths.
    Percent,
    /// Microseconds.
    Micros,
    /// Things of this name, in the plural.
    Count(&'static str),
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::Percent => "percent",
            Self::Micros => "microseconds",
            Self::Count(things) => things,
        })
    }
}

/// What a figure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum About {
    /// What is on disk: every process that has the environment open sees much the same.
    Environment,
    /// This process since it opened the environment: another one has figures of its own.
    Process,
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "environment",
            Self::Process => "process",
        })
    }
}

macro_rules! figures {
    ($($about:ident { $($name:ident: $unit:expr, $text:literal;)+ })+) => {
        /// Figures about an environment, as of one moment.
        ///
        /// ```
        /// use cairn_env::{Environment, Options};
        ///
        /// let (env, _) = Environment::in_memory(Options::default())?;
        /// for (figure, value) in env.stats()?.figures() {
        ///     println!("{} = {value} {}: {}", figure.name, figure.unit, figure.text);
        /// }
        /// # Ok::<(), cairn_env::EnvError>(())
        /// ```
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[doc = $text] pub $name: u64,)+)+
        }

        const FIGURES: &[Figure] = &[$($(Figure {
            name: stringify!($name),
            unit: $unit,
            about: About::$about,
            text: $text,
        },)+)+];

        impl Stats {
            /// Each figure with its value, in the order of the fields.
            pub fn figures(&self) -> impl Iterator<Item = (&'static Figure, u64)> + use<> {
                Self::explain().zip([$($(self.$name,)+)+])
            }
        }
    };
}

figures! {
    Environment {
        commits: Unit::Count("commits"), "Number of the newest commit.";
        durable_commits: Unit::Count("commits"), "Number of the newest commit that no crash can take back.";
        checkpoints: Unit::Count("checkpoints"), "Number of the newest checkpoint; 0 if there is none.";
        checkpointed_commits: Unit::Count("commits"), "Number of the last commit that the newest checkpoint holds.";
        replay_bytes: Unit::Bytes, "Journal behind the newest checkpoint: about what the next open has to replay after a crash now.";
        log_files: Unit::Count("files"), "Log files of all classes.";
        journal_files: Unit::Count("files"), "Log files of class journal.";
        node_files: Unit::Count("files"), "Log files of class node.";
        value_files: Unit::Count("files"), "Log files of class value.";
        file_bytes: Unit::Bytes, "Length of all log files, zeros ahead of the journal included.";
        live_bytes: Unit::Bytes, "What the newest checkpoint can reach of them; the rest is journal to replay, or for the cleaner.";
        live_percent: Unit::Percent, "The same as a share of their length: if it stays far below the space target, somebody holds files back.";
        key_epoch: Unit::Count("epochs"), "Epoch of the data key with which new files are encrypted; 0: the environment is not encrypted.";
    }
    Process {
        commit_syncs: Unit::Count("syncs"), "Syncs that commits have cost; those that wait at the same time share one.";
        conflicts: Unit::Count("conflicts"), "Transactions that could not commit because something that they had read was changed.";
        turns: Unit::Count("turns"), "How often one was overtaken so often that all others had to wait for it.";
        checkpoints_made: Unit::Count("checkpoints"), "Checkpoints that were made, those that the cleaner asks for included.";
        checkpoint_micros_last: Unit::Micros, "How long the last of them took.";
        checkpoint_nodes_last: Unit::Count("nodes"), "Tree nodes that the last of them wrote.";
        cleaned_files: Unit::Count("files"), "Log files that the cleaner has begun to go through.";
        cleaned_bytes: Unit::Bytes, "Their length.";
        moved_records: Unit::Count("records"), "Nodes and large values to which the cleaner gave a new place.";
        removed_files: Unit::Count("files"), "Log files that were removed because nothing needs them any more.";
        scrub_passes: Unit::Count("passes"), "Scrubs that came to an end.";
        scrub_bytes_done: Unit::Bytes, "What the scrub under way in the background has read; 0 if there is none.";
        scrub_bytes_total: Unit::Bytes, "What it is going to read.";
        scrub_findings: Unit::Count("findings"), "Damaged places that scrubs have found and that are still there.";
        cache_budget: Unit::Bytes, "Memory that tree nodes and the tables of where they are may take.";
        cache_resident: Unit::Bytes, "Tree nodes in memory.";
        cache_dirty: Unit::Bytes, "Those of them that are not on disk yet.";
        cache_private: Unit::Bytes, "Tree nodes that commits are changing, beside those.";
        cache_tables: Unit::Bytes, "Tables that say where tree nodes are.";
        cache_blocked_nodes: Unit::Count("nodes"), "Superseded tree nodes that snapshots keep in memory.";
        replicas: Unit::Count("replicas"), "Replicas that commits wait for: 1, or 0 if there is none, or if it could not be had.";
        replica_losses: Unit::Count("losses"), "How often the environment went on without its replica because that failed.";
        ship_lag_bytes: Unit::Bytes, "Journal that whoever gets it, a replica for one, has yet to get: that of the one furthest behind.";
        ship_lag_micros: Unit::Micros, "For how long there has been journal that somebody has yet to get: that of the one longest behind.";
        healed_files: Unit::Count("files"), "Damaged files that got their bytes back from a copy.";
        second_reads: Unit::Count("reads"), "Nodes and large values that could not be read here and were read from the replica.";
        snapshots: Unit::Count("snapshots"), "Live snapshots.";
        transactions: Unit::Count("transactions"), "Open transactions.";
        backups: Unit::Count("backups"), "Backups in progress.";
        holders: Unit::Count("holders"), "Readers and backups of this process that keep log files which nothing else needs.";
        held_bytes_max: Unit::Bytes, "How much the one of them keeps that keeps most.";
    }
}

impl Stats {
    /// What the figures are, in the order of the fields.
    pub fn explain() -> impl Iterator<Item = &'static Figure> + use<> {
        FIGURES.iter()
    }
}

/// The list of figures for `docs/cli.md`.
pub(crate) fn spec() -> (&'static str, String) {
    let mut table = String::from("| figure | unit | about | meaning |\n|---|---|---|---|\n");
    for Figure { name, unit, about, text } in Stats::explain() {
        let row = writeln!(table, "| `{name}` | {unit} | {about} | {text} |");
        row.expect("text takes everything");
    }
    ("stats_figures", table)
}

/// What has been counted since the open, of things that happen rarely enough.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) conflicts: AtomicU64,
    pub(crate) turns: AtomicU64,
    checkpoints: AtomicU64,
    checkpoint_micros: AtomicU64,
    checkpoint_nodes: AtomicU64,
    pub(crate) cleaned_files: AtomicU64,
    pub(crate) cleaned_bytes: AtomicU64,
    pub(crate) moved_records: AtomicU64,
    pub(crate) removed_files: AtomicU64,
}

impl Counters {
    pub(crate) fn checkpointed(&self, report: &CheckpointReport, took: Duration) {
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.checkpoint_micros.store(micros, Ordering::Relaxed);
        self.checkpoint_nodes.store(report.nodes, Ordering::Relaxed);
    }
}

pub(super) fn stats(core: &Core) -> Stats {
    let counted = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let counters = &core.counters;
    let scrub = core.scrub_state();
    let cache = core.forest.cache();
    let (replicas, replica_losses) = core.replicas();
    let (ship_lag_bytes, ship_lag) = core.shipping.lag(core.world.monotonic());
    let mut stats = Stats {
        replicas,
        replica_losses,
        ship_lag_bytes,
        ship_lag_micros: u64::try_from(ship_lag.as_micros()).unwrap_or(u64::MAX),
        healed_files: (core.report.healed.len() + lock(&core.healed).len()) as u64,
        second_reads: core.files.second.served(),
        commits: core.latest.load(Ordering::Acquire),
        durable_commits: core.journal.durable(),
        commit_syncs: core.journal.syncs(),
        conflicts: counted(&counters.conflicts),
        turns: counted(&counters.turns),
        checkpoints_made: counted(&counters.checkpoints),
        checkpoint_micros_last: counted(&counters.checkpoint_micros),
        checkpoint_nodes_last: counted(&counters.checkpoint_nodes),
        cleaned_files: counted(&counters.cleaned_files),
        cleaned_bytes: counted(&counters.cleaned_bytes),
        moved_records: counted(&counters.moved_records),
        removed_files: counted(&counters.removed_files),
        scrub_passes: scrub.passes,
        scrub_bytes_done: scrub.done,
        scrub_bytes_total: scrub.total,
        scrub_findings: scrub.findings.len() as u64,
        cache_budget: cache.budget as u64,
        cache_resident: cache.resident as u64,
        cache_dirty: cache.dirty as u64,
        cache_private: cache.private as u64,
        cache_tables: cache.tables as u64,
        cache_blocked_nodes: cache.blocked as u64,
        snapshots: core.holders.snapshots.load(Ordering::Relaxed) as u64,
        transactions: core.holders.transactions.load(Ordering::Relaxed) as u64,
        backups: core.holders.backups.load(Ordering::Relaxed) as u64,
        key_epoch: core.files.key_epoch().into(),
        ..Stats::default()
    };
    for file in core.files.all() {
        *match file.header().class {
            FileClass::Journal => &mut stats.journal_files,
            FileClass::Node => &mut stats.node_files,
            FileClass::Value => &mut stats.value_files,
        } += 1;
        stats.log_files += 1;
        stats.file_bytes += file.handle().len().unwrap_or(0);
    }
    let checkpointer = lock(&core.checkpointer);
    if let Some(newest) = &checkpointer.newest {
        stats.checkpoints = newest.record.number;
        stats.checkpointed_commits = newest.record.sequence;
    }
    let journaled = lock(&core.commit).journaled;
    stats.replay_bytes = journaled.saturating_sub(checkpointer.replay_from);
    stats.live_bytes = checkpointer.utilization.live();
    stats.live_percent = 100 * stats.live_bytes / stats.file_bytes.max(1);
    let mut holders = core.space_holders(&checkpointer);
    // The others let go when somebody asks them to.
    holders.retain(|one| !matches!(one.kind, HolderKind::History | HolderKind::Sink));
    stats.holders = holders.len() as u64;
    stats.held_bytes_max = holders.first().map_or(0, |largest| largest.bytes);
    stats
}
