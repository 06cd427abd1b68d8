//! Archives that are not what was written: refused, each with its own error, before anything changes.

use std::ops::Range;

use cairn_archive::{
    ArchiveError, ArchiveFile, ArchiveKeys, Compression, ExportOptions, ImportOptions, verify,
    verify_stored,
};
use cairn_env::ErrorKind;
use cairn_io::{DirExt, FileExt, MemDisk, Name};

use crate::fixture::{TestStore, content, ordered, raw_key, small_options};

const HEAD: usize = 256;
const LINK: usize = 32;
const FRAME_HEAD: usize = 16;

fn small(encrypted: bool, seed: u64) -> TestStore {
    let options = if encrypted { small_options().key(raw_key(1)) } else { small_options() };
    let store = TestStore::seeded(options, seed);
    for n in 0..6 {
        store.put("db", &ordered(n), &[b'v'; 20]);
    }
    store.put("other", b"key", b"value");
    store
}

fn bytes(file: &ArchiveFile) -> Vec<u8> {
    file.dir().read_small(file.name(), 1 << 20).unwrap()
}

/// An archive of several frames.
fn made(store: &TestStore, name: &str) -> Vec<u8> {
    let mut options = ExportOptions::default().compression(Compression::None).replace(true);
    options.frame_len = 60;
    store.export(name, &options).unwrap();
    bytes(&store.archive(name))
}

fn written(bytes: &[u8]) -> ArchiveFile {
    let dir = MemDisk::new().root();
    let name = Name::constant("archive");
    dir.create(&name).unwrap().write_all_at(0, bytes).unwrap();
    ArchiveFile::new(dir, name)
}

/// The frames of an archive, with their links.
fn frames(bytes: &[u8]) -> Vec<Range<usize>> {
    let keyring = u32::from_le_bytes(bytes[12..16].try_into().unwrap());
    let mut at = HEAD + usize::try_from(keyring).unwrap() + LINK;
    let mut frames = Vec::new();
    while at < bytes.len() {
        let stored = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let end = at + FRAME_HEAD + usize::try_from(stored).unwrap() + LINK;
        frames.push(at..end);
        at = end;
    }
    frames
}

/// What somebody makes of frames who has no key, and can compute links.
fn linked(beginning: &[u8], frames: &[&[u8]]) -> Vec<u8> {
    let mut out = beginning[..beginning.len() - LINK].to_vec();
    let mut link = *blake3::hash(&out).as_bytes();
    out.extend_from_slice(&link);
    for frame in frames {
        let unlinked = &frame[..frame.len() - LINK];
        link = *blake3::Hasher::new().update(&link).update(unlinked).finalize().as_bytes();
        out.extend_from_slice(unlinked);
        out.extend_from_slice(&link);
    }
    out
}

fn refused(bytes: &[u8], keys: &ArchiveKeys, what: &str) -> ArchiveError {
    verify(bytes, "archive", keys, None, None).expect_err(what)
}

#[test]
fn every_bit_that_flips_and_every_length_is_refused() {
    for encrypted in [false, true] {
        let store = small(encrypted, 7);
        let good = made(&store, "good");
        let keys = ArchiveKeys::of(store.env()).unwrap();
        verify(&*good, "archive", &keys, None, None).unwrap();
        let mut kinds = std::collections::BTreeSet::new();
        for bit in 0..good.len() * 8 {
            let mut flipped = good.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let error = refused(&flipped, &keys, &format!("bit {bit}"));
            let is_named = matches!(
                error,
                ArchiveError::NotAnArchive { .. }
                    | ArchiveError::Damaged { .. }
                    | ArchiveError::Truncated { .. }
            );
            assert!(is_named, "bit {bit}: {error}");
            kinds.insert(error.to_string().split(':').next_back().unwrap().to_owned());
            // What needs no key finds it as well.
            verify_stored(&*flipped, "archive", |_| Ok(())).unwrap_err();
        }
        assert!(kinds.len() > 3, "{kinds:?}");
        for len in 0..good.len() {
            let error = refused(&good[..len], &keys, &format!("{len} bytes"));
            match len {
                0 => assert!(matches!(error, ArchiveError::Empty { .. })),
                _ => assert!(matches!(error, ArchiveError::Truncated { .. }), "{len}: {error}"),
            }
            verify_stored(&good[..len], "archive", |_| Ok(())).unwrap_err();
        }
        let longer = [&good[..], b"x"].concat();
        assert!(matches!(refused(&longer, &keys, "longer"), ArchiveError::Damaged { .. }));
    }
}

