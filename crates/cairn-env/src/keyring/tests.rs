//! What a keyring promises, on keyrings that cost next to nothing to open.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use cairn_io::{DirRef, SyncSite, WorldRef};
use cairn_log::{DataKey, Uuid, crc32c};
use cairn_sim::{Bounds, Level, SimDisk, SimWorld, Trace};

use super::{file, layout::key_slot, layout::keyring_head, *};
use crate::{EnvError, EnvResult, Environment, ErrorKind, Options};

const ENVIRONMENT: Uuid = Uuid([0xab; 16]);

fn world() -> WorldRef {
    SimWorld::new(1).world()
}

fn raw(n: u8) -> KeySource {
    KeySource::raw(&mut std::array::from_fn(|i| n.wrapping_add(u8::try_from(i).unwrap())))
}

fn passphrase(text: &str) -> KeySource {
    KeySource::passphrase(text).unwrap().cost(KdfCost::new(8, 1).unwrap())
}

fn keyring(key: &KeySource) -> (UnlockedKeyring, Vec<u8>) {
    let mut keys = UnlockedKeyring::create(ENVIRONMENT, "first", key, &*world()).unwrap();
    let bytes = keys.next_write(&*world()).unwrap();
    (keys, bytes)
}

fn decode(bytes: &[u8]) -> EnvResult<Keyring> {
    Keyring::decode(bytes, Path::new("KEYRING"))
}

fn unlock(bytes: &[u8], key: &KeySource) -> EnvResult<UnlockedKeyring> {
    decode(bytes)?.unlock(key)
}

/// The data keys, for comparison.
fn data_keys(keys: &UnlockedKeyring) -> Vec<(u32, [u8; 32])> {
    let all = keys.data_keys();
    let key = |epoch| *all.get(epoch).map(DataKey::expose).unwrap();
    all.epochs().map(|epoch| (epoch, key(epoch))).collect()
}

/// The keyring with its checksum made right again, as an attacker does.
fn forged(mut bytes: Vec<u8>) -> Vec<u8> {
    let (body, crc) = bytes.split_last_chunk_mut::<4>().unwrap();
    *crc = crc32c(body).to_le_bytes();
    bytes
}

#[test]
fn a_keyring_survives_its_bytes_and_gives_the_same_keys_to_each_of_its_users() {
    struct Agent;
    impl KeyProvider for Agent {
        fn key(
            &self,
            request: &KeyRequest<'_>,
            key: &mut [u8; 32],
        ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
            assert_eq!((request.environment, request.name), (ENVIRONMENT, "third"));
            *key = *request.salt;
            key[0] ^= 1;
            Ok(())
        }
    }
    let agent = KeySource::provider(Arc::new(Agent));
    let world = SimWorld::new(5).world();
    let mut keys =
        UnlockedKeyring::create(ENVIRONMENT, "first", &passphrase("one"), &*world).unwrap();
    keys.begin_epoch(&*world).unwrap();
    keys.add("second", &raw(7), &*world).unwrap();
    keys.add("third", &agent, &*world).unwrap();
    let bytes = keys.next_write(&*world).unwrap();
    assert_eq!(decode(&bytes).unwrap().encode(), bytes);
    let expected = data_keys(&keys);
    assert_eq!(expected.len(), 2);
    assert_ne!(expected[0].1, expected[1].1);
    for (number, key) in [(1, passphrase("one")), (2, raw(7)), (3, agent)] {
        let opened = unlock(&bytes, &key).unwrap();
        assert_eq!((data_keys(&opened), opened.opened_by()), (expected.clone(), number));
        assert_eq!(opened.info(), keys.info());
    }
    for (_, key) in expected {
        let found = bytes.windows(8).any(|window| key.windows(8).any(|part| part == window));
        assert!(!found, "a data key stands in the file");
    }
}

