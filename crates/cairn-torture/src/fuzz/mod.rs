//! Bodies of the fuzz targets: any bytes in place of what the engine reads. They run under libFuzzer
//! (`fuzz/`), and on every test run over the corpus and over mutations of it.
//!
//! Most are defined beside the code that they are for, where it can see what is private.

mod corpus;
mod environment;
mod mutate;
mod restore;
mod schedule;
mod simulation;
mod sink;
mod sql;
mod store;

pub use cairn_archive::fuzzing::archive;
pub use cairn_backup::fuzzing::{manifest, repository_object};
pub use cairn_btree::fuzzing::node_image;
pub use cairn_cli::fuzzing::import_text;
pub use cairn_env::fuzzing::{
    checkpoint_record, keyring, replica_file, state_file, transaction_record,
};
pub use cairn_log::fuzzing::{file_header, file_scan, record_header};
pub use corpus::{Seed, corpus};
pub use environment::environment_image;
pub use mutate::mutate;
pub use restore::restore_plan;
pub use schedule::transaction_schedule;
pub use simulation::simulation;
pub use sink::sink_pieces;
pub use sql::{sql_image, sql_script};
pub use store::store;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Target {
    /// Its name: that of its corpus, and of its program in `fuzz/`.
    pub name: &'static str,
    /// What it does with any bytes. It panics if a promise is broken.
    pub run: fn(&[u8]),
    /// How many mutations a test run tries.
    pub mutations: usize,
}

/// All targets.
pub const TARGETS: [Target; 21] = [
    Target { name: "record_header", run: record_header, mutations: 20_000 },
    Target { name: "file_header", run: file_header, mutations: 20_000 },
    Target { name: "file_scan", run: file_scan, mutations: 20_000 },
    Target { name: "node_image", run: node_image, mutations: 20_000 },
    Target { name: "state_file", run: state_file, mutations: 10_000 },
    Target { name: "checkpoint_record", run: checkpoint_record, mutations: 20_000 },
    Target { name: "transaction_record", run: transaction_record, mutations: 20_000 },
    Target { name: "environment_image", run: environment_image, mutations: 20_000 },
    Target { name: "manifest", run: manifest, mutations: 10_000 },
    Target { name: "restore_plan", run: restore_plan, mutations: 2000 },
    Target { name: "import_text", run: import_text, mutations: 20_000 },
    Target { name: "transaction_schedule", run: transaction_schedule, mutations: 500 },
    Target { name: "simulation", run: simulation, mutations: 300 },
    Target { name: "keyring", run: keyring, mutations: 10_000 },
    Target { name: "archive", run: archive, mutations: 10_000 },
    Target { name: "store", run: store, mutations: 500 },
    Target { name: "replica_file", run: replica_file, mutations: 10_000 },
    Target { name: "sql_script", run: sql_script, mutations: 3000 },
    Target { name: "sql_image", run: sql_image, mutations: 5000 },
    Target { name: "sink_pieces", run: sink_pieces, mutations: 1000 },
    Target { name: "repository_object", run: repository_object, mutations: 10_000 },
];

impl Target {
    /// How much an input may add to the address space, in KiB. Most stand for a few KiB; a simulation has
    /// several disks in memory.
    #[must_use]
    pub fn memory(&self) -> u64 {
        const MOST: u64 = 128 << 10;
        if self.name == "simulation" { 4 * MOST } else { MOST }
    }

    /// The target of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        TARGETS.into_iter().find(|target| target.name == name)
    }
}
