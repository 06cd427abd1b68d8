//! Repair: whatever is damaged, the result holds what can be proved, nothing that never was, and the
//! report says what is missing.

use std::collections::{BTreeMap, BTreeSet};

use cairn_env::{
    EnvError, Environment, ErrorKind, Missing, RepairReport, VerifyOptions, repair_in,
};
use cairn_io::{IoOp, MemDisk};
use cairn_log::{FRAME_LEN, LogFile, LogName, Scan, Scanner};
use cairn_sim::{Fault, FaultDisk, Image, Rule, SimWorld};

use crate::fixture::{Model, TestEnv, content, ordered, small_options};

pub(crate) type Key = (String, Vec<u8>);

/// Everything that an environment has ever held.
#[derive(Clone, Default)]
pub(crate) struct Truth {
    pub(crate) newest: Model,
    pub(crate) values: BTreeMap<Key, BTreeSet<Vec<u8>>>,
    /// What it held after each commit.
    pub(crate) states: BTreeMap<u64, Model>,
    /// The commits that have changed a key, and what they have put.
    pub(crate) changes: BTreeMap<Key, BTreeMap<u64, Option<Vec<u8>>>>,
}

pub(crate) struct Sample {
    pub(crate) test: TestEnv,
    pub(crate) truth: Truth,
}

impl Sample {
    fn new() -> Self {
        let mut sample = Self { test: TestEnv::new(small_options()), truth: Truth::default() };
        sample.run(8);
        sample
    }

    pub(crate) fn commit(&mut self, name: &str, changes: &[(u32, Option<Vec<u8>>)]) {
        let db = self.test.db(name);
        self.test
            .env()
            .write(|txn| {
                changes.iter().try_for_each(|(key, value)| match value {
                    Some(value) => txn.put(&db, &ordered(*key), value),
                    None => txn.delete(&db, &ordered(*key)),
                })
            })
            .unwrap();
        let commit = self.test.env().snapshot().unwrap().commit();
        let newest = self.truth.newest.entry(name.into()).or_default();
        for (key, value) in changes {
            let key = ordered(*key).to_vec();
            let of_all = (name.to_owned(), key.clone());
            self.truth.changes.entry(of_all.clone()).or_default().insert(commit, value.clone());
            match value {
                Some(value) => {
                    self.truth.values.entry(of_all).or_default().insert(value.clone());
                    newest.insert(key, value.clone());
                }
                None => drop(newest.remove(&key)),
            }
        }
        self.truth.states.insert(commit, self.truth.newest.clone());
    }

    pub(crate) fn drop_database(&mut self, name: &str) {
        let db = self.test.db(name);
        self.test.env().write(|txn| txn.drop_database(&db)).unwrap();
        self.truth.newest.remove(name);
        let commit = self.test.env().snapshot().unwrap().commit();
        self.truth.states.insert(commit, self.truth.newest.clone());
    }

    /// Grows, shrinks, overwrites and empties databases, with checkpoints and restarts in between.
    pub(crate) fn run(&mut self, rounds: u32) {
        for round in 0..rounds {
            for name in ["one", "two"] {
                let value = |n: u32| {
                    let len = if n % 9 == 4 { 1500 } else { 30 };
                    vec![u8::try_from(round * 20 + n % 20).unwrap(); len]
                };
                let changes: Vec<_> = (0..12u32)
                    .map(|n| ((round * 5 + n * 7) % 60, n))
                    .map(|(key, n)| (key, (n % 4 != 3).then(|| value(n))))
                    .collect();
                changes.chunks(3).for_each(|changes| self.commit(name, changes));
            }
            match round {
                2 => self.commit("gone", &[(1, Some(vec![1])), (2, Some(vec![2; 1400]))]),
                3 => self.commit("gone", &[(1, None), (2, None)]),
                5 => {
                    let changes: Vec<_> = (0..30).map(|n| (n, Some(vec![3; 40]))).collect();
                    self.commit("dropped", &changes);
                }
                7 => self.drop_database("dropped"),
                _ => {}
            }
            if round == 5 {
                let gone: Vec<_> = (0..40).map(|key| (key, None)).collect();
                self.commit("two", &gone);
            }
            if round % 2 == 1 && round < 7 {
                self.test.env().checkpoint().unwrap();
            }
            if round == 3 {
                self.test.env().compact().unwrap(); // large values move to value files
            }
            if round == 4 {
                self.test.reopen();
            }
        }
    }
}

