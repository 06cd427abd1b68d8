//! `Superseded`: the file `SUPERSEDED`, by which a directory says that another line of history goes on in its place.
//!
//! A promotion leaves it in the directory from which the standby got its journal: in the replica of the environment, or
//! in the environment itself. As long as the environment is on the timeline that was superseded, it is not opened for
//! writing there, nor with that directory as its replica.

use std::str::FromStr;

use cairn_io::{DirExt, DirRef, Name, World};
use cairn_log::{Timeline, Uuid, crc32c};

use crate::{EnvError, EnvResult, root::Root, sites};

use super::mark::small;

const SUPERSEDED: Name = Name::constant("SUPERSEDED");
const SUPERSEDED_NEW: Name = Name::constant("SUPERSEDED.new");
const MAGIC: &str = "CairnDB superseded 1";

/// That a standby was promoted: [`superseded`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "all that the file says")]
pub struct Superseded {
    /// The environment.
    pub environment: Uuid,
    /// The timeline that was superseded.
    pub timeline: Timeline,
    /// The timeline on which the standby goes on.
    pub by: Timeline,
    /// Which standby it is.
    pub standby: Uuid,
    /// The newest commit that it had then.
    pub commit: u64,
    /// When it was promoted, in microseconds since 1970.
    pub at: u64,
}

impl Superseded {
    fn encode(&self) -> String {
        let Self { environment, timeline, by, standby, commit, at } = self;
        let body = format!(
            "{MAGIC}\nuuid {environment}\ntimeline {timeline}\nby timeline {by}\nstandby {standby}\n\
             commit {commit}\nat {at}\n"
        );
        format!("{body}crc32c {:08x}\n", crc32c(body.as_bytes()))
    }

    /// Accepts exactly what `encode` makes.
    fn decode(text: &str) -> Option<Self> {
        let mut lines = text.lines().skip(1);
        let mut next = |prefix: &str| lines.next()?.strip_prefix(prefix);
        let timeline = |text: &str| Some(Timeline(u32::from_str_radix(text, 16).ok()?));
        let this = Self {
            environment: Uuid::from_str(next("uuid ")?).ok()?,
            timeline: timeline(next("timeline ")?)?,
            by: timeline(next("by timeline ")?)?,
            standby: Uuid::from_str(next("standby ")?).ok()?,
            commit: next("commit ")?.parse().ok()?,
            at: next("at ")?.parse().ok()?,
        };
        (this.encode() == text).then_some(this)
    }

    fn read(root: &Root) -> EnvResult<Option<Self>> {
        let what = "it does not say by whom this was superseded, with a valid checksum";
        small(root, &SUPERSEDED, MAGIC, what, Self::decode)
    }

    /// An error if the root says that this timeline of the environment goes on elsewhere.
    pub(crate) fn check(root: &Root, environment: Uuid, timeline: Timeline) -> EnvResult<()> {
        match Self::read(root)? {
            Some(this) if (this.environment, this.timeline) == (environment, timeline) => {
                let (path, superseded) = (root.dir.path().to_owned(), Box::new(this));
                Err(EnvError::Superseded { path, superseded })
            }
            _ => Ok(()),
        }
    }
}

/// Whether the environment or replica in `root` was superseded by a promotion, and by which. Needs no key, and looks at
/// nothing but one small file, whoever has the environment open.
///
/// # Errors
/// [`EnvError::Damaged`] and [`EnvError::Unsupported`]; if the disk fails.
pub fn superseded(root: &DirRef) -> EnvResult<Option<Superseded>> {
    Superseded::read(&Root::new(DirRef::clone(root)))
}

/// Notes, durably, in the directory of an environment or of its replica, that another line of history goes on in its
/// place. It has to be nobody's: whoever writes it, or sends to it, is refused from now on, and is not stopped by this.
/// Of two promotions the first holds: the second gets its note as an error.
///
/// # Errors
/// [`EnvError::Superseded`] if that was said already by another promotion; [`EnvError::Locked`] and
/// [`EnvError::AlreadyOpen`] as long as somebody has it open for writing, or sends to it; if the disk fails.
pub fn supersede(root: &DirRef, world: &dyn World, by: &Superseded) -> EnvResult<()> {
    let root = Root::new(DirRef::clone(root));
    let (_lock, _) = root.lock_existing(world)?;
    match Superseded::read(&root)? {
        Some(found) if found.timeline == by.timeline && found.standby == by.standby => Ok(()),
        Some(found) if (found.environment, found.timeline) == (by.environment, by.timeline) => {
            let path = root.dir.path().to_owned();
            Err(EnvError::Superseded { path, superseded: Box::new(found) })
        }
        _ => {
            let text = by.encode();
            let (name, new) = (&SUPERSEDED, &SUPERSEDED_NEW);
            Ok(root.dir.replace_small(name, new, text.as_bytes(), sites::SUPERSEDED)?)
        }
    }
}

pub(super) fn example() -> String {
    let (standby, environment) = (Uuid([0xcd; 16]), Uuid([0xab; 16]));
    let (timeline, by) = (Timeline::FIRST, Timeline(0x5eed));
    Superseded { environment, timeline, by, standby, commit: 4711, at: 1_790_000_000_000_000 }
        .encode()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flipped_bit_of_what_supersedes_passes() {
        let text = example();
        assert!(Superseded::decode(&text).is_some());
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let flipped = String::from_utf8_lossy(&bytes).into_owned();
            assert_eq!(Superseded::decode(&flipped), None, "bit {bit}");
        }
        for len in 0..text.len() {
            assert_eq!(Superseded::decode(&text[..len]), None);
        }
    }
}
