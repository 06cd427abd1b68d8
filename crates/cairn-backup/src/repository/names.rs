//! `ObjectName`, `Folder`: what objects of a repository are called.
//!
//! A name is rendered from typed parts and never taken from a text: what a listing or an object says is a name
//! only if rendering what was read gives the same text. All names are lower-case ASCII, so that they are the same
//! on every file system and object store, and no component has more than 80 characters.

use std::fmt;

use cairn_io::Name;
use cairn_log::{Digest, FileClass, FileNumber, Timeline, Uuid};

/// The beginning of a BLAKE3 hash, as names have it: as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "part of the repository format")]
pub struct ShortHash(pub u64);

impl ShortHash {
    /// That of `digest`: its first 8 bytes, as they are printed.
    #[must_use]
    pub fn of(digest: Digest) -> Self {
        Self(digest.0.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte)))
    }
}

impl fmt::Display for ShortHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for ShortHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Which part of which log file a data object holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "part of the repository format")]
pub struct PartName {
    /// The timeline of the backup that stored it.
    pub timeline: Timeline,
    /// The class of the file.
    pub class: FileClass,
    /// The number of the file.
    pub file: FileNumber,
    /// Where in the file it begins.
    pub start: u64,
    /// How many bytes of the file it holds.
    pub length: u64,
    /// Of what is stored.
    pub hash: ShortHash,
}

/// The name of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ObjectName {
    /// What makes a place a repository: `repo.cairn`.
    Header,
    /// Bytes of a log file: below `data` of a node or value file, below `log` of a journal file.
    Part {
        /// The environment.
        environment: Uuid,
        /// Which bytes.
        part: PartName,
    },
    /// Where a timeline came from.
    Timeline {
        /// The environment.
        environment: Uuid,
        /// The timeline.
        timeline: Timeline,
    },
    /// That a timeline was superseded by a promotion.
    Fence {
        /// The environment.
        environment: Uuid,
        /// The timeline.
        timeline: Timeline,
    },
    /// A point: from when it is there, there is a backup.
    Point {
        /// The environment.
        environment: Uuid,
        /// Its number, from 1.
        number: u64,
    },
    /// What objects a point needs.
    Index {
        /// The environment.
        environment: Uuid,
        /// The number that the point was to have when it was written.
        number: u64,
        /// Of what is stored.
        hash: ShortHash,
    },
    /// That a point was checked, and how.
    Proof {
        /// The environment.
        environment: Uuid,
        /// The number of the point.
        point: u64,
        /// Of what is stored.
        hash: ShortHash,
    },
    /// That a restore of a point was tried.
    Drill {
        /// The environment.
        environment: Uuid,
        /// The number of the point.
        point: u64,
        /// When it began, in microseconds since 1970.
        made: u64,
        /// Of what is stored.
        hash: ShortHash,
    },
    /// How far checks that each look at some of the objects have come.
    Rotation {
        /// The environment.
        environment: Uuid,
        /// Counts these checks, from 1: the largest one counts.
        number: u64,
    },
    /// A segment: shipped journal that counts from when it is there.
    Segment {
        /// The environment.
        environment: Uuid,
        /// The timeline on which it was shipped.
        timeline: Timeline,
        /// Its number on that timeline, from 1.
        number: u64,
    },
    /// What was removed of the backups of an environment, and what is about to be.
    Tombs {
        /// The environment.
        environment: Uuid,
        /// Counts the changes of it, from 1: the largest one counts.
        number: u64,
        /// 1 or 2: there are two of each, since nobody stores a backup without knowing what was removed.
        copy: u8,
    },
    /// The wrapped keys of an encrypted repository.
    Keyring {
        /// The repository.
        repository: Uuid,
        /// Counts how often keys were changed, from 1: the largest one counts.
        number: u64,
        /// 1 or 2: there are two of each, since without one nothing can be read.
        copy: u8,
    },
}

/// A folder of objects, which can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Folder {
    /// The repository itself.
    Root,
    /// A folder for each environment.
    Environments,
    /// A folder for each timeline that node and value files were stored on.
    DataTimelines(Uuid),
    /// A folder for each timeline that journal files were stored on.
    LogTimelines(Uuid),
    /// Parts of node and value files.
    Data(Uuid, Timeline),
    /// Parts of journal files.
    Log(Uuid, Timeline),
    /// Timelines: where each came from, and that it was superseded.
    Timelines(Uuid),
    /// Points, and their indexes.
    Points(Uuid),
    /// What is known of the points because somebody looked.
    Proofs(Uuid),
    /// A folder for each timeline on which journal was shipped.
    SegmentTimelines(Uuid),
    /// Segments.
    Segments(Uuid, Timeline),
    /// What was removed, and what is about to be.
    Tombs(Uuid),
    /// The wrapped keys of an encrypted repository.
    Keys,
}

