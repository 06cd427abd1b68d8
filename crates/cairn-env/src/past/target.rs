//! `RestoreTo`: the moment to which a restore goes.

use std::fmt;

use cairn_log::Lsn;

/// The moment to which a restore goes: what is then there is as one commit has left it.
///
/// ```
/// # use cairn_env::RestoreTo;
/// let before = RestoreTo::Label("before-migration".into());
/// assert_eq!(before.to_string(), "the mark \"before-migration\"");
/// assert_eq!(RestoreTo::default(), RestoreTo::Newest);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreTo {
    /// The newest commit of which there is anything.
    #[default]
    Newest,
    /// The commit with this number.
    Commit(u64),
    /// The latest [mark](crate::Environment::mark) with this label.
    Label(String),
    /// The newest commit that is not later than this, in microseconds since 1970. What counts is the time that
    /// stands in the commits, which never goes back, also if the clock of the machine did.
    Time(u64),
    /// The newest commit whose record does not stand behind this position in the log: as `cairn log` shows them, and
    /// [`Mark::lsn`](crate::Mark#structfield.lsn) has it. Nothing follows from a position but its order.
    Lsn(Lsn),
}

impl fmt::Display for RestoreTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => f.write_str("the newest commit"),
            Self::Commit(commit) => write!(f, "commit {commit}"),
            Self::Lsn(lsn) => write!(f, "position {lsn}"),
            Self::Label(label) => write!(f, "the mark {label:?}"),
            Self::Time(micros) => {
                let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
                let (days, second) = (seconds / 86_400, seconds % 86_400);
                let (year, month, day) = date(days);
                let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
                write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
                if fraction > 0 {
                    write!(f, ".{fraction:06}")?;
                }
                f.write_str("Z")
            }
        }
    }
}

/// Year, month and day so many days after the first of 1970, in the calendar of Gregory.
fn date(days: u64) -> (u64, u64, u64) {
    // Years begin in March here, so that the day that comes and goes is the last one of one.
    const BEFORE_1970: u64 = 719_468;
    const IN_400_YEARS: u64 = 146_097;
    let days = days + BEFORE_1970;
    let (cycle, day) = (days / IN_400_YEARS, days % IN_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Five months of the same lengths, over and over: 31, 30, 31, 30, 31.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        0..=9 => (400 * cycle + year, month + 3),
        _ => (400 * cycle + year + 1, month - 9),
    };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_as_people_write_it() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (32_472_144_000, "2999-01-01T00:00:00Z"),
        ] {
            assert_eq!(RestoreTo::Time(seconds * 1_000_000).to_string(), expected);
        }
        assert_eq!(RestoreTo::Time(250_000).to_string(), "1970-01-01T00:00:00.250000Z");
        assert!(!RestoreTo::Time(u64::MAX).to_string().is_empty());
    }
}
