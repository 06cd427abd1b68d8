//! `Attachment`: the file `REPLICA`, by which an environment and its replica know each other.
//!
//! It lies in the roots of both. As long as both say that they are attached, by the same number, every
//! acknowledged commit is on both. Whenever an environment goes on without its replica it first takes the next
//! number, durably: from then on the replica is stale, whatever it holds, and however long its journal is.

use std::str::FromStr;

use cairn_io::{DirExt, Name};
use cairn_log::{Timeline, Uuid, crc32c};

use crate::{EnvError, EnvResult, root::Root, sites};

pub(crate) const REPLICA: Name = Name::constant("REPLICA");
pub(crate) const REPLICA_NEW: Name = Name::constant("REPLICA.new");
const MAGIC: &str = "CairnDB replica 1";

/// On which side a file `REPLICA` lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// In the root of the environment that is replicated.
    Source,
    /// In the root of the replica.
    Replica,
}

/// What the file `REPLICA` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attachment {
    pub(crate) environment: Uuid,
    pub(crate) timeline: Timeline,
    pub(crate) side: Side,
    /// Counts how often a replica was attached and detached.
    pub(crate) number: u64,
    pub(crate) is_attached: bool,
}

impl Attachment {
    /// Text, as `CURRENT` is, for the same reasons.
    pub(crate) fn encode(&self) -> String {
        let Self { environment, timeline, side, number, is_attached } = self;
        let side = match side {
            Side::Source => "source",
            Side::Replica => "replica",
        };
        let state = if *is_attached { "attached" } else { "detached" };
        let body = format!(
            "{MAGIC}\nuuid {environment}\ntimeline {timeline}\nside {side}\nattachment {number} {state}\n"
        );
        format!("{body}crc32c {:08x}\n", crc32c(body.as_bytes()))
    }

    /// Accepts exactly what `encode` makes.
    pub(crate) fn decode(text: &str) -> Option<Self> {
        let mut lines = text.lines().skip(1);
        let environment = Uuid::from_str(lines.next()?.strip_prefix("uuid ")?).ok()?;
        let timeline = lines.next()?.strip_prefix("timeline ")?;
        let timeline = Timeline(u32::from_str_radix(timeline, 16).ok()?);
        let side = match lines.next()?.strip_prefix("side ")? {
            "source" => Side::Source,
            "replica" => Side::Replica,
            _ => return None,
        };
        let (number, state) = lines.next()?.strip_prefix("attachment ")?.split_once(' ')?;
        let number = number.parse().ok()?;
        let this = Self { environment, timeline, side, number, is_attached: state == "attached" };
        (this.encode() == text).then_some(this)
    }

    /// What the root says; `None` if it has no such file.
    pub(crate) fn read(root: &Root) -> EnvResult<Option<Self>> {
        let path = || root.dir.path().join(REPLICA.as_str());
        let bytes = match root.dir.read_small(&REPLICA, 4096) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        match Self::decode(text) {
            Some(found) => Ok(Some(found)),
            None if text.starts_with("CairnDB replica ") && !text.starts_with(MAGIC) => {
                let needs = text.lines().next().unwrap_or_default().to_owned();
                Err(EnvError::Unsupported { path: path(), needs })
            }
            None => Err(EnvError::Damaged {
                path: path(),
                what: "it does not say whose replica this is, with a valid checksum".into(),
            }),
        }
    }

    /// Makes the root say this, durably.
    pub(crate) fn write(&self, root: &Root) -> EnvResult<()> {
        let text = self.encode();
        Ok(root.dir.replace_small(&REPLICA, &REPLICA_NEW, text.as_bytes(), sites::ATTACHMENT)?)
    }

    /// Makes the root say nothing, durably.
    pub(crate) fn remove(root: &Root) -> EnvResult<()> {
        match root.dir.remove(&REPLICA) {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(root.dir.sync(sites::ATTACHMENT)?),
        }
    }
}

/// The example in `docs/format/replica.md`.
pub(crate) fn attachment_example() -> String {
    let attachment = Attachment {
        environment: Uuid([0xab; 16]),
        timeline: Timeline::FIRST,
        side: Side::Replica,
        number: 3,
        is_attached: true,
    };
    format!("```text\n{}```\n", attachment.encode())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flipped_bit_of_an_attachment_passes() {
        for side in [Side::Source, Side::Replica] {
            for is_attached in [false, true] {
                let (environment, timeline) = (Uuid([0xab; 16]), Timeline(7));
                let number = u64::MAX;
                let this = Attachment { environment, timeline, side, number, is_attached };
                let text = this.encode();
                assert_eq!(Attachment::decode(&text), Some(this));
                for bit in 0..text.len() * 8 {
                    let mut bytes = text.clone().into_bytes();
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    let flipped = String::from_utf8_lossy(&bytes).into_owned();
                    assert_eq!(Attachment::decode(&flipped), None, "bit {bit}");
                }
                for len in 0..text.len() {
                    assert_eq!(Attachment::decode(&text[..len]), None);
                }
            }
        }
    }
}
