//! Restores to a moment: what is there is what was there then, or the refusal says why not.

use std::collections::BTreeMap;

use cairn_backup::{
    BackupError, BackupOptions, BackupResult, RestoreOptions, RestoreReport, RestoreTo, backup_to,
    restore_from,
};
use cairn_env::{
    EnvError, Environment, EnvironmentKeys, ErrorKind, KdfCost, KeySource, Options, ReplicaPolicy,
    undo_restore,
};
use cairn_io::{DirRef, MemDisk};
use cairn_log::{DataKey, DataKeys, FileNumber, Lsn};

use crate::fixture::{Content, content, dir, fill, open, open_seeded, options, world};

/// Where restores of a test find the journal, and what they open it with.
pub(crate) struct Journal {
    pub(crate) dir: Option<DirRef>,
    pub(crate) options: Options,
}

impl Journal {
    fn none() -> Self {
        Self { dir: None, options: options() }
    }

    fn of(disk: &MemDisk) -> Self {
        Self { dir: Some(dir(disk)), options: options() }
    }

    /// Restores, and looks at what that gave; a refusal must have written nothing.
    pub(crate) fn restore(
        &self,
        saved: &MemDisk,
        to: RestoreTo,
    ) -> BackupResult<(RestoreReport, Content, MemDisk)> {
        let back = MemDisk::new();
        let mut how = RestoreOptions::default().to(to).options(self.options.clone());
        how.journal_in = self.dir.as_ref();
        let report =
            restore_from(&dir(saved), &dir(&back), &world(), &how).inspect_err(|error| {
                assert!(back.files().is_empty(), "something was written: {error}");
            })?;
        let env = Environment::open_in(back.root(), world(), self.options.clone()).unwrap().0;
        assert_eq!(env.snapshot().unwrap().commit(), report.commit);
        let found = content(&env);
        Ok((report, found, back))
    }

    pub(crate) fn refused(&self, saved: &MemDisk, to: RestoreTo) -> EnvError {
        match self.restore(saved, to) {
            Err(BackupError::Env(error)) => error,
            Err(error) => panic!("{error}"),
            Ok((report, ..)) => panic!("restored commit {}", report.commit),
        }
    }
}

/// An environment, a backup of it, and what it was after each commit since.
struct Sample {
    live: MemDisk,
    saved: MemDisk,
    env: Environment,
    states: BTreeMap<u64, Content>,
}

impl Sample {
    fn new() -> Self {
        let (live, saved) = (MemDisk::new(), MemDisk::new());
        let env = open(&live);
        fill(&env, 0, 40);
        backup_to(&env, &dir(&saved), &world(), &BackupOptions::default()).unwrap();
        let mut sample = Self { live, saved, env, states: BTreeMap::new() };
        sample.note();
        for n in 0..120 {
            fill(&sample.env, 20 + n, 1);
            sample.note();
            if n % 10 == 5 {
                sample.env.mark(["early", "late"][usize::from(n > 20)]).unwrap();
                sample.note();
            }
        }
        sample
    }

    fn note(&mut self) {
        let commit = self.env.snapshot().unwrap().commit();
        self.states.insert(commit, content(&self.env));
    }

    fn newest(&self) -> u64 {
        *self.states.keys().max().unwrap()
    }

    /// With the environment closed.
    fn closed() -> (MemDisk, MemDisk, BTreeMap<u64, Content>) {
        let Self { live, saved, env, states, .. } = Self::new();
        env.close().unwrap();
        (live, saved, states)
    }
}

fn label(label: &str) -> RestoreTo {
    RestoreTo::Label(label.into())
}

/// The journal files of an environment, by path.
fn journals(disk: &MemDisk) -> Vec<String> {
    let files = disk.files().into_iter().map(|(path, _)| path);
    files.filter(|path| path.contains("/J-")).collect()
}

