//! `cairn prune`, `cairn unprune`: points go by a policy, and can be taken back for a while.

use std::{path::PathBuf, time::Duration};

use cairn_io::RealWorld;
use cairn_io::World as _;
use cairndb::backup::{
    Deleted, KeptJournal, PlannedPoint, PruneOptions, PrunePlan, Repository, Retention, Tomb,
};
use serde::Serialize;

use super::history::parse_span;
use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::RepoKeyArgs,
    output::Output,
    saved::EnvironmentArgs,
    text::{Time, escape, several, size},
};

/// Remove the backups of a repository that a policy does not keep
///
/// Without --apply, it is only told what would go and what would stay. A point stays if any --keep
/// says so; the newest one always does, and so do those with labels, and one that is proved. That
/// what stays is complete is proved first.
///
/// With --apply, points that go are not listed any more, and can be taken back with `cairn unprune`
/// until the grace has ended. The next `cairn prune --apply` after that deletes them, together with
/// what no other point needs. It may run beside backups, restores and shipping.
///
/// Nothing goes, and the exit code is 1, if the clock is behind a backup, if something cannot be read,
/// is not complete or of somebody else, or if more than half would go without being told.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn prune backups --keep-last 10                    # only tells
  cairn prune backups --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --apply
  cairn prune backups --keep-within 30d --require-proof --apply
  cairn prune backups --apply                           # deletes that of which the grace has ended"
)]
pub(crate) struct Prune {
    /// The directory of the repository
    repo: PathBuf,
    #[command(flatten)]
    of: EnvironmentArgs,
    #[command(flatten)]
    keep: KeepArgs,
    /// Do it, and delete that of which the grace has ended
    #[arg(long)]
    apply: bool,
    /// How long what goes can be taken back: longer than the longest backup or restore takes
    #[arg(long, default_value = "24h", value_name = "TIME", value_parser = parse_span)]
    grace: Duration,
    /// Do it although more than half of the points or bytes go
    #[arg(long)]
    yes_more_than_half: bool,
    /// Only if a point stays that is proved
    #[arg(long)]
    require_proof: bool,
    /// Remove what cannot be read, too
    #[arg(long)]
    damaged: bool,
    #[command(flatten)]
    unlock: RepoKeyArgs,
}

/// Which points stay.
#[derive(clap::Args)]
struct KeepArgs {
    /// Keep the last N
    #[arg(long, default_value_t = 0, value_name = "N", hide_default_value = true)]
    keep_last: u64,
    /// Keep all that were made within this time before the newest one: `30d`, `12h`
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    keep_within: Option<Duration>,
    /// Keep the newest one of each of the last N hours that have any (of UTC, as all that follow)
    #[arg(long, default_value_t = 0, value_name = "N", hide_default_value = true)]
    keep_hourly: u64,
    /// The same of days
    #[arg(long, default_value_t = 0, value_name = "N", hide_default_value = true)]
    keep_daily: u64,
    /// The same of weeks
    #[arg(long, default_value_t = 0, value_name = "N", hide_default_value = true)]
    keep_weekly: u64,
    /// The same of months
    #[arg(long, default_value_t = 0, value_name = "N", hide_default_value = true)]
    keep_monthly: u64,
    /// The same of years
    #[arg(long, default_value_t = 0, value_name = "N", hide_default_value = true)]
    keep_yearly: u64,
    /// Keep at least N, whatever else is said
    #[arg(long, default_value_t = 1, value_name = "N", hide_default_value = true)]
    at_least: u64,
    /// Labels keep nothing
    #[arg(long)]
    forget_labels: bool,
    /// Of shipped journal keep only what comes after the newest point
    #[arg(long)]
    forget_journal: bool,
}

impl KeepArgs {
    fn policy(&self) -> Retention {
        let journal = match self.forget_journal {
            true => KeptJournal::SinceNewest,
            false => KeptJournal::SinceOldest,
        };
        Retention::new()
            .last(self.keep_last)
            .within(self.keep_within.unwrap_or_default())
            .hourly(self.keep_hourly)
            .daily(self.keep_daily)
            .weekly(self.keep_weekly)
            .monthly(self.keep_monthly)
            .yearly(self.keep_yearly)
            .at_least(self.at_least)
            .labels(!self.forget_labels)
            .journal(journal)
    }
}

