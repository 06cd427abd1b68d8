//! `cairn repo`: a place with many backups, in which nothing is stored twice: make it, ask, check it.

use std::{path::PathBuf, time::Duration};

use cairndb::backup::{
    BackupError, CheckLevel, CheckOptions, CheckReport, Repository, Which, is_repository,
};
use serde::Serialize;

use super::repo_keys::RepoKeys;
use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::{CostArgs, KeyArgs, OwnKeyArgs, RepoKeyArgs},
    open,
    output::Output,
    progress::Progress,
    text::{Time, seconds, several, size},
};

/// Look after a backup repository: a directory with backups of any number of environments
///
/// `cairn backup ENV --repo REPO` adds a backup, which is called a point, and stores what is new;
/// `cairn backups REPO` lists the points; `cairn restore REPO NEW` brings one back.
///
/// With `init --encrypt`, everything that is stored is encrypted, under keys of the repository itself:
/// those of an environment are others. All commands that open a repository then take its key from
/// --repo-key-file FILE, --repo-key-fd N or --repo-passphrase-fd N, or ask for the passphrase.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn repo init backups
  cairn repo init backups --encrypt           # asks for a passphrase, twice
  cairn backup data --repo backups --repo-key-file repo.key
  cairn repo info backups
  cairn repo check backups --level content"
)]
pub(crate) struct Repo {
    #[command(subcommand)]
    command: RepoCommand,
}

#[derive(clap::Subcommand)]
enum RepoCommand {
    Init(Init),
    Info(Info),
    Check(Check),
    Keys(RepoKeys),
}

/// Make a repository in a new or empty directory
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cairn repo init backups
  cairn repo init backups --encrypt              # asks for a passphrase, twice
  (umask 077; openssl rand -hex 32 > repo.key)
  cairn repo init backups --encrypt --key-file repo.key

Whoever loses all keys of an encrypted repository has lost what is in it. See `cairn help repo keys`.")]
struct Init {
    /// The directory
    repo: PathBuf,
    /// Encrypt everything that the repository will hold
    #[arg(long)]
    encrypt: bool,
    #[command(flatten)]
    key: OwnKeyArgs,
    #[command(flatten)]
    cost: CostArgs,
}

/// Tell which environments a repository has backups of
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn repo info backups")]
struct Info {
    /// The directory of the repository
    repo: PathBuf,
    #[command(flatten)]
    unlock: RepoKeyArgs,
}

/// Check all points and segments of a repository, and all that they need
///
/// Only --level open needs the key of an encrypted environment; that of an encrypted repository is
/// needed for more than the level stored. --record stores a small object for
/// each point that is found to be right, which `cairn backups` then shows.
///
/// All findings are printed, each with its place and the points that it concerns. Exit code 1 means
/// that there are some.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Example:\n  cairn repo check backups --level content"
)]
struct Check {
    /// The directory of the repository
    repo: PathBuf,
    /// How closely: each level does what those before it do
    #[arg(long, value_enum, default_value_t = Level::Stored)]
    level: Level,
    /// Record in the repository which points are right, and how closely they were looked at
    #[arg(long)]
    record: bool,
    #[command(flatten)]
    unlock: KeyArgs,
}

/// How closely a repository is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Level {
    /// Points can be read, and all objects are there, with their lengths
    Present,
    /// Each object has the hash with which it was stored
    Stored,
    /// Each object decompresses to what it was made of
    Content,
    /// The log files are right, record by record
    Structure,
    /// Each point opens as an environment, and everything in it can be read
    Open,
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Stored => "stored",
            Self::Content => "content",
            Self::Structure => "structure",
            Self::Open => "open",
        }
    }
}

impl From<Level> for CheckLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Present => Self::Present,
            Level::Stored => Self::Stored,
            Level::Content => Self::Content,
            Level::Structure => Self::Structure,
            Level::Open => Self::Open,
        }
    }
}

#[derive(Serialize)]
struct MadeJson {
    repository: PathBuf,
    uuid: String,
    encrypted: bool,
}

#[derive(Serialize)]
struct InfoJson {
    repository: PathBuf,
    uuid: String,
    created: Time,
    encrypted: bool,
    environments: Vec<EnvironmentJson>,
}

#[derive(Serialize)]
struct EnvironmentJson {
    environment: String,
    points: u64,
    newest: Option<u64>,
    timelines: Vec<TimelineJson>,
}

#[derive(Serialize)]
struct TimelineJson {
    timeline: String,
    created: Option<Time>,
    commit: Option<u64>,
    after_point: Option<u64>,
}

#[derive(Serialize)]
struct CheckJson {
    repository: PathBuf,
    level: &'static str,
    points: u64,
    segments: u64,
    objects: u64,
    bytes: u64,
    findings: Vec<FindingJson>,
    unused_objects: u64,
    unused_bytes: u64,
    foreign: Vec<String>,
    seconds: f64,
}

#[derive(Serialize)]
struct FindingJson {
    object: String,
    offset: Option<u64>,
    problem: String,
    points: Vec<u64>,
}

impl Repo {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        match self.command {
            RepoCommand::Init(command) => command.run(output),
            RepoCommand::Info(Info { repo, unlock }) => info(repo, &unlock, output),
            RepoCommand::Keys(command) => command.run(output),
            RepoCommand::Check(command) => command.run(output),
        }
    }
}

