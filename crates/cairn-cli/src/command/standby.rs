//! `cairn standby`: an environment that is kept in step with another one, is read meanwhile, and takes its place.

use std::{path::PathBuf, sync::Arc, time::Duration};

use cairn_io::{RealDir, RealWorld, World, WorldRef};
use cairndb::{
    EnvError, StandbyProgress,
    backup::{
        PromoteOptions, Repository, Standby as Follower, StandbyOptions, StandbySource,
        StandbyStatus, is_repository,
    },
    standby_info, standby_progress, superseded,
};
use serde::Serialize;

use super::trouble::Trouble;
use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    open,
    output::Output,
    saved::EnvironmentArgs,
    text::{Time, several},
};

/// Keep an environment in step with another one, to be read, and to take its place
///
/// A standby gets its base and its journal from a repository into which `cairn ship` ships, or from
/// the directory of an environment or of its replica. Every command that only reads takes it as an
/// environment. It is written once it was promoted: what it has followed is then fenced off, and
/// can neither store anything more in the repository nor be opened for writing in the directory.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn standby follow other backups
  cairn standby status other backups
  cairn standby promote other backups"
)]
pub(crate) struct Standby {
    #[command(subcommand)]
    command: StandbyCommand,
}

#[derive(clap::Subcommand)]
enum StandbyCommand {
    Follow(Follow),
    Status(Status),
    Promote(Promote),
}

/// Make an empty directory a standby, or go on with one, until it is interrupted
///
/// The first time it brings the newest base. Whatever ends it, the same command goes on from there.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn standby follow other backups
  cairn standby follow other backups --once
  cairn standby follow other /mnt/replica"
)]
struct Follow {
    /// The directory of the standby
    standby: PathBuf,
    /// The repository, or the directory of the environment or of its replica
    source: PathBuf,
    /// Apply what there is, and end
    #[arg(long)]
    once: bool,
    /// Milliseconds from one look for more to the next
    #[arg(long, value_name = "MS", default_value_t = 100)]
    every: u64,
    #[command(flatten)]
    of: EnvironmentArgs,
    #[command(flatten)]
    unlock: KeyArgs,
}

/// Tell what a standby follows, how far it has come, and how far behind its source
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn standby status other backups")]
struct Status {
    /// The directory of the standby
    standby: PathBuf,
    /// The repository, or the directory of the environment or of its replica
    source: Option<PathBuf>,
    #[command(flatten)]
    unlock: KeyArgs,
}

/// Make a standby the environment, with all its source has, and fence off the other one
///
/// Of a repository that is what was shipped, of a replica that commits wait for every commit that
/// was acknowledged. The directory of an environment or replica must be nobody's by then. A
/// promotion that was cut short is ended by the same command.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn standby promote other backups
  cairn standby promote other --without-fence"
)]
struct Promote {
    /// The directory of the standby
    standby: PathBuf,
    /// The repository, or the directory of the environment or of its replica
    #[arg(required_unless_present = "without_fence", conflicts_with = "without_fence")]
    source: Option<PathBuf>,
    /// The source is lost: nothing more comes from there, and nothing keeps others from going on
    #[arg(long)]
    without_fence: bool,
    /// Leave commits behind that the source has and the standby cannot get
    #[arg(long)]
    leave_behind: bool,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct FollowedJson {
    standby: PathBuf,
    environment: String,
    follows: String,
    commit: u64,
    time: Option<Time>,
    lag_commits: u64,
    lag_seconds: Option<f64>,
    journal_bytes: u64,
    rebases: u64,
    hole: Option<String>,
}

#[derive(Serialize)]
struct StatusJson {
    standby: PathBuf,
    environment: String,
    follows: String,
    /// On which it goes on when it is promoted.
    timeline: Option<String>,
    commit: Option<u64>,
    position: Option<String>,
    /// The newest commit of the source.
    newest: Option<u64>,
    lag_commits: Option<u64>,
    /// The timeline by which the one that it follows was superseded.
    superseded_by: Option<String>,
}

#[derive(Serialize)]
struct PromotedJson {
    environment: PathBuf,
    commit: u64,
    time: Option<Time>,
    timeline: String,
    superseded: String,
    fenced: bool,
}

impl Standby {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        match self.command {
            StandbyCommand::Follow(command) => command.run(output),
            StandbyCommand::Status(command) => command.run(output),
            StandbyCommand::Promote(command) => command.run(output),
        }
    }
}

