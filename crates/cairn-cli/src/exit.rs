//! How a command ends: exit codes, and a failure as two lines for a tired human or one object for a
//! program.

use std::{fmt, fs, io, path::Path, process::ExitCode};

use cairn_io::IoError;
use cairn_log::LogError;
use cairndb::{
    EnvError, ErrorKind, Scope,
    archive::ArchiveError,
    backup::{BackendError, BackupError, is_repository},
};
use serde::Serialize;

use crate::{output::Output, text::size};

/// The exit code of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Good = 0,
    /// Something was found to be wrong, or what was asked for is not there.
    Findings = 1,
    /// The call was wrong: an option, a path that holds no environment, input that makes no sense.
    Usage = 2,
    /// The files are damaged, incomplete, foreign, or of a newer version.
    Damaged = 3,
    /// Another process has the environment open.
    Busy = 4,
    /// The disk failed, is full, or may not be used.
    Io = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed, and what its user can do.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    kind: &'static str,
    scope: &'static str,
    message: String,
    advice: String,
    /// Whether nothing is said: whoever would read it has gone.
    quiet: bool,
}

impl Failure {
    fn new(exit: Exit, kind: ErrorKind, scope: Scope, message: impl fmt::Display) -> Self {
        Self {
            exit,
            kind: kind_name(kind),
            scope: scope_name(scope),
            // Two lines are what people and scripts reckon with.
            message: message.to_string().replace('\n', " "),
            advice: advice(kind).into(),
            quiet: false,
        }
    }

    /// The call or its input was wrong.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, ErrorKind::InvalidInput, Scope::Operation, message)
    }

    /// What was asked for is not there.
    pub(crate) fn not_found(message: impl fmt::Display) -> Self {
        Self::new(Exit::Findings, ErrorKind::NotFound, Scope::Operation, message)
    }

    /// It is there already.
    pub(crate) fn exists(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, ErrorKind::Exists, Scope::Operation, message)
    }

    /// A check found something wrong that is not damage on a disk.
    pub(crate) fn check(message: impl fmt::Display) -> Self {
        Self::new(Exit::Findings, ErrorKind::Internal, Scope::Operation, message)
    }

    /// A store refuses something.
    pub(crate) fn of_store(kind: ErrorKind, scope: Scope, message: impl fmt::Display) -> Self {
        Self::new(exit_of(kind), kind, scope, message)
    }

    /// A file of the user cannot be used.
    pub(crate) fn io(what: &str, path: &Path, error: &io::Error) -> Self {
        let full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        );
        let kind = if full { ErrorKind::Full } else { ErrorKind::Io };
        let message = format!("cannot {what} {}: {error}", path.display());
        Self::new(Exit::Io, kind, Scope::Operation, message)
    }

    /// Standard output does not take what is written.
    pub(crate) fn output(error: &io::Error) -> Self {
        let closed = error.kind() == io::ErrorKind::BrokenPipe;
        let failure = Self::io("write to", Path::new("standard output"), error);
        // Who runs `cairn scan … | head -1` has got what was wanted.
        let exit = if closed { Exit::Good } else { Exit::Io };
        Self { exit, quiet: closed, ..failure }
    }

    /// The same failure where the output was to be relied on: a reader that has gone is then no
    /// success, though still nothing to talk about.
    pub(crate) fn of_an_event(self) -> Self {
        Self { exit: Exit::Io, ..self }
    }

    /// Another advice than the usual one.
    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }

    /// The same failure, with the place where it happened in front of its message.
    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// Whether files are damaged.
    pub(crate) fn is_damage(&self) -> bool {
        self.exit == Exit::Damaged
    }

    /// What is wrong.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Says what is wrong and what can be done about it.
    pub(crate) fn report(&self, output: &mut Output) -> Exit {
        if self.quiet {
            return self.exit;
        }
        let said = if output.is_json() {
            let Self { kind, scope, message, advice, .. } = self;
            let error = ErrorJson { kind, scope, message, advice };
            output.json(&Report { error }).and_then(|()| output.flush())
        } else {
            // What stands in the buffer was said before.
            let flushed = output.flush();
            output.complain(format_args!("error: {}\nadvice: {}", self.message, self.advice));
            flushed
        };
        drop(said); // the exit code still tells it
        self.exit
    }
}

