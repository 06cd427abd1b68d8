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

/// A history of everything that an environment does, with a clock that goes back now and then.
struct History {
    world: SimWorld,
    disk: MemDisk,
    env: Option<Environment>,
    chance: Chance,
    states: BTreeMap<u64, Content>,
    /// Backups, with their commits.
    bases: Vec<(u64, MemDisk)>,
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

    /// Takes note of the state, after whatever number of commits that was; what came between is not compared.
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
            0 => self.world.set_wall(WallTime(946_684_800_000_000)),
            _ => self.world.advance(Duration::from_millis(millis)),
        }
        let which = self.chance.below(3);
        match self.chance.below(40) {
            0 => drop(self.env().checkpoint().unwrap()),
            1 => drop(self.env().clean().unwrap()),
            2 => {
                let db = self.db(which);
                self.note();
                self.env().write(|txn| txn.drop_database(&db)).unwrap();
            }
            3 => drop(self.env().mark(["a", "b"][usize::from(which > 0)]).unwrap()),
            4 => {
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
                self.env.take().unwrap().close().unwrap();
                self.open();
            }
            6 => {
                // Killed: what no sync has covered is there all the same.
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

#[test]
fn each_of_500_commits_of_a_history_is_restored_by_number_and_by_time() {
    let history = History::run(5, 500);
    assert!(history.bases.len() > 3 && history.states.len() > 450, "{}", history.states.len());
    let journal = Journal { dir: Some(dir(&history.disk)), options: History::options() };
    let mut times = BTreeMap::new();
    for (commit, expected) in &history.states {
        let (report, found, _) =
            journal.restore(history.base(*commit), RestoreTo::Commit(*commit)).unwrap();
        assert_eq!(report.commit, *commit);
        assert!(found == *expected, "commit {commit}");
        times.insert(*commit, report.time);
    }
    assert!(times.values().is_sorted(), "{times:?}");
    let newest = *times.keys().max().unwrap();
    // The times of commits whose states were not taken are not known: those of the others suffice.
    let commits: Vec<_> =
        times.iter().skip(1).step_by(11).map(|(commit, time)| (*commit, *time)).collect();
    for (commit, time) in commits {
        let last = times.iter().rfind(|(_, at)| **at <= time).map(|(commit, _)| *commit).unwrap();
        let (report, found, _) =
            journal.restore(history.base(commit), RestoreTo::Time(time)).unwrap();
        assert!(report.commit >= last && report.time <= time, "commit {commit}");
        if let Some(expected) = history.states.get(&report.commit) {
            assert!(found == *expected, "time {time}");
        }
        let next = times.range(report.commit + 1..).next();
        assert!(next.is_none_or(|(_, next)| *next > time), "time {time}");
    }
    // The environment itself knows that nothing came later; a backup does not.
    let late = RestoreTo::Time(times[&newest] + 1_000_000);
    let (report, ..) = journal.restore(history.base(newest), late.clone()).unwrap();
    assert_eq!(report.commit, newest);
    let error = Journal { dir: None, ..journal }.refused(history.base(newest), late);
    assert!(matches!(error, EnvError::OutOfReach { .. }), "{error}");
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
