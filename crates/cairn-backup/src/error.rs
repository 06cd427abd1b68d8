//! `BackupError`: what went wrong, and which file of the backup it concerns.

use std::path::PathBuf;

use cairn_archive::ArchiveError;
use cairn_env::{EnvError, ErrorKind, RestoreTo, Superseded};
use cairn_io::IoError;
use cairn_log::{LogName, Timeline, Uuid};

use crate::repository::{BackendError, ObjectName, PruneRefusal};

/// The result of a backup or restore.
pub type BackupResult<T> = Result<T, BackupError>;

/// A backup or restore that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The environment failed.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The directory holds no finished backup.
    #[error("{} holds no finished backup: it has no MANIFEST", path.display())]
    NoManifest {
        /// The directory.
        path: PathBuf,
    },
    /// The manifest is damaged.
    #[error("{}, line {line}: {problem}", path.display())]
    ManifestDamaged {
        /// The manifest.
        path: PathBuf,
        /// Which line.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// The manifest is of a newer version.
    #[error("{} is of a newer version: {found}", path.display())]
    ManifestUnsupported {
        /// The manifest.
        path: PathBuf,
        /// What it says it is.
        found: String,
    },
    /// A file of the backup is missing.
    #[error("{} is missing from the backup", path.display())]
    FileMissing {
        /// The file.
        path: PathBuf,
    },
    /// A file of the backup is not what the manifest says.
    #[error("{} is damaged: {problem}", path.display())]
    FileDamaged {
        /// The file.
        path: PathBuf,
        /// What differs.
        problem: String,
    },
    /// The target of a backup holds something else.
    #[error("{} is not empty: a new or an empty directory is needed", path.display())]
    TargetNotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// The backup before is of another environment.
    #[error("{} is a backup of the environment {found}, not of {environment}", path.display())]
    PreviousForeign {
        /// The backup.
        path: PathBuf,
        /// The environment that it is of.
        found: Uuid,
        /// The environment that is to be backed up.
        environment: Uuid,
    },
    /// The target has too little space.
    #[error("{} has {free} bytes free, {needed} are needed", path.display())]
    NoSpace {
        /// The directory.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that are needed.
        needed: u64,
    },
    /// The place in which a repository lies failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// There is no repository.
    #[error("{place} is no repository: it has no object repo.cairn")]
    NotARepository {
        /// Where.
        place: String,
    },
    /// The repository is in an object store, and this was built without what speaks to one.
    #[error("{url} is in an object store, and this was built without the feature object-store")]
    NoObjectStores {
        /// Where.
        url: String,
    },
    /// There is one already.
    #[error("{place} is a repository already")]
    RepositoryExists {
        /// Where.
        place: String,
    },
    /// A repository is encrypted, and no key was given.
    #[error("the repository {place} is encrypted: its key is needed")]
    RepositoryKeyRequired {
        /// Where it lies.
        place: String,
    },
    /// A repository is encrypted, and the key that was given is none of its keys.
    #[error("this is not a key of the repository {place}")]
    WrongRepositoryKey {
        /// Where it lies.
        place: String,
    },
    /// A key was given for a repository that is not encrypted.
    #[error("the repository {place} is not encrypted: there is nothing that a key opens")]
    RepositoryNotEncrypted {
        /// Where it lies.
        place: String,
    },
    /// An object of a repository is not what it should be.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// A repository has no such point.
    #[error("the repository {place} has no {what}")]
    NoPoint {
        /// Where it lies.
        place: String,
        /// What was looked for.
        what: String,
    },
    /// A moment lies behind what a repository has of the journal, and before its next point.
    #[error(
        "{what} cannot be restored from the repository {place}: it has no journal behind commit {last}, which is of {}",
        RestoreTo::Time(*time)
    )]
    NotShipped {
        /// Where the repository lies.
        place: String,
        /// What was asked for.
        what: String,
        /// The last commit before it that can be restored.
        last: u64,
        /// The time of that commit, in microseconds since 1970.
        time: u64,
    },
    /// A repository has points of several environments, and it was not said which is meant.
    #[error("the repository {place} has backups of {count} environments: say which is meant")]
    SeveralEnvironments {
        /// Where it lies.
        place: String,
        /// How many there are.
        count: usize,
    },
    /// An environment is to be backed up that has the name of one that is backed up, and another past.
    #[error(
        "{file} of the environment {environment} is another one than the file of this name in point {point} of the \
         repository {place}, although both are of the timeline {timeline}: one of the two is a copy that went its own way"
    )]
    OtherPast {
        /// Where the repository lies.
        place: String,
        /// The environment.
        environment: Uuid,
        /// The timeline that both say to be on.
        timeline: Timeline,
        /// The point.
        point: u64,
        /// The file that differs.
        file: LogName,
    },
    /// The journal of an environment is another one than that which was shipped.
    #[error(
        "{file} of the environment {environment} holds other bytes than segment {segment} of the repository {place} \
         has of it, although both are of the timeline {timeline}: one of the two is a copy that went its own way"
    )]
    ShippedOtherwise {
        /// Where the repository lies.
        place: String,
        /// The environment.
        environment: Uuid,
        /// The timeline that both say to be on.
        timeline: Timeline,
        /// The segment.
        segment: u64,
        /// The journal file.
        file: LogName,
    },
    /// A standby was promoted in the place of an environment, of which nothing is stored any more.
    #[error(
        "timeline {} of the environment {} has been superseded by a promotion to timeline {} of the standby {}, which had \
         its commits up to {} at {}: nothing of it is stored in the repository {place} any more",
        by.timeline,
        by.environment,
        by.by,
        by.standby,
        by.commit,
        RestoreTo::Time(by.at)
    )]
    Superseded {
        /// Where the repository lies.
        place: String,
        /// By whom.
        by: Box<Superseded>,
    },
    /// What a backup had stored, or found stored, was removed from the repository before the backup came to its end.
    #[error(
        "objects that this backup needs were removed from the repository {place} while it was made: make it again"
    )]
    Overtaken {
        /// Where the repository lies.
        place: String,
    },
    /// Points are not removed as a plan says.
    #[error("nothing is removed from the repository {place}: {}", sentence(refusals))]
    PruneRefused {
        /// Where the repository lies.
        place: String,
        /// Why not.
        refusals: Vec<PruneRefusal>,
    },
    /// It was ended from outside: see [`Cancel`](crate::Cancel). The same call goes on from what this one has stored.
    #[error("cancelled")]
    Cancelled,
    /// An environment has no such store, or database.
    #[error("there is no {what} {name:?}")]
    NoSuchStore {
        /// What was looked for.
        what: &'static str,
        /// What it is called.
        name: String,
    },
    /// A table is there already that is to come out of a backup.
    #[error("SQL file {file:?} has {table:?} already; say so if that table is to be replaced")]
    TableExists {
        /// The SQL file.
        file: String,
        /// The table, or the view.
        table: String,
    },
    /// What one store goes through failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A key-value store failed.
    #[cfg(feature = "kv")]
    #[error(transparent)]
    KeyValue(#[from] cairn_kv::KvError),
    /// A relational store failed.
    #[cfg(feature = "sql")]
    #[error(transparent)]
    Relational(#[from] Box<cairn_rdb::RdbError>),
    /// What was asked for makes no sense.
    #[error("{what}")]
    InvalidInput {
        /// What is wrong with it.
        what: String,
    },
}

/// What is wrong with an object of a repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// It is not there.
    #[error("the object {object} is missing from the repository {place}")]
    Missing {
        /// Where the repository lies.
        place: String,
        /// Its name.
        object: ObjectName,
    },
    /// It is damaged.
    #[error("the object {object} of the repository {place} is damaged at byte {at}: {problem}")]
    Damaged {
        /// Where the repository lies.
        place: String,
        /// Its name.
        object: ObjectName,
        /// From which byte on.
        at: u64,
        /// What is wrong there.
        problem: String,
    },
    /// The disk does not give it: a bad block, or a link in its place.
    #[error("the object {object} of the repository {place} cannot be read: {why}")]
    Unreadable {
        /// Where the repository lies.
        place: String,
        /// Its name.
        object: ObjectName,
        /// Why not.
        why: String,
    },
    /// It is whole, and of a later version.
    #[error("the object {object} of the repository {place} is of a later version: {what}")]
    Unsupported {
        /// Where the repository lies.
        place: String,
        /// Its name.
        object: ObjectName,
        /// What is not known here.
        what: String,
    },
}

