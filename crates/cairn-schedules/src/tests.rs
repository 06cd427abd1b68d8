//! The programs on the threads of the system, a few times each.

use crate::{BATCH, PROGRAMS, Plan, Program, run_all};

#[test]
fn each_program_holds_on_the_threads_of_the_system() {
    let plan = Plan { programs: PROGRAMS.iter().collect(), schedules: 90, seed: 1, threads: 1 };
    let report = run_all(&plan);
    assert!(report.is_good(), "{report}");
    assert_eq!(report.counts.iter().map(|(_, count)| count).sum::<u64>(), 90);
}

#[test]
fn names_are_given_once_and_schedules_are_shared_out() {
    for program in PROGRAMS {
        let found = Program::find(program.name).unwrap();
        assert_eq!(found.about, program.about, "{} stands twice", program.name);
    }
    const { assert!(BATCH < 1000, "so that a failure is repeated soon") };
}
