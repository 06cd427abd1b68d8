//! The bytes of a keyring, as tables from which both the code and `docs/format/keyring.md` come.

use cairn_log::layout::{Field, table};

cairn_log::layout! {
    /// What a keyring begins with.
    pub mod keyring_head {
        MAGIC: 8 = "`CAIRNKEY`",
        VERSION: 2 = "format version, 1",
        ALGORITHM: 1 = "how log files are encrypted; 1: AES-256-GCM. Other values are reserved",
        RESERVED: 1 = "zero",
        EPOCHS: 2 = "number of key epochs, 1 to 1024",
        SLOTS: 2 = "number of key slots, 1 to 32",
        NEXT_SLOT: 4 = "smallest number that no key slot has had",
        RESERVED_2: 4 = "zero",
        ENVIRONMENT: 16 = "uuid of the environment",
        NUMBER: 8 = "counts the writes of the keyring, from 1",
        SALT: 32 = "salt of the key under which the data keys are encrypted; random, another one in each write",
    }
}

cairn_log::layout! {
    /// A key epoch, as far as it is no secret.
    pub mod keyring_epoch {
        EPOCH: 4 = "its number, from 1; larger than that of the epoch before",
        RESERVED: 4 = "zero",
        CREATED: 8 = "when it began, in microseconds since 1970; for people",
    }
}

cairn_log::layout! {
    /// A key slot: the keyring key, encrypted under a key of a user.
    pub mod key_slot {
        NUMBER: 4 = "its number, from 1; larger than that of the key slot before",
        KIND: 1 = "where its key comes from: 1 passphrase (Argon2id), 2 raw key, 3 callback, 4 recipient (X25519)",
        NAME_LEN: 1 = "bytes of its name, 1 to 64",
        RESERVED: 2 = "zero",
        CREATED: 8 = "when it was made, in microseconds since 1970; for people",
        NAME: 64 = "its name for people: UTF-8 without control characters, padded with zeros",
        MEMORY: 4 = "passphrase: KiB of memory that Argon2id takes; else zero",
        PASSES: 4 = "passphrase: how often it goes through that memory; else zero",
        LANES: 4 = "passphrase: its lanes; else zero",
        RESERVED_2: 4 = "zero",
        KEY_SALT: 32 = "passphrase: the salt of Argon2id; callback: what the callback is told; random. Recipient: the public key that was made for the slot. Raw key: zero",
        SALT: 32 = "salt of the two keys that are derived from the key of the user; random, another one whenever the slot is written anew",
        COMMITMENT: 32 = "tells a wrong key from a damaged slot",
        WRAPPED: 32 = "the keyring key, encrypted",
        TAG: 16 = "its authentication tag",
    }
}

pub(super) const MAGIC: &[u8; 8] = b"CAIRNKEY";
pub(super) const VERSION: u64 = 1;
pub(super) const ALGORITHM: u64 = 1;
/// Bytes of a data key, of the keyring key, and of a key of a user.
pub(super) const KEY_LEN: usize = 32;
pub(super) const TAG_LEN: usize = 16;
pub(super) const CRC_LEN: usize = 4;

/// A data key for each day of almost three years.
pub(super) const MAX_EPOCHS: usize = 1024;
/// Each passphrase that is tried costs a run of Argon2id for each slot.
pub(super) const MAX_SLOTS: usize = 32;
/// No keyring is longer.
pub(super) const MAX_LEN: usize = keyring_head::LEN
    + MAX_EPOCHS * (keyring_epoch::LEN + KEY_LEN)
    + MAX_SLOTS * key_slot::LEN
    + TAG_LEN
    + CRC_LEN;

/// The tables of `docs/format/keyring.md`.
pub(crate) fn spec() -> [(&'static str, String); 4] {
    [
        ("keyring_head", table(keyring_head::FIELDS)),
        ("keyring_epoch", table(keyring_epoch::FIELDS)),
        ("key_slot", table(key_slot::FIELDS)),
        ("keyring_lengths", lengths()),
    ]
}

/// Where the parts of a keyring lie.
fn lengths() -> String {
    use std::fmt::Write as _;
    let mut text = String::from("| part | bytes |\n|---|---|\n");
    for (part, bytes) in [
        ("head", keyring_head::LEN.to_string()),
        ("key epochs", format!("{} for each", keyring_epoch::LEN)),
        ("key slots", format!("{} for each", key_slot::LEN)),
        ("data keys, encrypted", format!("{KEY_LEN} for each key epoch")),
        ("authentication tag", TAG_LEN.to_string()),
        ("CRC-32C of the bytes before", CRC_LEN.to_string()),
    ] {
        writeln!(text, "| {part} | {bytes} |").expect("a String takes any text");
    }
    text
}

/// The bytes of a field, if they are as many as the array has.
pub(super) fn array<const N: usize>(field: Field, bytes: &[u8]) -> Option<[u8; N]> {
    field.of(bytes).try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_have_the_lengths_that_the_page_says() {
        assert_eq!((keyring_head::LEN, keyring_epoch::LEN, key_slot::LEN), (80, 16, 240));
        for fields in [keyring_head::FIELDS, keyring_epoch::FIELDS, key_slot::FIELDS] {
            fields.iter().fold(0, |at, field| {
                assert_eq!(field.offset, at, "{}", field.name);
                field.end()
            });
        }
    }
}