/// Whole frames, with links that were made right again: in the clear what is missing is missed, and where it
/// is encrypted nothing holds that was not written so.
#[test]
fn frames_that_were_left_out_doubled_moved_or_exchanged_are_refused() {
    for encrypted in [false, true] {
        let (store, foreign) = (small(encrypted, 7), small(encrypted, 8));
        let (good, same) = (made(&store, "good"), made(&store, "same"));
        let other = made(&foreign, "other");
        let keys = ArchiveKeys::of(store.env()).unwrap();
        let ranges = frames(&good);
        assert!(ranges.len() > 4);
        let beginning = &good[..ranges[0].start];
        let of = |bytes: &'_ [u8]| -> Vec<Vec<u8>> {
            frames(bytes).into_iter().map(|range| bytes[range].to_vec()).collect()
        };
        let all = of(&good);
        let relink = |frames: &[Vec<u8>]| {
            let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
            linked(beginning, &frames)
        };
        assert!(relink(&all) == good);
        let mut tried: Vec<(String, Vec<Vec<u8>>)> = Vec::new();
        for i in 0..all.len() {
            let change = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
                let mut frames = all.clone();
                change(&mut frames);
                frames
            };
            tried.push((format!("without {i}"), change(&|frames| drop(frames.remove(i)))));
            tried.push((format!("{i} twice"), change(&|frames| frames.insert(i, all[i].clone()))));
            tried.push((format!("up to {i}"), change(&|frames| frames.truncate(i))));
            for j in 0..i {
                tried.push((format!("{i} and {j} exchanged"), change(&|frames| frames.swap(i, j))));
            }
            for (name, from) in [("same", of(&same)), ("other", of(&other))] {
                if from[i] != all[i] && (encrypted || (name == "other" && i == 0)) {
                    let exchanged = change(&|frames| frames[i].clone_from(&from[i]));
                    tried.push((format!("{i} of {name}"), exchanged));
                }
            }
        }
        for (what, frames) in tried {
            let error = refused(&relink(&frames), &keys, &what);
            let is_named = match encrypted {
                true => matches!(
                    error,
                    ArchiveError::NotAuthentic { .. }
                        | ArchiveError::Truncated { .. }
                        | ArchiveError::Damaged { .. }
                ),
                false => {
                    matches!(error, ArchiveError::Truncated { .. } | ArchiveError::Damaged { .. })
                }
            };
            assert!(is_named, "{what}: {error}");
            if encrypted && !matches!(error, ArchiveError::Truncated { .. }) {
                // Only a frame behind the footer comes so far.
                let is_behind =
                    what.ends_with("twice") && matches!(error, ArchiveError::Damaged { .. });
                assert!(
                    is_behind || matches!(error, ArchiveError::NotAuthentic { .. }),
                    "{what}: {error}"
                );
            }
        }
    }
}

/// What was compressed is not believed about its length, and takes no more room than a frame may have.
#[test]
fn a_bomb_is_refused_before_it_goes_off() {
    let store = small(false, 7);
    let good = made(&store, "good");
    let ranges = frames(&good);
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 3).unwrap();
    for length in [1, 1000, 1 << 20, u32::MAX] {
        let mut frame = good[ranges[1].clone()][..FRAME_HEAD].to_vec();
        frame[..4].copy_from_slice(&u32::try_from(bomb.len()).unwrap().to_le_bytes());
        frame[4..8].copy_from_slice(&length.to_le_bytes());
        frame[9] = 1;
        frame.extend_from_slice(&bomb);
        frame.extend_from_slice(&[0; LINK]);
        let header = &good[ranges[0].clone()];
        let bytes = linked(&good[..ranges[0].start], &[header, &frame]);
        let error = refused(&bytes, &ArchiveKeys::none(), "a bomb");
        assert!(matches!(error, ArchiveError::Damaged { .. }), "{length}: {error}");
    }
}