/// The name of the object that makes a place a repository.
pub(crate) const HEADER: Name = Name::constant("repo.cairn");
const ENVS: Name = Name::constant("envs");
const DATA: Name = Name::constant("data");
const LOG: Name = Name::constant("log");
const TIMELINES: Name = Name::constant("timelines");
const POINTS: Name = Name::constant("points");
const PROOFS: Name = Name::constant("proofs");
const SEGMENTS: Name = Name::constant("segments");
const TOMBS: Name = Name::constant("tombs");
/// The folder of the wrapped keys.
pub(crate) const KEYS: Name = Name::constant("keys");

fn name(text: String) -> Name {
    Name::new(text).expect("it is made of letters, digits, '-' and '.', and short")
}

const fn letter(class: FileClass) -> char {
    match class {
        FileClass::Journal => 'j',
        FileClass::Node => 'n',
        FileClass::Value => 'v',
    }
}

impl ObjectName {
    /// The folder in which it lies.
    #[must_use]
    pub const fn folder(&self) -> Folder {
        match *self {
            Self::Header => Folder::Root,
            Self::Part { environment, part } => match part.class {
                FileClass::Journal => Folder::Log(environment, part.timeline),
                FileClass::Node | FileClass::Value => Folder::Data(environment, part.timeline),
            },
            Self::Timeline { environment, .. } | Self::Fence { environment, .. } => {
                Folder::Timelines(environment)
            }
            Self::Point { environment, .. } | Self::Index { environment, .. } => {
                Folder::Points(environment)
            }
            Self::Proof { environment, .. }
            | Self::Drill { environment, .. }
            | Self::Rotation { environment, .. } => Folder::Proofs(environment),
            Self::Segment { environment, timeline, .. } => Folder::Segments(environment, timeline),
            Self::Tombs { environment, .. } => Folder::Tombs(environment),
            Self::Keyring { .. } => Folder::Keys,
        }
    }

    /// Its name in this folder.
    #[must_use]
    pub fn name(&self) -> Name {
        match *self {
            Self::Header => HEADER,
            Self::Part { part, .. } => {
                let PartName { class, file, start, length, hash, .. } = part;
                name(format!("{}-{file}-{start:016x}-{length:016x}-{hash}.obj", letter(class)))
            }
            Self::Timeline { timeline, .. } => name(format!("{timeline}.tl")),
            Self::Fence { timeline, .. } => name(format!("{timeline}.fence")),
            Self::Point { number, .. } => name(format!("{number:016x}.point")),
            Self::Index { number, hash, .. } => name(format!("{number:016x}-{hash}.idx")),
            Self::Proof { point, hash, .. } => name(format!("{point:016x}-{hash}.proof")),
            Self::Drill { point, made, hash, .. } => {
                name(format!("{point:016x}-{made:016x}-{hash}.drill"))
            }
            Self::Rotation { number, .. } => name(format!("{number:016x}.rotation")),
            Self::Segment { number, .. } => name(format!("{number:016x}.seg")),
            Self::Tombs { number, copy, .. } => name(format!("{number:016x}-{copy}.tombs")),
            Self::Keyring { repository, number, copy } => {
                name(format!("{repository}-{number:016x}-{copy}.keyring"))
            }
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.folder().path().iter().try_for_each(|name| write!(f, "{name}/"))?;
        write!(f, "{}", self.name())
    }
}

impl Folder {
    /// Its place, from the repository down.
    #[must_use]
    pub fn path(&self) -> Vec<Name> {
        let env = |environment: Uuid| name(environment.to_string());
        let tl = |timeline: Timeline| name(timeline.to_string());
        match *self {
            Self::Root => Vec::new(),
            Self::Environments => vec![ENVS],
            Self::DataTimelines(environment) => vec![ENVS, env(environment), DATA],
            Self::LogTimelines(environment) => vec![ENVS, env(environment), LOG],
            Self::Data(environment, timeline) => vec![ENVS, env(environment), DATA, tl(timeline)],
            Self::Log(environment, timeline) => vec![ENVS, env(environment), LOG, tl(timeline)],
            Self::Timelines(environment) => vec![ENVS, env(environment), TIMELINES],
            Self::Points(environment) => vec![ENVS, env(environment), POINTS],
            Self::Proofs(environment) => vec![ENVS, env(environment), PROOFS],
            Self::SegmentTimelines(environment) => vec![ENVS, env(environment), SEGMENTS],
            Self::Segments(environment, timeline) => {
                vec![ENVS, env(environment), SEGMENTS, tl(timeline)]
            }
            Self::Tombs(environment) => vec![ENVS, env(environment), TOMBS],
            Self::Keys => vec![KEYS],
        }
    }

