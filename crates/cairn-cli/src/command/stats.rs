//! `cairn stats`: figures about an environment, as the engine counts them.

use std::path::PathBuf;

use cairndb::{PinInfo, Stats};
use serde::Serialize;

use crate::{
    Outcome,
    exit::Exit,
    open,
    output::Output,
    text::{Time, count, several, size},
};

/// Print figures: commits, checkpoints, log files, live bytes
#[derive(clap::Args)]
#[command(name = "stats", after_help = "Example:\n  cairn stats data")]
pub(crate) struct StatsCommand {
    /// The directory of the environment
    env: PathBuf,
}

#[derive(Serialize)]
struct StatsJson {
    commits: u64,
    durable_commits: u64,
    checkpoints: u64,
    checkpointed_commits: u64,
    replay_bytes: u64,
    journal_files: u64,
    node_files: u64,
    value_files: u64,
    file_bytes: u64,
    live_bytes: u64,
    pins: Vec<PinJson>,
}

/// Another process that pins log files.
#[derive(Serialize)]
struct PinJson {
    process: Option<u32>,
    since: Option<Time>,
    files: u64,
    bytes: u64,
    held_bytes: u64,
}

impl From<PinInfo> for PinJson {
    fn from(pin: PinInfo) -> Self {
        let PinInfo { process, files, bytes, held_bytes, .. } = pin;
        Self { process, since: pin.since.map(Time), files, bytes, held_bytes }
    }
}

impl StatsCommand {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let env = open::for_reading(&self.env)?;
        let Stats { files: [journal_files, node_files, value_files], .. } = env.stats()?;
        let stats = env.stats()?;
        // A reader has replayed what a writer would have to: that is what a crash costs now.
        let replay_bytes = env.recovery_report().replayed_bytes;
        let live = 100 * stats.live_bytes / stats.file_bytes.max(1);
        output.line(format_args!("commits                {}", count(stats.commits)))?;
        output
            .line(format_args!("  in the checkpoint    {}", count(stats.checkpointed_commits)))?;
        output.line(format_args!("checkpoints            {}", count(stats.checkpoints)))?;
        output.line(format_args!("replayed at open       {}", size(replay_bytes)))?;
        output.line(format_args!("journal files          {}", count(journal_files)))?;
        output.line(format_args!("node files             {}", count(node_files)))?;
        output.line(format_args!("value files            {}", count(value_files)))?;
        output.line(format_args!("bytes of log files     {}", size(stats.file_bytes)))?;
        output.line(format_args!("  live                 {} ({live}%)", size(stats.live_bytes)))?;
        let pins: Vec<PinJson> = env.pins()?.into_iter().map(PinJson::from).collect();
        for pin in &pins {
            let by = match (pin.process, pin.since) {
                (Some(process), Some(since)) => format!("process {process} since {since}"),
                _ => "a damaged pin, so all of it".into(),
            };
            output.line(format_args!(
                "pinned                 {} in {} by {by}; {} only for that",
                size(pin.bytes),
                several(pin.files, "file"),
                size(pin.held_bytes)
            ))?;
        }
        output.json(&StatsJson {
            commits: stats.commits,
            durable_commits: stats.durable_commits,
            checkpoints: stats.checkpoints,
            checkpointed_commits: stats.checkpointed_commits,
            replay_bytes,
            journal_files,
            node_files,
            value_files,
            file_bytes: stats.file_bytes,
            live_bytes: stats.live_bytes,
            pins,
        })?;
        Ok(Exit::Good)
    }
}
