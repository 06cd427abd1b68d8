//! `cairn repo`: a place with many backups, in which nothing is stored twice: make it, ask it.

use std::path::PathBuf;

use cairndb::backup::{BackupError, Repository, is_object_store, is_repository};
use serde::Serialize;

use super::{prune::TombJson, repo_check::Check, repo_keys::RepoKeys};
use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::{CostArgs, OwnKeyArgs, RepoKeyArgs},
    output::Output,
    text::{Time, several, size},
};

/// Look after a backup repository: a place with backups of any number of environments
///
/// A repository is a directory, or lies in an object store, at s3://BUCKET/PREFIX, gs://BUCKET/PREFIX
/// or az://CONTAINER/PREFIX, if cairn was built with the feature `object-store`.
///
/// `cairn backup ENV --repo REPO` adds a backup, which is called a point, and stores what is new;
/// `cairn backups REPO` lists the points; `cairn restore REPO NEW` brings one back.
///
/// With `init --encrypt`, everything that is stored is encrypted, under keys of the repository itself:
/// those of an environment are others. All commands that open a repository then take its key from
/// --repo-key-file FILE, --repo-key-fd N or --repo-passphrase-fd N, or ask for the passphrase.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn repo init backups
  cairn repo init backups --encrypt           # asks for a passphrase, twice
  cairn backup data --repo backups --repo-key-file repo.key
  cairn repo info backups
  cairn repo check backups --level content"
)]
pub(crate) struct Repo {
    #[command(subcommand)]
    command: RepoCommand,
}

#[derive(clap::Subcommand)]
enum RepoCommand {
    Init(Init),
    Info(Info),
    Check(Check),
    Keys(RepoKeys),
}

/// Make a repository in a new or empty directory, or in an object store
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cairn repo init backups
  cairn repo init s3://my-bucket/backups
  cairn repo init backups --encrypt              # asks for a passphrase, twice
  (umask 077; openssl rand -hex 32 > repo.key)
  cairn repo init backups --encrypt --key-file repo.key

Whoever loses all keys of an encrypted repository has lost what is in it. See `cairn help repo keys`.")]
struct Init {
    /// The directory, or the URL
    repo: PathBuf,
    /// Encrypt everything that the repository will hold
    #[arg(long)]
    encrypt: bool,
    #[command(flatten)]
    key: OwnKeyArgs,
    #[command(flatten)]
    cost: CostArgs,
}

/// Tell which environments a repository has backups of
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn repo info backups")]
struct Info {
    /// The directory of the repository
    repo: PathBuf,
    #[command(flatten)]
    unlock: RepoKeyArgs,
}

#[derive(Serialize)]
struct MadeJson {
    repository: PathBuf,
    uuid: String,
    encrypted: bool,
}

#[derive(Serialize)]
struct InfoJson {
    repository: PathBuf,
    uuid: String,
    created: Time,
    encrypted: bool,
    environments: Vec<EnvironmentJson>,
}

#[derive(Serialize)]
struct EnvironmentJson {
    environment: String,
    points: u64,
    newest: Option<u64>,
    timelines: Vec<TimelineJson>,
    tombs: Vec<TombJson>,
}

#[derive(Serialize)]
struct TimelineJson {
    timeline: String,
    created: Option<Time>,
    commit: Option<u64>,
    after_point: Option<u64>,
}

impl Repo {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        match self.command {
            RepoCommand::Init(command) => command.run(output),
            RepoCommand::Info(Info { repo, unlock }) => info(repo, &unlock, output),
            RepoCommand::Keys(command) => command.run(output),
            RepoCommand::Check(command) => command.run(output),
        }
    }
}

impl Init {
    fn run(self, output: &mut Output) -> Outcome {
        let Self { repo, encrypt, key, cost } = self;
        let key = key.as_key();
        if is_repository(&repo) && !is_object_store(&repo) {
            let place = repo.display().to_string();
            return Err(BackupError::RepositoryExists { place }.into());
        }
        let made = match encrypt {
            true => Repository::create_encrypted(&repo, &key.new_key(&repo, &cost)?)?,
            false if key.is_given() => {
                return Err(Failure::usage("a key is for an encrypted repository")
                    .advise("add --encrypt, or leave the key out; nothing was created"));
            }
            false => Repository::create(&repo)?,
        };
        let info = made.info()?;
        output.line(format_args!(
            "made the repository {} (uuid {}){}",
            repo.display(),
            info.repository,
            if encrypt { ", encrypted" } else { "" }
        ))?;
        let uuid = info.repository.to_string();
        output.json(&MadeJson { repository: repo, uuid, encrypted: encrypt })?;
        Ok(Exit::Good)
    }
}

fn info(repo: PathBuf, unlock: &RepoKeyArgs, output: &mut Output) -> Outcome {
    let info = unlock.open_without_asking(&repo)?.info()?;
    output.line(format_args!(
        "{}: {}repository (uuid {}), made {}, with backups of {}",
        repo.display(),
        if info.encrypted { "encrypted " } else { "" },
        info.repository,
        Time(info.created),
        several(info.environments.len() as u64, "environment")
    ))?;
    let mut environments = Vec::new();
    for environment in info.environments {
        let newest = environment.newest.map(|newest| format!(", the newest is {newest}"));
        output.line(format_args!(
            "environment (uuid {}): {}{}; {}",
            environment.environment,
            several(environment.points, "point"),
            newest.unwrap_or_default(),
            several(environment.timelines.len() as u64, "timeline")
        ))?;
        for tomb in &environment.tombs {
            output.line(format_args!(
                "tomb {}: {}, {} and {} stored, to be deleted after {}",
                tomb.id,
                several(tomb.points.len() as u64, "point"),
                several(tomb.parts.len() as u64, "object"),
                size(tomb.bytes()),
                Time(tomb.until)
            ))?;
        }
        let timelines = environment.timelines.into_iter().map(|(timeline, origin)| TimelineJson {
            timeline: timeline.to_string(),
            created: origin.map(|origin| Time(origin.created)),
            commit: origin.map(|origin| origin.commit),
            after_point: origin.and_then(|origin| Some(origin.before?.0)),
        });
        environments.push(EnvironmentJson {
            environment: environment.environment.to_string(),
            points: environment.points,
            newest: environment.newest,
            timelines: timelines.collect(),
            tombs: environment.tombs.iter().map(TombJson::of).collect(),
        });
    }
    output.json(&InfoJson {
        repository: repo,
        uuid: info.repository.to_string(),
        created: Time(info.created),
        encrypted: info.encrypted,
        environments,
    })?;
    Ok(Exit::Good)
}
