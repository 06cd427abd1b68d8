//! `Drill`: that a restore was tried, how long it took, and what came of it.
//!
//! It lies beside the proofs of its point, and names it by the hash of all of it. Unlike a proof it is also stored when
//! something was wrong, and it stays when its point is removed: how long restores have taken is worth to be known for longer.

use std::{fmt, time::Duration};

use cairn_log::{
    Digest, Uuid,
    codec::{ByteReader, ByteWriter, DecodeError},
};

use crate::{
    BackupError, BackupResult, ObjectError,
    repository::{
        fields::{FieldWriter, Fields, line},
        frames::Damaged,
        names::{Folder, ObjectName, ShortHash},
        statement::StatementKind,
        store::{MAX_POINT, Store},
    },
};

/// That a restore was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drill {
    /// When it began, in microseconds since 1970.
    pub made: u64,
    /// How long all of it took, in microseconds.
    pub took: u64,
    /// The version of the library that did it.
    pub library: String,
    /// The number of the newest point at that time.
    pub newest: u64,
    /// How many checks of the user were made.
    pub checks: u64,
    /// What came back, if the environment was restored and has opened.
    pub restored: Option<Restored>,
    /// What was wrong, if anything was.
    pub failed: Option<DrillFailure>,
}

/// What a drill has brought back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// The newest commit.
    pub commit: u64,
    /// When it was made, in microseconds since 1970.
    pub time: u64,
    /// How many files there are.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Entries of all databases.
    pub entries: u64,
    /// How long it took until the environment was restored and open, in microseconds.
    pub rto: u64,
}

/// What was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrillFailure {
    /// How far it had come.
    pub stage: DrillStage,
    /// What was found first. Of an encrypted environment, what was found in it is not recorded: it is empty then.
    pub what: String,
}

/// How far a drill has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "the stages of the format page")]
pub enum DrillStage {
    /// The point is restored.
    Restore,
    /// The environment is opened.
    Open,
    /// All of it is verified.
    Verify,
    /// The checks of the user are made.
    Checks,
}

impl DrillStage {
    const ALL: [Self; 4] = [Self::Restore, Self::Open, Self::Verify, Self::Checks];

    const fn code(self) -> u8 {
        match self {
            Self::Restore => 1,
            Self::Open => 2,
            Self::Verify => 3,
            Self::Checks => 4,
        }
    }
}

impl fmt::Display for DrillStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restore => "restore",
            Self::Open => "open",
            Self::Verify => "verify",
            Self::Checks => "checks",
        })
    }
}

/// How much of what was wrong is recorded.
const MAX_WHAT: usize = 1000;

impl DrillFailure {
    pub(super) fn new(stage: DrillStage, what: &str) -> Self {
        let printed = what.chars().map(|c| if c.is_control() { ' ' } else { c });
        let mut kept = String::new();
        for c in printed {
            if kept.len() + c.len_utf8() > MAX_WHAT {
                break;
            }
            kept.push(c);
        }
        Self { stage, what: kept }
    }
}

impl Drill {
    /// Whether all was well.
    #[must_use]
    pub const fn passed(&self) -> bool {
        self.failed.is_none()
    }

    /// How long it took until the environment was restored and open (recovery time objective: what was reached of it).
    #[must_use]
    pub fn rto(&self) -> Option<Duration> {
        self.restored.map(|restored| Duration::from_micros(restored.rto))
    }

    /// How old the newest commit that came back was when the drill began (recovery point objective: what was reached of
    /// it). No more than what was committed in this time would have been lost.
    #[must_use]
    pub fn rpo(&self) -> Option<Duration> {
        self.restored.map(|restored| Duration::from_micros(self.made.saturating_sub(restored.time)))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = FieldWriter::default();
        fields.put(ABOUT, |bytes| {
            bytes.put_prefixed(self.library.as_bytes());
            bytes.put_u64(self.made);
            for number in [self.took, self.newest, self.checks] {
                bytes.put_varint(number);
            }
        });
        if let Some(restored) = &self.restored {
            fields.put(RESTORED, |bytes| {
                bytes.put_u64(restored.time);
                let Restored { commit, files, bytes: of_files, entries, rto, .. } = *restored;
                for number in [commit, files, of_files, entries, rto] {
                    bytes.put_varint(number);
                }
            });
        }
        if let Some(failed) = &self.failed {
            fields.put(FAILED, |bytes| {
                bytes.put_u8(failed.stage.code());
                bytes.put_prefixed(failed.what.as_bytes());
            });
        }
        fields.finish()
    }

