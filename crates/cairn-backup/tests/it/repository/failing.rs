//! A place that fails once, at each of the questions that it is asked: that is no damage, and nothing is missing.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use cairn_backup::{
    BackendError, BackendResult, BackupError, BackupResult, CheckLevel, CheckOptions, Folder,
    Listed, MemoryBackend, ObjectError, ObjectName, ProveOptions, Put, RepoBackend, Repository,
    RestoreOptions, RestoreTo, Which,
};
use cairn_env::ErrorKind;
use cairn_io::MemDisk;

use super::{
    fixture::{Kind, backup, raw_key},
    shipped::{ship, shipper},
};
use crate::fixture::{content, fill, open, options, world};

/// What becomes of the question that is counted down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Fails,
    /// The object is read with a flipped bit.
    Lies,
}

/// A place that answers all questions but one.
struct Once {
    inner: Arc<MemoryBackend>,
    how: How,
    /// How many are answered before; `None` if all are. Then the name of what was asked for.
    state: Mutex<(Option<usize>, Option<ObjectName>)>,
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Once")
    }
}

impl Once {
    /// Whether this is the question, which has to do with that object.
    fn is_it(&self, name: Option<&ObjectName>) -> bool {
        let mut state = self.state.lock().unwrap();
        match state.0 {
            Some(0) => {
                *state = (None, name.copied());
                true
            }
            Some(left) => {
                state.0 = Some(left - 1);
                false
            }
            None => false,
        }
    }

    fn fails(&self, name: Option<&ObjectName>) -> BackendResult<()> {
        match self.how == How::Fails && self.is_it(name) {
            true => Err(BackendError::Failed {
                what: "ask".into(),
                source: "the connection is gone".into(),
            }),
            false => Ok(()),
        }
    }

    /// Whether it has failed, and what was asked for.
    fn has_failed(&self) -> (bool, Option<ObjectName>) {
        let state = self.state.lock().unwrap();
        (state.0.is_none(), state.1)
    }
}

impl RepoBackend for Once {
    fn place(&self) -> String {
        self.inner.place()
    }

    fn put(&self, name: &ObjectName, bytes: &[u8]) -> BackendResult<Put> {
        self.fails(Some(name))?;
        self.inner.put(name, bytes)
    }

