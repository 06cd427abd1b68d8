//! `cairn restore`: a backup becomes an environment, once everything in it was proved.

use std::path::{Path, PathBuf};

use cairn_log::{Lsn, Uuid};
use cairndb::{
    EnvError, Environment, ErrorKind,
    backup::{
        BackupError, Repository, RestoreOptions, RestoreReport, RestoreTo, TimelineIntervals,
        Which, forget_old, is_encrypted, is_repository, open_backup, restore, undo_restore,
    },
};
use serde::Serialize;

use super::{pace::PaceArgs, restore_one::OneArgs};
use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    open,
    output::Output,
    progress::Progress,
    saved::EnvironmentArgs,
    text::{Time, count, seconds, several, size},
};

/// Restore a backup into a new or empty directory, or in place
///
/// Every file is compared with the manifest, the journal is replayed, and all trees and values
/// are read, before the directory opens as an environment. A restore that was cut short goes on
/// when the same command is run again: files that are there, and what they should be, stay.
///
/// With --to-commit, --to-label, --at or --to-lsn, what is restored is the state at that moment, and
/// what came after it is not there. --journal says where the journal past the backup is: in the
/// environment itself, open or not, whether it would open or not; in its replica; or in a later
/// backup. If a journal file before the moment is missing, the restore is refused.
///
/// From a repository, --point or --label says which backup is meant, without them it is the
/// newest. --to-commit and --at then look for the point whose journal holds that moment.
///
/// With --in-place the directory may be an environment that nobody has open. What it holds is
/// kept beside what is restored: --undo goes back to it (and, called again, forward), --forget-old
/// removes it. A restore in place that fails or is killed leaves the environment as it was. With
/// --delta, files that have not changed since the backup are read and linked instead of copied.
///
/// With --store, --sql or --db, one store or database of the backup comes into an environment that
/// is there, in one commit, in place of the one that has its name, or the one that --as says.
/// Everything else stays as it is. With --from-key and --to-key only these keys of a database come
/// back: what the environment has between them is replaced.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  cairn restore backups/monday data2
  cairn restore backups/monday data --in-place --delta
  cairn restore backups/monday data2 --to-label before-migration --journal data
  cairn restore backups/monday data2 --at 2026-05-04T12:30:00+02:00 --journal data
  cairn restore repository data2 --label before-migration
  cairn restore repository data --label monday --store notes --as notes-of-monday
  cairn restore repository data --label monday --db users --from-key a --to-key b
  cairn restore --undo data
  cairn restore --forget-old data"
)]
pub(crate) struct Restore {
    /// The directory of the backup, or of the repository
    #[arg(required_unless_present_any = ["undo", "forget_old"])]
    backup: Option<PathBuf>,
    /// The directory of the environment: new, empty, or holding a restore that was cut short
    #[arg(required_unless_present_any = ["undo", "forget_old"])]
    env: Option<PathBuf>,
    /// From a repository: the point with this number
    #[arg(long, value_name = "N", conflicts_with = "label")]
    point: Option<u64>,
    /// From a repository: the newest point with this label
    #[arg(long)]
    label: Option<String>,
    #[command(flatten)]
    of: EnvironmentArgs,
    /// Restore what the commit with this number has left
    #[arg(long, value_name = "N", conflicts_with_all = ["to_label", "at"])]
    to_commit: Option<u64>,
    /// Restore what the latest mark with this label has left
    #[arg(long, value_name = "LABEL", conflicts_with = "at")]
    to_label: Option<String>,
    /// Restore what was there at this time, such as 2026-05-04T10:30:00Z (with its offset)
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<Time>,
    /// Restore the newest commit up to this position, such as 00000003:001a40: see `cairn log`
    #[arg(long, value_name = "POSITION", conflicts_with_all = ["to_commit", "to_label", "at"])]
    to_lsn: Option<Lsn>,
    /// Go on from the backup with the journal in this environment, replica or later backup
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// Restore over an existing environment, and keep what it holds
    #[arg(long)]
    in_place: bool,
    /// With --in-place: take files that have the same hash from the environment itself
    #[arg(long, requires = "in_place")]
    delta: bool,
    /// With --in-place: even if the backup is of another environment
    #[arg(long, requires = "in_place")]
    other_environment: bool,
    /// Go back to what an environment held before it was restored in place
    #[arg(long, value_name = "ENV", conflicts_with_all = [
        "backup", "env", "in_place", "to_commit", "to_label", "at", "to_lsn", "journal", "point",
        "label",
    ])]
    undo: Option<PathBuf>,
    /// Open an environment, and remove what it held before it was restored in place
    #[arg(long, value_name = "ENV", conflicts_with_all = [
        "backup", "env", "in_place", "undo", "to_commit", "to_label", "at", "to_lsn", "journal",
        "point", "label",
    ])]
    forget_old: Option<PathBuf>,
    #[command(flatten)]
    only: OneArgs,
    #[command(flatten)]
    pace: PaceArgs,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct RestoreJson {
    environment: PathBuf,
    commit: u64,
    time: Time,
    files: u64,
    bytes: u64,
    taken_files: u64,
    taken_bytes: u64,
    entries: u64,
    timeline: String,
    kept_generation: Option<u32>,
    seconds: f64,
}

