//! What a report is made of, as it was found: of environments, and of what repositories have of them.

use std::path::{Path, PathBuf};

use cairndb::{
    Environment, FileSpace, PinInfo, ReplicaStatus, SpaceReport, Stats,
    backup::{ListedPoint, Repository, TimelineIntervals, Tomb},
};

use crate::{exit::Failure, keys::KeyArgs, open};

pub(super) struct Facts {
    /// When it was made, in microseconds since 1970.
    pub(super) now: u64,
    pub(super) environments: Vec<EnvironmentFacts>,
    pub(super) backups: Vec<BackupFacts>,
    /// What cannot be read, and why.
    pub(super) unread: Vec<(PathBuf, String)>,
}

pub(super) struct EnvironmentFacts {
    pub(super) path: PathBuf,
    pub(super) uuid: String,
    pub(super) stats: Stats,
    pub(super) space: SpaceReport,
    pub(super) pins: Vec<PinInfo>,
    pub(super) replica: Option<ReplicaStatus>,
}

impl EnvironmentFacts {
    pub(super) fn files(&self) -> &[FileSpace] {
        &self.space.files
    }
}

/// What a repository has of an environment.
pub(super) struct BackupFacts {
    pub(super) path: PathBuf,
    pub(super) environment: String,
    pub(super) points: Vec<ListedPoint>,
    pub(super) timelines: Vec<TimelineIntervals>,
    pub(super) tombs: Vec<Tomb>,
}

impl Facts {
    /// Asks all of them. One that cannot be read keeps none of the others from the page.
    pub(super) fn collect(envs: &[PathBuf], repos: &[PathBuf], unlock: &KeyArgs, now: u64) -> Self {
        let (mut environments, mut backups, mut unread) = (Vec::new(), Vec::new(), Vec::new());
        for path in envs {
            match environment(path, unlock) {
                Ok(facts) => environments.push(facts),
                Err(failure) => unread.push((path.clone(), failure.message().to_owned())),
            }
        }
        for path in repos {
            match unlock.repo.open(path).and_then(|repo| of_repository(&repo, path)) {
                Ok(facts) => backups.extend(facts),
                Err(failure) => unread.push((path.clone(), failure.message().to_owned())),
            }
        }
        Self { now, environments, backups, unread }
    }
}

fn environment(path: &Path, unlock: &KeyArgs) -> Result<EnvironmentFacts, Failure> {
    let env: Environment = open::live_for_reading(path, unlock)?;
    Ok(EnvironmentFacts {
        path: path.to_owned(),
        uuid: env.identity().environment.to_string(),
        stats: env.stats()?,
        space: env.space()?,
        pins: env.pins()?,
        replica: env.replica()?,
    })
}

fn of_repository(repository: &Repository, path: &Path) -> Result<Vec<BackupFacts>, Failure> {
    let mut all = Vec::new();
    for info in repository.info()?.environments {
        let environment = Some(info.environment);
        all.push(BackupFacts {
            path: path.to_owned(),
            environment: info.environment.to_string(),
            points: repository.points(environment)?,
            timelines: repository.intervals(environment)?,
            tombs: info.tombs,
        });
    }
    Ok(all)
}