#[test]
fn each_flipped_bit_and_each_truncation_is_refused_by_name() {
    let (_, bytes) = keyring(&raw(1));
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = unlock(&flipped, &raw(1)).unwrap_err();
        assert!(matches!(error, EnvError::KeyringDamaged { .. }), "bit {bit}: {error}");
        assert!(error.to_string().starts_with("keyring KEYRING: "), "bit {bit}: {error}");
    }
    for len in 0..bytes.len() {
        let error = unlock(&bytes[..len], &raw(1)).unwrap_err();
        assert!(matches!(error, EnvError::KeyringDamaged { .. }), "length {len}: {error}");
    }
}

/// Nothing in the file is trusted for its checksum alone.
#[test]
fn each_flipped_bit_with_a_right_checksum_is_refused_too() {
    let (_, bytes) = keyring(&raw(1));
    let mut kinds = BTreeSet::new();
    for bit in 0..(bytes.len() - 4) * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = unlock(&forged(flipped), &raw(1)).unwrap_err();
        kinds.insert(match error {
            EnvError::KeyringDamaged { what, .. } if what.contains("not authentic") => "tag",
            EnvError::KeyringDamaged { .. } => "damaged",
            EnvError::WrongKey { .. } => "wrong key", // what the commitment is made of
            EnvError::Unsupported { .. } => "newer",
            error => panic!("bit {bit}: {error}"),
        });
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["damaged", "newer", "tag", "wrong key"]);
}

#[test]
fn ten_thousand_wrong_keys_are_wrong_keys() {
    let world = SimWorld::new(3).world();
    let (mut keys, _) = keyring(&raw(1));
    keys.add("second", &passphrase("right"), &*world).unwrap();
    let keyring = decode(&keys.next_write(&*world).unwrap()).unwrap();
    let is_wrong = |key: &KeySource| {
        matches!(keyring.unlock(key), Err(error @ EnvError::WrongKey { .. })
            if error.kind() == ErrorKind::Key)
    };
    for _ in 0..10_000 {
        let mut key = [0; 32];
        world.random(&mut key);
        assert!(is_wrong(&KeySource::raw(&mut key)));
    }
    for n in 0..500 {
        assert!(is_wrong(&passphrase(&format!("wrong {n}"))));
    }
    for near in ["", "right ", "Right", "righ"].into_iter().filter(|text| !text.is_empty()) {
        assert!(is_wrong(&passphrase(near)));
    }
    assert!(keyring.unlock(&raw(1)).is_ok() && keyring.unlock(&passphrase("right")).is_ok());
}

#[test]
fn a_keyring_that_asks_for_too_much_is_refused_before_it_gets_it() {
    let (_, bytes) = keyring(&passphrase("one"));
    let slot = keyring_head::LEN + layout::keyring_epoch::LEN;
    for (field, value) in [
        (key_slot::MEMORY, 1 << 30), // 1 TiB
        (key_slot::MEMORY, u64::from(u32::MAX)),
        (key_slot::PASSES, u64::from(u32::MAX)),
        (key_slot::LANES, 0),
        (key_slot::LANES, 1 << 24),
    ] {
        let mut hostile = bytes.clone();
        field.set_number(&mut hostile[slot..], value);
        let error = unlock(&forged(hostile), &passphrase("one")).unwrap_err();
        assert!(matches!(error, EnvError::KeyringDamaged { .. }), "{}: {error}", field.name);
    }
}

#[test]
fn a_newer_keyring_is_unsupported() {
    let (_, bytes) = keyring(&raw(1));
    for field in [keyring_head::VERSION, keyring_head::ALGORITHM] {
        let mut newer = bytes.clone();
        field.set_number(&mut newer, 2);
        let error = decode(&forged(newer)).unwrap_err();
        assert!(matches!(error, EnvError::Unsupported { .. }), "{error}");
    }
}