#[derive(Serialize)]
struct UndoneJson {
    environment: PathBuf,
    generation: u32,
    kept_generation: u32,
}

#[derive(Serialize)]
struct ForgottenJson {
    environment: PathBuf,
    generations: u64,
    files: u64,
    bytes: u64,
}

impl Restore {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        match self {
            Self { undo: Some(env), .. } => undo(env, output),
            Self { forget_old: Some(env), unlock, .. } => forget(env, &unlock, output),
            Self {
                backup: Some(backup),
                env: Some(env),
                in_place,
                delta,
                other_environment,
                only,
                pace,
                unlock,
                to_commit,
                to_label,
                at,
                to_lsn,
                journal,
                point,
                label,
                of,
                ..
            } => {
                let from = Source::open(backup, point, label, &of, &unlock)?;
                let key = unlock.of(from.path(), || from.is_encrypted())?;
                let to = match (to_commit, to_label, at, to_lsn) {
                    (Some(commit), ..) => RestoreTo::Commit(commit),
                    (_, Some(label), ..) => RestoreTo::Label(label),
                    (_, _, Some(Time(micros)), _) => RestoreTo::Time(micros),
                    (.., Some(lsn)) => RestoreTo::Lsn(lsn),
                    _ => RestoreTo::Newest,
                };
                let mut options = RestoreOptions::default()
                    .options(open::with_key(key))
                    .to(to)
                    .in_place(in_place)
                    .delta(delta)
                    .pace(pace.pace())
                    .other_environment(other_environment);
                options.journal = journal.as_deref();
                if let Some(one) = only.one()? {
                    return only.run(&one, &from.look(&options)?, &env, &unlock, output);
                }
                run(&from, env, options, output)
            }
            _ => Err(Failure::usage("a backup and the directory of an environment are needed")),
        }
    }
}

/// What is restored from.
enum Source {
    Directory(PathBuf),
    Repository { path: PathBuf, repository: Repository, which: Which, environment: Option<Uuid> },
}

impl Source {
    fn open(
        path: PathBuf,
        point: Option<u64>,
        label: Option<String>,
        of: &EnvironmentArgs,
        unlock: &KeyArgs,
    ) -> Result<Self, Failure> {
        let environment = of.uuid()?;
        let which = match (point, label) {
            (Some(number), _) => Which::Number(number),
            (_, Some(label)) => Which::Label(label),
            _ => Which::Newest,
        };
        if is_repository(&path) {
            let repository = unlock.repo.open(&path)?;
            return Ok(Self::Repository { path, repository, which, environment });
        }
        match (which, environment) {
            (Which::Newest, None) => Ok(Self::Directory(path)),
            _ => Err(Failure::usage(format_args!("{} is no repository", path.display())).advise(
                "--point, --label and --environment are for a repository; --to-label is for a mark",
            )),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Directory(path) | Self::Repository { path, .. } => path,
        }
    }

