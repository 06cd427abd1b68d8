//! Scrubbing: what rots is found within one pass, at the rate that was asked for, beside whatever else
//! goes on.

use std::{collections::BTreeSet, time::Duration};

use cairn_env::{Environment, Finding, Options, VerifyOptions};
use cairn_io::{Access, FileExt, IoOp, Name};
use cairn_sim::{Fault, FaultDisk, Image, Rule, SimDisk, SimWorld};

use crate::fixture::{TestEnv, content, ordered, small_options};

/// An environment with several files of each class, closed.
fn sample() -> (TestEnv, Image) {
    let mut test = TestEnv::new(small_options().space_target(0));
    for round in 0..12u32 {
        for n in 0..30u32 {
            let large = vec![u8::try_from(n).unwrap(); if n % 3 == 0 { 2500 } else { 90 }];
            test.put("db", &ordered(round * 7 + n), &large);
        }
        test.env().checkpoint().unwrap();
    }
    test.env().compact().unwrap(); // moves values into value files
    for n in 0..60u32 {
        test.put("db", &ordered(n), &vec![9; 1500]);
    }
    test.env().checkpoint().unwrap();
    test.close();
    let image = test.disk.image();
    (test, image)
}

fn logs(image: &Image) -> Vec<String> {
    image.files().map(|(path, _)| path.to_owned()).filter(|path| path.ends_with(".log")).collect()
}

fn opened(image: &Image, options: Options) -> (SimDisk, SimWorld, Environment) {
    let (disk, world) = (SimDisk::from_image(image), SimWorld::new(3));
    let (env, _) = Environment::open_in(disk.root(), world.world(), options).unwrap();
    (disk, world, env)
}

/// Flips a bit of a file behind the back of the environment that has it open.
pub(crate) fn rot(disk: &SimDisk, path: &str, byte: usize) {
    let (dir, name) = path.rsplit_once('/').unwrap();
    let dir = disk.root().open_dir(&Name::new(dir).unwrap()).unwrap();
    let file = dir.open(&Name::new(name).unwrap(), Access::ReadWrite).unwrap();
    let mut old = [0];
    file.read_exact_at(byte as u64, &mut old).unwrap();
    file.write_all_at(byte as u64, &[old[0] ^ 0x10]).unwrap();
}

fn file_of(finding: &Finding) -> &str {
    finding.file.as_deref().expect("scrubbing finds damage in files")
}

#[test]
fn a_flip_in_any_file_of_any_class_is_found_within_one_pass() {
    let (_test, image) = sample();
    let mut classes = BTreeSet::new();
    let (_disk, _world, env) = opened(&image, small_options());
    let clean = env.scrub().unwrap();
    assert!(clean.findings.is_empty(), "{clean:?}");
    assert_eq!((clean.files, clean.in_use), (logs(&image).len() as u64, 0), "{clean:?}");
    for path in logs(&image) {
        let name = path.rsplit('/').next().unwrap();
        let len = image.read(&path).unwrap().len();
        for byte in [0, 300, 4096, 4110, len / 2, len - 30, len - 1] {
            // It is damaged while it is open and everything in it was checked.
            let (disk, _world, env) = opened(&image, small_options());
            let before = content(&env).unwrap();
            rot(&disk, &path, byte);
            let report = env.scrub().unwrap();
            // What lies behind the end of a journal does not count.
            if report.findings.is_empty() && name.starts_with('J') && byte > len / 2 {
                continue;
            }
            let files: BTreeSet<_> = report.findings.iter().map(file_of).collect();
            assert_eq!(files, BTreeSet::from([name]), "{path} {byte}: {report:?}");
            assert_eq!(env.scrub_findings().unwrap(), report.findings);
            // Nobody is stopped by it.
            assert!(env.is_valid());
            drop((before, env));
            classes.insert(name.as_bytes()[0]);
        }
    }
    assert_eq!(classes, BTreeSet::from(*b"JNV"));
}

