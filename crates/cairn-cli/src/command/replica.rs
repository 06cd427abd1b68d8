//! `cairn replica`: a second directory that has every acknowledged commit: begin it, ask, promote, detach.

use std::{path::PathBuf, sync::Arc};

use cairn_io::{DirRef, RealDir, RealWorld, WorldRef};
use cairndb::{
    EnvError, Environment, ReplicaInfo, ReplicaPolicy, detach_replica, promote_replica,
    replica_info, replica_progress,
};
use serde::Serialize;

use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    open,
    output::Output,
};

/// Look after the replica of an environment: a directory on another disk with every acknowledged commit
///
/// An application keeps it while it has the environment open, with the option `replica`. When the
/// environment's disk is lost, the replica is opened in its place: it is an environment.
///
/// Whoever writes the environment without its replica, commands of `cairn` among them, detaches it:
/// it is then stale, and gets a new base from the next who opens both. Every command that writes
/// takes the replica along with --with-replica DIR.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn replica add data /mnt/other/data
  cairn replica status data /mnt/other/data
  cairn replica promote /mnt/other/data
  cairn replica detach data
  cairn put data ada 1815 --with-replica /mnt/other/data"
)]
pub(crate) struct Replica {
    #[command(subcommand)]
    command: ReplicaCommand,
}

#[derive(clap::Subcommand)]
enum ReplicaCommand {
    Add(Add),
    Status(Status),
    Promote(Promote),
    Detach(Detach),
}

/// Make an empty directory the replica of an environment, or bring a stale one up to date
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn replica add data /mnt/other/data")]
struct Add {
    /// The directory of the environment
    env: PathBuf,
    /// The directory of the replica: new, empty, or a replica of this environment
    replica: PathBuf,
    #[command(flatten)]
    unlock: KeyArgs,
}

/// Tell what an environment and its replica say of each other
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn replica status data /mnt/other/data")]
struct Status {
    /// The directory of the environment, or of the replica
    env: PathBuf,
    /// The directory of the other one
    other: Option<PathBuf>,
}

/// Make a replica an environment of its own, because the one that it is a replica of is lost
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  cairn replica promote /mnt/other/data

Opening it and writing does the same. From then on it is refused as a replica.")]
struct Promote {
    /// The directory of the replica
    replica: PathBuf,
    #[command(flatten)]
    unlock: KeyArgs,
}

/// Say that an environment goes on without its replica
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn replica detach data")]
struct Detach {
    /// The directory of the environment
    env: PathBuf,
}

#[derive(Serialize)]
struct AddedJson {
    environment: PathBuf,
    replica: PathBuf,
    commit: u64,
    base_checkpoint: u64,
}

#[derive(Serialize)]
struct StatusJson {
    directory: PathBuf,
    /// `replica`, `source`, or `none`.
    side: &'static str,
    environment: Option<String>,
    timeline: Option<String>,
    attachment: Option<u64>,
    attached: bool,
    /// The checkpoint from which it starts.
    checkpoint: Option<u64>,
    /// The end of its journal.
    position: Option<String>,
}

#[derive(Serialize)]
struct TogetherJson {
    together: bool,
    /// What the replica lacks of the journal, if both are in the same file of it.
    lag_bytes: Option<u64>,
}

#[derive(Serialize)]
struct PromotedJson {
    environment: PathBuf,
    commit: u64,
    timeline: String,
}

#[derive(Serialize)]
struct DetachedJson {
    environment: PathBuf,
    detached: bool,
}

impl Replica {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        match self.command {
            ReplicaCommand::Add(command) => command.run(output),
            ReplicaCommand::Status(command) => command.run(output),
            ReplicaCommand::Promote(command) => command.run(output),
            ReplicaCommand::Detach(command) => command.run(output),
        }
    }
}

impl Add {
    fn run(self, output: &mut Output) -> Outcome {
        let key = self.unlock.of_environment(&self.env)?;
        let options = open::with_key(key).create(false);
        let options = options.replica(&self.replica, ReplicaPolicy::Require);
        let (env, report) = Environment::open(&self.env, options)?;
        let base_checkpoint = env.replica()?.map_or(0, |status| status.base_checkpoint);
        env.close()?;
        let (environment, replica) = (self.env, self.replica);
        output.line(format_args!(
            "{} is the replica of {}, with every commit up to {}",
            replica.display(),
            environment.display(),
            report.sequence
        ))?;
        let commit = report.sequence;
        output.json(&AddedJson { environment, replica, commit, base_checkpoint })?;
        Ok(Exit::Good)
    }
}