#[test]
fn each_commit_past_a_backup_is_restored_from_the_journal_of_the_open_environment() {
    let sample = Sample::new();
    let journal = Journal::of(&sample.live);
    // The last one is not known to be durable, as long as no other follows.
    for (commit, expected) in sample.states.range(..sample.newest()) {
        let (report, found, back) =
            journal.restore(&sample.saved, RestoreTo::Commit(*commit)).unwrap();
        assert_eq!((report.commit, &found), (*commit, expected), "commit {commit}");
        // It goes on, on a timeline of its own.
        let env = open(&back);
        fill(&env, 900, 3);
        env.checkpoint().unwrap();
        env.close().unwrap();
        assert_eq!(content(&open(&back))["db"].len(), found["db"].len() + 3);
    }
    let (report, ..) = journal.restore(&sample.saved, RestoreTo::Newest).unwrap();
    assert_eq!(report.commit, sample.newest() - 1);
    assert_ne!(report.timeline, sample.env.identity().timeline);
    assert!(sample.env.is_valid());
}

#[test]
fn a_closed_environment_gives_its_newest_commit_and_its_marks() {
    let (live, saved, states) = Sample::closed();
    let journal = Journal::of(&live);
    let (newest, expected) = states.last_key_value().unwrap();
    let (report, found, _) = journal.restore(&saved, RestoreTo::Newest).unwrap();
    assert_eq!((report.commit, &found), (*newest, expected));
    let marks = open(&live).marks().unwrap();
    for name in ["early", "late"] {
        let meant = marks.iter().rfind(|mark| mark.label == name).unwrap();
        let (report, found, back) = journal.restore(&saved, label(name)).unwrap();
        assert_eq!((report.commit, report.time), (meant.commit, meant.time));
        assert_eq!(found, states[&meant.commit]);
        let kept = open(&back).marks().unwrap();
        assert_eq!(kept.last(), Some(meant), "what came after it is not there");
    }
}

#[test]
fn a_position_in_the_log_is_a_moment() {
    let (live, saved, states) = Sample::closed();
    let journal = Journal::of(&live);
    let (first, newest) = (*states.keys().next().unwrap(), *states.keys().max().unwrap());
    let marks = open(&live).marks().unwrap();
    assert!(marks.len() > 5);
    for mark in &marks {
        // Behind the record stands the next one, and in front of it the one before.
        let at = |offset| RestoreTo::Lsn(Lsn::new(mark.lsn.file(), offset).unwrap());
        let offset = mark.lsn.offset();
        for (to, commit) in [
            (at(offset), mark.commit),
            (at(offset + 8), mark.commit),
            (at(offset - 8), mark.commit - 1),
        ] {
            let (report, found, _) = journal.restore(&saved, to).unwrap();
            assert_eq!((report.commit, &found), (commit, &states[&commit]));
        }
    }
    let beyond = || RestoreTo::Lsn(Lsn::new(FileNumber::new(1 << 20).unwrap(), 4096).unwrap());
    let (report, ..) = journal.restore(&saved, beyond()).unwrap();
    assert_eq!(report.commit, newest);
    let error = Journal::none().refused(&saved, beyond());
    assert!(matches!(error, EnvError::OutOfReach { .. }), "{error}");
    let before = RestoreTo::Lsn(Lsn::new(FileNumber::FIRST, 4096).unwrap());
    let error = journal.refused(&saved, before);
    assert!(matches!(error, EnvError::OutOfReach { first: f, .. } if f == first), "{error}");
}