    pub(crate) fn decode(content: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(content)?;
        let (library, made, [took, newest, checks]) = fields.take(ABOUT, "about", |reader| {
            let library = line(reader, "library")?.to_owned();
            let made = reader.u64("made")?;
            let mut number = |field| reader.varint(field);
            Ok((library, made, [number("took")?, number("newest")?, number("checks")?]))
        })?;
        let restored = fields.find(RESTORED, |reader| {
            let time = reader.u64("time")?;
            let mut number = |field| reader.varint(field);
            let (commit, files) = (number("commit")?, number("files")?);
            let (bytes, entries) = (number("bytes")?, number("entries")?);
            Ok(Restored { commit, time, files, bytes, entries, rto: number("rto")? })
        })?;
        let failed = fields.find(FAILED, failure)?;
        if restored.is_none() && failed.is_none() {
            let problem = "is missing, and nothing is said to have been wrong";
            return Err(DecodeError { field: "restored", at: 0, problem });
        }
        Ok(Self { made, took, library, newest, checks, restored, failed })
    }
}

fn failure(reader: &mut ByteReader<'_>) -> Result<DrillFailure, DecodeError> {
    let before = reader.clone();
    let code = reader.u8("stage")?;
    let stage = DrillStage::ALL.into_iter().find(|stage| stage.code() == code);
    let stage = stage.ok_or(before.error("stage", "is none"))?;
    Ok(DrillFailure { stage, what: line(reader, "what")?.to_owned() })
}

const ABOUT: u64 = 1;
const RESTORED: u64 = 2;
const FAILED: u64 = 3;

/// The fields of a drill, for the format page: number, name, content.
pub(crate) const FIELDS: &[(u64, &str, &str)] = &[
    (
        ABOUT,
        "about",
        "library: text; made: u64; took, in microseconds, number of the newest point, checks of the user: varint",
    ),
    (
        RESTORED,
        "restored",
        "time of the newest commit: u64; its number, files, their bytes, entries, microseconds until the environment was restored and open: varint. Missing if it came to neither",
    ),
    (
        FAILED,
        "failed",
        "stage: u8; what was found first, at most 1000 bytes, empty if it is something in an encrypted environment: text. Missing if nothing was wrong",
    ),
];

/// A drill as it lies in the repository.
#[derive(Clone, Debug)]
pub(crate) struct ReadDrill {
    pub(crate) point: u64,
    /// The hash of the point that it is of.
    pub(crate) of: Digest,
    pub(crate) drill: Drill,
}

impl Store {
    /// The names of the drills of an environment, in the order of time.
    pub(crate) fn drill_names(&self, environment: Uuid) -> BackupResult<Vec<ObjectName>> {
        let folder = Folder::Proofs(environment);
        let listed = self.backend.list(&folder)?;
        let names = listed.iter().filter_map(|listed| folder.object(&listed.name));
        let made = |name: &ObjectName| match *name {
            ObjectName::Drill { made, .. } => Some(made),
            _ => None,
        };
        let mut names: Vec<_> = names.filter(|name| made(name).is_some()).collect();
        names.sort_unstable_by_key(|name| (made(name), *name));
        Ok(names)
    }

    /// Reads a drill.
    pub(crate) fn drill(&self, name: ObjectName) -> BackupResult<ReadDrill> {
        let bytes = self.whole(name, MAX_POINT)?;
        let ObjectName::Drill { environment, point, made, hash } = name else {
            return Err(self.missing(name));
        };
        let (of, content) =
            self.decode_statement(name, StatementKind::Drill, (environment, point), &bytes)?;
        let found = ShortHash::of(Digest::of(&bytes));
        if found != hash {
            let problem = format!("its hash begins with {found}");
            return Err(self.damaged(name, Damaged { at: 0, problem }));
        }
        let drill = Drill::decode(&content).map_err(|error| self.no_content(name, error))?;
        if drill.made != made {
            let problem = "it was made at another time than its name says".into();
            return Err(self.damaged(name, Damaged { at: 0, problem }));
        }
        Ok(ReadDrill { point, of, drill })
    }

