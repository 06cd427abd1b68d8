//! How a store is opened.

use crate::{RdbResult, names};

/// How sensitive the data is. It is recorded and checked; what follows from it is the application's.
///
/// They are in order. The numbers are those of ArkData's relational store.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[non_exhaustive]
#[repr(u8)]
pub enum SecurityLevel {
    /// Low: its disclosure does little harm.
    S1 = 1,
    /// Medium.
    S2 = 2,
    /// High.
    S3 = 3,
    /// Critical.
    S4 = 4,
}

/// What keeps a second copy of a store. The numbers are ArkData's.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[repr(u8)]
pub enum HaMode {
    /// Nothing but what its environment has.
    #[default]
    Single = 0,
    /// The replica of its environment, which must have one.
    MainReplica = 1,
    /// The replica of its environment, when it is told to.
    ManualTrigger = 2,
}

/// What became of a store that was damaged when it was opened. The numbers are ArkData's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum RebuildType {
    /// It was not damaged.
    #[default]
    None = 0,
    /// It is empty now.
    Rebuilt = 1,
    /// It is as its replica was.
    Repaired = 2,
}

/// How a store is opened.
///
/// | option | at a later open |
/// |---|---|
/// | `encrypt` | must be the same, else [`RdbError::ConfigChanged`](crate::RdbError::ConfigChanged) |
/// | `security_level` | may be raised, not lowered |
/// | `ha_mode` | recorded anew |
/// | `allow_rebuild`, `read_only`, `result_sets` | not recorded |
///
/// An open for reading records nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RdbConfig {
    /// The name of the store: one component of a path, of 1 to 128 bytes without control characters. SQLite's own names
    /// (`file:…`, `…-wal`, `…-shm`, `…-journal`, `…-mj…`) are refused.
    pub name: String,
    /// How sensitive the data is. There is no default.
    pub security_level: SecurityLevel,
    /// Whether the store must be encrypted (default: no). Encryption belongs to the environment: in one
    /// that is encrypted every store is, and in one that is not this is refused.
    pub encrypt: bool,
    /// Whether a store that is damaged beyond repair is set aside by an open, and an empty one takes its place
    /// (default: no).
    pub allow_rebuild: bool,
    /// Whether this handle only reads (default: no). The store must exist.
    pub read_only: bool,
    /// What keeps a second copy of it (default: nothing but what its environment has).
    pub ha_mode: HaMode,
    /// Most result sets that are open at a time (default: 64): each has a connection of its own. It holds for all
    /// handles of the store in this process; the newest open decides.
    pub result_sets: usize,
}

impl RdbConfig {
    /// The defaults, for a store of this name whose data is so sensitive.
    #[must_use]
    pub fn new(name: impl Into<String>, security_level: SecurityLevel) -> Self {
        Self {
            name: name.into(),
            security_level,
            encrypt: false,
            allow_rebuild: false,
            read_only: false,
            ha_mode: HaMode::default(),
            result_sets: 64,
        }
    }

    /// An error unless it makes sense by itself.
    pub(crate) fn check(&self) -> RdbResult<()> {
        names::check_store_name(&self.name)
    }
}

macro_rules! setters {
    ($($name:ident: $type:ty;)+) => {
        impl RdbConfig {
            $(
                #[doc = concat!("Sets [`RdbConfig::", stringify!($name), "`](RdbConfig#structfield.", stringify!($name), ").")]
                #[must_use]
                pub const fn $name(mut self, $name: $type) -> Self {
                    self.$name = $name;
                    self
                }
            )+
        }
    };
}

setters! {
    encrypt: bool;
    allow_rebuild: bool;
    read_only: bool;
    ha_mode: HaMode;
    result_sets: usize;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_arkdata() {
        use SecurityLevel::{S1, S2, S3, S4};
        assert_eq!([S1, S2, S3, S4].map(|level| level as u8), [1, 2, 3, 4]);
        assert!(S1 < S2 && S2 < S3 && S3 < S4);
        let modes = [HaMode::Single, HaMode::MainReplica, HaMode::ManualTrigger];
        assert_eq!(modes.map(|mode| mode as u8), [0, 1, 2]);
        let kinds = [RebuildType::None, RebuildType::Rebuilt, RebuildType::Repaired];
        assert_eq!(kinds.map(|kind| kind as u8), [0, 1, 2]);
    }
}
