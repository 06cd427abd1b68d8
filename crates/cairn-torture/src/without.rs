//! `Without`: syncs that are made to do nothing.

use std::fmt;

use cairn_io::SyncSite;
use cairn_sim::Trace;

/// The syncs of a site, all of them or those at places of one kind: as if the disk had said `Ok` to them
/// and done nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "mutants state each field")]
pub struct Without {
    /// The site.
    pub site: SyncSite,
    /// Where.
    pub place: Place,
}

/// Places of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "mutants go through all")]
pub enum Place {
    /// Everywhere.
    Anywhere,
    /// In a data directory, and of one.
    DataDirectory,
    /// In the generation that a restore in place has made, and of it.
    NewGeneration,
    /// Of a value file.
    ValueFile,
}

impl Place {
    /// All kinds.
    pub const ALL: [Self; 4] =
        [Self::Anywhere, Self::DataDirectory, Self::NewGeneration, Self::ValueFile];

    fn has(self, path: &str) -> bool {
        match self {
            Self::Anywhere => true,
            Self::DataDirectory => path.starts_with("data"),
            Self::NewGeneration => path.contains("g-") && !path.contains("g-000001"),
            Self::ValueFile => path.rsplit('/').next().is_some_and(|name| name.starts_with("V-")),
        }
    }
}

impl Without {
    /// Whether a sync of this site at this place is one of them.
    #[must_use]
    pub fn has(&self, site: SyncSite, path: &str) -> bool {
        self.site == site && self.place.has(path)
    }

    /// The trace without them.
    #[must_use]
    pub fn removed_from(&self, trace: &Trace) -> Trace {
        trace.without_syncs(|site, entry| self.has(site, entry.path()))
    }
}

impl fmt::Display for Without {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.place {
            Place::Anywhere => "",
            Place::DataDirectory => " in data directories",
            Place::NewGeneration => " in a new generation",
            Place::ValueFile => " of value files",
        };
        f.pad(&format!("{}{place}", self.site))
    }
}
