//! The examples of `docs/format` that this crate owns.

use cairn_env::Cut;
use cairn_log::{Digest, FileClass, FileNumber, LogName, Lsn, Predecessor, Timeline, Uuid};

use crate::{Manifest, ManifestFile, Piece};

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
    ]
}
