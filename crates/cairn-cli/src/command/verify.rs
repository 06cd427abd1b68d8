//! `cairn verify`: everything that is wrong with an environment or a backup, not the first thing.

use std::path::{Path, PathBuf};

use cairndb::{
    EnvError, EnvironmentKeys, Finding, VerifyOptions,
    backup::{self, is_repository},
};
use serde::Serialize;

use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    log_files, open,
    output::Output,
    progress::Progress,
    text::{self, Time, count, seconds, several, size},
};

/// Check an environment or a backup: every record, tree and value; all findings, not the first
///
/// Exit code 1 means that it opens and something in it is wrong, 3 that it does not even open;
/// then its log files are checked one by one. Nothing is changed in any case.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  cairn verify data
  cairn verify backups/monday"
)]
pub(crate) struct Verify {
    /// The directory of an environment, or of a backup
    #[arg(value_name = "ENV|BACKUP")]
    path: PathBuf,
    /// Only check the bytes of each log file as they are stored, which takes no key
    #[arg(long)]
    stored: bool,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct EnvironmentJson {
    verified: &'static str,
    path: PathBuf,
    findings: Vec<FindingJson>,
    commit: u64,
    files: u64,
    bytes: u64,
    records: u64,
    databases: u64,
    nodes: u64,
    entries: u64,
    values: u64,
    seconds: f64,
}

#[derive(Serialize)]
struct BackupJson {
    verified: &'static str,
    path: PathBuf,
    findings: Vec<FindingJson>,
    commit: u64,
    time: Time,
    environment: String,
    created: Time,
    files: u64,
    bytes: u64,
    extra_files: Vec<String>,
    seconds: f64,
}

/// Something that is wrong, for programs.
#[derive(Default, Serialize)]
pub(super) struct FindingJson {
    problem: String,
    file: Option<String>,
    offset: Option<u64>,
    database: Option<String>,
    /// How far it reaches: a word of [`cairndb::Reach`].
    reach: Option<&'static str>,
    /// The first key that may be affected, in hexadecimal.
    from_hex: Option<String>,
    /// The first key after it that is not.
    to_hex: Option<String>,
}

impl From<&Finding> for FindingJson {
    fn from(finding: &Finding) -> Self {
        let (from, to) = finding.keys.clone().unzip();
        Self {
            problem: finding.problem.clone(),
            file: finding.file.clone(),
            offset: finding.offset,
            database: finding.database.clone(),
            from_hex: from.map(|key| text::hex(&key)),
            to_hex: to.flatten().map(|key| text::hex(&key)),
            reach: Some(finding.reach.name()),
        }
    }
}

#[derive(Serialize)]
struct UnopenedJson {
    verified: &'static str,
    path: PathBuf,
    findings: Vec<FindingJson>,
    files: u64,
}

impl Verify {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let is = |name: &str| self.path.join(name).exists();
        if is_repository(&self.path) {
            return Err(Failure::usage(format_args!(
                "{} is a repository of backups",
                self.path.display()
            ))
            .advise(format!("`cairn repo check {}` checks it", self.path.display())));
        }
        if self.stored && is("CURRENT") {
            stored(&self.path, output)
        } else if is("MANIFEST") || is("files") && !is("CURRENT") {
            self.backup(output)
        } else {
            self.environment(output)
        }
    }

    fn environment(self, output: &mut Output) -> Outcome {
        let env = match open::for_reading(&self.path, &self.unlock) {
            Err(failure) if failure.is_damage() => return unopened(&self.path, failure, output),
            opened => opened?,
        };
        let progress = Progress::new("verifying");
        let shown = |done, total| progress.set(done, Some(total));
        let report = env.verify(&VerifyOptions::new().progress(&shown))?;
        let elapsed = progress.elapsed();
        drop(progress);
        let mut findings = Vec::new();
        for finding in &report.findings {
            output.line(format_args!("damage: {finding}"))?;
            findings.push(FindingJson::from(finding));
        }
        output.line(format_args!(
            "{}: {}, {}; {}, {} and {} of {} at commit {}: {} ({})",
            self.path.display(),
            several(report.files, "log file"),
            size(report.bytes),
            several(report.records, "record"),
            several(report.nodes, "node"),
            several(report.entries, "entry"),
            several(report.databases, "database"),
            report.commit,
            verdict(findings.len()),
            seconds(elapsed)
        ))?;
        let exit = if findings.is_empty() { Exit::Good } else { Exit::Findings };
        output.json(&EnvironmentJson {
            verified: "environment",
            path: self.path,
            findings,
            commit: report.commit,
            files: report.files,
            bytes: report.bytes,
            records: report.records,
            databases: report.databases,
            nodes: report.nodes,
            entries: report.entries,
            values: report.values,
            seconds: elapsed.as_secs_f64(),
        })?;
        Ok(exit)
    }

