//! `cairn salvage`: everything that can still be read of an environment that does not open, or of a repository.

mod json;
mod sinks;
mod source;

use std::path::{Path, PathBuf};

use cairndb::{
    ErrorKind, Naming, SalvageOptions, SalvageReport, backup::RepositorySalvageReport,
    sql::SalvagedSqlFile,
};

use self::{
    json::{RepositoryJson, SalvageJson},
    sinks::Sinks,
    source::Source,
};
use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    output::Output,
    progress::Progress,
    saved::EnvironmentArgs,
    text::{self, count, seconds, several, size},
};

/// Read whatever can be read of a damaged environment or repository
///
/// What passes its checksums is handed out: the newest value of each key, or with --all-versions
/// every version, deletions and dropped databases too. Transactions without an end are listed, and
/// nothing of them is among the rest. Nothing in ENV is changed. Without --to, --jsonl or --sqlite
/// it only counts. Exit code 1 means that something is damaged, missing or older than it should be.
///
/// Of a repository the log files are put together again, as far as their objects can be read; it needs
/// neither its first object nor its points.
///
/// `cairn repair` makes an environment of what can be proved; this is for what it leaves out.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  cairn salvage data                                  # what is there, and what is not
  cairn salvage data --to data-salvaged
  cairn salvage data --jsonl all.jsonl --all-versions
  cairn salvage data --sqlite files/
  cairn salvage backups --to data-salvaged            # a repository"
)]
pub(crate) struct Salvage {
    /// The directory of the damaged environment or repository
    env: PathBuf,
    /// Put the newest values into a new environment: a new or empty directory
    #[arg(long, value_name = "NEWENV", conflicts_with_all = ["jsonl", "sqlite", "all_versions", "uncommitted"])]
    to: Option<PathBuf>,
    /// Write a JSON object for each version to this new file, or - for standard output
    #[arg(long, value_name = "FILE")]
    jsonl: Option<PathBuf>,
    /// Write the SQL files as plain files of SQLite's into this directory
    #[arg(long, value_name = "DIR", conflicts_with_all = ["all_versions", "uncommitted"])]
    sqlite: Option<PathBuf>,
    /// Only this database
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// All versions of each key, the oldest first, and not only the newest
    #[arg(long)]
    all_versions: bool,
    /// Also what has never counted, or of which nobody can tell: each line says so
    #[arg(long)]
    uncommitted: bool,
    #[command(flatten)]
    of: EnvironmentArgs,
    #[command(flatten)]
    unlock: KeyArgs,
}

impl Salvage {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let to_stdout = self.jsonl.as_deref() == Some(Path::new("-"));
        if to_stdout && output.is_json() {
            return Err(Failure::usage("standard output cannot take both the versions and --json")
                .advise("leave --json out: the versions are JSON lines already"));
        }
        let progress = Progress::new("salvaging");
        let shown = |done, total| progress.set(done, Some(total));
        let (source, options) = Source::find(&self.env, &self.unlock, &self.of, &progress)?;
        let mut what = SalvageOptions::new()
            .all_versions(self.all_versions)
            .uncommitted(self.uncommitted)
            .progress(&shown);
        what.database.clone_from(&self.database);
        let (report, sql_files) = match &self.to {
            Some(target) => {
                let report = source.put_into(target, options, &what).map_err(|error| {
                    let not_empty = error.kind() == ErrorKind::InvalidInput;
                    let failure = Failure::from(error);
                    match not_empty {
                        true => failure.advise("choose another path; nothing was changed"),
                        false => failure,
                    }
                })?;
                (report, Vec::new())
            }
            None => {
                let mut sinks = Sinks::new(self.jsonl.as_deref(), self.sqlite.as_deref())?;
                let report = source.hand_out(&options, &what, &mut |entry| sinks.take(entry));
                sinks.end(report)?
            }
        };
        let elapsed = progress.elapsed();
        drop(progress);
        let repository = source.repository();
        let is_complete = report.is_complete()
            && sql_files.iter().all(SalvagedSqlFile::is_complete)
            && repository.is_none_or(RepositorySalvageReport::is_complete);
        if !to_stdout {
            repository.map_or(Ok(()), |found| print_repository(found, output))?;
            print(&report, &sql_files, output)?;
            output.line(format_args!(
                "{}: {} and {} of {} in {}, up to commit {}; {} ({})",
                self.to.as_deref().unwrap_or(&self.env).display(),
                several(report.keys(), "key"),
                several(report.versions(), "version"),
                several(report.databases.len() as u64, "database"),
                several(report.files.len() as u64, "log file"),
                count(report.newest_commit),
                match is_complete {
                    true => "nothing is damaged or missing".into(),
                    false => format!(
                        "{}, {} missing or too old",
                        several(report.damaged(), "damaged range"),
                        several((report.missing.len() + report.substitutes.len()) as u64, "thing")
                    ),
                },
                seconds(elapsed)
            ))?;
        }
        let mut json = SalvageJson::new(&self.env, self.to.as_deref(), &report, &sql_files);
        json.complete = is_complete;
        json.repository = repository.map(RepositoryJson::of);
        json.seconds = elapsed.as_secs_f64();
        output.json(&json)?;
        Ok(if is_complete { Exit::Good } else { Exit::Findings })
    }
}