#[derive(Serialize)]
struct Report<'a> {
    error: ErrorJson<'a>,
}

#[derive(Serialize)]
struct ErrorJson<'a> {
    kind: &'a str,
    scope: &'a str,
    message: &'a str,
    advice: &'a str,
}

impl From<EnvError> for Failure {
    fn from(error: EnvError) -> Self {
        let kind = error.kind();
        let exit = match error {
            // A script that tells "no such key" from all else must not take a wrong path for it.
            EnvError::NotAnEnvironment { .. } => Exit::Usage,
            _ => exit_of(kind),
        };
        let failure = Self::new(exit, kind, error.scope(), &error);
        match error {
            EnvError::NotAnEnvironment { path, .. } => {
                // Who has mistyped a path is not to be talked into creating something there.
                let is_saved = is_in_repository(&path);
                let blank =
                    fs::read_dir(&path).map_or(!path.exists(), |mut dir| dir.next().is_none());
                failure.advise(match blank {
                    _ if is_saved => {
                        "what lies in a repository cannot be taken here: `cairn restore` makes an environment of it, \
                         `cairn backups` lists what there is"
                            .into()
                    }
                    true => format!(
                        "check the path; `cairn init {0}` creates an environment",
                        path.display()
                    ),
                    false => "check the path: an environment is a directory of its own".into(),
                })
            }
            EnvError::NeedsRepair { .. } => failure.advise(
                "nothing was changed: `cairn restore BACKUP NEW` brings back a backup, `cairn repair \
                 ENV NEW` what can be proved of this environment",
            ),
            EnvError::DataDirectory { .. } => failure.advise(
                "nothing was changed: mount its disk, or put the directory back where it was; if it is \
                 lost, `cairn restore BACKUP NEW` brings back a backup",
            ),
            EnvError::IncompleteRestore { path, .. } => failure.advise(format!(
                "nothing here is lost but what was restored so far: `cairn restore BACKUP {}` goes on with it",
                path.display()
            )),
            EnvError::Locked { pid: Some(pid), .. } => failure.advise(format!(
                "wait until process {pid} has ended or closed it (`ps -fp {pid}` says what it is); \
                 `cairn log` works meanwhile"
            )),
            EnvError::Locked { path, .. } => failure.advise(format!(
                "it is being read: wait, or see by whom with `fuser -v {}`",
                path.join("LOCK").display()
            )),
            EnvError::KeyRequired { .. } => failure.advise(
                "say where its key is: --key-file, --key-fd or --passphrase-fd; at a terminal the \
                 passphrase is asked for (`cairn verify --stored` and `cairn key list` take none)",
            ),
            EnvError::WrongKey { .. } => failure.advise(
                "nothing was changed: `cairn key list` shows which kinds of key there are; a backup \
                 has the keys of its time",
            ),
            EnvError::NotEncrypted { .. } => {
                failure.advise("leave the key out, if that is what is expected here")
            }
            EnvError::KeyUnavailable { .. } => failure.advise("nothing was changed"),
            EnvError::KeyringDamaged { .. } => failure.advise(
                "nothing was changed, and nothing can be read without it: put the KEYRING of the newest \
                 backup in its place, or restore that",
            ),
            EnvError::Standby { .. } => failure.advise(
                "nothing was changed: `cairn standby promote` makes it the environment, when that is lost which it follows",
            ),
            EnvError::Superseded { .. } => failure.advise(
                "nothing was changed: the environment goes on there. What was committed here since can be read, and can \
                 become an environment of its own: `cairn backup` into a directory, and `cairn restore`",
            ),
            EnvError::NoSuchDatabase { .. } => {
                failure.advise("`cairn info` lists the databases of an environment")
            }
            _ => failure,
        }
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        let kind = error.kind();
        match error {
            BackupError::Env(error) => error.into(),
            BackupError::Io(error) => error.into(),
            BackupError::NoManifest { ref path } if !path.exists() => {
                Self::usage(format_args!("there is no backup {}", path.display()))
                    .advise("check the path")
            }
            BackupError::NoManifest { .. } => Self::usage(&error).advise(
                "check the path; a backup that was cut short has no manifest and cannot be used",
            ),
            BackupError::TargetNotEmpty { .. } => {
                Self::usage(&error).advise("choose another path; nothing was changed")
            }
            BackupError::NotARepository { .. } => Self::usage(&error)
                .advise("check the path; `cairn repo init` makes a repository"),
            BackupError::NoObjectStores { .. } => Self::usage(&error)
                .advise("nothing was changed: `cargo install cairn-cli --features object-store` builds one that has it"),
            // What it says ends in what can be done about it.
            BackupError::Backend(BackendError::Failed { .. }) => {
                Self::new(exit_of(kind), kind, Scope::Operation, &error)
                    .advise("nothing that was acknowledged is lost; run it again, which goes on with what was stored")
            }
            BackupError::RepositoryKeyRequired { .. } => {
                Self::new(exit_of(kind), kind, Scope::Operation, &error).advise(
                    "nothing was changed: say where its key is: --repo-key-file, --repo-key-fd or --repo-passphrase-fd; \
                     at a terminal the passphrase is asked for (`cairn repo check` and `cairn repo keys list` take none)",
                )
            }
            BackupError::WrongRepositoryKey { .. } => {
                Self::new(exit_of(kind), kind, Scope::Operation, &error).advise(
                    "nothing was changed: `cairn repo keys list` shows which kinds of key there are",
                )
            }
            BackupError::RepositoryNotEncrypted { .. } => {
                Self::new(exit_of(kind), kind, Scope::Operation, &error)
                    .advise("leave the key out, if that is what is expected here")
            }
            BackupError::NoPoint { .. } => Self::not_found(&error).advise(
                "nothing was changed: `cairn backups` lists the points, `cairn repo info` the environments; \
                 `cairn backup ENV --repo REPO` makes a point",
            ),
            BackupError::NotShipped { last, .. } => Self::not_found(&error).advise(format!(
                "nothing was changed: `cairn ship status` says what can be restored, `--to-commit {last}` restores \
                 what there was before; --journal says where there is more of its history"
            )),
            BackupError::NoSpace { free, needed, .. } => {
                Self::new(exit_of(kind), kind, Scope::Operation, &error).advise(format!(
                    "make room for {} more, or choose another disk, then run it again: nothing acknowledged is lost",
                    size(needed.saturating_sub(free))
                ))
            }
            BackupError::TableExists { .. } => Self::exists(&error)
                .advise("nothing was changed: --replace puts the one of the backup in its place"),
            BackupError::SeveralEnvironments { .. } => Self::usage(&error)
                .advise("`cairn repo info` lists them; --environment UUID says which"),
            BackupError::OtherPast { .. } | BackupError::ShippedOtherwise { .. } => Self::usage(&error).advise(
                "nothing was changed: back the copy up into a repository of its own, or restore the right one",
            ),
            BackupError::Superseded { .. } => Self::usage(&error).advise(
                "nothing is stored: the environment goes on on the other timeline. See to it that nobody writes here any \
                 more; what was committed here since goes into a repository of its own",
            ),
            BackupError::Object(_) if kind == ErrorKind::Corrupt => {
                Self::new(exit_of(kind), kind, Scope::Operation, &error).advise(
                    "`cairn repo check` lists all damage with the points that it concerns; others can be restored",
                )
            }
            error => {
                let failure = Self::new(exit_of(kind), kind, Scope::Operation, &error);
                match kind {
                    ErrorKind::Corrupt => failure.advise(
                        "this backup must not be used: take another one, and look at its disk",
                    ),
                    _ => failure,
                }
            }
        }
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        let kind = error.kind();
        let advice = match &error {
            ArchiveError::NotFound { .. } => "check the path",
            ArchiveError::Empty { .. } | ArchiveError::NotAnArchive { .. } => {
                "check the path; nothing was changed"
            }
            ArchiveError::Exists { .. } => "choose another path, or add --replace",
            ArchiveError::OtherStore { .. } => {
                "nothing was changed; add --other-environment if databases of another environment are to \
                 come into this one"
            }
            ArchiveError::WouldBePlain { .. } => {
                "nothing was changed; `cairn init --encrypt` makes an environment that is encrypted"
            }
            ArchiveError::KeyRequired { .. } => {
                "say where its key is: --key-file, --key-fd or --passphrase-fd; at a terminal the \
                 passphrase is asked for (`cairn archive verify --stored` takes none)"
            }
            ArchiveError::WrongKey { .. } => {
                "nothing was changed: an archive has the keys of its time (--archive-key-file)"
            }
            _ if kind == ErrorKind::Corrupt => {
                "nothing was changed; this archive must not be used: take another one, and look at its disk"
            }
            _ => advice(kind),
        };
        match error {
            ArchiveError::Env(error) => error.into(),
            ArchiveError::Io(error) => error.into(),
            ArchiveError::NotFound { .. } => {
                Self::new(Exit::Usage, kind, Scope::Operation, &error).advise(advice)
            }
            error => Self::new(exit_of(kind), kind, error.scope(), &error).advise(advice),
        }
    }
}

