//! `Superseded` in a repository: the fence that a promotion puts there.
//!
//! It lies beside what says where its timeline came from, and is stored only if there is none: of two promotions one
//! happens. Whoever stores points or journal of a timeline asks for it before and after: before, so that nothing is stored
//! in vain; after, since it may have been stored meanwhile. Who promotes reads all that is there once more when the
//! fence is: so what somebody was told to be shipped is on the standby, and what comes too late is nobody's.

use cairn_env::{Environment, Superseded};
use cairn_log::{
    Digest, Timeline, Uuid,
    codec::{ByteReader, ByteWriter, DecodeError},
};

use super::{
    ObjectName, Put, Repository,
    fields::{FieldWriter, Fields},
    frames::Damaged,
    statement::StatementKind,
    store::Store,
};
use crate::{BackupError, BackupResult, ObjectError};

/// A fence is a few bytes.
const MAX_FENCE: u64 = 1 << 16;
const BY: u64 = 1;
const COMMIT: u64 = 2;

/// The fields of a fence, for the format page: number, name, content.
pub(crate) const FIELDS: &[(u64, &str, &str)] = &[
    (BY, "by", "the timeline that goes on: u32; the standby that was promoted: 16 bytes"),
    (
        COMMIT,
        "commit",
        "the newest commit that it had then: varint; when that was, in microseconds since 1970: u64",
    ),
];

/// What the content of a fence says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fence {
    by: Timeline,
    standby: Uuid,
    commit: u64,
    at: u64,
}

impl Fence {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = FieldWriter::default();
        fields.put(BY, |bytes| {
            bytes.put_u32(self.by.0);
            bytes.extend_from_slice(&self.standby.0);
        });
        fields.put(COMMIT, |bytes| {
            bytes.put_varint(self.commit);
            bytes.put_u64(self.at);
        });
        fields.finish()
    }

    pub(crate) fn decode(content: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(content)?;
        let by = |reader: &mut ByteReader<'_>| {
            Ok((Timeline(reader.u32("by")?), Uuid(reader.array("by")?)))
        };
        let (by, standby) = fields.take(BY, "by", by)?;
        let commit =
            |reader: &mut ByteReader<'_>| Ok((reader.varint("commit")?, reader.u64("commit")?));
        let (commit, at) = fields.take(COMMIT, "commit", commit)?;
        Ok(Self { by, standby, commit, at })
    }
}

impl Store {
    /// Who has superseded a timeline, if anybody has.
    pub(crate) fn fence(
        &self,
        environment: Uuid,
        timeline: Timeline,
    ) -> BackupResult<Option<Superseded>> {
        let name = ObjectName::Fence { environment, timeline };
        let bytes = match self.whole(name, MAX_FENCE) {
            Err(BackupError::Object(ObjectError::Missing { .. })) => return Ok(None),
            read => read?,
        };
        let of = (environment, timeline.0.into());
        let (_, content) = self.decode_statement(name, StatementKind::Fence, of, &bytes)?;
        let Fence { by, standby, commit, at } =
            Fence::decode(&content).map_err(|error| self.no_content(name, error))?;
        Ok(Some(Superseded { environment, timeline, by, standby, commit, at }))
    }
}

impl Repository {
    /// Who has superseded a timeline of an environment, if anybody has: a standby that was [promoted](crate::Standby::promote).
    ///
    /// # Errors
    /// [`BackupError::RepositoryKeyRequired`]; if what is there cannot be read, or the place fails.
    pub fn superseded(
        &self,
        environment: Uuid,
        timeline: Timeline,
    ) -> BackupResult<Option<Superseded>> {
        self.store.fence(environment, timeline)
    }

    /// An error if a standby was promoted in the place of `env`: for an application to ask, whenever it opens an
    /// environment of which the repository has backups, before it writes.
    ///
    /// ```
    /// use cairn_backup::{PointOptions, Repository};
    /// use cairn_env::{DatabaseOptions, Environment, Options};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let (live, place) = (dir.path().join("live"), dir.path().join("repo"));
    /// # Repository::create(&place)?;
    /// let (env, _) = Environment::open(&live, Options::default())?;
    /// Repository::open(&place)?.check_not_superseded(&env)?;
    /// # Ok::<(), cairn_backup::BackupError>(())
    /// ```
    ///
    /// # Errors
    /// [`BackupError::Superseded`]; as [`superseded`](Self::superseded).
    pub fn check_not_superseded(&self, env: &Environment) -> BackupResult<()> {
        let identity = env.identity();
        self.check_fence(identity.environment, identity.timeline)
    }

    /// An error if somebody has superseded a timeline.
    pub(crate) fn check_fence(&self, environment: Uuid, timeline: Timeline) -> BackupResult<()> {
        match self.store.fence(environment, timeline)? {
            Some(superseded) => Err(self.is_superseded(superseded)),
            None => Ok(()),
        }
    }

    /// Where it lies, for messages.
    pub(crate) fn place_name(&self) -> String {
        self.store.backend.place()
    }

    fn is_superseded(&self, by: Superseded) -> BackupError {
        BackupError::Superseded { place: self.place_name(), by: Box::new(by) }
    }

    /// Stores that a timeline is superseded. What is there already is that of this standby, or an error.
    pub(crate) fn put_fence(&self, by: &Superseded) -> BackupResult<()> {
        self.check_writable()?;
        let Superseded { environment, timeline, .. } = *by;
        let name = ObjectName::Fence { environment, timeline };
        let fence = Fence { by: by.by, standby: by.standby, commit: by.commit, at: by.at };
        let of = (environment, timeline.0.into());
        let kind = StatementKind::Fence;
        let bytes = self.store.encode_statement(kind, of, Digest([0; 32]), &fence.encode())?;
        let put = self.store.backend.put(&name, &bytes)?;
        match self.store.fence(environment, timeline)? {
            Some(found) if (found.by, found.standby) == (by.by, by.standby) => Ok(()),
            Some(found) if put == Put::Existed => Err(self.is_superseded(found)),
            _ => {
                let problem = "it was read back as another one than was stored".into();
                Err(self.store.damaged(name, Damaged { at: 0, problem }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_fence_says_survives_its_bytes() {
        let (by, standby) = (Timeline(0x5eed), Uuid([3; 16]));
        let fence = Fence { by, standby, commit: 4711, at: 1_790_000_000_000_000 };
        let content = fence.encode();
        assert_eq!(Fence::decode(&content), Ok(fence));
        for len in 0..content.len() {
            assert!(Fence::decode(&content[..len]).is_err(), "{len}");
        }
    }
}