/// A closed environment and one whose process was killed, with all that they have ever held.
pub(crate) fn samples() -> Vec<(Image, Truth)> {
    let mut closed = Sample::new();
    closed.test.close();
    let killed = Sample::new();
    vec![
        (closed.test.disk.image(), closed.truth.clone()),
        (killed.test.disk.image(), killed.truth.clone()),
    ]
}

fn repaired(image: &Image) -> Result<(Model, RepairReport), EnvError> {
    let (source, target) = (image.to_mem(), MemDisk::new());
    let world = SimWorld::new(3);
    let report = repair_in(source.root(), target.root(), world.world(), small_options());
    assert_eq!(Image::of(&source).hash(), image.hash(), "the source was changed");
    let report = report?;
    let (env, _) = Environment::open_in(target.root(), world.world(), small_options()).unwrap();
    assert!(env.verify(&VerifyOptions::new()).unwrap().findings.is_empty());
    Ok((content(&env).unwrap(), report))
}

fn explains(missing: &Missing, key: &Key, truth: &Truth) -> bool {
    match missing {
        Missing::Commits { from, to } => {
            let to = to.unwrap_or(u64::MAX);
            truth.changes[key].keys().any(|commit| (*from..=to).contains(commit))
        }
        Missing::Keys { database, from, to, .. } => {
            *database == key.0 && *from <= key.1 && to.as_ref().is_none_or(|to| key.1 < *to)
        }
        Missing::Value { database, key: lost, .. } => *database == key.0 && *lost == key.1,
        _ => false,
    }
}

/// Repairs a damaged image and compares the result with what was ever there.
fn check(what: &str, image: &Image, truth: &Truth) -> RepairReport {
    let (found, report) = repaired(image).unwrap_or_else(|error| panic!("{what}: {error}"));
    let told = || format!("{what}: {report:#?}");
    // Without the state file a journal file that is gone leaves no trace, and nothing tells zeros that
    // were written over the very last records from those that were there before.
    let mut newest = &truth.newest;
    let unknown = ["without the state file", "one slot of the state file"];
    let is_unknown = |note: &String| unknown.iter().any(|text| note.starts_with(text));
    let last = logs(image).into_iter().rfind(|path| path.contains("/J-"));
    let zeroed = what.contains("zeroed") && last.is_some_and(|last| what.contains(&last));
    if zeroed || report.notes.iter().any(is_unknown) {
        let before = truth.states.range(..=report.newest_commit).next_back();
        newest = before.map_or(newest, |(_, state)| state);
    }
    let names_lost = report.missing.iter().any(|missing| {
        matches!(missing, Missing::Name { .. } | Missing::Commits { .. })
            || matches!(missing, Missing::Keys { database, .. } if database.starts_with('('))
    });
    for (name, entries) in &found {
        let nameless = name.starts_with("recovered-tree-");
        let once = truth.values.keys().any(|key| key.0 == *name);
        let known = newest.contains_key(name) || (nameless || once) && names_lost;
        assert!(known, "{name}: {}", told());
        for (key, value) in entries {
            let ever = |key: &Key| truth.values.get(key).is_some_and(|ever| ever.contains(value));
            let anywhere =
                || truth.values.iter().any(|(of, ever)| of.1 == *key && ever.contains(value));
            let known = if nameless { anywhere() } else { ever(&(name.clone(), key.clone())) };
            assert!(known, "a value that never was, in {name} at {key:?}: {}", told());
        }
    }
    for (name, entries) in newest {
        if !found.contains_key(name) {
            assert!(names_lost, "{name} is gone: {}", told());
            continue;
        }
        let keys: BTreeSet<&Vec<u8>> = entries.keys().chain(found[name].keys()).collect();
        for key in keys.into_iter().filter(|key| entries.get(*key) != found[name].get(*key)) {
            let key = (name.clone(), key.clone());
            let told_of = report.missing.iter().any(|missing| explains(missing, &key, truth));
            assert!(told_of, "{key:?} is not as it was, and nothing says so: {}", told());
        }
    }
    if report.is_complete() {
        assert!(found == *newest, "{}", told());
    }
    report
}

