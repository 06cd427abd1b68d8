//! `Part`: one of several parts of a long list, so that a long run can be done in pieces.

use std::{fmt, str::FromStr};

/// Each `of`-th case, beginning with that of its number: parts take about the same time, and together they are
/// everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it prints and parses")]
pub struct Part {
    /// Which one, from 1.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

impl Part {
    /// Everything.
    pub const ALL: Self = Self { number: 1, of: 1 };

    /// Whether the case of this index is in it.
    #[must_use]
    pub const fn has(self, index: usize) -> bool {
        index % self.of + 1 == self.number
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| match text.strip_prefix("0x") {
            Some(hex) => usize::from_str_radix(hex, 16).ok(),
            None => text.parse().ok(),
        };
        let part = text
            .split_once('/')
            .and_then(|(part, of)| Some(Self { number: number(part)?, of: number(of)? }))
            .filter(|part| (1..=part.of).contains(&part.number));
        part.ok_or_else(|| format!("not a part: {text:?}; the third of eight is `3/8`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_print_and_parse_back_and_each_case_is_in_one() {
        assert_eq!("0x3/8".parse::<Part>().unwrap().to_string(), "3/8");
        for text in ["", "3", "0/8", "9/8", "1/0"] {
            assert!(text.parse::<Part>().is_err(), "{text}");
        }
        let parts = |index| (1..=8).filter(|&number| Part { number, of: 8 }.has(index)).count();
        assert!((0..100).all(|index| parts(index) == 1));
        assert!((0..100).all(|index| Part::ALL.has(index)));
    }
}
