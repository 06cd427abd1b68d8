//! Sweeps as an engine would run them: determinism, and speed.

use std::{collections::BTreeSet, time::Duration};

use cairn_io::{Access, FileExt, RealWorld, World};
use cairn_sim::{Bounds, ChooserExt, Image, Level, Seeded, SimDisk, Trace};

use crate::{SITE, durable_file, name};

/// An environment of 256 KiB: a pre-zeroed journal, four other files, and a run of commits.
fn run(seed: u64) -> Trace {
    let mut random = Seeded::new(seed);
    let image = (1..5).fold(Image::new(), |image, file| {
        let mut content = vec![0; 48 << 10];
        random.fill(&mut content);
        image.with_file(&format!("data/{file}.log"), content)
    });
    let disk = SimDisk::from_image(&image.with_file("journal", vec![0; 64 << 10]));
    let journal = disk.root().open(&name("journal"), Access::ReadWrite).unwrap();
    let data = disk.root().open_dir(&name("data")).unwrap();
    let node = data.open(&name("1.log"), Access::ReadWrite).unwrap();
    let mut end = 0;
    for commit in 0..20 {
        let _commit = disk.operation("commit");
        for _ in 0..random.range(1..5, "records") {
            let mut record = vec![0; random.range(40..700, "len")];
            random.fill(&mut record);
            journal.write_all_at(end, &record).unwrap();
            end += record.len() as u64;
        }
        if commit % 3 == 0 {
            let mut record = vec![0; 5000];
            random.fill(&mut record);
            node.write_all_at(random.range(0..40_000, "place") as u64, &record).unwrap();
        }
        if commit % 5 == 4 {
            durable_file(&data, &format!("new-{commit}"), b"header");
            node.sync(SITE).unwrap();
        }
        journal.sync(SITE).unwrap();
        disk.mark("acknowledged", commit);
    }
    disk.trace()
}

/// All images of all cuts and levels: how many, and their hashes in order.
fn sweep(trace: &Trace, bounds: &Bounds) -> (usize, Vec<u128>) {
    let mut images = 0;
    let mut seen = BTreeSet::new();
    let mut hashes = Vec::new();
    let mut cuts = trace.cuts();
    while let Some(cut) = cuts.next_cut() {
        for level in Level::ALL {
            for crashed in cut.crash().images(level, bounds) {
                images += 1;
                let hash = crashed.image.hash();
                if seen.insert(hash) {
                    hashes.push(hash);
                }
            }
        }
    }
    (images, hashes)
}

#[test]
fn the_same_seed_gives_the_same_trace_and_the_same_images() {
    let (one, two, other) = (run(7), run(7), run(8));
    assert_eq!(one.hash(), two.hash());
    assert_ne!(one.hash(), other.hash());
    assert_eq!(one.to_string(), two.to_string());
    let bounds = Bounds::smoke();
    assert_eq!(sweep(&one, &bounds), sweep(&two, &bounds));
    assert_ne!(sweep(&one, &bounds).1, sweep(&one, &bounds.with_seed(1)).1, "other samples");
}

#[test]
fn a_sweep_makes_thousands_of_images_a_second() {
    let trace = run(1);
    assert_eq!(trace.start().total_bytes(), 256 << 10);
    let world = RealWorld::new();
    let start = world.monotonic();
    let (images, hashes) = sweep(&trace, &Bounds::smoke());
    let time = world.monotonic() - start;
    assert!(images > 5000, "{images}");
    assert!(hashes.len() > images / 3, "{} of {images}", hashes.len());
    // The aim is 5,000 a second. Machines that run tests are slow and busy: allow for ten times.
    let limit = Duration::from_millis(2) * u32::try_from(images).unwrap();
    assert!(time < limit, "{images} images took {time:?}");
}

#[test]
fn an_image_becomes_a_disk_in_memory_without_copying_what_did_not_change() {
    let trace = run(1);
    let mut cuts = trace.cuts();
    let first = cuts.next_cut().unwrap().crash().images(Level::KeepAll, &Bounds::smoke());
    let first = first.last().unwrap().image;
    let mem = first.to_mem();
    let shared = mem.read("data/4.log").unwrap();
    assert!(std::sync::Arc::ptr_eq(&shared, &first.read("data/4.log").unwrap()));
    assert_eq!(Image::of(&mem), first);
}

#[test]
fn a_long_run_can_do_without_a_trace() {
    let disk = SimDisk::new().without_trace();
    let file = durable_file(&disk.root(), "a", b"0");
    let mut random = Seeded::new(1);
    for round in 1..200_u64 {
        file.write_all_at(0, &round.to_le_bytes()).unwrap();
        if random.choose_bool("sync") {
            file.sync(SITE).unwrap();
        }
        let crashed = disk.crash(Level::Prefix, &Bounds::smoke(), &mut random);
        assert!(!crashed.image.read("a").unwrap().is_empty());
    }
}
