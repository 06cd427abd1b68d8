//! Layout: under which keys the parts of a file are, and what stands there.

use super::Head;

/// Bytes of a chunk. SQLite's pages are as long by default; smaller and larger ones work as well.
pub(crate) const CHUNK: usize = 4096;

/// As the head says it.
pub(super) const CHUNK_LEN: u32 = 4096;

/// Bytes that name the change which wrote a base.
pub(super) const STAMP: usize = 8;

/// Longest delta: a longer one costs more to read than a new base costs to write.
pub(super) const MAX_DELTA: usize = CHUNK / 4;

/// The key of the head: before all others.
pub(super) const HEAD: &[u8] = b"";

/// The key of the base of a chunk.
#[expect(clippy::big_endian_bytes, reason = "the order of keys is the order of chunks")]
pub(super) const fn base_key(chunk: u32) -> [u8; 4] {
    chunk.to_be_bytes()
}

/// The key of the delta of a chunk: next to its base.
pub(super) const fn delta_key(chunk: u32) -> [u8; 5] {
    let [a, b, c, d] = base_key(chunk);
    [a, b, c, d, 1]
}

/// Whether it is the key of a base or of a delta.
pub(super) const fn is_key(key: &[u8]) -> bool {
    matches!(key, [_, _, _, _] | [_, _, _, _, 1])
}

/// How many chunks a file of `len` bytes has, and the number of the chunk at `offset`.
///
/// # Errors
/// [`TooLong`] for what no file can have: 16 TiB and more.
pub(super) fn chunks(len: u64) -> Result<u32, TooLong> {
    u32::try_from(len.div_ceil(CHUNK as u64)).map_err(|_| TooLong)
}

/// A place that no file can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a file has at most 16 TiB")]
pub(crate) struct TooLong;

/// The tables of `docs/format` about SQL files.
pub(crate) fn spec() -> Vec<(&'static str, String)> {
    let row = |key: &str, value: &str| format!("| {key} | {value} |\n");
    let mut entries = String::from("| key | value |\n|---|---|\n");
    entries += &row("empty", "the head");
    entries += &row(
        "number of the chunk, 4 bytes, big-endian",
        &format!(
            "its base: {STAMP} bytes of stamp, then {CHUNK} bytes of image, or none for zeros"
        ),
    );
    entries += &row(
        "number of the chunk, then one byte 1",
        &format!("its delta, at most {MAX_DELTA} bytes: the stamp of its base, then runs"),
    );
    let mut head = String::from("| offset | size | field | meaning |\n|--:|--:|---|---|\n");
    for (offset, size, name, meaning) in Head::FIELDS {
        head += &format!("| {offset} | {size} | `{name}` | {meaning} |\n");
    }
    vec![("rdb_entries", entries), ("rdb_head", head)]
}
