//! `ConflictResolution`: what happens when a row that is written violates a constraint.

/// What happens when a row that is written violates a constraint that is about uniqueness, or about null.
///
/// The numbers are ArkData's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum ConflictResolution {
    /// As the table says, which is to say [`ConflictResolution::Abort`] if it says nothing.
    #[default]
    None = 0,
    /// An error, and the transaction is rolled back.
    Rollback = 1,
    /// An error, and the statement has changed nothing.
    Abort = 2,
    /// An error, and what the statement has changed before stays.
    Fail = 3,
    /// The row is left out, and the statement goes on.
    Ignore = 4,
    /// The rows that are in the way are deleted first.
    Replace = 5,
}

impl ConflictResolution {
    /// What stands in the statement, with a space before it.
    #[must_use]
    pub const fn sql(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Rollback => " OR ROLLBACK",
            Self::Abort => " OR ABORT",
            Self::Fail => " OR FAIL",
            Self::Ignore => " OR IGNORE",
            Self::Replace => " OR REPLACE",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ConflictResolution::{Abort, Fail, Ignore, None, Replace, Rollback};

    #[test]
    fn the_numbers_and_texts_are_those_of_arkdata() {
        let all = [None, Rollback, Abort, Fail, Ignore, Replace];
        assert_eq!(all.map(|conflict| conflict as u8), [0, 1, 2, 3, 4, 5]);
        let texts = all.map(|conflict| conflict.sql().trim());
        assert_eq!(texts, ["", "OR ROLLBACK", "OR ABORT", "OR FAIL", "OR IGNORE", "OR REPLACE"]);
    }
}
