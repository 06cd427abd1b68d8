//! `StandbyInfo`: the file `STANDBY`, by which a directory is a standby.
//!
//! It is there, durably, before anything else is, and goes with the promotion. As long as it is there nobody opens the
//! environment for writing.

use std::str::FromStr;

use cairn_io::{DirExt, DirRef, Name, World};
use cairn_log::{Timeline, Uuid, crc32c};

use crate::{EnvError, EnvResult, root::Root, sites};

pub(crate) const STANDBY: Name = Name::constant("STANDBY");
pub(crate) const STANDBY_NEW: Name = Name::constant("STANDBY.new");
const MAGIC: &str = "CairnDB standby 1";

/// What a standby says of itself: [`standby_info`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StandbyInfo {
    /// Random: which standby it is.
    pub standby: Uuid,
    /// The environment of which it is one.
    pub environment: Uuid,
    /// The timeline of the journal that it gets. It goes on, after its promotion, on another one.
    pub follows: Timeline,
}

impl StandbyInfo {
    /// Text, as `CURRENT` is, for the same reasons.
    fn encode(&self) -> String {
        let Self { standby, environment, follows } = self;
        let body =
            format!("{MAGIC}\nstandby {standby}\nuuid {environment}\nfollows timeline {follows}\n");
        format!("{body}crc32c {:08x}\n", crc32c(body.as_bytes()))
    }

    /// Accepts exactly what `encode` makes.
    fn decode(text: &str) -> Option<Self> {
        let mut lines = text.lines().skip(1);
        let standby = Uuid::from_str(lines.next()?.strip_prefix("standby ")?).ok()?;
        let environment = Uuid::from_str(lines.next()?.strip_prefix("uuid ")?).ok()?;
        let timeline = lines.next()?.strip_prefix("follows timeline ")?;
        let follows = Timeline(u32::from_str_radix(timeline, 16).ok()?);
        let this = Self { standby, environment, follows };
        (this.encode() == text).then_some(this)
    }

    /// What the root says; `None` if it is no standby.
    pub(crate) fn read(root: &Root) -> EnvResult<Option<Self>> {
        let what = "it does not say of which environment this is a standby, with a valid checksum";
        small(root, &STANDBY, MAGIC, what, Self::decode)
    }
}

/// Reads a small file of a root that begins with `magic`, of which `what` is said if it is damaged.
pub(super) fn small<T>(
    root: &Root,
    name: &Name,
    magic: &str,
    what: &str,
    decode: impl Fn(&str) -> Option<T>,
) -> EnvResult<Option<T>> {
    let path = || root.dir.path().join(name.as_str());
    let bytes = match root.dir.read_small(name, 4096) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let family = magic.trim_end_matches('1');
    match decode(text) {
        Some(found) => Ok(Some(found)),
        None if text.starts_with(family) && !text.starts_with(magic) => {
            let needs = text.lines().next().unwrap_or_default().to_owned();
            Err(EnvError::Unsupported { path: path(), needs })
        }
        None => Err(EnvError::Damaged { path: path(), what: what.into() }),
    }
}

/// What the directory `root` says of itself; `None` if it is no standby. Needs no key, and looks at nothing but one
/// small file, whoever has the environment open.
///
/// # Errors
/// [`EnvError::Damaged`] and [`EnvError::Unsupported`]; if the disk fails.
pub fn standby_info(root: &DirRef) -> EnvResult<Option<StandbyInfo>> {
    StandbyInfo::read(&Root::new(DirRef::clone(root)))
}

/// Makes an empty directory one that becomes a standby of an environment, durably, before a restore fills it. One that
/// is a standby of the same environment and timeline stays the one that it is.
///
/// # Errors
/// [`EnvError::InvalidInput`] if the directory holds something else; [`EnvError::Locked`] and
/// [`EnvError::AlreadyOpen`] if somebody has it open; if the disk fails.
pub fn begin_standby(
    root: &DirRef,
    world: &dyn World,
    environment: Uuid,
    follows: Timeline,
) -> EnvResult<StandbyInfo> {
    let root = Root::new(DirRef::clone(root));
    let path = || root.dir.path().display();
    let check = || -> EnvResult<Option<StandbyInfo>> {
        match StandbyInfo::read(&root)? {
            Some(found) if (found.environment, found.follows) == (environment, follows) => {
                Ok(Some(found))
            }
            Some(found) => {
                let StandbyInfo { environment, follows, .. } = found;
                let what = format!(
                    "{} is a standby of the environment {environment}, timeline {follows}",
                    path()
                );
                Err(EnvError::InvalidInput { what })
            }
            None if root.is_blank()? => Ok(None),
            None => {
                let what =
                    format!("{} is not empty: a standby needs a new or an empty directory", path());
                Err(EnvError::InvalidInput { what })
            }
        }
    };
    if let Some(found) = check()? {
        return Ok(found);
    }
    let _lock = root.lock(world)?;
    if let Some(found) = check()? {
        return Ok(found);
    }
    let mut standby = [0; 16];
    world.random(&mut standby);
    let this = StandbyInfo { standby: Uuid(standby), environment, follows };
    let text = this.encode();
    root.dir.replace_small(&STANDBY, &STANDBY_NEW, text.as_bytes(), sites::STANDBY_MARK)?;
    Ok(this)
}

/// Makes the root say nothing, durably.
pub(super) fn remove(root: &Root) -> EnvResult<()> {
    match root.dir.remove(&STANDBY) {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(root.dir.sync(sites::STANDBY_MARK)?),
    }
}

pub(super) fn example() -> String {
    let (standby, environment) = (Uuid([0xcd; 16]), Uuid([0xab; 16]));
    StandbyInfo { standby, environment, follows: Timeline::FIRST }.encode()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flipped_bit_of_a_standby_mark_passes() {
        let text = example();
        assert!(StandbyInfo::decode(&text).is_some());
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let flipped = String::from_utf8_lossy(&bytes).into_owned();
            assert_eq!(StandbyInfo::decode(&flipped), None, "bit {bit}");
        }
        for len in 0..text.len() {
            assert_eq!(StandbyInfo::decode(&text[..len]), None);
        }
    }
}
