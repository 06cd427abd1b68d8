//! Healing from a repository: a damaged file gets the bytes that points and segments have of it, what is in no file
//! there gets another place by what was shipped, and the rest is listed. (Design rule R-19.)

use std::collections::BTreeSet;

use cairn_backup::{BackupError, ObjectName, PartName, Repository, ShortHash, Which};
use cairn_env::{
    DatabaseOptions, EnvError, Environment, Finding, HealReport, JournalRetention, Options, Reach,
    VerifyOptions,
};
use cairn_io::{Access, FileExt as _, MemDisk, Name};
use cairn_log::{DataKey, DataKeys, LogName};
use cairn_sim::{Bounds, Fault, FaultDisk, Image, Level, Rule, SimDisk, SimWorld};

use super::{
    fixture::{Kind, backup, local, repository},
    shipped::{how, ship},
};
use crate::fixture::{Content, content, fill, open_seeded, options, world};

/// An environment, closed, of which a repository has a point and the journal from there on, and what is in it.
struct Sample {
    options: Options,
    place: MemDisk,
    repository: Repository,
    here: Image,
    /// The files of the point.
    in_point: BTreeSet<LogName>,
    expected: Content,
}

impl Sample {
    fn new(options: Options, kind: Kind) -> Self {
        let options = options.space_target(0);
        let (disk, place) = (SimDisk::new(), MemDisk::new());
        let repository = kind.create(local(place.root()));
        let env = Environment::open_in(disk.root(), world(), options.clone()).unwrap().0;
        // So much that is never changed that a file of nodes holds nothing else, and stays as it is.
        let still = env.database("still", DatabaseOptions::default()).unwrap();
        env.write(|txn| {
            (0..500).try_for_each(|n| txn.put(&still, format!("{n:05}").as_bytes(), &[7; 60]))
        })
        .unwrap();
        fill(&env, 0, 40);
        env.compact().unwrap();
        fill(&env, 20, 20);
        backup(&repository, &env);
        let how = how().options(options.clone());
        // What it has yet to ship stays as it is: nothing is moved out of that.
        let shipped = || {
            let mut shipper = repository.shipper(disk.root(), &world(), how.clone()).unwrap();
            ship(&mut shipper)
        };
        fill(&env, 30, 120);
        shipped();
        env.compact().unwrap();
        fill(&env, 150, 2);
        let expected = content(&env);
        let newest = env.snapshot().unwrap().commit();
        env.close().unwrap();
        assert_eq!(shipped(), newest);
        let (_, point) = repository.find(None, &Which::Newest).unwrap();
        let in_point = point.files.iter().map(|file| file.name).collect();
        Self { options, place, repository, here: disk.image(), in_point, expected }
    }

    fn logs(&self) -> impl Iterator<Item = (String, LogName)> {
        let paths = self.here.files().map(|(path, _)| path.to_owned());
        paths.filter_map(|path| {
            let name = path.rsplit('/').next()?.parse().ok()?;
            Some((path, name))
        })
    }

    fn open(&self) -> (SimDisk, Environment) {
        let disk = SimDisk::from_image(&self.here);
        let env = self.open_at(&disk);
        (disk, env)
    }

    fn open_at(&self, disk: &SimDisk) -> Environment {
        let world = SimWorld::new(5).world();
        Environment::open_in(disk.root(), world, self.options.clone()).unwrap().0
    }

    /// A value file of the point, and its path.
    fn value_file(&self) -> (String, LogName) {
        let is_it =
            |(path, name): &(String, _)| path.contains("/V-") && self.in_point.contains(name);
        self.logs().find(is_it).unwrap()
    }
}

fn rot(disk: &SimDisk, path: &str, byte: usize) {
    let (dir, name) = path.rsplit_once('/').unwrap();
    let dir = disk.root().open_dir(&Name::new(dir).unwrap()).unwrap();
    let file = dir.open(&Name::new(name).unwrap(), Access::ReadWrite).unwrap();
    let mut old = [0];
    file.read_exact_at(byte as u64, &mut old).unwrap();
    file.write_all_at(byte as u64, &[old[0] ^ 0x10]).unwrap();
}

fn healed(report: &HealReport) -> BTreeSet<&str> {
    report.healed.iter().map(|file| file.file.as_str()).collect()
}

