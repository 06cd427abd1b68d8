//! Figures about an environment.

use std::sync::atomic::Ordering;

use cairn_log::FileClass;

use crate::{core::Core, sync::lock};

/// Figures about an environment, as of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The newest commit.
    pub commits: u64,
    /// The newest commit that is durable.
    pub durable_commits: u64,
    /// Syncs that commits have cost since the open: commits that wait at the same time share one.
    pub commit_syncs: u64,
    /// The newest checkpoint.
    pub checkpoints: u64,
    /// The last commit that it holds.
    pub checkpointed_commits: u64,
    /// Journal bytes since the newest checkpoint was begun: what a crash now would replay.
    pub journal_bytes: u64,
    /// Log files, by class: journal, node, value.
    pub files: [u64; 3],
    /// Their bytes.
    pub file_bytes: u64,
    /// Bytes of them that the newest checkpoint can reach.
    pub live_bytes: u64,
    /// Bytes of tree nodes in memory.
    pub cache_resident: u64,
    /// Bytes of those that are not on disk yet.
    pub cache_dirty: u64,
    /// The memory for tree nodes.
    pub cache_budget: u64,
    /// Superseded tree nodes that snapshots keep in memory.
    pub cache_blocked_nodes: u64,
    /// Live snapshots.
    pub snapshots: u64,
    /// Open transactions.
    pub transactions: u64,
    /// Backups in progress.
    pub backups: u64,
}

pub(super) fn stats(core: &Core) -> Stats {
    let mut stats = Stats {
        commits: core.latest.load(Ordering::Acquire),
        durable_commits: core.journal.durable(),
        commit_syncs: core.journal.syncs(),
        journal_bytes: lock(&core.commit).journal_bytes,
        snapshots: core.holders.snapshots.load(Ordering::Relaxed) as u64,
        transactions: core.holders.transactions.load(Ordering::Relaxed) as u64,
        backups: core.holders.backups.load(Ordering::Relaxed) as u64,
        ..Stats::default()
    };
    for file in core.files.all() {
        let class = match file.header().class {
            FileClass::Journal => 0,
            FileClass::Node => 1,
            FileClass::Value => 2,
        };
        stats.files[class] += 1;
        stats.file_bytes += file.handle().len().unwrap_or(0);
    }
    let cache = core.forest.cache();
    stats.cache_resident = cache.resident as u64;
    stats.cache_dirty = cache.dirty as u64;
    stats.cache_budget = cache.budget as u64;
    stats.cache_blocked_nodes = cache.blocked as u64;
    let checkpointer = lock(&core.checkpointer);
    if let Some(newest) = &checkpointer.newest {
        stats.checkpoints = newest.record.number;
        stats.checkpointed_commits = newest.record.sequence;
    }
    stats.live_bytes = checkpointer.utilization.live();
    stats
}