impl ObjectError {
    /// The name of the object.
    #[must_use]
    pub const fn object(&self) -> ObjectName {
        match *self {
            Self::Missing { object, .. }
            | Self::Damaged { object, .. }
            | Self::Unreadable { object, .. }
            | Self::Unsupported { object, .. } => object,
        }
    }
}

impl BackupError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Env(error) => error.kind(),
            Self::Io(error) if error.is_no_space() => ErrorKind::Full,
            Self::Io(_) => ErrorKind::Io,
            Self::NoManifest { .. } => ErrorKind::NotFound,
            Self::ManifestDamaged { .. } | Self::FileMissing { .. } | Self::FileDamaged { .. } => {
                ErrorKind::Corrupt
            }
            Self::ManifestUnsupported { .. } => ErrorKind::Unsupported,
            Self::TargetNotEmpty { .. } | Self::PreviousForeign { .. } => ErrorKind::InvalidInput,
            Self::NoSpace { .. } => ErrorKind::Full,
            Self::Backend(BackendError::Io(error)) if error.is_no_space() => ErrorKind::Full,
            Self::Backend(_) => ErrorKind::Io,
            Self::NotARepository { .. } | Self::NoPoint { .. } | Self::NotShipped { .. } => {
                ErrorKind::NotFound
            }
            Self::RepositoryExists { .. } | Self::TableExists { .. } => ErrorKind::Exists,
            Self::RepositoryKeyRequired { .. }
            | Self::WrongRepositoryKey { .. }
            | Self::RepositoryNotEncrypted { .. } => ErrorKind::Key,
            Self::Object(ObjectError::Unsupported { .. }) => ErrorKind::Unsupported,
            Self::Object(ObjectError::Unreadable { .. }) => ErrorKind::Io,
            Self::Object(_) => ErrorKind::Corrupt,
            Self::Overtaken { .. } => ErrorKind::Busy,
            Self::Cancelled => ErrorKind::Expired,
            Self::NoSuchStore { .. } => ErrorKind::NotFound,
            Self::Archive(error) => error.kind(),
            #[cfg(feature = "kv")]
            Self::KeyValue(error) => error.kind(),
            #[cfg(feature = "sql")]
            Self::Relational(error) => error.kind(),
            Self::SeveralEnvironments { .. }
            | Self::NoObjectStores { .. }
            | Self::OtherPast { .. }
            | Self::ShippedOtherwise { .. }
            | Self::Superseded { .. }
            | Self::PruneRefused { .. }
            | Self::InvalidInput { .. } => ErrorKind::InvalidInput,
        }
    }
}

