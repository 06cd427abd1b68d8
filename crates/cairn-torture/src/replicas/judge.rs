//! What each side has left, alone and together with the other one, held against what was acknowledged.

use std::fmt;

use cairn_env::{
    DatabaseOptions, EnvError, Environment, RecoveryReport, ReplicaInfo, ReplicaPolicy,
    VerifyOptions, replica_info,
};
use cairn_sim::{CrashImage, Cut, Image, SimDisk};

use super::{
    Tally,
    history::{ACKNOWLEDGED, History, SIDES, open, options},
};
use crate::{
    model::Contents,
    problem::{Checked, Problem, Wrong},
};

/// What a crash has left of one side.
#[derive(Clone)]
pub(super) struct Half {
    pub(super) image: Image,
    /// When that was.
    position: usize,
    /// The newest commit that it must have.
    acknowledged: u64,
    /// Whether it was ever promised anything.
    is_promised: bool,
    how: String,
}

impl Half {
    pub(super) fn new(cut: &Cut<'_>, crashed: &CrashImage, side: &str) -> Self {
        let index = usize::from(side == SIDES[1]);
        let mark = cut.mark(ACKNOWLEDGED[index]);
        Self {
            image: crashed.image.below(side),
            position: cut.position(),
            acknowledged: mark.unwrap_or(0),
            is_promised: mark.is_some(),
            how: format!("{side} of {crashed}"),
        }
    }

    fn disk(&self) -> SimDisk {
        SimDisk::from_image(&self.image).without_trace()
    }
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.how)
    }
}

fn refused(what: &str, error: impl fmt::Display) -> Problem {
    Problem::new(Wrong::Refused, format!("{what}: {error}"))
}

/// Looks at a pair of states.
pub(super) fn judge(
    history: &History,
    here: &Half,
    there: &Half,
    tally: &mut Tally,
) -> Checked<()> {
    tally.together += u64::from(here.position == there.position);
    let alone = alone(history, here, "the environment alone")?;
    if self::alone(history, there, "the replica alone")?.is_none() {
        tally.none += 1;
    }
    both(history, here, there, alone, tally)
}

/// Opens one side alone; returns its newest commit, unless there is none yet.
fn alone(history: &History, half: &Half, what: &str) -> Checked<Option<u64>> {
    let disk = half.disk();
    match open(disk.root(), options().create(false), 9) {
        Ok((env, report)) => {
            check(history, &env, &report, half.acknowledged, what)?;
            Ok(Some(report.sequence))
        }
        Err(EnvError::NotAnEnvironment { .. }) if !half.is_promised => Ok(None),
        Err(error) => Err(refused(what, error)),
    }
}

/// Holds an environment against what was acknowledged.
fn check(
    history: &History,
    env: &Environment,
    report: &RecoveryReport,
    acknowledged: u64,
    what: &str,
) -> Checked<()> {
    let commit = report.sequence;
    if commit < acknowledged {
        let story = format!("{what} has {commit}, {acknowledged} was acknowledged; {report}");
        return Err(Problem::new(Wrong::LostCommit, story));
    }
    let Some(expected) = history.states.get(&commit) else {
        return Err(Problem::new(Wrong::InventedCommit, format!("{what}: {commit}; {report}")));
    };
    match expected.difference(env).map_err(|error| refused(what, error))? {
        None => Ok(()),
        Some(difference) => {
            Err(Problem::new(Wrong::Content, format!("{what}, {commit}: {difference}; {report}")))
        }
    }
}

/// How the replica is to what is left of its source, by what both say of themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Same,
    Stale,
    Ahead,
}

fn relation(here: Option<ReplicaInfo>, there: Option<ReplicaInfo>) -> Relation {
    let Some(there) = there else { return Relation::Stale };
    match here {
        Some(here) if here.attachment == there.attachment => {
            if here.is_attached && there.is_attached { Relation::Same } else { Relation::Stale }
        }
        Some(here) if here.attachment > there.attachment => Relation::Stale,
        _ => Relation::Ahead,
    }
}

/// Opens the environment with its replica, as far as that may be, and lets it go on with it.
fn both(
    history: &History,
    here: &Half,
    there: &Half,
    alone: Option<u64>,
    tally: &mut Tally,
) -> Checked<()> {
    const WHAT: &str = "both together";
    let (source, replica) = (here.disk(), there.disk());
    let info = |disk: &SimDisk| replica_info(&disk.root()).map_err(|error| refused(WHAT, error));
    let relation = relation(info(&source)?, info(&replica)?);
    let with_replica = options().replica_in(replica.root(), ReplicaPolicy::Require);
    let (env, report) = match open(source.root(), with_replica, 9) {
        Ok(opened) => opened,
        // Only of a source that is older than its replica.
        Err(EnvError::Replica { .. }) if there.position > here.position => {
            tally.refused += 1;
            let untouched = replica.image().hash() == there.image.hash();
            return match untouched || relation != Relation::Ahead {
                true => Ok(()),
                false => {
                    Err(Problem::new(Wrong::OpenWrites, "a replica that is ahead was changed"))
                }
            };
        }
        Err(error) => return Err(refused(WHAT, error)),
    };
    // While both say that they belong together, whatever one of them has acknowledged is there.
    let acknowledged = match relation {
        Relation::Same => here.acknowledged.max(there.acknowledged),
        Relation::Stale => here.acknowledged,
        Relation::Ahead => {
            let story = "a replica that is ahead of its source was taken back";
            return Err(Problem::new(Wrong::LostCommit, story));
        }
    };
    check(history, &env, &report, acknowledged, WHAT)?;
    if relation == Relation::Stale {
        tally.stale += 1;
        if alone.is_some_and(|alone| alone != report.sequence) {
            let story = format!("a stale replica won: {report}");
            return Err(Problem::new(Wrong::InventedCommit, story));
        }
    }
    tally.brought += u64::from(report.from_replica > 0);
    go_on(env, &replica)
}

/// Commits once more, dies, and opens the replica alone: it has all of it.
fn go_on(env: Environment, replica: &SimDisk) -> Checked<()> {
    const WHAT: &str = "the replica that went on";
    let failed = |error| refused(WHAT, error);
    let db = env.database("db", DatabaseOptions::default()).map_err(failed)?;
    env.write(|txn| txn.put(&db, b"next", b"value")).map_err(failed)?;
    let expected = Contents::of(&env).map_err(failed)?;
    let left = replica.image();
    drop(env);
    let disk = SimDisk::from_image(&left).without_trace();
    let (env, report) = open(disk.root(), options(), 9).map_err(failed)?;
    if let Some(difference) = expected.difference(&env).map_err(failed)? {
        return Err(Problem::new(Wrong::Content, format!("{WHAT}: {difference}; {report}")));
    }
    let verified = env.verify(&VerifyOptions::default()).map_err(failed)?;
    match verified.findings.is_empty() {
        true => Ok(()),
        false => Err(Problem::new(Wrong::Finding, format!("{WHAT}: {:?}", verified.findings))),
    }
}
