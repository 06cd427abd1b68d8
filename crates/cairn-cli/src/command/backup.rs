//! `cairn backup`: a copy of one commit, verified while it is made and once more, published last.

use std::path::{Path, PathBuf};

use cairndb::{
    Environment,
    backup::{BackupOptions, PointOptions, Repository, backup, is_repository},
};
use serde::Serialize;

use super::pace::PaceArgs;
use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    open,
    output::Output,
    progress::Progress,
    text::{Time, seconds, several, size},
};

/// Back an environment up into a new or empty directory, or into a repository
///
/// A backup is the state of all databases at one commit. It is read back and compared before its
/// manifest makes it a backup, so one that was cut short is none.
///
/// With --since, files that have not changed since an earlier backup are linked instead of copied
/// (where the file system can), after they were read and compared. The new backup needs no other: the
/// earlier one can be removed. While both are there they share these bytes on the disk.
///
/// With --repo, the backup is the next point of a repository (`cairn repo init` makes one), which
/// stores what it does not have. One that was cut short is no point, and the next one uses what it
/// has stored. With several --repo, and with several environments, each environment is backed up into
/// each repository; what goes wrong with one keeps none of the others from its point.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  cairn backup data backups/monday
  cairn backup data backups/tuesday --since backups/monday
  cairn backup data --repo repository --label before-migration
  cairn backup data --repo repository --threads 4 --rate 50MiB
  cairn backup data more-data --repo repository --repo /mnt/elsewhere/repository
  cairn verify backups/monday"
)]
pub(crate) struct Backup {
    /// The directory of the environment
    env: PathBuf,
    /// The directory of the backup; with --repo, more environments
    #[arg(required_unless_present = "repo")]
    target: Vec<PathBuf>,
    /// An earlier backup of this environment, to share unchanged files with
    #[arg(long, value_name = "BACKUP", conflicts_with = "repo")]
    since: Option<PathBuf>,
    /// The repository whose next point the backup is to be; may be given several times
    #[arg(long)]
    repo: Vec<PathBuf>,
    /// What the point is called; it can be read without a key
    #[arg(long, requires = "repo")]
    label: Option<String>,
    #[command(flatten)]
    pace: PaceArgs,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct BackupJson {
    backup: PathBuf,
    commit: u64,
    time: Time,
    files: u64,
    bytes: u64,
    linked_files: u64,
    linked_bytes: u64,
    damaged_in_previous: Vec<String>,
    seconds: f64,
}

#[derive(Serialize)]
struct PointJson {
    repository: PathBuf,
    environment: String,
    point: u64,
    label: Option<String>,
    commit: u64,
    time: Time,
    full: bool,
    files: u64,
    bytes: u64,
    kept_bytes: u64,
    new_objects: u64,
    new_bytes: u64,
    adopted_objects: u64,
    damaged_in_repository: Vec<String>,
    seconds: f64,
}

impl Backup {
    pub(super) fn run(mut self, output: &mut Output) -> Outcome {
        let (repos, targets) = (std::mem::take(&mut self.repo), std::mem::take(&mut self.target));
        match (&*repos, &*targets) {
            ([], [target]) if is_repository(target) => {
                Err(Failure::usage(format_args!("{} is a repository", target.display())).advise(
                    format!(
                        "nothing was changed: `--repo {}` makes the next point of it",
                        target.display()
                    ),
                ))
            }
            ([], [target]) => self.directory(target.clone(), output),
            ([], _) => Err(Failure::usage("a directory or a repository is needed")
                .advise("one directory, or --repo REPO for one environment and more")),
            ([repo], []) => {
                let repository = self.unlock.repo.open(repo)?;
                let env = open::live_for_reading(&self.env, &self.unlock)?;
                self.point("", &env, repo, &repository, output)?;
                env.close()?;
                Ok(Exit::Good)
            }
            _ => self.each(targets, &repos, output),
        }
    }

