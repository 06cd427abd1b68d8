//! `Piece`: a part of a journal file, in a file of its own.
//!
//! The newest journal file of an environment that another process writes grows from one backup to the
//! next. A backup made from an earlier one links what that has of it, and copies only what came since, as
//! one more piece. The pieces are bytes of one file, in order; what they are together, the manifest says.

use cairn_io::Name;
use cairn_log::{Digest, LogName};

use crate::ManifestFile;

/// A last piece below this many bytes is copied again with what came since, and not linked: so a file of
/// `n` bytes has at most `n` / 256 KiB + 1 pieces, however many backups it has seen growing.
pub(crate) const MIN_LINKED: u64 = 256 << 10;

/// A part of a file of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "part of the manifest format")]
pub struct Piece {
    /// Its length in bytes.
    pub length: u64,
    /// BLAKE3 of its bytes.
    pub digest: Digest,
}

/// A file as it lies in a backup: a whole file of the environment, or a piece of one.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) name: Name,
    /// Where in the file of the environment it begins.
    pub(crate) start: u64,
    pub(crate) piece: Piece,
}

impl Stored {
    /// The part of `file` that begins at `start`.
    pub(crate) fn new(file: LogName, start: u64, piece: Piece) -> Self {
        let name = match start {
            0 => file.to_name(),
            _ => Name::new(format!("{file}{FROM}{start}"))
                .expect("letters, digits, '-' and '.', and fewer than 50 of them"),
        };
        Self { name, start, piece }
    }

    /// All of `pieces`, which follow each other from the beginning of `file`.
    pub(crate) fn all(file: LogName, pieces: &[Piece]) -> Vec<Self> {
        let mut start = 0;
        let placed = pieces.iter().map(|piece| {
            let stored = Self::new(file, start, *piece);
            start += piece.length;
            stored
        });
        placed.collect()
    }
}

impl ManifestFile {
    /// The files in which this one lies, in order: usually one.
    pub(crate) fn stored(&self) -> Vec<Stored> {
        match &*self.pieces {
            [] => Stored::all(self.name, &[Piece { length: self.length, digest: self.digest }]),
            pieces => Stored::all(self.name, pieces),
        }
    }
}

/// Comes between the name of a file and the place from which on a piece has its bytes.
const FROM: &str = ".from-";

/// Whether a backup may have given this name to a file.
pub(crate) fn is_stored_name(name: &Name) -> bool {
    let (file, start) = match name.as_str().split_once(FROM) {
        Some((file, start)) => (file, start.parse().ok().filter(|start| *start > 0)),
        None => (name.as_str(), Some(0)),
    };
    let any = Piece { length: 0, digest: Digest([0; 32]) };
    match (file.parse(), start) {
        (Ok(file), Some(start)) => Stored::new(file, start, any).name == *name,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_has_one_name() {
        for (name, ours) in [
            ("J-00000001-00000002.log", true),
            ("J-00000001-00000002.log.from-1", true),
            ("J-00000001-00000002.log.from-18446744073709551615", true),
            ("J-00000001-00000002.log.from-0", false),
            ("J-00000001-00000002.log.from-01", false),
            ("J-00000001-00000002.log.from-", false),
            ("J-00000001-00000002.log.from-18446744073709551616", false),
            ("J-00000001-00000002.log.from-1.from-2", false),
            ("notes.from-1", false),
        ] {
            assert_eq!(is_stored_name(&Name::new(name).unwrap()), ours, "{name}");
        }
    }
}
