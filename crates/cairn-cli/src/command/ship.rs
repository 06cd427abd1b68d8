//! `cairn ship`: the journal of an environment goes into a repository while it is written.

use std::{path::PathBuf, time::Duration};

use cairn_io::{RealDir, RealWorld, World, WorldRef};
use cairndb::backup::{Moment, ShipOptions, ShipReport, Shipper, TimelineIntervals};
use serde::Serialize;

use super::trouble::Trouble;
use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::{KeyArgs, RepoKeyArgs},
    open,
    output::Output,
    saved::EnvironmentArgs,
    text::{Time, seconds, several, size},
};

/// Ship the journal of an environment into a repository while it is written
///
/// Each commit can then be restored about a second after it is durable: `cairn restore REPO NEW`
/// brings back the newest one that was shipped, --to-commit and --at any other. An application may
/// have the environment open and go on; no commit waits. If there is no backup from whose end the
/// journal goes on, one is made first. It ends when it is interrupted; whatever ends it, the same
/// command goes on where the repository says.
///
/// `cairn ship status REPO` tells what can be restored, and what cannot, and why.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  cairn ship data backups
  cairn ship data backups --once
  cairn ship status backups"
)]
pub(crate) struct Ship {
    #[command(subcommand)]
    command: Option<ShipCommand>,
    /// The directory of the environment
    #[arg(required = true)]
    env: Option<PathBuf>,
    /// The directory of the repository
    #[arg(required = true)]
    repo: Option<PathBuf>,
    /// Ship what there is, and end
    #[arg(long)]
    once: bool,
    /// Milliseconds from one look for more to the next: what came meanwhile goes together
    #[arg(long, value_name = "MS", default_value_t = 500)]
    every: u64,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(clap::Subcommand)]
enum ShipCommand {
    Status(Status),
}

/// Tell which commits and times can be restored from a repository, and which cannot, and why
///
/// Nothing of the environment is needed, and no key of it. What is told comes from backups and from what
/// was shipped, timeline by timeline.
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_help = "Example:\n  cairn ship status backups")]
struct Status {
    /// The directory of the repository
    repo: PathBuf,
    #[command(flatten)]
    of: EnvironmentArgs,
    #[command(flatten)]
    unlock: RepoKeyArgs,
}

#[derive(Serialize)]
struct ShippedJson<'a> {
    environment: &'a PathBuf,
    repository: &'a PathBuf,
    points: Vec<u64>,
    gap: Option<String>,
    segments: u64,
    journal_bytes: u64,
    stored_bytes: u64,
    commit: Option<u64>,
    time: Option<Time>,
}

#[derive(Serialize)]
struct TimelineJson {
    timeline: String,
    intervals: Vec<IntervalJson>,
    holes: Vec<HoleJson>,
    last: Option<LastJson>,
}

#[derive(Serialize)]
struct IntervalJson {
    point: u64,
    from: MomentJson,
    to: MomentJson,
    segments: u64,
    journal_bytes: u64,
}

#[derive(Serialize)]
struct HoleJson {
    after: Option<MomentJson>,
    before: Option<MomentJson>,
    why: String,
}

#[derive(Serialize)]
struct LastJson {
    segment: u64,
    newest: MomentJson,
    created: Time,
    seconds: f64,
}

#[derive(Serialize)]
struct MomentJson {
    commit: u64,
    time: Time,
}

impl From<Moment> for MomentJson {
    fn from(moment: Moment) -> Self {
        Self { commit: moment.commit, time: Time(moment.time) }
    }
}

impl Ship {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        match self {
            Self { command: Some(ShipCommand::Status(status)), .. } => status.run(output),
            Self { env: Some(env), repo: Some(repo), once, every, unlock, .. } => {
                let key = unlock.of_environment(&env)?;
                let repository = unlock.repo.open(&repo)?;
                let world: WorldRef = std::sync::Arc::new(RealWorld::new());
                let options = ShipOptions::default()
                    .options(open::with_key(key))
                    .every(Duration::from_millis(every));
                let root = RealDir::open(&env).map_err(|error| match error.is_not_found() {
                    true => {
                        let why = "there is no such directory".into();
                        cairndb::EnvError::NotAnEnvironment { path: env.clone(), why }.into()
                    }
                    false => Failure::from(cairndb::EnvError::from(error)),
                })?;
                let shipper = repository.shipper(root, &world, options)?;
                let mut shipping = Shipping { shipper, env, repo, trouble: Trouble::default() };
                match once {
                    true => shipping.once(output),
                    false => shipping.follow(&*world, output),
                }
            }
            _ => Err(Failure::usage("an environment and a repository are needed")),
        }
    }
}

/// Journal on its way.
struct Shipping {
    shipper: Shipper,
    env: PathBuf,
    repo: PathBuf,
    trouble: Trouble,
}