fn print(
    report: &SalvageReport,
    sql_files: &[SalvagedSqlFile],
    output: &mut Output,
) -> Result<(), Failure> {
    for note in &report.notes {
        output.line(format_args!("note: {note}"))?;
    }
    for file in &report.files {
        for range in &file.damaged {
            output.line(format_args!("damage: {}, {range}", file.name))?;
        }
    }
    for missing in &report.missing {
        output.line(format_args!("missing: {missing}"))?;
    }
    for one in &report.substitutes {
        output.line(format_args!(
            "older: database {:?}, key {}: the value of commit {} is lost, this is that of commit {}",
            one.database,
            text::escape_short(&one.key, 32),
            one.lost_commit,
            one.commit
        ))?;
    }
    for one in &report.apart {
        output.line(format_args!("apart: {one}"))?;
    }
    for one in sql_files {
        let lost: u64 = one.missing.iter().map(|(from, to)| to.min(&one.bytes) - from).sum();
        output.line(format_args!(
            "{}: SQL file {:?}, {}{}",
            one.path.display(),
            one.name,
            size(one.bytes),
            match (one.missing.is_empty(), one.doubtful.is_empty()) {
                (true, true) => String::new(),
                (true, false) => ", of which some may be older than the rest".into(),
                (false, _) => format!(", of which {} are lost", size(lost)),
            }
        ))?;
    }
    for one in &report.databases {
        output.line(format_args!(
            "{}: {}, {}, {}{}",
            text::escape(one.name.as_bytes()),
            several(one.keys, "key"),
            several(one.versions, "version"),
            size(one.bytes),
            match one.naming {
                Naming::Former => " (dropped)",
                Naming::Lost => " (its name is lost)",
                _ => "",
            }
        ))?;
    }
    Ok(())
}

/// What was found in a repository.
fn print_repository(found: &RepositorySalvageReport, output: &mut Output) -> Result<(), Failure> {
    for note in &found.notes {
        output.line(format_args!("note: {note}"))?;
    }
    for (object, why) in &found.damaged {
        output.line(format_args!("damaged object: {object}: {why}"))?;
    }
    for (file, ranges) in &found.missing {
        for (from, to) in ranges {
            output.line(format_args!("missing: {file}, {from:#x} to {to:#x}"))?;
        }
    }
    for file in &found.left_aside {
        output.line(format_args!("left aside: {file}, which is of another history"))?;
    }
    for (number, why) in &found.points {
        match why {
            None => output.line(format_args!("point {number}: can be restored"))?,
            Some(why) => output.line(format_args!("point {number}: {why}"))?,
        }
    }
    output.line(format_args!(
        "environment {}: {} with {}, {} damaged",
        found.environment,
        several(found.objects, "object"),
        size(found.bytes),
        count(found.damaged.len() as u64)
    ))
}