fn sentence(refusals: &[PruneRefusal]) -> String {
    let refusals: Vec<_> = refusals.iter().map(PruneRefusal::to_string).collect();
    refusals.join("; ")
}

#[cfg(feature = "sql")]
impl From<cairn_rdb::RdbError> for BackupError {
    fn from(error: cairn_rdb::RdbError) -> Self {
        Box::new(error).into()
    }
}

#[cfg(feature = "sql")]
impl From<cairn_rdb::TransferError> for BackupError {
    fn from(error: cairn_rdb::TransferError) -> Self {
        cairn_rdb::RdbError::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use std::{error::Error, io};

    use cairn_io::IoOp;
    use cairn_log::FileNumber;

    use super::*;

    fn io(kind: io::ErrorKind) -> IoError {
        IoError::new(IoOp::Write, std::path::Path::new("some/file"), kind)
    }

    /// What to do about each error, and the evidence that its text names: whoever adds one has to say both.
    #[test]
    fn each_error_says_what_can_be_done_and_what_it_is_about() {
        let (place, path) = (String::from("some/place"), PathBuf::from("some/path"));
        let (environment, timeline) = (Uuid([7; 16]), Timeline(3));
        let file = LogName::new(cairn_log::FileClass::Journal, FileNumber::FIRST, timeline);
        let object = ObjectName::Point { environment, number: 12 };
        let missing = ObjectError::Missing { place: place.clone(), object };
        let damaged = ObjectError::Damaged {
            place: place.clone(),
            object,
            at: 17,
            problem: "some problem".into(),
        };
        let later =
            ObjectError::Unsupported { place: place.clone(), object, what: "some feature".into() };
        let unreadable =
            ObjectError::Unreadable { place: place.clone(), object, why: "some failure".into() };
        for error in [&missing, &damaged, &later, &unreadable] {
            assert_eq!(error.object(), object);
        }
        let failed = BackendError::Failed { what: "some work".into(), source: "why".into() };
        let why = || String::from("some reason");
        let key = || EnvError::NotEncrypted { path: path.clone() };
        let archive = || ArchiveError::WouldBePlain { path: path.clone() };
        let rows: Vec<(BackupError, ErrorKind, &[&str])> = vec![
            (key().into(), ErrorKind::Key, &["some/path"]),
            (io(io::ErrorKind::StorageFull).into(), ErrorKind::Full, &["some/file"]),
            (io(io::ErrorKind::PermissionDenied).into(), ErrorKind::Io, &["some/file"]),
            (
                BackupError::NoManifest { path: path.clone() },
                ErrorKind::NotFound,
                &["some/path", "MANIFEST"],
            ),
            (
                BackupError::ManifestDamaged { path: path.clone(), line: 7, problem: why() },
                ErrorKind::Corrupt,
                &["some/path", "line 7", "some reason"],
            ),
            (
                BackupError::ManifestUnsupported { path: path.clone(), found: "v9".into() },
                ErrorKind::Unsupported,
                &["some/path", "v9"],
            ),
            (BackupError::FileMissing { path: path.clone() }, ErrorKind::Corrupt, &["some/path"]),
            (
                BackupError::FileDamaged { path: path.clone(), problem: why() },
                ErrorKind::Corrupt,
                &["some/path", "some reason"],
            ),
            (
                BackupError::TargetNotEmpty { path: path.clone() },
                ErrorKind::InvalidInput,
                &["some/path"],
            ),
            (
                BackupError::PreviousForeign {
                    path: path.clone(),
                    found: Uuid([9; 16]),
                    environment,
                },
                ErrorKind::InvalidInput,
                &["some/path", "09090909", "07070707"],
            ),
            (
                BackupError::NoSpace { path: path.clone(), free: 11, needed: 12 },
                ErrorKind::Full,
                &["some/path", "11 bytes free", "12 are needed"],
            ),
            (failed.into(), ErrorKind::Io, &["some work"]),
            (
                BackendError::Io(io(io::ErrorKind::StorageFull)).into(),
                ErrorKind::Full,
                &["some/file"],
            ),
            (
                BackupError::NotARepository { place: place.clone() },
                ErrorKind::NotFound,
                &["some/place", "repo.cairn"],
            ),
            (
                BackupError::NoObjectStores { url: place.clone() },
                ErrorKind::InvalidInput,
                &["some/place", "object-store"],
            ),
            (
                BackupError::RepositoryExists { place: place.clone() },
                ErrorKind::Exists,
                &["some/place"],
            ),
            (
                BackupError::RepositoryKeyRequired { place: place.clone() },
                ErrorKind::Key,
                &["some/place"],
            ),
            (
                BackupError::WrongRepositoryKey { place: place.clone() },
                ErrorKind::Key,
                &["some/place"],
            ),
            (
                BackupError::RepositoryNotEncrypted { place: place.clone() },
                ErrorKind::Key,
                &["some/place"],
            ),
            (missing.into(), ErrorKind::Corrupt, &["some/place", "000000000000000c.point"]),
            (
                damaged.into(),
                ErrorKind::Corrupt,
                &["some/place", "000000000000000c.point", "byte 17", "some problem"],
            ),
            (
                later.into(),
                ErrorKind::Unsupported,
                &["some/place", "000000000000000c.point", "some feature"],
            ),
            (
                BackupError::NoPoint { place: place.clone(), what: why() },
                ErrorKind::NotFound,
                &["some/place", "some reason"],
            ),
            (
                BackupError::SeveralEnvironments { place: place.clone(), count: 4 },
                ErrorKind::InvalidInput,
                &["some/place", "4 environments"],
            ),
            (
                BackupError::OtherPast {
                    place: place.clone(),
                    environment,
                    timeline,
                    point: 5,
                    file,
                },
                ErrorKind::InvalidInput,
                &["some/place", "07070707", "00000003", "point 5", "J-00000003-00000001"],
            ),
            (
                BackupError::ShippedOtherwise { place, environment, timeline, segment: 6, file },
                ErrorKind::InvalidInput,
                &["some/place", "07070707", "00000003", "segment 6", "J-00000003-00000001"],
            ),
            (
                BackupError::Superseded {
                    place: "some/place".into(),
                    by: Box::new(Superseded {
                        environment,
                        timeline,
                        by: Timeline(4),
                        standby: Uuid([9; 16]),
                        commit: 77,
                        at: 0,
                    }),
                },
                ErrorKind::InvalidInput,
                &[
                    "some/place",
                    "07070707",
                    "00000003",
                    "promotion",
                    "timeline 00000004",
                    "09090909",
                    "77",
                    "1970-01-01T00:00:00Z",
                ],
            ),
            (BackupError::Cancelled, ErrorKind::Expired, &[]),
            (
                BackupError::NoSuchStore { what: "SQL file", name: "app.db".into() },
                ErrorKind::NotFound,
                &["SQL file", "app.db"],
            ),
            (archive().into(), ErrorKind::InvalidInput, &["some/path"]),
            #[cfg(feature = "kv")]
            (cairn_kv::KvError::from(key()).into(), ErrorKind::Key, &["some/path"]),
            #[cfg(feature = "sql")]
            (cairn_rdb::RdbError::from(key()).into(), ErrorKind::Key, &["some/path"]),
            #[cfg(feature = "sql")]
            (
                cairn_rdb::TransferError::from(archive()).into(),
                ErrorKind::InvalidInput,
                &["some/path"],
            ),
            (BackupError::InvalidInput { what: why() }, ErrorKind::InvalidInput, &["some reason"]),
        ];
        for (error, kind, evidence) in rows {
            let mut text = error.to_string();
            // What is only passed on says it in its cause.
            let mut cause = error.source();
            while let Some(this) = cause {
                text.push_str(&format!(" {this}"));
                cause = this.source();
            }
            assert_eq!(error.kind(), kind, "{text}");
            for evidence in evidence {
                assert!(text.contains(evidence), "{text}: {evidence}");
            }
        }
    }
}
