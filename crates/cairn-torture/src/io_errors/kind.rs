//! `Kind`: what happens to a call, and what may be said about it.

use std::{fmt, str::FromStr};

use cairn_env::ErrorKind;
use cairn_sim::{Fault, Rule};

/// What happens to one call of a run, or to all from that one on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "each has its own promise")]
pub enum Kind {
    /// It fails with EIO, and the next one works.
    Eio,
    /// It fails with EIO, and so does every later one.
    EioOn,
    /// It fails with ENOSPC, and the next one works.
    NoSpace,
    /// A transfer is interrupted by a signal.
    Interrupted,
    /// A transfer moves half of the bytes.
    Short,
    /// A transfer moves nothing and says so.
    Zero,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Eio, Self::EioOn, Self::NoSpace, Self::Interrupted, Self::Short, Self::Zero];

    /// Its name, as in the identity of a case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eio => "eio",
            Self::EioOn => "eio-on",
            Self::NoSpace => "enospc",
            Self::Interrupted => "eintr",
            Self::Short => "short",
            Self::Zero => "zero",
        }
    }

    /// What the figure is called that counts it.
    pub(super) const fn figure(self) -> &'static str {
        match self {
            Self::Eio => "calls failed: EIO once",
            Self::EioOn => "calls failed: EIO from there on",
            Self::NoSpace => "calls failed: ENOSPC",
            Self::Interrupted => "calls failed: EINTR",
            Self::Short => "calls failed: short transfer",
            Self::Zero => "calls failed: transfer of nothing",
        }
    }

    /// Whether only reads and writes of bytes can be struck.
    pub(super) const fn is_of_transfers(self) -> bool {
        matches!(self, Self::Interrupted | Self::Short | Self::Zero)
    }

    /// Whether an error of this kind tells the truth about it: what failed is the disk, or there is no
    /// room, or the environment failed for that reason. An interruption or a short transfer is nobody's
    /// business.
    pub(super) fn explains(self, kind: ErrorKind) -> bool {
        match self {
            Self::Eio | Self::EioOn | Self::Zero => {
                matches!(kind, ErrorKind::Io | ErrorKind::Poisoned)
            }
            Self::NoSpace => matches!(kind, ErrorKind::Full | ErrorKind::Poisoned),
            Self::Interrupted | Self::Short => false,
        }
    }

    /// The rule that lets it strike the call `index`, counted from now.
    pub(super) fn rule(self, index: u64) -> Rule {
        let rule = |fault| Rule::new(fault).nth(index);
        match self {
            Self::Eio => rule(Fault::Eio),
            Self::EioOn => rule(Fault::Eio).and_on(),
            Self::NoSpace => rule(Fault::NoSpace),
            Self::Interrupted => rule(Fault::Interrupted),
            Self::Short => rule(Fault::Short),
            Self::Zero => rule(Fault::Zero),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| format!("there is no kind {text:?}"))
    }
}
