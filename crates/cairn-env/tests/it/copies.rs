//! Copies that a tool has made file by file: of a closed environment, and of one that is being written
//! meanwhile. What promises the latter is R-3: one commit, or refused by name.

use std::collections::BTreeSet;

use cairn_env::{
    DatabaseOptions, Durability, EnvResult, Environment, ErrorKind, Finding, Options, Reach,
    VerifyOptions,
};
use cairn_io::{Access, DirRef, EntryKind, FileExt, FileRef, MemDisk, Name};
use cairn_sim::{Chooser, Seeded, SimWorld};

use crate::fixture::{Model, content, ordered, small_options};

/// `cp -r`, one step at a time: what it has to do yet, the next thing last.
struct Copier {
    todo: Vec<Step>,
}

enum Step {
    /// List a directory, and copy what is in it.
    Dir(DirRef, DirRef),
    /// Begin to copy a file. One that has gone since the listing is left out, as `cp` does.
    File(DirRef, DirRef, Name),
    /// Copy what follows this offset.
    Rest(FileRef, FileRef, u64),
}

impl Copier {
    fn new(from: DirRef, to: DirRef) -> Self {
        Self { todo: vec![Step::Dir(from, to)] }
    }

    /// Does one step; the order in a directory is any. Says whether there is more to do.
    fn step(&mut self, random: &mut Seeded) -> bool {
        match self.todo.pop() {
            None => return false,
            Some(Step::Dir(from, to)) => {
                let mut entries = from.list().unwrap();
                while !entries.is_empty() {
                    let entry = entries.swap_remove(random.choose(entries.len(), "entry"));
                    let name = entry.name.unwrap();
                    self.todo.push(match entry.kind {
                        EntryKind::Dir => {
                            let below = to.create_dir(&name).unwrap();
                            Step::Dir(from.open_dir(&name).unwrap(), below)
                        }
                        _ => Step::File(DirRef::clone(&from), DirRef::clone(&to), name),
                    });
                }
            }
            Some(Step::File(from, to, name)) => {
                if let Ok(file) = from.open(&name, Access::Read) {
                    self.todo.push(Step::Rest(file, to.create(&name).unwrap(), 0));
                }
            }
            Some(Step::Rest(from, to, offset)) => {
                // Tools read in pieces, and pages become visible one by one.
                let mut piece = vec![0; 1 << (9 + random.choose(6, "piece"))];
                let len = from.read_full_at(offset, &mut piece).unwrap();
                to.write_all_at(offset, &piece[..len]).unwrap();
                if len == piece.len() {
                    self.todo.push(Step::Rest(from, to, offset + len as u64));
                }
            }
        }
        true
    }
}

/// Somebody who writes, and remembers what there was after each commit.
struct Writer {
    env: Environment,
    states: Vec<Model>,
}

impl Writer {
    fn new(disk: &MemDisk, options: Options) -> Self {
        let (env, _) =
            Environment::open_in(disk.root(), SimWorld::new(3).world(), options).unwrap();
        let states = vec![Model::new()];
        let mut this = Self { env, states };
        this.env.database("db", DatabaseOptions::default()).unwrap();
        this.remember();
        this
    }

    fn remember(&mut self) {
        let commit = self.env.snapshot().unwrap().commit();
        assert_eq!(commit, self.states.len() as u64);
        self.states.push(content(&self.env).unwrap());
    }

    fn step(&mut self, random: &mut Seeded) {
        match random.choose(24, "work") {
            0 => drop(self.env.checkpoint().unwrap()),
            1 => drop(self.env.clean().unwrap()),
            2 => drop(self.env.compact().unwrap()),
            _ => self.commit(random),
        }
    }

    fn commit(&mut self, random: &mut Seeded) {
        let db = self.env.database("db", DatabaseOptions::default()).unwrap();
        let mut txn = self.env.begin_write().unwrap();
        for n in 0..=random.choose(5, "puts") {
            let key = ordered(u32::try_from(random.choose(40, "key")).unwrap());
            let len = if n == 4 { 3000 } else { 100 + random.choose(300, "len") };
            let value = vec![self.states.len().to_le_bytes()[0]; len];
            txn.put(&db, &key, &value).unwrap();
        }
        let all = [Durability::Sync, Durability::WriteNoSync, Durability::NoSync];
        let durability = all[random.choose(all.len(), "durability")];
        txn.commit_with(durability).unwrap();
        self.remember();
    }

    fn durable(&self) -> u64 {
        self.env.stats().unwrap().durable_commits
    }
}

/// What became of a copy.
enum Became {
    /// It is this commit, whole.
    Commit(u64),
    /// It does not open.
    Refused,
}

fn named(error: &dyn std::fmt::Display) {
    let text = error.to_string();
    let names = ["log file ", ".log", "STATE", "g-000001"];
    assert!(names.iter().any(|name| text.contains(name)), "{text}");
}

