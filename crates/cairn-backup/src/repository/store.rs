//! `Store`: the objects of a repository, read with nothing trusted.

use std::sync::Arc;

use cairn_archive::Compression;
use cairn_env::EnvError;
use cairn_log::{
    Digest, Timeline, Uuid,
    codec::{ByteWriter as _, DecodeError},
};

use super::{
    backend::{BackendError, RepoBackend},
    fields::{FieldWriter, Fields},
    frames::Damaged,
    layout::{MAX_STATEMENT, repository_statement},
    names::{Folder, ObjectName, PartName, ShortHash},
    part::{self, DecodedPart, PartId, StoredPart},
    point::{NeededObject, Part, Point, decode_index},
    secrecy::Secrecy,
    statement::{self, StatementId, StatementKind, Unread},
};
use crate::{BackupError, BackupResult, ObjectError, Put};

/// No point is longer.
pub(crate) const MAX_POINT: u64 =
    (repository_statement::LEN + MAX_STATEMENT + (MAX_STATEMENT >> 10)) as u64;

/// The objects of a repository.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) backend: Arc<dyn RepoBackend>,
    pub(crate) repository: Uuid,
    pub(crate) secrecy: Secrecy,
}

/// A point as it lies in the repository.
#[derive(Clone, Debug)]
pub(crate) struct ReadPoint {
    /// The hash of the one before.
    pub(crate) previous: Digest,
    pub(crate) point: Point,
}

impl Store {
    pub(crate) fn missing(&self, object: ObjectName) -> BackupError {
        ObjectError::Missing { place: self.backend.place(), object }.into()
    }

    pub(crate) fn damaged(&self, object: ObjectName, damaged: Damaged) -> BackupError {
        let Damaged { at, problem } = damaged;
        ObjectError::Damaged { place: self.backend.place(), object, at, problem }.into()
    }

    pub(crate) fn unread(&self, object: ObjectName, unread: Unread) -> BackupError {
        match unread {
            Unread::Damaged(damaged) => self.damaged(object, damaged),
            Unread::Locked => self.locked(),
            Unread::Unsupported(what) => {
                ObjectError::Unsupported { place: self.backend.place(), object, what }.into()
            }
        }
    }

    /// What is encrypted is to be read or written, and there is no key.
    pub(crate) fn locked(&self) -> BackupError {
        BackupError::RepositoryKeyRequired { place: self.backend.place() }
    }

