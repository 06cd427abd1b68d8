//! `backup_each`: several environments, each into several repositories.

use cairn_env::Environment;
use cairn_log::Uuid;

use super::{PointOptions, PointReport, Repository};
use crate::BackupResult;

/// What became of one backup of several.
#[derive(Debug)]
#[non_exhaustive]
pub struct EachReport {
    /// The environment.
    pub environment: Uuid,
    /// Where the repository lies.
    pub place: String,
    /// The point that there is now, or why there is none.
    pub result: BackupResult<PointReport>,
}

/// Backs each environment up into each repository, one after the other, as [`Repository::backup`] does. What goes wrong with
/// one keeps none of the others from its point, so there is a report of each. Each repository gets a cut of its own, and
/// [`PointOptions::progress`](PointOptions#structfield.progress) begins anew with each.
///
/// ```
/// use cairn_backup::{PointOptions, Repository, backup_each};
/// use cairn_env::{Environment, Options};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let (here, elsewhere) = (dir.path().join("here"), dir.path().join("elsewhere"));
/// let repositories = [Repository::create(&here)?, Repository::create(&elsewhere)?];
/// let (env, _) = Environment::in_memory(Options::default())?;
/// let reports = backup_each(&[&env], &repositories.each_ref(), &PointOptions::default());
/// assert!(reports.iter().all(|report| report.result.is_ok()));
/// # Ok::<(), cairn_backup::BackupError>(())
/// ```
pub fn backup_each(
    environments: &[&Environment],
    repositories: &[&Repository],
    options: &PointOptions<'_>,
) -> Vec<EachReport> {
    let pairs = environments.iter().flat_map(|env| repositories.iter().map(move |to| (*env, *to)));
    let reports = pairs.map(|(env, repository)| EachReport {
        environment: env.identity().environment,
        place: repository.store.backend.place(),
        result: repository.backup(env, options),
    });
    reports.collect()
}
