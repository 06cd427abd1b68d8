//! `cairn repair`: a new environment out of what a damaged one still proves.

use std::path::PathBuf;

use cairndb::{ErrorKind, Missing, repair};
use serde::Serialize;

use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    open,
    output::Output,
    progress::Progress,
    text::{self, count, seconds, several},
};

/// Put together what can be proved of a damaged environment, as a new environment
///
/// For an environment that does not open any more and has no backup that is new enough: files
/// that are missing, cut or damaged. Nothing in it is changed. What could not be brought back is
/// listed: commits, ranges of keys with the commit that they may be as old as, large values.
/// Exit code 1 means that something is missing, 0 that everything is there.
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_help = "Example:\n  cairn repair data data-repaired")]
pub(crate) struct Repair {
    /// The directory of the damaged environment
    env: PathBuf,
    /// The directory of the new one: new, empty, or holding a repair that was cut short
    target: PathBuf,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct RepairJson {
    source: PathBuf,
    target: PathBuf,
    complete: bool,
    missing: Vec<MissingJson>,
    damaged: Vec<DamagedJson>,
    notes: Vec<String>,
    checkpointed_commit: Option<u64>,
    newest_commit: u64,
    replayed_commits: u64,
    leaves: u64,
    files: u64,
    databases: u64,
    entries: u64,
    seconds: f64,
}

/// What is not as it was, for programs.
#[derive(Default, Serialize)]
pub(super) struct MissingJson {
    what: &'static str,
    message: String,
    database: Option<String>,
    from_commit: Option<u64>,
    to_commit: Option<u64>,
    from_hex: Option<String>,
    to_hex: Option<String>,
    as_of_commit: Option<u64>,
}

#[derive(Serialize)]
struct DamagedJson {
    file: String,
    offset: u64,
    problem: String,
}

impl Repair {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let progress = Progress::new("repairing");
        let key = self.unlock.of_environment(&self.env)?;
        let report = repair(&self.env, &self.target, open::with_key(key)).map_err(|error| {
            let not_empty = error.kind() == ErrorKind::InvalidInput;
            let failure = Failure::from(error);
            if not_empty {
                failure.advise("choose another path; nothing was changed")
            } else {
                failure
            }
        })?;
        let elapsed = progress.elapsed();
        drop(progress);
        for note in &report.notes {
            output.line(format_args!("note: {note}"))?;
        }
        for place in &report.damaged {
            output.line(format_args!("damage: {place}"))?;
        }
        for missing in &report.missing {
            output.line(format_args!("missing: {missing}"))?;
        }
        output.line(format_args!(
            "{}: {} and {} up to commit {}, {} ({})",
            self.target.display(),
            several(report.databases, "database"),
            several(report.entries, "entry"),
            count(report.newest_commit),
            match report.missing.len() {
                0 => "nothing is missing".into(),
                n => format!("{} missing or too old", several(n as u64, "thing")),
            },
            seconds(elapsed)
        ))?;
        let exit = if report.is_complete() { Exit::Good } else { Exit::Findings };
        let damaged = report.damaged.into_iter().map(|place| DamagedJson {
            file: place.file,
            offset: place.offset,
            problem: place.problem,
        });
        output.json(&RepairJson {
            source: self.env,
            target: self.target,
            complete: report.missing.is_empty(),
            missing: report.missing.iter().map(missing_json).collect(),
            damaged: damaged.collect(),
            notes: report.notes,
            checkpointed_commit: report.checkpoint,
            newest_commit: report.newest_commit,
            replayed_commits: report.replayed_commits,
            leaves: report.leaves,
            files: report.files,
            databases: report.databases,
            entries: report.entries,
            seconds: elapsed.as_secs_f64(),
        })?;
        Ok(exit)
    }
}

pub(super) fn missing_json(missing: &Missing) -> MissingJson {
    let message = missing.to_string();
    let json = MissingJson { message, ..MissingJson::default() };
    match missing {
        Missing::Commits { from, to } => {
            MissingJson { what: "commits", from_commit: Some(*from), to_commit: *to, ..json }
        }
        Missing::Keys { database, from, to, as_of } => MissingJson {
            what: "keys",
            database: Some(database.clone()),
            from_hex: Some(text::hex(from)),
            to_hex: to.as_ref().map(|key| text::hex(key)),
            as_of_commit: *as_of,
            ..json
        },
        Missing::Value { database, key, .. } => MissingJson {
            what: "value",
            database: Some(database.clone()),
            from_hex: Some(text::hex(key)),
            ..json
        },
        Missing::Name { database } => {
            MissingJson { what: "name", database: Some(database.clone()), ..json }
        }
        _ => MissingJson { what: "other", ..json },
    }
}
