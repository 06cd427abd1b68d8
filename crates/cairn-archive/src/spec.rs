//! The tables of `docs/format/archive.md`, and its example.

use std::path::PathBuf;

use cairn_env::{DatabaseOptions, DatabaseShape};
use cairn_log::{
    Timeline, Uuid,
    layout::{example, parts, table},
};

use crate::{
    ArchiveResult, ArchivedDatabase, Compression, Header, StoreInfo,
    frame::FrameWriter,
    head::Head,
    layout::{FRAME, LINK_LEN, archive_frame, archive_head},
    source::Sink,
    writer::ArchiveWriter,
};

/// Name and Markdown text of each table.
///
/// # Panics
/// If the example cannot be written to memory.
#[must_use]
pub fn spec() -> Vec<(&'static str, String)> {
    let example = archive_example().expect("it is written to memory");
    vec![
        ("archive_head", table(archive_head::FIELDS)),
        ("archive_frame", table(archive_frame::FIELDS)),
        ("archive_example", example),
    ]
}

/// An archive of one database with one entry.
fn archive_example() -> ArchiveResult<String> {
    let shape =
        DatabaseShape { name: "users".into(), options: DatabaseOptions::default(), index: None };
    let header = Header {
        store: StoreInfo::databases(),
        environment: Uuid([0xaa; 16]),
        timeline: Timeline(1),
        commit: 7,
        created: 0,
        library: "0.1.0".into(),
        databases: vec![ArchivedDatabase { shape, entries: 1 }],
    };
    let head = Head::plain(header.environment, Uuid([0xbb; 16]));
    let sink = Sink::new(Vec::new(), PathBuf::new());
    let frames = FrameWriter::new(sink, head.bytes(), None, Compression::None)?;
    let mut writer = ArchiveWriter::new(frames, &header, FRAME, None)?;
    writer.put(b"ada", b"1815")?;
    writer.end_database()?;
    let bytes = writer.finish()?.sink.into_parts().0;

    let (head, mut rest) = bytes.split_at(archive_head::LEN);
    let (link, after) = rest.split_at(LINK_LEN);
    let mut all = parts(archive_head::FIELDS, head);
    all.push(("link", link));
    rest = after;
    while !rest.is_empty() {
        let (frame, after) = rest.split_at(archive_frame::LEN);
        let stored = usize::try_from(archive_frame::STORED.number(frame)).unwrap_or(0);
        let (content, after) = after.split_at(stored);
        let (link, after) = after.split_at(LINK_LEN);
        all.extend(parts(archive_frame::FIELDS, frame));
        all.extend([("content", content), ("link", link)]);
        rest = after;
    }
    Ok(example(&all))
}