#[test]
fn many_flips_are_found_in_one_pass_and_those_that_are_mended_are_forgotten() {
    let (_test, image) = sample();
    let (disk, _world, env) = opened(&image, small_options());
    let damaged: Vec<String> =
        logs(&image).into_iter().filter(|path| image.read(path).unwrap().len() > 9000).collect();
    assert!(damaged.len() > 4);
    for path in &damaged {
        rot(&disk, path, 4200);
        rot(&disk, path, 8000);
    }
    let report = env.scrub().unwrap();
    let files: BTreeSet<_> = report.findings.iter().map(file_of).collect();
    assert_eq!(files.len(), damaged.len(), "{report:?}");
    assert!(report.findings.len() > damaged.len(), "one spot does not hide another: {report:?}");
    for path in &damaged {
        rot(&disk, path, 4200);
        rot(&disk, path, 8000);
    }
    env.scrub().unwrap();
    let state = env.scrub_state().unwrap();
    assert!(state.findings.is_empty() && state.passes == 2, "{state:?}");
    assert_eq!(state.scrubbed.len(), logs(&image).len());
}

/// Lets the worker work for `time`; returns how many bytes scrubbing has read at most at once.
fn run_for(world: &SimWorld, time: Duration, each: &mut dyn FnMut(Duration)) {
    let mut passed = Duration::ZERO;
    while passed < time {
        world.run_until_idle(10_000);
        match world.advance_to_next() {
            Some(by) => passed += by,
            None => break,
        }
        each(passed);
    }
}

#[test]
fn the_background_keeps_its_rate_and_finds_what_rots() {
    let (_test, image) = sample();
    let rate = 10_000;
    let interval = Duration::from_secs(3600);
    let options = small_options().background(true).scrub_rate(rate).scrub_interval(interval);
    let (disk, world, env) = opened(&image, options);
    let victim = logs(&image).pop().unwrap();
    rot(&disk, &victim, 5000);
    let (mut began, mut most) = (None, 0.0f64);
    run_for(&world, Duration::from_secs(900), &mut |at| {
        let state = env.scrub_state().unwrap();
        if state.total == 0 {
            return;
        }
        let began = *began.get_or_insert(at);
        let seconds = (at - began).as_secs_f64();
        let allowed = rate as f64 * (seconds + 1.0) * 1.1;
        assert!((state.done as f64) <= allowed, "{} bytes after {seconds} s", state.done);
        most = most.max(state.done as f64 / (seconds + 1.0));
    });
    assert!(began.unwrap() >= Duration::from_secs(599), "not as soon as it is open");
    assert!(most > rate as f64 * 0.9, "{most} bytes per second");
    let state = env.scrub_state().unwrap();
    assert_eq!((state.passes, state.findings.len()), (1, 1), "{state:?}");
    assert!(victim.ends_with(file_of(&state.findings[0])));
    // The next one waits for its time.
    loop {
        world.run_until_idle(10_000);
        if env.scrub_state().unwrap().passes == 2 {
            break;
        }
        world.advance_to_next().expect("the next step has a time");
    }
    let now = cairn_io::World::monotonic(&world);
    assert!((4200..4500).contains(&now.as_secs()), "{now:?}");
}

#[test]
fn no_worker_scrubs_where_that_is_switched_off_or_the_environment_is_closed_soon() {
    let (_test, image) = sample();
    for options in [small_options().scrub_rate(0), small_options()] {
        let (_disk, world, env) = opened(&image, options.clone().background(true));
        run_for(&world, Duration::from_secs(590), &mut |_| ());
        let state = env.scrub_state().unwrap();
        assert_eq!((state.passes, state.total), (0, 0));
    }
}