/// Opens a copy and reads all of it; commits there if it is whole.
fn open(copy: &MemDisk, states: &[Model]) -> EnvResult<Became> {
    let (options, world) = (small_options().create(false), SimWorld::new(4).world());
    let (env, report) = match Environment::open_in(copy.root(), world, options) {
        Ok(opened) => opened,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            named(&error);
            return Ok(Became::Refused);
        }
    };
    let expected = &states[usize::try_from(report.sequence).unwrap()];
    // All of it can be read, and is right.
    let snapshot = env.snapshot()?;
    for db in snapshot.databases()? {
        let expected = &expected[db.name()];
        assert_eq!(snapshot.len(&db)?, expected.len() as u64);
        for (key, value) in expected {
            assert!(snapshot.get(&db, key)?.is_some_and(|found| found == value[..]), "{report}");
        }
    }
    drop(snapshot);
    let verified = env.verify(&VerifyOptions::new())?;
    // A file of which nothing is needed any more may be half there.
    let needed = |finding: &&Finding| finding.reach != Reach::Nothing;
    assert_eq!(verified.findings.iter().find(needed), None, "{report}");
    let db = env.database("db", DatabaseOptions::default())?;
    env.write(|txn| txn.put(&db, b"one more", b"value"))?;
    env.close()?;
    let (env, _) = Environment::open_in(copy.root(), SimWorld::new(5).world(), small_options())?;
    assert_eq!(content(&env)?["db"].len(), expected.get("db").map_or(0, |db| db.len()) + 1);
    Ok(Became::Commit(report.sequence))
}

/// What became of many copies.
#[derive(Debug, Default)]
struct Tally {
    commits: u32,
    /// Commits that are older than what was durable when the copy began.
    old: u32,
    refused: u32,
}

/// Whether the disk has a file that waits to become a journal file again.
fn has_spare(disk: &MemDisk) -> bool {
    disk.files().iter().any(|(path, _)| path.contains("/spare-"))
}

/// Copies an environment once for each seed while it is written.
fn copy_while_writing(options: &Options, seeds: std::ops::Range<u64>) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds {
        let random = &mut Seeded::new(seed);
        let (disk, copy) = (MemDisk::new(), MemDisk::called("copy"));
        let mut writer = Writer::new(&disk, options.clone());
        for _ in 0..random.choose(120, "before") {
            writer.step(random);
        }
        let before = writer.durable();
        let mut copier = Copier::new(disk.root(), copy.root());
        let haste = 1 + random.choose(40, "haste");
        let mut recycles = false;
        while copier.step(random) {
            recycles |= has_spare(&disk);
            if random.choose(haste, "who") == 0 {
                writer.step(random);
            }
        }
        match open(&copy, &writer.states).unwrap_or_else(|error| panic!("seed {seed}: {error}")) {
            Became::Commit(commit) => {
                // The end of a journal file may go under the hands of a tool that is at its beginning.
                assert!(commit >= before || recycles, "seed {seed}: {commit}, not {before}");
                tally.commits += 1;
                tally.old += u32::from(commit < before);
            }
            Became::Refused => tally.refused += 1,
        }
    }
    tally
}

/// How many copies: a few, or as many as the environment variable says.
fn copies() -> u64 {
    std::env::var("CAIRN_COPIES").ok().map_or(150, |count| count.parse().expect("a number"))
}

#[test]
fn a_copy_taken_while_writing_is_one_commit_or_refused_by_name() {
    for options in [small_options(), small_options().data_directories(3)] {
        let tally = copy_while_writing(&options, 0..copies());
        let is_rare = tally.old <= 1 + tally.commits / 1000;
        assert!(tally.commits > 50 && tally.refused > 20 && is_rare, "{tally:?}");
    }
}

/// Recovery reads what it needs; only a copy is read as a whole, until it is written to.
#[test]
fn what_has_crashed_where_it_lies_is_not_taken_for_a_copy() {
    let disk = MemDisk::new();
    let open = |disk: &MemDisk| {
        Environment::open_in(disk.root(), SimWorld::new(3).world(), small_options())
    };
    let (env, _) = open(&disk).unwrap();
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    let put = |env: &Environment, keys: std::ops::Range<u32>| {
        env.write(|txn| keys.clone().try_for_each(|key| txn.put(&db, &ordered(key), &[7; 100])))
    };
    put(&env, 0..300).unwrap();
    env.checkpoint().unwrap();
    put(&env, 0..1).unwrap();
    let crashed = disk.fork();
    env.close().unwrap();
    let copy = |name, from: &MemDisk| {
        let copy = MemDisk::called(name);
        from.files()
            .iter()
            .for_each(|(path, _)| copy.write(path, from.read(path).unwrap()).unwrap());
        copy
    };
    let rot = |disk: &MemDisk| {
        let is_node = |(path, _): &(String, u64)| path.contains("/N-");
        let (path, len) = disk.files().into_iter().find(is_node).unwrap();
        disk.edit(&path, |bytes| bytes[usize::try_from(len / 3).unwrap()] ^= 1).unwrap();
    };
    // A copy that is whole opens, is at home with its first write, and need not be read again.
    let moved = copy("moved", &crashed);
    let (env, _) = open(&moved).unwrap();
    put(&env, 0..1).unwrap();
    let moved_crashed = moved.fork();
    drop(env);

    for (disk, is_copy) in [
        (crashed.fork(), false),
        (copy("copy", &crashed), true),
        (moved_crashed.fork(), false),
        (copy("copy of a copy", &moved_crashed), true),
    ] {
        rot(&disk);
        let before: Vec<_> =
            disk.files().iter().map(|(path, _)| disk.read(path).unwrap()).collect();
        match open(&disk) {
            Ok((env, _)) => {
                assert!(!is_copy);
                assert_ne!(env.verify(&VerifyOptions::new()).unwrap().findings, []);
            }
            Err(error) => {
                assert!(is_copy && error.kind() == ErrorKind::Corrupt, "{error}");
                named(&error);
                let after: Vec<_> =
                    disk.files().iter().map(|(path, _)| disk.read(path).unwrap()).collect();
                assert!(before == after, "a refusal changes nothing");
            }
        }
    }
}

