//! Which selections of the pending operations a level has.

use std::{collections::BTreeSet, sync::Arc};

use super::{Bounds, Level, SECTOR};
use crate::{
    chooser::{Chooser, ChooserExt, Seeded},
    model::{Fill, Pending, Persistence, Tear},
    trace::{Entry, Op, Subject},
};

/// Which pending operations are found.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    pub(super) kept: Vec<bool>,
    pub(super) torn: Option<(usize, Tear)>,
}

impl Selection {
    fn whole(kept: Vec<bool>) -> Self {
        Self { kept, torn: None }
    }
}

pub(super) type Selections = Box<dyn Iterator<Item = Selection>>;

/// What there is to select from. It borrows nothing, so that its iterators can be kept.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// For each pending operation, the earlier ones that it is not found without.
    needs: Vec<Vec<usize>>,
    /// For each pending operation, where it may be torn, if the level tears anything.
    tears: Vec<Arc<[Tear]>>,
    level: Level,
    bounds: Bounds,
    random: Seeded,
}

impl Plan {
    pub(super) fn new(
        persistence: &Persistence,
        level: Level,
        bounds: &Bounds,
        position: usize,
    ) -> Self {
        let pending = persistence.pending();
        let random = Seeded::new(bounds.seed).stream(&position.to_string());
        let needs_of = |(index, later): (usize, &Pending)| {
            let earlier = pending[..index].iter().enumerate();
            let needed = earlier.filter(|(_, earlier)| meet(&earlier.entry, &later.entry));
            needed.map(|(index, _)| index).collect()
        };
        let tears_of = |pending: &Pending| match level {
            Level::Torn => tears(pending, persistence.durable_len(pending), bounds, &random),
            _ => Arc::default(),
        };
        let needs = pending.iter().enumerate().map(needs_of).collect();
        let tears = pending.iter().map(tears_of).collect();
        Self { needs, tears, level, bounds: *bounds, random }
    }

    fn len(&self) -> usize {
        self.needs.len()
    }

    pub(super) fn selections(self) -> Selections {
        let len = self.len();
        match self.level {
            Level::KeepAll => Box::new(std::iter::once(Selection::whole(vec![true; len]))),
            Level::LoseAll => Box::new(std::iter::once(Selection::whole(vec![false; len]))),
            Level::Prefix => {
                Box::new((0..=len).map(move |kept| Selection::whole(prefix(kept, len))))
            }
            Level::Subset if self.takes_all_subsets(self.bounds.subsets_of_max) => {
                Box::new(self.all_subsets().map(Selection::whole))
            }
            Level::Subset => Box::new(self.some_subsets().into_iter().map(Selection::whole)),
            Level::Torn => self.torn(),
        }
    }

    fn takes_all_subsets(&self, of_max: usize) -> bool {
        self.len() <= of_max.min(Bounds::ALL_SUBSETS_OF_MAX)
    }

    /// All subsets that hold, for each operation, what it needs.
    fn all_subsets(self) -> impl Iterator<Item = Vec<bool>> {
        let len = self.len();
        (0..1_u64 << len)
            .map(move |bits| (0..len).map(|index| bits >> index & 1 == 1).collect::<Vec<_>>())
            .filter(move |kept| *kept == self.without_unfounded(kept.clone()))
    }

    fn some_subsets(&self) -> Vec<Vec<bool>> {
        let len = self.len();
        let prefixes = (0..=len).map(|kept| prefix(kept, len));
        let all_but_one = (0..len).map(|lost| {
            let mut kept = vec![true; len];
            kept[lost] = false;
            self.without_unfounded(kept)
        });
        let only_one = (0..len).map(|index| self.with_needs(index));
        let mut random = self.random.stream("subsets");
        let sampled = (0..self.bounds.subsets_sampled).map(|_| self.sample(&mut random));
        distinct(prefixes.chain(all_but_one).chain(only_one).chain(sampled))
    }

    fn torn(self) -> Selections {
        Box::new((0..self.len()).flat_map(move |index| {
            let tears = Arc::clone(&self.tears[index]);
            let subsets = if tears.is_empty() { Vec::new() } else { self.subsets_to_tear(index) };
            subsets.into_iter().flat_map(move |kept| {
                let tears = Arc::clone(&tears);
                (0..tears.len()).map(move |tear| Selection {
                    kept: kept.clone(),
                    torn: Some((index, tears[tear].clone())),
                })
            })
        }))
    }

    /// Subsets with the write `index`, which is to be torn.
    fn subsets_to_tear(&self, index: usize) -> Vec<Vec<bool>> {
        let len = self.len();
        if self.takes_all_subsets(self.bounds.torn_subsets_of_max) {
            return self.clone().all_subsets().filter(|kept| kept[index]).collect();
        }
        let mut random = self.random.stream("torn").stream(&index.to_string());
        let common = [prefix(index + 1, len), vec![true; len], self.with_needs(index)];
        let sampled = (0..self.bounds.torn_subsets_sampled).map(|_| {
            let mut kept = self.sample(&mut random);
            kept[index] = true; // a write needs nothing
            kept
        });
        distinct(common.into_iter().chain(sampled))
    }

