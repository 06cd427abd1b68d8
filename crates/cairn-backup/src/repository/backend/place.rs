//! `Place`: where a repository is, by what its user calls it: a directory, or the URL of an object store.

use std::{path::Path, sync::Arc};

use super::{LocalBackend, RepoBackend, local};
use crate::{BackupError, BackupResult};

/// What URLs of object stores begin with: S3 and what speaks its language, Google Cloud Storage, and Azure.
const SCHEMES: [&str; 3] = ["s3://", "gs://", "az://"];

enum Place<'a> {
    Directory(&'a Path),
    ObjectStore(&'a str),
}

impl<'a> Place<'a> {
    fn of(path: &'a Path) -> Self {
        let is_url = |text: &&str| SCHEMES.iter().any(|scheme| text.starts_with(scheme));
        path.to_str().filter(is_url).map_or(Self::Directory(path), Self::ObjectStore)
    }
}

/// Whether `path` is the URL of a place in an object store: `s3://BUCKET/PREFIX`, `gs://…` or `az://…`. A directory with
/// such a name is `./s3:/…`.
#[must_use]
pub fn is_object_store(path: impl AsRef<Path>) -> bool {
    matches!(Place::of(path.as_ref()), Place::ObjectStore(_))
}

/// Whether there is a repository in the directory `path`. The URL of an object store can name nothing else, so that is
/// always one: who opens it learns the rest.
#[must_use]
pub fn is_repository(path: impl AsRef<Path>) -> bool {
    match Place::of(path.as_ref()) {
        Place::Directory(path) => local::is_repository(path),
        Place::ObjectStore(_) => true,
    }
}

/// The place of a repository that is there.
pub(crate) fn open(path: &Path) -> BackupResult<Arc<dyn RepoBackend>> {
    match Place::of(path) {
        Place::ObjectStore(url) => object_store(url),
        Place::Directory(path) => match LocalBackend::open(path) {
            Ok(backend) => Ok(Arc::new(backend)),
            Err(error) if error.is_not_found() => {
                Err(BackupError::NotARepository { place: path.display().to_string() })
            }
            Err(error) => Err(error.into()),
        },
    }
}

/// A place for a new one.
pub(crate) fn create(path: &Path) -> BackupResult<Arc<dyn RepoBackend>> {
    match Place::of(path) {
        Place::ObjectStore(url) => object_store(url),
        Place::Directory(path) if local::is_repository(path) => {
            Err(BackupError::RepositoryExists { place: path.display().to_string() })
        }
        Place::Directory(path) => Ok(Arc::new(LocalBackend::create(path)?)),
    }
}

#[cfg(feature = "object-store")]
fn object_store(url: &str) -> BackupResult<Arc<dyn RepoBackend>> {
    Ok(Arc::new(super::ObjectBackend::open(url, super::ObjectOptions::default())?))
}

#[cfg(not(feature = "object-store"))]
fn object_store(url: &str) -> BackupResult<Arc<dyn RepoBackend>> {
    Err(BackupError::NoObjectStores { url: url.into() })
}
