//! What a backend must do, as a program that any of them can be run through.

use std::sync::Arc;

use cairn_log::{FileClass, FileNumber, Timeline, Uuid};

use super::{BackendError, Listed, Put, RepoBackend};
use crate::repository::names::{Folder, ObjectName, PartName, ShortHash};

/// Runs a backend, which must be empty, through everything that a repository relies on. `reopen` gives the same
/// place again, as another process would see it.
///
/// # Panics
/// If the backend does not keep a promise; the message names it.
pub fn conformance(reopen: &dyn Fn() -> Arc<dyn RepoBackend>) {
    let environment = Uuid([0xc0; 16]);
    nothing_is_there_at_first(&*reopen(), environment);
    an_object_is_stored_once(&*reopen(), environment);
    ranges_end_where_the_object_does(&*reopen(), environment);
    what_is_stored_is_seen_by_others(reopen, environment);
    listings_name_each_object_and_folder_once(reopen, environment);
    one_of_many_writers_wins(reopen, environment);
    what_is_deleted_is_gone(reopen, environment);
}

const fn point(environment: Uuid, number: u64) -> ObjectName {
    ObjectName::Point { environment, number }
}

fn part(environment: Uuid, class: FileClass, timeline: u32) -> ObjectName {
    let part = PartName {
        timeline: Timeline(timeline),
        class,
        file: FileNumber::FIRST,
        start: 0,
        length: 1,
        hash: ShortHash(1),
    };
    ObjectName::Part { environment, part }
}

#[track_caller]
fn good<T>(result: Result<T, BackendError>) -> T {
    result.unwrap_or_else(|error| panic!("a backend without faults failed: {error}"))
}

fn nothing_is_there_at_first(backend: &dyn RepoBackend, environment: Uuid) {
    let name = point(environment, 1);
    assert!(
        matches!(backend.read(&name, 0, 1), Err(BackendError::NotFound { object }) if object == name)
    );
    assert_eq!(good(backend.length(&name)), None);
    assert_eq!(good(backend.list(&Folder::Points(environment))), []);
    assert_eq!(good(backend.list(&Folder::Environments)), []);
    good(backend.delete(&name));
    assert!(!backend.place().is_empty());
}

fn an_object_is_stored_once(backend: &dyn RepoBackend, environment: Uuid) {
    let name = point(environment, 1);
    assert_eq!(good(backend.put(&name, b"first")), Put::Stored);
    assert_eq!(good(backend.put(&name, b"second")), Put::Existed);
    assert_eq!(good(backend.put(&name, b"first")), Put::Existed);
    assert_eq!(good(backend.read(&name, 0, 100)), b"first");
    assert_eq!(good(backend.put(&ObjectName::Header, b"")), Put::Stored);
    assert_eq!(good(backend.read(&ObjectName::Header, 0, 100)), b"");
}

fn ranges_end_where_the_object_does(backend: &dyn RepoBackend, environment: Uuid) {
    let name = point(environment, 2);
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    assert_eq!(good(backend.put(&name, &bytes)), Put::Stored);
    for (offset, len, expected) in [
        (0_usize, 0, 0..0),
        (0, 1, 0..1),
        (0, 100_000, 0..100_000),
        (0, usize::MAX, 0..100_000),
        (65_000, 1000, 65_000..66_000),
        (99_999, 2, 99_999..100_000),
        (100_000, 1, 100_000..100_000),
        (1_000_000, 1, 100_000..100_000),
    ] {
        assert_eq!(good(backend.read(&name, offset as u64, len)), bytes[expected]);
    }
    assert!(good(backend.read(&name, u64::MAX, 1)).is_empty());
    assert_eq!(good(backend.length(&name)), Some(100_000));
}