/// Take back what `cairn prune` has removed, as long as that can be done
///
/// The points are listed again, with everything that they need.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn repo info backups             # tells what can be taken back, and until when
  cairn unprune backups
  cairn unprune backups --tomb 4"
)]
pub(crate) struct Unprune {
    /// The directory of the repository
    repo: PathBuf,
    #[command(flatten)]
    of: EnvironmentArgs,
    /// Only what was removed together under this number
    #[arg(long, value_name = "N")]
    tomb: Option<u64>,
    #[command(flatten)]
    unlock: RepoKeyArgs,
}

#[derive(Serialize)]
struct PruneJson {
    repository: PathBuf,
    applied: bool,
    points: Vec<PlannedJson>,
    kept: u64,
    going: u64,
    segments: u64,
    objects: u64,
    bytes: u64,
    unused_objects: u64,
    unused_bytes: u64,
    refusals: Vec<String>,
    tomb: Option<TombJson>,
    deleted: DeletedJson,
}

#[derive(Serialize)]
struct PlannedJson {
    point: u64,
    created: Time,
    label: Option<String>,
    stays: bool,
    reasons: Vec<String>,
}

#[derive(Serialize)]
struct DeletedJson {
    tombs: Vec<u64>,
    points: u64,
    segments: u64,
    objects: u64,
    bytes: u64,
    spared: u64,
}

/// What is about to be deleted.
#[derive(Serialize)]
pub(super) struct TombJson {
    tomb: u64,
    points: Vec<u64>,
    objects: u64,
    bytes: u64,
    made: Time,
    until: Time,
}

impl TombJson {
    pub(super) fn of(tomb: &Tomb) -> Self {
        Self {
            tomb: tomb.id,
            points: tomb.points.clone(),
            objects: tomb.parts.len() as u64,
            bytes: tomb.bytes(),
            made: Time(tomb.made),
            until: Time(tomb.until),
        }
    }
}

#[derive(Serialize)]
struct UnpruneJson {
    repository: PathBuf,
    tombs: Vec<TombJson>,
}

