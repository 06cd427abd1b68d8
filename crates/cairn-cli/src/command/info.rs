//! `cairn info`: what an environment is, and what opening it found.

use std::path::PathBuf;

use cairndb::{DataDirectory, KeptGeneration, RecoveryReport};
use serde::Serialize;

use crate::{
    Outcome,
    exit::Exit,
    keys::KeyArgs,
    open,
    output::Output,
    text::{count, several, size},
};

/// Tell what an environment is: identity, databases, directories, last checkpoint, what recovery found
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn info data")]
pub(crate) struct Info {
    /// The directory of the environment
    env: PathBuf,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct InfoJson {
    environment: PathBuf,
    uuid: String,
    format: u16,
    generation: u32,
    timeline: String,
    incarnation: u64,
    commit: u64,
    databases: Vec<DatabaseJson>,
    checkpoint: Option<CheckpointJson>,
    files: u64,
    bytes: u64,
    data_directories: Vec<DataDirectoryJson>,
    encrypted: bool,
    key_epochs: Vec<KeyEpochJson>,
    kept: Option<KeptJson>,
    recovery: RecoveryJson,
}

#[derive(Serialize)]
struct DatabaseJson {
    name: String,
    entries: u64,
}

#[derive(Serialize)]
struct CheckpointJson {
    number: u64,
    commit: u64,
}

#[derive(Serialize)]
struct DataDirectoryJson {
    path: PathBuf,
    files: u64,
    bytes: u64,
    free: u64,
}

/// How many files a data key is needed for.
#[derive(Serialize)]
struct KeyEpochJson {
    epoch: u32,
    files: u64,
}

/// What an environment held before it was restored in place.
#[derive(Serialize)]
struct KeptJson {
    generation: u32,
    files: u64,
    bytes: u64,
}

/// What opening an environment found and did.
#[derive(Serialize)]
pub(super) struct RecoveryJson {
    clean: bool,
    commit: u64,
    replayed_commits: u64,
    replayed_bytes: u64,
    journal_files: u64,
    torn_tail: Option<TornTailJson>,
    state_slot_damaged: bool,
    older_checkpoint: Option<String>,
    leftovers: Vec<String>,
    unknown_files: Vec<String>,
    seconds: f64,
}

#[derive(Serialize)]
struct TornTailJson {
    position: String,
    bytes: u64,
    set_aside: String,
}

impl From<&RecoveryReport> for RecoveryJson {
    fn from(report: &RecoveryReport) -> Self {
        Self {
            clean: report.clean,
            commit: report.sequence,
            replayed_commits: report.replayed_commits,
            replayed_bytes: report.replayed_bytes,
            journal_files: report.journal_files,
            torn_tail: report.torn_tail.as_ref().map(|torn| TornTailJson {
                position: torn.lsn.to_string(),
                bytes: torn.bytes,
                set_aside: torn.set_aside.clone(),
            }),
            state_slot_damaged: report.state_slot_damaged,
            older_checkpoint: report.older_checkpoint.clone(),
            leftovers: report.leftovers.clone(),
            unknown_files: report.unknown_files.clone(),
            seconds: report.duration.as_secs_f64(),
        }
    }
}

impl From<DataDirectory> for DataDirectoryJson {
    fn from(DataDirectory { path, files, bytes, free, .. }: DataDirectory) -> Self {
        Self { path, files, bytes, free }
    }
}

impl From<KeptGeneration> for KeptJson {
    fn from(KeptGeneration { kept, files, bytes, .. }: KeptGeneration) -> Self {
        Self { generation: kept, files, bytes }
    }
}

impl Info {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let env = open::for_reading(&self.env, &self.unlock)?;
        let (identity, stats, recovery) = (env.identity(), env.stats()?, env.recovery_report());
        let snapshot = env.snapshot()?;
        let mut databases = Vec::new();
        for database in snapshot.databases()? {
            let entries = snapshot.len(&database)?;
            databases.push(DatabaseJson { name: database.name().to_owned(), entries });
        }
        let checkpoint = (stats.checkpoints > 0).then_some(CheckpointJson {
            number: stats.checkpoints,
            commit: stats.checkpointed_commits,
        });
        output.line(format_args!("environment  {}", self.env.display()))?;
        output.line(format_args!("uuid         {}", identity.environment))?;
        output.line(format_args!("format       {}", identity.format))?;
        output.line(format_args!("generation   {}", identity.generation))?;
        output.line(format_args!("timeline     {}", identity.timeline))?;
        output.line(format_args!(
            "written      in {}, up to commit {}",
            several(identity.incarnation, "run"),
            stats.commits
        ))?;
        match &checkpoint {
            Some(CheckpointJson { number, commit }) => {
                output.line(format_args!("checkpoint   {number}, of commit {commit}"))?;
            }
            None => output.line(format_args!("checkpoint   none"))?,
        }
        let (journal, node, value) = (stats.journal_files, stats.node_files, stats.value_files);
        output.line(format_args!(
            "log files    {journal} journal, {node} node, {value} value; {}",
            size(stats.file_bytes)
        ))?;
        let key_epochs = env.key_epochs().into_iter();
        let key_epochs: Vec<_> =
            key_epochs.map(|(epoch, files)| KeyEpochJson { epoch, files }).collect();
        if env.is_encrypted() {
            let epochs = key_epochs.iter().map(|KeyEpochJson { epoch, files }| {
                format!("key epoch {epoch} in {}", several(*files, "file"))
            });
            let epochs: Vec<_> = epochs.collect();
            output.line(format_args!("encrypted    {}", epochs.join(", ")))?;
        }
        let places = env.data_directories()?;
        if !places.is_empty() {
            output.line(format_args!("data dirs    {}", places.len()))?;
        }
        for DataDirectory { path, files, bytes, free, .. } in &places {
            let (files, bytes, free) = (several(*files, "file"), size(*bytes), size(*free));
            output.line(format_args!("  {}  {files}, {bytes}; {free} free", path.display()))?;
        }
        let kept = env.kept_generation()?;
        if let Some(KeptGeneration { kept, files, bytes, .. }) = kept {
            output.line(format_args!(
                "kept         generation {kept} from before a restore: {}, {}; \
                 `cairn restore --undo {2}` goes back to it, `cairn restore --forget-old {2}` frees it",
                several(files, "file"),
                size(bytes),
                self.env.display()
            ))?;
        }
        output.line(format_args!("recovery     {recovery}"))?;
        output.line(format_args!("databases    {}", databases.len()))?;
        let width = databases.iter().map(|d| d.name.chars().count()).max().unwrap_or(0).min(40);
        for DatabaseJson { name, entries } in &databases {
            let name = crate::text::escape(name.as_bytes());
            let entries = count(*entries);
            output.line(format_args!("  {name:<width$}  {entries} entries"))?;
        }
        output.json(&InfoJson {
            uuid: identity.environment.to_string(),
            format: identity.format,
            generation: identity.generation,
            timeline: identity.timeline.to_string(),
            incarnation: identity.incarnation,
            commit: stats.commits,
            databases,
            checkpoint,
            files: stats.log_files,
            bytes: stats.file_bytes,
            encrypted: env.is_encrypted(),
            key_epochs,
            data_directories: places.into_iter().map(Into::into).collect(),
            kept: kept.map(Into::into),
            recovery: recovery.into(),
            environment: self.env,
        })?;
        Ok(Exit::Good)
    }
}
