//! The enumeration of crash images against a reference that is plain and slow.
//!
//! The reference reads the trace from outside: its own replay keeps durable states as plain
//! vectors and maps, and goes through all subsets as bit masks.

use std::collections::{BTreeMap, BTreeSet};

use cairn_io::{Access, FileExt};
use cairn_sim::{
    Bounds, Chooser, ChooserExt, Entry, Exhaustive, Image, Level, Op, Seeded, SimDisk, Trace,
};

use crate::{SITE, name};

/// A disk of one directory: names to file numbers, file numbers to bytes.
#[derive(Clone, Default)]
struct Plain {
    names: BTreeMap<String, usize>,
    files: BTreeMap<usize, Vec<u8>>,
}

type Visible = BTreeMap<String, Vec<u8>>;

/// Bytes at an offset.
type Part = (usize, Vec<u8>);

impl Plain {
    fn visible(&self) -> Visible {
        let content = |id| self.files.get(id).cloned().unwrap_or_default();
        self.names.iter().map(|(name, id)| (name.clone(), content(id))).collect()
    }

    fn write(&mut self, id: usize, offset: usize, bytes: &[u8]) {
        let file = self.files.entry(id).or_default();
        file.resize(file.len().max(offset + bytes.len()), 0);
        file[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    fn apply(&mut self, op: &Op, path: &str, id: usize) {
        match op {
            Op::Write { offset, bytes } => {
                self.write(id, usize::try_from(*offset).unwrap(), bytes);
            }
            Op::SetLen { len } => {
                self.files.entry(id).or_default().resize(usize::try_from(*len).unwrap(), 0);
            }
            Op::Create => drop(self.names.insert(path.into(), id)),
            Op::Rename { to } => {
                self.names.remove(path);
                self.names.insert(to.to_string(), id);
            }
            Op::Remove => drop(self.names.remove(path)),
            _ => {}
        }
    }
}

#[derive(Clone)]
struct Waiting {
    op: Op,
    path: String,
    id: usize,
}

impl Waiting {
    fn is_of_a_name(&self) -> bool {
        matches!(self.op, Op::Create | Op::Rename { .. } | Op::Remove)
    }

    fn names(&self) -> Vec<&str> {
        match &self.op {
            Op::Rename { to } => vec![&self.path, to],
            _ => vec![&self.path],
        }
    }

    fn needs(&self, earlier: &Self) -> bool {
        self.is_of_a_name()
            && earlier.is_of_a_name()
            && (self.id == earlier.id || self.names().iter().any(|n| earlier.names().contains(n)))
    }
}

/// The replay of the reference: what is durable, what waits, and which file is which.
#[derive(Default)]
struct Reference {
    durable: Plain,
    waiting: Vec<Waiting>,
    live: BTreeMap<String, usize>,
    files: usize,
}

impl Reference {
    fn apply(&mut self, entry: &Entry) {
        let path = entry.path().to_owned();
        match entry.op() {
            Op::Create => {
                self.files += 1;
                self.live.insert(path.clone(), self.files);
            }
            Op::SyncFile { .. } | Op::SyncDir { .. } => {
                let id = self.live.get(&path).copied();
                let concerned = |waiting: &Waiting| match id {
                    Some(id) => !waiting.is_of_a_name() && waiting.id == id,
                    None => waiting.is_of_a_name(),
                };
                let (synced, rest) = self.waiting.drain(..).partition::<Vec<_>, _>(concerned);
                self.waiting = rest;
                for Waiting { op, path, id } in synced {
                    self.durable.apply(&op, &path, id);
                }
                if id.is_none() {
                    // A file whose name is durably gone is gone, whatever is written to it.
                    let names = &self.durable.names;
                    self.waiting.retain(|waiting| names.values().any(|id| *id == waiting.id));
                }
                return;
            }
            _ => {}
        }
        let id = self.live[&path];
        match entry.op() {
            Op::Rename { to } => {
                self.live.remove(&path);
                self.live.insert(to.to_string(), id);
            }
            Op::Remove => drop(self.live.remove(&path)),
            _ => {}
        }
        self.waiting.push(Waiting { op: entry.op().clone(), path, id });
    }

    fn subsets(&self) -> Vec<u32> {
        let founded = |subset: &u32| {
            let kept = |index: usize| subset >> index & 1 == 1;
            (0..self.waiting.len()).filter(|&later| kept(later)).all(|later| {
                let mut earlier = (0..later).filter(|&earlier| !kept(earlier));
                earlier.all(|earlier| !self.waiting[later].needs(&self.waiting[earlier]))
            })
        };
        (0..1 << self.waiting.len()).filter(founded).collect()
    }

    /// The subset, with the operation `torn` replaced by other writes.
    fn left(&self, subset: u32, torn: Option<(usize, &[Part])>) -> Visible {
        let mut disk = self.durable.clone();
        for (index, Waiting { op, path, id }) in self.waiting.iter().enumerate() {
            match torn {
                _ if subset >> index & 1 == 0 => {}
                Some((torn, parts)) if torn == index => {
                    parts.iter().for_each(|(offset, bytes)| disk.write(*id, *offset, bytes));
                }
                _ => disk.apply(op, path, *id),
            }
        }
        disk.visible()
    }

    fn whole(&self, level: Level) -> BTreeSet<Visible> {
        let all = (1_u32 << self.waiting.len()) - 1;
        match level {
            Level::KeepAll => BTreeSet::from([self.left(all, None)]),
            Level::LoseAll => BTreeSet::from([self.left(0, None)]),
            Level::Prefix => {
                (0..=self.waiting.len()).map(|k| self.left((1 << k) - 1, None)).collect()
            }
            _ => self.subsets().into_iter().map(|subset| self.left(subset, None)).collect(),
        }
    }

    /// Every kept write of every subset, torn at every byte; old bytes and zeros only.
    fn torn(&self) -> BTreeSet<Visible> {
        let mut found = BTreeSet::new();
        for (index, waiting) in self.waiting.iter().enumerate() {
            let Op::Write { offset, bytes } = &waiting.op else { continue };
            let offset = usize::try_from(*offset).unwrap();
            for end in 0..bytes.len() {
                let part = (offset, bytes[..end].to_vec());
                let zeros = (offset + end, vec![0; bytes.len() - end]);
                for subset in self.subsets().into_iter().filter(|subset| subset >> index & 1 == 1) {
                    if end > 0 {
                        found.insert(self.left(subset, Some((index, std::slice::from_ref(&part)))));
                    }
                    found.insert(self.left(subset, Some((index, &[part.clone(), zeros.clone()]))));
                }
            }
        }
        found
    }
}

fn visible(image: &Image) -> Visible {
    image.files().map(|(path, _)| (path.to_owned(), image.read(path).unwrap().to_vec())).collect()
}

fn exhaustive() -> Bounds {
    Bounds { torn_subsets_of_max: 8, ..Bounds::full() }
}

/// Holds every cut of the trace against the reference; returns the number of images.
fn check(trace: &Trace) -> usize {
    let bounds = exhaustive();
    let mut reference = Reference::default();
    let mut images = 0;
    let mut cuts = trace.cuts();
    while let Some(cut) = cuts.next_cut() {
        cut.last_entry().into_iter().for_each(|entry| reference.apply(entry));
        assert_eq!(cut.crash().pending().len(), reference.waiting.len());
        for level in Level::ALL {
            let found = cut.crash().images(level, &bounds);
            let found = found.filter(|crashed| !crashed.to_string().contains("random bytes"));
            let found: Vec<_> = found.map(|crashed| visible(&crashed.image)).collect();
            images += found.len();
            let expected = match level {
                Level::Torn => reference.torn(),
                level => reference.whole(level),
            };
            let found = BTreeSet::from_iter(found);
            assert_eq!(found, expected, "{level} after {:?} in\n{trace}", cut.last_entry());
        }
    }
    images
}

/// A run of random operations on a few short files, with few of them pending at any time.
fn random_run(seed: u64) -> Trace {
    let mut random = Seeded::new(seed);
    let disk = SimDisk::new();
    let root = disk.root();
    for _ in 0..25 {
        let file = *random.pick(&["a", "b", "c"], "file");
        let exists = root.open(&name(file), Access::ReadWrite);
        match (exists, random.weighted(&[8, 2, 2, 1, 2, 2], "operation")) {
            (Err(_), _) => drop(root.create(&name(file)).unwrap()),
            (Ok(open), 0) => {
                let offset = random.range(0..4, "offset") as u64;
                let byte = b'A' + u8::try_from(random.range(0..26, "byte")).unwrap();
                open.write_all_at(offset, &[byte; 3][..random.range(1..4, "len")]).unwrap();
            }
            (Ok(open), 1) => open.set_len(random.range(0..6, "len") as u64).unwrap(),
            (Ok(_), 2) => {
                let to = ["a", "b", "c"][random.choose(3, "to")];
                root.rename(&name(file), &name(to)).unwrap();
            }
            (Ok(_), 3) => root.remove(&name(file)).unwrap(),
            (Ok(open), 4) => open.sync(SITE).unwrap(),
            (Ok(_), _) => root.sync(SITE).unwrap(),
        }
        if disk.pending() > 5 {
            for entry in root.list().unwrap() {
                root.open(&entry.name.unwrap(), Access::Read).unwrap().sync(SITE).unwrap();
            }
            root.sync(SITE).unwrap();
        }
    }
    disk.trace()
}

#[test]
fn exhaustive_images_are_those_of_the_reference() {
    let images: usize = (0..30).map(|seed| check(&random_run(seed))).sum();
    assert!(images > 20_000, "{images}");
}

#[test]
fn choices_reach_exactly_the_images_of_the_enumeration() {
    let trace = random_run(3);
    let bounds = exhaustive();
    let mut cuts = trace.cuts();
    let mut images = 0;
    while let Some(cut) = cuts.next_cut() {
        for level in Level::ALL {
            let found = cut.crash().images(level, &bounds);
            let mut found: BTreeSet<u128> = found.map(|crashed| crashed.image.hash()).collect();
            if level == Level::Torn {
                // By choice, the torn write may also be none.
                let whole = cut.crash().images(Level::Subset, &bounds);
                found.extend(whole.map(|crashed| crashed.image.hash()));
            }
            let mut chosen = BTreeSet::new();
            let mut all = Exhaustive::new();
            while let Some(mut run) = all.next_run() {
                chosen.insert(cut.crash().choose(level, &bounds, &mut run).image.hash());
            }
            assert_eq!(found, chosen, "{level}");
            images += found.len();
        }
    }
    assert!(images > 500, "{images}");
}

#[test]
fn the_plainest_choices_keep_everything() {
    let disk = SimDisk::new();
    disk.root().create(&name("a")).unwrap().write_all_at(0, b"1").unwrap();
    for level in [Level::KeepAll, Level::Prefix, Level::Subset, Level::Torn] {
        let crashed = disk.crash(level, &Bounds::full(), &mut cairn_sim::Replay::new([]));
        assert_eq!(crashed.image, disk.image(), "{level}");
    }
}

#[test]
fn bounded_images_are_among_the_exhaustive_ones() {
    let trace = random_run(5);
    let small = Bounds { subsets_of_max: 1, torn_subsets_of_max: 0, ..Bounds::full() };
    let mut cuts = trace.cuts();
    while let Some(cut) = cuts.next_cut() {
        for level in [Level::Subset, Level::Torn] {
            let hashes = |bounds: &Bounds| -> BTreeSet<u128> {
                cut.crash().images(level, bounds).map(|crashed| crashed.image.hash()).collect()
            };
            assert!(hashes(&small).is_subset(&hashes(&exhaustive())), "{level}");
        }
    }
}
