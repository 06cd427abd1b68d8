//! What a repository relies on, of each place that an object store may be.

use std::sync::Arc;

use cairn_backup::{
    BackupError, Folder, ObjectBackend, ObjectName, ObjectOptions, Put, RepoBackend, Repository,
    conformance,
};
use cairn_log::Uuid;
use object_store::memory::InMemory;

use crate::{
    fixture::{how, place, repository, world},
    proxy::{Fate, Proxy, flaky},
    server::Server,
};

#[test]
fn what_the_library_keeps_in_memory_is_a_backend() {
    for prefix in ["", "some/prefix"] {
        let memory = Arc::new(InMemory::new());
        conformance(&|| {
            let store = Arc::clone(&memory) as _;
            Arc::new(ObjectBackend::of_store(store, prefix, ObjectOptions::default()).unwrap())
        });
    }
}

/// From within a runtime of the caller's, too: it is asked, waited for, and dropped there.
#[test]
fn it_works_where_somebody_else_is_asynchronous() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    runtime.block_on(async {
        let store = Arc::new(InMemory::new());
        let place = ObjectBackend::of_store(store, "p", ObjectOptions::default()).unwrap();
        assert_eq!(place.put(&ObjectName::Header, b"1").unwrap(), Put::Stored);
        assert_eq!(place.read(&ObjectName::Header, 0, 9).unwrap(), b"1");
        drop(place);
    });
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_asked() {
    for url in ["s3:/bucket", "s3://", "s3://b/../c", "http://b/c", "s3://b/c@1"] {
        let error = ObjectBackend::open(url, ObjectOptions::default()).unwrap_err();
        assert!(matches!(error, BackupError::InvalidInput { .. }), "{error}");
        assert!(error.to_string().contains(url), "{error}");
    }
    for (key, value) in [("aws_no_such_thing", "1"), ("aws_allow_http", "perhaps")] {
        let options = ObjectOptions::default().set(key, value);
        let error = ObjectBackend::open("s3://b/c", options).unwrap_err();
        assert!(matches!(error, BackupError::InvalidInput { .. }), "{error}");
        assert!(error.to_string().contains("s3://b/c"), "{error}");
    }
}

/// With pages of two names, so that each listing has several.
#[test]
fn s3_is_a_backend() {
    let Some(server) = Server::start() else { return };
    // The second is around the first, which is in nobody's way.
    for prefix in ["some/prefix", ""] {
        conformance(&|| place(prefix, how(server.address).page(2)));
    }
    let beside = place("some", how(server.address));
    let names = beside.list(&Folder::Root).unwrap();
    assert_eq!(names.iter().map(|listed| &*listed.name).collect::<Vec<_>>(), ["prefix"]);
    assert_eq!(names[0].length, None);
}

/// What is asked may be answered late, half, or not at all. Stores are left alone here: one that was lost and comes
/// again finds its own object, and cannot tell it from another one with the same bytes.
#[test]
fn s3_is_a_backend_behind_a_bad_network() {
    let Some(server) = Server::start() else { return };
    for seed in 1..=2 {
        let bad = flaky(seed, 40);
        let network = Proxy::start(Some(server.address), move |asked| match asked.method {
            "PUT" => Fate::Good,
            _ => bad(asked),
        });
        let prefix = format!("seed{seed}");
        conformance(&|| place(&prefix, how(network.address).page(2)));
        assert!(network.met("GET", Fate::LostAnswer) > 0, "{}", network.summary());
        assert!(network.met("GET", Fate::TornAnswer) > 0, "{}", network.summary());
    }
}

/// A service that has never heard of `If-None-Match` would let one backup take the place of another.
#[test]
fn a_service_that_ignores_conditions_is_refused_and_nothing_is_left() {
    let Some(server) = Server::start() else { return };
    let ignorant = Proxy::start(Some(server.address), |_| Fate::NoCondition);
    for prefix in ["", "here"] {
        let place = place(prefix, how(ignorant.address));
        let error = Repository::create_in(Arc::clone(&place), &world()).unwrap_err();
        assert!(error.to_string().contains("If-None-Match"), "{error}");
        assert!(error.to_string().contains(&place.place()), "{error}");
        assert_eq!(place.list(&Folder::Root).unwrap(), [], "{prefix:?}");
    }
    // And no repository that is there is harmed by the question.
    let there = place("there", how(server.address));
    let made = Repository::create_in(there, &world()).unwrap().info().unwrap();
    let again = Repository::create_in(place("there", how(ignorant.address)), &world());
    assert!(matches!(again, Err(BackupError::RepositoryExists { .. })), "{again:?}");
    assert_eq!(repository("there", how(server.address)).info().unwrap(), made);
}

/// The server is one that keeps its word: of many who store the same name at the same time, one does.
#[test]
fn one_of_many_who_store_at_the_same_time_does() {
    let Some(server) = Server::start() else { return };
    let network = Proxy::start(Some(server.address), flaky(5, 30));
    let place = place("many", how(network.address));
    let environment = Uuid([7; 16]);
    for number in 1..=8 {
        let name = ObjectName::Point { environment, number };
        let puts = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|writer| {
                    let place = &place;
                    scope.spawn(move || place.put(&name, format!("writer {writer}").as_bytes()))
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap().unwrap()).collect::<Vec<_>>()
        });
        let stored = puts.iter().filter(|put| **put == Put::Stored).count();
        assert_eq!(stored, 1, "{number}: {puts:?}");
        let winner = puts.iter().position(|put| *put == Put::Stored).unwrap();
        assert_eq!(place.read(&name, 0, 100).unwrap(), format!("writer {winner}").as_bytes());
    }
}
