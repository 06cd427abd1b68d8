//! How commands open an environment: readers share it and change nothing, a writer has it alone.

use std::path::Path;

use cairndb::{Database, Environment, Options, RecoveryReport, Snapshot};

use crate::{exit::Failure, output::Output};

/// Opens an environment to look at it. Recovery happens in memory; not a byte changes on the disk.
pub(crate) fn for_reading(path: &Path) -> Result<Environment, Failure> {
    let options = Options::default().read_only(true).create(false);
    Ok(Environment::open(path, options)?.0)
}

/// Opens an existing environment to change it.
pub(crate) fn for_writing(path: &Path, output: &Output) -> Result<Environment, Failure> {
    let (env, report) = Environment::open(path, Options::default().create(false))?;
    if is_remarkable(&report) {
        output.note(format_args!("{report}"));
    }
    Ok(env)
}

/// Whether recovery did more than replay what was committed.
fn is_remarkable(report: &RecoveryReport) -> bool {
    report.torn_tail.is_some()
        || report.state_slot_damaged
        || report.older_checkpoint.is_some()
        || !report.unknown_files.is_empty()
}

/// A view of an environment, and a database in it.
pub(crate) fn database(env: &Environment, name: &str) -> Result<(Snapshot, Database), Failure> {
    let snapshot = env.snapshot()?;
    match snapshot.database(name)? {
        Some(database) => Ok((snapshot, database)),
        None => Err(cairndb::EnvError::NoSuchDatabase { name: name.into() }.into()),
    }
}
