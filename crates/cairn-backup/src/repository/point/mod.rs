//! `Point`: the one thing that makes a backup exist: what it holds, and where each byte of it lies.
//!
//! A point is whole by itself: a restore needs it and the objects that it names, and no other point.

mod codec;

use cairn_env::{Cut, TreeDigest};
use cairn_log::{Digest, LogName, TAG_LEN, Timeline, Uuid};

use super::{
    frames,
    layout::{repository_encryption, repository_frame, repository_part},
    names::{ObjectName, PartName, ShortHash},
};
pub(crate) use codec::{FIELDS, decode_index};

/// Longest label of a point, in bytes.
pub const MAX_POINT_LABEL_LEN: usize = 255;

/// A part of a log file, as it lies in the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "part of the repository format")]
pub struct Part {
    /// The timeline of the backup that has stored it.
    pub timeline: Timeline,
    /// How many bytes of the file it holds.
    pub length: u64,
    /// BLAKE3 of these bytes.
    pub content: Digest,
    /// How many bytes the object has.
    pub stored_length: u64,
    /// BLAKE3 of the object.
    pub stored: Digest,
}

/// A log file of a point.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "part of the repository format")]
pub struct PointFile {
    /// Its name.
    pub name: LogName,
    /// The data directory in which it belongs.
    pub directory: u16,
    /// Its length in bytes.
    pub length: u64,
    /// BLAKE3 of its bytes.
    pub digest: Digest,
    /// What its seal says of all bytes before that; `None` if it has none.
    pub seal: Option<Digest>,
    /// The parts in which it lies, in order, without gaps.
    pub parts: Vec<Part>,
}

/// A database of a point.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "part of the repository format")]
pub struct PointDatabase {
    /// Its name.
    pub name: String,
    /// What its entries mean: `map`, `multimap` or `index`.
    pub kind: String,
    /// How many entries it has.
    pub entries: u64,
}

/// An object that a point needs, as who has no key sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "part of the repository format")]
pub struct NeededObject {
    /// Its name.
    pub name: ObjectName,
    /// How many bytes it has.
    pub stored_length: u64,
    /// BLAKE3 of them.
    pub stored: Digest,
}

/// A backup in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// The instant.
    pub cut: Cut,
    /// When it was made, in microseconds since 1970: for people.
    pub created: u64,
    /// The version of the library that made it.
    pub library: String,
    /// What the user has called it.
    pub label: Option<String>,
    /// Random: whose point it is, if the answer to a store was lost.
    pub writer: Uuid,
    /// How many objects were stored for it, and their bytes; the others were there.
    pub new_objects: u64,
    /// See [`new_objects`](Self#structfield.new_objects).
    pub new_bytes: u64,
    /// Whether each object was read back and compared when the point was made; if not, those that were there
    /// were known to be present, with their lengths.
    pub is_read_back: bool,
    /// The wrapped keys of an encrypted environment, as its keyring file has them.
    pub keyring: Option<Vec<u8>>,
    /// With which options the environment was open, as far as they are no secrets.
    pub configuration: Vec<(String, String)>,
    /// The databases; `None` if the environment is encrypted, since their names are, too.
    pub databases: Option<Vec<PointDatabase>>,
    /// The index: how many bytes it has, and their BLAKE3.
    pub index: (u64, Digest),
    /// The files.
    pub files: Vec<PointFile>,
    /// Which nodes the trees of its checkpoint consist of, as the environment knew it. `None` if it has no checkpoint,
    /// or that goes back to a version that did not say.
    pub tree_digest: Option<TreeDigest>,
    /// Fields of later versions.
    pub(crate) unknown: Vec<(u64, Vec<u8>)>,
}

impl Point {
    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.length).sum()
    }

    /// Bytes of all objects that it needs.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.files.iter().flat_map(|file| &file.parts).map(|part| part.stored_length).sum()
    }

    /// Whether all of its objects were stored for it, and none was there.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.new_objects == self.files.iter().map(|file| file.parts.len() as u64).sum::<u64>()
    }

    /// The objects that it needs.
    pub fn objects(&self) -> impl Iterator<Item = NeededObject> + '_ {
        self.files.iter().flat_map(|file| file.objects(self.cut.environment))
    }
}

/// Whether a text may be the label of a point.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_label(label: &str) -> Result<(), String> {
    match label {
        "" => Err("the label of a point must not be empty".into()),
        label if label.len() > MAX_POINT_LABEL_LEN => Err(format!(
            "the label of a point has {} bytes: at most {MAX_POINT_LABEL_LEN}",
            label.len()
        )),
        label if label.chars().any(char::is_control) => {
            Err("the label of a point must not hold control characters".into())
        }
        _ => Ok(()),
    }
}

/// The most bytes that an object with so many bytes of a file can have, encrypted or not.
pub(in crate::repository) fn longest(length: u64) -> u64 {
    let frames = frames::count(usize::try_from(length).unwrap_or(usize::MAX)) as u64;
    let heads = (repository_part::LEN + repository_encryption::LEN) as u64;
    length + heads + frames * (repository_frame::LEN + TAG_LEN) as u64
}

/// Each of the parts that follow each other in a file from `start` on, with the place where it begins.
pub(in crate::repository) fn placed(
    parts: &[Part],
    start: u64,
) -> impl Iterator<Item = (u64, &Part)> + '_ {
    parts.iter().scan(start, |start, part| {
        let at = *start;
        *start += part.length;
        Some((at, part))
    })
}

impl PointFile {
    /// Each part with the place in the file where it begins.
    pub(crate) fn placed(&self) -> impl Iterator<Item = (u64, &Part)> + '_ {
        placed(&self.parts, 0)
    }

    /// The name of one of its parts.
    pub(crate) fn part_name(&self, start: u64, part: &Part) -> PartName {
        PartName {
            timeline: part.timeline,
            class: self.name.class,
            file: self.name.number,
            start,
            length: part.length,
            hash: ShortHash::of(part.stored),
        }
    }

    /// The objects in which it lies.
    pub(crate) fn objects(&self, environment: Uuid) -> impl Iterator<Item = NeededObject> + '_ {
        self.placed().map(move |(start, part)| NeededObject {
            name: ObjectName::Part { environment, part: self.part_name(start, part) },
            stored_length: part.stored_length,
            stored: part.stored,
        })
    }
}

#[cfg(test)]
mod tests;