#[test]
fn a_pass_by_hand_keeps_its_rate() {
    let (_test, image) = sample();
    let (_disk, world, env) = opened(&image, small_options());
    for rate in [3000, 1 << 20] {
        let began = cairn_io::World::monotonic(&world);
        let mut scrub = env.begin_scrub(rate).unwrap();
        let (_, total) = scrub.progress();
        while let Some(wait) = scrub.step().unwrap() {
            // Whoever comes too early is told to wait, and nothing is read.
            if !wait.is_zero() {
                let before = scrub.progress();
                assert!(scrub.step().unwrap().is_some());
                assert_eq!(scrub.progress(), before);
            }
            world.advance(wait);
        }
        let seconds = (cairn_io::World::monotonic(&world) - began).as_secs_f64();
        let expected = total as f64 / rate as f64;
        assert!((seconds / expected - 1.0).abs() < 0.1, "{seconds} s, not {expected}");
        assert_eq!(scrub.progress(), (total, total));
    }
}

/// Files come and go while a pass is on its way: nothing is found in what is written, moved or removed.
#[test]
fn scrubbing_beside_the_cleaner_and_checkpoints_finds_nothing() {
    let test = TestEnv::new(small_options().node_file_bytes(32 << 10));
    let (mut removed, mut scrub) = (0, test.env().begin_scrub(0).unwrap());
    let mut passes = 0;
    for round in 0..400u32 {
        let key = ordered(round.wrapping_mul(0x9e37_79b9) % 500);
        test.put("db", &key, &vec![1; if round % 5 == 0 { 2000 } else { 80 }]);
        match round % 40 {
            7 | 19 => drop(test.env().checkpoint().unwrap()),
            29 => drop(test.env().clean().unwrap()),
            _ => {}
        }
        for _ in 0..3 {
            if scrub.step().unwrap().is_none() {
                let next = test.env().begin_scrub(0).unwrap();
                let report = std::mem::replace(&mut scrub, next).into_report();
                assert!(report.findings.is_empty(), "{report:?}");
                (removed, passes) = (removed + report.removed, passes + 1);
                break;
            }
        }
    }
    assert!(passes > 10 && removed > 0, "{passes} passes, {removed} files removed in them");
    assert!(test.env().scrub_findings().unwrap().is_empty());
}

/// A damaged file that goes takes its findings along.
#[test]
fn what_was_found_in_a_file_is_forgotten_with_it() {
    let test = TestEnv::new(small_options().space_target(0));
    for n in 0..300u32 {
        test.put("db", &ordered(n % 20), &[5; 200]);
    }
    test.env().checkpoint().unwrap();
    let image = test.disk.image();
    let journal = logs(&image).into_iter().find(|path| path.contains("/J-")).unwrap();
    rot(&test.disk, &journal, 6000);
    let mut late = test.env().begin_scrub(0).unwrap();
    assert_eq!(test.env().scrub().unwrap().findings.len(), 1);
    late.step().unwrap();
    for n in 0..4u32 {
        test.put("db", b"more", &ordered(n));
        test.env().checkpoint().unwrap();
    }
    assert!(!logs(&test.disk.image()).contains(&journal), "it is not needed any more");
    assert!(test.env().scrub_findings().unwrap().is_empty());
    while late.step().unwrap().is_some() {}
    let report = late.into_report();
    assert!(report.findings.is_empty() && report.removed > 0, "{report:?}");
    assert!(test.env().verify(&VerifyOptions::new()).unwrap().findings.is_empty());
}

/// A sector that the disk does not give any more is a finding like any other, and only that one.
#[test]
fn an_unreadable_sector_is_a_finding() {
    let (_test, image) = sample();
    let disk = FaultDisk::new(SimDisk::from_image(&image).root());
    let world = SimWorld::new(3);
    let (env, _) = Environment::open_in(disk.root(), world.world(), small_options()).unwrap();
    let path = logs(&image).into_iter().find(|path| path.contains("/V-")).unwrap();
    let name = path.rsplit('/').next().unwrap().to_owned();
    let sector = Rule::new(Fault::Eio).op(IoOp::Read).range(8192..8704).and_on();
    disk.inject(sector.file({
        let name = name.clone();
        move |file| file.ends_with(&name)
    }));
    let report = env.scrub().unwrap();
    assert!(!report.findings.is_empty(), "{report:?}");
    assert!(report.findings.iter().all(|finding| file_of(finding) == name), "{report:?}");
    assert!(env.is_valid());
}
