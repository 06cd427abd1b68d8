//! The page: what it says first is whether all is well; pictures and tables follow.

use std::time::Duration;

use cairndb::backup::{Moment, PointState};

use super::{
    drills,
    facts::{BackupFacts, EnvironmentFacts, Facts},
    files,
    picture::escape,
    proofs, restorable, sizes,
};
use crate::text::{Time, count, seconds, several, size};

/// So many of the newest points are listed one by one.
const LISTED: usize = 50;

const STYLE: &str = include_str!("page.css");

pub(super) fn render(facts: &Facts) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>CairnDB report</title>\n\
         <style>{STYLE}</style></head><body>\n<h1>CairnDB report</h1>\n<p>Made {} by cairn {}.</p>\n",
        Time(facts.now),
        env!("CARGO_PKG_VERSION")
    );
    for (path, problem) in &facts.unread {
        let (path, problem) = (escape(&path.display().to_string()), escape(problem));
        page += &format!("<p class=\"alarm\"><b>{path}</b> cannot be read: {problem}</p>\n");
    }
    for backups in &facts.backups {
        of_backups(backups, facts.now, &mut page);
    }
    for environment in &facts.environments {
        of_environment(environment, &mut page);
    }
    page += "</body></html>\n";
    page
}

/// A table of two columns.
fn table(rows: &[(&str, String)], page: &mut String) {
    *page += "<table>";
    for (name, value) in rows {
        *page += &format!("<tr><th>{}</th><td>{}</td></tr>", escape(name), escape(value));
    }
    *page += "</table>\n";
}

fn picture(title: &str, drawn: Option<String>, legend: &[(&str, &str)], page: &mut String) {
    let Some(drawn) = drawn else { return };
    *page += &format!("<h3>{title}</h3>\n<div class=\"picture\">{drawn}</div>\n");
    if !legend.is_empty() {
        *page += "<p class=\"legend\">";
        for (class, words) in legend {
            *page += &format!(
                "<span><svg viewBox=\"0 0 10 10\"><rect width=\"10\" height=\"10\" class=\"{class}\"/></svg> {words}</span> "
            );
        }
        *page += "</p>\n";
    }
}

const STATES: [(&str, &str); 3] =
    [("copied", "copied"), ("checked", "checked"), ("proved", "proved")];

fn of_backups(facts: &BackupFacts, now: u64, page: &mut String) {
    let path = escape(&facts.path.display().to_string());
    *page +=
        &format!("<h2>Backups in {path}</h2>\n<p>of the environment {}</p>\n", facts.environment);
    let ago = |time: u64| format!("{} ({} ago)", Time(time), lasting(now.saturating_sub(time)));
    let damaged = facts.points.iter().filter(|listed| listed.point.is_err()).count() as u64;
    if damaged > 0 {
        *page += &format!("<p class=\"alarm\">{} cannot be read</p>\n", several(damaged, "point"));
    }
    let known = |state: PointState| facts.points.iter().filter(move |point| point.state() >= state);
    let newest = |state| known(state).filter_map(|listed| listed.point.as_ref().ok()).next_back();
    let mut rows = vec![("points", count(facts.points.len() as u64))];
    rows.push(("proved", count(known(PointState::Proved).count() as u64)));
    if let Some(point) = newest(PointState::Copied) {
        rows.push(("newest point", ago(point.created)));
    }
    if let Some(point) = newest(PointState::Proved) {
        rows.push(("newest proved point", ago(point.created)));
    }
    let drills = facts.points.iter().flat_map(|listed| &listed.drills);
    if let Some(drill) = drills.max_by_key(|drill| drill.made) {
        let came = drill.rto().map(|rto| format!("back after {}", seconds(rto)));
        let failed = drill.failed.as_ref().map(|failed| format!("failed at {}", failed.stage));
        let what = failed.or(came).unwrap_or_default();
        rows.push(("last drill", format!("{}: {what}", ago(drill.made))));
    }
    let intervals = facts.timelines.iter().flat_map(|timeline| &timeline.intervals);
    let last = intervals.map(|interval| interval.to).max_by_key(|moment| moment.commit);
    if let Some(Moment { commit, time, .. }) = last {
        rows.push(("can be brought back up to", format!("commit {commit} of {}", ago(time))));
    }
    let holes = facts.timelines.iter().map(|timeline| timeline.holes.len() as u64).sum::<u64>();
    rows.push(("holes", count(holes)));
    for tomb in &facts.tombs {
        let (points, bytes) = (several(tomb.points.len() as u64, "point"), size(tomb.bytes()));
        rows.push(("about to go", format!("{points}, {bytes}, after {}", Time(tomb.until))));
    }
    table(&rows, page);
    let legend = [&[("ok", "every commit"), ("hole", "hole")], &STATES[..]].concat();
    picture("What can be brought back", restorable::draw(facts, now), &legend, page);
    picture(
        "What points take",
        sizes::draw(facts),
        &[("added", "new"), ("needed", "needed")],
        page,
    );
    picture("Proofs: when, and how long they took", proofs::draw(facts, now), &STATES[1..], page);
    let legend = [
        ("proved", "until it was back"),
        ("copied", "age of its newest commit"),
        ("bad", "failed"),
    ];
    picture("Drills: restores that were tried", drills::draw(facts, now), &legend, page);
    points(facts, page);
}