#[test]
fn a_moment_that_is_not_in_the_history_is_refused() {
    let (live, saved, states) = Sample::closed();
    let journal = Journal::of(&live);
    let (first, newest) = (*states.keys().next().unwrap(), *states.keys().max().unwrap());
    for to in [RestoreTo::Commit(first - 1), RestoreTo::Commit(newest + 1), label("nowhere")] {
        let error = journal.refused(&saved, to.clone());
        let EnvError::OutOfReach { first: from, last, .. } = error else { panic!("{error}") };
        assert_eq!((from, last, error.kind()), (first, newest, ErrorKind::NotFound), "{to:?}");
    }
    // Without a journal, the backup is all that there is.
    let (report, found, _) = Journal::none().restore(&saved, RestoreTo::Commit(first)).unwrap();
    assert_eq!((report.commit, &found), (first, &states[&first]));
    let error = Journal::none().refused(&saved, RestoreTo::Commit(first + 1));
    assert!(matches!(error, EnvError::OutOfReach { last, .. } if last == first), "{error}");
}

#[test]
fn whatever_journal_file_is_missing_or_damaged_the_history_ends_before_it_and_says_so() {
    let (live, saved, states) = Sample::closed();
    let newest = *states.keys().max().unwrap();
    let mut ends = Vec::new();
    let in_backup = |path: &str| saved.read(&path.replace("g-000001", "files")).is_ok();
    let past: Vec<_> = journals(&live).into_iter().filter(|path| !in_backup(path)).collect();
    assert!(past.len() > 3, "{past:?}");
    for path in &past {
        for how in 0..4 {
            let broken = live.fork();
            match how {
                0 => broken.remove(path).unwrap(),
                1 => broken.edit(path, |bytes| bytes[5000] ^= 1).unwrap(),
                2 => broken.edit(path, |bytes| bytes.truncate(6000)).unwrap(),
                _ => broken.edit(path, |bytes| bytes[300] ^= 1).unwrap(), // of its header
            }
            let journal = Journal::of(&broken);
            let error = journal.refused(&saved, RestoreTo::Newest);
            let EnvError::JournalGap { missing, last, .. } = &error else { panic!("{error}") };
            assert!(path.ends_with(missing.as_str()), "{path}: {error}");
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(*last < newest);
            let beyond = journal.refused(&saved, RestoreTo::Commit(newest));
            assert!(matches!(beyond, EnvError::JournalGap { .. }), "{beyond}");
            // The latest mark may be where nobody can look.
            let named = journal.refused(&saved, label("early"));
            assert!(matches!(named, EnvError::JournalGap { .. }), "{named}");
            let (report, found, _) = journal.restore(&saved, RestoreTo::Commit(*last)).unwrap();
            assert_eq!((report.commit, &found), (*last, &states[last]));
            if how == 0 {
                ends.push(*last);
            }
        }
    }
    assert!(ends.len() > 2 && ends.is_sorted(), "{ends:?}");
}

