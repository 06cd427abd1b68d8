//! What does not pass is an error that names the object, says why, and what to do; and it comes soon.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use cairn_backup::{
    BackendError, BackendResult, BackupError, Folder, ObjectBackend, ObjectName, Put, Repository,
    RestoreTo, Which,
};
use cairn_io::{MemDisk, RealWorld, World as _};
use cairn_log::Uuid;

use crate::{
    fixture::{assert_sound, content, fill, how, open, place, repository, restored, small, world},
    proxy::{Fate, Proxy},
    server::{BUCKET, Server},
};

const NAME: ObjectName = ObjectName::Point { environment: Uuid([7; 16]), number: 1 };

#[track_caller]
fn assert_says<T: std::fmt::Debug>(result: BackendResult<T>, words: &[&str]) {
    let error = result.unwrap_err();
    assert!(matches!(error, BackendError::Failed { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&format!("s3://{BUCKET}/p")), "{text}");
    for word in words {
        assert!(text.contains(word), "{text}: {word}");
    }
    assert!(!text.contains("something"), "the secret: {text}");
}

#[test]
fn what_will_not_pass_is_asked_once_and_what_may_is_asked_again() {
    for (fate, times, words) in [
        (Fate::Status(403), 1, &["AccessDenied", "credentials"][..]),
        (Fate::Status(401), 1, &["credentials"]),
        (Fate::Status(301), 1, &["region"]),
        (Fate::Status(400), 1, &["400", "see what the service says"]),
        (Fate::Status(501), 1, &["501"]),
        (Fate::Status(500), 5, &["5 tries", "500"]),
        (Fate::Status(503), 5, &["5 tries", "SlowDown", "fewer requests"]),
        (Fate::Status(429), 5, &["5 tries", "fewer requests"]),
        (Fate::LostAnswer, 5, &["5 tries", "network"]),
        (Fate::Refused, 5, &["5 tries", "network"]),
    ] {
        let network = Proxy::start(None, move |_| fate);
        let place = place("p", how(network.address));
        let name = NAME.to_string();
        assert_says(place.put(&NAME, b"bytes"), &[words, &["cannot store", &name]].concat());
        assert_eq!(network.requests(), times, "{fate:?}");
        assert_says(place.read(&NAME, 0, 9), &[words, &["cannot read", &name]].concat());
        assert_eq!(network.requests(), 2 * times, "{fate:?}");
        assert_says(place.delete(&NAME), &[words, &["cannot remove", &name]].concat());
        let folder = Folder::Points(Uuid([7; 16]));
        assert_says(place.list(&folder), &[words, &["cannot list", &folder.to_string()]].concat());
        assert_eq!(network.requests(), 4 * times, "{fate:?}");
        // A body tells nobody anything here, so of what was looked at only the status is known.
        let looked = place.length(&NAME);
        assert!(looked.is_err(), "{fate:?}: {looked:?}");
    }
}

/// Who may only add can make a repository, too: the object with which the service was tried stays then.
#[test]
fn a_deletion_that_is_denied_is_no_matter_where_nothing_depends_on_it() {
    let Some(server) = Server::start() else { return };
    let network = Proxy::start(Some(server.address), |asked| match asked.method {
        "POST" => Fate::Denied,
        _ => Fate::Good,
    });
    let place = place("p", how(network.address));
    let made = Repository::create_in(Arc::clone(&place), &world()).unwrap();
    assert_eq!(network.met("POST", Fate::Denied), 1);
    assert_says(place.delete(&ObjectName::Header), &["AccessDenied", "credentials", "repo.cairn"]);
    let env = open(&MemDisk::new());
    fill(&env, 0, 5);
    made.backup(&env, &small()).unwrap();
    assert_sound(&repository("p", how(server.address)));
}

#[test]
fn nobody_at_the_endpoint_is_found_out_soon() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let place = place("p", how(address).tries(100));
    assert_says(place.list(&Folder::Root), &["5 tries", "refused", "network"]);
}

/// A time-out after success: the object is there, and the answer came too late.
#[test]
fn an_answer_that_comes_too_late_is_settled_by_reading() {
    let Some(server) = Server::start() else { return };
    let network = Proxy::start(Some(server.address), |asked| match asked.method {
        "PUT" if asked.before == 0 => Fate::LateAnswer(1500),
        _ => Fate::Good,
    });
    let place = place("p", how(network.address).timeout(Duration::from_millis(700)));
    assert_eq!(place.put(&NAME, b"bytes").unwrap(), Put::Stored);
    assert_eq!(network.met("PUT", Fate::Good), 1);
    let other = ObjectName::Point { environment: Uuid([7; 16]), number: 2 };
    let honest = crate::fixture::place("p", how(server.address));
    assert_eq!(honest.put(&other, b"of another one").unwrap(), Put::Stored);
    assert_eq!(place.put(&other, b"bytes").unwrap(), Put::Existed);
    assert_eq!(place.read(&other, 0, 99).unwrap(), b"of another one");
}

