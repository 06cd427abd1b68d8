//! What a crash may leave: levels, bounds, and the images of each level.
//!
//! | level | what of the pending operations is found after the crash |
//! |---|---|
//! | L0 | all: only the process died |
//! | L1 | none |
//! | L2 | any prefix, in the order in which they were done |
//! | L3 | any subset, across files and directories |
//! | L4 | as L3, and one write that is kept is torn |
//!
//! Changes of names depend on each other where they meet: a rename cannot be found without the
//! creation of what it renames, nor a name given anew without what freed it. A change is found
//! only together with the earlier pending ones that share a name or a file with it in the same
//! directory. Writes depend on nothing: bytes may be there without the name, the name without the
//! bytes, and later bytes without earlier ones.
//!
//! A torn write lacks its end from any byte on, or its beginning up to a sector's edge. In place of
//! what is lost there are the old bytes (with the old length, so the length may lag behind the
//! bytes), zeros with the new length (so the length may be there without any bytes), or anything.

mod plan;

use std::{fmt, sync::Arc};

use crate::{
    chooser::Chooser,
    image::Image,
    model::{Fill, Pending, Persistence, Tear},
    trace::Entry,
};
use plan::{Plan, Selection};

/// How a crash treats what no sync has made durable. The [module](self) has the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// L0: the process died, the system did not. All is kept.
    KeepAll,
    /// L1: all of it is lost.
    LoseAll,
    /// L2: it is kept up to some operation and lost from there on.
    Prefix,
    /// L3: any of it is kept.
    Subset,
    /// L4: any of it is kept, and one kept write is torn.
    Torn,
}

impl Level {
    /// All levels, mildest first.
    pub const ALL: [Self; 5] =
        [Self::KeepAll, Self::LoseAll, Self::Prefix, Self::Subset, Self::Torn];
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeepAll => "L0",
            Self::LoseAll => "L1",
            Self::Prefix => "L2",
            Self::Subset => "L3",
            Self::Torn => "L4",
        })
    }
}

/// Bytes that a disk writes at once, as far as tearing goes.
pub const SECTOR: usize = 512;

/// How far [`Crash::images`] goes where there are too many images. Samples depend on `seed` and on
/// the place of the cut, and on nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Up to so many pending operations L3 takes all subsets; beyond, all prefixes, all but one of
    /// each, each alone, and samples.
    pub subsets_of_max: usize,
    /// Subsets sampled beyond that.
    pub subsets_sampled: usize,
    /// Up to so many pending operations L4 tears each write in all subsets that hold it; beyond,
    /// as the last one kept, among all, alone, and in samples.
    pub torn_subsets_of_max: usize,
    /// Subsets sampled for each write beyond that.
    pub torn_subsets_sampled: usize,
    /// Writes of up to so many bytes are torn at every byte; longer ones at sector edges and the
    /// bytes beside them, where the file ended, and at samples.
    pub every_byte_max: usize,
    /// Sector edges looked at in one write, evenly spread if there are more.
    pub edges_max: usize,
    /// Places sampled in one write.
    pub tears_sampled: usize,
    /// Where samples come from.
    pub seed: u64,
}

impl Bounds {
    /// Of more operations than this nobody takes all subsets, whatever the bounds say.
    pub const ALL_SUBSETS_OF_MAX: usize = 24;

    /// For every change to the code: all kinds of images, few of each.
    #[must_use]
    pub const fn smoke() -> Self {
        Self {
            subsets_of_max: 5,
            subsets_sampled: 16,
            torn_subsets_of_max: 1,
            torn_subsets_sampled: 1,
            every_byte_max: 0,
            edges_max: 4,
            tears_sampled: 4,
            seed: 0,
        }
    }

    /// For long runs: what is feasible is complete.
    #[must_use]
    pub const fn full() -> Self {
        Self {
            subsets_of_max: 8,
            subsets_sampled: 256,
            torn_subsets_of_max: 3,
            torn_subsets_sampled: 4,
            every_byte_max: 4096,
            edges_max: usize::MAX,
            tears_sampled: 64,
            seed: 0,
        }
    }