    /// The environment to which it belongs, if it does to one.
    #[must_use]
    pub const fn of(&self) -> Option<Uuid> {
        match *self {
            Self::Root | Self::Environments | Self::Keys => None,
            Self::DataTimelines(environment)
            | Self::LogTimelines(environment)
            | Self::Data(environment, _)
            | Self::Log(environment, _)
            | Self::Timelines(environment)
            | Self::Points(environment)
            | Self::Proofs(environment)
            | Self::SegmentTimelines(environment)
            | Self::Segments(environment, _)
            | Self::Tombs(environment) => Some(environment),
        }
    }

    /// The object in this folder that a listing calls `text`, if it is one.
    #[must_use]
    pub fn object(&self, text: &str) -> Option<ObjectName> {
        let found = match *self {
            Self::Root => ObjectName::Header,
            Self::Data(environment, timeline) | Self::Log(environment, timeline) => {
                ObjectName::Part { environment, part: part(timeline, text)? }
            }
            Self::Timelines(environment) => match text.strip_suffix(".fence") {
                Some(fenced) => ObjectName::Fence { environment, timeline: timeline(fenced)? },
                None => {
                    let timeline = timeline(text.strip_suffix(".tl")?)?;
                    ObjectName::Timeline { environment, timeline }
                }
            },
            Self::Points(environment) => match text.strip_suffix(".point") {
                Some(number) => ObjectName::Point { environment, number: hex(number)? },
                None => {
                    let (number, hash) = numbered(text.strip_suffix(".idx")?)?;
                    ObjectName::Index { environment, number, hash }
                }
            },
            Self::Proofs(environment) => proof(environment, text)?,
            Self::Segments(environment, timeline) => {
                let number = hex(text.strip_suffix(".seg")?)?;
                ObjectName::Segment { environment, timeline, number }
            }
            Self::Tombs(environment) => {
                let (number, copy) = text.strip_suffix(".tombs")?.split_once('-')?;
                ObjectName::Tombs { environment, number: hex(number)?, copy: copy_of_two(copy)? }
            }
            Self::Keys => keyring(text)?,
            Self::Environments
            | Self::DataTimelines(_)
            | Self::LogTimelines(_)
            | Self::SegmentTimelines(_) => return None,
        };
        // One spelling: what does not print as it was written is somebody else's.
        (found.folder() == *self && found.name().as_str() == text).then_some(found)
    }

    /// The environment whose folder a listing of [`Folder::Environments`] calls `text`.
    #[must_use]
    pub fn environment(text: &str) -> Option<Uuid> {
        text.parse().ok()
    }

