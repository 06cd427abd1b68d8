//! The goals: what is counted, and how much of it has to be reached.

/// Where a target holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    /// On every change: minutes.
    Gate,
    /// Before a release: up to an hour for each goal.
    Full,
}

/// One figure of a goal, and its targets. A goal with two figures has two rows.
pub(crate) struct Goal {
    /// `G1`; the numbers are those of the project's plan and have gaps.
    pub(crate) number: &'static str,
    /// What is promised.
    pub(crate) promise: &'static str,
    /// The name of the figure, as the rig says it.
    pub(crate) figure: &'static str,
    gate: Option<u64>,
    full: Option<u64>,
}

impl Goal {
    /// How much has to be reached, if anything.
    pub(crate) const fn target(&self, column: Column) -> Option<u64> {
        match column {
            Column::Gate => self.gate,
            Column::Full => self.full,
        }
    }
}

const fn goal(
    number: &'static str,
    figure: &'static str,
    gate: Option<u64>,
    full: Option<u64>,
    promise: &'static str,
) -> Goal {
    Goal { number, promise, figure, gate, full }
}

/// All goals, in the order of the page.
#[rustfmt::skip] // a table
pub(crate) const GOALS: &[Goal] = &[
    goal("G1", "distinct crash states", Some(100_000), Some(2_000_000),
        "no crash loses an acknowledged commit, leaves half of one, is taken for damage, or asks for a repair"),
    goal("G2", "crashes of recovery", Some(10_000), Some(200_000),
        "nor does a crash in the middle of recovery, or of the recovery after it"),
    goal("G3", "states of the thinnest cell", Some(12), Some(1_000),
        "whatever the engine was doing, at every level of loss"),
    goal("G4", "syncs left out", Some(30), Some(30),
        "every sync is needed: without it a crash shows what is lost"),
    goal("G5", "bits flipped", Some(100_000), Some(6_000_000),
        "no flipped bit passes unnoticed"),
    goal("G6", "blocks and files damaged", Some(20_000), Some(240_000),
        "nor does a block or a file that is lost, old, misplaced, exchanged, cut, or of another environment"),
    goal("G9", "processes killed", Some(500), Some(10_000),
        "no killed process loses an acknowledged commit, 200 deaths in a row on one environment"),
    goal("G10", "power cuts", None, Some(2_000),
        "nor does power that fails below a real file system"),
    goal("G33", "crash states of both sides", Some(2500), Some(50_000),
        "whatever crashes of an environment and its replica, the other one has every acknowledged commit, and no stale one wins"),
    goal("G7", "calls failed", Some(1_300), Some(20_000),
        "no failing call to the disk causes a panic, loses a commit, or gets the wrong answer"),
    goal("G12", "simulated seeds", Some(200), Some(5_000),
        "with everything at work at once, and everything going wrong, no promise is broken"),
    goal("G13", "seeds that ran twice alike", Some(50), Some(1_000),
        "a seed does the same to the disks every time, byte for byte"),
    goal("G14", "transactions explained", Some(50_000), Some(1_000_000),
        "what transactions saw is explained by the order of their commits"),
    goal("G14", "planted anomalies", Some(12), Some(12),
        "a history that is not serializable is found out"),
    goal("G15", "schedules of threads", None, Some(200_000),
        "in whatever order threads take their steps, nobody waits for ever and nothing acknowledged is lost"),
    goal("G15", "planted races found", None, Some(4),
        "a wait that nobody ends, and a close that lets somebody in, are found out"),
    goal("G16", "fuzz executions of parsers", None, Some(100_000_000),
        "no input makes a decoder panic, hang, or take memory that its length does not justify"),
    goal("G16", "fuzz executions of engine targets", None, Some(1_000_000),
        "nor do hostile files, schedules and texts the engine"),
    goal("G18", "lines covered per thousand", None, Some(950),
        "the tests run nearly every line, in the least covered crate of the engine"),
    goal("G21", "suites interpreted", None, Some(4),
        "there is no undefined behaviour, no dependence on the byte order or on the size of a pointer"),
    goal("G23", "nonces used once", Some(200_000), Some(10_000_000),
        "no pair of key and nonce is used twice, whatever crashes, is copied, restored or rekeyed"),
    goal("G24", "tampering noticed", Some(3_000), Some(400_000),
        "who may write to an encrypted environment, and has no key, changes nothing unnoticed"),
    goal("G26", "inputs within 16 MiB", Some(10_000), Some(100_000),
        "no input makes opening, verifying or restoring take much memory, whatever lengths it claims"),
    goal("G26", "deaths for want of memory", Some(300), Some(5_000),
        "a process that gets no more memory loses nothing that was acknowledged"),
    goal("G20", "planted bugs found", None, Some(25),
        "bugs that other databases had would be found here"),
    goal("G31", "lines of tests per thousand of code", None, Some(1),
        "a report: how much of the project is tests and rigs"),
    goal("G32", "seconds that the gate leaves of 900", None, Some(1),
        "what every change has to pass takes at most 15 minutes"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_stands_twice_and_none_is_without_a_target() {
        for (index, goal) in GOALS.iter().enumerate() {
            let is_same =
                |other: &&Goal| (other.number, other.figure) == (goal.number, goal.figure);
            assert_eq!(GOALS.iter().position(|other| is_same(&other)), Some(index));
            assert!(goal.gate.or(goal.full).is_some(), "{} {}", goal.number, goal.figure);
        }
    }
}
