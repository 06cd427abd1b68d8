//! Backups that are read where they lie.

use std::sync::Arc;

use cairn_backup::{
    BackupError, BackupOptions, MemoryBackend, ObjectError, ObjectName, PointOptions, Repository,
    RestoreOptions, RestoreTo, Which, backup_to, open_backup_in,
};
use cairn_env::{DatabaseOptions, EnvError, Environment, ErrorKind, Options, VerifyOptions};
use cairn_io::MemDisk;
use cairn_log::{DataKey, DataKeys};

use crate::fixture::{Content, content, dir, fill, open, options, saved, world};

fn how() -> RestoreOptions<'static> {
    RestoreOptions::default().options(options())
}

fn encrypted() -> Options {
    options().encryption(DataKeys::new([(1, DataKey::new([9; 32]))]).unwrap())
}

/// An environment with large values, deleted ones, two data directories and some journal past its checkpoint.
fn written(options: Options) -> Environment {
    let options = options.data_directories(2);
    let (env, _) = Environment::open_in(MemDisk::new().root(), world(), options).unwrap();
    fill(&env, 0, 80);
    env.checkpoint().unwrap();
    fill(&env, 40, 80);
    env
}

/// A repository in memory with a point of it.
fn stored(env: &Environment) -> (Arc<MemoryBackend>, Repository) {
    let backend = Arc::new(MemoryBackend::new());
    let repository = Repository::create_in(Arc::clone(&backend) as _, &world()).unwrap();
    repository.backup(env, &PointOptions::default().part_bytes(5000)).unwrap();
    (backend, repository)
}

