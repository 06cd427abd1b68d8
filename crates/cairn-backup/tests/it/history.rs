//! Restores to the moments of a long history: each is what a model of it was.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use cairn_backup::{BackupOptions, RestoreOptions, RestoreTo, backup, backup_to, restore};
use cairn_env::{Database, DatabaseOptions, EnvError, Environment, JournalRetention, Options};
use cairn_io::{MemDisk, WallTime};
use cairn_sim::SimWorld;

use crate::{
    fixture::{Content, content, dir, options},
    point_in_time::Journal,
};

/// A small stream of choices.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// What a history is made of beside single changes, and how often that was.
#[derive(Debug, Default)]
struct Ingredients {
    checkpoints: u64,
    /// Files that the cleaner has removed.
    cleaned: u64,
    loads: u64,
    drops: u64,
    opens: u64,
    kills: u64,
    /// How often the clock went back.
    back: u64,
}

/// A history of everything that an environment does, with a clock that goes back now and then.
struct History {
    world: SimWorld,
    disk: MemDisk,
    env: Option<Environment>,
    chance: Chance,
    /// What was there after each commit.
    states: BTreeMap<u64, Content>,
    /// Backups, with their commits.
    bases: Vec<(u64, MemDisk)>,
    ingredients: Ingredients,
}

impl History {
    fn options() -> Options {
        options().leaf_bytes(512).keep_journal(JournalRetention::Forever)
    }

    fn new(seed: u64) -> Self {
        let mut history = Self {
            world: SimWorld::new(seed),
            disk: MemDisk::new(),
            env: None,
            chance: Chance(seed),
            states: BTreeMap::new(),
            bases: Vec::new(),
            ingredients: Ingredients::default(),
        };
        history.open();
        history
    }

    fn open(&mut self) {
        let opened = Environment::open_in(self.disk.root(), self.world.world(), Self::options());
        self.env = Some(opened.unwrap().0);
    }

    fn env(&self) -> &Environment {
        self.env.as_ref().unwrap()
    }

    fn db(&self, n: u64) -> Database {
        let name = ["ada", "grace", "barbara"][usize::try_from(n).unwrap()];
        self.env().database(name, DatabaseOptions::default()).unwrap()
    }

    /// Takes note of the state, after each commit.
    fn note(&mut self) {
        let commit = self.env().snapshot().unwrap().commit();
        self.states.insert(commit, content(self.env()));
    }

    fn back_up(&mut self, reading: bool) {
        let saved = MemDisk::new();
        let world = self.world.world();
        let report = if reading {
            let options = Self::options().read_only(true);
            let env =
                Environment::open_in(self.disk.root(), self.world.world(), options).unwrap().0;
            backup_to(&env, &dir(&saved), &world, &BackupOptions::default()).unwrap()
        } else {
            backup_to(self.env(), &dir(&saved), &world, &BackupOptions::default()).unwrap()
        };
        self.bases.push((report.commit, saved));
    }

    fn step(&mut self) {
        let millis = self.chance.below(5000);
        match self.chance.below(12) {
            0 => {
                self.world.set_wall(WallTime(946_684_800_000_000));
                self.ingredients.back += 1;
            }
            _ => self.world.advance(Duration::from_millis(millis)),
        }
        let which = self.chance.below(3);
        match self.chance.below(40) {
            0 => {
                self.env().checkpoint().unwrap();
                self.ingredients.checkpoints += 1;
            }
            1 => self.ingredients.cleaned += self.env().clean().unwrap().files,
            2 => {
                self.ingredients.drops += 1;
                let db = self.db(which);
                self.note();
                self.env().write(|txn| txn.drop_database(&db)).unwrap();
            }
            3 => drop(self.env().mark(["a", "b"][usize::from(which > 0)]).unwrap()),
            4 => {
                self.ingredients.loads += 1;
                let db = self.db(which);
                self.note();
                let mut load = self.env().begin_exclusive().unwrap();
                let from = self.chance.below(100);
                for n in from..from + 200 {
                    load.put(&db, format!("{n:05}").as_bytes(), &[b'l'; 90]).unwrap();
                }
                load.commit().unwrap();
            }
            5 => {
                self.ingredients.opens += 1;
                self.env.take().unwrap().close().unwrap();
                self.open();
            }
            6 => {
                // Killed: what no sync has covered is there all the same.
                self.ingredients.kills += 1;
                let disk = self.disk.fork();
                self.env = None;
                self.disk = disk;
                self.open();
            }
            _ => {
                let db = self.db(which);
                self.note();
                let (key, len) = (self.chance.below(150), self.chance.below(60));
                let len = if len == 0 { 5000 } else { len };
                let value = vec![b'v'; usize::try_from(len).unwrap()];
                let delete = self.chance.below(4) == 0;
                self.env()
                    .write(|txn| match delete {
                        true => txn.delete(&db, format!("{key:05}").as_bytes()).map(drop),
                        false => txn.put(&db, format!("{key:05}").as_bytes(), &value),
                    })
                    .unwrap();
            }
        }
        self.note();
    }

