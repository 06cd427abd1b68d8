//! `Proof`: that somebody has looked at a point, how closely, and what was seen.
//!
//! A proof names its point by the hash of all of it, so it is of that one and of no other. It says what was so when it
//! was made: later damage it knows nothing of.

use std::fmt;

use cairn_archive::DatabaseTotals;
use cairn_env::TreeDigest;
use cairn_log::{
    Digest, Uuid,
    codec::{ByteReader, ByteWriter, DecodeError},
};

use super::{
    CheckLevel, ObjectName,
    fields::{FieldWriter, Fields, flag, line, ordered, text},
    names::{Folder, ShortHash},
    statement::StatementKind,
    store::{MAX_POINT, Store},
};
use crate::{BackupError, BackupResult, ObjectError};

/// That a point was looked at, and found to be right.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proof {
    /// How closely.
    pub level: CheckLevel,
    /// When it was done, in microseconds since 1970: for people.
    pub made: u64,
    /// How long it took, in microseconds.
    pub took: u64,
    /// The version of the library that did it.
    pub library: String,
    /// What was in the point, if it was opened.
    pub opened: Option<Opened>,
}

/// What an open of a point has found in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opened {
    /// How many databases there are, indexes among them.
    pub databases: u64,
    /// Entries of all databases.
    pub entries: u64,
    /// Nodes of their trees.
    pub nodes: u64,
    /// Large values.
    pub values: u64,
    /// The databases by name, with the totals that an archive of them has. `None` if the environment is encrypted: they
    /// would show whether it holds what somebody guesses.
    pub totals: Option<Vec<(String, DatabaseTotals)>>,
    /// Which nodes the trees of its checkpoint consist of, as the walk has come to them; `None` if it has no checkpoint, or
    /// an earlier version has looked.
    pub tree_digest: Option<TreeDigest>,
}

/// How far a point is known to be good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "the states of the format page")]
pub enum PointState {
    /// It was stored, and that is all that is known.
    Copied,
    /// All that it needs was read, and had its hashes.
    Checked,
    /// It was opened, and all of its trees were walked.
    Proved,
}

impl fmt::Display for PointState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Copied => "copied",
            Self::Checked => "checked",
            Self::Proved => "proved",
        })
    }
}