    /// The label that was asked for as that of a mark, if it is one of a point.
    fn label_of_a_point<'l>(&self, to: &'l RestoreTo) -> Option<&'l str> {
        let (Self::Repository { repository, environment, .. }, RestoreTo::Label(label)) =
            (self, to)
        else {
            return None;
        };
        repository.find(*environment, &Which::Label(label.clone())).is_ok().then_some(label)
    }

    fn is_encrypted(&self) -> bool {
        match self {
            Self::Directory(path) => is_encrypted(path),
            Self::Repository { repository, which, environment, .. } => {
                repository.find(*environment, which).is_ok_and(|(_, point)| point.keyring.is_some())
            }
        }
    }

    /// Opens it where it lies.
    fn look(&self, options: &RestoreOptions<'_>) -> Result<Environment, BackupError> {
        let opened = match self {
            Self::Directory(path) => open_backup(path, options),
            Self::Repository { repository, which, environment, .. } => {
                repository.open_backup(*environment, which, options)
            }
        };
        opened.map(|(env, _)| env)
    }

    /// What is to be said before the newest commit is restored, if another timeline has one that is newer: the one of a
    /// copy that was backed up into the same repository, or of what a restore went back from.
    fn newer_elsewhere(&self, options: &RestoreOptions<'_>) -> Result<Option<String>, Failure> {
        let Self::Repository { path, repository, which: Which::Newest, environment } = self else {
            return Ok(None);
        };
        if options.to != RestoreTo::Newest || options.journal.is_some() {
            return Ok(None);
        }
        // If it cannot be read, the restore says so.
        let Ok((_, point)) = repository.find(*environment, &Which::Newest) else { return Ok(None) };
        let timelines = repository.intervals(Some(point.cut.environment))?;
        let (own, others): (Vec<_>, Vec<_>) =
            timelines.iter().partition(|one| one.timeline == point.cut.timeline);
        let last = |one: &&TimelineIntervals| one.intervals.last().map(|last| last.to.time);
        let own = own.iter().filter_map(last).max().unwrap_or(point.cut.time);
        let newest = others.into_iter().max_by_key(last);
        Ok(newest.filter(|one| last(one) > Some(own)).and_then(|one| {
            let last = one.intervals.last()?;
            Some(format!(
                "this is the newest commit of timeline {}; on timeline {} there is commit {} of {}, which is newer: \
                 `cairn restore {} NEW --point {} --to-commit {2}` restores it",
                point.cut.timeline,
                one.timeline,
                last.to.commit,
                Time(last.to.time),
                path.display(),
                last.base
            ))
        }))
    }

    fn restore(
        &self,
        env: &Path,
        options: &RestoreOptions<'_>,
    ) -> Result<RestoreReport, BackupError> {
        match self {
            Self::Directory(path) => restore(path, env, options),
            Self::Repository { repository, which, environment, .. } => {
                repository.restore(*environment, which, env, options)
            }
        }
    }
}

fn run(from: &Source, env: PathBuf, options: RestoreOptions<'_>, output: &mut Output) -> Outcome {
    let progress = Progress::new("restoring");
    let shown = |at: cairndb::backup::Progress| progress.set(at.done, Some(at.total));
    let (in_place, to) = (options.in_place, options.to.clone());
    if let Some(newer) = from.newer_elsewhere(&options)? {
        output.note(format_args!("{newer}"));
    }
    let report = from.restore(&env, &options.progress(&shown)).map_err(|error| {
        if let BackupError::Env(error) = &error
            && let Some(advice) = advice(error, from, &to)
        {
            let failure = Failure::of_store(error.kind(), error.scope(), error);
            return failure.advise(advice);
        }
        let refused =
            matches!(&error, BackupError::Env(error) if error.kind() == ErrorKind::InvalidInput);
        let failure = Failure::from(error);
        match (refused, in_place) {
            (true, false) => failure.advise(
                "choose another path, or --in-place if it is an environment; nothing was changed",
            ),
            (true, true) => failure.advise(
                "`cairn help restore` says what --other-environment, --undo and --forget-old do; \
                 nothing was changed",
            ),
            _ => failure,
        }
    })?;
    let elapsed = progress.elapsed();
    drop(progress);
    output.line(format_args!(
        "restored commit {} of {} into {}: {}, {}; {} entries read, in {}",
        report.commit,
        Time(report.time),
        env.display(),
        several(report.files, "file"),
        size(report.bytes),
        count(report.entries),
        seconds(elapsed)
    ))?;
    if report.taken_files > 0 {
        output.line(format_args!(
            "{} of these files, {}, were there already",
            count(report.taken_files),
            size(report.taken_bytes)
        ))?;
    }
    if report.kept.is_some() {
        output.line(format_args!(
            "what was there before is kept: `cairn restore --undo {0}` goes back to it, \
             `cairn restore --forget-old {0}` removes it",
            env.display()
        ))?;
    }
    output.json(&RestoreJson {
        environment: env,
        commit: report.commit,
        time: Time(report.time),
        files: report.files,
        bytes: report.bytes,
        taken_files: report.taken_files,
        taken_bytes: report.taken_bytes,
        entries: report.entries,
        timeline: report.timeline.to_string(),
        kept_generation: report.kept,
        seconds: elapsed.as_secs_f64(),
    })?;
    Ok(Exit::Good)
}