    /// The timeline whose folder a listing calls `text`.
    #[must_use]
    pub fn timeline(text: &str) -> Option<Timeline> {
        timeline(text)
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path: Vec<_> = self.path().iter().map(Name::to_string).collect();
        f.write_str(&path.join("/"))
    }
}

/// A number and a hash.
fn numbered(text: &str) -> Option<(u64, ShortHash)> {
    let (number, hash) = text.split_once('-')?;
    Some((hex(number)?, ShortHash(hex(hash)?)))
}

/// What is known of points: in the folder of proofs there are three kinds of objects.
fn proof(environment: Uuid, text: &str) -> Option<ObjectName> {
    if let Some(number) = text.strip_suffix(".rotation") {
        return Some(ObjectName::Rotation { environment, number: hex(number)? });
    }
    if let Some(drill) = text.strip_suffix(".drill") {
        let (point, rest) = drill.split_once('-')?;
        let (made, hash) = numbered(rest)?;
        return Some(ObjectName::Drill { environment, point: hex(point)?, made, hash });
    }
    let (point, hash) = numbered(text.strip_suffix(".proof")?)?;
    Some(ObjectName::Proof { environment, point, hash })
}

fn keyring(text: &str) -> Option<ObjectName> {
    let mut parts = text.strip_suffix(".keyring")?.split('-');
    let (repository, number) = (parts.next()?.parse().ok()?, hex(parts.next()?)?);
    Some(ObjectName::Keyring { repository, number, copy: copy_of_two(parts.next()?)? })
}

fn copy_of_two(text: &str) -> Option<u8> {
    text.parse().ok().filter(|copy| (1..=2).contains(copy))
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

fn timeline(text: &str) -> Option<Timeline> {
    let found = Timeline(u32::from_str_radix(text, 16).ok()?);
    (found.to_string() == text).then_some(found)
}

fn part(timeline: Timeline, text: &str) -> Option<PartName> {
    let mut parts = text.strip_suffix(".obj")?.split('-');
    let class = match parts.next()? {
        "j" => FileClass::Journal,
        "n" => FileClass::Node,
        "v" => FileClass::Value,
        _ => return None,
    };
    let file = FileNumber::new(u32::from_str_radix(parts.next()?, 16).ok()?)?;
    let mut number = || hex(parts.next()?);
    let (start, length, hash) = (number()?, number()?, ShortHash(number()?));
    Some(PartName { timeline, class, file, start, length, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<ObjectName> {
        let environment = Uuid([0xab; 16]);
        let part = |class| {
            let file = FileNumber::new(0x1f).unwrap();
            let hash = ShortHash::of(Digest::of(b"stored"));
            let part =
                PartName { timeline: Timeline(7), class, file, start: 3, length: u64::MAX, hash };
            ObjectName::Part { environment, part }
        };
        vec![
            ObjectName::Header,
            part(FileClass::Journal),
            part(FileClass::Node),
            part(FileClass::Value),
            ObjectName::Timeline { environment, timeline: Timeline(7) },
            ObjectName::Fence { environment, timeline: Timeline(7) },
            ObjectName::Point { environment, number: 12 },
            ObjectName::Index { environment, number: 12, hash: ShortHash(u64::MAX) },
            ObjectName::Proof { environment, point: 12, hash: ShortHash(u64::MAX) },
            ObjectName::Drill { environment, point: 12, made: 7, hash: ShortHash(u64::MAX) },
            ObjectName::Rotation { environment, number: 12 },
            ObjectName::Segment { environment, timeline: Timeline(7), number: 12 },
            ObjectName::Tombs { environment, number: 12, copy: 1 },
            ObjectName::Keyring { repository: environment, number: 12, copy: 2 },
        ]
    }

    #[test]
    fn a_name_has_one_spelling_which_is_short_and_lower_case() {
        for object in names() {
            let (folder, text) = (object.folder(), object.name().to_string());
            assert_eq!(folder.object(&text), Some(object));
            assert!(object.to_string().ends_with(&text));
            for component in folder.path().iter().chain([&object.name()]) {
                let component = component.as_str();
                assert!(component.len() <= 80, "{component}");
                let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '-');
                assert!(component.chars().all(allowed), "{component}");
            }
            for other in names().iter().map(ObjectName::folder).filter(|other| *other != folder) {
                assert_eq!(other.object(&text), None, "{other} {text}");
            }
            assert_eq!(folder.object(&text.to_uppercase()), None, "{text}");
            assert_eq!(folder.object(&format!("0{text}")), None);
            assert_eq!(folder.object(&format!("{text}.tmp")), None);
        }
    }

    /// By this a check knows whose points an object concerns.
    #[test]
    fn a_folder_belongs_to_the_environment_in_its_path_or_to_none() {
        let (environment, timeline) = (Uuid([0xab; 16]), Timeline(7));
        for folder in [
            Folder::DataTimelines(environment),
            Folder::LogTimelines(environment),
            Folder::Data(environment, timeline),
            Folder::Log(environment, timeline),
            Folder::Timelines(environment),
            Folder::Points(environment),
            Folder::Proofs(environment),
            Folder::SegmentTimelines(environment),
            Folder::Segments(environment, timeline),
            Folder::Root,
            Folder::Environments,
            Folder::Keys,
        ] {
            let path = folder.path();
            let named = path.iter().find_map(|name| Folder::environment(name.as_str()));
            assert_eq!(folder.of(), named, "{folder}");
            let path: Vec<_> = path.iter().map(Name::as_str).collect();
            assert_eq!(folder.to_string(), path.join("/"));
        }
        // Folders of folders hold no objects.
        for folder in [
            Folder::Environments,
            Folder::DataTimelines(environment),
            Folder::LogTimelines(environment),
            Folder::SegmentTimelines(environment),
        ] {
            for text in ["repo.cairn", "00000007", "0000000000000001.seg"] {
                assert_eq!(folder.object(text), None, "{folder}/{text}");
            }
        }
    }

    #[test]
    fn what_is_no_name_is_none() {
        let folder = Folder::Points(Uuid([1; 16]));
        for text in [
            "",
            "..",
            "../../etc/passwd",
            "1.point",
            "+000000000000001.point",
            "000000000000000G.point",
            "00000000000000001.point",
            "0000000000000001.point/x",
            "0000000000000001-.idx",
        ] {
            assert_eq!(folder.object(text), None, "{text}");
        }
        let folder = Folder::Data(Uuid([1; 16]), Timeline::FIRST);
        let right = "n-00000001-0000000000000000-0000000000000001-0000000000000002.obj";
        assert!(folder.object(right).is_some());
        for text in [
            "j-00000001-0000000000000000-0000000000000001-0000000000000002.obj",
            "n-00000000-0000000000000000-0000000000000001-0000000000000002.obj",
            "n-00000001-0000000000000000-0000000000000001.obj",
            "n-00000001-0000000000000000-0000000000000001-0000000000000002-3.obj",
        ] {
            assert_eq!(folder.object(text), None, "{text}");
        }
    }
}