impl Proof {
    /// What it makes of a point.
    #[must_use]
    pub const fn state(&self) -> PointState {
        match self.level {
            CheckLevel::Present => PointState::Copied,
            CheckLevel::Stored | CheckLevel::Content | CheckLevel::Structure => PointState::Checked,
            CheckLevel::Open => PointState::Proved,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = FieldWriter::default();
        fields.put(ABOUT, |bytes| {
            bytes.put_prefixed(self.library.as_bytes());
            bytes.put_u64(self.made);
            bytes.put_varint(self.took);
            bytes.put_u8(self.level.code());
        });
        if let Some(opened) = &self.opened {
            fields.put(OPENED, |bytes| {
                for count in [opened.databases, opened.entries, opened.nodes, opened.values] {
                    bytes.put_varint(count);
                }
                bytes.put_u8(opened.totals.is_some().into());
                for (name, totals) in opened.totals.iter().flatten() {
                    bytes.put_prefixed(name.as_bytes());
                    bytes.put_varint(totals.entries);
                    bytes.put_varint(totals.bytes);
                    bytes.extend_from_slice(&totals.digest.0);
                }
            });
            if let Some(digest) = opened.tree_digest {
                fields.put(TREE_DIGEST, |bytes| bytes.extend_from_slice(&digest.to_bytes()));
            }
        }
        fields.finish()
    }

    pub(crate) fn decode(content: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(content)?;
        let (library, made, took, level) = fields.take(ABOUT, "about", |reader| {
            let library = line(reader, "library")?.to_owned();
            let (made, took) = (reader.u64("made")?, reader.varint("took")?);
            let before = reader.clone();
            let level = CheckLevel::from_code(reader.u8("level")?);
            Ok((library, made, took, level.ok_or(before.error("level", "is none"))?))
        })?;
        let mut opened = fields.find(OPENED, opened)?;
        if let Some(opened) = &mut opened {
            opened.tree_digest = fields.find(TREE_DIGEST, |reader| {
                Ok(TreeDigest::from_bytes(reader.array("tree digest")?))
            })?;
        }
        Ok(Self { level, made, took, library, opened })
    }
}

const ABOUT: u64 = 1;
const OPENED: u64 = 2;
const TREE_DIGEST: u64 = 3;

/// The fields of a proof, for the format page: number, name, content.
pub(crate) const FIELDS: &[(u64, &str, &str)] = &[
    (ABOUT, "about", "library: text; made: u64; took, in microseconds: varint; level: u8"),
    (
        OPENED,
        "opened",
        "databases, entries, nodes, large values: varint; 1 if totals follow, or 0: u8; for each database, in the order of the names: name: text; entries, bytes: varint; BLAKE3: 32 bytes. Missing if the point was not opened",
    ),
    (
        TREE_DIGEST,
        "tree digest",
        "that of the checkpoint, as it was found: 32 bytes; missing if there is none, or the point was not opened",
    ),
];

fn opened(reader: &mut ByteReader<'_>) -> Result<Opened, DecodeError> {
    let mut count = || reader.varint("count");
    let (databases, entries, nodes, values) = (count()?, count()?, count()?, count()?);
    let has_totals = flag(reader, "totals")?;
    let totals = ordered(reader, "totals", |reader| {
        let name = text(reader, "name")?.to_owned();
        let (entries, bytes) = (reader.varint("entries")?, reader.varint("bytes")?);
        let mut totals = DatabaseTotals::default();
        (totals.entries, totals.bytes) = (entries, bytes);
        totals.digest = Digest(reader.array("digest")?);
        Ok((name.clone(), (name, totals)))
    })?;
    if !has_totals && !totals.is_empty() {
        return Err(reader.error("totals", "follow, and are said not to"));
    }
    let (totals, tree_digest) = (has_totals.then_some(totals), None);
    Ok(Opened { databases, entries, nodes, values, totals, tree_digest })
}

/// A proof as it lies in the repository.
#[derive(Clone, Debug)]
pub(crate) struct ReadProof {
    pub(crate) point: u64,
    /// The hash of the point that it is of.
    pub(crate) of: Digest,
    pub(crate) proof: Proof,
}

impl Store {
    /// The names of the proofs of an environment, those of a point together.
    pub(crate) fn proof_names(&self, environment: Uuid) -> BackupResult<Vec<ObjectName>> {
        let folder = Folder::Proofs(environment);
        let listed = self.backend.list(&folder)?;
        let is_proof = |name: &ObjectName| matches!(name, ObjectName::Proof { .. });
        let mut names: Vec<_> = listed
            .iter()
            .filter_map(|listed| folder.object(&listed.name))
            .filter(is_proof)
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Reads a proof.
    pub(crate) fn proof(&self, name: ObjectName) -> BackupResult<ReadProof> {
        let bytes = self.whole(name, MAX_POINT)?;
        let ObjectName::Proof { environment, point, hash } = name else {
            return Err(self.missing(name));
        };
        let found = ShortHash::of(Digest::of(&bytes));
        let (of, content) =
            self.decode_statement(name, StatementKind::Proof, (environment, point), &bytes)?;
        if found != hash {
            let problem = format!("its hash begins with {found}");
            return Err(self.damaged(name, super::frames::Damaged { at: 0, problem }));
        }
        let decoded = Proof::decode(&content);
        let proof = decoded.map_err(|error| self.no_content(name, error))?;
        Ok(ReadProof { point, of, proof })
    }

    /// All proofs of an environment that can be read.
    pub(crate) fn proofs(&self, environment: Uuid) -> BackupResult<Vec<ReadProof>> {
        let mut proofs = Vec::new();
        for name in self.proof_names(environment)? {
            match self.proof(name) {
                Ok(proof) => proofs.push(proof),
                // It proves nothing; a check names it.
                Err(BackupError::Object(
                    ObjectError::Unsupported { .. }
                    | ObjectError::Damaged { .. }
                    | ObjectError::Unreadable { .. }
                    | ObjectError::Missing { .. },
                )) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(proofs)
    }

    /// Stores a proof of the point that has the hash `of`, and reads it back.
    pub(crate) fn put_proof(
        &self,
        environment: Uuid,
        point: u64,
        of: Digest,
        proof: &Proof,
    ) -> BackupResult<()> {
        let (kind, content) = (StatementKind::Proof, proof.encode());
        let bytes = self.encode_statement(kind, (environment, point), of, &content)?;
        let hash = ShortHash::of(Digest::of(&bytes));
        let name = ObjectName::Proof { environment, point, hash };
        self.backend.put(&name, &bytes)?;
        self.proof(name).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof() -> Proof {
        let totals = DatabaseTotals::default();
        let totals = [("a", totals), ("b", totals)].map(|(name, totals)| (name.to_owned(), totals));
        Proof {
            level: CheckLevel::Open,
            made: 7,
            took: 300,
            library: "1.2.3".into(),
            opened: Some(Opened {
                databases: 2,
                entries: 5,
                nodes: 3,
                values: 1,
                totals: Some(totals.to_vec()),
                tree_digest: Some(TreeDigest::from_bytes([5; 32])),
            }),
        }
    }

    #[test]
    fn a_proof_comes_back_from_its_bytes_and_from_no_others() {
        for proof in [
            proof(),
            Proof { level: CheckLevel::Stored, opened: None, ..proof() },
            Proof { opened: Some(Opened::default()), ..proof() },
        ] {
            let bytes = proof.encode();
            assert_eq!(Proof::decode(&bytes).unwrap(), proof);
            for len in 0..bytes.len() {
                // Without its third field, or its second, it is a proof that says less.
                let shorter = Proof::decode(&bytes[..len]).ok().and_then(|proof| proof.opened);
                assert!(shorter.is_none_or(|opened| opened.tree_digest.is_none()), "{len}");
            }
        }
    }

    #[test]
    fn totals_that_are_there_although_the_proof_says_that_they_are_not_are_refused() {
        let bytes = proof().encode();
        // Of all bytes that say yes, the one that says that totals follow.
        let refused = (0..bytes.len()).filter(|at| bytes[*at] == 1).filter(|at| {
            let mut cleared = bytes.clone();
            cleared[*at] = 0;
            Proof::decode(&cleared)
                .is_err_and(|error| error.problem == "follow, and are said not to")
        });
        assert_eq!(refused.count(), 1);
    }

    #[test]
    fn a_state_is_called_as_on_the_format_page() {
        let names = [PointState::Copied, PointState::Checked, PointState::Proved];
        assert_eq!(names.map(|state| state.to_string()), ["copied", "checked", "proved"]);
    }

    #[test]
    fn what_a_level_makes_of_a_point_grows_with_it() {
        let states = (1..=5).map(|code| {
            let level = CheckLevel::from_code(code).unwrap();
            assert_eq!(level.code(), code);
            Proof { level, ..proof() }.state()
        });
        assert!(states.is_sorted());
        assert_eq!((CheckLevel::from_code(0), CheckLevel::from_code(6)), (None, None));
    }
}
