//! Figures of a repository: what could be brought back, how surely, and of when.

use std::path::Path;

use cairndb::backup::{ListedPoint, Moment, Point, PointState, Repository};

use super::families::{Families, Value};
use crate::exit::Failure;

/// Adds the figures of all environments that a repository has backups of.
pub(super) fn read(
    repository: &Repository,
    path: &Path,
    families: &mut Families,
) -> Result<(), Failure> {
    for info in repository.info()?.environments {
        let environment = info.environment;
        let labels =
            [("repository", path.display().to_string()), ("environment", environment.to_string())];
        let points = repository.points(Some(environment))?;
        of_points(&points, families, &labels);
        of_drills(&points, families, &labels);
        of_intervals(repository.intervals(Some(environment))?, families, &labels);
        let mut add = |name: &str, help: &str, value: u64| {
            families.add(&format!("cairn_repository_{name}"), help, &labels, value);
        };
        add(
            "tombs",
            "Removals of points that can still be taken back, or are under way.",
            info.tombs.len() as u64,
        );
        let bytes = info.tombs.iter().map(|tomb| tomb.bytes()).sum();
        add("tombs_bytes", "Stored bytes that they are about to free.", bytes);
    }
    Ok(())
}

type Labels = [(&'static str, String); 2];

fn of_points(points: &[ListedPoint], families: &mut Families, labels: &Labels) {
    let mut add = |name: &str, help: &str, value: Value| {
        families.add(&format!("cairn_repository_{name}"), help, labels, value);
    };
    let count = |is: &dyn Fn(&ListedPoint) -> bool| {
        Value::from(points.iter().filter(|point| is(point)).count() as u64)
    };
    add("points", "Points that are listed.", count(&|_| true));
    add("points_damaged", "Points that cannot be read.", count(&|point| point.point.is_err()));
    let is = |state: PointState| move |point: &ListedPoint| point.state() >= state;
    let help = "Points of which all bytes were read and found right once.";
    add("points_checked", help, count(&is(PointState::Checked)));
    let help = "Points that were opened and read to their end once.";
    add("points_proved", help, count(&is(PointState::Proved)));
    if let Some((number, point)) = newest(points, PointState::Copied) {
        add("newest_point", "The number of the newest point.", number.into());
        add("newest_point_commit", "The last commit in it.", point.cut.commit.into());
        let help = "When that was committed, in seconds since 1970.";
        add("newest_point_commit_timestamp_seconds", help, Value::time(point.cut.time));
        let help = "When the newest point was made, in seconds since 1970.";
        add("newest_point_timestamp_seconds", help, Value::time(point.created));
        add("newest_point_bytes", "Bytes of its log files.", point.bytes().into());
        let help = "Bytes that are stored of them.";
        add("newest_point_stored_bytes", help, point.stored_bytes().into());
    }
    if let Some((_, point)) = newest(points, PointState::Proved) {
        let help = "When the newest point was made that is proved, in seconds since 1970.";
        add("newest_proved_point_timestamp_seconds", help, Value::time(point.created));
    }
    let proofs = points.iter().flat_map(|point| &point.proofs);
    let proofs = proofs.filter(|proof| proof.state() == PointState::Proved);
    if let Some(made) = proofs.map(|proof| proof.made).max() {
        let help = "When a point was proved last, in seconds since 1970.";
        add("newest_proof_timestamp_seconds", help, Value::time(made));
    }
}

fn of_drills(points: &[ListedPoint], families: &mut Families, labels: &Labels) {
    let mut add = |name: &str, help: &str, value: Value| {
        families.add(&format!("cairn_repository_{name}"), help, labels, value);
    };
    let drills = || points.iter().flat_map(|point| &point.drills);
    if let Some(drill) = drills().max_by_key(|drill| drill.made) {
        let help = "Whether the last restore that was tried has succeeded.";
        add("newest_drill_ok", help, u64::from(drill.passed()).into());
    }
    let passed = drills().filter(|drill| drill.passed()).max_by_key(|drill| drill.made);
    let Some(drill) = passed else { return };
    let help = "When a restore was tried last that has succeeded, in seconds since 1970.";
    add("newest_drill_timestamp_seconds", help, Value::time(drill.made));
    for (name, help, reached) in [
        ("newest_drill_rto_seconds", "How long it took until it was back.", drill.rto()),
        ("newest_drill_rpo_seconds", "How old its newest commit was.", drill.rpo()),
    ] {
        if let Some(reached) = reached {
            add(name, help, Value::Seconds(reached.as_secs_f64()));
        }
    }
}

/// The newest point that can be read and is at least so well known.
fn newest(points: &[ListedPoint], state: PointState) -> Option<(u64, &Point)> {
    let known = points.iter().filter(|point| point.state() >= state);
    let read = known.filter_map(|point| Some((point.number, point.point.as_ref().ok()?)));
    read.max_by_key(|(number, _)| *number)
}

fn of_intervals(
    timelines: Vec<cairndb::backup::TimelineIntervals>,
    families: &mut Families,
    labels: &Labels,
) {
    let mut add = |name: &str, help: &str, value: Value| {
        families.add(&format!("cairn_repository_{name}"), help, labels, value);
    };
    let holes = timelines.iter().map(|timeline| timeline.holes.len() as u64).sum::<u64>();
    let help = "Stretches of commits between points of which none can be restored.";
    add("holes", help, holes.into());
    let intervals = timelines.iter().flat_map(|timeline| &timeline.intervals);
    let newest = intervals.map(|interval| interval.to).max_by_key(|moment| moment.commit);
    if let Some(Moment { commit, time, .. }) = newest {
        add("restorable_commit", "The newest commit that can be restored.", commit.into());
        let help = "When that was committed, in seconds since 1970.";
        add("restorable_commit_timestamp_seconds", help, Value::time(time));
    }
}