fn what_is_stored_is_seen_by_others(reopen: &dyn Fn() -> Arc<dyn RepoBackend>, environment: Uuid) {
    let (one, other) = (reopen(), reopen());
    let name = point(environment, 3);
    assert_eq!(good(one.put(&name, b"three")), Put::Stored);
    assert_eq!(good(other.read(&name, 1, 3)), b"hre");
    good(other.settle(&name.folder()));
    assert_eq!(good(other.put(&name, b"four")), Put::Existed);
    assert_eq!(good(other.put_unsettled(&name, b"five")), Put::Existed);
    assert_eq!(good(other.length(&name)), Some(5));
    let name = ObjectName::Point { environment, number: 4 };
    assert_eq!(good(one.put_unsettled(&name, b"four")), Put::Stored);
    good(one.settle(&name.folder()));
    assert_eq!(good(other.read(&name, 0, 100)), b"four");
    good(other.delete(&name));
    // The second half of one comes behind the first half of the next.
    let next = ObjectName::Point { environment, number: 5 };
    let first = good(one.begin_put(&name, b"four"));
    let second = good(one.begin_put(&next, b"five"));
    assert_eq!(good(first()), Put::Stored);
    drop(good(one.begin_put(&next, b"left")));
    assert!(good(other.holds(&name, b"four")));
    assert_eq!(good(second()), Put::Stored);
    assert_eq!(good(good(one.begin_put(&next, b"other"))()), Put::Existed);
    good(one.settle(&name.folder()));
    for (bytes, is_it) in [(&b"five"[..], true), (b"fiv", false), (b"fives", false), (b"", false)] {
        assert_eq!(good(other.holds(&next, bytes)), is_it, "{bytes:?}");
    }
    for name in [name, next] {
        good(other.delete(&name));
        assert!(matches!(other.holds(&name, b""), Err(BackendError::NotFound { .. })));
    }
}

fn listings_name_each_object_and_folder_once(
    reopen: &dyn Fn() -> Arc<dyn RepoBackend>,
    environment: Uuid,
) {
    let backend = reopen();
    for class in [FileClass::Node, FileClass::Value, FileClass::Journal] {
        assert_eq!(good(backend.put(&part(environment, class, 7), b"part")), Put::Stored);
    }
    let other = Uuid([0xc1; 16]);
    assert_eq!(good(backend.put(&point(other, 1), b"other")), Put::Stored);
    let listed = |folder: Folder| good(reopen().list(&folder));
    let folder = |name: String| Listed { name, length: None };
    let object =
        |name: ObjectName, length| Listed { name: name.name().to_string(), length: Some(length) };
    let points = [(1, 5), (2, 100_000), (3, 5)].map(|(n, len)| object(point(environment, n), len));
    assert_eq!(listed(Folder::Points(environment)), points);
    assert_eq!(
        listed(Folder::Environments),
        [environment, other].map(|env| folder(env.to_string()))
    );
    let data =
        [FileClass::Node, FileClass::Value].map(|class| object(part(environment, class, 7), 4));
    assert_eq!(listed(Folder::Data(environment, Timeline(7))), data);
    let log = [object(part(environment, FileClass::Journal, 7), 4)];
    assert_eq!(listed(Folder::Log(environment, Timeline(7))), log);
    assert_eq!(listed(Folder::Log(environment, Timeline(8))), []);
    let timelines = [folder(Timeline(7).to_string())];
    assert_eq!(listed(Folder::DataTimelines(environment)), timelines);
    assert_eq!(listed(Folder::LogTimelines(environment)), timelines);
    let root = listed(Folder::Root);
    assert!(root.contains(&object(ObjectName::Header, 0)));
}

fn one_of_many_writers_wins(reopen: &dyn Fn() -> Arc<dyn RepoBackend>, environment: Uuid) {
    // One after the other, each with its own idea of what is there: what makes it hard is the place, not the time.
    let writers: Vec<_> = (0..4).map(|_| reopen()).collect();
    for number in 10..20 {
        let name = point(environment, number);
        let first = usize::try_from(number % 4).unwrap_or(0);
        let mut stored = 0;
        for n in 0..writers.len() {
            let writer = (first + n) % writers.len();
            let put = good(writers[writer].put(&name, format!("writer {writer}").as_bytes()));
            stored += usize::from(put == Put::Stored);
        }
        assert_eq!(stored, 1);
        assert_eq!(good(reopen().read(&name, 0, 100)), format!("writer {first}").as_bytes());
    }
}

fn what_is_deleted_is_gone(reopen: &dyn Fn() -> Arc<dyn RepoBackend>, environment: Uuid) {
    let name = point(environment, 2);
    good(reopen().delete(&name));
    assert_eq!(good(reopen().length(&name)), None);
    assert!(
        good(reopen().list(&Folder::Points(environment)))
            .iter()
            .all(|listed| { listed.name != name.name().as_str() })
    );
    assert_eq!(good(reopen().put(&name, b"again")), Put::Stored);
    assert_eq!(good(reopen().read(&name, 0, 10)), b"again");
}
