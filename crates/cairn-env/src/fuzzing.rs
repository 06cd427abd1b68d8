//! Bodies of the fuzz targets. Not part of the public interface.

use std::sync::Arc;

use cairn_io::{Access, DirRef, FileExt, MemDisk, RealWorld};

use crate::{
    Environment, Options,
    checkpoint::CheckpointRecord,
    commit::Decoder,
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

/// Damage to a small environment: three bytes of place and one byte of change each. Opening and
/// reading everything must end in values that were put, or in an error.
pub fn environment_image(input: &[u8]) {
    let disk = MemDisk::new();
    let options = Options::default().background(false).journal_file_bytes(16 << 10);
    let world = || Arc::new(RealWorld::new());
    {
        let (env, _) = Environment::open_in(disk.root(), world(), options.clone())
            .expect("a new environment in memory");
        let db = env.database("db", crate::DatabaseOptions::default()).expect("it is writable");
        for n in 0..40u8 {
            env.write(|txn| txn.put(&db, &[n], &[n; 40])).expect("it is writable");
        }
        if input.first().is_some_and(|byte| byte % 2 == 0) {
            env.close().expect("nobody else has it");
        } else {
            std::mem::forget(env); // as a killed process leaves it
        }
    }
    let image = disk.fork();
    let files = image.files();
    for change in input.get(1..).unwrap_or_default().as_chunks::<4>().0 {
        let [file, high, low, xor] = *change;
        let Some((path, _)) = files.get(usize::from(file) % files.len().max(1)) else { return };
        let at = usize::from(u16::from_le_bytes([low, high]));
        drop(image.edit(path, |bytes| {
            let len = bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(at % len) {
                *byte ^= xor;
            }
        }));
    }
    let Ok((env, _)) = Environment::open_in(image.root(), world(), options) else { return };
    let Ok(snapshot) = env.snapshot() else { return };
    let Ok(Some(db)) = snapshot.database("db") else { return };
    let Ok(entries) = snapshot.iter(&db) else { return };
    for entry in entries.map_while(Result::ok) {
        assert_eq!(entry.1[..], vec![entry.0[0]; 40], "a value that nobody has put");
    }
}