    fn run(seed: u64, commits: u64) -> Self {
        let mut history = Self::new(seed);
        history.note();
        history.back_up(false);
        let mut next = commits / 3;
        loop {
            history.step();
            let commit = *history.states.keys().max().unwrap();
            if commit > next {
                next += commits / 4;
                history.back_up(commit.is_multiple_of(2));
            }
            if commit >= commits {
                break;
            }
        }
        history.env.take().unwrap().close().unwrap();
        history
    }

    /// The newest backup up to a commit, or for some the first one.
    fn base(&self, commit: u64) -> &MemDisk {
        let before = self.bases.iter().filter(|(base, _)| *base <= commit);
        let base = match commit % 4 {
            0 => self.bases.first(),
            _ => before.max_by_key(|(base, _)| *base),
        };
        &base.unwrap().1
    }
}

/// The history that the tests below go back in: 500 commits, each with what was there after it.
fn long_history() -> History {
    let history = History::run(5, 500);
    let Ingredients { checkpoints, cleaned, loads, drops, opens, kills, back } =
        history.ingredients;
    let least = [checkpoints, cleaned, loads, drops, opens, kills, back].into_iter().min();
    assert!(least > Some(4), "{:?}", history.ingredients);
    assert!(history.bases.len() > 3);
    let commits: Vec<u64> = history.states.keys().copied().collect();
    let (first, last) = (commits[0], commits[commits.len() - 1]);
    assert!(last >= 500 && commits == (first..=last).collect::<Vec<_>>(), "{commits:?}");
    history
}

#[test]
fn each_of_500_commits_of_a_history_is_restored_by_number_and_by_time() {
    let history = long_history();
    let journal = Journal { dir: Some(dir(&history.disk)), options: History::options() };
    let mut times = BTreeMap::new();
    for (commit, expected) in &history.states {
        let (report, found, _) =
            journal.restore(history.base(*commit), RestoreTo::Commit(*commit)).unwrap();
        assert_eq!(report.commit, *commit);
        assert!(found == *expected, "commit {commit}");
        times.insert(*commit, report.time);
    }
    assert!(times.len() > 500 && times.values().is_sorted(), "{times:?}");
    // The commits of one time are restored together: the newest of them is what was there at that time.
    let mut restored = 0;
    for (commit, time) in times.iter().filter(|(_, time)| **time > 0) {
        let last = times.iter().rfind(|(_, at)| *at <= time).map(|(commit, _)| *commit).unwrap();
        let (report, found, _) =
            journal.restore(history.base(*commit), RestoreTo::Time(*time)).unwrap();
        assert_eq!((report.commit, report.time), (last, *time), "commit {commit}");
        assert!(found == history.states[&last], "commit {commit}, time {time}");
        restored += 1;
    }
    assert!(restored >= 500, "{restored}");
    // The environment itself knows that nothing came later; a backup does not.
    let newest = *times.keys().max().unwrap();
    let late = RestoreTo::Time(times[&newest] + 1_000_000);
    let (report, ..) = journal.restore(history.base(newest), late.clone()).unwrap();
    assert_eq!(report.commit, newest);
    let error = Journal { dir: None, ..journal }.refused(history.base(newest), late);
    assert!(matches!(error, EnvError::OutOfReach { .. }), "{error}");
}

