//! `cairn clean` and `cairn compact`: space that nothing uses any more is given back.

use std::path::PathBuf;

use cairndb::Environment;
use serde::Serialize;

use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    open,
    output::Output,
    text::{several, size},
};

/// Move what is in use out of log files that hold little else, and remove them
///
/// An environment that a program has open does so by itself. This is for one that nobody opens.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn clean data")]
pub(crate) struct Clean {
    /// The directory of the environment
    env: PathBuf,
    #[command(flatten)]
    unlock: KeyArgs,
}

/// Write everything that is in use anew, so that the log files hold nothing else
///
/// Takes more writing than `clean`, and leaves no room for what changes next.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn compact data")]
pub(crate) struct Compact {
    /// The directory of the environment
    env: PathBuf,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct CleanJson {
    files: u64,
    moved: u64,
    removed_files: u64,
    file_bytes_before: u64,
    file_bytes: u64,
    live_bytes: u64,
}

impl Clean {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        clean(&self.env, &self.unlock, output, Environment::clean)
    }
}

impl Compact {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        clean(&self.env, &self.unlock, output, Environment::compact)
    }
}

fn clean(
    path: &std::path::Path,
    key: &KeyArgs,
    output: &mut Output,
    how: fn(&Environment) -> cairndb::EnvResult<cairndb::CleanReport>,
) -> Outcome {
    let env = open::for_writing(path, key, output)?;
    let before = env.stats()?.file_bytes;
    let report = how(&env).map_err(Failure::from)?;
    let stats = env.stats()?;
    env.close()?;
    output.line(format_args!(
        "{} gone through, {} moved, {} removed; the log files take {}, before {}; {} of that is in use",
        several(report.files, "file"),
        several(report.moved, "record"),
        several(report.removed_files, "file"),
        size(stats.file_bytes),
        size(before),
        size(stats.live_bytes),
    ))?;
    output.json(&CleanJson {
        files: report.files,
        moved: report.moved,
        removed_files: report.removed_files,
        file_bytes_before: before,
        file_bytes: stats.file_bytes,
        live_bytes: stats.live_bytes,
    })?;
    Ok(Exit::Good)
}
