//! The crash sweep: the same seed is the same sweep, and no promise is broken.

use cairn_torture::{
    crash::{sweep_script, trace_hash},
    run::record,
    state_id::{Effort, RunId},
    workload::{WORKLOADS, Workload},
};

fn effort() -> Effort {
    let mut effort = Effort::SMOKE;
    (effort.images_max, effort.cell_min) = (1, 0);
    effort
}

#[test]
fn the_same_seed_does_the_same_to_the_disks() {
    for workload in WORKLOADS {
        let hash = |seed| trace_hash(&record(&workload.script(seed)).unwrap());
        assert_eq!(hash(7), hash(7), "{}", workload.name);
        assert_ne!(hash(7), hash(8), "{}", workload.name);
    }
}

#[test]
fn the_same_run_has_the_same_states() {
    for name in ["create", "power-failures", "backups"] {
        let run = RunId { workload: name.to_owned(), seed: 7 };
        let script = Workload::find(name).unwrap().script(7);
        let swept = || sweep_script(&script, run.clone(), effort());
        let ((one, first), (two, second)) = (swept(), swept());
        assert_eq!(one, two, "{run}: other operations on the disks");
        assert_eq!(first.table.to_string(), second.table.to_string(), "{run}");
        assert_eq!((first.checked, first.nested), (second.checked, second.nested), "{run}");
        assert!(first.checked > 50, "{run}: {}", first.checked);
        assert!(first.violations.is_empty(), "{}", first.violations[0]);
    }
}

#[test]
fn runs_that_once_broke_a_promise_break_none() {
    for line in include_str!("../../regressions.txt").lines() {
        let name = line.split('#').next().unwrap_or_default().trim();
        if name.is_empty() {
            continue;
        }
        let run: RunId = name.parse().unwrap();
        let script = Workload::find(&run.workload).unwrap().script(run.seed);
        let (_, outcome) = sweep_script(&script, run, effort());
        assert!(outcome.violations.is_empty(), "{line}\n{}", outcome.violations[0]);
    }
}