/// The source of a standby, of this environment if a repository has several.
fn source_of(
    path: &std::path::Path,
    environment: Option<cairn_log::Uuid>,
    unlock: &KeyArgs,
) -> Result<StandbySource, Failure> {
    if is_repository(path) {
        let repository: Repository = unlock.repo.open(path)?;
        return Ok(StandbySource::Repository { repository, environment });
    }
    Ok(StandbySource::Directory(directory(path)?))
}

fn directory(path: &std::path::Path) -> Result<cairn_io::DirRef, Failure> {
    RealDir::open(path).map_err(|error| match error.is_not_found() {
        true => {
            let why = "there is no such directory".into();
            EnvError::NotAnEnvironment { path: path.to_owned(), why }.into()
        }
        false => Failure::from(EnvError::from(error)),
    })
}

impl Follow {
    fn run(self, output: &mut Output) -> Outcome {
        let Self { standby: path, source, once, every, of, unlock } = self;
        let key = unlock.of_environment(if path.is_dir() { &path } else { &source })?;
        let from = source_of(&source, of.uuid()?, &unlock)?;
        let options = StandbyOptions::default()
            .options(open::with_key(key))
            .every(Duration::from_millis(every));
        let standby = Follower::follow(from, &path, options)?;
        let world: WorldRef = Arc::new(RealWorld::new());
        let mut following = Following { standby, path, trouble: Trouble::default(), hole: None };
        match once {
            true => following.once(output),
            false => following.follow(&source, &*world, output),
        }
    }
}

/// Journal that arrives.
struct Following {
    standby: Follower,
    path: PathBuf,
    trouble: Trouble,
    hole: Option<String>,
}

impl Following {
    fn once(&mut self, output: &mut Output) -> Outcome {
        while self.standby.step()?.has_more {}
        let status = self.standby.status();
        self.tell_hole(&status, output);
        output.line(format_args!(
            "{} has every commit up to {}{}",
            self.path.display(),
            status.commit,
            status.time.map_or_else(String::new, |time| format!(" of {}", Time(time)))
        ))?;
        let is_behind = status.hole.is_some();
        self.json(status, output)?;
        Ok(if is_behind { Exit::Findings } else { Exit::Good })
    }

    fn follow(
        &mut self,
        source: &std::path::Path,
        world: &dyn World,
        output: &mut Output,
    ) -> Outcome {
        let path = self.path.display();
        output.line(format_args!("{path} follows {}", source.display()))?;
        output.flush()?;
        loop {
            match self.standby.step() {
                Ok(step) => {
                    self.trouble.is_over("following", output);
                    let status = self.standby.status();
                    self.tell_hole(&status, output);
                    if step.rebased {
                        output.line(format_args!("another base: commit {}", status.commit))?;
                    }
                    if step.commits > 0 || step.rebased {
                        self.json(status, output)?;
                    }
                    output.flush()?;
                    if step.has_more {
                        continue;
                    }
                }
                Err(error) => self.trouble.wait_out(error, world, output)?,
            }
            world.pause(self.standby.options().every);
        }
    }

    /// Says what an operator has to know.
    fn tell_hole(&mut self, status: &StandbyStatus, output: &Output) {
        if self.hole != status.hole
            && let Some(why) = &status.hole
        {
            output.note(format_args!(
                "commits after {} cannot be had: {why}; a newer backup would do",
                status.commit
            ));
        }
        self.hole.clone_from(&status.hole);
    }

    fn json(&self, status: StandbyStatus, output: &mut Output) -> Result<(), Failure> {
        output.event(&FollowedJson {
            standby: self.path.clone(),
            environment: status.environment.to_string(),
            follows: status.follows.to_string(),
            commit: status.commit,
            time: status.time.map(Time),
            lag_commits: status.lag_commits(),
            lag_seconds: status.lag().map(|lag| lag.as_secs_f64()),
            journal_bytes: status.bytes,
            rebases: status.rebases,
            hole: status.hole,
        })
    }
}