impl Shipping {
    fn once(&mut self, output: &mut Output) -> Outcome {
        let mut all = ShipReport::default();
        loop {
            let report = self.shipper.step()?;
            self.tell(&report, output)?;
            all.segments += report.segments;
            all.bytes += report.bytes;
            all.stored_bytes += report.stored_bytes;
            all.newest = report.newest.or(all.newest);
            all.gap = all.gap.or(report.gap);
            all.points.extend(report.points);
            if !report.has_more {
                break;
            }
        }
        let segments = several(all.segments, "segment");
        match all.newest {
            Some((commit, time)) => output.line(format_args!(
                "shipped up to commit {commit} of {}: {segments}, {} stored",
                Time(time),
                size(all.stored_bytes)
            ))?,
            None => output.line(format_args!("nothing to ship yet"))?,
        }
        self.json(all, output)?;
        Ok(Exit::Good)
    }

    fn follow(&mut self, world: &dyn World, output: &mut Output) -> Outcome {
        let (env, repo) = (self.env.display(), self.repo.display());
        output.line(format_args!("shipping the journal of {env} into {repo}"))?;
        output.flush()?;
        loop {
            match self.shipper.step() {
                Ok(report) => {
                    self.trouble.is_over("shipping", output);
                    self.tell(&report, output)?;
                    let (is_news, has_more) =
                        (report.segments > 0 || !report.points.is_empty(), report.has_more);
                    if is_news {
                        self.json(report, output)?;
                    }
                    output.flush()?;
                    if has_more {
                        continue;
                    }
                }
                Err(error) => self.trouble.wait_out(error, world, output)?,
            }
            world.pause(self.shipper.options().every);
        }
    }

    /// Says what an operator has to know of a step.
    fn tell(&self, report: &ShipReport, output: &mut Output) -> Result<(), Failure> {
        if let Some(gap) = &report.gap {
            output.note(format_args!("what was shipped before has come to its end: {gap}"));
        }
        for point in &report.points {
            output.line(format_args!(
                "point {} of {} is commit {} of {}: {}, {}; {} stored",
                point.number,
                self.repo.display(),
                point.commit,
                Time(point.time),
                several(point.files, "file"),
                size(point.bytes),
                size(point.new_bytes)
            ))?;
        }
        Ok(())
    }

    fn json(&self, report: ShipReport, output: &mut Output) -> Result<(), Failure> {
        output.event(&ShippedJson {
            environment: &self.env,
            repository: &self.repo,
            points: report.points.iter().map(|point| point.number).collect(),
            gap: report.gap,
            segments: report.segments,
            journal_bytes: report.bytes,
            stored_bytes: report.stored_bytes,
            commit: report.newest.map(|(commit, _)| commit),
            time: report.newest.map(|(_, time)| Time(time)),
        })
    }
}

impl Status {
    fn run(self, output: &mut Output) -> Outcome {
        let repository = self.unlock.open(&self.repo)?;
        for timeline in repository.intervals(self.of.uuid()?)? {
            show(timeline, output)?;
        }
        Ok(Exit::Good)
    }
}

fn show(found: TimelineIntervals, output: &mut Output) -> Result<(), Failure> {
    let timeline = found.timeline;
    for interval in &found.intervals {
        let (from, to) = (interval.from, interval.to);
        let shipped = match interval.segments {
            0 => String::new(),
            n => format!(", and {}", several(n, "segment")),
        };
        match from.commit == to.commit {
            true => output.line(format_args!(
                "timeline {timeline}: commit {} of {} can be restored: point {}{shipped}",
                from.commit,
                Time(from.time),
                interval.base
            ))?,
            false => output.line(format_args!(
                "timeline {timeline}: commits {} to {}, of {} to {} can be restored: point {}{shipped}",
                from.commit,
                to.commit,
                Time(from.time),
                Time(to.time),
                interval.base
            ))?,
        }
    }
    for hole in &found.holes {
        let after = hole.after.map_or("the beginning".into(), |at| format!("commit {}", at.commit));
        let before = hole.before.map_or("the end".into(), |at| format!("commit {}", at.commit));
        output.line(format_args!(
            "timeline {timeline}: nothing between {after} and {before}: {}",
            hole.why
        ))?;
    }
    // The clock that times commits may have been set since.
    let behind = |stored: u64, time: u64| Duration::from_micros(stored.saturating_sub(time));
    if let Some(last) = &found.last {
        output.line(format_args!(
            "timeline {timeline}: segment {} is the last, stored {} after commit {}",
            last.segment,
            seconds(behind(last.stored, last.newest.time)),
            last.newest.commit
        ))?;
    }
    let intervals = found.intervals.into_iter().map(|interval| IntervalJson {
        point: interval.base,
        from: interval.from.into(),
        to: interval.to.into(),
        segments: interval.segments,
        journal_bytes: interval.bytes,
    });
    let holes = found.holes.into_iter().map(|hole| HoleJson {
        after: hole.after.map(MomentJson::from),
        before: hole.before.map(MomentJson::from),
        why: hole.why,
    });
    let last = found.last.map(|last| LastJson {
        segment: last.segment,
        newest: last.newest.into(),
        created: Time(last.stored),
        seconds: behind(last.stored, last.newest.time).as_secs_f64(),
    });
    output.json(&TimelineJson {
        timeline: timeline.to_string(),
        intervals: intervals.collect(),
        holes: holes.collect(),
        last,
    })
}
