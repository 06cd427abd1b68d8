//! What is salvaged: an environment, or what a repository still holds of one.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use cairn_io::{RealDir, RealWorld};
use cairndb::{
    EnvResult, Options, SalvageOptions, SalvageReport, SalvagedEntry,
    backup::{
        Progress as Done, Repository, RepositorySalvage, RepositorySalvageOptions,
        RepositorySalvageReport, is_repository,
    },
    salvage, salvage_in, salvage_to, salvage_to_in,
};

use crate::{
    exit::Failure, keys::KeyArgs, open, progress::Progress, saved::EnvironmentArgs,
    saved::no_repository,
};

/// What is salvaged.
pub(super) enum Source {
    Environment(PathBuf),
    Repository(Box<RepositorySalvage>),
}

impl Source {
    /// What lies at `path`, and the options that read it. Of a repository every object is read once.
    pub(super) fn find(
        path: &Path,
        key: &KeyArgs,
        of: &EnvironmentArgs,
        progress: &Progress,
    ) -> Result<(Self, Options), Failure> {
        let environment = of.uuid()?;
        // Without its first object it is no repository to anybody else.
        if !is_repository(path) && !path.join("envs").is_dir() {
            if environment.is_some() {
                return Err(no_repository(path));
            }
            let options = open::with_key(key.of_environment(path)?);
            return Ok((Self::Environment(path.to_owned()), options));
        }
        let repository = key.repo.unlock(Repository::open_damaged(path, None)?, path)?;
        let shown = |done: Done| progress.set(done.done, Some(done.total));
        let mut how = RepositorySalvageOptions::default();
        how.environment = environment;
        how.progress = Some(&shown);
        let found = repository.salvage(&how)?;
        let options = open::with_key(key.of(path, || found.report.is_encrypted)?);
        Ok((Self::Repository(Box::new(found)), options))
    }

    /// What was found in a repository.
    pub(super) fn repository(&self) -> Option<&RepositorySalvageReport> {
        match self {
            Self::Environment(_) => None,
            Self::Repository(found) => Some(&found.report),
        }
    }

    pub(super) fn hand_out(
        &self,
        options: &Options,
        what: &SalvageOptions<'_>,
        each: &mut dyn FnMut(&SalvagedEntry<'_>) -> EnvResult<()>,
    ) -> EnvResult<SalvageReport> {
        match self {
            Self::Environment(path) => salvage(path, options, what, each),
            Self::Repository(found) => {
                let what = what.clone().log_files_only(true);
                salvage_in(found.directory.clone(), options, &what, each)
            }
        }
    }

    pub(super) fn put_into(
        &self,
        target: &Path,
        options: Options,
        what: &SalvageOptions<'_>,
    ) -> EnvResult<SalvageReport> {
        let found = match self {
            Self::Environment(path) => return salvage_to(path, target, options, what),
            Self::Repository(found) => found,
        };
        let target = match RealDir::open(target) {
            Err(error) if error.is_not_found() => RealDir::create(target)?,
            opened => opened?,
        };
        let world = Arc::new(RealWorld::new());
        let what = what.clone().log_files_only(true);
        salvage_to_in(found.directory.clone(), target, world, options, &what)
    }
}
