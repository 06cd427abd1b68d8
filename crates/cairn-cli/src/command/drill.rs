//! `cairn drill`: a restore is tried, and all that it brings back is looked at.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use cairndb::{
    Environment,
    backup::{
        Drill, DrillCheck, DrillOptions, DrillPoint, DrillPolicy, DrillReport, Repository, Which,
    },
};
use serde::Serialize;

use super::{history::parse_span, sql};
use crate::{
    Outcome,
    exit::Exit,
    keys::KeyArgs,
    open,
    output::Output,
    progress::Progress,
    saved::EnvironmentArgs,
    text::{Time, seconds, several},
};

/// Try a restore: bring a point back into a scratch directory, look at all of it, and measure
///
/// The newest point, the one that is named, or any one is restored, the environment is opened and
/// verified, SQLite checks its SQL stores, and then come checks of yours. --sql is a query of a SQL
/// file that is to give one row, and this one: columns with `|` between them. --check is a command of
/// the shell, which finds the directory of the environment in CAIRN_DRILL_DIR and is to end with 0.
/// In the end all of it is removed.
///
/// How long it took until the environment was back, how old its newest commit was, and what was
/// wrong is recorded in the repository, and `cairn backups` shows it. Exit code 1 means that
/// something was wrong: whatever would keep a restore from succeeding is.
///
/// With --every or --after-points, nothing happens unless a drill is due: run it from a timer.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn drill backups
  cairn drill backups --random --scratch /var/tmp
  cairn drill backups --sql 'app.db:SELECT count(*) > 0 FROM users=1'
  cairn drill backups --check 'cairn get \"$CAIRN_DRILL_DIR\" ada | grep -q 1815'
  cairn drill backups --random --every 7d --after-points 50
  cairn drill backups --history"
)]
pub(crate) struct DrillCommand {
    /// The directory of the repository
    repo: PathBuf,
    /// The point with this number (default: the newest, with the journal that was shipped)
    #[arg(long, value_name = "N", conflicts_with_all = ["label", "random"])]
    point: Option<u64>,
    /// The newest point with this label
    #[arg(long, conflicts_with = "random")]
    label: Option<String>,
    /// Any point
    #[arg(long)]
    random: bool,
    /// With --random: what chooses it; the same number chooses the same of the same points
    #[arg(long, value_name = "N", requires = "random")]
    seed: Option<u64>,
    /// An existing directory with room for it (default: that for temporary files)
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// A command of the shell that is to succeed, with CAIRN_DRILL_DIR set; can be repeated
    #[arg(long, value_name = "COMMAND")]
    check: Vec<String>,
    /// A query, and the one row that it is to give; can be repeated
    #[arg(long, value_name = "FILE:QUERY=ROW", value_parser = parse_sql)]
    sql: Vec<SqlArg>,
    /// Only if the last drill is so long ago, such as 7d (one that has failed: at most a day)
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    every: Option<Duration>,
    /// Only if there are so many points that are newer than the last drill
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    after_points: Option<u64>,
    /// Write nothing into the repository
    #[arg(long)]
    no_record: bool,
    /// List the drills there were, and how long restores took
    #[arg(long, conflicts_with_all = [
        "point", "label", "random", "scratch", "check", "sql", "every", "after_points", "no_record",
    ])]
    history: bool,
    #[command(flatten)]
    of: EnvironmentArgs,
    #[command(flatten)]
    unlock: KeyArgs,
}

/// A query, and what it is to give.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SqlArg {
    file: String,
    query: String,
    row: String,
}

#[derive(Serialize)]
struct DrillJson {
    repository: PathBuf,
    point: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    due: Option<String>,
    seed: Option<u64>,
    #[serde(flatten)]
    drill: DrilledJson,
    findings: Vec<String>,
}

/// What is recorded of a drill.
#[derive(Serialize)]
pub(super) struct DrilledJson {
    made: Time,
    passed: bool,
    stage: Option<String>,
    restored: Option<RestoredJson>,
    checks: u64,
    library: String,
    seconds: f64,
}

#[derive(Serialize)]
struct RestoredJson {
    commit: u64,
    time: Time,
    files: u64,
    bytes: u64,
    entries: u64,
    rto_seconds: f64,
    rpo_seconds: f64,
}