/// From the first backup on: all that this one leads to is in journal files that it does not have.
#[test]
fn a_journal_file_that_is_missing_from_a_history_is_named_and_never_left_out() {
    let history = long_history();
    let (base, saved) = &history.bases[0];
    let newest = *history.states.keys().max().unwrap();
    let files = history.disk.files().into_iter().map(|(path, _)| path);
    let all: Vec<_> = files.filter(|path| path.contains("/J-")).collect();
    let in_backup = |path: &str| saved.read(&path.replace("g-000001", "files")).is_ok();
    let past: Vec<_> = all.iter().filter(|path| !in_backup(path)).collect();
    assert!(past.len() > 20, "{past:?}");
    let (mut ends, mut named) = (Vec::new(), 0);
    for path in past.iter().copied() {
        let broken = history.disk.fork();
        broken.remove(path).unwrap();
        let journal = Journal { dir: Some(dir(&broken)), options: History::options() };
        for to in [RestoreTo::Newest, RestoreTo::Commit(newest), RestoreTo::Time(u64::MAX)] {
            let error = journal.refused(saved, to.clone());
            let EnvError::JournalGap { missing, last, .. } = &error else {
                panic!("{to}: {error}")
            };
            // Where a killed process has ended the file before it, only the missing one says that this is its end.
            let before = all.iter().rfind(|file| *file < path);
            let is_named = |file: &String| file.ends_with(missing.as_str());
            assert!(is_named(path) || before.is_some_and(is_named), "{path}, {to}: {error}");
            named += u32::from(is_named(path));
            ends.push(*last);
        }
        // What is before it can be restored, and no more.
        let last = ends[ends.len() - 1];
        assert!(*base <= last && last < newest, "{path}: {last}");
        let (report, found, _) = journal.restore(saved, RestoreTo::Commit(last)).unwrap();
        assert!(report.commit == last && found == history.states[&last], "{path}");
        let error = journal.refused(saved, RestoreTo::Commit(last + 1));
        assert!(matches!(error, EnvError::JournalGap { .. }), "{path}: {error}");
    }
    assert!(ends.is_sorted(), "{ends:?}");
    assert!(named > 2 * u32::try_from(past.len()).unwrap(), "{named} of {}", ends.len());
}

/// Journal files begin, end and are found while they are written, and checkpoints and cleaning go on.
#[test]
fn a_restore_follows_the_journal_of_an_environment_under_load() {
    let dir = tempfile::tempdir().unwrap();
    let (live, saved) = (dir.path().join("live"), dir.path().join("saved"));
    let options = Options::default()
        .journal_file_bytes(64 << 10)
        .checkpoint_bytes(200_000)
        .keep_journal(JournalRetention::Forever);
    let (env, _) = Environment::open(&live, options).unwrap();
    let (a, b) = env
        .write(|txn| {
            let a = txn.create_database("a", DatabaseOptions::default())?;
            let b = txn.create_database("b", DatabaseOptions::default())?;
            Ok((a, b))
        })
        .unwrap();
    backup(&env, &saved, &BackupOptions::default()).unwrap();
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0u64.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                // The same in both databases, or it is torn.
                let put = |txn: &mut cairn_env::Transaction| {
                    txn.put(&a, &n.to_le_bytes(), &[1; 300])?;
                    txn.put(&b, &n.to_le_bytes(), &[1; 300])
                };
                env.write(put).unwrap();
                acknowledged.store(n, Ordering::SeqCst);
            }
        });
        let mut last = 0;
        for round in 0..12 {
            let before = acknowledged.load(Ordering::SeqCst);
            let to = match round % 3 {
                0 => RestoreTo::Commit(1 + last.max(before) / 2),
                _ => RestoreTo::Newest,
            };
            let how = RestoreOptions::default().to(to.clone()).journal(&live);
            let back = dir.path().join(format!("back-{round}"));
            let report = restore(&saved, &back, &how).unwrap();
            let (env, _) = Environment::open(&back, Options::default()).unwrap();
            let content = content(&env);
            assert_eq!(content["a"], content["b"]);
            assert_eq!(content["a"].len() as u64 + 1, report.commit, "one commit for each entry");
            if to == RestoreTo::Newest {
                // What has been acknowledged but for the last ones is known to be durable.
                assert!(report.commit + 2 > before, "{} {before}", report.commit);
                assert!(report.commit >= last);
                last = report.commit;
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}
