//! Bodies of the fuzz targets. Not part of the public interface.

use std::path::Path;

use cairn_io::{Access, DirRef, FileExt, MemDisk, World};
use cairn_log::{Timeline, Uuid, crc32c};

use crate::{
    EnvError, EnvResult, KdfCost, KeySource, Keyring, UnlockedKeyring,
    checkpoint::CheckpointRecord,
    commit::Decoder,
    ship::attachment::{Attachment, Side},
    state::{STATE, StateFile},
};

/// Any bytes as a state file: opening must not panic.
pub fn state_file(input: &[u8]) {
    let disk = MemDisk::new();
    let dir = disk.root();
    if write(&dir, input).is_ok() {
        drop(StateFile::open(&*dir, Access::Read).map(|(_, found)| found.newest));
    }
}

fn write(dir: &DirRef, bytes: &[u8]) -> cairn_io::IoResult<()> {
    dir.create(&STATE)?.write_all_at(0, bytes)
}

/// Any bytes as the file `REPLICA`, as they are and with the checksum made right: what decodes must encode to the
/// same bytes.
pub fn replica_file(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let body = text.rfind("crc32c ").map_or(&*text, |at| &text[..at]);
    let repaired = format!("{body}crc32c {:08x}\n", crc32c(body.as_bytes()));
    for text in [&*text, &*repaired] {
        if let Some(attachment) = Attachment::decode(text) {
            assert_eq!(attachment.encode(), text);
        }
    }
}

/// Files that `replica_file` accepts, for the corpus.
#[must_use]
pub fn replica_files() -> Vec<Vec<u8>> {
    let sides = [Side::Source, Side::Replica].into_iter();
    let all = sides.flat_map(|side| [(side, false), (side, true)]);
    let encoded = all.zip(1..).map(|((side, is_attached), number)| {
        let (environment, timeline) = (Uuid([0xab; 16]), Timeline(0x1234_5678));
        Attachment { environment, timeline, side, number, is_attached }.encode().into_bytes()
    });
    encoded.collect()
}

/// Any bytes as a checkpoint record: what decodes must encode to the same bytes.
pub fn checkpoint_record(input: &[u8]) {
    if let Ok(record) = CheckpointRecord::decode(input) {
        assert_eq!(record.encode(), input);
    }
}

/// Any bytes as a transaction: decoding must end, and must not panic.
pub fn transaction_record(input: &[u8]) {
    let Ok(mut decoder) = Decoder::new(input) else { return };
    while let Ok(Some(_)) = decoder.next() {}
}

/// The key of a user in the keyrings of the corpus.
fn keyring_key() -> KeySource {
    KeySource::raw(&mut std::array::from_fn(|i| u8::try_from(i).unwrap_or(0)))
}

/// Any bytes as a keyring, as they are and with the checksum made right: what decodes must encode to the
/// same bytes, and what opens holds keys.
pub fn keyring(input: &[u8]) {
    let mut bytes = input.to_vec();
    for repair in [false, true] {
        if repair {
            let Some((body, crc)) = bytes.split_last_chunk_mut::<4>() else { return };
            *crc = crc32c(body).to_le_bytes();
        }
        let Ok(keyring) = Keyring::decode(&bytes, Path::new("fuzz")) else { continue };
        assert_eq!(keyring.encode(), bytes);
        match keyring.unlock(&keyring_key()) {
            Ok(keys) => assert_eq!(keys.data_keys().epochs().count(), keys.info().epochs.len()),
            Err(EnvError::WrongKey { .. } | EnvError::KeyringDamaged { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Keyrings for the corpus.
///
/// # Errors
/// None that are worth handling.
pub fn keyrings(world: &dyn World) -> EnvResult<Vec<Vec<u8>>> {
    let (key, cost) = (keyring_key(), KdfCost::new(8, 1)?);
    let passphrase = KeySource::passphrase("corpus")?.cost(cost);
    let mut keys = UnlockedKeyring::create(Uuid([0xab; 16]), "first", &key, world)?;
    let mut seeds = vec![keys.next_write(world)?];
    keys.add("second", &passphrase, world)?;
    seeds.push(keys.next_write(world)?);
    for _ in 0..2 {
        keys.begin_epoch(world)?;
        seeds.push(keys.next_write(world)?);
    }
    Ok(seeds)
}