pub(crate) fn logs(image: &Image) -> Vec<String> {
    let files = image.files().map(|(path, _)| path.to_owned());
    files.filter(|path| path.ends_with(".log")).collect()
}

#[test]
fn a_sound_environment_comes_through_whole() {
    for (image, truth) in samples() {
        let report = check("nothing", &image, &truth);
        assert!(report.is_complete(), "{report:#?}");
        assert!(report.checkpoint.is_some());
    }
}

#[test]
fn whatever_file_is_gone_the_report_says_what_that_means() {
    let (mut complete, mut partial) = (0, 0);
    for (image, truth) in samples() {
        let files: Vec<String> = image.files().map(|(path, _)| path.to_owned()).collect();
        for path in &files {
            let report = check(&format!("without {path}"), &image.without(path), &truth);
            match report.is_complete() {
                true => complete += 1,
                false => partial += 1,
            }
            if ["CURRENT", "LOCK", "g-000001/STATE"].contains(&path.as_str()) {
                assert!(report.is_complete(), "{path}: {report:#?}");
                assert_eq!(report.notes.is_empty(), path == "LOCK", "{path}: {report:#?}");
            }
        }
        let both = image.without("CURRENT").without("g-000001/STATE");
        assert!(check("neither CURRENT nor STATE", &both, &truth).is_complete());
        // Two files of which any may hold what the other has lost.
        for (i, one) in files.iter().enumerate() {
            for other in &files[i + 1..] {
                let image = image.without(one).without(other);
                if logs(&image).is_empty() {
                    continue;
                }
                check(&format!("without {one} and {other}"), &image, &truth);
            }
        }
    }
    assert!(complete > 3 && partial > 3, "{complete} complete, {partial} partial");
}

#[test]
fn whatever_file_is_cut_or_zeroed_the_report_says_what_that_means() {
    for (image, truth) in samples() {
        let files = image.files().filter(|(_, len)| *len > 0);
        for (path, len) in files.map(|(path, len)| (path.to_owned(), len)).collect::<Vec<_>>() {
            let len = usize::try_from(len).unwrap();
            for cut in [0, 7, 4095, 4096, len / 3, len / 2, len.saturating_sub(97), len - 1] {
                if cut < len {
                    let damaged = image.with_edit(&path, |bytes| bytes.truncate(cut));
                    check(&format!("{path} cut at {cut}"), &damaged, &truth);
                }
            }
            let zeroed = image.with_edit(&path, |bytes| bytes.fill(0));
            let report = check(&format!("{path} zeroed"), &zeroed, &truth);
            if path.ends_with("STATE") {
                assert!(report.is_complete(), "{report:#?}");
            }
            for from in (4096..len).step_by(4096) {
                let zeroed = image.with_edit(&path, |bytes| {
                    let to = len.min(from + 512);
                    bytes[from..to].fill(0);
                });
                check(&format!("{path} zeroed from {from}"), &zeroed, &truth);
            }
        }
    }
}