#[test]
fn keys_come_and_go_and_the_last_one_stays() {
    let world = world();
    let (mut keys, _) = keyring(&raw(1));
    let refused = |result: EnvResult<()>| {
        let error = result.unwrap_err();
        assert!(matches!(error, EnvError::InvalidInput { .. }), "{error}");
    };
    refused(keys.remove(1));
    assert_eq!(keys.add("second", &raw(2), &*world).unwrap().number, 2);
    for name in ["first", "", "bell\u{7}", &"x".repeat(65)] {
        refused(keys.add(name, &raw(3), &*world).map(drop));
    }
    refused(keys.remove(3));
    keys.remove(1).unwrap();
    let bytes = keys.next_write(&*world).unwrap();
    assert!(matches!(unlock(&bytes, &raw(1)), Err(EnvError::WrongKey { .. })));
    let mut keys = unlock(&bytes, &raw(2)).unwrap();
    refused(keys.remove(2));
    // A number is never used twice.
    assert_eq!(keys.add("first", &raw(3), &*world).unwrap().number, 3);
    for n in 4..=33 {
        keys.add(&format!("key {n}"), &raw(n), &*world).unwrap();
    }
    refused(keys.add("one more", &raw(99), &*world).map(drop));
    let bytes = keys.next_write(&*world).unwrap();
    assert_eq!(unlock(&bytes, &raw(33)).unwrap().info().slots.len(), 32);
}

/// A full keyring could not be rotated: the new key was added before the old one went.
#[test]
fn a_key_of_a_full_keyring_can_be_rotated() {
    let world = world();
    let (mut keys, _) = keyring(&raw(1));
    for n in 2..=32 {
        keys.add(&format!("key {n}"), &raw(n), &*world).unwrap();
    }
    let rotated = keys.rotate(&raw(99), &*world).unwrap();
    assert_eq!((rotated.name.as_str(), rotated.number, keys.opened_by()), ("first", 33, 33));
    let bytes = keys.next_write(&*world).unwrap();
    assert!(matches!(unlock(&bytes, &raw(1)), Err(EnvError::WrongKey { .. })));
    assert_eq!(unlock(&bytes, &raw(99)).unwrap().info().slots.len(), 32);
    assert!(unlock(&bytes, &raw(32)).is_ok());
}

