//! `Recipient`: who can open what others encrypt for them, and need not be there for it.
//!
//! A recipient is the public half of a key file: whoever writes a keyring makes a key pair for the slot alone, agrees with
//! the recipient on a secret (X25519, RFC 7748), derives the key of the slot from that, keeps the public half of the pair in
//! the slot, and forgets the other one. (The recipients of [age](https://age-encryption.org/v1), in a slot of a keyring.)

use std::{fmt, str::FromStr};

use aws_lc_rs::{
    agreement::{PrivateKey, UnparsedPublicKey, X25519, agree},
    hkdf::{HKDF_SHA256, Salt},
};
use cairn_io::World;
use cairn_log::Uuid;

use super::secret::Secret;
use crate::{EnvError, EnvResult};

/// A public key (X25519), for whose key file a keyring is encrypted as well. That file opens everything then, and need
/// not be on any machine until the day when all other keys are gone: it can lie in a safe from the beginning.
///
/// It is said as `cairn-recipient-` and 72 hexadecimal digits, of which the last eight are a checksum.
///
/// ```
/// # use cairn_env::{KeySource, Recipient};
/// let mut secret: [u8; 32] = std::array::from_fn(|n| n as u8 + 1); // of a key file that lies in a safe
/// let recipient = KeySource::raw(&mut secret).recipient()?;
/// let said = recipient.to_string();
/// assert!(said.starts_with("cairn-recipient-07a37cbc"));
/// assert_eq!(said.parse::<Recipient>()?, recipient);
/// assert!(said.replace("07a3", "07a4").parse::<Recipient>().is_err());
/// # Ok::<(), cairn_env::EnvError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Recipient([u8; 32]);

const PREFIX: &str = "cairn-recipient-";
/// What keys of slots are derived for.
const LABEL: &[u8] = b"cairn/v1/keyring/recipient";

impl Recipient {
    /// The recipient whose key file holds `secret`.
    pub(super) fn of(secret: &Secret) -> EnvResult<Self> {
        let public = private(secret)?.compute_public_key().map_err(|_| broken())?;
        Ok(Self(public.as_ref().try_into().map_err(|_| broken())?))
    }

    /// A key for a slot that only this recipient can derive again, and what must stand in the slot for that.
    pub(super) fn new_key(
        &self,
        environment: Uuid,
        world: &dyn World,
    ) -> EnvResult<([u8; 32], Secret)> {
        let once = Secret::random(world);
        let sender = Self::of(&once)?;
        // What somebody has made up, so that everybody would agree with it on the same secret.
        let none = || EnvError::InvalidInput { what: format!("{self} is no public key") };
        let key = shared(&once, &self.0, &sender.0, &self.0, environment)?.ok_or_else(none)?;
        Ok((sender.0, key))
    }
}

/// The key of a slot in which `sender` stands, for the recipient whose key file holds `secret`; `None` if nobody has made
/// such a slot.
pub(super) fn key_of(
    secret: &Secret,
    sender: &[u8; 32],
    environment: Uuid,
) -> EnvResult<Option<Secret>> {
    let recipient = Recipient::of(secret)?;
    shared(secret, sender, sender, &recipient.0, environment)
}

/// What both sides derive: each from its own secret and the public half of the other one.
fn shared(
    own: &Secret,
    other: &[u8; 32],
    sender: &[u8; 32],
    recipient: &[u8; 32],
    environment: Uuid,
) -> EnvResult<Option<Secret>> {
    let salt = [*sender, *recipient].concat();
    let derive = |shared: &[u8]| {
        let info = [LABEL, &environment.0];
        let prk = Salt::new(HKDF_SHA256, &salt).extract(shared);
        let okm = prk.expand(&info, HKDF_SHA256).map_err(|_| broken())?;
        Secret::filled(|key| okm.fill(key)).map_err(|_| broken())
    };
    // A secret of zeros, which comes of a public key that is none, is refused by the library.
    let agreed = agree(&private(own)?, UnparsedPublicKey::new(&X25519, other), None, |shared| {
        derive(shared).map_err(Some)
    });
    match agreed {
        Ok(key) => Ok(Some(key)),
        Err(None) => Ok(None),
        Err(Some(error)) => Err(error),
    }
}

fn private(secret: &Secret) -> EnvResult<PrivateKey> {
    PrivateKey::from_private_key(&X25519, secret.bytes()).map_err(|_| broken())
}

fn broken() -> EnvError {
    EnvError::internal("the cryptographic library refuses keys and lengths that it must take")
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "{:08x}", cairn_log::crc32c(&self.0))
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({self})")
    }
}

impl FromStr for Recipient {
    type Err = EnvError;

    fn from_str(said: &str) -> EnvResult<Self> {
        let refused = |why: &str| EnvError::InvalidInput {
            what: format!("a recipient is {PREFIX} and 72 hexadecimal digits: {why}"),
        };
        let digits = said.trim().strip_prefix(PREFIX);
        let digits = digits.ok_or_else(|| refused("this begins in another way"))?;
        let (key, sum) = digits
            .split_at_checked(64)
            .filter(|(_, sum)| sum.len() == 8)
            .ok_or_else(|| refused("this has another length"))?;
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            let pair = key
                .get(at..at + 2)
                .filter(|pair| pair.bytes().all(|digit| digit.is_ascii_hexdigit()));
            let value = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
            *byte = value.ok_or_else(|| refused("this has others"))?;
        }
        match u32::from_str_radix(sum, 16) {
            Ok(sum) if sum == cairn_log::crc32c(&bytes) => Ok(Self(bytes)),
            _ => Err(refused("a digit of this is wrong")),
        }
    }
}
