//! `Plan`: what a simulation is made of, and how often.

use cairn_io::SyncSite;
use cairn_sim::Bounds;

use crate::script::Settings;

/// What may happen in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "the simulation handles each")]
pub enum Event {
    /// A client begins a transaction, goes on with it, or ends it.
    Client,
    /// The background worker takes steps.
    Work,
    /// Time passes.
    Pass,
    /// A commit is submitted, or those that wait are waited for.
    Group,
    /// Everything is made durable.
    Sync,
    /// A snapshot is taken, looked at, or let go.
    Snapshot,
    /// Everything is read: as of now, and as far as it is durable.
    Read,
    /// A checkpoint.
    Checkpoint,
    /// Files are cleaned, or all of them made compact.
    Clean,
    /// An exclusive transaction, with others at work in the middle of it.
    Exclusive,
    /// A step of scrubbing.
    Scrub,
    /// Verification.
    Verify,
    /// A backup, with all the others at work between its pieces.
    Backup,
    /// A backup is restored and held against what it was made of.
    Restore,
    /// The environment is closed and opened again; with others in the way that is refused.
    Close,
    /// The process dies.
    Kill,
    /// The power fails.
    Power,
    /// In a moment the process dies or the power fails, in the middle of something.
    Doom,
    /// A call to the disk fails, or the device is full.
    Fault,
    /// A read gives wrong bytes, or none.
    Misread,
}

/// The events with how often each comes, relative to the others.
pub type Odds = &'static [(u32, Event)];

/// What a simulation is made of.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests state what they need")]
pub struct Plan {
    /// Its name on the command line.
    pub name: &'static str,
    /// How many events there are at most.
    pub steps: usize,
    /// What they are.
    pub odds: Odds,
    /// Transactions that are open at the same time, at most.
    pub clients: usize,
    /// How many databases there are at most.
    pub databases: usize,
    /// How many keys each has at most.
    pub keys: usize,
    /// How long values may be, in bytes.
    pub lens: &'static [u32],
    /// How the environment may be opened; each process chooses, but the number of data directories, and
    /// whether it is encrypted, stay what the first one chose.
    pub settings: &'static [Settings],
    /// Whether all is equally probable, so that going through every run takes no time for the same ones.
    pub is_even: bool,
    /// Where a power failure tears writes.
    pub bounds: Bounds,
    /// How deep crashes of recovery go.
    pub nested: usize,
    /// One process in so many is lied to: no sync does anything; 0: none.
    pub lies: usize,
    /// One state after a crash in so many is verified, and opened a second time.
    pub verify: usize,
    /// A sync that does nothing: a bug that must be found.
    pub without: Option<SyncSite>,
}

const ODDS: Odds = &[
    (560, Event::Client),
    (140, Event::Work),
    (40, Event::Pass),
    (40, Event::Group),
    (8, Event::Sync),
    (24, Event::Snapshot),
    (6, Event::Read),
    (8, Event::Checkpoint),
    (3, Event::Clean),
    (6, Event::Exclusive),
    (8, Event::Scrub),
    (1, Event::Verify),
    (3, Event::Backup),
    (1, Event::Restore),
    (1, Event::Close),
    (1, Event::Kill),
    (1, Event::Power),
    (3, Event::Doom),
    (2, Event::Fault),
    (2, Event::Misread),
];

const SETTINGS: &[Settings] = &[
    Settings { background: true, checkpoint: 16 << 10, space: 70, ..Settings::SMALL },
    Settings { checkpoint: 8 << 10, ..Settings::SMALL },
    Settings {
        compressed: true,
        background: true,
        cache: 64 << 10,
        leaf: 1024,
        space: 90,
        ..Settings::SMALL
    },
    Settings {
        background: true,
        leaf: 256,
        cache: 32 << 10,
        journal: 32 << 10,
        checkpoint: 64 << 10,
        space: 50,
        directories: 2,
        ..Settings::SMALL
    },
    Settings {
        encrypted: true,
        background: true,
        checkpoint: 16 << 10,
        space: 70,
        ..Settings::SMALL
    },
];

impl Plan {
    /// The length that goals speak of.
    pub const FULL: Self = Self {
        name: "full",
        steps: 5000,
        odds: ODDS,
        clients: 4,
        databases: 3,
        keys: 60,
        lens: &[0, 20, 60, 120, 190, 210, 900, 3000],
        settings: SETTINGS,
        is_even: false,
        bounds: Bounds::smoke(),
        nested: 3,
        lies: 20,
        verify: 4,
        without: None,
    };

    /// A short one.
    pub const SMOKE: Self = Self { name: "smoke", steps: 250, ..Self::FULL };

    /// One that a fuzzer steers: short, with more that goes wrong.
    pub const FUZZ: Self = Self {
        name: "fuzz",
        steps: 80,
        odds: &[
            (140, Event::Client),
            (40, Event::Work),
            (10, Event::Pass),
            (12, Event::Group),
            (3, Event::Sync),
            (8, Event::Snapshot),
            (3, Event::Read),
            (5, Event::Checkpoint),
            (2, Event::Clean),
            (4, Event::Exclusive),
            (3, Event::Scrub),
            (1, Event::Verify),
            (3, Event::Backup),
            (2, Event::Restore),
            (2, Event::Close),
            (3, Event::Kill),
            (4, Event::Power),
            (4, Event::Doom),
            (3, Event::Fault),
            (4, Event::Misread),
        ],
        ..Self::FULL
    };

    /// One of which every run is gone through.
    pub const TINY: Self = Self {
        name: "tiny",
        steps: 3,
        odds: &[(1, Event::Client), (1, Event::Power), (1, Event::Kill)],
        clients: 1,
        databases: 1,
        keys: 1,
        lens: &[20],
        settings: &[Settings::SMALL],
        is_even: true,
        bounds: Bounds::smoke(),
        nested: 0,
        lies: 0,
        verify: 1,
        without: None,
    };

    /// The plan of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        [Self::FULL, Self::SMOKE, Self::FUZZ, Self::TINY].into_iter().find(|plan| plan.name == name)
    }

    /// Whether such a thing happens at all.
    pub(super) fn has(&self, event: Event) -> bool {
        self.odds.iter().any(|(odds, of)| *of == event && *odds > 0)
    }
}
