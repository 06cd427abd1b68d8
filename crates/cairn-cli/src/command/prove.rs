//! `cairn prove`: a point of a repository is opened where it lies, and read to its end.

use std::path::PathBuf;

use cairndb::{
    Environment,
    backup::{ProveOptions, ProveReport, Which},
};
use serde::Serialize;

use super::{backups::ProofJson, sql};
use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    open,
    output::Output,
    progress::Progress,
    saved::EnvironmentArgs,
    text::{count, seconds, several, size},
};

/// Prove that a point of a repository can be restored, without restoring it
///
/// Every file is compared with its hash; the point is opened where it lies, its journal is replayed in
/// memory, all trees and large values are read, and SQLite's own check is run on its SQL stores. What
/// was found is recorded in the repository, and `cairn backups` shows it; nothing else is written.
/// Exit code 1 means that something is wrong.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn prove backups
  cairn prove backups --point 3
  cairn prove backups --all --no-record"
)]
pub(crate) struct Prove {
    /// The directory of the repository
    repo: PathBuf,
    /// The point with this number (default: the newest)
    #[arg(long, value_name = "N", conflicts_with_all = ["label", "all"])]
    point: Option<u64>,
    /// The newest point with this label
    #[arg(long, conflicts_with = "all")]
    label: Option<String>,
    /// Each point, the newest first
    #[arg(long)]
    all: bool,
    /// Write nothing, not even that it is proved
    #[arg(long)]
    no_record: bool,
    #[command(flatten)]
    of: EnvironmentArgs,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct ProveJson {
    repository: PathBuf,
    point: u64,
    environment: String,
    commit: u64,
    bytes: u64,
    databases: Option<u64>,
    entries: Option<u64>,
    findings: Vec<String>,
    proof: Option<ProofJson>,
    seconds: f64,
}

impl Prove {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let repository = self.unlock.repo.open(&self.repo)?;
        let environment = self.of.uuid()?;
        let points = match (self.all, self.point, self.label) {
            (true, ..) => {
                let points = repository.points(environment)?.into_iter().rev();
                points.map(|listed| Which::Number(listed.number)).collect()
            }
            (_, Some(number), _) => vec![Which::Number(number)],
            (_, _, Some(label)) => vec![Which::Label(label)],
            _ => vec![Which::Newest],
        };
        let is_encrypted = || {
            let found = repository.find(environment, &Which::Newest);
            found.is_ok_and(|(_, point)| point.keyring.is_some())
        };
        let options = open::with_key(self.unlock.of(&self.repo, is_encrypted)?);
        let how = ProveOptions::default().options(options).skip_record(self.no_record);
        let mut exit = Exit::Good;
        for which in points {
            let progress = Progress::new("proving");
            let shown = |at: cairndb::backup::Progress| progress.set(at.done, Some(at.total));
            let also = |env: &Environment| sql::check_all(env);
            let report =
                repository.prove(environment, &which, &how.clone().also(&also).progress(&shown))?;
            let elapsed = progress.elapsed().as_secs_f64();
            drop(progress);
            if !report.findings.is_empty() {
                exit = Exit::Findings;
            }
            show(&self.repo, report, elapsed, output)?;
        }
        Ok(exit)
    }
}

fn show(
    repo: &std::path::Path,
    report: ProveReport,
    elapsed: f64,
    output: &mut Output,
) -> Result<(), Failure> {
    let number = report.number;
    for finding in &report.findings {
        output.line(format_args!("damage in point {number}: {finding}"))?;
    }
    let opened = report.proof.as_ref().and_then(|proof| proof.opened.as_ref());
    let verdict = match opened {
        Some(opened) => format!(
            "proved: {}, {} entries, {} nodes read",
            several(opened.databases, "database"),
            count(opened.entries),
            count(opened.nodes)
        ),
        None => several(report.findings.len() as u64, "finding"),
    };
    output.line(format_args!(
        "point {number}: commit {}, {}; {verdict} ({})",
        report.commit,
        size(report.bytes),
        seconds(std::time::Duration::from_secs_f64(elapsed))
    ))?;
    output.json(&ProveJson {
        repository: repo.to_owned(),
        point: number,
        environment: report.environment.to_string(),
        commit: report.commit,
        bytes: report.bytes,
        databases: opened.map(|opened| opened.databases),
        entries: opened.map(|opened| opened.entries),
        proof: report.proof.as_ref().map(ProofJson::of),
        findings: report.findings,
        seconds: elapsed,
    })
}
