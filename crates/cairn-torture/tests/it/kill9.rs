//! Real processes die; and one that lies about what it has committed is found out.

use cairn_torture::kill9::{Lie, Plan, Report, run};

fn kill(deaths: u64, lie: Option<Lie>) -> Report {
    run(&Plan {
        program: env!("CARGO_BIN_EXE_cairn-torture").into(),
        within: std::env::temp_dir(),
        seed: 3,
        chains: 0..2,
        deaths,
        last_cycle: u32::MAX,
        threads: 2,
        lie,
        hungry: false,
    })
}

#[test]
fn what_dying_processes_were_told_is_there() {
    let report = kill(15, None);
    let stories: Vec<_> = report.violations.iter().map(|found| found.problem.to_string()).collect();
    assert!(stories.is_empty(), "{stories:?}");
    assert!(report.to_string().contains("30 deaths"), "{report}");
}

#[test]
fn a_process_that_acknowledges_too_early_is_found_out() {
    let report = kill(400, Some(Lie::EarlyAck));
    assert_eq!(report.violations.len(), 2, "{report}");
    for found in report.violations {
        std::fs::remove_dir_all(found.left).unwrap();
    }
}