#[track_caller]
fn assert_holds(env: &Environment, expected: &Content) {
    assert_eq!(&content(env), expected);
    let report = env.verify(&VerifyOptions::new()).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

#[test]
fn a_backup_that_is_opened_holds_what_a_restore_brings_back_and_nothing_is_written() {
    let (saved, expected) = saved();
    let before = saved.fork();
    let (env, _) = open_backup_in(&dir(&saved), &world(), &how()).unwrap();
    assert_holds(&env, &expected);
    let db = env.find_database("db").unwrap().unwrap();
    let refused = env.write(|txn| txn.put(&db, b"key", b"value")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{refused}");
    env.close().unwrap();
    assert_eq!(saved.files(), before.files());
    for (path, _) in before.files() {
        assert!(saved.read(&path).unwrap() == before.read(&path).unwrap(), "{path}");
    }
}

#[test]
fn a_point_that_is_opened_holds_what_a_restore_brings_back_and_nothing_is_written() {
    let env = written(options());
    let expected = content(&env);
    let (backend, repository) = stored(&env);
    fill(&env, 300, 50);
    let later = repository.backup(&env, &PointOptions::default()).unwrap();
    let objects = backend.objects();
    let (then, _) = repository.open_backup(None, &Which::Number(1), &how()).unwrap();
    let (now, _) = repository.open_backup(None, &Which::Newest, &how()).unwrap();
    assert_holds(&then, &expected);
    assert_holds(&now, &content(&env));
    assert_eq!(now.snapshot().unwrap().commit(), later.commit);
    drop((then, now));
    assert_eq!(backend.objects(), objects);
}

#[test]
fn a_point_is_opened_at_each_commit_that_its_journal_holds() {
    let env = open(&MemDisk::new());
    fill(&env, 0, 20);
    let (_, repository) = stored(&env);
    let first = env.snapshot().unwrap().commit();
    let db = env.find_database("db").unwrap().unwrap();
    let mut contents = vec![content(&env)];
    for n in 0..10_u8 {
        env.write(|txn| txn.put(&db, b"counter", &[n])).unwrap();
        contents.push(content(&env));
    }
    repository.backup(&env, &PointOptions::default()).unwrap();
    for (commit, expected) in (first..).zip(&contents) {
        let how = how().to(RestoreTo::Commit(commit));
        let (then, _) = repository.open_backup(None, &Which::Newest, &how).unwrap();
        assert_holds(&then, expected);
        assert_eq!(then.snapshot().unwrap().commit(), commit);
    }
    let beyond = how().to(RestoreTo::Commit(first + 11));
    let error = repository.open_backup(None, &Which::Newest, &beyond).unwrap_err();
    assert!(matches!(error, BackupError::Env(EnvError::OutOfReach { .. })), "{error}");
}

#[test]
fn a_backup_of_an_encrypted_environment_is_opened_with_its_key_only() {
    let env = written(encrypted());
    let expected = content(&env);
    let (backend, repository) = stored(&env);
    let saved = MemDisk::new();
    backup_to(&env, &dir(&saved), &world(), &BackupOptions::default()).unwrap();
    let with = RestoreOptions::default().options(encrypted());
    let (point, _) = repository.open_backup(None, &Which::Newest, &with).unwrap();
    assert_holds(&point, &expected);
    let (backup, _) = open_backup_in(&dir(&saved), &world(), &with).unwrap();
    assert_holds(&backup, &expected);
    let objects = backend.objects();
    let errors = [
        repository.open_backup(None, &Which::Newest, &how()).unwrap_err(),
        open_backup_in(&dir(&saved), &world(), &how()).unwrap_err(),
    ];
    for error in errors {
        assert!(error.to_string().contains("data key of epoch 1"), "{error}");
    }
    assert_eq!(backend.objects(), objects);
}

/// A snapshot of what is opened outlives damage that comes later only as far as it was read: what is read then is
/// refused, with the name of the object.
#[test]
fn damage_to_a_point_that_is_open_is_found_by_who_reads_it() {
    let env = written(options());
    let expected = content(&env)["db"].clone();
    let (backend, repository) = stored(&env);
    let parts = |name: &ObjectName| matches!(name, ObjectName::Part { .. });
    let whole = backend.objects();
    for name in whole.keys().copied().filter(parts) {
        let mut bytes = whole[&name].clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        backend.replace(name, bytes);
        let look = || -> Result<bool, BackupError> {
            let (env, _) = repository.open_backup(None, &Which::Newest, &how())?;
            let db = env.find_database("db")?.unwrap();
            let snapshot = env.snapshot()?;
            for (key, value) in &expected {
                // What is read is right, or refused.
                assert_eq!(&snapshot.get(&db, key)?.unwrap()[..], &value[..]);
            }
            Ok(true)
        };
        match look() {
            // A record that nothing needs any more.
            Ok(true) => {}
            Ok(false) => unreachable!(),
            Err(BackupError::Object(ObjectError::Damaged { object, .. })) => {
                assert_eq!(object, name);
            }
            Err(error) => assert!(error.to_string().contains("damaged"), "{name}: {error}"),
        }
        backend.replace(name, whole[&name].clone());
    }
}

/// A part is read whole once, however many places of it are looked at.
#[test]
fn looking_here_and_there_reads_each_part_once() {
    let (env, _) =
        Environment::open_in(MemDisk::new().root(), world(), Options::default()).unwrap();
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    env.write(|txn| {
        (0..3000_u32).try_for_each(|n| txn.put(&db, &n.to_le_bytes(), &[n.to_le_bytes()[0]; 3000]))
    })
    .unwrap();
    env.checkpoint().unwrap();
    let backend = Arc::new(counting::Counting::default());
    let repository = Repository::create_in(Arc::clone(&backend) as _, &world()).unwrap();
    repository.backup(&env, &PointOptions::default()).unwrap();
    backend.forget();
    let cache = RestoreOptions::default().options(Options::default().cache_bytes(1 << 20));
    let (then, _) = repository.open_backup(None, &Which::Newest, &cache).unwrap();
    let db = then.find_database("db").unwrap().unwrap();
    let snapshot = then.snapshot().unwrap();
    for n in 0..3000_u32 {
        let n = n.wrapping_mul(1361) % 3000;
        assert_eq!(snapshot.get(&db, &n.to_le_bytes()).unwrap().unwrap()[0], n.to_le_bytes()[0]);
    }
    let stored = repository.points(None).unwrap()[0].point.as_ref().unwrap().stored_bytes();
    assert!(backend.bytes() <= 2 * stored, "{} of {stored}", backend.bytes());
}

mod counting {
    //! A place that counts what is read of it.

    use std::sync::atomic::{AtomicU64, Ordering};

    use cairn_backup::{
        BackendResult, Folder, Listed, MemoryBackend, ObjectName, Put, RepoBackend,
    };

    #[derive(Debug, Default)]
    pub(super) struct Counting {
        inner: MemoryBackend,
        bytes: AtomicU64,
    }

    impl Counting {
        pub(super) fn bytes(&self) -> u64 {
            self.bytes.load(Ordering::Relaxed)
        }

        pub(super) fn forget(&self) {
            self.bytes.store(0, Ordering::Relaxed);
        }
    }

    impl RepoBackend for Counting {
        fn place(&self) -> String {
            self.inner.place()
        }

        fn put(&self, name: &ObjectName, bytes: &[u8]) -> BackendResult<Put> {
            self.inner.put(name, bytes)
        }

        fn read(&self, name: &ObjectName, offset: u64, len: usize) -> BackendResult<Vec<u8>> {
            let bytes = self.inner.read(name, offset, len)?;
            self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            Ok(bytes)
        }

        fn length(&self, name: &ObjectName) -> BackendResult<Option<u64>> {
            self.inner.length(name)
        }

        fn list(&self, folder: &Folder) -> BackendResult<Vec<Listed>> {
            self.inner.list(folder)
        }

        fn settle(&self, folder: &Folder) -> BackendResult<()> {
            self.inner.settle(folder)
        }

        fn delete(&self, name: &ObjectName) -> BackendResult<()> {
            self.inner.delete(name)
        }
    }
}
