//! `cairn backups`: the points of a repository.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use cairn_log::Timeline;

use cairndb::{
    archive::DatabaseTotals,
    backup::{BackupError, CheckLevel, EnvironmentInfo, ListedPoint, Point, Proof},
};
use serde::Serialize;

use super::drill::{self, DrilledJson};
use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::RepoKeyArgs,
    output::Output,
    saved::EnvironmentArgs,
    text::{Time, escape, several, size},
};

/// List the backups in a repository, the oldest first
///
/// `full` says that no backup before it has any of its objects, `increment` that the rest was there
/// already. Each one is whole by itself all the same. `copied` says that nobody has looked at it since,
/// `checked` that its bytes were read and are right, `proved` that it was opened and read to its end,
/// with the time at which that was done; then comes the last `cairn drill`. Exit code 1 means that one
/// cannot be read.
///
/// Without --environment, the points of all environments are listed, one after the other.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  cairn backups backups
  cairn backups backups --environment 2f1c0d5e8a7b46939c1d2e3f4a5b6c7d"
)]
pub(crate) struct Backups {
    /// The directory of the repository
    repo: PathBuf,
    #[command(flatten)]
    of: EnvironmentArgs,
    #[command(flatten)]
    unlock: RepoKeyArgs,
}

#[derive(Serialize)]
struct PointJson<'a> {
    point: u64,
    label: Option<&'a str>,
    environment: String,
    timeline: String,
    commit: u64,
    time: Time,
    created: Time,
    full: bool,
    files: u64,
    bytes: u64,
    stored_bytes: u64,
    new_bytes: u64,
    encrypted: bool,
    databases: Option<u64>,
    tree_digest: Option<String>,
    state: String,
    proof: Option<ProofJson>,
    drill: Option<DrilledJson>,
}

/// How closely somebody has looked at it.
#[derive(Serialize)]
pub(super) struct ProofJson {
    level: &'static str,
    made: Time,
    seconds: f64,
    library: String,
    tree_digest: Option<String>,
    digests: Option<Vec<DigestJson>>,
}

/// What a database was found to hold.
#[derive(Serialize)]
struct DigestJson {
    database: String,
    entries: u64,
    bytes: u64,
    digest: String,
}

impl DigestJson {
    fn of(database: &str, totals: &DatabaseTotals) -> Self {
        let (database, digest) = (database.to_owned(), totals.digest.to_string());
        Self { database, entries: totals.entries, bytes: totals.bytes, digest }
    }
}

impl ProofJson {
    pub(super) fn of(proof: &Proof) -> Self {
        let level = match proof.level {
            CheckLevel::Present => "present",
            CheckLevel::Stored => "stored",
            CheckLevel::Content => "content",
            CheckLevel::Structure => "structure",
            CheckLevel::Open => "open",
        };
        let seconds = Duration::from_micros(proof.took).as_secs_f64();
        let opened = proof.opened.as_ref();
        let totals = opened.and_then(|opened| opened.totals.as_ref());
        Self {
            level,
            made: Time(proof.made),
            seconds,
            library: proof.library.clone(),
            tree_digest: opened.and_then(|opened| opened.tree_digest).map(|it| it.to_string()),
            digests: totals
                .map(|all| all.iter().map(|(name, totals)| DigestJson::of(name, totals)).collect()),
        }
    }
}

#[derive(Serialize)]
struct DamagedJson {
    point: u64,
    damaged: String,
}

impl Backups {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let repository = self.unlock.open(&self.repo)?;
        let one = match repository.points(self.of.uuid()?) {
            Err(BackupError::SeveralEnvironments { .. }) => None,
            points => Some(points?),
        };
        if let Some(points) = one {
            return list(&points, output);
        }
        let mut environments = Vec::new();
        for EnvironmentInfo { environment, .. } in repository.info()?.environments {
            environments.push((environment, repository.points(Some(environment))?));
        }
        let first = |points: &[ListedPoint]| {
            points.iter().find_map(|listed| Some(listed.point.as_ref().ok()?.created))
        };
        environments.sort_by_cached_key(|(_, points)| first(points));
        let mut exit = Exit::Good;
        for (environment, points) in environments {
            output.line(format_args!("environment {environment}:"))?;
            if list(&points, output)? == Exit::Findings {
                exit = Exit::Findings;
            }
        }
        Ok(exit)
    }
}

/// The points of an environment.
fn list(all: &[ListedPoint], output: &mut Output) -> Outcome {
    let mut exit = Exit::Good;
    let points = || all.iter().filter_map(|listed| listed.point.as_ref().ok());
    let timelines: BTreeSet<_> = points().map(|point| point.cut.timeline).collect();
    let several = timelines.len() > 1;
    let mut before = BTreeSet::new();
    for listed in all {
        let number = listed.number;
        match &listed.point {
            Ok(point) => {
                // What a backup has left that was cut short is of none before.
                let own = point.objects().filter(|needed| before.insert(needed.name));
                let own = own.map(|needed| needed.stored_length).sum();
                let timeline = several.then_some(point.cut.timeline);
                show(listed, point, own, timeline, output)?;
            }
            Err(error) => {
                exit = Exit::Findings;
                output.line(format_args!("point {number} cannot be read: {error}"))?;
                output.json(&DamagedJson { point: number, damaged: error.to_string() })?;
            }
        }
    }
    Ok(exit)
}

/// `own` are the bytes in objects that no point before has; the timeline is said where there are several.
fn show(
    listed: &ListedPoint,
    point: &Point,
    own: u64,
    timeline: Option<Timeline>,
    output: &mut Output,
) -> Result<(), Failure> {
    let (number, state) = (listed.number, listed.state());
    let best = listed.best_proof();
    let (files, bytes) = (point.files.len() as u64, point.bytes());
    let label = point.label.as_ref().map(|label| format!("; {}", escape(label.as_bytes())));
    let drill = listed.last_drill();
    let is_full = own == point.stored_bytes();
    let since = best.filter(|proof| proof.state() == state).map(|proof| proof.made);
    output.line(format_args!(
        "point {number}: commit {} of {}, {}, {}; {}, {} stored; {state}{}{}{}{}",
        point.cut.commit,
        Time(point.cut.time),
        several(files, "file"),
        size(bytes),
        if is_full { "full" } else { "increment" },
        size(own),
        since.map(|made| format!(" {}", Time(made))).unwrap_or_default(),
        drill.map(drill::listed).unwrap_or_default(),
        timeline.map(|timeline| format!("; timeline {timeline}")).unwrap_or_default(),
        label.unwrap_or_default()
    ))?;
    output.json(&PointJson {
        point: number,
        label: point.label.as_deref(),
        environment: point.cut.environment.to_string(),
        timeline: point.cut.timeline.to_string(),
        commit: point.cut.commit,
        time: Time(point.cut.time),
        created: Time(point.created),
        full: is_full,
        files,
        bytes,
        stored_bytes: point.stored_bytes(),
        new_bytes: point.new_bytes,
        encrypted: point.databases.is_none(),
        databases: point.databases.as_ref().map(|databases| databases.len() as u64),
        tree_digest: point.tree_digest.map(|digest| digest.to_string()),
        state: state.to_string(),
        proof: best.map(ProofJson::of),
        drill: drill.map(DrilledJson::of),
    })
}
