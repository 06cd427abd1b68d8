//! `Table`: how many distinct states were looked at, by what the engine did and by what was lost.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt::{self, Write as _},
};

use cairn_sim::Level;

use crate::row::Row;

/// Distinct states by row and crash level. A state is an image together with what was known: the
/// same image after one more acknowledgement is another state.
#[derive(Clone, Debug, Default)]
pub struct Table {
    cells: BTreeMap<Cell, BTreeSet<u64>>,
    /// Those of all cells, because it is asked after each round how many they are.
    all: HashSet<u64>,
}

/// What the engine did, and what was lost.
pub(crate) type Cell = (Row, Level);

fn cells() -> impl Iterator<Item = Cell> {
    Row::ALL.iter().flat_map(|&row| Level::ALL.map(|level| (row, level)))
}

impl Table {
    /// Enters a state; returns whether its cell had it not.
    pub fn enter(&mut self, row: Row, level: Level, state: u64) -> bool {
        self.all.insert(state);
        self.cells.entry((row, level)).or_default().insert(state)
    }

    /// Adds the states of another table.
    pub fn merge(&mut self, other: Self) {
        self.all.extend(other.all);
        for (cell, states) in other.cells {
            self.cells.entry(cell).or_default().extend(states);
        }
    }

    /// How many states a cell has.
    #[must_use]
    pub fn count(&self, row: Row, level: Level) -> u64 {
        self.cells.get(&(row, level)).map_or(0, |states| states.len() as u64)
    }

    /// How many states these cells have, together.
    pub(crate) fn count_in(&self, cells: &BTreeSet<Cell>) -> u64 {
        cells.iter().map(|(row, level)| self.count(*row, *level)).sum()
    }

    /// How many distinct states there are in all: one that stands in several cells counts once.
    #[must_use]
    pub fn distinct(&self) -> u64 {
        self.all.len() as u64
    }

    /// How many distinct states there are in these rows.
    #[must_use]
    pub fn distinct_in(&self, rows: &[Row]) -> u64 {
        let cells = self.cells.iter().filter(|((row, _), _)| rows.contains(row));
        let all: BTreeSet<u64> = cells.flat_map(|(_, states)| states).copied().collect();
        all.len() as u64
    }

    /// How many states the cell with the fewest has.
    #[must_use]
    pub fn thinnest(&self) -> u64 {
        cells().map(|(row, level)| self.count(row, level)).min().unwrap_or(0)
    }

    /// Cells with fewer than `min` states: what was not looked at is not proved.
    pub(crate) fn thin_cells(&self, min: u64) -> impl Iterator<Item = Cell> {
        cells().filter(move |(row, level)| self.count(*row, *level) < min)
    }

    /// As words, what cells have fewer than `min` states.
    #[must_use]
    pub fn thin(&self, min: u64) -> Vec<String> {
        let told = |(row, level)| {
            let count = self.count(row, level);
            format!("{row} at {level} has {count} states, fewer than {min}")
        };
        self.thin_cells(min).map(told).collect()
    }

    /// The cells that have states.
    pub(crate) fn filled(&self) -> impl Iterator<Item = Cell> {
        self.cells.keys().copied()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut head = format!("{:24}", "distinct states");
        for level in Level::ALL {
            write!(head, "{:>9}", level.to_string())?;
        }
        writeln!(f, "{head}")?;
        for &row in Row::ALL {
            write!(f, "{row:24}")?;
            for level in Level::ALL {
                write!(f, "{:>9}", self.count(row, level))?;
            }
            writeln!(f)?;
        }
        writeln!(f, "{} in the rows of the cleaner", self.distinct_in(Row::CLEANING))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_counted_once_in_a_cell_and_once_in_all() {
        let mut table = Table::default();
        assert!(table.enter(Row::Commit, Level::Prefix, 1));
        assert!(!table.enter(Row::Commit, Level::Prefix, 1));
        let mut other = Table::default();
        other.enter(Row::Commit, Level::Prefix, 2);
        other.enter(Row::Commit, Level::Subset, 1);
        table.merge(other);
        assert_eq!(table.count(Row::Commit, Level::Prefix), 2);
        assert_eq!((table.count(Row::Commit, Level::Subset), table.distinct()), (1, 2));
    }

    #[test]
    fn a_thin_cell_is_named() {
        let mut table = Table::default();
        for &row in Row::ALL {
            for level in Level::ALL {
                for state in 0..10 {
                    table.enter(row, level, state);
                }
            }
        }
        assert_eq!(table.thin(10), [""; 0]);
        assert_eq!(table.thinnest(), 10);
        let row = Row::Group;
        table.enter(row, Level::Torn, 99);
        let thin = table.thin(11);
        assert_eq!(thin.len(), Row::ALL.len() * 5 - 1);
        assert!(thin.contains(&"close at L2 has 10 states, fewer than 11".to_owned()));
        assert!(!thin.iter().any(|text| text.starts_with("group, then sync at L4")));
    }
}