#[test]
fn a_flipped_bit_costs_at_most_its_record() {
    let (mut kinds, mut complete, mut partial) = (BTreeSet::new(), 0u32, 0u32);
    for (image, truth) in samples() {
        let disk = image.to_mem();
        let dir = disk.root().open_dir(&"g-000001".parse().unwrap()).unwrap();
        for path in logs(&image) {
            let name: LogName = path.rsplit('/').next().unwrap().parse().unwrap();
            let handle = dir.open(&name.to_name(), cairn_io::Access::Read).unwrap();
            let file = LogFile::open_any(handle).unwrap();
            let mut flip = |at: u64, what: &str| {
                let at = usize::try_from(at).unwrap();
                let what = format!("{path}, {what}: a bit of byte {at}");
                let report = check(&what, &image.with_bit_flipped(&path, at * 8 + 3), &truth);
                match report.is_complete() {
                    true => complete += 1,
                    false => partial += 1,
                }
                report
            };
            for at in [0, 30, 150, 4094] {
                let report = flip(at, "the file header");
                assert!(report.is_complete(), "one bit of a header can be put right: {report:#?}");
            }
            let mut scanner = Scanner::new(&file, u64::MAX);
            while let Scan::Record(record) = scanner.next().unwrap() {
                kinds.insert(record.header.kind);
                let what = record.header.kind.to_string();
                flip(record.lsn.offset() + 17, &what);
                if record.header.len > 0 {
                    flip(record.lsn.offset() + FRAME_LEN as u64 + 2, &what);
                }
            }
        }
    }
    assert_eq!(kinds.len(), 8, "{kinds:?}");
    assert!(complete > partial && partial > 10, "{complete} complete, {partial} partial");
}

/// Several damages at once, also ones that leave no checkpoint to start from.
#[test]
fn however_much_is_damaged_nothing_is_made_up() {
    use cairn_sim::Chooser;
    let mut random = cairn_sim::Seeded::new(12);
    let mut below = |n: usize| random.choose(n, "damage");
    let mut seen = BTreeSet::new();
    for (image, truth) in samples() {
        for run in 0..600 {
            let mut damaged = image.clone();
            let mut what = format!("run {run}:");
            for _ in 0..1 + below(4) {
                let files: Vec<(String, u64)> =
                    damaged.files().map(|(path, len)| (path.to_owned(), len)).collect();
                let (path, len) = &files[below(files.len())];
                let len = usize::try_from(*len).unwrap();
                let at = below(len.max(1));
                what += &format!(" {path} {at}");
                damaged = match below(4) {
                    0 => damaged.without(path),
                    1 => damaged.with_edit(path, |bytes| bytes.truncate(at)),
                    2 => damaged.with_edit(path, |bytes| {
                        let end = len.min(at + 3000);
                        bytes[at..end].fill(0x5a);
                    }),
                    _ if len > 0 => damaged.with_bit_flipped(path, at * 8),
                    _ => damaged,
                };
            }
            if logs(&damaged).is_empty() {
                continue;
            }
            let report = check(&what, &damaged, &truth);
            seen.insert(("checkpoint", report.checkpoint.is_some()));
            for missing in &report.missing {
                seen.insert(match missing {
                    Missing::Commits { to, .. } => ("commits", to.is_some()),
                    Missing::Keys { as_of, .. } => ("keys", as_of.is_some()),
                    Missing::Value { .. } => ("value", true),
                    _ => ("name", true),
                });
            }
        }
    }
    assert_eq!(seen.len(), 8, "{seen:?}");
}

