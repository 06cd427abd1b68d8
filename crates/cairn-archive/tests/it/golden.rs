//! Archives that earlier versions wrote.

use std::{
    fs,
    path::{Path, PathBuf},
};

use cairn_archive::{ArchiveFile, Compression, ExportOptions, ImportOptions};
use cairn_env::IndexDef;
use cairn_io::{DirExt, FileExt, MemDisk, Name};

use crate::fixture::{TestStore, content, ordered, raw_key, small_options};

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

fn by_digit() -> IndexDef {
    IndexDef::new("by digit", 1, |_key, value, emit| value.chunks(1).for_each(emit))
}

/// A store with what every golden holds.
fn expected(encrypted: bool) -> TestStore {
    let options = if encrypted { small_options().key(raw_key(0)) } else { small_options() };
    let store = TestStore::new(options);
    let (numbers, large) = (store.db("numbers"), store.db("large"));
    store.db("nothing");
    let tags = store.env().multimap("tags").unwrap();
    store.env().index(&numbers, by_digit()).unwrap();
    let fill = |txn: &mut cairn_env::Transaction| {
        (0..100).try_for_each(|n| txn.put(&numbers, &ordered(n), n.to_string().as_bytes()))?;
        txn.put(&large, b"1000", &[0; 1000])?;
        txn.put(&large, b"5000", &[0; 5000])?;
        tags.put(txn, b"key", b"one")?;
        tags.put(txn, b"key", b"two")
    };
    store.env().write(fill).unwrap();
    store
}

fn update() {
    for (name, encrypted, compression) in [
        ("v1", false, Compression::None),
        ("v1-zstd", false, Compression::Zstd(3)),
        ("v1-encrypted", true, Compression::Zstd(3)),
    ] {
        let store = expected(encrypted);
        let mut options = ExportOptions::default().compression(compression);
        options.frame_len = 2000;
        store.export(name, &options).unwrap();
        let file = store.archive(name);
        let bytes = file.dir().read_small(file.name(), 1 << 20).unwrap();
        fs::write(goldens().join(format!("{name}.cairn")), bytes).unwrap();
    }
}

#[test]
fn golden_archives_are_read_and_restored_with_every_entry() {
    if std::env::var_os("CAIRN_UPDATE_GOLDENS").is_some() {
        update();
    }
    let mut read = 0;
    for golden in fs::read_dir(goldens()).unwrap() {
        let golden = golden.unwrap().path();
        if golden.extension().is_none_or(|extension| extension != "cairn") {
            continue;
        }
        let disk = MemDisk::new();
        let name = Name::constant("golden");
        let bytes = fs::read(&golden).unwrap();
        disk.root().create(&name).unwrap().write_all_at(0, &bytes).unwrap();
        let archive = ArchiveFile::new(disk.root(), name);
        let report = archive.verify(&raw_key(0).into(), None).unwrap();
        assert_eq!(report.totals.entries(), 285, "{}", golden.display());
        // The digest of the entries is the same in all of them, and for ever.
        let digest = "c2081f3d702d6006e7008c1d72ce236ced79a4d1f41b5cb193729da60cddc9b1";
        assert_eq!(report.totals.digest.to_string(), digest, "{}", golden.display());

        let target = TestStore::seeded(small_options(), 99);
        let options = ImportOptions::default().other_store(true).in_the_clear();
        target.import(&archive, options.keys(raw_key(0).into())).unwrap();
        assert!(content(target.env()) == content(expected(false).env()), "{}", golden.display());
        read += 1;
    }
    assert!(read >= 3);
}