/// Two applications, each with a callback of its own, which knows nothing of the other's key.
#[test]
fn a_slot_whose_key_cannot_be_had_hides_no_other_one() {
    struct Only(&'static str);
    impl KeyProvider for Only {
        fn key(
            &self,
            request: &KeyRequest<'_>,
            key: &mut [u8; 32],
        ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
            if request.name != self.0 {
                return Err(format!("{} is none of mine", request.name).into());
            }
            *key = *request.salt;
            Ok(())
        }
    }
    let only = |name| KeySource::provider(Arc::new(Only(name)));
    let world = SimWorld::new(6).world();
    let (mut keys, _) = keyring(&only("first"));
    keys.add("second", &only("second"), &*world).unwrap();
    let bytes = keys.next_write(&*world).unwrap();
    assert_eq!(unlock(&bytes, &only("first")).unwrap().opened_by(), 1);
    assert_eq!(unlock(&bytes, &only("second")).unwrap().opened_by(), 2);
    let error = unlock(&bytes, &only("third")).unwrap_err();
    assert!(matches!(error, EnvError::KeyUnavailable { .. }), "{error}");
    assert!(error.to_string().contains("first is none of mine"), "{error}");
}

#[test]
fn a_key_that_nobody_has_filled_encrypts_nothing() {
    struct Forgetful;
    impl KeyProvider for Forgetful {
        fn key(
            &self,
            _: &KeyRequest<'_>,
            _: &mut [u8; 32],
        ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
            Ok(())
        }
    }
    let refused = |key: &KeySource| {
        UnlockedKeyring::create(ENVIRONMENT, "first", key, &*world()).unwrap_err()
    };
    let error = refused(&KeySource::provider(Arc::new(Forgetful)));
    assert!(matches!(error, EnvError::KeyUnavailable { .. }), "{error}");
    for byte in [0, 7] {
        let error = refused(&KeySource::raw(&mut [byte; 32]));
        assert!(matches!(error, EnvError::InvalidInput { .. }), "{error}");
    }
}

#[test]
fn a_rotated_key_opens_nothing_that_is_written_later() {
    let world = world();
    let (mut keys, before) = keyring(&raw(1));
    let leaked = unlock(&before, &raw(1)).unwrap();
    assert_eq!(keys.rotate(&raw(2), &*world).unwrap().name, "first");
    keys.begin_epoch(&*world).unwrap();
    let after = keys.next_write(&*world).unwrap();
    assert!(matches!(unlock(&after, &raw(1)), Err(EnvError::WrongKey { .. })));
    let opened = unlock(&after, &raw(2)).unwrap();
    // What was encrypted is still read, and the keyring key that leaked with the old one is not that any more.
    assert_eq!(data_keys(&opened)[..1], data_keys(&leaked));
    let keyring = decode(&after).unwrap();
    assert!(keyring.decrypt_data_keys(leaked.keyring_key_for_tests()).is_err());
    // With a key of somebody who is not here, the keyring key has to stay.
    let mut keys = opened;
    keys.add("second", &raw(3), &*world).unwrap();
    let both = keys.next_write(&*world).unwrap();
    let mut one = unlock(&both, &raw(2)).unwrap();
    one.rotate(&raw(4), &*world).unwrap();
    let rotated = one.next_write(&*world).unwrap();
    assert!(unlock(&rotated, &raw(3)).is_ok() && unlock(&rotated, &raw(4)).is_ok());
    assert!(matches!(unlock(&rotated, &raw(2)), Err(EnvError::WrongKey { .. })));
}

/// What the guide says to do after a leak, and why: one key of somebody who is not here keeps the keyring key.
#[test]
fn a_removed_key_opens_nothing_later_only_when_no_other_slot_was_left_as_it_was() {
    let world = world();
    let (mut keys, _) = keyring(&raw(1));
    for n in [2, 3] {
        keys.add(&format!("key {n}"), &raw(n), &*world).unwrap();
    }
    let before = keys.next_write(&*world).unwrap();
    let leaked = unlock(&before, &raw(1)).unwrap();
    let opens = |bytes: &[u8]| {
        let leaked = leaked.keyring_key_for_tests();
        decode(bytes).unwrap().decrypt_data_keys(leaked).is_ok()
    };
    let mut keys = unlock(&before, &raw(2)).unwrap();
    keys.remove(1).unwrap();
    keys.begin_epoch(&*world).unwrap();
    assert!(opens(&keys.next_write(&*world).unwrap()), "the third slot needs the old keyring key");
    keys.remove(3).unwrap();
    keys.begin_epoch(&*world).unwrap();
    keys.add("key 3", &raw(3), &*world).unwrap();
    let after = keys.next_write(&*world).unwrap();
    assert!(!opens(&after) && unlock(&after, &raw(3)).is_ok());
}

#[test]
fn a_slot_of_an_older_keyring_or_of_another_environment_is_refused() {
    let world = world();
    let (mut keys, _) = keyring(&raw(1));
    keys.add("second", &raw(2), &*world).unwrap();
    let before = keys.next_write(&*world).unwrap();
    keys.begin_epoch(&*world).unwrap();
    let after = keys.next_write(&*world).unwrap();
    // Both slots were filled anew, since both keys were at hand; the keys stay the same.
    let slot = |bytes: &[u8]| bytes.len() - 4 - 16 - 2 * key_slot::LEN;
    let slots = keyring_head::LEN + 2 * layout::keyring_epoch::LEN;
    let old_slots = keyring_head::LEN + layout::keyring_epoch::LEN;
    assert!(slot(&after) > slots);
    let mut mixed = after.clone();
    mixed[slots..slots + key_slot::LEN]
        .copy_from_slice(&before[old_slots..old_slots + key_slot::LEN]);
    for key in [1, 2] {
        let error = unlock(&forged(mixed.clone()), &raw(key)).unwrap_err().to_string();
        assert!(error.contains("not authentic"), "{error}");
    }
    let mut foreign = after;
    keyring_head::ENVIRONMENT.set_bytes(&mut foreign, &[1; 16]);
    assert!(matches!(unlock(&forged(foreign), &raw(1)), Err(EnvError::WrongKey { .. })));
}

#[test]
fn epochs_begin_and_retire_and_the_newest_stays() {
    let world = world();
    let (mut keys, _) = keyring(&raw(1));
    let first = data_keys(&keys)[0];
    assert_eq!(keys.begin_epoch(&*world).unwrap(), 2);
    assert_eq!(keys.begin_epoch(&*world).unwrap(), 3);
    let all = data_keys(&keys);
    assert_eq!(keys.retire(|epoch| epoch == 1), [2]);
    assert_eq!(data_keys(&keys), [first, all[2]]);
    assert_eq!(keys.retire(|_| false), [1]);
    let bytes = keys.next_write(&*world).unwrap();
    let mut opened = unlock(&bytes, &raw(1)).unwrap();
    assert_eq!(data_keys(&opened), [all[2]]);
    assert_eq!(opened.begin_epoch(&*world).unwrap(), 4);
}

#[test]
fn a_recipient_opens_with_the_key_file_what_was_encrypted_without_it() {
    let (world, safe) = (SimWorld::new(6).world(), raw(9));
    let recipient = safe.recipient().unwrap();
    let (mut keys, _) = keyring(&raw(1));
    keys.add("safe", &KeySource::for_recipient(recipient), &*world).unwrap();
    keys.add("safe again", &KeySource::for_recipient(recipient), &*world).unwrap();
    let bytes = keys.next_write(&*world).unwrap();
    assert_eq!(decode(&bytes).unwrap().info().slots[1].kind, KeyKind::Recipient);
    let salts: Vec<_> = (1..3).map(|slot| slot_field(&bytes, slot, key_slot::KEY_SALT)).collect();
    assert_ne!(salts[0], salts[1], "each slot has a key pair of its own");
    // The key file is at hand, and nothing else.
    let mut opened = unlock(&bytes, &safe).unwrap();
    assert_eq!((data_keys(&opened), opened.opened_by()), (data_keys(&keys), 2));
    // What it opens it can look after, too: the slot is written anew for the same recipient.
    opened.remove(3).unwrap();
    opened.remove(1).unwrap();
    let later = opened.next_write(&*world).unwrap();
    assert_eq!(data_keys(&unlock(&later, &safe).unwrap()), data_keys(&keys));
    for (key, bytes) in [(raw(8), &bytes), (raw(1), &later)] {
        assert!(matches!(unlock(bytes, &key), Err(EnvError::WrongKey { .. })));
    }
    // The public half says for whom it is, and opens nothing.
    let public = KeySource::for_recipient(recipient);
    assert!(matches!(unlock(&bytes, &public), Err(EnvError::InvalidInput { .. })));
    assert!(passphrase("one").recipient().is_err() && raw(0).recipient().is_ok());
}

#[test]
fn a_slot_for_a_recipient_is_refused_when_any_bit_of_it_is_flipped() {
    let (world, safe) = (SimWorld::new(6).world(), raw(9));
    let public = KeySource::for_recipient(safe.recipient().unwrap());
    let (_, bytes) = {
        let mut keys = UnlockedKeyring::create(ENVIRONMENT, "safe", &public, &*world).unwrap();
        let bytes = keys.next_write(&*world).unwrap();
        (keys, bytes)
    };
    let at = keyring_head::LEN + layout::keyring_epoch::LEN;
    for bit in at * 8..(at + key_slot::LEN) * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = unlock(&forged(flipped), &safe).map(drop).unwrap_err();
        assert!(
            matches!(error, EnvError::WrongKey { .. } | EnvError::KeyringDamaged { .. }),
            "bit {bit}: {error}"
        );
    }
    // A public key with which everybody agrees on zeros.
    let mut zeros = bytes;
    zeros[at..][key_slot::KEY_SALT.range()].fill(0);
    assert!(matches!(unlock(&forged(zeros), &safe), Err(EnvError::WrongKey { .. })));
    let nobody = KeySource::for_recipient(
        format!("cairn-recipient-{}{:08x}", "0".repeat(64), crc32c(&[0; 32])).parse().unwrap(),
    );
    let made = UnlockedKeyring::create(ENVIRONMENT, "nobody", &nobody, &*world);
    assert!(matches!(made, Err(EnvError::InvalidInput { .. })));
}

