//! Bodies of the fuzz targets. Not part of the public interface.

use cairn_env::{DatabaseOptions, Environment, IndexDef, KeySource, Options};
use cairn_io::{DirExt, MemDisk, Name, WorldRef};
use cairn_log::crc32c;

use crate::{
    ArchiveFile, ArchiveKeys, ArchiveReader, ArchiveResult, Compression, ExportOptions, Item,
    StoreInfo, export,
    layout::{LINK_LEN, MAX_KEYRING, archive_frame, archive_head},
    verify_stored,
};

/// The key of a user that opens the archives of the corpus.
fn key() -> KeySource {
    KeySource::raw(&mut std::array::from_fn(|i| u8::try_from(i).unwrap_or(0)))
}

/// Any bytes as an archive, as they are and with checksum and links made right: reading ends, what it gives is
/// in its place and adds up, and what is whole as it is stored is so for who has no key.
pub fn archive(input: &[u8]) {
    read(input);
    let mut linked = input.to_vec();
    link_again(&mut linked);
    read(&linked);
}

fn read(input: &[u8]) {
    let stored = verify_stored(input, "fuzz", |_| Ok(()));
    let Ok(mut reader) = ArchiveReader::new(input, "fuzz", &ArchiveKeys::from(key())) else {
        return;
    };
    let (mut entries, mut left) = (0, 0);
    loop {
        match reader.next() {
            Ok(Item::Database(_)) => assert_eq!(left, 0),
            Ok(Item::Entry { value_len, .. }) => {
                assert_eq!(left, 0);
                (entries, left) = (entries + 1, value_len);
            }
            Ok(Item::Value(piece)) => {
                assert!(!piece.is_empty() && piece.len() as u64 <= left);
                left -= piece.len() as u64;
            }
            Ok(Item::End(totals)) => {
                assert_eq!((totals.entries(), left), (entries, 0));
                break;
            }
            Err(_) => return,
        }
    }
    let stored = stored.expect("what is whole is whole as it is stored");
    assert_eq!((stored.bytes, stored.digest), (input.len() as u64, reader.stored_digest()));
}

/// Makes the checksum of the head and all links right, as far as there are any.
fn link_again(bytes: &mut [u8]) {
    let Some(head) = bytes.get_mut(..archive_head::LEN) else { return };
    let crc = crc32c(&head[..archive_head::CRC.offset]);
    archive_head::CRC.set_number(head, crc.into());
    let keyring = usize::try_from(archive_head::KEYRING_LEN.number(head)).unwrap_or(usize::MAX);
    let mut at = archive_head::LEN + keyring.min(MAX_KEYRING);
    let Some(beginning) = bytes.get(..at) else { return };
    let mut link = *blake3::hash(beginning).as_bytes();
    loop {
        let Some(place) = bytes.get_mut(at..at + LINK_LEN) else { return };
        place.copy_from_slice(&link);
        at += LINK_LEN;
        let Some(head) = bytes.get(at..at + archive_frame::LEN) else { return };
        let stored = usize::try_from(archive_frame::STORED.number(head)).unwrap_or(usize::MAX);
        let end = (at + archive_frame::LEN).saturating_add(stored);
        let Some(frame) = bytes.get(at..end) else { return };
        link = *blake3::Hasher::new().update(&link).update(frame).finalize().as_bytes();
        at = end;
    }
}

/// Archives for the corpus.
///
/// # Errors
/// None that are worth handling.
pub fn archives(world: &WorldRef) -> ArchiveResult<Vec<Vec<u8>>> {
    let name = Name::constant("archive");
    let mut seeds = Vec::new();
    for encrypted in [false, true] {
        let options = Options::new().background(false);
        let options = if encrypted { options.key(key()) } else { options };
        let (env, _) =
            Environment::open_in(MemDisk::new().root(), WorldRef::clone(world), options)?;
        let users = env.database("users", DatabaseOptions::default())?;
        let tags = env.multimap("tags")?;
        env.index(&users, IndexDef::new("by value", 1, |_key, value, emit| emit(value)))?;
        let make = |databases: &[&str], compression, frame_len| -> ArchiveResult<Vec<u8>> {
            let archive = ArchiveFile::new(MemDisk::new().root(), name.clone());
            let mut options = ExportOptions::default().compression(compression);
            options.frame_len = frame_len;
            let (snapshot, store) = (env.snapshot()?, StoreInfo::databases());
            export(&env, &snapshot, &store, databases, &archive, world, &options)?;
            Ok(archive.dir().read_small(&name, 1 << 20)?)
        };
        seeds.push(make(&[], Compression::None, 0)?);
        env.write(|txn| {
            (0..20u8).try_for_each(|n| txn.put(&users, &[n], &[n % 3; 9]))?;
            txn.put(&users, b"long", &[0; 900])?;
            tags.put(txn, b"key", b"value")
        })?;
        for frame_len in [0, 100] {
            seeds.push(make(&["tags", "users"], Compression::None, frame_len)?);
            seeds.push(make(&["users"], Compression::Zstd(3), frame_len)?);
        }
    }
    Ok(seeds)
}