impl From<IoError> for Failure {
    fn from(error: IoError) -> Self {
        let kind = if error.is_no_space() { ErrorKind::Full } else { ErrorKind::Io };
        Self::new(Exit::Io, kind, Scope::Operation, error)
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        EnvError::from(error).into()
    }
}

/// Whether a path is a repository, or `REPO@POINT` of one that is there.
fn is_in_repository(path: &Path) -> bool {
    if is_repository(path) {
        return true;
    }
    let named = path.to_str().and_then(|text| text.rsplit_once('@'));
    named.is_some_and(|(repo, _)| is_repository(repo))
}

fn exit_of(kind: ErrorKind) -> Exit {
    match kind {
        ErrorKind::NotFound => Exit::Findings,
        ErrorKind::Exists | ErrorKind::InvalidInput | ErrorKind::Key => Exit::Usage,
        ErrorKind::Corrupt | ErrorKind::Unsupported => Exit::Damaged,
        ErrorKind::Busy | ErrorKind::Conflict | ErrorKind::Expired => Exit::Busy,
        _ => Exit::Io,
    }
}

fn kind_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Conflict => "conflict",
        ErrorKind::Expired => "expired",
        ErrorKind::Busy => "busy",
        ErrorKind::NotFound => "not_found",
        ErrorKind::Exists => "exists",
        ErrorKind::InvalidInput => "invalid_input",
        ErrorKind::Key => "key",
        ErrorKind::Closed => "closed",
        ErrorKind::Poisoned => "poisoned",
        ErrorKind::Corrupt => "corrupt",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::Full => "full",
        ErrorKind::Io => "io",
        _ => "internal",
    }
}

fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Transaction => "transaction",
        Scope::Store => "store",
        Scope::Environment => "environment",
        _ => "operation",
    }
}

fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Conflict | ErrorKind::Expired => "run the command again",
        ErrorKind::Busy => "wait, or ask whoever has it open to close it",
        ErrorKind::NotFound => {
            "check the name; `cairn info` and `cairn scan --keys` show what is there"
        }
        ErrorKind::Exists => "choose another path; nothing was changed",
        ErrorKind::InvalidInput => "`cairn help COMMAND` says what is allowed, with an example",
        ErrorKind::Key => "give the key with which it was created, or none if it is not encrypted",
        ErrorKind::Poisoned => {
            "a write or sync failed: look at the disk, then run the command again, which recovers"
        }
        ErrorKind::Corrupt => {
            "nothing was changed: `cairn verify` lists all damage, `cairn log` shows the files, and \
             `cairn restore BACKUP NEW` brings back a backup"
        }
        ErrorKind::Unsupported => "use the version of cairn that wrote these files, or a newer one",
        ErrorKind::Full => "make room, then run it again: nothing acknowledged is lost",
        ErrorKind::Io => {
            "look at the path, its permissions and its disk: nothing acknowledged is lost"
        }
        _ => "this should not happen: please report it, with the output of `cairn log`",
    }
}