#[derive(Serialize)]
struct NotDueJson {
    repository: PathBuf,
    due: Option<String>,
}

impl DrilledJson {
    pub(super) fn of(drill: &Drill) -> Self {
        let micros = |micros| Duration::from_micros(micros).as_secs_f64();
        let restored = drill.restored.map(|restored| RestoredJson {
            commit: restored.commit,
            time: Time(restored.time),
            files: restored.files,
            bytes: restored.bytes,
            entries: restored.entries,
            rto_seconds: micros(restored.rto),
            rpo_seconds: drill.rpo().unwrap_or_default().as_secs_f64(),
        });
        Self {
            made: Time(drill.made),
            passed: drill.passed(),
            stage: drill.failed.as_ref().map(|failed| failed.stage.to_string()),
            restored,
            checks: drill.checks,
            library: drill.library.clone(),
            seconds: micros(drill.took),
        }
    }
}

impl DrillCommand {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let repository = self.unlock.repo.open(&self.repo)?;
        if self.history {
            return self.show_history(&repository, output);
        }
        let environment = self.of.uuid()?;
        let mut due = None;
        if self.every.is_some() || self.after_points.is_some() {
            let mut policy = DrillPolicy::new();
            (policy.every, policy.after_points) = (self.every, self.after_points);
            due = repository.drill_due(environment, &policy)?.map(|due| due.to_string());
            match &due {
                Some(due) => output.note(format_args!("a drill is due: {due}")),
                None => {
                    output.line(format_args!("no drill of {} is due", self.repo.display()))?;
                    output.json(&NotDueJson { repository: self.repo, due })?;
                    return Ok(Exit::Good);
                }
            }
        }
        let point = match (self.point, &self.label) {
            _ if self.random => DrillPoint::Random(self.seed),
            (Some(number), _) => DrillPoint::One(Which::Number(number)),
            (_, Some(label)) => DrillPoint::One(Which::Label(label.clone())),
            _ => DrillPoint::default(),
        };
        let is_encrypted = || {
            let found = repository.find(environment, &Which::Newest);
            found.is_ok_and(|(_, point)| point.keyring.is_some())
        };
        let options = open::with_key(self.unlock.of(&self.repo, is_encrypted)?);
        let scratch = self.scratch.clone().unwrap_or_else(std::env::temp_dir);
        let of_sqlite = |env: &Environment| sql::check_all(env);
        let commands: Vec<_> = self.check.iter().map(|command| run_in(command)).collect();
        let mut how = DrillOptions::default().options(options).skip_record(self.no_record);
        how.checks.push(DrillCheck::environment("SQLite", &of_sqlite));
        for SqlArg { file, query, row } in &self.sql {
            how.checks.push(DrillCheck::sql(file, query, row));
        }
        for (command, run) in self.check.iter().zip(&commands) {
            how.checks.push(DrillCheck::directory(command, run));
        }
        let progress = Progress::new("restoring");
        let shown = |at: cairndb::backup::Progress| progress.set(at.done, Some(at.total));
        let report = repository.drill(environment, &point, scratch, &how.progress(&shown))?;
        drop(progress);
        if let Some((path, why)) = &report.residue
            && std::fs::remove_dir_all(path).is_err()
        {
            output.note(format_args!("{} could not be removed: {why}", path.display()));
        }
        show(self.repo, due, report, output)
    }

    fn show_history(self, repository: &Repository, output: &mut Output) -> Outcome {
        let drills = repository.drills(self.of.uuid()?)?;
        let mut back: Vec<_> = drills.iter().filter_map(|(_, drill)| drill.rto()).collect();
        let passed = drills.iter().filter(|(_, drill)| drill.passed()).count() as u64;
        for (point, drill) in &drills {
            let findings: Vec<_> = drill.failed.iter().map(|failed| failed.what.clone()).collect();
            let outcome = match drill.failed.as_ref().map(|failed| &*failed.what) {
                None => "all was well".to_owned(),
                Some("") => "something was wrong".to_owned(),
                Some(what) => what.to_owned(),
            };
            output.line(format_args!(
                "{}: {}; {outcome}",
                Time(drill.made),
                told(*point, drill)
            ))?;
            output.json(&DrillJson {
                repository: self.repo.clone(),
                point: *point,
                environment: None,
                due: None,
                seed: None,
                drill: DrilledJson::of(drill),
                findings,
            })?;
        }
        back.sort_unstable();
        let at = |part: usize| back.get((back.len() * part / 100).min(back.len().max(1) - 1));
        let (half, most) = (at(50).copied(), at(95).copied());
        let times = half.zip(most).map(|(half, most)| {
            format!("; back after {}, of 95 in 100 after {}", seconds(half), seconds(most))
        });
        output.line(format_args!(
            "{}, {passed} passed{}",
            several(drills.len() as u64, "drill"),
            times.unwrap_or_default()
        ))?;
        Ok(Exit::Good)
    }
}