#[test]
fn each_damaged_file_is_healed_from_points_and_segments_or_by_content_or_is_listed() {
    let keys = DataKeys::new([(1, DataKey::new([7; 32]))]).unwrap();
    let mut seen = Seen::default();
    for (options, kind) in [
        (options(), Kind::Plain),
        (options().encryption(keys), Kind::Unlocked),
        (options().keep_journal(JournalRetention::Forever), Kind::Plain),
    ] {
        let sample = Sample::new(options, kind);
        for (path, name) in sample.logs() {
            let len = sample.here.read(&path).unwrap().len();
            for byte in [4200, len - 1] {
                damage_and_heal(&sample, (&path, name), byte, &mut seen);
            }
        }
    }
    assert_eq!(seen.from_point, BTreeSet::from(['J', 'N', 'V']));
    assert!(seen.from_segments > 1, "{seen:?}");
    assert!(seen.by_content.contains(&'V'), "{seen:?}");
    assert!(seen.listed > 0, "nodes that are nowhere else: {seen:?}");
}

/// How files were healed: the classes of those that came from points, how many came from segments alone, and so on.
#[derive(Debug, Default)]
struct Seen {
    from_point: BTreeSet<char>,
    from_segments: usize,
    by_content: BTreeSet<char>,
    listed: usize,
}

fn damage_and_heal(sample: &Sample, (path, name): (&str, LogName), byte: usize, seen: &mut Seen) {
    let whole = sample.here.read(path).unwrap();
    let (disk, env) = sample.open();
    rot(&disk, path, byte);
    let was_found = !env.scrub().unwrap().findings.is_empty();
    let report = sample.repository.heal(&env).unwrap();
    let is_told = report.not_healed.contains_key(&name.to_string());
    if report.healed.is_empty() {
        assert_eq!(was_found, is_told && !report.left.is_empty(), "{path}: {report:?}");
        seen.listed += usize::from(was_found);
        return;
    }
    assert_eq!(healed(&report), BTreeSet::from([&*name.to_string()]), "{path}");
    // Of a file that is kept as history alone, nobody needs the bytes.
    let is_history = |finding: &Finding| finding.reach == Reach::Nothing;
    let by_content = report.healed[0].by_content;
    assert!(report.left.iter().all(|finding| by_content && is_history(finding)), "{report:?}");
    assert!(report.not_healed.is_empty(), "{report:?}");
    assert!(content(&env) == sample.expected, "{path}: nothing went back");
    let class = name.class.letter();
    if by_content {
        assert!(!sample.in_point.contains(&name), "{path} is in the point");
        seen.by_content.insert(class);
        return;
    }
    assert!(disk.image().read(path).unwrap() == whole, "{path}: byte for byte");
    match sample.in_point.contains(&name) {
        true => drop(seen.from_point.insert(class)),
        false => seen.from_segments += 1,
    }
    // Whoever opens it next has it.
    env.close().unwrap();
    let env = sample.open_at(&disk);
    assert!(env.verify(&VerifyOptions::new()).unwrap().findings.is_empty());
}

/// A point that is older than what the environment has now has the same bytes of a finished file.
#[test]
fn a_copy_that_is_damaged_too_is_named_and_a_whole_one_is_taken() {
    let sample = Sample::new(options(), Kind::Plain);
    let (path, name) = sample.value_file();
    let (disk, env) = sample.open();
    rot(&disk, &path, 4200);
    let (_, point) = sample.repository.find(None, &Which::Newest).unwrap();
    let file = point.files.iter().find(|file| file.name == name).unwrap();
    let object = ObjectName::Part {
        environment: point.cut.environment,
        part: PartName {
            timeline: file.parts[0].timeline,
            class: name.class,
            file: name.number,
            start: 0,
            length: file.parts[0].length,
            hash: ShortHash::of(file.parts[0].stored),
        },
    };
    let flip = || sample.place.edit(&object.to_string(), |bytes| bytes[200] ^= 1).unwrap();
    flip();
    let report = sample.repository.heal(&env).unwrap();
    assert!(report.healed.iter().all(|file| file.by_content), "{report:?}");
    if let Some(why) = report.not_healed.get(&name.to_string()) {
        assert!(why.contains(&object.to_string()), "{why}");
        assert!(report.left.iter().any(|finding| finding.reach != Reach::Nothing), "{report:?}");
    }
    flip();
    let (disk, env) = sample.open();
    rot(&disk, &path, 4200);
    let report = sample.repository.heal(&env).unwrap();
    assert_eq!(healed(&report), BTreeSet::from([&*name.to_string()]));
    assert!(!report.healed[0].by_content && content(&env) == sample.expected);
}

