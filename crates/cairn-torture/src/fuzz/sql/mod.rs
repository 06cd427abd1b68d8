//! SQL: statements beside SQLite alone, and files with hostile content.

mod image;
mod rules;
mod script;

use cairn_env::{Environment, Options, VerifyOptions};
use cairn_io::MemDisk;
use cairn_rdb::{Access, SqliteConnections, rusqlite};
use cairn_sim::SimWorld;

use rules::Bounded;

pub(super) use image::images;
pub use image::sql_image;
pub(super) use script::SCRIPTS;
pub use script::sql_script;

/// The SQL file of both targets.
const FILE: &str = "a.db";

/// Opens the environment that is on a disk, or makes one.
fn open(disk: &MemDisk) -> Environment {
    let options = Options::default()
        .background(false)
        .leaf_bytes(512)
        .cache_bytes(256 << 10)
        .journal_file_bytes(64 << 10)
        .node_file_bytes(64 << 10);
    let opened = Environment::open_in(disk.root(), SimWorld::new(1).world(), options);
    opened.expect("nothing is wrong with the disk").0
}

/// A connection to the file that does only what it may.
fn connect(env: &Environment) -> rusqlite::Result<Bounded> {
    Bounded::new(env.sqlite_connection(FILE, Access::Create)?)
}

/// What `verify` finds in an environment: nothing.
fn verify(env: &Environment) {
    let report = env.verify(&VerifyOptions::default()).expect("it can be read");
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}
