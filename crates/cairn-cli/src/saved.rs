//! `Saved`: a backup where a command wants an environment to read: it is opened where it lies.

use std::path::{Path, PathBuf};

use cairn_log::Uuid;
use cairndb::{
    Environment,
    backup::{
        MANIFEST_NAME, Repository, RestoreOptions, Which, is_encrypted, is_object_store,
        is_repository, open_backup,
    },
};

use crate::{exit::Failure, keys::KeyArgs, open};

/// A backup by its path: a directory that `cairn backup` has made, a repository, which means its newest point, or
/// `REPO@POINT`, with a number or a label.
pub(crate) enum Saved {
    Directory(PathBuf),
    Point { repository: Repository, path: PathBuf, which: Which },
}

/// Which environment of a repository.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct EnvironmentArgs {
    /// Of this environment, by its uuid, if there are backups of several
    #[arg(long, value_name = "UUID")]
    environment: Option<String>,
}

impl EnvironmentArgs {
    pub(crate) fn uuid(&self) -> Result<Option<Uuid>, Failure> {
        let Some(text) = &self.environment else { return Ok(None) };
        match text.parse() {
            Ok(uuid) => Ok(Some(uuid)),
            Err(_) => Err(Failure::usage(format_args!(
                "{text:?} is no uuid: it has 32 hexadecimal digits, as `cairn repo info` prints them"
            ))),
        }
    }
}

impl Saved {
    /// The backup at `path`, if there is one.
    pub(crate) fn find(path: &Path) -> Result<Option<Self>, Failure> {
        if path.join(MANIFEST_NAME).is_file() {
            return Ok(Some(Self::Directory(path.to_owned())));
        }
        let named = path.to_str().and_then(|text| text.rsplit_once('@'));
        // Every URL of an object store names a repository, and none has an `@` in it.
        if is_repository(path) && !(is_object_store(path) && named.is_some()) {
            return Self::point(path, Which::Newest).map(Some);
        }
        let Some((repo, point)) = named else { return Ok(None) };
        if path.exists() || !is_repository(repo) {
            return Ok(None);
        }
        let which = match point.parse() {
            Ok(number) => Which::Number(number),
            Err(_) => Which::Label(point.into()),
        };
        Self::point(Path::new(repo), which).map(Some)
    }

    fn point(path: &Path, which: Which) -> Result<Self, Failure> {
        Ok(Self::Point { repository: Repository::open(path)?, path: path.to_owned(), which })
    }

    /// Opens it for reading; of a repository, the environment that is meant if there are backups of several.
    pub(crate) fn open(
        &self,
        key: &KeyArgs,
        environment: Option<Uuid>,
    ) -> Result<Environment, Failure> {
        let path = match self {
            Self::Directory(path) if environment.is_some() => return Err(no_repository(path)),
            Self::Directory(path) => path,
            Self::Point { repository, path, which } => {
                let repository = key.repo.unlock(repository.clone(), path)?;
                let (_, point) = repository.find(environment, which)?;
                let key = key.of(path, || point.keyring.is_some())?;
                let how = RestoreOptions::default().options(open::with_key(key));
                return Ok(repository.open_backup(environment, which, &how)?.0);
            }
        };
        let key = key.of(path, || is_encrypted(path))?;
        let how = RestoreOptions::default().options(open::with_key(key));
        Ok(open_backup(path, &how)?.0)
    }
}

/// An environment was named where there are no several.
pub(crate) fn no_repository(path: &Path) -> Failure {
    Failure::usage(format_args!("{} is no repository", path.display()))
        .advise("--environment says which one is meant of those in REPO or REPO@POINT")
}