fn slot_field(bytes: &[u8], slot: usize, field: cairn_log::layout::Field) -> Vec<u8> {
    let at = keyring_head::LEN + layout::keyring_epoch::LEN + slot * key_slot::LEN;
    field.of(&bytes[at..]).to_vec()
}

#[test]
fn a_recipient_is_said_so_that_a_wrong_digit_is_noticed() {
    let recipient = raw(9).recipient().unwrap();
    let said = recipient.to_string();
    assert_eq!(said.parse::<Recipient>().unwrap(), recipient);
    assert_eq!(format!(" {said}\n").parse::<Recipient>().unwrap(), recipient);
    for at in "cairn-recipient-".len()..said.len() {
        let other = if said[at..].starts_with('7') { "8" } else { "7" };
        let wrong = format!("{}{other}{}", &said[..at], &said[at + 1..]);
        assert!(wrong.parse::<Recipient>().is_err(), "{wrong}");
        assert!(said[..at].parse::<Recipient>().is_err());
    }
    for hostile in
        ["", "cairn-recipient-", "age1xyz", &format!("cairn-recipient-{}", "é".repeat(36))]
    {
        assert!(hostile.parse::<Recipient>().is_err(), "{hostile}");
    }
}

#[test]
fn nothing_that_is_printed_tells_a_key() {
    let mut key = *b"0123456789abcdefghijklmnopqrstuv";
    let (keys, _) = keyring(&KeySource::raw(&mut key));
    assert_eq!(key, [0; 32], "it was not wiped");
    let source = passphrase("sesame");
    let printed = format!("{keys:?} {source:?} {:?} {:?}", keys.keyring().info(), keys.data_keys());
    let options = format!("{:?}", Options::new());
    assert!(
        !printed.contains("sesame") && !printed.contains("0123") && !options.contains("sesame")
    );
    assert_eq!(format!("{source:?}"), "KeySource(passphrase)");
}

