//! `cairn repo check`: a repository is looked at, all of it or in parts.

use std::{path::PathBuf, time::Duration};

use cairndb::backup::{CheckLevel, CheckOptions, CheckReport, Repository, Share, Subset, Which};
use serde::Serialize;

use crate::{
    Outcome,
    exit::Exit,
    keys::KeyArgs,
    open,
    output::Output,
    progress::Progress,
    text::{parse_size, seconds, several, size},
};

/// Check all points and segments of a repository, and all that they need
///
/// Only --level open needs the key of an encrypted environment; that of an encrypted repository is
/// needed for more than the level stored. --record stores a small object for
/// each point that is found to be right, which `cairn backups` then shows.
///
/// A large repository can be checked in parts, at the levels stored and content. Whether all objects
/// are there is seen each time; --subset says which are read: 2/7 is the second of seven parts, which
/// is the same for ever; 5% or 20GiB are others each time. --rotate goes on where the last such check
/// has ended, which it records; --rotate 7 each night has read everything in a week. It also records
/// points of which everything has been read by then, and nothing was wrong.
///
/// All findings are printed, each with its place and the points that it concerns. Exit code 1 means
/// that there are some.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn repo check backups --level content
  cairn repo check backups --subset 2/7
  cairn repo check backups --rotate 7"
)]
pub(super) struct Check {
    /// The directory of the repository
    repo: PathBuf,
    /// How closely: each level does what those before it do
    #[arg(long, value_enum, default_value_t = Level::Stored)]
    level: Level,
    /// Record in the repository which points are right, and how closely they were looked at
    #[arg(long)]
    record: bool,
    /// Read only some of the objects: a part of so many, a percentage, or so many bytes
    #[arg(long, value_name = "N/T|X%|SIZE", value_parser = parse_subset, conflicts_with = "rotate")]
    subset: Option<Subset>,
    /// Read one in T objects, a percentage, or so many bytes, from where the last such check ended
    #[arg(long, value_name = "T|X%|SIZE", value_parser = parse_rotate)]
    rotate: Option<Subset>,
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
struct CheckJson {
    repository: PathBuf,
    level: &'static str,
    points: u64,
    segments: u64,
    objects: u64,
    bytes: u64,
    skipped_objects: u64,
    skipped_bytes: u64,
    completed: Vec<CompletedJson>,
    findings: Vec<FindingJson>,
    unused_objects: u64,
    unused_bytes: u64,
    going_objects: u64,
    going_bytes: u64,
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

#[derive(Serialize)]
struct CompletedJson {
    environment: String,
    point: u64,
}

impl Check {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let Self { repo, level, record, subset, rotate, unlock } = self;
        let records = record || rotate.is_some();
        let repository = match level {
            Level::Present | Level::Stored if !records => unlock.repo.open_without_asking(&repo)?,
            _ => unlock.repo.open(&repo)?,
        };
        let key = match level {
            Level::Open => unlock.of(&repo, || holds_encrypted(&repository))?,
            _ => None,
        };
        let progress = Progress::new("checking");
        let shown = |at: cairndb::backup::Progress| progress.set(at.done, Some(at.total));
        let how = CheckOptions::default().level(level.into()).options(open::with_key(key));
        let how = how.subset(subset.or(rotate)).record(record);
        let report = repository.check(&how.progress(&shown))?;
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
    if report.going_objects > 0 {
        output.note(format_args!(
            "{}, {} stored, about to be deleted",
            several(report.going_objects, "object"),
            size(report.going_bytes)
        ));
    }
    for (environment, point) in &report.completed {
        output.line(format_args!(
            "point {point} of the environment {environment}: everything has been read by now"
        ))?;
    }
    if report.skipped_objects > 0 {
        output.line(format_args!(
            "not read: {}, {}",
            several(report.skipped_objects, "object"),
            size(report.skipped_bytes)
        ))?;
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
    let completed = report
        .completed
        .into_iter()
        .map(|(environment, point)| CompletedJson { environment: environment.to_string(), point });
    output.json(&CheckJson {
        repository: repo,
        level: level.name(),
        points: report.points,
        segments: report.segments,
        objects: report.objects,
        bytes: report.bytes,
        skipped_objects: report.skipped_objects,
        skipped_bytes: report.skipped_bytes,
        completed: completed.collect(),
        findings,
        unused_objects: report.unused_objects,
        unused_bytes: report.unused_bytes,
        going_objects: report.going_objects,
        going_bytes: report.going_bytes,
        foreign: report.foreign,
        seconds: elapsed.as_secs_f64(),
    })?;
    Ok(exit)
}

/// `2/7`, `2.5%` or `20GiB`.
fn parse_subset(text: &str) -> Result<Subset, String> {
    let Some((part, of)) = text.split_once('/') else {
        return share(text).map(Subset::Random);
    };
    let none = || format!("{text} is no part such as 2/7");
    let part = part.parse().map_err(|_| none())?;
    let of = of.parse().map_err(|_| none())?;
    if part == 0 || part > of {
        return Err(none());
    }
    Ok(Subset::Part { part, of })
}

/// `7`, `2.5%` or `20GiB`.
fn parse_rotate(text: &str) -> Result<Subset, String> {
    match text.parse() {
        Ok(0) => Err("0 checks read nothing".into()),
        Ok(runs) => Ok(Subset::Rotate(Share::OneIn(runs))),
        Err(_) => share(text).map(Subset::Rotate),
    }
}

fn share(text: &str) -> Result<Share, String> {
    let Some(percent) = text.strip_suffix('%') else {
        return parse_size(text).map(Share::Bytes);
    };
    let (whole, rest) = percent.split_once('.').unwrap_or((percent, ""));
    let is_number = whole.len() <= 3 && rest.len() <= 4 && !whole.is_empty();
    let digits = format!("{whole}{rest:0<4}");
    match digits.parse() {
        Ok(share @ 1..=1_000_000) if is_number && digits.bytes().all(|c| c.is_ascii_digit()) => {
            Ok(Share::PerMillion(share))
        }
        _ => Err(format!("{text} is no percentage from 0.0001% to 100%")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_a_percentage_and_a_size_are_told_apart() {
        for (text, expected) in [
            ("2/7", Some(Subset::Part { part: 2, of: 7 })),
            ("7/7", Some(Subset::Part { part: 7, of: 7 })),
            ("5%", Some(Subset::Random(Share::PerMillion(50_000)))),
            ("2.5%", Some(Subset::Random(Share::PerMillion(25_000)))),
            ("0.0001%", Some(Subset::Random(Share::PerMillion(1)))),
            ("100%", Some(Subset::Random(Share::PerMillion(1_000_000)))),
            ("20GiB", Some(Subset::Random(Share::Bytes(20 << 30)))),
            ("0/7", None),
            ("8/7", None),
            ("1/0", None),
            ("/", None),
            ("-1/7", None),
            ("0%", None),
            ("100.1%", None),
            ("+5%", None),
            ("%", None),
            ("5.%%", None),
            ("", None),
        ] {
            assert_eq!(parse_subset(text).ok(), expected, "{text}");
        }
        for (text, expected) in [
            ("7", Some(Share::OneIn(7))),
            ("50%", Some(Share::PerMillion(500_000))),
            ("1MiB", Some(Share::Bytes(1 << 20))),
            ("0", None),
            ("1/7", None),
        ] {
            assert_eq!(parse_rotate(text).ok(), expected.map(Subset::Rotate), "{text}");
        }
    }
}
