//! `RestoreTo`: the moment to which a restore goes.

use std::fmt;

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
}

impl fmt::Display for RestoreTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => f.write_str("the newest commit"),
            Self::Commit(commit) => write!(f, "commit {commit}"),
            Self::Label(label) => write!(f, "the mark {label:?}"),
            Self::Time(micros) => write!(f, "the time {micros} µs after 1970"),
        }
    }
}
