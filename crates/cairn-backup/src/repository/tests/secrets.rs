//! What is printed to find a bug is read by many: no key is in it, and what matters is.

use std::fmt::Debug;

use cairn_env::KeySource;

use super::forged::{Forged, options, world};
use crate::{
    BackupOptions, CheckLevel, CheckOptions, OneOptions, PointOptions, ProveOptions, Repository,
    RestoreOptions, ShipOptions,
};

/// A key of which each byte can be recognised, in whatever way it is printed.
const KEY: [u8; 32] = *b"kEyThAtNobodyMaySeeInAnyLogEver!";

#[track_caller]
fn assert_says_no_key(what: &dyn Debug, evidence: &[&str]) {
    let text = format!("{what:?} {what:#?}");
    let listed = |bytes: &[u8]| format!("{bytes:?}").trim_matches(['[', ']']).to_owned();
    let hex: String = KEY[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    for shown in [listed(&KEY[..4]), hex, String::from("kEyT")] {
        assert!(!text.contains(&shown), "{text}");
    }
    for evidence in evidence {
        assert!(text.contains(evidence), "{evidence}: {text}");
    }
}

#[test]
fn no_key_shows_in_what_is_printed_for_debugging() {
    let key = || KeySource::raw(&mut KEY.clone());
    let with_key = || options().key(key());
    let stop = |_: cairn_archive::Progress| std::ops::ControlFlow::Break(());
    let one = OneOptions::default().key(key()).name("then").in_the_clear().progress(Some(&stop));
    assert_says_no_key(&one, &["then", "in the clear: true"]);
    let check = CheckOptions::default().options(with_key()).level(CheckLevel::Open);
    assert_says_no_key(&check, &["Open"]);
    let also = |_: &cairn_env::Environment| Ok(());
    let prove = ProveOptions::default().options(with_key()).skip_record(true).also(&also);
    assert_says_no_key(&prove, &["skip_record: true", "also: true"]);
    assert_says_no_key(&RestoreOptions::default().options(with_key()), &["RestoreOptions"]);
    assert_says_no_key(&ShipOptions::default().options(with_key()), &["segment_bytes"]);
    let point = PointOptions::default().label("monday").skip_read_back(true).part_bytes(77);
    assert_says_no_key(&point, &["monday", "skip_read_back: true", "77"]);
    assert_says_no_key(&BackupOptions::default(), &["skip_read_back: false"]);
    // And a repository that has it.
    let (backend, repository) = Forged::empty(true);
    repository.add_key("mine", &key()).unwrap();
    let unlocked = Repository::open_in(backend, &world()).unwrap();
    let unlocked = unlocked.unlock(&key()).unwrap();
    assert_says_no_key(&unlocked, &["Unlocked", "Access"]);
}