/// What to do about a moment that cannot be reached.
fn advice(error: &EnvError, from: &Source, to: &RestoreTo) -> Option<String> {
    Some(match error {
        EnvError::OutOfReach { .. } if let Some(label) = from.label_of_a_point(to) => format!(
            "nothing was changed: no commit has this mark, but a point has this label: `--label {label}` restores it"
        ),
        EnvError::OutOfReach { .. } if matches!(from, Source::Repository { .. }) => format!(
            "nothing was changed: `cairn ship status {}` says what can be restored; with --point, what \
             goes on from an earlier point; --journal says where there is more of its history",
            from.path().display()
        ),
        EnvError::OutOfReach { last, time, .. } => format!(
            "nothing was changed: the last one, commit {last}, is of {}; `cairn marks` lists the marks of \
             an environment, and --journal says where there is more of its history",
            Time(*time)
        ),
        EnvError::JournalGap { last, time, .. } => format!(
            "nothing was changed: bring the file back, or choose another --journal or a later backup; \
             `--to-commit {last}` restores what there was before it, of {}",
            Time(*time)
        ),
        EnvError::OtherHistory { .. } => {
            "nothing was changed: --journal takes the environment of the backup, \
             its replica, or a later backup of it; after another restore it has gone another way"
                .into()
        }
        _ => return None,
    })
}

/// A time of RFC 3339, with its offset from UTC: without one, nobody knows which time is meant.
fn parse_time(text: &str) -> Result<Time, String> {
    let time: jiff::Timestamp = text.parse().map_err(|_| {
        "it is no time with its offset from UTC, such as 2026-05-04T10:30:00Z or \
         2026-05-04T12:30:00+02:00"
            .to_owned()
    })?;
    u64::try_from(time.as_microsecond()).map(Time).map_err(|_| "it is before 1970".to_owned())
}

fn undo(env: PathBuf, output: &mut Output) -> Outcome {
    let now = undo_restore(&env).map_err(|error| {
        let nothing = error.kind() == ErrorKind::InvalidInput;
        let failure = Failure::from(error);
        if nothing { failure.advise("nothing was changed") } else { failure }
    })?;
    output.line(format_args!(
        "{0} is again what generation {1} holds; generation {2} is kept: the same command goes \
         forward to it, `cairn restore --forget-old {0}` removes it",
        env.display(),
        now.current,
        now.kept
    ))?;
    let (generation, kept_generation) = (now.current, now.kept);
    output.json(&UndoneJson { environment: env, generation, kept_generation })?;
    Ok(Exit::Good)
}

fn forget(env: PathBuf, unlock: &KeyArgs, output: &mut Output) -> Outcome {
    let key = unlock.of_environment(&env)?;
    let gone = forget_old(&env, open::with_key(key))?;
    if gone.files == 0 && gone.generations == 0 {
        output.line(format_args!("{} keeps nothing of before a restore", env.display()))?;
    } else {
        output.line(format_args!(
            "{} opens; what it held before was removed: {}, {}",
            env.display(),
            several(gone.files, "file"),
            size(gone.bytes)
        ))?;
    }
    output.json(&ForgottenJson {
        environment: env,
        generations: gone.generations,
        files: gone.files,
        bytes: gone.bytes,
    })?;
    Ok(Exit::Good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_needs_its_offset() {
        for (text, micros) in [
            ("1970-01-01T00:00:01Z", Some(1_000_000)),
            ("1970-01-01T02:00:01+02:00", Some(1_000_000)),
            ("1970-01-01 00:00:00.25Z", Some(250_000)),
            ("2026-05-04T10:30:00", None),
            ("2026-05-04", None),
            ("1969-12-31T23:59:59Z", None),
            ("yesterday", None),
        ] {
            assert_eq!(parse_time(text).ok().map(|Time(micros)| micros), micros, "{text}");
        }
    }
}
