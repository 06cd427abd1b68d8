//! A point as the directory of a backup: nothing of it is changed, and what is read again is compared again.

use std::{io, path::Path};

use cairn_io::{Access, EntryKind, FileExt as _, IoError, LockError, LockMode, Name, SyncSite};
use cairn_log::FileClass;

use super::forged::{Forged, files};
use crate::{
    BackupError, ObjectError, ObjectName,
    manifest::{FILES, MANIFEST},
    repository::{reader::PartReader, view},
};

#[test]
fn nothing_of_a_point_can_be_changed_through_the_directory_that_it_looks_like() {
    const SITE: SyncSite = SyncSite::new("test.view");
    let forged = Forged::with_points(2);
    let objects = forged.backend.objects();
    let point = forged.point(2);
    let path = Path::new("memory/point");
    let dir = view::open(forged.store(), path, point.clone());
    let files_dir = dir.open_dir(&FILES).unwrap();
    let (one, other) = (Name::constant("one"), Name::constant("other"));
    let refused = |error: IoError| {
        assert_eq!(error.kind(), io::ErrorKind::ReadOnlyFilesystem, "{error}");
        assert!(error.to_string().contains("memory/point"), "{error}");
    };
    for dir in [&dir, &files_dir] {
        refused(dir.create_dir(&one).unwrap_err());
        refused(dir.create(&one).unwrap_err());
        refused(dir.rename(&one, &other).unwrap_err());
        refused(dir.rename_new(&one, &other).unwrap_err());
        refused(dir.remove(&one).unwrap_err());
        refused(dir.remove_dir(&one).unwrap_err());
        refused(dir.sync(SITE).unwrap_err());
        match dir.lock(&one, LockMode::Shared) {
            Err(LockError::Io(error)) => refused(error),
            other => panic!("{other:?}"),
        }
        assert_eq!(dir.space().unwrap().free, 0);
        assert!(dir.open(&one, Access::Read).unwrap_err().is_not_found());
        assert!(dir.open_dir(&one).unwrap_err().is_not_found());
    }
    let name = point.files[0].name.to_name();
    refused(files_dir.open(&name, Access::ReadWrite).unwrap_err());
    for (dir, name) in [(&dir, &MANIFEST), (&files_dir, &name)] {
        let file = dir.open(name, Access::Read).unwrap();
        let len = file.len().unwrap();
        refused(file.write_at(0, b"x").unwrap_err());
        refused(file.set_len(0).unwrap_err());
        refused(file.sync(SITE).unwrap_err());
        assert_eq!((file.len().unwrap(), file.links().unwrap()), (len, 1));
        assert!(file.map(0, 1).unwrap().is_none(), "what was not checked is never mapped");
        assert_eq!(file.read_at(len, &mut [0]).unwrap(), 0);
    }
    // What it looks like is the directory of a backup, and two files are two.
    let listed = dir.list().unwrap();
    let listed: Vec<_> = listed.iter().map(|entry| (&*entry.display, entry.kind)).collect();
    let (files, manifest) = (FILES.to_string(), MANIFEST.to_string());
    let mut expected = [(&*files, EntryKind::Dir), (&*manifest, EntryKind::File)];
    expected.sort_by_key(|(name, _)| *name);
    assert_eq!(listed, expected);
    assert_eq!(files_dir.list().unwrap().len(), point.files.len());
    let identities = point.files.iter().map(|file| {
        let file = files_dir.open(&file.name.to_name(), Access::Read).unwrap();
        file.identity().unwrap()
    });
    let mut identities: Vec<_> = identities.collect();
    identities.dedup();
    assert_eq!(identities.len(), point.files.len());
    assert_eq!(forged.backend.objects(), objects);
}

/// What was read first, and then was dropped since so much else was read, is not believed the second time.
#[test]
fn a_part_that_rots_between_two_readings_is_found_and_located() {
    let forged = Forged::with_points(2);
    let mut name = files(&forged.point(2), FileClass::Journal)[0];
    // One byte for each part, and more parts than are kept.
    forged.say(2, |point| {
        let file = point.files.iter_mut().find(|file| file.name == name).unwrap();
        let bytes = forged.content(file);
        let cut = bytes.len() - 60;
        let (most, rest) = bytes.split_at(cut);
        let mut parts = vec![forged.part(file.name, 0, most)];
        for (start, byte) in (cut as u64..).zip(rest) {
            parts.push(forged.part(file.name, start, &[*byte]));
        }
        file.parts = parts;
        name = file.name;
    });
    let point = forged.point(2);
    let file = point.files.iter().find(|file| file.name == name).unwrap();
    let placed: Vec<_> =
        file.placed().map(|(start, part)| (file.part_name(start, part), *part)).collect();
    let reader = PartReader::new(forged.store().clone(), forged.environment);
    let whole = forged.content(file);
    let read = |nth: usize| {
        let (name, part) = &placed[nth];
        reader.frame(*name, part, 0).map(|(bytes, at)| (bytes.to_vec(), at))
    };
    let first = read(0).unwrap();
    assert!(whole.starts_with(&first.0) && first.1 == 0);
    for nth in 1..placed.len() {
        assert_eq!(read(nth).unwrap().0.len(), 1);
    }
    // It was dropped, and is read again.
    assert_eq!(read(0).unwrap(), first);
    (1..placed.len()).for_each(|nth| drop(read(nth).unwrap()));
    let object = ObjectName::Part { environment: forged.environment, part: placed[0].0 };
    let bytes = forged.bytes(object);
    let mut rotten = bytes.clone();
    let last = rotten.len() - 1;
    rotten[last] ^= 1;
    for (damaged, why) in [(rotten, "checksum"), (bytes[..last].to_vec(), "ends")] {
        forged.backend.replace(object, damaged);
        match read(0) {
            Err(BackupError::Object(ObjectError::Damaged {
                object: found, at, problem, ..
            })) => {
                assert_eq!(found, object);
                assert!(at > 0 && at <= last as u64 && problem.contains(why), "{at}: {problem}");
            }
            other => panic!("{other:?}"),
        }
    }
    forged.backend.replace(object, bytes);
    assert_eq!(read(0).unwrap(), first);
    // The same through the directory, with the error of the object, whatever lies between.
    let dir = view::open(forged.store(), Path::new("point"), point.clone());
    let log = dir.open_dir(&FILES).unwrap().open(&name.to_name(), Access::Read).unwrap();
    let mut found = vec![0; whole.len()];
    log.read_exact_at(0, &mut found).unwrap();
    assert!(found == whole);
}