impl Prune {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let environment = self.of.uuid()?;
        let repository = self.unlock.open(&self.repo)?;
        let (policy, now) = (self.keep.policy(), RealWorld::new().wall().0);
        if !policy.says_anything() && !self.apply {
            return Err(Failure::usage("it is not said which points stay")
                .advise("say so, with --keep-last 10 for example; nothing was changed"));
        }
        let deleted = match self.apply {
            true => repository.delete_pruned(environment, now)?,
            false => Deleted::default(),
        };
        if !deleted.tombs.is_empty() {
            output.line(format_args!(
                "deleted {}, {} and {}, {} stored",
                several(deleted.points, "point"),
                several(deleted.segments, "segment"),
                several(deleted.objects, "object"),
                size(deleted.bytes)
            ))?;
        }
        let mut tomb = None;
        let plan = match policy.says_anything() {
            true => Some(repository.plan_prune(environment, &policy, &self.options(), now)?),
            false => None,
        };
        if plan.is_none() && deleted.tombs.is_empty() {
            output.line(format_args!("nothing to delete yet"))?;
        }
        if let Some(plan) = &plan {
            show(plan, output)?;
            if self.apply && plan.refusals.is_empty() {
                tomb = bury(&repository, plan, output)?;
            }
        }
        let is_refused = plan.as_ref().is_some_and(|plan| !plan.refusals.is_empty());
        output.json(&self.json(plan.as_ref(), tomb.as_ref(), deleted))?;
        Ok(if is_refused { Exit::Findings } else { Exit::Good })
    }

    fn options(&self) -> PruneOptions {
        PruneOptions::default()
            .grace(self.grace)
            .more_than_half(self.yes_more_than_half)
            .require_proof(self.require_proof)
            .damaged(self.damaged)
    }

    fn json(&self, plan: Option<&PrunePlan>, tomb: Option<&Tomb>, deleted: Deleted) -> PruneJson {
        let count = |of: fn(&PrunePlan) -> u64| plan.map_or(0, of);
        let mut points = Vec::new();
        if let Some(plan) = plan {
            let mut all: Vec<_> = plan.kept.iter().chain(&plan.going).collect();
            all.sort_by_key(|point| point.number);
            points.extend(all.into_iter().map(|point| PlannedJson {
                point: point.number,
                created: Time(point.created),
                label: point.label.clone(),
                stays: !point.reasons.is_empty(),
                reasons: point.reasons.iter().map(ToString::to_string).collect(),
            }));
        }
        let refusals = plan.iter().flat_map(|plan| &plan.refusals);
        PruneJson {
            repository: self.repo.clone(),
            applied: self.apply,
            points,
            kept: count(|plan| plan.kept.len() as u64),
            going: count(|plan| plan.going.len() as u64),
            segments: count(|plan| plan.segments),
            objects: count(|plan| plan.objects),
            bytes: count(|plan| plan.bytes),
            unused_objects: count(|plan| plan.unused_objects),
            unused_bytes: count(|plan| plan.unused_bytes),
            refusals: refusals.map(ToString::to_string).collect(),
            tomb: tomb.map(TombJson::of),
            deleted: DeletedJson {
                tombs: deleted.tombs,
                points: deleted.points,
                segments: deleted.segments,
                objects: deleted.objects,
                bytes: deleted.bytes,
                spared: deleted.spared,
            },
        }
    }
}

fn show(plan: &PrunePlan, output: &mut Output) -> Result<(), Failure> {
    let mut all: Vec<&PlannedPoint> = plan.kept.iter().chain(&plan.going).collect();
    all.sort_by_key(|point| point.number);
    for point in all {
        let label = point.label.as_ref().map(|label| format!("; {}", escape(label.as_bytes())));
        let reasons: Vec<_> = point.reasons.iter().map(ToString::to_string).collect();
        let what = match &*reasons {
            [] => "goes".to_owned(),
            reasons => format!("stays ({})", reasons.join(", ")),
        };
        output.line(format_args!(
            "point {} of {}: {what}{}",
            point.number,
            Time(point.created),
            label.unwrap_or_default()
        ))?;
    }
    for refusal in &plan.refusals {
        output.line(format_args!("refused: {refusal}"))?;
    }
    let of = |number: u64, what: &str| match number {
        0 => String::new(),
        number => format!(", {}", several(number, what)),
    };
    output.line(format_args!(
        "{} to go{}, {} with {} stored; {} to stay",
        several(plan.going.len() as u64, "point"),
        of(plan.segments, "segment"),
        several(plan.objects + plan.unused_objects, "object"),
        size(plan.bytes + plan.unused_bytes),
        plan.kept.len()
    ))
}

fn bury(
    repository: &Repository,
    plan: &PrunePlan,
    output: &mut Output,
) -> Result<Option<Tomb>, Failure> {
    let tomb = repository.prune(plan)?;
    if let Some(tomb) = &tomb {
        output.line(format_args!(
            "tomb {}: `cairn unprune` takes it back until {}",
            tomb.id,
            Time(tomb.until)
        ))?;
    }
    Ok(tomb)
}

impl Unprune {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let repository = self.unlock.open(&self.repo)?;
        let back = repository.take_back(self.of.uuid()?, self.tomb)?;
        for tomb in &back {
            output.line(format_args!(
                "tomb {}: {} back, with {}",
                tomb.id,
                several(tomb.points.len() as u64, "point"),
                several(tomb.parts.len() as u64, "object")
            ))?;
        }
        let tombs = back.iter().map(TombJson::of).collect();
        output.json(&UnpruneJson { repository: self.repo, tombs })?;
        Ok(Exit::Good)
    }
}