#[test]
fn sources_are_equal_if_they_are_the_same_key() {
    assert_eq!(passphrase("a"), passphrase("a"));
    assert_ne!(passphrase("a"), passphrase("b"));
    assert_ne!(passphrase("a"), KeySource::passphrase("a").unwrap());
    assert_eq!(raw(1), raw(1));
    assert_ne!(raw(1), raw(2));
    assert_eq!(KeySource::key_file("k"), KeySource::key_file("k"));
    assert_ne!(KeySource::key_file("k"), raw(1));
}

#[test]
fn a_key_file_holds_32_bytes_or_64_digits() {
    let digits = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
    let parse = |content: &[u8]| KeySource::from_key_file_content(content);
    let bytes: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap());
    for content in [&bytes[..], digits.as_bytes()] {
        assert_eq!(parse(content).unwrap(), raw(0));
    }
    for end in ["\n", "\r\n"] {
        assert_eq!(parse(format!("{digits}{end}").as_bytes()).unwrap(), raw(0));
    }
    for wrong in [&b""[..], &bytes[1..], &[0; 32], &[7; 33], &digits.as_bytes()[1..]] {
        assert!(parse(wrong).is_err());
    }
    for wrong in [digits.replace('a', "g"), format!("{digits}\n\n"), "0".repeat(64)] {
        assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
    }
    for wrong in [&b""[..], &[b'x'; 4097]] {
        assert!(KeySource::passphrase(wrong).is_err());
    }
}

