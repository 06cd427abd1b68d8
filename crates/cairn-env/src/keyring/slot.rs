//! `KeySlot`: the keyring key, wrapped by the key of one user.

use std::fmt;

use cairn_io::{WallTime, World};
use cairn_log::{Uuid, layout::Field};

use super::{
    kdf::KdfCost,
    layout::{TAG_LEN, array, key_slot},
    secret::Secret,
    source::{KeySource, Purpose},
    wrap::SlotKeys,
};
use crate::{EnvError, EnvResult};

/// Where the key of a key slot comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum KeyKind {
    /// A passphrase, by Argon2id.
    Passphrase,
    /// 32 bytes that nobody can guess, from a key file for example.
    Raw,
    /// A callback of the application.
    Provider,
    /// A public key, which a key file opens that need not be there ([`Recipient`](crate::Recipient)).
    Recipient,
}

impl KeyKind {
    /// The word that documents, texts and JSON use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passphrase => "passphrase",
            Self::Raw => "raw key",
            Self::Provider => "callback",
            Self::Recipient => "recipient",
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Passphrase => 1,
            Self::Raw => 2,
            Self::Provider => 3,
            Self::Recipient => 4,
        }
    }

    fn from_code(code: u64) -> Option<Self> {
        [Self::Passphrase, Self::Raw, Self::Provider, Self::Recipient]
            .into_iter()
            .find(|kind| u64::from(kind.code()) == code)
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How the key of the user is made, as far as the slot says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kdf {
    Passphrase {
        cost: KdfCost,
        salt: [u8; 32],
    },
    Raw,
    Provider {
        salt: [u8; 32],
    },
    /// With the public key that was made for the slot.
    Recipient {
        sender: [u8; 32],
    },
}

impl Kdf {
    pub(super) const fn kind(&self) -> KeyKind {
        match self {
            Self::Passphrase { .. } => KeyKind::Passphrase,
            Self::Raw => KeyKind::Raw,
            Self::Provider { .. } => KeyKind::Provider,
            Self::Recipient { .. } => KeyKind::Recipient,
        }
    }

    /// What a new slot called `name` for a key from `source` says, and that key.
    fn new(
        source: &KeySource,
        environment: Uuid,
        name: &str,
        world: &dyn World,
    ) -> EnvResult<(Self, Secret)> {
        let mut salt = [0; 32];
        world.random(&mut salt);
        let kdf = match source.kind() {
            KeyKind::Passphrase => Self::Passphrase { cost: source.kdf_cost(), salt },
            KeyKind::Raw => Self::Raw,
            KeyKind::Provider => Self::Provider { salt },
            KeyKind::Recipient => {
                let (sender, key) = source.new_recipient_key(environment, world)?;
                return Ok((Self::Recipient { sender }, key));
            }
        };
        let key = source.key(&Purpose { environment, name, kdf: &kdf })?;
        Ok((kdf, key))
    }
}

/// A key slot as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeySlot {
    pub(super) number: u32,
    pub(super) name: String,
    pub(super) created: WallTime,
    pub(super) kdf: Kdf,
    salt: [u8; 32],
    commitment: [u8; 32],
    wrapped: [u8; 32],
    tag: [u8; TAG_LEN],
}

/// A key slot with the key of its user, which can wrap another keyring key.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) number: u32,
    key: Secret,
}

/// What a key makes of a slot.
pub(super) enum Tried {
    /// The key is another one.
    Wrong,
    /// The key is right, and the slot is not what was written.
    Damaged,
    Opened(Held, Secret),
}

impl KeySlot {
    /// A new slot, with nothing in it yet.
    pub(super) fn new(
        number: u32,
        name: &str,
        source: &KeySource,
        environment: Uuid,
        world: &dyn World,
    ) -> EnvResult<(Self, Held)> {
        check_name(name)?;
        let (kdf, key) = Kdf::new(source, environment, name, world)?;
        let slot = Self {
            number,
            name: name.to_owned(),
            created: world.wall(),
            kdf,
            salt: [0; 32],
            commitment: [0; 32],
            wrapped: [0; 32],
            tag: [0; TAG_LEN],
        };
        Ok((slot, Held { number, key }))
    }

    /// Puts a keyring key into the slot, under keys that were never used.
    pub(super) fn fill(
        &mut self,
        held: &Held,
        keyring_key: &Secret,
        environment: Uuid,
        world: &dyn World,
    ) -> EnvResult<()> {
        world.random(&mut self.salt);
        let keys = SlotKeys::new(&held.key, &self.salt, environment);
        self.commitment = keys.commitment()?;
        (self.wrapped, self.tag) = keys.wrap(keyring_key, &self.aad(environment))?;
        Ok(())
    }

    /// Tries the key that `source` has for this slot.
    pub(super) fn try_key(&self, source: &KeySource, environment: Uuid) -> EnvResult<Tried> {
        let key = source.key(&Purpose { environment, name: &self.name, kdf: &self.kdf })?;
        let held = Held { number: self.number, key };
        self.try_held(held, environment)
    }

