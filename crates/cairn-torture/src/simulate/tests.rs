//! The simulation itself: all runs of a tiny plan, seeds, repeats, and bugs that it must find.

use cairn_sim::{Exhaustive, FuzzBytes, Seeded};

use super::*;

#[test]
fn every_run_of_a_tiny_plan_keeps_its_promises() {
    let plan = Plan::TINY;
    let mut all = Exhaustive::new();
    let mut commits = 0;
    while let Some(mut run) = all.next_run() {
        let outcome = simulate(&plan, &mut run, false);
        assert_eq!(outcome.problem, None, "{:?}", outcome.story);
        commits += outcome.tally.commits;
    }
    assert!(all.runs() > 500 && commits > 20, "{} runs, {commits} commits", all.runs());
}

#[test]
fn a_seed_does_the_same_twice_and_another_one_something_else() {
    let plan = Plan { steps: 200, ..Plan::FULL };
    let of = |seed| simulate(&plan, &mut Seeded::new(seed), false);
    let (one, again, other) = (of(1), of(1), of(2));
    assert_eq!((one.hash, one.tally), (again.hash, again.tally));
    assert_ne!(one.hash, other.hash);
}

#[test]
fn a_few_seeds_keep_their_promises() {
    let campaign = Campaign { plan: Plan::SMOKE, seed: 1, seeds: 20, threads: 1, twice: 2 };
    let report = run(&campaign, &mut |_| ());
    assert!(report.is_good(), "{report}");
    assert!(report.tally.crashes > 20 && report.tally.backups > 3, "{report}");
}

#[test]
fn a_list_repeats_a_run_and_any_bytes_make_one() {
    let plan = Plan { steps: 60, ..Plan::FUZZ };
    let repro = Repro::of_seed(&plan, 7);
    let parsed: Repro = repro.to_string().parse().unwrap();
    let (run, again) = (simulate(&plan, &mut Seeded::new(7), false), parsed.repeat());
    assert_eq!((run.hash, run.tally), (again.hash, again.tally));
    assert!(!again.story.is_empty());
    let bytes: Vec<u8> = (0..200u8).map(|byte| byte.wrapping_mul(37)).collect();
    assert_eq!(simulate(&plan, &mut FuzzBytes::new(&bytes), false).problem, None);
}

#[test]
fn a_sync_that_does_nothing_is_found() {
    for name in ["commit", "node.seal"] {
        let without = cairn_env::SYNC_SITES.iter().copied().find(|site| site.to_string() == name);
        assert!(without.is_some(), "{name}");
        let plan = Plan { without, lies: 0, ..Plan::SMOKE };
        let campaign = Campaign { plan, seed: 1, seeds: 200, threads: 1, twice: 0 };
        let report = run(&campaign, &mut |_| ());
        assert!(!report.failures.is_empty(), "{name} is not missed:\n{report}");
    }
}

#[test]
fn a_failure_shrinks_to_a_list_that_breaks_the_same_promise() {
    let without = cairn_env::SYNC_SITES.iter().copied().find(|site| site.to_string() == "commit");
    let plan = Plan { without, lies: 0, ..Plan::FUZZ };
    let failing = (1..).map(|seed| Repro::of_seed(&plan, seed));
    let repro = failing.take(100).find(|repro| repro.repeat().problem.is_some()).unwrap();
    let short = repro.shrunk(200).unwrap();
    assert!(short.choices.0.len() < repro.choices.0.len());
    let wrong = |repro: &Repro| repro.repeat().problem.map(|problem| problem.wrong);
    assert_eq!(wrong(&short), wrong(&repro));
}