#[test]
fn a_closed_environment_opens_wherever_and_however_it_is_copied() {
    for (seed, count) in (0..40).zip([0, 3].into_iter().cycle()) {
        let random = &mut Seeded::new(seed);
        let (disk, copy) = (MemDisk::new(), MemDisk::new());
        let mut writer = Writer::new(&disk, small_options().data_directories(count));
        for _ in 0..random.choose(60, "before") {
            writer.step(random);
        }
        let Writer { env, states } = writer;
        env.close().unwrap();
        copy.create_dirs("some/where-else").unwrap();
        let mut dir = copy.root();
        for name in ["some", "where-else"] {
            dir = dir.open_dir(&Name::new(name).unwrap()).unwrap();
        }
        let mut copier = Copier::new(disk.root(), DirRef::clone(&dir));
        while copier.step(random) {}
        let world = SimWorld::new(4).world();
        let (env, report) = Environment::open_in(dir, world, small_options()).unwrap();
        assert_eq!(report.torn_tail, None);
        assert!(content(&env).unwrap() == *states.last().unwrap());
    }
}

/// Ends a thread that looks at this, also when what it runs beside fails.
struct Stop<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

/// The same with files of the system: a thread writes, with all background work, another one copies.
#[test]
fn real_files_copied_while_a_thread_writes_are_one_commit_or_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    let options = small_options().background(true).data_directories(2);
    let (env, _) = Environment::open(&live, options).unwrap();
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let results = std::thread::scope(|scope| {
        // However it ends: the scope waits for the writer.
        let stopped = Stop(&stop);
        let writer = scope.spawn(|| {
            let mut n = 0u64;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                n += 1;
                // Each commit writes all keys: a mixture of two would show.
                let put = |key: u32| (key, n.to_le_bytes().repeat(40));
                env.write(|txn| {
                    (0..8).map(put).try_for_each(|(key, value)| txn.put(&db, &ordered(key), &value))
                })
                .unwrap();
                if n.is_multiple_of(100) {
                    // On a machine that is busy the worker falls behind, and copies get longer and longer.
                    env.checkpoint().unwrap();
                }
            }
        });
        let mut results = BTreeSet::new();
        for round in 0..25 {
            let copy = dir.path().join(format!("copy{round}"));
            let before = env.stats().unwrap().durable_commits;
            copy_tree(&live, &copy, &mut Seeded::new(round));
            match Environment::open(&copy, small_options().create(false)) {
                Ok((env, report)) => {
                    assert!(report.sequence >= before, "{before} is lost: {report}");
                    let found = content(&env).unwrap();
                    let values: BTreeSet<_> = found["db"].values().collect();
                    assert!(values.len() <= 1, "a mixture of {} commits", values.len());
                    // A journal file that was copied before its newest records were written lacks them; a
                    // checkpoint that was copied later has what they say, and nothing reaches them.
                    let mut findings = env.verify(&VerifyOptions::new()).unwrap().findings;
                    findings.retain(|finding| finding.reach != Reach::Nothing);
                    assert_eq!(findings, [], "{report}");
                    results.insert("opened");
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                    results.insert("refused");
                }
            }
            std::fs::remove_dir_all(&copy).unwrap();
        }
        drop(stopped);
        writer.join().unwrap();
        results
    });
    assert!(!results.is_empty(), "{results:?}");
}

fn copy_tree(from: &std::path::Path, to: &std::path::Path, random: &mut Seeded) {
    std::fs::create_dir(to).unwrap();
    let mut entries: Vec<_> = std::fs::read_dir(from).unwrap().map(Result::unwrap).collect();
    while !entries.is_empty() {
        let entry = entries.swap_remove(random.choose(entries.len(), "entry"));
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target, random);
        } else if let Err(error) = std::fs::copy(entry.path(), target) {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
        }
    }
}
