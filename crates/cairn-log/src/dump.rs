//! One line per record, for people and golden tests.
//!
//! Payloads are described by the crates that mean them: they hand in a function. Values are never
//! printed, only lengths; keys only as short prefixes.

use std::fmt::Write as _;

use crate::{LogFile, LogResult, RecordKind, Scan, Scanner, Seal, Stop};

/// Describes a payload in a few words; `None` for kinds that it does not know.
pub type Describe<'a> = &'a dyn Fn(RecordKind, &[u8]) -> Option<String>;

/// Calls `line` with one line for each record of `file`, in order, and returns where and why the
/// scan ended.
///
/// # Errors
/// Only if the disk fails: damage is where the dump ends.
pub fn dump(file: &LogFile, describe: Describe<'_>, line: &mut dyn FnMut(&str)) -> LogResult<Stop> {
    let mut scanner = Scanner::new(file, file.end());
    let mut text = String::new();
    loop {
        match scanner.next()? {
            Scan::End(stop) => return Ok(stop),
            Scan::Record(record) => {
                text.clear();
                let (lsn, header) = (record.lsn, record.header);
                let watermark = match header.durable_end(lsn.offset()) {
                    Some(end) => format!("{end:06x}"),
                    None => "-".into(),
                };
                write!(
                    text,
                    "{lsn} {:<11} seq {} durable {watermark} len {}",
                    header.kind.name(),
                    header.sequence,
                    header.len,
                )
                .expect("a String takes any text");
                let what = match header.kind {
                    RecordKind::SEAL => Seal::decode(&header, record.body, lsn.offset())
                        .ok()
                        .map(|seal| format!("records {} digest {}", seal.records, seal.digest)),
                    _ if file.is_locked() => Some("encrypted".into()),
                    kind => describe(kind, record.body),
                };
                if let Some(what) = what {
                    text.push_str("  ");
                    text.push_str(&what);
                }
                line(&text);
            }
        }
    }
}

/// Bytes as text for people: printable ASCII as it is, everything else escaped, cut after `max`
/// bytes. Safe for terminals.
#[must_use]
pub fn show_bytes(bytes: &[u8], max: usize) -> String {
    let mut text: String =
        bytes.iter().take(max).flat_map(|byte| byte.escape_ascii()).map(char::from).collect();
    if bytes.len() > max {
        text.push('…');
    }
    text
}