impl Status {
    fn run(self, output: &mut Output) -> Outcome {
        let mut found = Vec::new();
        for directory in [self.env].into_iter().chain(self.other) {
            let root = directory_of(&directory)?;
            let info = replica_info(&root)?;
            let world: WorldRef = Arc::new(RealWorld::new());
            let progress = replica_progress(&root, &world)?;
            let side = match info {
                None => "none",
                Some(info) if info.is_replica => "replica",
                Some(_) => "source",
            };
            output.line(format_args!("{}: {}", directory.display(), describe(info)))?;
            let position = progress.and_then(|progress| progress.journal);
            let shown = position.map(|(file, offset)| format!("{file}:{offset:06x}"));
            if let (Some(progress), Some(shown)) = (progress, &shown) {
                let checkpoint = progress.checkpoint;
                output.line(format_args!("  checkpoint {checkpoint}, journal up to {shown}"))?;
            }
            output.json(&StatusJson {
                directory,
                side,
                environment: info.map(|info| info.environment.to_string()),
                timeline: info.map(|info| info.timeline.to_string()),
                attachment: info.map(|info| info.attachment),
                attached: info.is_some_and(|info| info.is_attached),
                checkpoint: progress.map(|progress| progress.checkpoint),
                position: shown,
            })?;
            found.push((info, position));
        }
        if let [(one, here), (other, there)] = found[..] {
            let together = belong_together(one, other);
            let lag_bytes = match (here, there) {
                (Some((file, here)), Some((same, there))) if file == same => {
                    Some(here.abs_diff(there))
                }
                _ => None,
            };
            output.line(format_args!(
                "{}",
                match together {
                    true => "every acknowledged commit is on both",
                    false => "they do not belong together: `cairn replica add` makes a stale one a replica again",
                }
            ))?;
            output.json(&TogetherJson { together, lag_bytes })?;
            return Ok(if together { Exit::Good } else { Exit::Findings });
        }
        Ok(if found[0].0.is_some() { Exit::Good } else { Exit::Findings })
    }
}

fn describe(info: Option<ReplicaInfo>) -> String {
    let Some(info) = info else { return "neither is a replica nor has one".into() };
    let ReplicaInfo { environment, attachment, .. } = info;
    match (info.is_replica, info.is_attached) {
        (true, true) => format!("a replica of {environment}, attached by number {attachment}"),
        (true, false) => format!("to be a replica of {environment}, and not filled yet"),
        (false, true) => format!("has a replica, attached by number {attachment}"),
        (false, false) => "goes on without its replica".into(),
    }
}

fn belong_together(one: Option<ReplicaInfo>, other: Option<ReplicaInfo>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return false };
    let of = |info: ReplicaInfo| (info.environment, info.timeline, info.attachment);
    of(one) == of(other)
        && one.is_attached
        && other.is_attached
        && one.is_replica != other.is_replica
}

impl Promote {
    fn run(self, output: &mut Output) -> Outcome {
        let key = self.unlock.of_environment(&self.replica)?;
        let root = directory_of(&self.replica)?;
        let commit = promote_replica(root, Arc::new(RealWorld::new()), open::with_key(key))?;
        let env = open::for_reading(&self.replica, &self.unlock)?;
        let timeline = env.identity().timeline.to_string();
        output.line(format_args!(
            "{} is an environment of its own, with every commit up to {commit}",
            self.replica.display()
        ))?;
        output.json(&PromotedJson { environment: self.replica, commit, timeline })?;
        Ok(Exit::Good)
    }
}

impl Detach {
    fn run(self, output: &mut Output) -> Outcome {
        let detached = detach_replica(&directory_of(&self.env)?, &RealWorld::new())?;
        let path = self.env.display();
        match detached {
            true => output.line(format_args!("{path} goes on without its replica"))?,
            false => output.line(format_args!("{path} went on without its replica already"))?,
        }
        output.json(&DetachedJson { environment: self.env, detached })?;
        Ok(Exit::Good)
    }
}

fn directory_of(path: &std::path::Path) -> Result<DirRef, Failure> {
    let opened = RealDir::open(path).map_err(|error| match error.is_not_found() {
        true => EnvError::NotAnEnvironment {
            path: path.to_owned(),
            why: "there is no such directory".into(),
        },
        false => error.into(),
    });
    Ok(opened?)
}