/// An environment with a keyring beside its state.
fn with_keyring(disk: &SimDisk, key: &KeySource) -> EnvResult<DirRef> {
    let root = disk.root();
    let options = Options::default().background(false);
    let (env, _) = Environment::open_in(disk.root(), world(), options)?;
    let environment = env.identity().environment;
    env.close()?;
    let dir = root.open_dir(&crate::root::Generation::FIRST.dir_name())?;
    let mut keys = UnlockedKeyring::create(environment, "first", key, &*world())?;
    file::create(&*dir, &keys.next_write(&*world())?)?;
    dir.sync(SyncSite::new("test"))?;
    Ok(root)
}

#[test]
fn two_who_change_a_keyring_at_once_do_not_undo_each_other() {
    let disk = SimDisk::new();
    let root = with_keyring(&disk, &raw(1)).unwrap();
    let open = || EnvironmentKeys::open_in(DirRef::clone(&root), world()).unwrap().unlock(&raw(1));
    let (mut one, mut other) = (open().unwrap(), open().unwrap());
    one.add("second", &raw(2)).unwrap();
    let error = other.add("third", &raw(3)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    one.add("fourth", &raw(4)).unwrap();
    assert_eq!(open().unwrap().info().slots.len(), 3);
}

#[test]
fn an_epoch_begins_only_when_nobody_writes() {
    let disk = SimDisk::new();
    let root = with_keyring(&disk, &raw(1)).unwrap();
    let mut keys =
        EnvironmentKeys::open_in(DirRef::clone(&root), world()).unwrap().unlock(&raw(1)).unwrap();
    let lock = crate::root::Root::new(DirRef::clone(&root)).lock(&*world()).unwrap();
    assert_eq!(keys.begin_epoch().unwrap_err().kind(), ErrorKind::Busy);
    keys.add("second", &raw(2)).unwrap();
    drop(lock);
    assert_eq!(keys.begin_epoch().unwrap(), 2);
    assert_eq!(keys.retire_epochs().unwrap().retired, [1]);
}

/// Holds every crash of a trace against the marks that say which key has to open, and returns the first
/// that breaks the promise.
fn sweep(trace: &Trace) -> Result<usize, String> {
    let (mut cuts, mut images) = (trace.cuts(), 0);
    while let Some(cut) = cuts.next_cut() {
        let (done, begun) = (cut.mark("done").unwrap_or(0), cut.mark("begun").unwrap_or(0));
        if done == 0 {
            continue;
        }
        for level in Level::ALL {
            for crashed in cut.crash().images(level, &Bounds::full()) {
                let keys = EnvironmentKeys::open_in(crashed.image.to_mem().root(), world())
                    .map_err(|error| format!("{crashed}: {error}"))?;
                let writes = keys.info().writes;
                if !(done..=begun).contains(&writes) {
                    return Err(format!("{crashed}: write {writes}, not {done} to {begun}"));
                }
                let key = raw(u8::try_from(writes).unwrap_or(0));
                keys.unlock(&key).map_err(|error| format!("{crashed}: {error}"))?;
                images += 1;
            }
        }
    }
    Ok(images)
}

#[test]
fn a_crash_at_each_step_leaves_the_old_keyring_or_the_new_one() {
    let disk = SimDisk::new();
    let root = with_keyring(&disk, &raw(1)).unwrap();
    let mark = |n: u8| {
        disk.mark("begun", n.into());
        disk.mark("done", n.into());
    };
    mark(1);
    let open = |n| EnvironmentKeys::open_in(DirRef::clone(&root), world()).unwrap().unlock(&raw(n));
    for n in 2..=4 {
        disk.mark("begun", n.into());
        open(n - 1).unwrap().rotate(&raw(n)).unwrap();
        mark(n);
    }
    let images = sweep(&disk.trace()).unwrap();
    assert!(images > 30, "{images}");
    // Each of both syncs is needed.
    for path in ["g-000001/KEYRING.new", "g-000001"] {
        let careless = disk
            .trace()
            .without_syncs(|site, entry| site == crate::sites::KEYRING && entry.path() == path);
        assert!(sweep(&careless).is_err(), "nobody misses the sync of {path}");
    }
}
