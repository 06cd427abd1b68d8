//! An import that is killed with SIGKILL has committed what it has reported, however often that happens.

#[path = "../../examples/kill_import/harness.rs"]
#[expect(clippy::cast_precision_loss, reason = "a random fraction")]
mod harness;

use std::{process::Command, time::Duration};

use harness::{Plan, run};

use crate::support::Dir;

#[test]
fn every_reported_commit_is_there_after_each_kill() {
    let dir = Dir::new();
    let plan = Plan {
        bytes: 24 << 20,
        kills: 8,
        delay_max: Duration::from_millis(900),
        seed: 20,
        dir: dir.path("."),
    };
    let cairn = || Command::new(env!("CARGO_BIN_EXE_cairn"));
    let summary = run(&plan, cairn, |kill, line| println!("{kill} {line}")).unwrap();
    assert_eq!(summary.kills, 8, "{summary:?}");
    assert!(summary.reported > 0 && summary.compared > 0, "{summary:?}");
}
