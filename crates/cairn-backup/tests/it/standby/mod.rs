//! Standbys: what they hold is what the other one held at their commit; a promotion loses nothing that it promises.

mod basics;
mod crash;
mod files;
mod histories;
mod lag;
mod points;
mod promotions;

use cairn_backup::{Standby, StandbyOptions, StandbySource};
use cairn_env::{Environment, Options};
use cairn_io::{DirRef, WorldRef};

use crate::{
    fixture::{Content, content, options},
    repository::shipped::Model,
};

pub(crate) fn how(options: &Options) -> StandbyOptions {
    StandbyOptions::default().options(options.clone())
}

/// A standby with the options of the tests.
pub(crate) fn follow(source: impl Into<StandbySource>, root: &DirRef, world: &WorldRef) -> Standby {
    Standby::follow_in(source, DirRef::clone(root), world, how(&options())).unwrap()
}

/// Applies all that there is; returns the newest commit that the standby has.
#[track_caller]
pub(crate) fn arrive(standby: &mut Standby) -> u64 {
    loop {
        let step = standby.step().unwrap();
        if !step.has_more {
            return step.newest.0;
        }
    }
}

/// What an environment holds, and at which commit.
pub(crate) fn at_commit(env: &Environment) -> (u64, Content) {
    (env.snapshot().unwrap().commit(), content(env))
}

/// A standby that is read shows what the other one held at its commit.
#[track_caller]
pub(crate) fn assert_is_model(standby: &mut Standby, model: &Model) -> u64 {
    let reader = standby.read().unwrap();
    let (commit, found) = at_commit(&reader);
    assert_eq!(commit, standby.status().commit);
    let (_, expected) = model.get(&commit).unwrap_or_else(|| panic!("commit {commit}"));
    assert!(found == *expected, "commit {commit} is another one");
    commit
}