    fn backup(self, output: &mut Output) -> Outcome {
        let progress = Progress::new("verifying");
        let shown = |at: backup::Progress| progress.set(at.done, Some(at.total));
        let report = backup::verify(&self.path, Some(&shown))?;
        let elapsed = progress.elapsed();
        drop(progress);
        let (manifest, cut) = (&report.manifest, &report.manifest.cut);
        let mut findings = Vec::new();
        for finding in &report.findings {
            output.line(format_args!("damage: {}", finding.error))?;
            let file = match &finding.error {
                backup::BackupError::FileMissing { path }
                | backup::BackupError::FileDamaged { path, .. } => path.file_name(),
                _ => None,
            };
            findings.push(FindingJson {
                problem: finding.error.to_string(),
                file: file.map(|name| name.to_string_lossy().into_owned()),
                ..FindingJson::default()
            });
        }
        for name in &report.extra {
            output.line(format_args!("not named by the manifest, and harmless: {name}"))?;
        }
        output.line(format_args!(
            "{}: backup of commit {} of {}, {}, {}: {} ({})",
            self.path.display(),
            count(cut.commit),
            Time(cut.time),
            several(manifest.files.len() as u64, "file"),
            size(manifest.bytes()),
            verdict(findings.len()),
            seconds(elapsed)
        ))?;
        let exit = if findings.is_empty() { Exit::Good } else { Exit::Findings };
        output.json(&BackupJson {
            verified: "backup",
            findings,
            commit: cut.commit,
            time: Time(cut.time),
            environment: cut.environment.to_string(),
            created: Time(manifest.created),
            files: manifest.files.len() as u64,
            bytes: manifest.bytes(),
            extra_files: report.extra,
            seconds: elapsed.as_secs_f64(),
            path: self.path,
        })?;
        Ok(exit)
    }
}

/// Looks at the log files one by one if damage keeps the environment from opening.
pub(super) fn unopened(path: &Path, failure: Failure, output: &mut Output) -> Outcome {
    let first = failure.message().to_owned();
    output.line(format_args!("damage: {first}"))?;
    let mut findings = vec![FindingJson { problem: first, ..FindingJson::default() }];
    let files = look_at_each(path, &mut findings, output)?;
    output.line(format_args!(
        "{}: does not open; looked at {} one by one",
        path.display(),
        several(files, "log file")
    ))?;
    let path = path.to_owned();
    output.json(&UnopenedJson { verified: "log_files", path, findings, files })?;
    Ok(Exit::Damaged)
}

/// Looks at the log files one by one, and at the keyring, without opening the environment.
fn stored(path: &Path, output: &mut Output) -> Outcome {
    let mut findings = Vec::new();
    let files = look_at_each(path, &mut findings, output)?;
    match EnvironmentKeys::open(path) {
        Ok(_) | Err(EnvError::NotEncrypted { .. }) => {}
        Err(error @ EnvError::KeyringDamaged { .. }) => {
            output.line(format_args!("damage: {error}"))?;
            let (problem, file) = (error.to_string(), Some("KEYRING".into()));
            findings.push(FindingJson { problem, file, ..FindingJson::default() });
        }
        Err(error) => return Err(error.into()),
    }
    output.line(format_args!(
        "{}: looked at {} one by one: {}",
        path.display(),
        several(files, "log file"),
        verdict(findings.len())
    ))?;
    let exit = if findings.is_empty() { Exit::Good } else { Exit::Findings };
    output.json(&UnopenedJson { verified: "log_files", path: path.to_owned(), findings, files })?;
    Ok(exit)
}

/// Adds what is wrong with each log file on its own to `findings`; returns how many files there are.
fn look_at_each(
    path: &Path,
    findings: &mut Vec<FindingJson>,
    output: &mut Output,
) -> Result<u64, Failure> {
    let files = log_files::find(path)?;
    for file in &files {
        for (offset, problem) in log_files::damage(file) {
            if findings.first().is_none_or(|first| problem != first.problem) {
                output.line(format_args!("damage: {problem}"))?;
            }
            let (file, offset) = (Some(file.name.to_string()), Some(offset));
            findings.push(FindingJson { problem, file, offset, ..FindingJson::default() });
        }
    }
    Ok(files.len() as u64)
}

/// How it looks, in a few words.
pub(super) fn verdict(findings: usize) -> String {
    match findings {
        0 => "all is well".into(),
        n => several(n as u64, "finding"),
    }
}