impl Init {
    fn run(self, output: &mut Output) -> Outcome {
        let Self { repo, encrypt, key, cost } = self;
        let key = key.as_key();
        if is_repository(&repo) {
            let place = repo.display().to_string();
            return Err(BackupError::RepositoryExists { place }.into());
        }
        let made = match encrypt {
            true => Repository::create_encrypted(&repo, &key.new_key(&repo, &cost)?)?,
            false if key.is_given() => {
                return Err(Failure::usage("a key is for an encrypted repository")
                    .advise("add --encrypt, or leave the key out; nothing was created"));
            }
            false => Repository::create(&repo)?,
        };
        let info = made.info()?;
        output.line(format_args!(
            "made the repository {} (uuid {}){}",
            repo.display(),
            info.repository,
            if encrypt { ", encrypted" } else { "" }
        ))?;
        let uuid = info.repository.to_string();
        output.json(&MadeJson { repository: repo, uuid, encrypted: encrypt })?;
        Ok(Exit::Good)
    }
}

fn info(repo: PathBuf, unlock: &RepoKeyArgs, output: &mut Output) -> Outcome {
    let info = unlock.open_without_asking(&repo)?.info()?;
    output.line(format_args!(
        "{}: {}repository (uuid {}), made {}, with backups of {}",
        repo.display(),
        if info.encrypted { "encrypted " } else { "" },
        info.repository,
        Time(info.created),
        several(info.environments.len() as u64, "environment")
    ))?;
    let mut environments = Vec::new();
    for environment in info.environments {
        let newest = environment.newest.map(|newest| format!(", the newest is {newest}"));
        output.line(format_args!(
            "environment (uuid {}): {}{}; {}",
            environment.environment,
            several(environment.points, "point"),
            newest.unwrap_or_default(),
            several(environment.timelines.len() as u64, "timeline")
        ))?;
        let timelines = environment.timelines.into_iter().map(|(timeline, origin)| TimelineJson {
            timeline: timeline.to_string(),
            created: origin.map(|origin| Time(origin.created)),
            commit: origin.map(|origin| origin.commit),
            after_point: origin.and_then(|origin| Some(origin.before?.0)),
        });
        environments.push(EnvironmentJson {
            environment: environment.environment.to_string(),
            points: environment.points,
            newest: environment.newest,
            timelines: timelines.collect(),
        });
    }
    output.json(&InfoJson {
        repository: repo,
        uuid: info.repository.to_string(),
        created: Time(info.created),
        encrypted: info.encrypted,
        environments,
    })?;
    Ok(Exit::Good)
}

impl Check {
    fn run(self, output: &mut Output) -> Outcome {
        let Self { repo, level, record, unlock } = self;
        let repository = match level {
            Level::Present | Level::Stored if !record => unlock.repo.open_without_asking(&repo)?,
            _ => unlock.repo.open(&repo)?,
        };
        let key = match level {
            Level::Open => unlock.of(&repo, || holds_encrypted(&repository))?,
            _ => None,
        };
        let progress = Progress::new("checking");
        let shown = |at: cairndb::backup::Progress| progress.set(at.done, Some(at.total));
        let how = CheckOptions::default().level(level.into()).options(open::with_key(key));
        let report = repository.check(&how.record(record).progress(&shown))?;
        let elapsed = progress.elapsed();
        drop(progress);
        show(repo, level, report, elapsed, output)
    }
}

/// Whether a point is of an encrypted environment.
fn holds_encrypted(repository: &Repository) -> bool {
    let environments = repository.info().map(|info| info.environments).unwrap_or_default();
    let newest = environments.into_iter().map(|of| of.environment);
    newest.into_iter().any(|environment| {
        let found = repository.find(Some(environment), &Which::Newest);
        found.is_ok_and(|(_, point)| point.keyring.is_some())
    })
}

fn show(
    repo: PathBuf,
    level: Level,
    report: CheckReport,
    elapsed: Duration,
    output: &mut Output,
) -> Outcome {
    let mut findings = Vec::new();
    for finding in report.findings {
        let object = finding.object.to_string();
        let place = finding.at.map(|at| format!(", byte {at}")).unwrap_or_default();
        let points: Vec<_> = finding.points.iter().map(u64::to_string).collect();
        let points = match &*points {
            [] => String::new(),
            points => format!(" (point {})", points.join(", ")),
        };
        output.line(format_args!("damage: {object}{place}: {}{points}", finding.problem))?;
        let (offset, problem, points) = (finding.at, finding.problem, finding.points);
        findings.push(FindingJson { object, offset, problem, points });
    }
    for foreign in &report.foreign {
        output.note(format_args!("{foreign} is of somebody else"));
    }
    if report.unused_objects > 0 {
        output.note(format_args!(
            "{}, {} stored, of backups that were cut short: the next one uses what it can",
            several(report.unused_objects, "object"),
            size(report.unused_bytes)
        ));
    }
    let verdict = match findings.len() as u64 {
        0 => "all is well".to_owned(),
        n => several(n, "finding"),
    };
    let segments = match report.segments {
        0 => String::new(),
        n => format!(", {}", several(n, "segment")),
    };
    output.line(format_args!(
        "{}: {}{segments}, {}, {} stored; {}: {verdict} ({})",
        repo.display(),
        several(report.points, "point"),
        several(report.objects, "object"),
        size(report.bytes),
        level.name(),
        seconds(elapsed)
    ))?;
    let exit = if findings.is_empty() { Exit::Good } else { Exit::Findings };
    output.json(&CheckJson {
        repository: repo,
        level: level.name(),
        points: report.points,
        segments: report.segments,
        objects: report.objects,
        bytes: report.bytes,
        findings,
        unused_objects: report.unused_objects,
        unused_bytes: report.unused_bytes,
        foreign: report.foreign,
        seconds: elapsed.as_secs_f64(),
    })?;
    Ok(exit)
}
