//! Bodies of the fuzz targets. Not part of the public interface.

use cairn_io::{Access, DirRef, FileExt, MemDisk};

use crate::{
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