    pub(super) fn try_held(&self, held: Held, environment: Uuid) -> EnvResult<Tried> {
        let keys = SlotKeys::new(&held.key, &self.salt, environment);
        if !keys.is_committed(&self.commitment)? {
            return Ok(Tried::Wrong);
        }
        let unwrapped = keys.unwrap(&self.wrapped, &self.tag, &self.aad(environment))?;
        Ok(unwrapped.map_or(Tried::Damaged, |key| Tried::Opened(held, key)))
    }

    /// What the tag of the slot vouches for: all of it before the wrapped key, and the environment.
    fn aad(&self, environment: Uuid) -> Vec<u8> {
        let mut aad = environment.0.to_vec();
        aad.extend_from_slice(&self.encode()[..key_slot::WRAPPED.offset]);
        aad
    }

    pub(super) fn encode(&self) -> [u8; key_slot::LEN] {
        let mut bytes = [0; key_slot::LEN];
        let name = self.name.as_bytes();
        let (cost, key_salt) = match &self.kdf {
            Kdf::Passphrase { cost, salt } => (Some(cost), *salt),
            Kdf::Raw => (None, [0; 32]),
            Kdf::Provider { salt } | Kdf::Recipient { sender: salt } => (None, *salt),
        };
        let numbers: &[(Field, u64)] = &[
            (key_slot::NUMBER, self.number.into()),
            (key_slot::KIND, self.kdf.kind().code().into()),
            (key_slot::NAME_LEN, name.len() as u64),
            (key_slot::CREATED, self.created.0),
            (key_slot::MEMORY, cost.map_or(0, |cost| cost.memory_kib().into())),
            (key_slot::PASSES, cost.map_or(0, |cost| cost.passes().into())),
            (key_slot::LANES, cost.map_or(0, |cost| cost.lanes().into())),
        ];
        for (field, value) in numbers {
            field.set_number(&mut bytes, *value);
        }
        bytes[key_slot::NAME.range()][..name.len()].copy_from_slice(name);
        key_slot::KEY_SALT.set_bytes(&mut bytes, &key_salt);
        key_slot::SALT.set_bytes(&mut bytes, &self.salt);
        key_slot::COMMITMENT.set_bytes(&mut bytes, &self.commitment);
        key_slot::WRAPPED.set_bytes(&mut bytes, &self.wrapped);
        key_slot::TAG.set_bytes(&mut bytes, &self.tag);
        bytes
    }

    /// The slot with these bytes, which are as many as a slot has; or the field that makes no sense.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Field> {
        let u32_of = |field: Field| u32::try_from(field.number(bytes)).map_err(|_| field);
        let array_of = |field: Field| array::<32>(field, bytes).ok_or(field);
        for field in [key_slot::RESERVED, key_slot::RESERVED_2] {
            is_zero(field, bytes)?;
        }
        let kind = KeyKind::from_code(key_slot::KIND.number(bytes)).ok_or(key_slot::KIND)?;
        let kdf = match kind {
            KeyKind::Passphrase => {
                let [memory, passes, lanes] =
                    [key_slot::MEMORY, key_slot::PASSES, key_slot::LANES].map(u32_of);
                let cost = KdfCost::checked(memory?, passes?, lanes?).ok_or(key_slot::MEMORY)?;
                Kdf::Passphrase { cost, salt: array_of(key_slot::KEY_SALT)? }
            }
            other => {
                for field in [key_slot::MEMORY, key_slot::PASSES, key_slot::LANES] {
                    is_zero(field, bytes)?;
                }
                let salt = array_of(key_slot::KEY_SALT)?;
                match other {
                    KeyKind::Provider => Kdf::Provider { salt },
                    KeyKind::Recipient => Kdf::Recipient { sender: salt },
                    KeyKind::Raw | KeyKind::Passphrase => {
                        is_zero(key_slot::KEY_SALT, bytes)?;
                        Kdf::Raw
                    }
                }
            }
        };
        let name = key_slot::NAME.of(bytes);
        let name_len = usize::try_from(key_slot::NAME_LEN.number(bytes)).unwrap_or(usize::MAX);
        let (name, padding) = name.split_at_checked(name_len).ok_or(key_slot::NAME_LEN)?;
        let name = str::from_utf8(name).map_err(|_| key_slot::NAME)?;
        if padding.iter().any(|&byte| byte != 0) || !is_name(name) {
            return Err(key_slot::NAME);
        }
        Ok(Self {
            number: u32_of(key_slot::NUMBER)?,
            name: name.to_owned(),
            created: WallTime(key_slot::CREATED.number(bytes)),
            kdf,
            salt: array_of(key_slot::SALT)?,
            commitment: array_of(key_slot::COMMITMENT)?,
            wrapped: array_of(key_slot::WRAPPED)?,
            tag: array(key_slot::TAG, bytes).ok_or(key_slot::TAG)?,
        })
    }
}

fn is_zero(field: Field, bytes: &[u8]) -> Result<(), Field> {
    if field.of(bytes).iter().all(|&byte| byte == 0) { Ok(()) } else { Err(field) }
}

/// Names are shown at terminals.
fn is_name(name: &str) -> bool {
    (1..=key_slot::NAME.size).contains(&name.len()) && !name.chars().any(char::is_control)
}

pub(super) fn check_name(name: &str) -> EnvResult<()> {
    if is_name(name) {
        return Ok(());
    }
    let what = "the name of a key has 1 to 64 bytes, and no control characters".into();
    Err(EnvError::InvalidInput { what })
}