/// A killed process has written leaves of commits that the journal then lost: a recovery has given
/// them up, and so must a repair, however new they look.
#[test]
fn leaves_of_commits_that_a_crash_took_back_are_left_aside() {
    use cairn_env::Durability;
    let options = small_options().cache_bytes(4 << 10);
    let mut test = TestEnv::new(options);
    let db = test.db("db");
    let put = |test: &TestEnv, durability, range: std::ops::Range<u32>, value: u8| {
        let db = test.db("db");
        let changes = |txn: &mut cairn_env::Transaction| {
            range.clone().try_for_each(|n| txn.put(&db, &ordered(n), &[value; 60]))
        };
        test.env().write_with(durability, changes).unwrap();
    };
    put(&test, Durability::Sync, 0..200, 1);
    test.env().checkpoint().unwrap();
    test.disk.mark("durable", 1);
    for value in 2..12 {
        put(&test, Durability::NoSync, 0..200, value);
    }
    // The power fails: the journal loses what was not synced, leaf files happen to be there.
    let image = test.disk.image();
    let mut random = cairn_sim::Seeded::new(1);
    let crashed =
        test.disk.crash(cairn_sim::Level::LoseAll, &cairn_sim::Bounds::smoke(), &mut random);
    let mut mixed = crashed.image;
    for path in logs(&image).iter().filter(|path| path.contains("/N-")) {
        mixed = mixed.with_file(path, image.read(path).unwrap());
    }
    std::mem::forget(test.env.take());
    drop(db);
    let of_now = |image: &Image| {
        let (env, _) =
            Environment::open_in(image.to_mem().root(), SimWorld::new(9).world(), small_options())
                .unwrap();
        content(&env).unwrap()
    };
    let truth = of_now(&mixed);
    for damaged in [mixed.clone(), mixed.without("g-000001/STATE"), mixed.without("CURRENT")] {
        let (found, report) = repaired(&damaged).unwrap();
        assert!(found == truth, "{report:#?}");
        assert!(report.is_complete(), "{report:#?}");
    }
}

#[test]
fn what_cannot_be_repaired_is_refused_and_the_target_stays_as_it_is() {
    let (image, _) = samples().remove(0);
    let world = SimWorld::new(3);
    // Nothing to repair.
    let error = repaired(&Image::new()).unwrap_err();
    assert!(matches!(error, EnvError::NotAnEnvironment { .. }), "{error}");
    // A target that holds something.
    let target = image.to_mem();
    let result = repair_in(image.to_mem().root(), target.root(), world.world(), small_options());
    assert!(matches!(result, Err(EnvError::InvalidInput { .. })), "{result:?}");
    assert_eq!(Image::of(&target).hash(), image.hash());
    // A source that somebody has open.
    let source = image.to_mem();
    let open = Environment::open_in(source.root(), world.world(), small_options()).unwrap();
    let target = MemDisk::new();
    let result = repair_in(source.root(), target.root(), world.world(), small_options());
    assert!(matches!(result, Err(EnvError::AlreadyOpen { .. })), "{result:?}");
    assert_eq!(Image::of(&target).hash(), Image::new().hash());
    drop(open);
}

/// A repair that could not read what it had written took that for damage, and told its user to repair.
#[test]
fn a_repair_whose_target_cannot_be_read_blames_the_disk() {
    let (image, _) = samples().remove(0);
    let mut failed = 0;
    for call in 0.. {
        let target = FaultDisk::new(MemDisk::new().root());
        target.inject(Rule::new(Fault::Eio).op(IoOp::Read).nth(call));
        let world = SimWorld::new(3);
        let source = image.to_mem();
        let result = repair_in(source.root(), target.root(), world.world(), small_options());
        if !target.has_struck() {
            break;
        }
        if let Err(error) = result {
            assert!(matches!(error.kind(), ErrorKind::Io | ErrorKind::Poisoned), "{call}: {error}");
            failed += 1;
        }
    }
    assert!(failed > 10, "{failed}");
}