fn points(facts: &BackupFacts, page: &mut String) {
    *page += "<table><tr><th>point</th><th>commit</th><th>of</th><th>label</th><th>new</th><th>known to be</th></tr>\n";
    for listed in facts.points.iter().rev().take(LISTED) {
        let (class, words) = restorable::state(listed);
        let cells = match &listed.point {
            Ok(point) => [
                count(point.cut.commit),
                Time(point.cut.time).to_string(),
                point.label.clone().unwrap_or_default(),
                size(point.new_bytes),
            ],
            Err(_) => [const { String::new() }; 4],
        };
        let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect();
        *page += &format!(
            "<tr><td>{}</td>{cells}<td class=\"{class}\">{}</td></tr>\n",
            listed.number,
            escape(&words)
        );
    }
    *page += "</table>\n";
    let more = facts.points.len().saturating_sub(LISTED) as u64;
    if more > 0 {
        *page += &format!("<p>and {} before them</p>\n", count(more));
    }
}

fn of_environment(facts: &EnvironmentFacts, page: &mut String) {
    let path = escape(&facts.path.display().to_string());
    *page += &format!("<h2>Environment {path}</h2>\n<p>{}</p>\n", facts.uuid);
    let (stats, space) = (&facts.stats, &facts.space);
    let mut rows = vec![
        ("newest commit", count(stats.commits)),
        (
            "newest checkpoint",
            format!("{} of commit {}", count(stats.checkpoints), count(stats.checkpointed_commits)),
        ),
        ("to be replayed after a crash", size(stats.replay_bytes)),
        ("log files", format!("{}, {}", several(stats.log_files, "file"), size(space.used))),
        ("of use", format!("{} ({} %)", size(space.live), stats.live_percent)),
    ];
    for pin in &facts.pins {
        let who =
            pin.process.map_or("a damaged pin".into(), |process| format!("process {process}"));
        let since = pin.since.map(|since| format!(" since {}", Time(since))).unwrap_or_default();
        let held = format!(
            "{who}{since}: {} in {}, {} only for that",
            size(pin.bytes),
            several(pin.files, "file"),
            size(pin.held_bytes)
        );
        rows.push(("pinned by", held));
    }
    for holder in &space.holders {
        rows.push(("held back", holder.to_string()));
    }
    if let Some(replica) = &facts.replica {
        let lag = seconds(replica.lag_time);
        rows.push((
            "replica",
            format!("{}: {} behind, {lag}", replica.path.display(), size(replica.lag_bytes)),
        ));
    }
    table(&rows, page);
    let legend = [
        ("u8", "of use"),
        ("u4", "half of use"),
        ("u2", "a third of use"),
        ("u0", "hardly of use"),
        ("dead", "kept for readers only"),
    ];
    picture("Log files, and how much of them is of use", files::draw(facts.files()), &legend, page);
}

/// How long something has lasted, to one unit.
fn lasting(micros: u64) -> String {
    let duration = Duration::from_micros(micros);
    match duration.as_secs() {
        whole @ 172_800.. => several(whole / 86_400, "day"),
        whole @ 7200.. => several(whole / 3600, "hour"),
        whole @ 120.. => several(whole / 60, "minute"),
        _ => seconds(duration),
    }
}
