//! Verdicts: the ledger held against the goals, for the terminal and for the page.

use std::collections::BTreeSet;

use super::{
    goals::{Column, GOALS, Goal},
    ledger::Entry,
};

/// What became of one row of the goals.
pub(super) struct Verdict<'l> {
    pub(super) goal: &'static Goal,
    target: u64,
    value: u64,
    wrong: u64,
    entries: Vec<&'l Entry>,
}

impl Verdict<'_> {
    /// Whether as much was reached as is wanted, and all of it was right.
    pub(super) const fn holds(&self) -> bool {
        self.wrong == 0 && self.value >= self.target
    }

    /// Whether nobody has measured it.
    const fn is_open(&self) -> bool {
        self.entries.is_empty()
    }

    fn word(&self) -> &'static str {
        match (self.is_open(), self.holds()) {
            (true, _) => "not measured",
            (_, true) => "holds",
            _ if self.wrong > 0 => "BROKEN",
            _ => "too few",
        }
    }
}

/// One verdict for each row that has a target in the column.
pub(super) fn verdicts(column: Column, entries: &[Entry]) -> Vec<Verdict<'_>> {
    let verdict = |goal: &'static Goal| {
        let target = goal.target(column)?;
        let is_its = |entry: &&Entry| entry.goal == goal.number && entry.name == goal.figure;
        let entries: Vec<&Entry> = entries.iter().filter(is_its).collect();
        let sum = |part: fn(&Entry) -> u64| entries.iter().map(|entry| part(entry)).sum();
        let (value, wrong) = (sum(|entry| entry.value), sum(|entry| entry.wrong));
        Some(Verdict { goal, target, value, wrong, entries })
    };
    GOALS.iter().filter_map(verdict).collect()
}

/// A table for the terminal.
pub(super) fn text(verdicts: &[Verdict<'_>]) -> String {
    let mut text = String::new();
    for verdict in verdicts {
        let Verdict { goal, target, value, wrong, .. } = verdict;
        text.push_str(&format!(
            "{:4} {:28} {:>11} of {:>11}  {:>3} wrong  {}\n",
            goal.number,
            goal.figure,
            with_commas(*value),
            with_commas(*target),
            wrong,
            verdict.word()
        ));
    }
    text
}

/// The table of the page: the full column.
pub(super) fn page(entries: &[Entry]) -> String {
    let mut text = String::from(
        "| | promise | counted | figure | goal | wrong | command | commit, date | minutes |\n\
         |---|---|---|--:|--:|--:|---|---|--:|\n",
    );
    for verdict in verdicts(Column::Full, entries) {
        let Verdict { goal, target, value, wrong, entries } = &verdict;
        let (figure, wrong) = match verdict.is_open() {
            true => ("not measured yet".to_owned(), "–".to_owned()),
            false if verdict.holds() => (format!("**{}**", with_commas(*value)), wrong.to_string()),
            false => (with_commas(*value), wrong.to_string()),
        };
        let one_of = |part: fn(&Entry) -> String| {
            let all: BTreeSet<String> = entries.iter().map(|entry| part(entry)).collect();
            all.into_iter().collect::<Vec<_>>().join("; ")
        };
        let command = match entries.as_slice() {
            [] => String::new(),
            [one] => format!("`{}`", one.command),
            [first, .., last] => {
                let last = first_difference(&first.command, &last.command);
                format!("`{}` … `{last}` ({})", first.command, entries.len())
            }
        };
        let seconds: u64 = entries.iter().map(|entry| entry.seconds).sum();
        text.push_str(&format!(
            "| {} | {} | {} | {figure} | {} | {wrong} | {command} | {} | {} |\n",
            goal.number,
            goal.promise,
            goal.figure,
            with_commas(*target),
            one_of(|entry| format!("{}, {}", entry.commit, entry.date)),
            if entries.is_empty() { String::new() } else { seconds.div_ceil(60).to_string() },
        ));
    }
    text
}

/// The first word in which a command differs from the one before: a seed or a part.
fn first_difference<'l>(before: &str, command: &'l str) -> &'l str {
    let mut words = before.split(' ').zip(command.split(' '));
    words.find(|(before, word)| before != word).map_or(command, |(_, word)| word)
}

/// `1234567` as `1,234,567`.
fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{super::ledger::entry, *};

    fn of_first(entries: &[Entry]) -> &'static str {
        verdicts(Column::Full, entries)[0].word()
    }

    #[test]
    fn shards_add_up_and_one_wrong_state_breaks_the_goal() {
        let shard = |value, wrong| entry("G1", "distinct crash states", value, wrong);
        assert_eq!(of_first(&[]), "not measured");
        assert_eq!(of_first(&[shard(1_999_999, 0)]), "too few");
        assert_eq!(of_first(&[shard(1_999_999, 0), shard(1, 0)]), "holds");
        assert_eq!(of_first(&[shard(1_999_999, 0), shard(1, 1)]), "BROKEN");
        let other = entry("G1", "another figure", 9_999_999, 0);
        assert_eq!(of_first(&[other]), "not measured");
    }

    #[test]
    fn the_page_names_commands_seeds_and_commits() {
        let mut last = entry("G1", "distinct crash states", 1_000_000, 0);
        last.command = "rig --seed 0x5".to_owned();
        let page = page(&[entry("G1", "distinct crash states", 1_000_000, 0), last]);
        let row = page.lines().nth(2).unwrap();
        let wanted = "| distinct crash states | **2,000,000** | 2,000,000 | 0 | \
                      `rig --seed 0x1` … `0x5` (2) | 0123456, 2026-01-02 | 3 |";
        assert!(row.ends_with(wanted), "{row}");
        assert!(page.lines().nth(3).unwrap().contains("not measured yet"));
    }
}