/// Nothing that is refused has changed anything; and each has an error that says what it is.
#[test]
fn what_is_no_archive_of_this_store_is_refused_and_nothing_changes() {
    let store = small(false, 7);
    let good = made(&store, "good");
    store.put("db", b"later", b"than the archive");
    let before = content(store.env());
    let commits = store.env().snapshot().unwrap().commit();
    let import =
        |bytes: &[u8]| store.import(&written(bytes), ImportOptions::default()).unwrap_err();

    let missing = ArchiveFile::new(MemDisk::new().root(), Name::constant("none"));
    let missing = store.import(&missing, ImportOptions::default()).unwrap_err();
    assert!(matches!(missing, ArchiveError::NotFound { .. }), "{missing}");
    assert!(matches!(import(b""), ArchiveError::Empty { .. }));
    assert!(matches!(import(b"SQLite format 3\0"), ArchiveError::NotAnArchive { .. }));
    assert!(matches!(import(&[7; 5000]), ArchiveError::NotAnArchive { .. }));
    assert!(matches!(import(&good[..good.len() / 2]), ArchiveError::Truncated { .. }));
    let mut damaged = good.clone();
    let last = frames(&good).last().unwrap().start;
    damaged[last + 20] ^= 1;
    let error = import(&damaged);
    assert!(matches!(error, ArchiveError::Damaged { at, .. } if at == last as u64), "{error}");
    assert_eq!(error.kind(), ErrorKind::Corrupt);

    let newer = |at: usize, value: u8| {
        let mut newer = good.clone();
        newer[at] = value;
        let crc = cairn_log::crc32c(&newer[..HEAD - 4]).to_le_bytes();
        newer[HEAD - 4..HEAD].copy_from_slice(&crc);
        import(&newer)
    };
    for (at, value) in [(8, 2), (10, 2), (56, 1)] {
        let error = newer(at, value);
        assert!(matches!(error, ArchiveError::Unsupported { .. }), "{at}: {error}");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
    assert!(matches!(newer(11, 1), ArchiveError::Damaged { .. }));

    let foreign = made(&small(false, 8), "foreign");
    let error = import(&foreign);
    assert!(matches!(error, ArchiveError::OtherStore { .. }), "{error}");
    assert!(content(store.env()) == before);
    assert_eq!(store.env().snapshot().unwrap().commit(), commits, "not a commit was made");

    // Whoever says so gets it.
    let allowed = ImportOptions::default().other_store(true);
    store.import(&written(&foreign), allowed).unwrap();
    assert_eq!(content(store.env()).len(), 2);
}

/// Nobody finds a word of the store in what an encrypted environment lets out of itself.
#[test]
fn an_encrypted_archive_shows_nothing_in_the_clear() {
    let store = small(true, 7);
    store.put("a canary of a name", b"a canary of a key", b"a canary of a value");
    let has = |bytes: &[u8]| bytes.windows(8).any(|bytes| bytes == b"a canary");
    store.export("good", &ExportOptions::default().compression(Compression::None)).unwrap();
    assert!(!has(&bytes(&store.archive("good"))));
    let image = cairn_sim::Image::of(&store.archives);
    assert!(image.files().all(|(path, _)| !has(&image.read(path).unwrap())));
    let clear = ExportOptions::default().compression(Compression::None).in_the_clear();
    store.export("clear", &clear).unwrap();
    assert!(has(&bytes(&store.archive("clear"))), "who says so gets it");
}