    /// The same; nothing if it cannot be read: it says nothing then, and a check names it.
    pub(crate) fn readable_drill(&self, name: ObjectName) -> BackupResult<Option<ReadDrill>> {
        match self.drill(name) {
            Ok(read) => Ok(Some(read)),
            Err(BackupError::Object(
                ObjectError::Unsupported { .. }
                | ObjectError::Damaged { .. }
                | ObjectError::Unreadable { .. }
                | ObjectError::Missing { .. },
            )) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The drills of points with these numbers, in the order of time, as far as they can be read.
    pub(crate) fn drills_of(
        &self,
        environment: Uuid,
        numbers: &[u64],
    ) -> BackupResult<Vec<ReadDrill>> {
        let is_meant = |name: &ObjectName| match name {
            ObjectName::Drill { point, .. } => numbers.binary_search(point).is_ok(),
            _ => false,
        };
        let names = self.drill_names(environment)?.into_iter().filter(is_meant);
        names.filter_map(|name| self.readable_drill(name).transpose()).collect()
    }

    /// Stores a drill of the point that has the hash `of`, and reads it back.
    pub(crate) fn put_drill(
        &self,
        environment: Uuid,
        point: u64,
        of: Digest,
        drill: &Drill,
    ) -> BackupResult<()> {
        let (kind, content) = (StatementKind::Drill, drill.encode());
        let bytes = self.encode_statement(kind, (environment, point), of, &content)?;
        let hash = ShortHash::of(Digest::of(&bytes));
        let name = ObjectName::Drill { environment, point, made: drill.made, hash };
        self.backend.put(&name, &bytes)?;
        self.drill(name).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn drill() -> Drill {
        let restored =
            Restored { commit: 9, time: 300, files: 3, bytes: 70_000, entries: 5, rto: 40 };
        Drill {
            made: 1000,
            took: 50,
            library: "1.2.3".into(),
            newest: 7,
            checks: 2,
            restored: Some(restored),
            failed: None,
        }
    }

    #[test]
    fn a_drill_comes_back_from_its_bytes_and_from_no_others() {
        let passed = drill();
        let failures = DrillStage::ALL.map(|stage| Drill {
            restored: passed.restored.filter(|_| stage > DrillStage::Open),
            failed: Some(DrillFailure::new(stage, "two\nlines")),
            ..passed.clone()
        });
        for drill in failures.into_iter().chain([passed]) {
            let bytes = drill.encode();
            assert_eq!(Drill::decode(&bytes).unwrap(), drill);
            assert!(drill.failed.is_none_or(|failed| failed.what == "two lines"));
            for len in 0..bytes.len() {
                // Without its last field it is one that says less.
                let shorter = Drill::decode(&bytes[..len]);
                assert!(shorter.is_err() || shorter.unwrap().failed.is_none(), "{len}");
            }
        }
        let neither = Drill { restored: None, ..drill() };
        assert!(Drill::decode(&neither.encode()).is_err());
    }

    #[test]
    fn what_was_reached_is_counted_from_when_the_drill_began() {
        let drill = drill();
        assert_eq!(drill.rpo(), Some(Duration::from_micros(700)));
        assert_eq!(drill.rto(), Some(Duration::from_micros(40)));
        // The clock was set back since.
        let early = Drill { made: 1, ..drill };
        assert_eq!(early.rpo(), Some(Duration::ZERO));
    }

    #[test]
    fn what_was_wrong_is_cut_between_two_characters() {
        let failed = DrillFailure::new(DrillStage::Checks, &"€".repeat(500));
        assert_eq!(failed.what, "€".repeat(MAX_WHAT / 3));
    }
}