#[test]
fn a_journal_of_another_history_is_refused() {
    let (live, saved, _) = Sample::closed();
    let refused = |disk: &MemDisk, to| {
        let error = Journal::of(disk).refused(&saved, to);
        assert!(matches!(error, EnvError::OtherHistory { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    };
    // Another environment; and this one, gone another way from before the backup.
    let other = MemDisk::new();
    fill(&open_seeded(&other, 99), 0, 200);
    refused(&other, RestoreTo::Newest);
    let early = MemDisk::new();
    let env = open(&early);
    fill(&env, 0, 10);
    let before = MemDisk::new();
    backup_to(&env, &dir(&before), &world(), &BackupOptions::default()).unwrap();
    fill(&env, 10, 30);
    let after = MemDisk::new();
    backup_to(&env, &dir(&after), &world(), &BackupOptions::default()).unwrap();
    env.close().unwrap();
    let (_, _, back) = Journal::none().restore(&before, RestoreTo::Newest).unwrap();
    let env = open(&back);
    fill(&env, 10, 60);
    env.close().unwrap();
    let error = Journal::of(&back).refused(&after, RestoreTo::Newest);
    assert!(matches!(error, EnvError::OtherHistory { .. }), "{error}");
    // From before the fork on, the same journal leads to its own end.
    let (report, found, _) = Journal::of(&back).restore(&before, RestoreTo::Newest).unwrap();
    assert_eq!((report.commit, found), (71, content(&open(&back))));
    drop(live);
}

#[test]
fn a_later_backup_and_a_replica_lead_past_a_backup() {
    let (live, there, saved) = (MemDisk::new(), MemDisk::new(), MemDisk::new());
    let with_replica = options().replica_in(there.root(), ReplicaPolicy::Require);
    let env = Environment::open_in(live.root(), world(), with_replica).unwrap().0;
    fill(&env, 0, 30);
    backup_to(&env, &dir(&saved), &world(), &BackupOptions::default()).unwrap();
    let mut states = BTreeMap::new();
    for n in 0..30 {
        fill(&env, 10 + n, 1);
        states.insert(env.snapshot().unwrap().commit(), content(&env));
    }
    // One that only reads makes no checkpoint, so its journal goes back to the one before.
    let reading = Environment::open_in(live.root(), world(), options().read_only(true)).unwrap().0;
    let later = MemDisk::new();
    let report = backup_to(&reading, &dir(&later), &world(), &BackupOptions::default()).unwrap();
    drop(reading);
    for (commit, expected) in &states {
        let from = |disk: &MemDisk| Journal::of(disk).restore(&saved, RestoreTo::Commit(*commit));
        if *commit <= report.commit {
            let (_, found, _) = from(&later).unwrap();
            assert_eq!(&found, expected, "commit {commit}");
            // In the later backup itself everything from its checkpoint on can be gone back to.
            let (_, found, _) =
                Journal::none().restore(&later, RestoreTo::Commit(*commit)).unwrap();
            assert_eq!(&found, expected, "commit {commit}");
        }
        if states.contains_key(&(commit + 1)) {
            // The last one is not known to be durable, as long as no other follows.
            let (_, found, _) = from(&there).unwrap();
            assert_eq!(&found, expected, "commit {commit}");
        }
    }
    assert!(report.commit > *states.keys().next().unwrap() + 10, "{}", report.commit);
}

#[test]
fn an_environment_goes_back_in_place_by_its_own_journal_and_forward_again() {
    let (live, saved, states) = Sample::closed();
    let meant =
        open(&live).marks().unwrap().into_iter().rfind(|mark| mark.label == "early").unwrap();
    let journal = dir(&live);
    let how = RestoreOptions::default().options(options()).in_place(true).journal_in(&journal);
    let report =
        restore_from(&dir(&saved), &dir(&live), &world(), &how.to(label("early"))).unwrap();
    assert_eq!((report.commit, report.kept), (meant.commit, Some(1)));
    assert_eq!(content(&open(&live)), states[&meant.commit]);
    undo_restore(live.root()).unwrap();
    assert_eq!(content(&open(&live)), *states.last_key_value().unwrap().1);
}

#[test]
fn journal_files_come_back_into_their_data_directories() {
    let (live, saved) = (MemDisk::new(), MemDisk::new());
    let spread = options().data_directories(3);
    let env = Environment::open_in(live.root(), world(), spread).unwrap().0;
    fill(&env, 0, 30);
    backup_to(&env, &dir(&saved), &world(), &BackupOptions::default()).unwrap();
    fill(&env, 10, 90);
    let commit = env.mark("here").unwrap();
    let expected = content(&env);
    fill(&env, 10, 30);
    let (report, found, back) = Journal::of(&live).restore(&saved, label("here")).unwrap();
    assert_eq!((report.commit, found), (commit, expected));
    let directories = journals(&back);
    let used = |n: u8| directories.iter().any(|path| path.starts_with(&format!("data00{n}/")));
    assert!(used(1) && used(2) && used(3), "{directories:?}");
}

#[test]
fn the_journal_of_an_encrypted_environment_is_read_with_its_keys() {
    let keys = DataKeys::new([(1, DataKey::new([7; 32]))]).unwrap();
    let encrypted = options().encryption(keys);
    let (live, saved) = (MemDisk::new(), MemDisk::new());
    let env = Environment::open_in(live.root(), world(), encrypted.clone()).unwrap().0;
    fill(&env, 0, 30);
    backup_to(&env, &dir(&saved), &world(), &BackupOptions::default()).unwrap();
    fill(&env, 10, 60);
    let commit = env.mark("here").unwrap();
    let expected = content(&env);
    fill(&env, 20, 30);
    env.close().unwrap();
    let journal = Journal { dir: Some(dir(&live)), options: encrypted };
    let (report, found, _) = journal.restore(&saved, label("here")).unwrap();
    assert_eq!((report.commit, found), (commit, expected));
}

#[test]
fn a_key_epoch_that_began_after_the_backup_comes_with_the_journal() {
    let key = KeySource::passphrase("monday").unwrap().cost(KdfCost::new(8, 1).unwrap());
    let with = options().key(key.clone());
    let open = |disk: &MemDisk| Environment::open_in(disk.root(), world(), with.clone()).unwrap().0;
    let (live, saved) = (MemDisk::new(), MemDisk::new());
    let env = open(&live);
    fill(&env, 0, 30);
    backup_to(&env, &dir(&saved), &world(), &BackupOptions::default()).unwrap();
    fill(&env, 10, 40);
    let before = (env.mark("before").unwrap(), content(&env));
    env.close().unwrap();
    let keys = EnvironmentKeys::open_in(live.root(), world()).unwrap();
    assert_eq!(keys.unlock(&key).unwrap().begin_epoch().unwrap(), 2);
    let env = open(&live);
    fill(&env, 20, 60);
    let after = (env.mark("after").unwrap(), content(&env));
    fill(&env, 20, 10);
    env.close().unwrap();
    let journal = Journal { dir: Some(dir(&live)), options: with.clone() };
    for (name, (commit, expected)) in [("before", before), ("after", after)] {
        let (report, found, back) = journal.restore(&saved, label(name)).unwrap();
        assert_eq!((report.commit, found), (commit, expected));
        let env = open(&back);
        fill(&env, 500, 20);
        env.close().unwrap();
        drop(open(&back));
    }
}

#[test]
fn a_base_whose_journal_lies_in_pieces_goes_on_like_any_other() {
    let large = || Options::default().background(false).journal_file_bytes(8 << 20);
    let live = MemDisk::new();
    let env = Environment::open_in(live.root(), world(), large()).unwrap().0;
    let reading = || Environment::open_in(live.root(), world(), large().read_only(true)).unwrap().0;
    let put = |from: u32| {
        let db = env.database("db", cairn_env::DatabaseOptions::default()).unwrap();
        for n in from..from + 40 {
            env.write(|txn| txn.put(&db, &n.to_le_bytes(), &[n.to_le_bytes()[0]; 20 << 10]))
                .unwrap();
        }
    };
    let (first, second, third) = (MemDisk::new(), MemDisk::new(), MemDisk::new());
    put(0);
    backup_to(&reading(), &dir(&first), &world(), &BackupOptions::default()).unwrap();
    put(40);
    let since = dir(&first);
    let how = BackupOptions::default().since_in(&since);
    let base = backup_to(&reading(), &dir(&second), &world(), &how).unwrap();
    assert!(base.linked_bytes > 500_000, "in two pieces: {base:?}");
    let newest = (env.mark("here").unwrap(), content(&env));
    put(80);
    let since = dir(&second);
    let how = BackupOptions::default().since_in(&since);
    backup_to(&reading(), &dir(&third), &world(), &how).unwrap();
    let label = || label("here");
    for journal in [&live, &third] {
        let journal = Journal { dir: Some(dir(journal)), options: large() };
        let (report, found, _) = journal.restore(&second, label()).unwrap();
        assert_eq!((report.commit, &found), (newest.0, &newest.1));
        // And back into what lies in pieces.
        let to = RestoreTo::Commit(base.commit - 50);
        let (report, ..) = journal.restore(&second, to).unwrap();
        assert_eq!(report.commit, base.commit - 50);
    }
}
