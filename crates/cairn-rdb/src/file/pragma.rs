//! Pragma: what a handle says to settings that are about its file.

use std::{borrow::Cow, time::Duration};

use cairn_env::Durability;

/// How much a transaction waits for, as `PRAGMA synchronous` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Synchronous {
    Off,
    Normal,
    #[default]
    Full,
}

impl Synchronous {
    /// What it is for commits of an environment whose own commits are `full`.
    pub(super) fn durability(self, full: Durability) -> Durability {
        /// After a power failure commits of so long may be missing; with SQLite's log it may be more.
        const NORMAL: Duration = Duration::from_secs(1);
        match self {
            Self::Off => Durability::NoSync,
            Self::Normal if full == Durability::Sync => Durability::Relaxed(NORMAL),
            Self::Normal | Self::Full => full,
        }
    }
}

/// What a pragma is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// SQLite goes on with it.
    None,
    /// That is what it is set to, whatever was asked for.
    Text(Cow<'static, str>),
}

/// Asks a connection for the environment that its files live in: its [`id`](super::Files#structfield.id). Other
/// connections answer nothing.
pub(crate) const ENVIRONMENT: &str = "cairn_environment";

/// Looks at a pragma about the file of a handle.
pub(super) fn pragma(name: &str, value: Option<&str>, synchronous: &mut Synchronous) -> Reply {
    let is = |value: Option<&str>, word: &str| value.is_some_and(|v| v.eq_ignore_ascii_case(word));
    if name.eq_ignore_ascii_case("journal_mode") && is(value, "off") {
        // Without a journal SQLite could not take a statement back.
        return Reply::Text("memory".into());
    }
    if name.eq_ignore_ascii_case("locking_mode") && is(value, "exclusive") {
        // SQLite then counts several commits as one change, and readers, whom nobody keeps out here, would go
        // on with what they remember.
        return Reply::Text("normal".into());
    }
    if name.eq_ignore_ascii_case("synchronous")
        && let Some(value) = value
    {
        *synchronous = level(value);
    }
    Reply::None
}

/// The level that SQLite takes a word for.
fn level(word: &str) -> Synchronous {
    let is = |words: &[&str]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
    if is(&["off", "no", "false"]) || word.starts_with('0') {
        Synchronous::Off
    } else if is(&["full", "extra"]) || word.starts_with(['2', '3']) {
        Synchronous::Full
    } else {
        Synchronous::Normal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_understood_as_sqlite_understands_them() {
        let mut synchronous = Synchronous::Full;
        for (word, is) in [
            ("OFF", Synchronous::Off),
            ("0", Synchronous::Off),
            ("normal", Synchronous::Normal),
            ("1", Synchronous::Normal),
            ("Full", Synchronous::Full),
            ("3", Synchronous::Full),
        ] {
            assert_eq!(pragma("synchronous", Some(word), &mut synchronous), Reply::None);
            assert_eq!(synchronous, is, "{word}");
        }
        assert_eq!(
            pragma("journal_mode", Some("OFF"), &mut synchronous),
            Reply::Text("memory".into())
        );
        assert_eq!(
            pragma("Locking_Mode", Some("exclusive"), &mut synchronous),
            Reply::Text("normal".into())
        );
        assert_eq!(pragma("locking_mode", None, &mut synchronous), Reply::None);
    }
}
