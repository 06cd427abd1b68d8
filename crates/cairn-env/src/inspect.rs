//! For tools: what records of an environment say, without opening it.

use cairn_log::{LogFile, LogResult, RecordKind, Stop, dump};

use crate::{
    checkpoint::CheckpointRecord,
    commit::{CommitRecord, Decoder, Op},
};

/// Describes the payload of a record in a few words; `None` for kinds that this crate does not own.
/// Keys are shortened, values never shown.
#[must_use]
pub fn describe(kind: RecordKind, payload: &[u8]) -> Option<String> {
    match kind {
        RecordKind::TRANSACTION | RecordKind::VALUE => Some(describe_transaction(payload)),
        RecordKind::PART => Some(match Decoder::new(payload) {
            Err(error) => format!("malformed: {error}"),
            Ok(part) => format!("part {}: {}", part.head, describe_transaction(payload)),
        }),
        RecordKind::COMMIT => Some(match CommitRecord::decode(payload) {
            Err(error) => format!("malformed: {error}"),
            Ok(commit) => format!("commit of {} parts", commit.parts),
        }),
        RecordKind::CHECKPOINT => Some(match CheckpointRecord::decode(payload) {
            Err(error) => format!("malformed: {error}"),
            Ok(record) => format!(
                "checkpoint {} of commit {}, root {}, replay from {}, {} files",
                record.number,
                record.sequence,
                record.root.map_or("none".into(), |lsn| lsn.to_string()),
                record.replay_start.map_or("the beginning".into(), |lsn| lsn.to_string()),
                record.files.len()
            ),
        }),
        _ => cairn_btree::describe(kind, payload),
    }
}

fn describe_transaction(payload: &[u8]) -> String {
    const SHOWN: usize = 3;
    let mut text = String::new();
    let mut count = 0;
    let mut decoder = match Decoder::new(payload) {
        Ok(decoder) => decoder,
        Err(error) => return format!("malformed: {error}"),
    };
    loop {
        let op = match decoder.next() {
            Ok(Some(op)) => op,
            Ok(None) => break,
            Err(error) => return format!("{text} malformed: {error}"),
        };
        count += 1;
        if count > SHOWN {
            continue;
        }
        let show = |key: &[u8]| dump::show_bytes(key, 24);
        let shown = match op {
            Op::Create { tree } => format!("create tree {}", tree.0),
            Op::Drop { tree } => format!("drop tree {}", tree.0),
            Op::Put { tree, key, value } => {
                format!("put {}/{} ({} bytes)", tree.0, show(key), value.len())
            }
            Op::PutLarge { tree, key, value, .. } => {
                format!("put {}/{} ({} bytes, beside the tree)", tree.0, show(key), value.len())
            }
            Op::Delete { tree, key } => format!("delete {}/{}", tree.0, show(key)),
            Op::Mark { label } => format!("mark {label:?}"),
        };
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&shown);
    }
    if count > SHOWN {
        text.push_str(&format!(", and {} more", count - SHOWN));
    }
    text
}

/// Calls `line` with one line for each record of a log file; returns where and why that ended.
///
/// # Errors
/// Only if the disk fails: damage is where the dump ends.
pub fn dump_file(file: &LogFile, line: &mut dyn FnMut(&str)) -> LogResult<Stop> {
    dump::dump(file, &describe, line)
}