#[test]
fn a_repository_of_another_environment_or_a_locked_one_heals_nothing() {
    let sample = Sample::new(options(), Kind::Plain);
    let (path, _) = sample.value_file();
    let (disk, env) = sample.open();
    rot(&disk, &path, 4200);
    let before = disk.image();
    let other = repository();
    let foreign = open_seeded(&MemDisk::new(), 99);
    fill(&foreign, 0, 10);
    backup(&other, &foreign);
    let error = other.heal(&env).unwrap_err();
    assert!(matches!(error, BackupError::NoPoint { .. }), "{error}");
    let place = MemDisk::new();
    backup(&Kind::Unlocked.create(local(place.root())), &foreign);
    let locked = Kind::Locked.open(local(place.root())).unwrap();
    let error = locked.heal(&foreign).unwrap_err();
    assert!(matches!(error, BackupError::RepositoryKeyRequired { .. }), "{error}");
    assert!(disk.image().read(&path) == before.read(&path), "nothing was written");
    drop(env);
    let reading = Environment::open_in(disk.root(), world(), options().read_only(true)).unwrap().0;
    let error = sample.repository.heal(&reading).unwrap_err();
    assert!(matches!(error, BackupError::Env(EnvError::ReadOnly)), "{error}");
}

/// Without the newest commits nothing says that a value is the one that was there: it stays damaged, and is listed.
#[test]
fn by_content_nothing_is_taken_that_is_not_of_the_very_commit() {
    let sample = Sample::new(options(), Kind::Plain);
    let mut listed = 0;
    for (path, name) in sample.logs() {
        if name.class.letter() != 'V' || sample.in_point.contains(&name) {
            continue;
        }
        let (disk, env) = sample.open();
        fill(&env, 1000, 1);
        rot(&disk, &path, 4200);
        let report = sample.repository.heal(&env).unwrap();
        assert!(report.healed.is_empty(), "{report:?}");
        let why = &report.not_healed[&name.to_string()];
        assert!(why.contains("does not lead to commit"), "{why}");
        assert!(!report.left.is_empty(), "{report:?}");
        listed += 1;
    }
    assert!(listed > 0, "{:?}", sample.logs().collect::<Vec<_>>());
}

/// Heals, with crashes at every operation, and with each call of the repository failing once.
#[test]
fn whatever_interrupts_it_leaves_the_damaged_file_or_the_whole_one() {
    let sample = Sample::new(options(), Kind::Plain);
    let (path, name) = sample.value_file();
    let whole = sample.here.read(&path).unwrap().to_vec();
    let (disk, env) = sample.open();
    rot(&disk, &path, 4200);
    drop(env);
    let before = disk.image();
    let broken = before.read(&path).unwrap().to_vec();

    let disk = SimDisk::from_image(&before);
    let env = sample.open_at(&disk);
    assert_eq!(healed(&sample.repository.heal(&env).unwrap()).len(), 1);
    disk.mark("healed", 1);
    std::mem::forget(env);
    let (trace, mut seen) = (disk.trace(), BTreeSet::new());
    let mut cuts = trace.cuts();
    while let Some(cut) = cuts.next_cut() {
        for level in Level::ALL {
            for crashed in cut.crash().images(level, &Bounds::smoke()) {
                let now = crashed.image.read(&path).map(|bytes| bytes.to_vec());
                let is_whole = now.as_ref() == Some(&whole);
                let was_reported = cut.mark("healed").is_some();
                assert!(is_whole || !was_reported && now.as_ref() == Some(&broken));
                seen.insert(is_whole);
            }
        }
    }
    assert_eq!(seen.len(), 2);

    let mut refused = 0;
    for nth in 0.. {
        let (disk, faults) = (SimDisk::from_image(&before), FaultDisk::new(sample.place.root()));
        let repository = Repository::open_in(local(faults.root()), &world()).unwrap();
        let env = sample.open_at(&disk);
        faults.inject(Rule::new(Fault::Eio).nth(nth));
        let result = repository.heal(&env);
        let now = disk.image().read(&path).map(|bytes| bytes.to_vec());
        if !faults.has_struck() {
            assert_eq!(healed(&result.unwrap()), BTreeSet::from([&*name.to_string()]));
            break;
        }
        let is_exact = |report: &HealReport| report.healed.iter().any(|healed| !healed.by_content);
        match result {
            Ok(report) if is_exact(&report) => assert!(now.as_ref() == Some(&whole)),
            // What is in no file any more is in another one.
            Ok(report) if !report.healed.is_empty() => assert!(content(&env) == sample.expected),
            _ => {
                assert!(now.as_ref() == Some(&broken), "call {nth}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
}
