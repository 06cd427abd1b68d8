//! `Figure`: what a rig has counted toward one of the goals of `docs/reliability.md`.

use serde_json::json;

/// One count. Figures of the same goal and name add up, so that a goal can be reached in shards.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the rigs state each")]
pub struct Figure {
    /// The goal, as `docs/reliability.md` numbers it: `G1`.
    pub goal: &'static str,
    /// What was counted, in plain words.
    pub name: &'static str,
    /// How many.
    pub value: u64,
    /// How many of them were not as they must be; 0 is the only good number.
    pub wrong: u64,
}

impl Figure {
    /// The figure as a line of JSON, with the seed that repeats it.
    #[must_use]
    pub fn line(&self, seed: u64) -> String {
        let Self { goal, name, value, wrong } = self;
        let seed = format!("{seed:#x}");
        json!({"goal": goal, "name": name, "value": value, "wrong": wrong, "seed": seed})
            .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_a_line_that_names_its_seed() {
        let figure = Figure { goal: "G1", name: "distinct crash states", value: 7, wrong: 0 };
        assert_eq!(
            figure.line(16),
            r#"{"goal":"G1","name":"distinct crash states","seed":"0x10","value":7,"wrong":0}"#
        );
    }
}
