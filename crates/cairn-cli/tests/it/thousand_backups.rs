//! Some dozens of the thousand backups: of all kinds, under writers, checkpoints and the cleaner.

#[path = "../../examples/thousand_backups/harness.rs"]
mod harness;
#[path = "../../examples/thousand_backups/history.rs"]
mod history;

use std::process::Command;

use harness::{Plan, run};

use crate::support::Dir;

#[test]
fn each_backup_under_writers_restores_to_exactly_its_cut() {
    let dir = Dir::new();
    let plan = Plan { backups: 50, seed: 4, dir: dir.path(".") };
    let cairn = || Command::new(env!("CARGO_BIN_EXE_cairn"));
    let summary = run(&plan, cairn, |line| println!("{line}")).unwrap();
    assert_eq!(summary.equal.values().sum::<u32>(), 50, "{summary:?}");
    assert!(summary.equal.len() >= 4 && summary.written > 0, "{summary:?}");
}
