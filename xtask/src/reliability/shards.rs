//! The shards: the commands that reach the goals, in pieces of a few minutes each.

use super::goals::Column;

/// One command, and the goals that it counts toward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// The words after `cargo xtask`.
    pub(crate) command: String,
    /// The numbers of the goals.
    pub(crate) goals: &'static [&'static str],
}

/// A rig, what it counts toward, and how it is told what to do.
struct Rig {
    goals: &'static [&'static str],
    gate: &'static str,
    /// With `{seed}` for the seed.
    full: &'static str,
    /// How many seeds a full run takes, and how far apart they are, because a run uses the seeds from
    /// its own on.
    shards: u64,
    stride: u64,
    /// With `{seed}`: what a long run repeats with new seeds; empty: nothing.
    long: &'static str,
}

#[rustfmt::skip] // a table
const RIGS: &[Rig] = &[
    Rig { goals: &["G1", "G2", "G3"], gate: "crash --states 100000", full: "crash --seed {seed} --states 450000 --cell 250",
        shards: 4, stride: 0x1000, long: "crash --seed {seed} --time 60" },
    Rig { goals: &["G4"], gate: "sync-mutants --known", full: "sync-mutants --seed {seed}",
        shards: 1, stride: 1, long: "" },
    Rig { goals: &["G5"], gate: "flip", full: "flip --full --part {seed}/8",
        shards: 8, stride: 1, long: "flip --seed {seed}" },
    Rig { goals: &["G7"], gate: "io-errors", full: "io-errors --full --part {seed}/4",
        shards: 4, stride: 1, long: "io-errors --seed {seed}" },
    Rig { goals: &["G33"], gate: "replicas", full: "replicas --full --seed {seed}",
        shards: 1, stride: 1, long: "replicas --seed {seed}" },
    Rig { goals: &["G6"], gate: "blocks", full: "blocks --full",
        shards: 1, stride: 1, long: "" },
    Rig { goals: &["G23"], gate: "nonces", full: "nonces --full --seed {seed}",
        shards: 10, stride: 0x10, long: "nonces --seed {seed}" },
    Rig { goals: &["G24"], gate: "tamper", full: "tamper --full --part {seed}/4",
        shards: 4, stride: 1, long: "tamper --seed {seed}" },
    Rig { goals: &["G9"], gate: "kill9", full: "kill9 --seed {seed} --chains 10",
        shards: 5, stride: 1, long: "kill9 --seed {seed} --chains 2" },
    Rig { goals: &["G26"], gate: "memory bound", full: "memory bound --full --seed {seed}",
        shards: 1, stride: 1, long: "memory bound --seed {seed}" },
    Rig { goals: &["G26"], gate: "memory hunger", full: "memory hunger --full --seed {seed}",
        shards: 1, stride: 1, long: "memory hunger --seed {seed}" },
    Rig { goals: &["G10"], gate: "", full: "power-cut --full --seed {seed}", // needs root
        shards: 1, stride: 1, long: "" },
    Rig { goals: &["G12", "G13"], gate: "simulate", full: "simulate --full --seed {seed} --seeds 500 --twice 100",
        shards: 10, stride: 500, long: "simulate --full --seed {seed} --seeds 50 --twice 5" },
    Rig { goals: &["G14"], gate: "serial --transactions 50000", full: "serial --seed {seed} --transactions 200000",
        shards: 5, stride: 0x1000, long: "serial --seed {seed} --transactions 50000" },
    // Not in the gate: they need a build of their own, with other locks.
    Rig { goals: &["G15"], gate: "", full: "schedules --full --seed {seed}",
        shards: 1, stride: 1, long: "schedules --seed {seed}" },
    Rig { goals: &["G15"], gate: "", full: "schedules --planted",
        shards: 1, stride: 1, long: "" },
    Rig { goals: &["G16"], gate: "", full: "fuzz run --only parsers --time 200",
        shards: 1, stride: 1, long: "fuzz run --time 20 --seed {seed}" }, // needs nightly
    Rig { goals: &["G16"], gate: "", full: "fuzz run --only engine --time 400",
        shards: 1, stride: 1, long: "" },
    Rig { goals: &["G18"], gate: "", full: "coverage", shards: 1, stride: 1, long: "" }, // needs llvm-tools
    Rig { goals: &["G20"], gate: "", full: "planted --full --part {seed}/5", shards: 5, stride: 1, long: "" }, // a build of its own
    Rig { goals: &["G21"], gate: "", full: "miri", shards: 1, stride: 1, long: "" }, // needs nightly with Miri
    Rig { goals: &["G31"], gate: "", full: "ratio", shards: 1, stride: 1, long: "" },
    Rig { goals: &["G32"], gate: "", full: "ci", shards: 1, stride: 1, long: "" }, // the gate itself
];

/// The shards of a column, in an order in which the cheapest verdicts come first.
pub(crate) fn shards(column: Column) -> Vec<Shard> {
    let one = |rig: &Rig, command| Shard { command, goals: rig.goals };
    RIGS.iter()
        .filter(|rig| !(column == Column::Gate && rig.gate.is_empty()))
        .flat_map(|rig| match column {
            Column::Gate => vec![one(rig, rig.gate.to_owned())],
            Column::Full => (0..rig.shards)
                .map(|shard| one(rig, with_seed(rig.full, 1 + shard * rig.stride)))
                .collect(),
        })
        .collect()
}

/// What a long run does in its `round`-th round: all rigs that draw from seeds, with new ones.
pub(crate) fn round(round: u64) -> Vec<Shard> {
    /// Seeds below are those of the full run.
    const FIRST: u64 = 0x100_0000;
    let rigs = RIGS.iter().filter(|rig| !rig.long.is_empty());
    rigs.map(|rig| Shard { command: with_seed(rig.long, FIRST + round * 0x1000), goals: rig.goals })
        .collect()
}

fn with_seed(command: &str, seed: u64) -> String {
    command.replace("{seed}", &format!("{seed:#x}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{super::goals::GOALS, *};

    #[test]
    fn every_goal_has_a_shard_and_every_shard_is_another() {
        for column in [Column::Gate, Column::Full] {
            let shards = shards(column);
            let commands: BTreeSet<_> = shards.iter().map(|shard| &shard.command).collect();
            assert_eq!(commands.len(), shards.len());
            for goal in GOALS.iter().filter(|goal| goal.target(column).is_some()) {
                let has = shards.iter().any(|shard| shard.goals.contains(&goal.number));
                assert!(has, "no shard counts toward {} ({column:?})", goal.number);
            }
        }
    }

    #[test]
    fn rounds_of_a_long_run_have_seeds_of_their_own() {
        let mut seen: BTreeSet<_> =
            shards(Column::Full).into_iter().map(|shard| shard.command).collect();
        for shard in (0..50).flat_map(round) {
            assert!(seen.insert(shard.command.clone()), "{} again", shard.command);
        }
    }
}
