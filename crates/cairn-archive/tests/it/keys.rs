//! Who can open an encrypted archive: whoever can open its environment, and nobody else.

use cairn_archive::{ArchiveError, ArchiveKeys, ExportOptions, ImportOptions};
use cairn_env::{EnvError, EnvironmentKeys, ErrorKind, finish_rekey};

use crate::fixture::{TestStore, content, raw_key, small_options};

fn store() -> TestStore {
    let store = TestStore::new(small_options().key(raw_key(1)));
    store.put("db", b"key", b"value");
    store
}

#[test]
fn it_opens_with_the_key_of_a_user_anywhere_and_with_no_other() {
    let store = store();
    let made = store.export("one", &ExportOptions::default()).unwrap();
    assert_eq!(made.key_epoch, Some(1));
    let archive = store.archive("one");
    assert_eq!(archive.verify(&raw_key(1).into(), None).unwrap(), made);
    let error = archive.verify(&raw_key(2).into(), None).unwrap_err();
    assert!(matches!(error, ArchiveError::WrongKey { epoch: 1, .. }), "{error}");
    let error = archive.verify(&ArchiveKeys::none(), None).unwrap_err();
    assert!(matches!(error, ArchiveError::KeyRequired { epoch: 1, .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Key);
    archive.verify_stored(None).unwrap();

    // Another machine, another environment with another key.
    let other = TestStore::seeded(small_options().key(raw_key(3)), 9);
    let options = ImportOptions::default().other_store(true);
    let error = other.import(&archive, options.clone()).unwrap_err();
    assert!(matches!(error, ArchiveError::WrongKey { .. }), "{error}");
    other.import(&archive, options.keys(raw_key(1).into())).unwrap();
    assert!(content(other.env()) == content(store.env()));
}

#[test]
fn it_opens_after_the_key_was_rotated_and_after_a_new_epoch_was_begun() {
    let mut store = store();
    store.export("one", &ExportOptions::default()).unwrap();
    let before = content(store.env());
    let keys = |store: &TestStore| {
        EnvironmentKeys::open_in(store.disk.root(), store.world.world()).unwrap()
    };
    keys(&store).unlock(&raw_key(1)).unwrap().rotate(&raw_key(2)).unwrap();

    // Open with a key that opens it no more: what nobody could read is no archive.
    let error = store.export("two", &ExportOptions::default()).unwrap_err();
    assert!(matches!(error, ArchiveError::Env(EnvError::WrongKey { .. })), "{error}");
    assert_eq!(store.archives.root().list().unwrap().len(), 1);

    store.close();
    keys(&store).unlock(&raw_key(2)).unwrap().begin_epoch().unwrap();
    store.options = small_options().key(raw_key(2));
    store.open();
    store.put("db", b"key", b"later");
    let newer = store.export("two", &ExportOptions::default()).unwrap();
    assert_eq!(newer.key_epoch, Some(2));
    let archive = store.archive("one");
    store.import(&archive, ImportOptions::default()).unwrap();
    assert!(content(store.env()) == before);

    // When the old epoch is forgotten, the key from before opens it, and only that.
    store.close();
    let finished = finish_rekey(&store.disk.root(), &store.world.world(), store.options.clone());
    assert_eq!(finished.unwrap().retired, [1]);
    store.open();
    let error = store.import(&archive, ImportOptions::default()).unwrap_err();
    assert!(matches!(error, ArchiveError::WrongKey { .. }), "{error}");
    store.import(&archive, ImportOptions::default().keys(raw_key(1).into())).unwrap();
    assert!(content(store.env()) == before);
}

#[test]
fn what_is_encrypted_comes_into_the_clear_only_where_somebody_says_so() {
    let (secret, plain) = (store(), TestStore::seeded(small_options(), 9));
    secret.export("one", &ExportOptions::default()).unwrap();
    let options = ImportOptions::default().other_store(true).keys(raw_key(1).into());
    let error = plain.import(&secret.archive("one"), options.clone()).unwrap_err();
    assert!(matches!(error, ArchiveError::WouldBePlain { .. }), "{error}");
    assert!(content(plain.env()).is_empty());
    plain.import(&secret.archive("one"), options.in_the_clear()).unwrap();
    assert!(content(plain.env()) == content(secret.env()));

    // The other way round nothing is given away.
    plain.export("plain", &ExportOptions::default()).unwrap();
    let options = ImportOptions::default().other_store(true);
    secret.import(&plain.archive("plain"), options).unwrap();
}

/// No number encrypts twice, over archives and the log.
#[test]
fn no_nonce_is_used_twice() {
    cairn_log::nonces::watch();
    let store = store();
    let mut options = ExportOptions::default();
    options.frame_len = 10;
    for n in 0..20u8 {
        store.put("db", &[n], b"value");
        store.export(&format!("archive-{n}"), &options).unwrap();
    }
    store.import(&store.archive("archive-3"), ImportOptions::default()).unwrap();
    assert!(cairn_log::nonces::count() > 300, "{}", cairn_log::nonces::count());
}