    /// All of an object, if that is at most `limit` bytes.
    pub(crate) fn whole(&self, object: ObjectName, limit: u64) -> BackupResult<Vec<u8>> {
        let most = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1);
        let bytes = self.of(object, self.backend.read(&object, 0, most))?;
        if bytes.len() as u64 > limit {
            let problem = format!("it has more than {limit} bytes");
            return Err(self.damaged(object, Damaged { at: limit, problem }));
        }
        Ok(bytes)
    }

    /// What was read of an object, or what is wrong with it.
    pub(crate) fn of<T>(
        &self,
        object: ObjectName,
        read: Result<T, BackendError>,
    ) -> BackupResult<T> {
        read.map_err(|error| match error {
            BackendError::NotFound { .. } => self.missing(object),
            BackendError::Io(error) => {
                let (place, why) = (self.backend.place(), error.to_string());
                ObjectError::Unreadable { place, object, why }.into()
            }
            error => error.into(),
        })
    }

    /// Whether an object is exactly this.
    pub(crate) fn holds(&self, object: ObjectName, bytes: &[u8]) -> BackupResult<bool> {
        self.of(object, self.backend.holds(&object, bytes))
    }

    /// So many bytes of an object.
    pub(crate) fn range(&self, object: ObjectName, at: u64, len: usize) -> BackupResult<Vec<u8>> {
        let bytes = self.of(object, self.backend.read(&object, at, len))?;
        if bytes.len() == len {
            return Ok(bytes);
        }
        let at = at + bytes.len() as u64;
        Err(self.damaged(object, Damaged { at, problem: "it ends where there was more".into() }))
    }

    /// All of an object whose length and hash are known.
    pub(crate) fn stored(&self, needed: &NeededObject) -> BackupResult<Vec<u8>> {
        let NeededObject { name, stored_length, stored } = *needed;
        let bytes = self.whole(name, stored_length)?;
        if bytes.len() as u64 != stored_length {
            let at = bytes.len() as u64;
            let problem = format!("it has {at} bytes, not {stored_length}");
            return Err(self.damaged(name, Damaged { at, problem }));
        }
        let found = Digest::of(&bytes);
        if found != stored {
            // A frame that is damaged has a place; anything else is damaged somewhere.
            let ObjectName::Part { environment, part } = name else {
                return Err(self.damaged(name, wrong_hash(0, found, stored)));
            };
            return Err(match self.decode_part(environment, part, &bytes) {
                Err(error @ BackupError::Object(_)) => error,
                _ => self.damaged(name, wrong_hash(0, found, stored)),
            });
        }
        Ok(bytes)
    }

    /// The bytes of a log file in a part, with every hash compared.
    pub(crate) fn part(
        &self,
        environment: Uuid,
        name: PartName,
        known: &Part,
    ) -> BackupResult<Vec<u8>> {
        Ok(self.object_and_part(environment, name, known)?.1.content)
    }

    /// As [`part`](Self::part), with the object that holds them.
    pub(crate) fn object_and_part(
        &self,
        environment: Uuid,
        name: PartName,
        known: &Part,
    ) -> BackupResult<(Vec<u8>, DecodedPart)> {
        let object = ObjectName::Part { environment, part: name };
        let (stored_length, stored) = (known.stored_length, known.stored);
        let bytes = self.stored(&NeededObject { name: object, stored_length, stored })?;
        let decoded = self.decode_part(environment, name, &bytes)?;
        match decoded.digest == known.content {
            true => Ok((bytes, decoded)),
            false => Err(self.damaged(object, wrong_hash(0, decoded.digest, known.content))),
        }
    }

    /// A statement has passed its checksums, and makes no sense.
    pub(crate) fn no_content(&self, name: ObjectName, error: DecodeError) -> BackupError {
        let at = (repository_statement::LEN + error.at) as u64;
        self.damaged(name, Damaged { at, problem: format!("its content is none: {error}") })
    }

    /// Whether what is stored is encrypted by the repository.
    pub(crate) const fn is_encrypted(&self) -> bool {
        !matches!(self.secrecy, Secrecy::Plain)
    }

    /// How what is stored is encrypted.
    fn writing(&self) -> BackupResult<&Secrecy> {
        if self.secrecy.is_locked() { Err(self.locked()) } else { Ok(&self.secrecy) }
    }

    /// The object that holds bytes of a log file; the hash in `name` is not known yet.
    pub(crate) fn encode_part(
        &self,
        environment: Uuid,
        name: PartName,
        content: &[u8],
        copy: u32,
        compression: Compression,
    ) -> BackupResult<StoredPart> {
        let id = PartId { repository: self.repository, environment, name };
        part::encode(&id, content, copy, compression, self.writing()?).map_err(too_much)
    }

    /// The bytes of a log file that an object holds.
    pub(crate) fn decode_part(
        &self,
        environment: Uuid,
        name: PartName,
        object: &[u8],
    ) -> BackupResult<DecodedPart> {
        let id = PartId { repository: self.repository, environment, name };
        let named = ObjectName::Part { environment, part: name };
        part::decode(&id, object, &self.secrecy).map_err(|unread| self.unread(named, unread))
    }

    /// The object of a statement.
    pub(crate) fn encode_statement(
        &self,
        kind: StatementKind,
        (environment, number): (Uuid, u64),
        previous: Digest,
        content: &[u8],
    ) -> BackupResult<Vec<u8>> {
        let id = StatementId { kind, repository: self.repository, environment, number };
        statement::encode(&id, previous, content, self.writing()?).map_err(too_much)
    }

    /// What a statement names before it, and its content.
    pub(crate) fn decode_statement(
        &self,
        name: ObjectName,
        kind: StatementKind,
        (environment, number): (Uuid, u64),
        object: &[u8],
    ) -> BackupResult<(Digest, Vec<u8>)> {
        let id = StatementId { kind, repository: self.repository, environment, number };
        statement::decode(&id, object, &self.secrecy).map_err(|unread| self.unread(name, unread))
    }

    /// Stores both copies of an object. Of two who do so under the same names one does, and it is `others` who have.
    pub(crate) fn put_twice(
        &self,
        copies: [ObjectName; 2],
        bytes: &[u8],
        max: u64,
        others: &str,
    ) -> BackupResult<()> {
        for (name, is_first) in copies.into_iter().zip([true, false]) {
            let put = self.backend.put(&name, bytes)?;
            if self.whole(name, max)? == bytes {
                continue;
            }
            // Who has stored the first copy is the only one who stores the second.
            return Err(match put {
                Put::Existed if is_first => EnvError::Busy { holders: vec![others.into()] }.into(),
                Put::Existed | Put::Stored => {
                    let problem = "it was read back as another one than was stored".into();
                    self.damaged(name, Damaged { at: 0, problem })
                }
            });
        }
        Ok(())
    }

    /// Numbers of the points of an environment that a listing has, in order, without those that were removed.
    pub(crate) fn numbers(&self, environment: Uuid) -> BackupResult<Vec<u64>> {
        let mut numbers = self.listed_numbers(environment)?;
        let tombs = self.readable_tombs(environment)?;
        numbers.retain(|number| tombs.counts(*number));
        Ok(numbers)
    }

    /// Numbers under which a listing has points, in order, whether these count or not.
    pub(crate) fn listed_numbers(&self, environment: Uuid) -> BackupResult<Vec<u64>> {
        let folder = Folder::Points(environment);
        let listed = self.backend.list(&folder)?;
        let number = |name: &str| match folder.object(name)? {
            ObjectName::Point { number, .. } => Some(number),
            _ => None,
        };
        let mut numbers: Vec<_> = listed.iter().filter_map(|listed| number(&listed.name)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The environments of which there is anything.
    pub(crate) fn environments(&self) -> BackupResult<Vec<Uuid>> {
        let listed = self.backend.list(&Folder::Environments)?;
        Ok(listed.iter().filter_map(|listed| Folder::environment(&listed.name)).collect())
    }

    /// Reads a point.
    pub(crate) fn point(&self, environment: Uuid, number: u64) -> BackupResult<ReadPoint> {
        let bytes = self.whole(ObjectName::Point { environment, number }, MAX_POINT)?;
        self.decode_point(environment, number, &bytes)
    }

    /// What a point says that was read.
    pub(crate) fn decode_point(
        &self,
        environment: Uuid,
        number: u64,
        bytes: &[u8],
    ) -> BackupResult<ReadPoint> {
        let name = ObjectName::Point { environment, number };
        let (previous, content) =
            self.decode_statement(name, StatementKind::Point, (environment, number), bytes)?;
        let decoded = Point::decode(environment, &content);
        let point = decoded.map_err(|error| self.no_content(name, error))?;
        Ok(ReadPoint { previous, point })
    }

    pub(crate) fn encode_point(
        &self,
        number: u64,
        previous: Digest,
        point: &Point,
    ) -> BackupResult<Vec<u8>> {
        let of = (point.cut.environment, number);
        self.encode_statement(StatementKind::Point, of, previous, &point.encode())
    }

    /// The index of a point, and its name.
    pub(crate) fn encode_index(
        &self,
        number: u64,
        point: &Point,
    ) -> BackupResult<(ObjectName, Vec<u8>)> {
        let environment = point.cut.environment;
        let of = (environment, number);
        let content = point.encode_index();
        let bytes = self.encode_statement(StatementKind::Index, of, Digest([0; 32]), &content)?;
        let hash = ShortHash::of(Digest::of(&bytes));
        Ok((ObjectName::Index { environment, number, hash }, bytes))
    }

    /// Reads an index.
    pub(crate) fn index(
        &self,
        name: ObjectName,
        (length, hash): (u64, Digest),
    ) -> BackupResult<Vec<NeededObject>> {
        let bytes = self.stored(&NeededObject { name, stored_length: length, stored: hash })?;
        let ObjectName::Index { environment, number, .. } = name else { return Ok(Vec::new()) };
        let (_, content) =
            self.decode_statement(name, StatementKind::Index, (environment, number), &bytes)?;
        decode_index(environment, &content).map_err(|error| self.no_content(name, error))
    }

    /// An index of which only the name is known.
    pub(crate) fn named_index(
        &self,
        name: ObjectName,
        length: u64,
    ) -> BackupResult<Vec<NeededObject>> {
        let found = Digest::of(&self.whole(name, MAX_POINT.min(length))?);
        let objects = self.index(name, (length, found))?;
        match name {
            ObjectName::Index { hash, .. } if hash != ShortHash::of(found) => {
                let problem = format!("its hash is {found}");
                Err(self.damaged(name, Damaged { at: 0, problem }))
            }
            _ => Ok(objects),
        }
    }

    /// The object that says where a timeline came from.
    pub(crate) fn encode_timeline(
        &self,
        environment: Uuid,
        timeline: Timeline,
        origin: &Origin,
    ) -> BackupResult<(ObjectName, Vec<u8>)> {
        let (of, content) = ((environment, timeline.0.into()), origin.encode());
        let bytes =
            self.encode_statement(StatementKind::Timeline, of, Digest([0; 32]), &content)?;
        Ok((ObjectName::Timeline { environment, timeline }, bytes))
    }

    /// Reads where a timeline came from.
    pub(crate) fn timeline(&self, environment: Uuid, timeline: Timeline) -> BackupResult<Origin> {
        let name = ObjectName::Timeline { environment, timeline };
        let bytes = self.whole(name, 1 << 16)?;
        let of = (environment, timeline.0.into());
        let (_, content) = self.decode_statement(name, StatementKind::Timeline, of, &bytes)?;
        Origin::decode(&content).map_err(|error| self.no_content(name, error))
    }
}

/// Where a timeline came from, as far as the repository has seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "part of the repository format")]
pub struct Origin {
    /// When its first backup was made, in microseconds since 1970.
    pub created: u64,
    /// The commit of the cut of that.
    pub commit: u64,
    /// The point before that: its number, its timeline, and the commit of its cut.
    pub before: Option<(u64, Timeline, u64)>,
}

impl Origin {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = FieldWriter::default();
        fields.put(1, |bytes| {
            bytes.put_u64(self.created);
            bytes.put_varint(self.commit);
        });
        if let Some((point, timeline, commit)) = self.before {
            fields.put(2, |bytes| {
                bytes.put_varint(point);
                bytes.put_u32(timeline.0);
                bytes.put_varint(commit);
            });
        }
        fields.finish()
    }

    pub(crate) fn decode(content: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(content)?;
        let (created, commit) = fields
            .take(1, "first", |reader| Ok((reader.u64("created")?, reader.varint("commit")?)))?;
        let before = fields.find(2, |reader| {
            let (point, timeline) = (reader.varint("point")?, Timeline(reader.u32("timeline")?));
            Ok((point, timeline, reader.varint("commit")?))
        })?;
        Ok(Self { created, commit, before })
    }
}

fn wrong_hash(at: u64, found: Digest, expected: Digest) -> Damaged {
    Damaged { at, problem: format!("its hash is {found}, not {expected}") }
}

fn too_much(error: std::io::Error) -> BackupError {
    BackupError::InvalidInput { what: error.to_string() }
}
