//! `ObjectBackend`: a repository in an object store: S3, Google Cloud Storage, Azure, and what speaks their languages.
//!
//! A service answers requests of a library that wants to be awaited; a repository waits. So the requests run on a
//! runtime of their own, which has one thread, and whoever asks sleeps until the answer is there.
//!
//! | file | |
//! |--|--|
//! | `url` | the name of a place, taken apart |
//! | `options` | how a service is spoken to |
//! | `client` | the library's client of it |
//! | `trouble` | why a request failed, and whether to send it again |
//! | `requests` | what a repository asks, sent until it is answered |

mod client;
mod options;
mod requests;
mod trouble;
mod url;

use std::{
    fmt,
    sync::{Arc, mpsc},
};

use bytes::Bytes;
use cairn_io::{RealWorld, World as _};
use object_store::{ObjectStore, path::Path};
use tokio::runtime::{Builder, Runtime};

pub use options::ObjectOptions;

use self::{client::Client, requests::Requests, trouble::Trouble, url::Url};
use super::{BackendError, BackendResult, Listed, Put, RepoBackend};
use crate::{
    BackupError, BackupResult,
    repository::names::{Folder, ObjectName},
};

/// A repository in a bucket of an object store.
///
/// An object is stored by one conditional request, and looked at once after that. A request that is not answered is sent
/// again, for about a minute; whether one that was not answered has stored its object is settled by reading it. Waiting is done
/// by the thread that asks, and nothing runs when nobody does.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use cairn_backup::{ObjectBackend, ObjectOptions, Repository};
/// use cairn_io::RealWorld;
///
/// let options = ObjectOptions::default().set("aws_region", "eu-central-1");
/// let bucket = ObjectBackend::open("s3://backups/prod", options)?;
/// let repository = Repository::open_in(Arc::new(bucket), &(Arc::new(RealWorld::new()) as _))?;
/// # Ok::<(), cairn_backup::BackupError>(())
/// ```
pub struct ObjectBackend {
    /// As messages name it.
    place: String,
    prefix: Path,
    requests: Arc<Requests>,
    /// There until it is dropped.
    runtime: Option<Runtime>,
}

impl ObjectBackend {
    /// The place that a URL names: `s3://BUCKET/PREFIX`, `gs://…` or `az://…`. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`BackupError::InvalidInput`] if it is no such URL, or an option or an environment variable makes no sense;
    /// [`BackupError::Backend`] if the system gives no thread.
    pub fn open(url: &str, options: ObjectOptions) -> BackupResult<Self> {
        let url = Url::parse(url).map_err(|what| BackupError::InvalidInput { what })?;
        let place = url.to_string();
        let client = Client::connect(&url, &options).map_err(|error| {
            let what = Trouble::of_library(error).into_error("use", &place).to_string();
            BackupError::InvalidInput { what }
        })?;
        Ok(Self::new(place, url.prefix, client, options)?)
    }

    /// A place of the library's making, below a prefix: what it keeps in memory, for example.
    ///
    /// # Errors
    /// [`BackupError::Backend`] if the system gives no thread.
    pub fn of_store(
        store: Arc<dyn ObjectStore>,
        prefix: &str,
        options: ObjectOptions,
    ) -> BackupResult<Self> {
        let place = format!("{store}/{prefix}");
        Ok(Self::new(place, Path::from(prefix), Client { store, pages: None }, options)?)
    }

