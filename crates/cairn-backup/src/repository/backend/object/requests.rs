//! `Requests`: what a repository asks of an object store, each request sent until it is answered or hope is gone.
//!
//! Whether a request that was not answered has been carried out, nobody knows. For all but one that is no matter: asked
//! again, they answer the same. An object that was to be stored is then there the second time, and whose it is is
//! settled by reading it.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::Bytes;
use cairn_io::{RealWorld, World as _};
use object_store::{
    GetOptions, GetRange, ListResult, ObjectStoreExt as _, PutMode, list::PaginatedListOptions,
    path::Path,
};

use super::{
    client::Client,
    options::ObjectOptions,
    trouble::{Kind, Trouble, attempt, within},
};
use crate::repository::backend::{Listed, Put};

/// Bytes that come or go in a second, at least.
const SLOWEST: u64 = 64 << 10;
/// The longest wait between two tries.
const LONGEST: Duration = Duration::from_secs(20);
/// So often a service is asked that has never answered.
const STRANGER: u32 = 5;

/// A service and how it is asked.
pub(super) struct Requests {
    client: Client,
    options: ObjectOptions,
    /// Whether it has ever answered.
    has_answered: AtomicBool,
    world: RealWorld,
}

/// The tries of one request.
struct Tries<'a> {
    of: &'a Requests,
    done: u32,
}

impl Tries<'_> {
    /// Waits before the next try, or gives up.
    async fn next(&mut self, trouble: Trouble) -> Result<(), Trouble> {
        let options = &self.of.options;
        let most = match self.of.has_answered.load(Ordering::Relaxed) {
            true => options.tries,
            false => options.tries.min(STRANGER),
        };
        self.done += 1;
        if self.done >= most {
            return Err(trouble.after(self.done));
        }
        let doubled = options.first_wait.saturating_mul(1 << (self.done - 1).min(16)).min(LONGEST);
        // Many who were turned away at the same time do not come back at the same time.
        let mut chance = [0; 2];
        self.of.world.random(&mut chance);
        let half = doubled / 2;
        let wait = half + half * u32::from(u16::from_le_bytes(chance)) / u32::from(u16::MAX);
        tokio::time::sleep(wait.max(trouble.pause.unwrap_or_default())).await;
        Ok(())
    }
}

impl Requests {
    pub(super) fn new(client: Client, options: ObjectOptions) -> Self {
        let (has_answered, world) = (AtomicBool::new(false), RealWorld::new());
        Self { client, options, has_answered, world }
    }