/// A check that runs a command of the shell. What it prints goes to standard error.
fn run_in(command: &str) -> impl Fn(&Path) -> Result<(), String> + Send + Sync {
    move |path| {
        let path = std::path::absolute(path).map_err(|error| error.to_string())?;
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command).env("CAIRN_DRILL_DIR", path);
        shell.stdin(Stdio::null()).stdout(std::io::stderr());
        match shell.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("it ended with {status}")),
            Err(error) => Err(format!("it cannot be run: {error}")),
        }
    }
}

/// What a drill of a point has brought back.
fn told(point: u64, drill: &Drill) -> String {
    let back = drill.restored.as_ref().zip(drill.rto()).zip(drill.rpo());
    match back {
        Some(((restored, rto), rpo)) => format!(
            "drill of point {point}: commit {} of {}, back after {}, then {} old",
            restored.commit,
            Time(restored.time),
            seconds(rto),
            seconds(rpo)
        ),
        None => format!("drill of point {point}: nothing came back"),
    }
}

fn show(
    repository: PathBuf,
    due: Option<String>,
    report: DrillReport,
    output: &mut Output,
) -> Outcome {
    let DrillReport { number, environment, seed, drill, findings, .. } = report;
    for finding in &findings {
        output.line(format_args!("wrong: {finding}"))?;
    }
    let verdict = match findings.len() as u64 {
        0 => "all is well".to_owned(),
        n => several(n, "finding"),
    };
    let checks = several(drill.checks, "check");
    let took = seconds(Duration::from_micros(drill.took));
    output.line(format_args!("{}; {checks}; {verdict} ({took})", told(number, &drill)))?;
    let exit = if drill.passed() { Exit::Good } else { Exit::Findings };
    output.json(&DrillJson {
        repository,
        point: number,
        environment: Some(environment.to_string()),
        due,
        seed,
        drill: DrilledJson::of(&drill),
        findings,
    })?;
    Ok(exit)
}

/// The end of the line of a point in a list.
pub(super) fn listed(drill: &Drill) -> String {
    match drill.rto().filter(|_| drill.passed()) {
        Some(rto) => format!("; drill {}, back after {}", Time(drill.made), seconds(rto)),
        None => format!("; drill failed {}", Time(drill.made)),
    }
}

/// `FILE:QUERY=ROW`: a query may have both signs in it, a name of a file no `:`, and a row no `=`.
fn parse_sql(text: &str) -> Result<SqlArg, String> {
    let parsed = text.split_once(':').and_then(|(file, rest)| {
        let (query, row) = rest.rsplit_once('=')?;
        let has_both = !file.is_empty() && !query.trim().is_empty();
        has_both.then(|| SqlArg { file: file.into(), query: query.trim().into(), row: row.into() })
    });
    parsed.ok_or_else(|| "it is no check such as 'app.db:SELECT count(*) FROM users=3'".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_may_have_colons_and_equals_signs() {
        let arg = |file: &str, query: &str, row: &str| {
            Some(SqlArg { file: file.into(), query: query.into(), row: row.into() })
        };
        for (text, expected) in [
            ("app.db:SELECT 1=1", arg("app.db", "SELECT 1", "1")),
            (
                "a:SELECT n FROM t WHERE n = 7 = 7|x",
                arg("a", "SELECT n FROM t WHERE n = 7", " 7|x"),
            ),
            ("a:SELECT ':' = :", arg("a", "SELECT ':'", " :")),
            ("a:SELECT 1=", arg("a", "SELECT 1", "")),
            ("a:SELECT 1", None),
            (":SELECT 1=1", None),
            ("a:=1", None),
            ("", None),
        ] {
            assert_eq!(parse_sql(text).ok(), expected, "{text}");
        }
    }
}