    /// Each environment into each repository: what fails is told, and the others go on.
    fn each(&self, more: Vec<PathBuf>, repos: &[PathBuf], output: &mut Output) -> Outcome {
        let mut exit = Exit::Good;
        // The exit code is that of the first one that fails.
        let mut failed = |failure: Failure, output: &mut Output| {
            let said = failure.report(output);
            if exit == Exit::Good {
                exit = said;
            }
        };
        let mut opened = Vec::new();
        for repo in repos {
            match self.unlock.repo.open(repo) {
                Ok(repository) => opened.push((repo, repository)),
                Err(failure) => failed(failure.at(repo.display()), output),
            }
        }
        for path in std::iter::once(&self.env).chain(&more) {
            let env = match open::live_for_reading(path, &self.unlock) {
                Ok(env) => env,
                Err(failure) => {
                    failed(failure.at(path.display()), output);
                    continue;
                }
            };
            for (repo, repository) in &opened {
                // Where there are several, each says of which it is, as the errors do.
                let of = match more.is_empty() {
                    true => String::new(),
                    false => format!("{}: ", path.display()),
                };
                if let Err(failure) = self.point(&of, &env, repo, repository, output) {
                    let place = format!("{} into {}", path.display(), repo.display());
                    failed(failure.at(place), output);
                }
            }
            if let Err(error) = env.close() {
                failed(Failure::from(error).at(path.display()), output);
            }
        }
        Ok(exit)
    }

    /// The next point of a repository; what is said begins with `of`.
    fn point(
        &self,
        of: &str,
        env: &Environment,
        repo: &Path,
        repository: &Repository,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let progress = Progress::new("backing up");
        let shown = |at: cairndb::backup::Progress| progress.set(at.done, Some(at.total));
        let mut options = PointOptions::default().progress(&shown).pace(self.pace.pace());
        options.label = self.label.as_deref();
        let report = repository.backup(env, &options)?;
        let elapsed = progress.elapsed();
        drop(progress);
        output.line(format_args!(
            "{of}point {} of {} is commit {} of {}: {}, {}, of which {} are new; {}, {} stored, in {}",
            report.number,
            repo.display(),
            report.commit,
            Time(report.time),
            several(report.files, "file"),
            size(report.bytes),
            size(report.bytes - report.kept_bytes),
            several(report.new_objects, "object"),
            size(report.new_bytes),
            seconds(elapsed)
        ))?;
        if report.adopted_objects > 0 {
            output.note(format_args!(
                "{} had been stored by a backup that was cut short",
                several(report.adopted_objects, "object")
            ));
        }
        for damage in &report.damaged {
            output.note(format_args!(
                "this point is whole; earlier ones may not be, `cairn repo check` tells: {damage}"
            ));
        }
        output.json(&PointJson {
            repository: repo.to_owned(),
            environment: report.environment.to_string(),
            point: report.number,
            label: self.label.clone(),
            commit: report.commit,
            time: Time(report.time),
            full: report.is_full,
            files: report.files,
            bytes: report.bytes,
            kept_bytes: report.kept_bytes,
            new_objects: report.new_objects,
            new_bytes: report.new_bytes,
            adopted_objects: report.adopted_objects,
            damaged_in_repository: report.damaged,
            seconds: elapsed.as_secs_f64(),
        })
    }

    fn directory(self, target: PathBuf, output: &mut Output) -> Outcome {
        let env = open::live_for_reading(&self.env, &self.unlock)?;
        let progress = Progress::new("backing up");
        let shown = |at: cairndb::backup::Progress| progress.set(at.done, Some(at.total));
        let mut options = BackupOptions::default().progress(&shown).pace(self.pace.pace());
        if let Some(previous) = &self.since {
            options = options.since(previous);
        }
        let report = backup(&env, &target, &options)?;
        env.close()?;
        let elapsed = progress.elapsed();
        drop(progress);
        output.line(format_args!(
            "backed up commit {} of {} as {}: {}, {}, read back and equal, in {}",
            report.commit,
            Time(report.time),
            target.display(),
            several(report.files, "file"),
            size(report.bytes),
            seconds(elapsed)
        ))?;
        if let Some(previous) = &self.since {
            output.line(format_args!(
                "shared with {2}: {0}, {1}",
                several(report.linked_files, "file"),
                size(report.linked_bytes),
                previous.display()
            ))?;
        }
        for damage in &report.previous_damaged {
            output.note(format_args!(
                "a file of the earlier backup was copied from the environment instead: {damage}"
            ));
        }
        output.json(&BackupJson {
            backup: target,
            commit: report.commit,
            time: Time(report.time),
            files: report.files,
            bytes: report.bytes,
            linked_files: report.linked_files,
            linked_bytes: report.linked_bytes,
            damaged_in_previous: report.previous_damaged,
            seconds: elapsed.as_secs_f64(),
        })?;
        Ok(Exit::Good)
    }
}
