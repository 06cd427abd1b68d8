//! `Repository::open_damaged`: which repository it is, if `repo.cairn` does not say so any more.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use cairn_env::KeySource;
use cairn_io::WorldRef;
use cairn_log::{Uuid, crc32c};

use super::survey::parts_of;
use crate::{
    BackupError, BackupResult, LocalBackend, ObjectName, RepoBackend, Repository,
    repository::{
        header::Header,
        layout::{PART_MAGIC, repository_part as layout},
        real_world,
        secrecy::Secrecy,
        store::Store,
    },
};

/// So many objects are asked of which repository they are.
const ASKED: usize = 64;

impl Repository {
    /// Opens the repository in the directory `path` for a [`salvage`](Self::salvage), also if the object `repo.cairn` is
    /// damaged or missing: what that says is then taken from the other objects. Points can be listed and restored as ever. It
    /// is written by nobody. An encrypted one is to be given its key.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`unlock`](Self::unlock); [`BackupError::NotARepository`] if there is no object at all.
    pub fn open_damaged(path: impl AsRef<Path>, key: Option<&KeySource>) -> BackupResult<Self> {
        let path = path.as_ref();
        let backend = LocalBackend::open(path).map_err(|error| match error.is_not_found() {
            true => BackupError::NotARepository { place: path.display().to_string() },
            false => error.into(),
        })?;
        Self::open_damaged_in(Arc::new(backend), &real_world(), key)
    }

    /// As [`open_damaged`](Self::open_damaged), in any place.
    ///
    /// # Errors
    /// As [`open_damaged`](Self::open_damaged).
    pub fn open_damaged_in(
        backend: Arc<dyn RepoBackend>,
        world: &WorldRef,
        key: Option<&KeySource>,
    ) -> BackupResult<Self> {
        let mut opened = match Self::open_in(Arc::clone(&backend), world) {
            Err(
                error @ (BackupError::Object(
                    crate::ObjectError::Damaged { .. } | crate::ObjectError::Unreadable { .. },
                )
                | BackupError::NotARepository { .. }),
            ) => {
                let Some((repository, is_encrypted)) = identity(&backend)? else {
                    return Err(error);
                };
                let secrecy = if is_encrypted { Secrecy::Locked } else { Secrecy::Plain };
                let header = Header { repository, created: 0, is_encrypted, to_write: 0 };
                let store = Store { backend, repository, secrecy };
                Self { store, header, world: WorldRef::clone(world), access: None }
            }
            opened => opened?,
        };
        // As if only a later version might: whoever wrote to it would do so beside what is lost.
        opened.header.to_write = u64::MAX;
        match key.filter(|_| opened.header.is_encrypted) {
            Some(key) => opened.unlock(key),
            None => Ok(opened),
        }
    }
}

/// Which repository the objects are of, and whether they are encrypted.
fn identity(backend: &Arc<dyn RepoBackend>) -> BackupResult<Option<(Uuid, bool)>> {
    let secrecy = Secrecy::Plain;
    let store = Store { backend: Arc::clone(backend), repository: Uuid::default(), secrecy };
    // Objects of another repository that somebody has put there are fewer.
    let mut said: BTreeMap<Uuid, usize> = BTreeMap::new();
    for (repository, ..) in store.keyrings()? {
        *said.entry(repository).or_default() += 1;
    }
    if let Some(found) = most(said) {
        return Ok(Some((found, true)));
    }
    let mut said = BTreeMap::new();
    for environment in store.environments()? {
        for part in parts_of(&store, environment)?.into_iter().take(ASKED) {
            let object = ObjectName::Part { environment, part };
            let head = store.backend.read(&object, 0, layout::LEN).unwrap_or_default();
            if head.len() == layout::LEN
                && layout::MAGIC.of(&head) == PART_MAGIC
                && layout::CRC.number(&head) == u64::from(crc32c(&head[..layout::CRC.offset]))
            {
                let mut repository = Uuid::default();
                repository.0.copy_from_slice(layout::REPOSITORY.of(&head));
                *said.entry(repository).or_default() += 1;
            }
        }
    }
    Ok(most(said).map(|found| (found, false)))
}

fn most(said: BTreeMap<Uuid, usize>) -> Option<Uuid> {
    said.into_iter().max_by_key(|(_, count)| *count).map(|(repository, _)| repository)
}