impl Status {
    fn run(self, output: &mut Output) -> Outcome {
        let Self { standby: path, source, unlock } = self;
        let (root, world) = (directory(&path)?, RealWorld::new());
        let Some(info) = standby_info(&root)? else {
            return Err(Failure::not_found(format_args!("{} is no standby", path.display()))
                .advise("`cairn standby follow` makes an empty directory one"));
        };
        let progress = standby_progress(&root, &world)?;
        output.line(format_args!(
            "{}: a standby of timeline {} of the environment {}",
            path.display(),
            info.follows,
            info.environment
        ))?;
        match progress {
            Some(StandbyProgress { commit, .. }) => {
                output.line(format_args!("  has every commit up to {commit}"))?;
            }
            None => output.line(format_args!("  has no base yet"))?,
        }
        let (mut newest, mut by) = (None, None);
        if let Some(source) = &source {
            (newest, by) = match source_of(source, Some(info.environment), &unlock)? {
                StandbySource::Repository { repository, .. } => {
                    let moment = repository.newest_moment(info.environment, info.follows)?;
                    (moment, repository.superseded(info.environment, info.follows)?)
                }
                StandbySource::Directory(dir) => (None, superseded(&dir)?),
                _ => (None, None),
            };
        }
        let lag = newest.zip(progress).map(|(newest, progress): ((u64, u64), StandbyProgress)| {
            newest.0.saturating_sub(progress.commit)
        });
        if let (Some((commit, time)), Some(lag)) = (newest, lag) {
            output.line(format_args!(
                "  {} behind: the newest is commit {commit} of {}",
                several(lag, "commit"),
                Time(time)
            ))?;
        }
        if let Some(by) = by {
            output.line(format_args!("  superseded by timeline {}", by.by))?;
        }
        let position = progress.and_then(|progress| progress.journal);
        output.json(&StatusJson {
            standby: path,
            environment: info.environment.to_string(),
            follows: info.follows.to_string(),
            timeline: progress.map(|progress| progress.timeline.to_string()),
            commit: progress.map(|progress| progress.commit),
            position: position.map(|(file, offset)| format!("{file}:{offset:06x}")),
            newest: newest.map(|(commit, _)| commit),
            lag_commits: lag,
            superseded_by: by.map(|by| by.by.to_string()),
        })?;
        Ok(if progress.is_some() && by.is_none() { Exit::Good } else { Exit::Findings })
    }
}

impl Promote {
    fn run(self, output: &mut Output) -> Outcome {
        let Self { standby: path, source, without_fence, leave_behind, unlock } = self;
        let Some(info) = standby_info(&directory(&path)?)? else {
            return Err(Failure::usage(format_args!("{} is no standby", path.display())).advise(
                "nothing was changed: `cairn standby follow` makes an empty directory one",
            ));
        };
        let key = unlock.of_environment(&path)?;
        let options = StandbyOptions::default().options(open::with_key(key));
        let how = PromoteOptions::default().leave_behind(leave_behind);
        let promoted = match &source {
            Some(source) if !without_fence => {
                let from = source_of(source, Some(info.environment), &unlock)?;
                Follower::follow(from, &path, options)?.promote(&how)
            }
            _ => Follower::promote_alone(&path, &options),
        };
        let (env, promotion) = promoted?;
        env.close()?;
        output.line(format_args!(
            "{} is the environment now, on timeline {}, with every commit up to {}{}",
            path.display(),
            promotion.timeline,
            promotion.commit,
            promotion.time.map_or_else(String::new, |time| format!(" of {}", Time(time)))
        ))?;
        match source {
            Some(source) => output.line(format_args!(
                "timeline {} is superseded in {}",
                promotion.superseded,
                source.display()
            ))?,
            None => output.note(format_args!(
                "nothing keeps timeline {} from going on: see to it that nobody writes there",
                promotion.superseded
            )),
        }
        output.json(&PromotedJson {
            environment: path,
            commit: promotion.commit,
            time: promotion.time.map(Time),
            timeline: promotion.timeline.to_string(),
            superseded: promotion.superseded.to_string(),
            fenced: promotion.is_fenced,
        })?;
        Ok(Exit::Good)
    }
}
