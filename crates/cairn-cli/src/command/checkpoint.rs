//! `cairn checkpoint`: the next open has little to replay, and dead log files go.

use std::path::PathBuf;

use serde::Serialize;

use crate::{
    Outcome,
    exit::Exit,
    keys::KeyArgs,
    open,
    output::Output,
    text::{several, size},
};

/// Write what changed since the last checkpoint, and remove log files that nothing needs any more
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn checkpoint data")]
pub(crate) struct Checkpoint {
    /// The directory of the environment
    env: PathBuf,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct CheckpointJson {
    number: Option<u64>,
    commit: u64,
    nodes: u64,
    removed_files: u64,
    file_bytes: u64,
}

impl Checkpoint {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let env = open::for_writing(&self.env, &self.unlock, output)?;
        let report = env.checkpoint()?;
        let file_bytes = env.stats()?.file_bytes;
        env.close()?;
        match report.number {
            Some(number) => output.line(format_args!(
                "checkpoint {number} of commit {}: {} written, {} removed, {} of log files are left",
                report.sequence,
                several(report.nodes, "node"),
                several(report.removed_files, "file"),
                size(file_bytes)
            ))?,
            None => output.line(format_args!(
                "nothing has changed since the checkpoint of commit {}",
                report.sequence
            ))?,
        }
        output.json(&CheckpointJson {
            number: report.number,
            commit: report.sequence,
            nodes: report.nodes,
            removed_files: report.removed_files,
            file_bytes,
        })?;
        Ok(Exit::Good)
    }
}