    const fn tries(&self) -> Tries<'_> {
        Tries { of: self, done: 0 }
    }

    /// How long something of so many bytes may take.
    fn time(&self, bytes: u64) -> Duration {
        self.options.timeout + Duration::from_secs(bytes / SLOWEST)
    }

    /// Sends a request once.
    async fn once<T>(
        &self,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, Trouble> {
        let result = attempt(request).await;
        if result.as_ref().err().is_none_or(|trouble| trouble.answered) {
            self.has_answered.store(true, Ordering::Relaxed);
        }
        result
    }

    /// Sends a request that may be carried out more than once.
    async fn again<T, F>(&self, request: impl Fn() -> F) -> Result<T, Trouble>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let mut tries = self.tries();
        loop {
            match self.once(request()).await {
                Err(trouble) if trouble.kind == Kind::Passing => tries.next(trouble).await?,
                ended => return ended,
            }
        }
    }

    /// Stores an object unless there is one of that name, and sees that it is there.
    pub(super) async fn put(&self, path: &Path, bytes: Bytes) -> Result<Put, Trouble> {
        let store = &self.client.store;
        let (length, time) = (bytes.len() as u64, self.time(bytes.len() as u64));
        let mut tries = self.tries();
        // Whether a request of ours may have stored it without our being told.
        let mut is_open = false;
        loop {
            let request = store.put_opts(path, bytes.clone().into(), PutMode::Create.into());
            let trouble = match self.once(within(time, request)).await {
                Ok(_) => match self.length(path).await? {
                    Some(found) if found == length => return Ok(Put::Stored),
                    Some(found) => {
                        let what = format!("it has {found} bytes, of {length} that were stored");
                        return Err(Trouble::contradiction(what).stays());
                    }
                    None => Trouble::contradiction("the service took it, and it is not there"),
                },
                Err(trouble) if trouble.kind == Kind::Exists => match is_open {
                    false => return Ok(Put::Existed),
                    true => match self.read(path, 0, bytes.len().saturating_add(1)).await? {
                        Some(found) if found == bytes => return Ok(Put::Stored),
                        Some(_) => return Ok(Put::Existed),
                        None => Trouble::contradiction("it was there, and then it was not"),
                    },
                },
                Err(trouble) if matches!(trouble.kind, Kind::Passing | Kind::Conflict) => trouble,
                Err(trouble) => return Err(trouble),
            };
            is_open |= trouble.kind == Kind::Passing;
            tries.next(trouble).await?;
        }
    }

    /// At most `len` bytes of an object from `offset` on; `None` if there is no object.
    pub(super) async fn read(
        &self,
        path: &Path,
        offset: u64,
        len: usize,
    ) -> Result<Option<Vec<u8>>, Trouble> {
        // No service has objects, and not every one understands numbers, that are larger.
        const MOST: u64 = i64::MAX as u64;
        if len == 0 || offset > MOST {
            return Ok(self.length(path).await?.map(|_| Vec::new()));
        }
        // Memory has no status to say by that a range lies behind the end.
        if self.client.pages.is_none() && self.length(path).await?.is_some_and(|end| end <= offset)
        {
            return Ok(Some(Vec::new()));
        }
        let range = match offset.saturating_add(len as u64) {
            end if end <= MOST => GetRange::Bounded(offset..end),
            _ => GetRange::Offset(offset),
        };
        let request = || async {
            let options = GetOptions { range: Some(range.clone()), ..GetOptions::default() };
            let head = within(self.time(0), self.client.store.get_opts(path, options)).await?;
            let length = head.range.end - head.range.start;
            let bytes = within(self.time(length), head.bytes()).await?;
            Ok((bytes, length))
        };
        let mut tries = self.tries();
        loop {
            let trouble = match self.again(&request).await {
                Ok((bytes, length)) if bytes.len() as u64 == length => {
                    return Ok(Some(bytes.into()));
                }
                Ok((bytes, length)) => {
                    let came = bytes.len();
                    Trouble::contradiction(format!("{came} bytes came, of {length} announced"))
                }
                Err(trouble) if trouble.kind == Kind::Missing => return Ok(None),
                Err(trouble) if trouble.kind == Kind::Range => match self.length(path).await? {
                    None => return Ok(None),
                    Some(length) if length <= offset => return Ok(Some(Vec::new())),
                    Some(_) => return Err(trouble),
                },
                Err(trouble) => return Err(trouble),
            };
            tries.next(trouble).await?;
        }
    }

    /// The length of an object, `None` if there is none.
    pub(super) async fn length(&self, path: &Path) -> Result<Option<u64>, Trouble> {
        match self.again(|| within(self.time(0), self.client.store.head(path))).await {
            Ok(found) => Ok(Some(found.size)),
            Err(trouble) if trouble.kind == Kind::Missing => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// Removes an object, if it is there.
    pub(super) async fn delete(&self, path: &Path) -> Result<(), Trouble> {
        match self.again(|| within(self.time(0), self.client.store.delete(path))).await {
            Err(trouble) if trouble.kind == Kind::Missing => Ok(()),
            ended => ended,
        }
    }

    /// What lies directly below a path.
    pub(super) async fn list(&self, below: &Path) -> Result<Vec<Listed>, Trouble> {
        let mut listed = Listing { below: below.clone(), found: BTreeMap::new() };
        let time = self.time(0);
        let Some(pages) = &self.client.pages else {
            let all = || within(time, self.client.store.list_with_delimiter(Some(below)));
            listed.add(self.again(all).await?);
            return Ok(listed.finish());
        };
        let prefix = if below.is_root() { String::new() } else { format!("{below}/") };
        let mut token: Option<String> = None;
        loop {
            let page = || {
                let options = PaginatedListOptions {
                    delimiter: Some("/".into()),
                    max_keys: self.options.page,
                    page_token: token.clone(),
                    ..PaginatedListOptions::default()
                };
                within(time, pages.list_paginated(Some(&*prefix), options))
            };
            let page = self.again(page).await?;
            listed.add(page.result);
            match page.page_token {
                None => return Ok(listed.finish()),
                next if next == token => {
                    let what = "the listing names the page that it gave as the next one";
                    return Err(Trouble::contradiction(what).stays());
                }
                next => token = next,
            }
        }
    }
}

/// A listing that comes in pages.
struct Listing {
    below: Path,
    found: BTreeMap<String, Option<u64>>,
}

impl Listing {
    fn add(&mut self, page: ListResult) {
        let name = |path: &Path| {
            let mut parts = path.prefix_match(&self.below)?;
            let name = parts.next()?.as_ref().to_owned();
            // A mark that stands for the folder itself, or an object of somebody else's further down.
            parts.next().is_none().then_some(name)
        };
        let folders = page.common_prefixes.iter().filter_map(|path| Some((name(path)?, None)));
        let objects = page.objects.iter();
        let objects = objects.filter_map(|meta| Some((name(&meta.location)?, Some(meta.size))));
        let entries: Vec<_> = folders.chain(objects).collect();
        self.found.extend(entries);
    }

    fn finish(self) -> Vec<Listed> {
        self.found.into_iter().map(|(name, length)| Listed { name, length }).collect()
    }
}