/// A refusal of which the last byte is missing is no answer yet, and an object of which it is missing no object.
#[test]
fn an_answer_that_ends_early_is_asked_for_again() {
    let Some(server) = Server::start() else { return };
    let honest = place("p", how(server.address));
    assert_eq!(honest.put(&NAME, b"of another one").unwrap(), Put::Stored);
    let network = Proxy::start(Some(server.address), |asked| match asked.before {
        0 => Fate::ShortAnswer,
        _ => Fate::Good,
    });
    let place = place("p", how(network.address));
    assert_eq!(place.put(&NAME, b"bytes").unwrap(), Put::Existed);
    assert_eq!(place.read(&NAME, 3, 99).unwrap(), b"another one");
    assert_eq!(place.list(&NAME.folder()).unwrap().len(), 1);
    let nothing = ObjectName::Point { environment: Uuid([7; 16]), number: 2 };
    let missing = place.read(&nothing, 0, 1);
    assert!(matches!(missing, Err(BackendError::NotFound { .. })), "{missing:?}");
    assert!(network.met("PUT", Fate::ShortAnswer) == 1 && network.met("GET", Fate::Good) >= 3);
    place.delete(&NAME).unwrap();
    assert_eq!(honest.length(&NAME).unwrap(), None);
}

#[test]
fn who_is_asked_to_wait_waits() {
    let Some(server) = Server::start() else { return };
    let network = Proxy::start(Some(server.address), |asked| match (asked.method, asked.before) {
        ("PUT", 0) => Fate::SlowDown,
        _ => Fate::Good,
    });
    let (world, place) = (RealWorld::new(), place("p", how(network.address)));
    let begun = world.monotonic();
    assert_eq!(place.put(&NAME, b"bytes").unwrap(), Put::Stored);
    assert!(world.monotonic() - begun >= Duration::from_secs(1));
    assert_eq!(network.met("PUT", Fate::SlowDown), 1);
}

/// A conflict with somebody who is just deleting the name: nothing has happened, and nothing is there.
#[test]
fn a_conflict_is_not_taken_for_an_object_that_is_there() {
    let Some(server) = Server::start() else { return };
    let network = Proxy::start(Some(server.address), |asked| match (asked.method, asked.before) {
        ("PUT", 0 | 1) => Fate::Status(409),
        _ => Fate::Good,
    });
    let place = place("p", how(network.address));
    assert_eq!(place.put(&NAME, b"bytes").unwrap(), Put::Stored);
    assert_eq!(network.met("PUT", Fate::Good), 1);
    assert_eq!(place.put(&NAME, b"bytes").unwrap(), Put::Existed);
}

#[test]
fn a_bucket_that_is_not_there_is_named() {
    let Some(server) = Server::start() else { return };
    let url = "s3://nowhere/p";
    let open = || ObjectBackend::open(url, how(server.address)).unwrap();
    let error = Repository::open_in(Arc::new(open()), &world()).unwrap_err();
    assert!(matches!(error, BackupError::NotARepository { .. }), "{error}");
    let error = Repository::create_in(Arc::new(open()), &world()).unwrap_err();
    for word in [url, "NoSuchBucket", "make the bucket"] {
        assert!(error.to_string().contains(word), "{error}");
    }
}

/// The network goes away in the middle of a backup, wherever that is: an error, and the next backup goes on with what
/// was stored.
#[test]
fn a_backup_that_an_outage_ends_loses_nothing_and_the_next_one_goes_on() {
    let Some(server) = Server::start() else { return };
    let disk = MemDisk::new();
    let env = open(&disk);
    fill(&env, 0, 20);
    Repository::create_in(place("p", how(server.address)), &world()).unwrap();
    let honest = repository("p", how(server.address));
    honest.backup(&env, &small()).unwrap();
    let network = Proxy::start(Some(server.address), |_| Fate::Good);
    let behind = repository("p", how(network.address).tries(2));
    let (mut outages, mut adopted) = (0, 0);
    for after in [0, 3, 8, 13, 19, 26, 34] {
        fill(&env, 100 + after, 7);
        let before = honest.points(None).unwrap().len();
        let count = AtomicU32::new(0);
        network.change(move |_| match count.fetch_add(1, Ordering::Relaxed) {
            n if n < after => Fate::Good,
            n if n % 2 == 0 => Fate::LostAnswer,
            _ => Fate::Status(503),
        });
        let result = behind.backup(&env, &small());
        network.change(|_| Fate::Good);
        let there = honest.points(None).unwrap().len();
        if let Err(error) = result {
            assert!(matches!(error, BackupError::Backend(_)), "{after}: {error}");
            outages += 1;
            assert!(there <= before + 1, "{after}");
        }
        let report = behind.backup(&env, &small()).unwrap();
        adopted += report.adopted_objects;
        assert_eq!(report.number, there as u64 + 1, "{after}");
        let number = Which::Number(report.number);
        assert!(restored(&honest, &number, RestoreTo::Newest) == content(&env), "{after}");
        assert_sound(&honest);
    }
    assert!(outages >= 5 && adopted > 0, "{outages} {adopted}");
}
