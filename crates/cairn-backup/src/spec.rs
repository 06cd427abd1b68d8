//! The examples of `docs/format` that this crate owns.

use cairn_env::Cut;
use cairn_log::{
    Digest, FileClass, FileNumber, LogName, Lsn, Predecessor, Timeline, Uuid,
    layout::{example, parts, table},
};

use crate::{
    Manifest, ManifestFile, Piece,
    repository::{
        drill::record,
        fence,
        layout::{
            repository_encryption, repository_frame, repository_header, repository_part,
            repository_statement,
        },
        part, point, proof, prune, rotation, segment,
    },
};

/// Name and Markdown text of each.
#[must_use]
pub fn spec() -> Vec<(&'static str, String)> {
    let number = |n| FileNumber::new(n).expect("not zero");
    let file = |n, class, length| ManifestFile {
        name: LogName::new(class, number(n), Timeline::FIRST),
        directory: 0,
        length,
        digest: Digest::of(&n.to_le_bytes()),
        pieces: Vec::new(),
    };
    let mut manifest = Manifest {
        cut: Cut {
            environment: Uuid([0xab; 16]),
            timeline: Timeline::FIRST,
            commit: 1234,
            time: 1_790_000_000_000_000,
            checkpoint: Lsn::new(number(4), 0x1f00),
            checkpoint_number: 3,
            journal_end: Some(Predecessor {
                file: number(2),
                directory: 0,
                end: 70_000,
                last_sequence: 1234,
                chain: Digest::of(b"chain"),
            }),
            next_file: number(5),
            directories: 0,
        },
        created: 1_790_000_000_500_000,
        library: "0.1.0".into(),
        keyring: None,
        files: vec![file(2, FileClass::Journal, 70_000), file(4, FileClass::Node, 123_456)],
    };
    let text = |manifest: &Manifest| format!("```text\n{}```\n", manifest.encode());
    let whole = text(&manifest);
    let piece = |length: u64| Piece { length, digest: Digest::of(&length.to_le_bytes()) };
    manifest.files[0].pieces = vec![piece(50_000), piece(20_000)];
    let in_pieces = text(&manifest);
    manifest.files[0].pieces = Vec::new();
    manifest.keyring = Some(piece(388));
    let encrypted = text(&manifest);
    vec![
        ("manifest_example", whole),
        ("manifest_pieces_example", in_pieces),
        ("manifest_keyring_example", encrypted),
        ("repository_header", table(repository_header::FIELDS)),
        ("repository_part", table(repository_part::FIELDS)),
        ("repository_statement", table(repository_statement::FIELDS)),
        ("repository_encryption", table(repository_encryption::FIELDS)),
        ("repository_frame", table(repository_frame::FIELDS)),
        ("repository_point", fields(point::FIELDS)),
        ("repository_fence", fields(fence::FIELDS)),
        ("repository_proof", fields(proof::FIELDS)),
        ("repository_drill", fields(record::FIELDS)),
        ("repository_rotation", fields(rotation::FIELDS)),
        ("repository_segment", fields(segment::FIELDS)),
        ("repository_tombs", fields(prune::FIELDS)),
        ("repository_example", part_example()),
        ("backup_events", cairn_env::tell::table(crate::tell::EVENTS)),
    ]
}

/// The fields of a statement.
fn fields(fields: &[(u64, &str, &str)]) -> String {
    let rows =
        fields.iter().map(|(tag, name, content)| format!("| {tag} | {name} | {content} |\n"));
    format!("| number | field | content |\n|--:|---|---|\n{}", rows.collect::<String>())
}

/// An object with a few bytes of a file.
fn part_example() -> String {
    let (_, object) = part::example(b"bytes of a file");
    let (head, rest) = object.split_at(repository_part::LEN);
    let (frame, content) = rest.split_at(repository_frame::LEN);
    let mut all = parts(repository_part::FIELDS, head);
    all.extend(parts(repository_frame::FIELDS, frame));
    all.push(("content", content));
    example(&all)
}
