//! `Region`: which part of which kind of file a byte belongs to.

use std::ops::Range;

use cairn_io::{Access, Name};
use cairn_log::{FRAME_LEN, FileClass, HEADER_LEN, LogFile, Scan, Scanner, layout};
use cairn_sim::Image;

/// A part of a file. Its rule says what may become of damage there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Region {
    /// Its name: a row of the table.
    pub name: String,
    /// Which bytes of the file it is.
    pub bytes: Range<usize>,
    /// What may become of damage in it.
    pub rule: Rule,
    /// Whether every bit of it is flipped even in a short run.
    pub is_dense: bool,
}

/// What may become of damage; the strictest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "each rule must be held against each outcome")]
pub enum Rule {
    /// It is noticed: refused, reported, or found when it is read or verified.
    Noticed,
    /// It stands in the last group of a journal that a crash ended, past the newest watermark: it
    /// cannot be told from a torn write, so it may also be cut, reported and set aside.
    Torn,
    /// It wipes the journal that a crash ended from some place to its end. Writes that never came
    /// look the same, so commits may be gone without a trace; flipped bits cannot do that.
    Wiped,
    /// It stands behind the end of a journal: there is nothing to lose. It is cut, reported and set
    /// aside if it looks like something, and ignored otherwise.
    Behind,
    /// Nothing depends on it.
    Ignored,
}

/// The regions of a file, which together are all its bytes.
pub(crate) fn regions(image: &Image, path: &str, is_last_open: bool) -> Vec<Region> {
    let len = image.read(path).map_or(0, |bytes| bytes.len());
    let name = path.rsplit('/').next().unwrap_or_default();
    let whole = |name: &str, rule| {
        let is_dense = rule != Rule::Ignored;
        vec![Region { name: name.to_owned(), bytes: 0..len, rule, is_dense }]
    };
    match name {
        "CURRENT" => whole("CURRENT", Rule::Noticed),
        "MANIFEST" => whole("MANIFEST", Rule::Noticed),
        "KEYRING" => whole("KEYRING", Rule::Noticed),
        "LOCK" | "PROTECTOR" => whole("LOCK", Rule::Ignored),
        "STATE" => state(image, path),
        _ if name.starts_with("spare-") => whole("a spare", Rule::Ignored),
        _ if name.starts_with("torn-") => whole("bytes set aside", Rule::Ignored),
        _ if name.ends_with(".log") => log(image, path, is_last_open),
        _ => whole("another file", Rule::Noticed),
    }
}

/// Both slots: the one that counts and the one before it.
fn state(image: &Image, path: &str) -> Vec<Region> {
    const SLOT: usize = 4096;
    const NUMBER: Range<usize> = 16..24;
    const USED: usize = 268;
    let bytes = image.read(path).unwrap_or_default();
    let number = |slot: usize| {
        let bytes = bytes.get(slot * SLOT..).and_then(|slot| slot.get(NUMBER));
        bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
    };
    let newest = usize::from(number(1) > number(0));
    let mut regions = Vec::new();
    for slot in [0, 1] {
        let which = if slot == newest { "newest slot" } else { "older slot" };
        let (start, end) = (slot * SLOT, (slot + 1) * SLOT);
        let mut add = |part: &str, bytes, is_dense| {
            let name = format!("STATE, {which}{part}");
            regions.push(Region { name, bytes, rule: Rule::Noticed, is_dense });
        };
        add("", start..start + USED, true);
        add(", padding", start + USED..end - 4, false);
        add("", end - 4..end, true);
    }
    regions
}

/// Header, records, and what lies behind the last one.
fn log(image: &Image, path: &str, is_last_open: bool) -> Vec<Region> {
    let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
    let disk = image.to_mem();
    let opened = Name::new(name.to_owned()).ok().and_then(|name| {
        let mut at = disk.root();
        for part in dir.split('/').filter(|part| !part.is_empty()) {
            at = at.open_dir(&Name::new(part.to_owned()).ok()?).ok()?;
        }
        LogFile::open_any(at.open(&name, Access::Read).ok()?).ok()
    });
    let len = image.read(path).map_or(0, |bytes| bytes.len());
    let Some(file) = opened else {
        let name = "a log file without a header".to_owned();
        return vec![Region { name, bytes: 0..len, rule: Rule::Noticed, is_dense: true }];
    };
    let class = match file.header().class {
        FileClass::Journal => "journal",
        FileClass::Node => "node file",
        _ => "value file",
    };
    let used = layout::file_header::PADDING.offset;
    let header_len = usize::try_from(HEADER_LEN).unwrap_or(len).min(len);
    let region = |part: &str, bytes: Range<usize>, rule, is_dense| Region {
        name: format!("{class}, {part}"),
        bytes,
        rule,
        is_dense,
    };
    let mut regions = vec![
        region("header", 0..used, Rule::Noticed, true),
        region("header, padding", used..header_len - 4, Rule::Noticed, false),
        region("header", header_len - 4..header_len, Rule::Noticed, true),
    ];
    let mut scanner = Scanner::new(&file, u64::MAX);
    let mut records = Vec::new();
    let (stop, sealed) = loop {
        match scanner.next() {
            Ok(Scan::Record(record)) => {
                let start = usize::try_from(record.lsn.offset()).unwrap_or(len);
                let end = start + usize::try_from(record.header.record_len()).unwrap_or(len);
                records.push((start, end, record.header.kind.name()));
            }
            Ok(Scan::End(stop)) => {
                break (usize::try_from(stop.offset).unwrap_or(len), stop.seal.is_some());
            }
            Err(_) => break (header_len, false),
        }
    };
    let durable = usize::try_from(scanner.known_durable()).unwrap_or(0).max(header_len);
    let in_use = is_last_open && !sealed && file.header().class == FileClass::Journal;
    for (start, end, kind) in records {
        let rule = if in_use && start >= durable { Rule::Torn } else { Rule::Noticed };
        let group = if rule == Rule::Torn { ", last group" } else { "" };
        let head = start + FRAME_LEN;
        regions.push(region(&format!("{kind}, frame{group}"), start..head, rule, true));
        regions.push(region(&format!("{kind}, payload{group}"), head..end, rule, false));
    }
    if stop < len {
        regions.push(region("behind the end", stop..len, Rule::Behind, false));
    }
    regions.retain(|region| !region.bytes.is_empty());
    regions
}