/// The target is no environment before all is in it, and a repair that was cut short starts over.
#[test]
fn a_repair_that_is_cut_short_leaves_nothing_that_opens() {
    use cairn_sim::{Bounds, Level, SimDisk};
    let (image, truth) = samples().remove(0);
    let world = SimWorld::new(3);
    let target = SimDisk::new();
    repair_in(image.to_mem().root(), target.root(), world.world(), small_options()).unwrap();
    let trace = target.trace();
    let (mut cuts, mut seen, mut opened, mut refused) = (trace.cuts(), BTreeSet::new(), 0, 0);
    while let Some(cut) = cuts.next_cut() {
        for level in [Level::LoseAll, Level::Prefix, Level::Subset] {
            for crashed in cut.crash().images(level, &Bounds::smoke()) {
                if !seen.insert(crashed.image.hash()) {
                    continue;
                }
                let disk = crashed.image.to_mem();
                let options = small_options().create(false);
                match Environment::open_in(disk.root(), world.world(), options) {
                    Ok((env, _)) => {
                        opened += 1;
                        assert!(content(&env).unwrap() == truth.newest, "{crashed}");
                    }
                    Err(EnvError::IncompleteRestore { .. } | EnvError::NotAnEnvironment { .. }) => {
                        refused += 1;
                        if refused % 20 == 1 {
                            let again = crashed.image.to_mem();
                            let source = image.to_mem();
                            repair_in(source.root(), again.root(), world.world(), small_options())
                                .unwrap_or_else(|error| panic!("{crashed}: {error}"));
                        }
                    }
                    Err(error) => panic!("{crashed}: {error}"),
                }
            }
        }
    }
    assert!(opened > 0 && refused > 50, "{opened} opened, {refused} refused");
}

/// A checkpoint had written its nodes and its record, and not yet the values that the cleaner had moved for
/// it, when the power failed. A repair took it for the newest one, and gave the values up.
#[test]
fn what_a_crash_has_left_whole_is_repaired_to_what_an_open_finds() {
    use cairn_sim::{Bounds, Level, SimDisk};
    let mut test = TestEnv::new(small_options());
    for key in 0..14u32 {
        test.put("db", &ordered(key), &[1; 1500]);
    }
    for key in 0..10u32 {
        test.put("db", &ordered(key), &[2; 10]);
    }
    test.close();
    test.disk = SimDisk::from_image(&test.disk.image());
    test.open().unwrap();
    test.put("db", b"more", &[2; 1500]);
    assert!(test.env().compact().unwrap().moved > 0);
    assert_eq!(test.env().stats().unwrap().value_files, 1);
    let trace = test.disk.trace();
    let (mut cuts, mut seen) = (trace.cuts(), BTreeSet::new());
    while let Some(cut) = cuts.next_cut() {
        for level in [Level::KeepAll, Level::LoseAll, Level::Subset] {
            for crashed in cut.crash().images(level, &Bounds::smoke()) {
                if !seen.insert(crashed.image.hash()) {
                    continue;
                }
                let (opened, world) = (crashed.image.to_mem(), SimWorld::new(3));
                let (env, _) =
                    Environment::open_in(opened.root(), world.world(), small_options()).unwrap();
                let (found, report) = repaired(&crashed.image).unwrap();
                assert!(found == content(&env).unwrap(), "{crashed}: {report:#?}");
                let is_tail =
                    |missing: &Missing| matches!(missing, Missing::Commits { to: None, .. });
                assert!(report.missing.iter().all(is_tail), "{crashed}: {report:#?}");
            }
        }
    }
    assert!(seen.len() > 50, "{}", seen.len());
}