    /// The same with other samples.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// What a crash at some instant may leave.
#[derive(Clone, Copy, Debug)]
pub struct Crash<'p> {
    persistence: &'p Persistence,
    position: usize,
}

impl<'p> Crash<'p> {
    pub(crate) fn new(persistence: &'p Persistence, position: usize) -> Self {
        Self { persistence, position }
    }

    /// The operations that no sync has made durable, in the order in which they were done.
    pub fn pending(&self) -> impl ExactSizeIterator<Item = &'p Entry> + use<'p> {
        self.persistence.pending().iter().map(|pending| &*pending.entry)
    }

    /// The images of a level, within bounds, each made when it is asked for. Different selections
    /// may leave the same image: [`Image::hash`] tells.
    pub fn images(
        &self,
        level: Level,
        bounds: &Bounds,
    ) -> impl Iterator<Item = CrashImage> + use<'p> {
        let plan = Plan::new(self.persistence, level, bounds, self.position);
        let pending: Arc<[Pending]> = self.persistence.pending().into();
        let Self { persistence, position } = *self;
        plan.selections().map(move |selection| {
            CrashImage::new(persistence, level, position, Arc::clone(&pending), selection)
        })
    }

    /// One image of a level, found by choices; the plainest choices keep everything. `bounds` say
    /// where a write may be torn. Every image of [`Crash::images`] can be found, and others.
    pub fn choose(
        &self,
        level: Level,
        bounds: &Bounds,
        chooser: &mut (impl Chooser + ?Sized),
    ) -> CrashImage {
        let plan = Plan::new(self.persistence, level, bounds, self.position);
        let selection = plan.choose(chooser);
        let pending = self.persistence.pending().into();
        CrashImage::new(self.persistence, level, self.position, pending, selection)
    }
}

/// What a crash left, and how it came to that. It prints as a line for a failure's message.
#[derive(Clone, Debug)]
pub struct CrashImage {
    /// What is on the disk.
    pub image: Image,
    /// The level it belongs to.
    pub level: Level,
    position: usize,
    pending: Arc<[Pending]>,
    selection: Selection,
}

impl CrashImage {
    fn new(
        persistence: &Persistence,
        level: Level,
        position: usize,
        pending: Arc<[Pending]>,
        selection: Selection,
    ) -> Self {
        let image = persistence.image(&selection.kept, selection.torn.as_ref());
        Self { image, level, position, pending, selection }
    }

    /// The pending operations that are found after the crash, a torn one included.
    pub fn kept(&self) -> impl Iterator<Item = &Entry> {
        self.having(true)
    }

    /// The pending operations that are lost.
    pub fn lost(&self) -> impl Iterator<Item = &Entry> {
        self.having(false)
    }

    fn having(&self, kept: bool) -> impl Iterator<Item = &Entry> {
        let pending = self.pending.iter().zip(&self.selection.kept);
        pending.filter(move |(_, is)| **is == kept).map(|(pending, _)| &*pending.entry)
    }
}

impl fmt::Display for CrashImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {} operations", self.level, self.position)?;
        let list = |f: &mut fmt::Formatter<'_>, what, kept| {
            let mut lead = what;
            for (pending, _) in
                self.pending.iter().zip(&self.selection.kept).filter(|(_, is)| **is == kept)
            {
                write!(f, "{lead} #{} {}", pending.number, pending.entry)?;
                lead = ",";
            }
            Ok(())
        };
        list(f, "; kept", true)?;
        list(f, "; lost", false)?;
        if let Some((index, Tear { lost, fill })) = &self.selection.torn {
            let found = match fill {
                Fill::Old => "old bytes",
                Fill::Zeros => "zeros",
                Fill::Random => "random bytes",
            };
            let number = self.pending[*index].number;
            write!(f, "; #{number} torn: {found} at {}..{} of it", lost.start, lost.end)?;
        }
        Ok(())
    }
}
