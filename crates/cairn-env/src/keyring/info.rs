//! `KeyringInfo`: what a keyring says to everybody.

use cairn_log::Uuid;

use super::{
    kdf::KdfCost,
    slot::{Kdf, KeyKind, KeySlot},
};

/// What a keyring says to everybody: no secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyringInfo {
    /// The environment of which it is.
    pub environment: Uuid,
    /// How often it was written.
    pub writes: u64,
    /// The key epochs, the newest last: new files are encrypted with its key.
    pub epochs: Vec<KeyEpochInfo>,
    /// The key slots: any of their keys opens the environment.
    pub slots: Vec<KeySlotInfo>,
}

/// A key epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyEpochInfo {
    /// Its number, which stands in the header of each file that its key encrypts.
    pub epoch: u32,
    /// When it began, in microseconds since 1970.
    pub created: u64,
}

/// A key slot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeySlotInfo {
    /// Its number, which no other key slot of this keyring has or had.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// Where its key comes from.
    pub kind: KeyKind,
    /// When it was made, in microseconds since 1970.
    pub created: u64,
    /// What it costs to try a passphrase.
    pub cost: Option<KdfCost>,
}

impl KeySlotInfo {
    pub(super) fn of(slot: &KeySlot) -> Self {
        let cost = match &slot.kdf {
            Kdf::Passphrase { cost, .. } => Some(*cost),
            Kdf::Raw | Kdf::Provider { .. } | Kdf::Recipient { .. } => None,
        };
        let (number, name, created) = (slot.number, slot.name.clone(), slot.created.0);
        Self { number, name, kind: slot.kdf.kind(), created, cost }
    }
}
