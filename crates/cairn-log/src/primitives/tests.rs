//! Known answers, and that both implementations give the same ones.

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().map(|c| c.to_digit(16).unwrap().try_into().unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn the_cipher_gives_the_answers_of_its_specification() {
    // Test cases 13, 14 and 16 of McGrew and Viega, "The Galois/Counter Mode of Operation".
    let cases = [
        ("00".repeat(32), "00".repeat(12), "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
        (
            "00".repeat(32),
            "00".repeat(12),
            "",
            "00000000000000000000000000000000",
            "cea7403d4d606b6e074ec5d3baf39d18",
            "d0d1c8a799996bf0265b98b5d48ab919",
        ),
        (
            "feffe9928665731c6d6a8f9467308308".repeat(2),
            "cafebabefacedbaddecaf888".to_owned(),
            "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
             1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
             8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
            "76fc6ece0f4e1768cddf8853bb2d551b",
        ),
    ];
    for (key, nonce, vouched, text, stored, tag) in cases {
        let cipher = Gcm::new(&bytes(&key).try_into().unwrap());
        let (nonce, vouched) = (bytes(&nonce).try_into().unwrap(), bytes(vouched));
        let mut found = bytes(text);
        let found_tag = cipher.encrypt(nonce, &vouched, &mut found);
        assert_eq!((&*found, &found_tag[..]), (&*bytes(stored), &*bytes(tag)));
        found.extend(found_tag);
        assert_eq!(cipher.decrypt(nonce, &vouched, &mut found), Ok(()));
        assert!(found.starts_with(&bytes(text)));
        let mut out = vec![0; text.len() / 2];
        let (stored, tag) = (bytes(stored), bytes(tag));
        assert_eq!(cipher.decrypt_into(nonce, &vouched, (&stored, &tag), &mut out), Ok(()));
        assert_eq!(out, bytes(text));
    }
}

#[test]
fn codes_and_what_is_derived_are_those_of_their_rfcs() {
    // RFC 4231, test cases 1 and 2; RFC 5869, test case 1, its first 32 bytes.
    let code = Hmac::new(&[0x0b; 20]).sign(b"Hi There");
    assert_eq!(code[..], bytes("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"));
    let code = Hmac::new(b"Jefe").sign(b"what do ya want for nothing?");
    assert_eq!(code[..], bytes("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
    let salt = bytes("000102030405060708090a0b0c");
    let info = bytes("f0f1f2f3f4f5f6f7f8f9");
    let key = hkdf(&[0x0b; 22], &salt, &[&info[..4], &info[4..]]);
    assert_eq!(key[..], bytes("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"));
}

#[test]
fn secrets_are_the_same_only_byte_for_byte() {
    assert!(is_same(b"secret", b"secret"));
    assert!(!is_same(b"secret", b"secreT"));
    assert!(!is_same(b"secret", b"secre"));
}

/// What the interpreter runs stands in for what is used, so it must do the same.
#[cfg(not(miri))]
mod agreement {
    use proptest::{collection::vec, prelude::*};

    use super::super::{KEY_LEN, NONCE_LEN, NotAuthentic, aws_lc, rust_crypto};

    proptest! {
        #[test]
        fn both_encrypt_alike_and_open_what_the_other_has_encrypted(
            key: [u8; KEY_LEN],
            nonce: [u8; NONCE_LEN],
            vouched in vec(any::<u8>(), 0..80),
            text in vec(any::<u8>(), 0..600),
        ) {
            let (one, other) = (aws_lc::Gcm::new(&key), rust_crypto::Gcm::new(&key));
            let (mut of_one, mut of_other) = (text.clone(), text.clone());
            let tag = one.encrypt(nonce, &vouched, &mut of_one);
            prop_assert_eq!(tag, other.encrypt(nonce, &vouched, &mut of_other));
            prop_assert_eq!(&of_one, &of_other);

            let (mut by_one, mut by_other) = (vec![0; text.len()], vec![1; text.len()]);
            prop_assert_eq!(one.decrypt_into(nonce, &vouched, (&of_one, &tag), &mut by_one), Ok(()));
            prop_assert_eq!(other.decrypt_into(nonce, &vouched, (&of_one, &tag), &mut by_other), Ok(()));
            prop_assert_eq!((&by_one, &by_other), (&text, &text));

            let stored = [&of_one[..], &tag].concat();
            let (mut by_one, mut by_other) = (stored.clone(), stored);
            prop_assert_eq!(one.decrypt(nonce, &vouched, &mut by_one), Ok(()));
            prop_assert_eq!(other.decrypt(nonce, &vouched, &mut by_other), Ok(()));
            prop_assert_eq!(&by_one[..text.len()], &text);
            prop_assert_eq!(&by_other[..text.len()], &text);
        }

        #[test]
        fn both_refuse_what_was_changed_or_cut(
            key: [u8; KEY_LEN],
            text in vec(any::<u8>(), 0..60),
            at: prop::sample::Index,
            bit in 0..8u8,
            len: prop::sample::Index,
        ) {
            let (one, other) = (aws_lc::Gcm::new(&key), rust_crypto::Gcm::new(&key));
            let mut stored = text;
            let tag = one.encrypt([0; NONCE_LEN], b"head", &mut stored);
            stored.extend(tag);
            let cut = stored[..len.index(stored.len())].to_vec();
            let mut changed = stored.clone();
            changed[at.index(stored.len())] ^= 1 << bit;
            for (vouched, stored) in [(b"head", changed), (b"head", cut), (b"heat", stored)] {
                let (mut by_one, mut by_other) = (stored.clone(), stored.clone());
                prop_assert_eq!(one.decrypt([0; NONCE_LEN], vouched, &mut by_one), Err(NotAuthentic));
                prop_assert_eq!(other.decrypt([0; NONCE_LEN], vouched, &mut by_other), Err(NotAuthentic));
                let parts = stored.split_at(stored.len().saturating_sub(tag.len()));
                let mut out = vec![0; parts.0.len()];
                prop_assert_eq!(one.decrypt_into([0; NONCE_LEN], vouched, parts, &mut out), Err(NotAuthentic));
                prop_assert_eq!(other.decrypt_into([0; NONCE_LEN], vouched, parts, &mut out), Err(NotAuthentic));
            }
        }

        #[test]
        fn both_sign_derive_and_compare_alike(
            key in vec(any::<u8>(), 0..100),
            salt in vec(any::<u8>(), 0..100),
            parts in vec(vec(any::<u8>(), 0..40), 0..4),
            bytes in vec(any::<u8>(), 0..300),
        ) {
            let parts: Vec<&[u8]> = parts.iter().map(|part| &**part).collect();
            prop_assert_eq!(aws_lc::hkdf(&key, &salt, &parts), rust_crypto::hkdf(&key, &salt, &parts));
            prop_assert_eq!(aws_lc::Hmac::new(&key).sign(&bytes), rust_crypto::Hmac::new(&key).sign(&bytes));
            for (one, other) in [(&key, &salt), (&key, &key)] {
                prop_assert_eq!(aws_lc::is_same(one, other), rust_crypto::is_same(one, other));
            }
        }
    }
}
