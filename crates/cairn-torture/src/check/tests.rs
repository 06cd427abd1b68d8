//! A tiny run, gone through to the end: every crash of it, every crash of the recovery from each, and
//! every crash of the recovery from those.

use std::collections::BTreeSet;

use cairn_sim::{Bounds, Level};

use super::{
    Allowed, environment,
    nested::{Depth, every_crash_of},
};
use crate::{
    run::{KNOWS, Knowledge, record, state},
    script::Script,
};

#[test]
fn every_crash_of_every_recovery_of_a_tiny_run_ends_well() {
    let text = "open\ncommit sync +0/1=1*30\ncheckpoint\ncommit write +0/1=2*30 +1/7=3*300\nsync\n";
    let script: Script = text.parse().unwrap();
    let recording = record(&script).unwrap();
    let options = script.settings.options();
    let bounds = Bounds { tears_sampled: 1, edges_max: 1, subsets_sampled: 2, ..Bounds::smoke() };
    let mut seen = BTreeSet::new();
    let (mut images, mut nested) = (0, 0);
    let life = &recording.lives[0];
    let mut cuts = life.trace.cuts();
    while let Some(cut) = cuts.next_cut() {
        let Some(mark) = cut.mark(KNOWS) else { continue };
        let Knowledge::Environment(known) = life.knowledge[usize::try_from(mark).unwrap()] else {
            panic!("the first life is that of the environment");
        };
        let expected = known.current;
        for level in Level::ALL {
            for crashed in cut.crash().images(level, &bounds) {
                if !seen.insert((crashed.image.hash(), expected.durable)) {
                    continue;
                }
                images += 1;
                let told = |problem| panic!("{crashed}: {problem}");
                let allowed = Allowed::new(&recording.histories, &expected, expected.durable);
                let found = environment(&crashed.image, &allowed, &options).unwrap_or_else(told);
                let contents = state(&recording.histories, &expected, found.commit);
                // A crash of recovery depends on what recovery finds, and on nothing before it.
                let mut below = BTreeSet::new();
                let mut first = |crash: super::Nested| {
                    let new = below.insert((crash.level, crash.image));
                    nested += usize::from(new);
                    new
                };
                // Two crashes of recovery, one in the other, where the first one is plain.
                let depth = Depth(if level == Level::LoseAll { 2 } else { 1 });
                every_crash_of(
                    &crashed.image,
                    contents,
                    &found,
                    &options,
                    &bounds,
                    depth,
                    &mut first,
                )
                .unwrap_or_else(|problem| panic!("{crashed}: {problem}"));
            }
        }
    }
    assert!(images > 100 && nested > 10_000, "{images} images, {nested} crashes of recovery");
}