    fn new(
        place: String,
        prefix: Path,
        client: Client,
        options: ObjectOptions,
    ) -> BackendResult<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("cairn-object")
            .enable_all()
            .build()
            .map_err(|error| BackendError::Failed {
                what: format!("cannot start a thread for {place}: {error}"),
                source: error.into(),
            })?;
        let requests = Arc::new(Requests::new(client, options));
        Ok(Self { place, prefix, requests, runtime: Some(runtime) })
    }

    /// The path of what lies in a folder, or of the folder.
    fn path(&self, folder: &Folder, name: Option<&str>) -> Path {
        let folders = folder.path();
        let below = folders.iter().map(|name| name.as_str()).chain(name);
        below.fold(self.prefix.clone(), |path, name| path.join(name))
    }

    fn object(&self, name: &ObjectName) -> Path {
        self.path(&name.folder(), Some(name.name().as_str()))
    }

    /// Waits for the answer to what is asked. It may be asked from within a runtime of the caller's as well.
    fn ask<T, F>(
        &self,
        doing: &str,
        path: Path,
        ask: impl FnOnce(Arc<Requests>, Path) -> F,
    ) -> BackendResult<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Trouble>> + Send + 'static,
    {
        let name = match path.as_ref().strip_prefix(self.prefix.as_ref()) {
            Some(below) => format!("{}/{}", self.place, below.trim_start_matches('/')),
            None => self.place.clone(),
        };
        let answer = ask(Arc::clone(&self.requests), path);
        let (tell, told) = mpsc::sync_channel(1);
        if let Some(runtime) = &self.runtime {
            // Nobody listens any more only if the one who asked has panicked.
            runtime.spawn(async move { drop(tell.send(answer.await)) });
        }
        match told.recv() {
            Ok(answer) => answer.map_err(|trouble| trouble.into_error(doing, &name)),
            // The library has panicked.
            Err(error) => Err(BackendError::Failed {
                what: format!("cannot {doing} {name}: the client of the service has failed"),
                source: error.into(),
            }),
        }
    }

    fn put_at(&self, path: Path, bytes: &[u8]) -> BackendResult<Put> {
        let bytes = Bytes::copy_from_slice(bytes);
        self.ask("store", path, |to, path| async move { to.put(&path, bytes).await })
    }
}

impl RepoBackend for ObjectBackend {
    fn place(&self) -> String {
        self.place.clone()
    }

    /// Stores an object twice, with different content: a service that has never heard of conditions takes both.
    fn probe(&self) -> BackendResult<()> {
        let mut random = [0; 16];
        RealWorld::new().random(&mut random);
        let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = self.path(&Folder::Root, Some(&format!("probe-{digits}")));
        let puts = ["one", "other"].map(|text| self.put_at(path.clone(), text.as_bytes()));
        // Where nothing may be removed it stays, and is in nobody's way.
        drop(self.ask("remove", path, |from, path| async move { from.delete(&path).await }));
        let [one, other] = puts;
        match (one?, other?) {
            (Put::Stored, Put::Existed) => Ok(()),
            _ => {
                let why = "it replaces objects although it was told not to (If-None-Match: *), so one backup \
                           could take the place of another; use a service that honours conditional writes";
                let what = format!("{} cannot hold a repository: {why}", self.place);
                Err(BackendError::Failed { what, source: "a conditional write was ignored".into() })
            }
        }
    }

    fn put(&self, name: &ObjectName, bytes: &[u8]) -> BackendResult<Put> {
        self.put_at(self.object(name), bytes)
    }

    fn read(&self, name: &ObjectName, offset: u64, len: usize) -> BackendResult<Vec<u8>> {
        let read = |from: Arc<Requests>, path| async move { from.read(&path, offset, len).await };
        let found = self.ask("read", self.object(name), read)?;
        found.ok_or(BackendError::NotFound { object: *name })
    }

    fn length(&self, name: &ObjectName) -> BackendResult<Option<u64>> {
        let length = |of: Arc<Requests>, path| async move { of.length(&path).await };
        self.ask("look at", self.object(name), length)
    }

    /// What such a service has taken is durable.
    fn settle(&self, _: &Folder) -> BackendResult<()> {
        Ok(())
    }

    fn list(&self, folder: &Folder) -> BackendResult<Vec<Listed>> {
        let list = |of: Arc<Requests>, path| async move { of.list(&path).await };
        self.ask("list", self.path(folder, None), list)
    }

    fn delete(&self, name: &ObjectName) -> BackendResult<()> {
        let delete = |from: Arc<Requests>, path| async move { from.delete(&path).await };
        self.ask("remove", self.object(name), delete)
    }
}

impl Drop for ObjectBackend {
    fn drop(&mut self) {
        // Whoever drops it may be on a runtime of his own, which must not wait for another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for ObjectBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectBackend({})", self.place)
    }
}