    /// A random subset: of some, few are kept, of others, most.
    fn sample(&self, random: &mut Seeded) -> Vec<bool> {
        let kept_of_eight = *random.pick(&[1, 4, 7], "density");
        let kept = (0..self.len()).map(|_| random.choose(8, "kept") < kept_of_eight).collect();
        self.without_unfounded(kept)
    }

    /// Drops what lacks something that it needs.
    fn without_unfounded(&self, mut kept: Vec<bool>) -> Vec<bool> {
        for index in 0..self.len() {
            kept[index] = kept[index] && self.needs[index].iter().all(|&need| kept[need]);
        }
        kept
    }

    /// One operation with what it needs.
    fn with_needs(&self, index: usize) -> Vec<bool> {
        let mut kept = vec![false; self.len()];
        kept[index] = true;
        for later in (0..=index).rev() {
            if kept[later] {
                self.needs[later].iter().for_each(|&need| kept[need] = true);
            }
        }
        kept
    }

    pub(super) fn choose(&self, chooser: &mut (impl Chooser + ?Sized)) -> Selection {
        let len = self.len();
        match self.level {
            Level::KeepAll => Selection::whole(vec![true; len]),
            Level::LoseAll => Selection::whole(vec![false; len]),
            Level::Prefix => {
                Selection::whole(prefix(len - chooser.choose(len + 1, "crash-lost-tail"), len))
            }
            Level::Subset => Selection::whole(self.choose_subset(chooser)),
            Level::Torn => {
                let kept = self.choose_subset(chooser);
                let can_tear = |index: &usize| kept[*index] && !self.tears[*index].is_empty();
                let writes: Vec<_> = (0..len).filter(can_tear).collect();
                let torn = match chooser.choose(writes.len() + 1, "crash-torn-write") {
                    0 => None,
                    write => {
                        let index = writes[writes.len() - write]; // the last first
                        let tear = chooser.pick(&self.tears[index], "crash-tear").clone();
                        Some((index, tear))
                    }
                };
                Selection { kept, torn }
            }
        }
    }

    fn choose_subset(&self, chooser: &mut (impl Chooser + ?Sized)) -> Vec<bool> {
        let mut kept = Vec::with_capacity(self.len());
        for needs in &self.needs {
            let founded = needs.iter().all(|&need| kept[need]);
            kept.push(founded && !chooser.choose_bool("crash-lost"));
        }
        kept
    }
}

/// Whether the later change of a name is not found without the earlier.
fn meet(earlier: &Entry, later: &Entry) -> bool {
    let (
        Subject::Name { dir, name, node },
        Subject::Name { dir: later_dir, name: later_name, node: later_node },
    ) = (&earlier.subject, &later.subject)
    else {
        return false;
    };
    let names = [Some(&**name), earlier.new_name()];
    let later_names = [Some(&**later_name), later.new_name()];
    dir == later_dir
        && (node == later_node
            || later_names.iter().flatten().any(|name| names.contains(&Some(name))))
}

/// Where a pending write may be torn, and what is found there.
fn tears(pending: &Pending, durable_len: usize, bounds: &Bounds, random: &Seeded) -> Arc<[Tear]> {
    let Op::Write { offset, bytes } = &pending.entry.op else { return Arc::default() };
    let len = bytes.len();
    let start = usize::try_from(*offset).expect("it fits because the file has been in memory");
    let first_edge = SECTOR - start % SECTOR;
    let edges: Vec<usize> = (first_edge..len).step_by(SECTOR).collect();
    let stride = edges.len().div_ceil(bounds.edges_max.max(1)).max(1);
    let edges: Vec<usize> = edges.into_iter().step_by(stride).collect();

    let ends: BTreeSet<usize> = if len <= bounds.every_byte_max {
        (0..len).collect()
    } else {
        let mut random = random.stream("tears").stream(&pending.number.to_string());
        let beside = edges.iter().flat_map(|&edge| [edge - 1, edge, edge + 1]);
        let sampled = (0..bounds.tears_sampled).map(|_| random.choose(len, "tear"));
        let old_end = durable_len.wrapping_sub(start);
        beside.chain(sampled).chain([0, 1, len - 1, old_end]).filter(|&end| end < len).collect()
    };
    let lost = ends.into_iter().map(|end| end..len).chain(edges.into_iter().map(|edge| 0..edge));
    let each = |lost: std::ops::Range<usize>| {
        let all_lost = lost.len() == len; // then with the old bytes the write is simply lost
        let fills = [Fill::Old, Fill::Zeros, Fill::Random].into_iter();
        fills
            .filter(move |fill| !(all_lost && *fill == Fill::Old))
            .map(move |fill| Tear { lost: lost.clone(), fill })
    };
    lost.flat_map(each).collect()
}

fn prefix(kept: usize, len: usize) -> Vec<bool> {
    (0..len).map(|index| index < kept).collect()
}

fn distinct(subsets: impl Iterator<Item = Vec<bool>>) -> Vec<Vec<bool>> {
    let mut seen = BTreeSet::new();
    subsets.filter(|kept| seen.insert(kept.clone())).collect()
}
