//! The keyring: the keys of an encrypted environment, wrapped by keys of its users.
//!
//! ```text
//! key of a user          passphrase, key file, callback or recipient: one in each key slot
//!   └ keyring key        random; wrapped once in each key slot
//!       └ data keys      random; one for each key epoch, all in one frame
//!           └ file keys  derived in cairn-log, one for each log file
//! ```
//!
//! There is a key between those of the users and the data keys, so that one user alone can begin a key
//! epoch. The frame that holds the data keys vouches for all of the file: whoever has no key changes
//! nothing in it without notice.
//!
//! The checks come in an order that tells what is wrong: the checksum first ([`EnvError::KeyringDamaged`]),
//! which needs no key; then the commitment of each key slot ([`EnvError::WrongKey`]); then the tags, which
//! only damage with a right checksum, or malice, reaches ([`EnvError::KeyringDamaged`] again).
//!
//! The bytes are specified in `docs/format/keyring.md`.
//!
//! [`EnvError::KeyringDamaged`]: crate::EnvError::KeyringDamaged
//! [`EnvError::WrongKey`]: crate::EnvError::WrongKey

pub(crate) mod example;
pub(crate) mod file;
mod info;
mod kdf;
pub(crate) mod layout;
mod manage;
pub(crate) mod opening;
mod place;
mod recipient;
mod secret;
mod slot;
mod source;
mod stored;
mod unlocked;
mod wrap;

#[cfg(test)]
mod tests;

pub use info::{KeyEpochInfo, KeySlotInfo, KeyringInfo};
pub use kdf::KdfCost;
pub use manage::{EnvironmentKeys, RetiredEpochs, UnlockedKeys};
pub use place::Outline;
pub use recipient::Recipient;
pub use slot::KeyKind;
pub use source::{KeyProvider, KeyRequest, KeySource};
pub use stored::Keyring;
pub use unlocked::UnlockedKeyring;
