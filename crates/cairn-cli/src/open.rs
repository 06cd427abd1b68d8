//! How commands open an environment: readers share it and change nothing, a writer has it alone.

use std::path::Path;

use cairndb::{
    Database, Environment, JournalRetention, KeySource, Options, RecoveryReport, ReplicaPolicy,
    Snapshot,
};

use crate::{
    exit::Failure,
    keys::KeyArgs,
    output::Output,
    saved::{EnvironmentArgs, Saved, no_repository},
};

/// Opens an environment, or a [backup](Saved) of one, to look at it. Recovery happens in memory; not a byte changes on
/// the disk.
pub(crate) fn for_reading(path: &Path, key: &KeyArgs) -> Result<Environment, Failure> {
    for_reading_of(path, key, &EnvironmentArgs::default())
}

/// The same, and it is said which environment is meant if a repository has backups of several.
pub(crate) fn for_reading_of(
    path: &Path,
    key: &KeyArgs,
    of: &EnvironmentArgs,
) -> Result<Environment, Failure> {
    let environment = of.uuid()?;
    match Saved::find(path)? {
        Some(saved) => saved.open(key, environment),
        None if environment.is_some() => Err(no_repository(path)),
        None => live_for_reading(path, key),
    }
}

/// Opens an environment to look at it, which is no backup.
pub(crate) fn live_for_reading(path: &Path, key: &KeyArgs) -> Result<Environment, Failure> {
    for_reading_with(path, key.of_environment(path)?)
}

/// The same with this key.
pub(crate) fn for_reading_with(
    path: &Path,
    key: Option<KeySource>,
) -> Result<Environment, Failure> {
    let options = with_key(key).read_only(true).create(false);
    Ok(Environment::open(path, options)?.0)
}

/// Opens an existing environment to change it.
pub(crate) fn for_writing(
    path: &Path,
    key: &KeyArgs,
    output: &Output,
) -> Result<Environment, Failure> {
    for_writing_with(path, key.of_environment(path)?, output)
}

/// The same with this key.
pub(crate) fn for_writing_with(
    path: &Path,
    key: Option<KeySource>,
    output: &Output,
) -> Result<Environment, Failure> {
    for_writing_keeping(path, key, None, output)
}

/// The same, and from its first write on it keeps so much of its journal.
pub(crate) fn for_writing_keeping(
    path: &Path,
    key: Option<KeySource>,
    keep: Option<JournalRetention>,
    output: &Output,
) -> Result<Environment, Failure> {
    if Saved::find(path)?.is_some() {
        let what = format!("{} is a backup, which nobody writes to", path.display());
        return Err(Failure::usage(what).advise("`cairn restore` makes an environment of it"));
    }
    let mut options = with_key(key).create(false);
    options.keep_journal = keep;
    if let Some(replica) = output.replica() {
        options = options.replica(replica, ReplicaPolicy::Require);
    }
    let (env, report) = Environment::open(path, options)?;
    if is_remarkable(&report) {
        output.note(format_args!("{report}"));
    }
    Ok(env)
}

/// The usual options, with a key if there is one.
pub(crate) fn with_key(key: Option<KeySource>) -> Options {
    let options = Options::default();
    match key {
        Some(key) => options.key(key),
        None => options,
    }
}

/// Whether recovery did more than replay what was committed.
fn is_remarkable(report: &RecoveryReport) -> bool {
    report.torn_tail.is_some()
        || !report.healed.is_empty()
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