/// A repair once made a map of whatever it found.
#[test]
fn a_repair_keeps_kinds_and_leaves_indexes_to_be_built_again() {
    let mut test = TestEnv::new(small_options());
    let db = test.db("db");
    test.env().index(&db, crate::index::by_word()).unwrap();
    let tags = test.env().multimap("tags").unwrap();
    for n in 0..50u8 {
        test.env()
            .write(|txn| {
                txn.put(&db, &[n], format!("w{} w{}", n % 3, n % 5).as_bytes())?;
                tags.put(txn, &[n % 4], &[n])
            })
            .unwrap();
        if n == 30 {
            test.env().checkpoint().unwrap();
        }
    }
    let expected = content(test.env()).unwrap();
    test.close();
    let (target, world) = (MemDisk::new(), SimWorld::new(5));
    let source = test.disk.image().to_mem();
    let report = repair_in(source.root(), target.root(), world.world(), small_options()).unwrap();
    assert!(report.missing.is_empty(), "{report:?}");
    assert!(report.notes.iter().any(|note| note.contains("index \"by word\" is left out")));
    let (env, _) = Environment::open_in(target.root(), world.world(), small_options()).unwrap();
    assert_eq!(content(&env).unwrap(), expected);
    let tags = env.multimap("tags").unwrap();
    assert_eq!(tags.count(&env.snapshot().unwrap(), &[2]).unwrap(), 12);
    let db = env.find_database("db").unwrap().unwrap();
    assert_eq!(env.snapshot().unwrap().databases().unwrap().len(), 2);
    let index = env.index(&db, crate::index::by_word()).unwrap();
    let snapshot = env.snapshot().unwrap();
    assert_eq!(crate::index::held(&snapshot, &index), crate::index::recomputed(&snapshot, &db));
}

/// A journal file that had not got its header when the power failed makes a repair doubt the end of the journal.
/// It then brought back what had been dropped long before, as a database whose name is lost.
#[test]
fn what_was_dropped_stays_so_where_the_end_of_the_journal_is_in_doubt() {
    let mut sample = Sample { test: TestEnv::new(small_options()), truth: Truth::default() };
    sample.commit("kept", &[(1, Some(vec![1; 30]))]);
    sample.commit("dropped", &[(1, Some(vec![1; 30]))]);
    sample.test.env().checkpoint().unwrap();
    sample.drop_database("dropped");
    for round in 0..3u8 {
        (0..40).for_each(|key| sample.commit("other", &[(key, Some(vec![round; 400]))]));
        sample.test.env().checkpoint().unwrap();
    }
    let image = sample.test.disk.image();
    assert!(image.read("g-000001/J-00000001-00000001.log").is_none(), "the drop is in no journal");
    let doubtful = image.with_file("g-000001/J-00000001-000000ff.log", vec![0; 100]);
    let report = check("a journal file without a header", &doubtful, &sample.truth);
    let is_tail = |missing: &Missing| matches!(missing, Missing::Commits { to: None, .. });
    assert!(!report.is_complete() && report.missing.iter().all(is_tail), "{report:#?}");
}

/// Where the newest names were lost, a name that an old journal file still had led to the tree that had it then,
/// and nothing said that it might have been given to another one since.
#[test]
fn a_name_that_only_an_old_commit_tells_is_said_to_be_that_old() {
    let mut sample = Sample { test: TestEnv::new(small_options()), truth: Truth::default() };
    sample.commit("db", &[(1, Some(vec![1; 30])), (2, Some(vec![1; 30]))]);
    sample.commit("kept", &[(1, Some(vec![1; 1500]))]); // which keeps the first journal file
    sample.test.env().checkpoint().unwrap();
    (0..60).for_each(|key| sample.commit("other", &[(key, Some(vec![1; 400]))]));
    sample.drop_database("db");
    sample.commit("db", &[(1, Some(vec![2; 30]))]);
    for round in 0..3u8 {
        (0..40).for_each(|key| sample.commit("other", &[(key, Some(vec![round; 400]))]));
        sample.test.env().checkpoint().unwrap();
    }
    sample.test.close();
    let image = sample.test.disk.image();
    assert!(image.read("g-000001/J-00000001-00000001.log").is_some());
    let told = logs(&image)
        .into_iter()
        .filter(|path| path.contains("/N-"))
        .map(|path| check(&format!("{path} is gone"), &image.without(&path), &sample.truth));
    let is_old = |missing: &Missing| matches!(missing, Missing::Keys { database, from, to: None, as_of: Some(_) } if database == "db" && from.is_empty());
    let told: Vec<_> = told.collect();
    assert!(told.iter().any(|report| report.missing.iter().any(is_old)), "{told:?}");
}
