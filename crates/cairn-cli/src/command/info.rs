//! `cairn info`: what an environment is, and what opening it found.

use std::{collections::BTreeMap, path::PathBuf};

use cairndb::{DataDirectory, EnvironmentKeys, KeptGeneration, Outline, RecoveryReport};
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
#[command(after_help = "\
Example:
  cairn info data

Of an encrypted environment it tells without the key only what shows on the disk.")]
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

/// What shows of an encrypted environment without its key.
#[derive(Serialize)]
struct LockedJson {
    environment: PathBuf,
    uuid: String,
    generation: u32,
    incarnation: u64,
    commit: u64,
    checkpoint: Option<u64>,
    files: u64,
    bytes: u64,
    encrypted: bool,
    locked: bool,
    keys: u64,
    key_epochs: Vec<KeyEpochJson>,
}

fn key_epochs(epochs: BTreeMap<u32, u64>) -> Vec<KeyEpochJson> {
    epochs.into_iter().map(|(epoch, files)| KeyEpochJson { epoch, files }).collect()
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
        let key = self.unlock.of_environment(&self.env)?;
        if key.is_none()
            && let Ok(keys) = EnvironmentKeys::open(&self.env)
        {
            return self.locked(&keys, output);
        }
        let env = open::for_reading_with(&self.env, key)?;
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
        let key_epochs = key_epochs(env.key_epochs());
        if env.is_encrypted() {
            output.line(format_args!("encrypted    {}", in_words(&key_epochs)))?;
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
    /// What shows without a key. Nobody vouches for it.
    fn locked(self, keys: &EnvironmentKeys, output: &mut Output) -> Outcome {
        let (info, outline) = (keys.info(), keys.outline()?);
        let Outline { generation, incarnation, checkpoint, commit, files, bytes, .. } = outline;
        let (uuid, count) = (info.environment.to_string(), info.slots.len() as u64);
        let key_epochs = key_epochs(outline.epochs);
        let checkpoint = (checkpoint > 0).then_some(checkpoint);
        let runs = several(incarnation, "run");
        output.line(format_args!("environment  {}", self.env.display()))?;
        output.line(format_args!("uuid         {uuid}"))?;
        output.line(format_args!("generation   {generation}"))?;
        output.line(format_args!("written      in {runs}, at least up to commit {commit}"))?;
        match checkpoint {
            Some(number) => output.line(format_args!("checkpoint   {number}"))?,
            None => output.line(format_args!("checkpoint   none"))?,
        }
        output.line(format_args!("log files    {files}; {}", size(bytes)))?;
        output.line(format_args!("encrypted    {}", in_words(&key_epochs)))?;
        let any = several(count, "key");
        output.line(format_args!(
            "locked       {any} in its keyring; with one of them, more is told"
        ))?;
        output.json(&LockedJson {
            uuid,
            generation,
            incarnation,
            commit,
            checkpoint,
            files,
            bytes,
            encrypted: true,
            locked: true,
            keys: count,
            key_epochs,
            environment: self.env,
        })?;
        Ok(Exit::Good)
    }
}

fn in_words(epochs: &[KeyEpochJson]) -> String {
    let epochs = epochs.iter().map(|KeyEpochJson { epoch, files }| {
        format!("key epoch {epoch} in {}", several(*files, "file"))
    });
    epochs.collect::<Vec<_>>().join(", ")
}
