//! All workloads, each for a part of the engine. The cleaner is at work in most: it is where everything
//! else may be in its way.

use super::{
    Workload,
    author::{Death, Part},
};
use crate::script::Settings;

const SMALL: &[usize] = &[0, 10, 40, 100];
const MIXED: &[usize] = &[0, 40, 100, 190, 300, 1500];
const LARGE: &[usize] = &[40, 300, 1000, 3000, 9000];

/// A worker that cleans as soon as a few hundred bytes can be had.
const CLEANED: Settings =
    Settings { background: true, space: 90, node: 2 << 10, checkpoint: 4000, ..Settings::SMALL };
/// The same over three data directories.
const SPREAD: Settings = Settings { directories: 3, ..CLEANED };
/// The same, encrypted.
const ENCRYPTED: Settings = Settings { encrypted: true, ..CLEANED };

/// What most workloads have in common.
const PLAIN: Workload = Workload {
    name: "",
    settings: CLEANED,
    runs_in_round: 1,
    begins_with: 0,
    is_restored: false,
    call_of_death: None,
    parts: 25,
    databases: 2,
    keys: 20,
    lens: MIXED,
    changes: 3,
    drops: 0,
    weights: &[],
};

/// All workloads.
pub const WORKLOADS: &[Workload] = &[
    Workload {
        name: "create",
        settings: Settings::SMALL,
        runs_in_round: 12,
        parts: 2,
        keys: 5,
        lens: SMALL,
        changes: 2,
        weights: &[(4, Part::Commit), (1, Part::Reopen)],
        ..PLAIN
    },
    Workload {
        name: "create-spread",
        settings: Settings { directories: 3, ..Settings::SMALL },
        runs_in_round: 6,
        parts: 2,
        keys: 5,
        lens: SMALL,
        changes: 2,
        weights: &[(4, Part::Commit), (1, Part::Reopen)],
        ..PLAIN
    },
    // Whoever creates an environment dies at each call in turn, and somebody else goes on.
    Workload {
        name: "dying-creates",
        settings: Settings::SMALL,
        runs_in_round: 20,
        call_of_death: Some(20),
        parts: 1,
        keys: 5,
        lens: SMALL,
        changes: 2,
        weights: &[(1, Part::Die(Death::Open))],
        ..PLAIN
    },
    Workload {
        name: "dying-creates-spread",
        settings: Settings { directories: 3, ..Settings::SMALL },
        runs_in_round: 20,
        call_of_death: Some(60),
        parts: 1,
        keys: 5,
        lens: SMALL,
        changes: 2,
        weights: &[(1, Part::Die(Death::Open))],
        ..PLAIN
    },
    // Whoever writes for the first time dies at each call in turn, and somebody else goes on.
    Workload {
        name: "dying-first-writes-spread",
        settings: Settings { directories: 3, ..Settings::SMALL },
        parts: 1,
        keys: 5,
        lens: SMALL,
        changes: 2,
        weights: &[(1, Part::FirstWrites)],
        ..PLAIN
    },
    // The same in what a restore in place has made.
    Workload {
        name: "dying-first-writes-restored",
        settings: Settings::SMALL,
        is_restored: true,
        parts: 1,
        keys: 5,
        lens: SMALL,
        changes: 2,
        weights: &[(1, Part::FirstWrites)],
        ..PLAIN
    },
    Workload {
        name: "commits",
        parts: 40,
        keys: 30,
        changes: 4,
        weights: &[(6, Part::Commit), (1, Part::Written), (1, Part::Checkpoint), (2, Part::Work)],
        ..PLAIN
    },
    Workload {
        name: "groups",
        keys: 30,
        lens: SMALL,
        weights: &[
            (3, Part::Later),
            (3, Part::Group),
            (2, Part::Written),
            (1, Part::Commit),
            (1, Part::Work),
        ],
        ..PLAIN
    },
    // All levels of durability, and time that passes.
    Workload {
        name: "in-time",
        parts: 30,
        lens: SMALL,
        weights: &[(6, Part::Relaxed), (2, Part::Later), (1, Part::Written), (1, Part::Commit)],
        ..PLAIN
    },
    Workload {
        name: "large-values",
        keys: 10,
        lens: LARGE,
        weights: &[
            (6, Part::Commit),
            (1, Part::Later),
            (1, Part::Checkpoint),
            (1, Part::Reopen),
            (2, Part::Clean),
        ],
        ..PLAIN
    },
    Workload {
        name: "rolls",
        lens: &[1000, 3000, 5000],
        changes: 2,
        weights: &[(4, Part::Commit), (1, Part::Written), (1, Part::Later), (1, Part::Work)],
        ..PLAIN
    },
    Workload {
        name: "checkpoints",
        settings: Settings { checkpoint: 3000, ..Settings::SMALL },
        parts: 30,
        keys: 60,
        lens: SMALL,
        changes: 6,
        weights: &[(4, Part::Commit), (1, Part::Later), (2, Part::Checkpoint)],
        ..PLAIN
    },
    Workload {
        name: "many-nodes",
        settings: Settings { leaf: 1024, ..Settings::SMALL },
        runs_in_round: 2,
        parts: 14,
        keys: 400,
        lens: &[100, 190],
        changes: 150,
        weights: &[(2, Part::Commit), (2, Part::Checkpoint)],
        ..PLAIN
    },
    Workload {
        name: "dead-files",
        settings: Settings { leaf: 256, ..Settings::SMALL },
        parts: 40,
        keys: 8,
        lens: &[100, 1000, 4000],
        changes: 4,
        weights: &[(3, Part::Commit), (3, Part::Checkpoint)],
        ..PLAIN
    },
    // The worker, and replay, write nodes that memory has no room for.
    Workload {
        name: "eviction",
        settings: Settings { cache: 64 << 10, background: true, ..Settings::SMALL },
        begins_with: 600,
        parts: 24,
        keys: 5000,
        lens: &[100, 190],
        changes: 2,
        weights: &[(1, Part::Read), (6, Part::Evict)],
        ..PLAIN
    },
    Workload {
        name: "evicting-replay",
        settings: Settings { cache: 8 << 10, journal: 64 << 10, ..Settings::SMALL },
        begins_with: 60,
        parts: 1,
        keys: 200,
        lens: &[40, 100],
        changes: 1,
        weights: &[(1, Part::Replay)],
        ..PLAIN
    },
    // Checkpoints of so many nodes that the worker takes several steps.
    Workload {
        name: "between-steps",
        settings: Settings {
            leaf: 256,
            node: 4 << 10,
            checkpoint: 7000,
            background: true,
            ..Settings::SMALL
        },
        runs_in_round: 2,
        begins_with: 400,
        parts: 14,
        keys: 600,
        lens: &[20, 40],
        changes: 60,
        weights: &[(1, Part::Commit), (3, Part::Between), (4, Part::Overtaking)],
        ..PLAIN
    },
    // Files die by themselves, and go while commits are written that nothing has made durable.
    Workload {
        name: "dying-between-steps",
        settings: Settings { space: 0, ..CLEANED },
        runs_in_round: 2,
        keys: 12,
        lens: SMALL,
        changes: 8,
        weights: &[(2, Part::Commit), (5, Part::Between), (1, Part::Checkpoint)],
        ..PLAIN
    },
    // Files that hold little else are emptied by the worker, in turns with commits.
    Workload {
        name: "cleaning",
        runs_in_round: 4,
        parts: 20,
        keys: 30,
        changes: 5,
        weights: &[
            (4, Part::Commit),
            (1, Part::Checkpoint),
            (3, Part::Work),
            (4, Part::Between),
            (1, Part::Clean),
        ],
        ..PLAIN
    },
    Workload {
        name: "compacting",
        settings: Settings { background: false, ..CLEANED },
        runs_in_round: 2,
        parts: 20,
        keys: 40,
        lens: LARGE,
        changes: 4,
        weights: &[
            (4, Part::Commit),
            (1, Part::Later),
            (1, Part::Checkpoint),
            (3, Part::Clean),
            (1, Part::Reopen),
            (1, Part::Die(Death::Clean)),
        ],
        ..PLAIN
    },
    // The cleaner, with snapshots that keep what it would let go.
    Workload {
        name: "cleaning-under-snapshots",
        parts: 24,
        keys: 30,
        changes: 4,
        drops: 40,
        weights: &[
            (4, Part::Commit),
            (2, Part::Snapshot),
            (2, Part::Work),
            (3, Part::Between),
            (2, Part::Clean),
            (1, Part::Checkpoint),
        ],
        ..PLAIN
    },
    // Files with more large values than the worker moves in one step, and commits that replace them
    // between two steps.
    Workload {
        name: "replacing-what-moves",
        settings: Settings { journal: 32 << 10, ..CLEANED },
        runs_in_round: 2,
        begins_with: 50,
        keys: 40,
        lens: &[300],
        changes: 8,
        weights: &[(1, Part::Commit), (6, Part::Between), (1, Part::Checkpoint), (1, Part::Read)],
        ..PLAIN
    },
    // A process that has written no journal dies: what it leaves has numbers behind all that count.
    Workload {
        name: "leftovers",
        settings: Settings { leaf: 256, background: false, ..CLEANED },
        runs_in_round: 4,
        begins_with: 20,
        keys: 12,
        lens: &[100, 300, 1000],
        changes: 4,
        weights: &[(1, Part::Commit), (1, Part::Reopen), (2, Part::Die(Death::Clean))],
        ..PLAIN
    },
    Workload {
        name: "leftovers-restored",
        settings: Settings { leaf: 256, background: false, ..CLEANED },
        runs_in_round: 4,
        begins_with: 20,
        is_restored: true,
        keys: 12,
        lens: &[100, 300, 1000],
        changes: 4,
        weights: &[(1, Part::Commit), (1, Part::Reopen), (2, Part::Die(Death::Clean))],
        ..PLAIN
    },
    // Databases are dropped, and their walker is interrupted.
    Workload {
        name: "drops",
        settings: Settings { leaf: 256, ..CLEANED },
        runs_in_round: 2,
        begins_with: 150,
        parts: 24,
        databases: 4,
        keys: 60,
        changes: 20,
        drops: 25,
        weights: &[
            (3, Part::Commit),
            (2, Part::Drop),
            (3, Part::Between),
            (2, Part::Work),
            (1, Part::Checkpoint),
            (1, Part::Reopen),
            (1, Part::Die(Death::Anything)),
        ],
        ..PLAIN
    },
    Workload {
        name: "drops-at-once",
        settings: Settings { leaf: 256, background: false, ..CLEANED },
        begins_with: 100,
        parts: 20,
        databases: 3,
        keys: 60,
        changes: 12,
        drops: 20,
        weights: &[
            (3, Part::Commit),
            (2, Part::Drop),
            (2, Part::Checkpoint),
            (1, Part::Clean),
            (1, Part::Reopen),
        ],
        ..PLAIN
    },
    Workload {
        name: "clients",
        runs_in_round: 2,
        parts: 30,
        keys: 8,
        lens: &[0, 40, 300],
        drops: 30,
        weights: &[
            (8, Part::Clients),
            (1, Part::Contend),
            (1, Part::Commit),
            (2, Part::Work),
            (1, Part::Checkpoint),
        ],
        ..PLAIN
    },
    Workload {
        name: "worker",
        parts: 40,
        keys: 60,
        changes: 5,
        weights: &[(3, Part::Commit), (2, Part::Later), (2, Part::Written), (3, Part::Work)],
        ..PLAIN
    },
    Workload {
        name: "reopens",
        parts: 20,
        weights: &[
            (2, Part::Commit),
            (1, Part::Later),
            (1, Part::Checkpoint),
            (1, Part::Work),
            (3, Part::Reopen),
        ],
        ..PLAIN
    },
    Workload {
        name: "deaths",
        runs_in_round: 3,
        parts: 16,
        weights: &[
            (3, Part::Commit),
            (2, Part::Written),
            (1, Part::Checkpoint),
            (1, Part::Work),
            (3, Part::Die(Death::Anything)),
        ],
        ..PLAIN
    },
    Workload {
        name: "power-failures",
        parts: 30,
        weights: &[
            (3, Part::Commit),
            (2, Part::Written),
            (1, Part::Checkpoint),
            (2, Part::Work),
            (2, Part::Power),
            (2, Part::Torn),
            (1, Part::Die(Death::Anything)),
        ],
        ..PLAIN
    },
    // More commits than replay takes at once in so little memory, so that it writes nodes back.
    Workload {
        name: "long-replay",
        settings: Settings { leaf: 1024, cache: 16 << 10, journal: 64 << 10, ..Settings::SMALL },
        parts: 140,
        keys: 600,
        lens: &[40, 100],
        weights: &[(60, Part::Later), (1, Part::Power)],
        ..PLAIN
    },
    // Log files of all classes in each of three data directories.
    Workload {
        name: "spread",
        settings: SPREAD,
        runs_in_round: 2,
        parts: 24,
        keys: 30,
        lens: LARGE,
        drops: 40,
        weights: &[
            (6, Part::Commit),
            (1, Part::Later),
            (1, Part::Checkpoint),
            (2, Part::Work),
            (2, Part::Clean),
            (2, Part::Reopen),
            (1, Part::Power),
            (2, Part::Die(Death::Anything)),
        ],
        ..PLAIN
    },
    Workload {
        name: "backups",
        runs_in_round: 2,
        parts: 14,
        weights: &[
            (4, Part::Commit),
            (3, Part::Backup),
            (1, Part::Work),
            (1, Part::Die(Death::Backup)),
        ],
        ..PLAIN
    },
    Workload {
        name: "increments",
        runs_in_round: 2,
        parts: 12,
        drops: 30,
        weights: &[
            (4, Part::Commit),
            (1, Part::Backup),
            (4, Part::Increment),
            (1, Part::Work),
            (1, Part::Power),
            (1, Part::Die(Death::Backup)),
            (1, Part::Restore),
        ],
        ..PLAIN
    },
    // Another process backs up, again and again, a journal file that grows: what it holds was linked once it
    // is large enough.
    Workload {
        name: "backups-beside",
        settings: Settings { journal: 1 << 20, background: false, ..Settings::SMALL },
        begins_with: 12,
        parts: 8,
        keys: 8,
        lens: &[40, 90_000, 90_000],
        changes: 1,
        weights: &[(1, Part::Commit), (2, Part::Beside), (2, Part::Restore)],
        ..PLAIN
    },
    Workload {
        name: "spread-backups",
        settings: SPREAD,
        parts: 12,
        lens: LARGE,
        weights: &[
            (4, Part::Commit),
            (1, Part::Backup),
            (3, Part::Increment),
            (1, Part::Clean),
            (2, Part::Restore),
        ],
        ..PLAIN
    },
    Workload {
        name: "restores",
        runs_in_round: 2,
        parts: 14,
        weights: &[
            (2, Part::Commit),
            (1, Part::Backup),
            (1, Part::Increment),
            (3, Part::Restore),
            (1, Part::Die(Death::Restore)),
        ],
        ..PLAIN
    },
    // Restores in place, back and forth.
    Workload {
        name: "generations",
        runs_in_round: 3,
        parts: 20,
        weights: &[
            (3, Part::Commit),
            (2, Part::Backup),
            (4, Part::Replace),
            (3, Part::Undo),
            (2, Part::Forget),
            (2, Part::Die(Death::Switch)),
            (2, Part::Written),
            (2, Part::Die(Death::Anything)),
            (1, Part::Power),
        ],
        ..PLAIN
    },
    // What a restore in place has made lives long enough to use its journal files again.
    Workload {
        name: "recycling-generations",
        runs_in_round: 2,
        is_restored: true,
        parts: 40,
        keys: 10,
        lens: LARGE,
        weights: &[
            (6, Part::Commit),
            (1, Part::Later),
            (1, Part::Checkpoint),
            (1, Part::Reopen),
            (2, Part::Clean),
        ],
        ..PLAIN
    },
    Workload {
        name: "farewells",
        runs_in_round: 10,
        parts: 10,
        keys: 6,
        lens: SMALL,
        changes: 2,
        weights: &[(1, Part::Commit), (1, Part::Backup), (3, Part::Replace), (4, Part::Forget)],
        ..PLAIN
    },
    Workload {
        name: "everything",
        runs_in_round: 2,
        parts: 40,
        databases: 3,
        keys: 60,
        changes: 5,
        drops: 60,
        weights: &[
            (8, Part::Commit),
            (3, Part::Written),
            (3, Part::Later),
            (2, Part::Relaxed),
            (3, Part::Group),
            (3, Part::Clients),
            (3, Part::Checkpoint),
            (3, Part::Between),
            (3, Part::Work),
            (2, Part::Clean),
            (1, Part::Snapshot),
            (1, Part::Drop),
            (2, Part::Reopen),
            (2, Part::Die(Death::Anything)),
            (2, Part::Power),
            (1, Part::Backup),
            (1, Part::Increment),
            (1, Part::Restore),
            (1, Part::Replace),
            (1, Part::Undo),
            (1, Part::Forget),
        ],
        ..PLAIN
    },
    // Log files of all classes, tails that a crash has torn, and state slots, all under keys.
    Workload {
        name: "encrypted",
        settings: ENCRYPTED,
        runs_in_round: 2,
        parts: 20,
        lens: LARGE,
        drops: 40,
        weights: &[
            (6, Part::Commit),
            (2, Part::Written),
            (1, Part::Later),
            (1, Part::Group),
            (2, Part::Checkpoint),
            (2, Part::Work),
            (2, Part::Clean),
            (2, Part::Reopen),
            (4, Part::Rekey),
            (1, Part::Power),
            (2, Part::Die(Death::Anything)),
        ],
        ..PLAIN
    },
    Workload {
        name: "encrypted-backups",
        settings: Settings { directories: 2, ..ENCRYPTED },
        parts: 12,
        weights: &[
            (4, Part::Commit),
            (2, Part::Backup),
            (2, Part::Increment),
            (1, Part::Work),
            (2, Part::Restore),
            (1, Part::Replace),
            (1, Part::Die(Death::Backup)),
            (1, Part::Die(Death::Restore)),
        ],
        ..PLAIN
    },
    // Nodes that stand compressed in their files, read back after each death, moved by the cleaner and copied.
    Workload {
        name: "compressed",
        settings: Settings { compressed: true, leaf: 1024, node: 4 << 10, ..CLEANED },
        runs_in_round: 2,
        parts: 24,
        keys: 60,
        changes: 6,
        weights: &[
            (6, Part::Commit),
            (1, Part::Later),
            (3, Part::Checkpoint),
            (2, Part::Work),
            (1, Part::Between),
            (1, Part::Clean),
            (2, Part::Reopen),
            (1, Part::Backup),
            (1, Part::Restore),
            (1, Part::Power),
            (2, Part::Die(Death::Anything)),
        ],
        ..PLAIN
    },
];