    fn read(&self, name: &ObjectName, offset: u64, len: usize) -> BackendResult<Vec<u8>> {
        self.fails(Some(name))?;
        let mut bytes = self.inner.read(name, offset, len)?;
        if self.how == How::Lies && !bytes.is_empty() && self.is_it(Some(name)) {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        Ok(bytes)
    }

    fn length(&self, name: &ObjectName) -> BackendResult<Option<u64>> {
        self.fails(Some(name))?;
        self.inner.length(name)
    }

    fn settle(&self, folder: &Folder) -> BackendResult<()> {
        self.fails(None)?;
        self.inner.settle(folder)
    }

    fn list(&self, folder: &Folder) -> BackendResult<Vec<Listed>> {
        self.fails(None)?;
        self.inner.list(folder)
    }

    fn delete(&self, name: &ObjectName) -> BackendResult<()> {
        self.fails(Some(name))?;
        self.inner.delete(name)
    }
}

/// A point, a proof of it, and shipped journal.
fn saved(kind: Kind) -> Arc<MemoryBackend> {
    let (backend, disk) = (Arc::new(MemoryBackend::new()), MemDisk::new());
    let place = kind.create(Arc::clone(&backend) as _);
    let env = open(&disk);
    fill(&env, 1, 3);
    backup(&place, &env);
    fill(&env, 8, 2);
    ship(&mut shipper(&place, &disk.root()));
    let how = ProveOptions::default().options(options());
    place.prove(None, &Which::Newest, &how).unwrap();
    backend
}

fn opened(kind: Kind, backend: Arc<dyn RepoBackend>) -> Repository {
    let place = Repository::open_in(backend, &world()).unwrap();
    if kind == Kind::Unlocked { place.unlock(&raw_key(1)).unwrap() } else { place }
}

fn check(place: &Repository, level: CheckLevel) -> BackupResult<String> {
    let how = CheckOptions::default().level(level).options(options());
    let report = place.check(&how)?;
    Ok(format!("{report:?}"))
}

fn restored(place: &Repository, to: RestoreTo) -> BackupResult<String> {
    let target = MemDisk::new();
    let how = RestoreOptions::default().options(options()).to(to);
    place.restore_in(None, &Which::Newest, &target.root(), &world(), &how)?;
    Ok(format!("{:?}", content(&open(&target))))
}

/// What is asked, and what comes of it: only whoever has the key can do the others.
type Asked = (&'static str, fn(&Repository) -> BackupResult<String>);

const WITHOUT_KEY: [Asked; 2] = [
    ("info", |place| place.info().map(|info| format!("{info:?}"))),
    ("check, stored", |place| check(place, CheckLevel::Stored)),
];
const WITH_KEY: [Asked; 4] = [
    ("check, structure", |place| check(place, CheckLevel::Structure)),
    ("prove", |place| {
        let how = ProveOptions::default().options(options()).skip_record(true);
        let report = place.prove(None, &Which::Number(1), &how)?;
        Ok(format!("{:?} {:?}", report.findings, report.proof.map(|proof| proof.opened)))
    }),
    ("restore the newest", |place| restored(place, RestoreTo::Newest)),
    ("restore a moment", |place| restored(place, RestoreTo::Commit(5))),
];
/// What they cannot read, they leave out, and say so.
const LISTS: [Asked; 2] = [
    ("points", |place| {
        let points = place.points(None)?.into_iter().map(|listed| {
            let point = listed.point.map_err(|error| Arc::into_inner(error).unwrap())?;
            Ok((listed.number, point, listed.proofs))
        });
        Ok(format!("{:?}", points.collect::<BackupResult<Vec<_>>>()?))
    }),
    ("intervals", |place| place.intervals(None).map(|found| format!("{found:?}"))),
];

fn sweep(
    kind: Kind,
    asked: &[Asked],
    how: How,
    judge: &dyn Fn(&str, &BackupError, Option<ObjectName>),
) {
    let backend = saved(kind);
    let objects = backend.objects();
    for (what, ask) in asked {
        let expected = ask(&opened(kind, Arc::clone(&backend) as _)).unwrap();
        let mut failures = 0;
        for left in 0.. {
            let state = Mutex::new((None, None));
            let once = Arc::new(Once { inner: Arc::clone(&backend), how, state });
            let place = opened(kind, Arc::clone(&once) as _);
            once.state.lock().unwrap().0 = Some(left);
            let result = ask(&place);
            let (has_failed, name) = once.has_failed();
            if !has_failed {
                assert_eq!(result.unwrap(), expected, "{what}");
                break;
            }
            failures += 1;
            match result {
                // Something else did as well.
                Ok(found) if found == expected => {}
                Ok(found) => {
                    let is_told = how == How::Lies
                        && name.is_some_and(|name| found.contains(&format!("{name:?}")));
                    assert!(is_told, "{what}, question {left} ({name:?}): {found}");
                }
                Err(error) => judge(&format!("{what}, question {left}"), &error, name),
            }
        }
        assert!(failures > 0, "{what}");
    }
    assert_eq!(backend.objects(), objects, "who asks stores nothing");
}

/// What failed is an error of the place: neither damage, nor something that is not there.
#[track_caller]
fn failed(what: &str, error: &BackupError, _: Option<ObjectName>) {
    assert_eq!(error.kind(), ErrorKind::Io, "{what}: {error}");
}

#[test]
fn a_place_that_fails_once_is_never_taken_for_one_that_is_damaged_or_empty() {
    sweep(Kind::Plain, &WITHOUT_KEY, How::Fails, &failed);
    sweep(Kind::Plain, &WITH_KEY, How::Fails, &failed);
    sweep(Kind::Plain, &LISTS, How::Fails, &failed);
    sweep(Kind::Locked, &WITHOUT_KEY, How::Fails, &failed);
}

/// A bit that was read wrong once: it is found in the object that it was read from, or does no harm.
#[test]
fn a_bit_that_was_read_wrong_once_is_found_in_its_object_or_does_no_harm() {
    let damaged = |what: &str, error: &BackupError, name: Option<ObjectName>| match error {
        BackupError::Object(ObjectError::Damaged { object, .. }) => {
            assert_eq!(Some(*object), name, "{what}: {error}");
        }
        error => panic!("{what}, {name:?}: {error}"),
    };
    sweep(Kind::Plain, &WITHOUT_KEY, How::Lies, &damaged);
    sweep(Kind::Plain, &WITH_KEY, How::Lies, &damaged);
    sweep(Kind::Locked, &WITHOUT_KEY[1..], How::Lies, &damaged);
}

/// What is stored is read back, and a bit that was wrong then is an error: the next one goes on with what is there.
#[test]
fn what_is_read_back_wrong_is_not_told_to_anybody() {
    for (kind, what) in
        [(Kind::Plain, "ship"), (Kind::Plain, "back up"), (Kind::Unlocked, "rotate")]
    {
        let (mut failures, mut told) = (0, 0);
        for left in 0.. {
            let (inner, disk) = (Arc::new(MemoryBackend::new()), MemDisk::new());
            let honest = kind.create(Arc::clone(&inner) as _);
            let env = open(&disk);
            fill(&env, 1, 3);
            backup(&honest, &env);
            fill(&env, 8, 2);
            let state = Mutex::new((None, None));
            let once = Arc::new(Once { inner: Arc::clone(&inner), how: How::Lies, state });
            let place = opened(kind, Arc::clone(&once) as _);
            once.state.lock().unwrap().0 = Some(left);
            let result = match what {
                "ship" => shipper(&place, &disk.root()).step().map(drop),
                "back up" => place.backup(&env, &super::fixture::small()).map(drop),
                _ => place.rotate_key(&raw_key(2)).map(drop),
            };
            let (has_failed, name) = once.has_failed();
            let place = match kind {
                Kind::Plain => honest,
                _ => {
                    let opens = |n: &u8| {
                        opened(Kind::Locked, Arc::clone(&inner) as _).unlock(&raw_key(*n)).is_ok()
                    };
                    let keys: Vec<u8> = [1, 2].into_iter().filter(opens).collect();
                    let [key] = keys[..] else { panic!("{left}: {keys:?}") };
                    let place = opened(Kind::Locked, Arc::clone(&inner) as _);
                    place.unlock(&raw_key(key)).unwrap()
                }
            };
            if let Err(error) = &result {
                let BackupError::Object(ObjectError::Damaged { object, .. }) = error else {
                    panic!("{what}, question {left}, {name:?}: {error}")
                };
                assert_eq!(Some(*object), name, "{what}, question {left}: {error}");
                told += 1;
            }
            if kind == Kind::Unlocked {
                // Of keys that came to half their number the next change makes two again.
                place.rotate_key(&raw_key(3)).unwrap();
            }
            env.close().unwrap();
            ship(&mut shipper(&place, &disk.root()));
            let env = open(&disk);
            backup(&place, &env);
            let expected = format!("{:?}", content(&env));
            assert_eq!(restored(&place, RestoreTo::Newest).unwrap(), expected, "{what} {left}");
            let found = place.check(&CheckOptions::default().level(CheckLevel::Structure)).unwrap();
            assert_eq!(found.findings, [], "{what}, question {left}, {name:?}");
            if !has_failed {
                result.unwrap();
                break;
            }
            failures += 1;
        }
        assert!(failures >= told && told > 1, "{what}: {failures} {told}");
    }
}
