//! `KeySource`: where the key of a user comes from: a passphrase, a key file, bytes, or a callback.

use std::{
    error::Error,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use cairn_io::World;
use cairn_log::Uuid;
use zeroize::Zeroizing;

use super::{
    kdf::KdfCost,
    recipient::{self, Recipient},
    secret::Secret,
    slot::{Kdf, KeyKind},
};
use crate::{EnvError, EnvResult};

/// The key that opens an encrypted environment, or where to get it.
///
/// Its content is wiped from memory with the last clone, and never printed.
///
/// ```
/// # use cairn_env::{DatabaseOptions, Environment, KdfCost, KeySource, Options};
/// # use cairn_io::{MemDisk, RealWorld};
/// # let (disk, world) = (MemDisk::new(), std::sync::Arc::new(RealWorld::new()));
/// let key = KeySource::passphrase("correct horse battery staple")?.cost(KdfCost::new(64, 1)?);
/// assert_eq!(format!("{key:?}"), "KeySource(passphrase)");
/// # Ok::<(), cairn_env::EnvError>(())
/// ```
#[derive(Clone)]
pub struct KeySource {
    origin: Origin,
    cost: KdfCost,
}

#[derive(Clone)]
enum Origin {
    Passphrase(Arc<Zeroizing<Vec<u8>>>),
    File(PathBuf),
    Raw(Arc<Secret>),
    Provider(Arc<dyn KeyProvider>),
    Recipient(Recipient),
}

/// Gives out the key of an application: from a key service, an agent, or hardware.
pub trait KeyProvider: Send + Sync {
    /// Writes the key for a key slot, 32 bytes that nobody else can guess, to `key`.
    ///
    /// It must give the same key for the same request, for as long as the environment lives. A service
    /// that hands out no keys can make one, as a MAC over [`KeyRequest::salt`](KeyRequest#structfield.salt).
    ///
    /// # Errors
    /// Whatever keeps the key from being had. That is no wrong key: it is answered as
    /// [`EnvError::KeyUnavailable`].
    fn key(
        &self,
        request: &KeyRequest<'_>,
        key: &mut [u8; 32],
    ) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// For what a [`KeyProvider`] is asked for a key.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct KeyRequest<'a> {
    /// The environment; of a key slot of a repository of backups, that.
    pub environment: Uuid,
    /// The name of the key slot.
    pub name: &'a str,
    /// Random bytes of the key slot, which are no secret.
    pub salt: &'a [u8; 32],
}

/// For which slot a key is wanted.
pub(super) struct Purpose<'a> {
    pub(super) environment: Uuid,
    pub(super) name: &'a str,
    pub(super) kdf: &'a Kdf,
}

/// What is wrong with a key that was never filled.
const BLANK: &str = "all bytes of the key are the same: that is none";

/// No passphrase is longer.
const MAX_PASSPHRASE: usize = 4096;

impl KeySource {
    fn new(origin: Origin) -> Self {
        Self { origin, cost: KdfCost::default() }
    }

    /// A passphrase, byte for byte.
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] if it is empty, or longer than 4096 bytes.
    pub fn passphrase(passphrase: impl AsRef<[u8]>) -> EnvResult<Self> {
        let passphrase = passphrase.as_ref();
        if (1..=MAX_PASSPHRASE).contains(&passphrase.len()) {
            let copy = Zeroizing::new(passphrase.to_vec());
            return Ok(Self::new(Origin::Passphrase(Arc::new(copy))));
        }
        let what = format!("a passphrase has 1 to {MAX_PASSPHRASE} bytes");
        Err(EnvError::InvalidInput { what })
    }

    /// A file with a key: 32 bytes as they are, or 64 hexadecimal digits. It is read when the key is needed,
    /// and must be accessible for its owner alone.
    pub fn key_file(path: impl Into<PathBuf>) -> Self {
        Self::new(Origin::File(path.into()))
    }

    /// A key of 32 bytes that nobody can guess. Wipes where it came from. One whose bytes are all the same is
    /// refused when it is used: nobody has filled it.
    #[must_use]
    pub fn raw(key: &mut [u8; 32]) -> Self {
        Self::new(Origin::Raw(Arc::new(Secret::take(key))))
    }

    /// A key in the form that a key file has.
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] if it has another form.
    pub fn from_key_file_content(content: &[u8]) -> EnvResult<Self> {
        let key = parse_key(content).map_err(|why| EnvError::InvalidInput { what: why.into() })?;
        Ok(Self::new(Origin::Raw(Arc::new(key))))
    }

    /// A callback.
    #[must_use]
    pub fn provider(provider: Arc<dyn KeyProvider>) -> Self {
        Self::new(Origin::Provider(provider))
    }

    /// The public key of somebody who is to open it. It can be given to a keyring beside other keys, and opens none itself:
    /// the key file does that it was made of.
    #[must_use]
    pub fn for_recipient(recipient: Recipient) -> Self {
        Self::new(Origin::Recipient(recipient))
    }

    /// The public half of a key file or a raw key: what is encrypted for it, that key opens.
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] for a passphrase or a callback; [`EnvError::KeyUnavailable`].
    pub fn recipient(&self) -> EnvResult<Recipient> {
        match &self.loaded()?.origin {
            Origin::Raw(secret) if secret.is_blank() => {
                Err(EnvError::InvalidInput { what: BLANK.into() })
            }
            Origin::Raw(secret) => Recipient::of(secret),
            Origin::Recipient(recipient) => Ok(*recipient),
            Origin::Passphrase(_) | Origin::Provider(_) | Origin::File(_) => {
                let what = format!("a {} is no recipient: make a key file", self.kind());
                Err(EnvError::InvalidInput { what })
            }
        }
    }

    /// What it is to cost to try the passphrase, in key slots that are made for it from now on. Those that
    /// are there have their own, and keys that are no passphrases cost nothing.
    #[must_use]
    pub const fn cost(mut self, cost: KdfCost) -> Self {
        self.cost = cost;
        self
    }

    /// Which kind of key slot is made for it. One for a raw key or a key file also opens slots for the recipient that it is.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        match self.origin {
            Origin::Passphrase(_) => KeyKind::Passphrase,
            Origin::File(_) | Origin::Raw(_) => KeyKind::Raw,
            Origin::Provider(_) => KeyKind::Provider,
            Origin::Recipient(_) => KeyKind::Recipient,
        }
    }

    /// Whether it may open key slots of this kind.
    pub(super) fn may_open(&self, kind: KeyKind) -> bool {
        match &self.origin {
            Origin::Recipient(_) => false,
            Origin::File(_) | Origin::Raw(_) => {
                matches!(kind, KeyKind::Raw | KeyKind::Recipient)
            }
            Origin::Passphrase(_) | Origin::Provider(_) => kind == self.kind(),
        }
    }

    /// A key for a new slot, if this is a recipient, and what must stand in the slot for it.
    pub(super) fn new_recipient_key(
        &self,
        environment: Uuid,
        world: &dyn World,
    ) -> EnvResult<([u8; 32], Secret)> {
        self.recipient()?.new_key(environment, world)
    }

    pub(super) const fn kdf_cost(&self) -> KdfCost {
        self.cost
    }

    /// This source with its key in memory, so that a key file is read once.
    pub(super) fn loaded(&self) -> EnvResult<Self> {
        match &self.origin {
            Origin::File(path) => Ok(Self::new(Origin::Raw(Arc::new(read_key_file(path)?)))),
            _ => Ok(self.clone()),
        }
    }

    /// The key for a slot of its kind.
    pub(super) fn key(&self, purpose: &Purpose<'_>) -> EnvResult<Secret> {
        let &Purpose { environment, name, kdf } = purpose;
        match (&self.origin, kdf) {
            (Origin::Passphrase(passphrase), Kdf::Passphrase { cost, salt }) => {
                cost.derive(passphrase, salt)
            }
            (Origin::Raw(key), Kdf::Raw | Kdf::Recipient { .. }) if key.is_blank() => {
                Err(EnvError::InvalidInput { what: BLANK.into() })
            }
            (Origin::Raw(key), Kdf::Raw) => Ok((**key).clone()),
            (Origin::File(path), Kdf::Raw) => read_key_file(path),
            (Origin::Raw(key), Kdf::Recipient { sender }) => {
                // Whatever opens no such slot is a wrong key.
                Ok(recipient::key_of(key, sender, environment)?.unwrap_or_else(|| (**key).clone()))
            }
            (Origin::Provider(provider), Kdf::Provider { salt }) => {
                let request = KeyRequest { environment, name, salt };
                let unavailable = |why: String| {
                    let what = format!("the callback for the key {name:?}");
                    EnvError::KeyUnavailable { what, why }
                };
                let key = Secret::filled(|key| provider.key(&request, key));
                let key = key.map_err(|error| unavailable(error.to_string()))?;
                // One that says that it has the key, and writes none.
                if key.is_blank() { Err(unavailable(BLANK.into())) } else { Ok(key) }
            }
            _ => Err(EnvError::internal("a key is asked for a key slot of another kind")),
        }
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File(path) => write!(f, "KeySource(key file {})", path.display()),
            _ => write!(f, "KeySource({})", self.kind()),
        }
    }
}

impl PartialEq for KeySource {
    /// Whether both are the same key, or the same place to get it from.
    fn eq(&self, other: &Self) -> bool {
        self.cost == other.cost
            && match (&self.origin, &other.origin) {
                (Origin::Passphrase(one), Origin::Passphrase(other)) => {
                    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
                }
                (Origin::File(one), Origin::File(other)) => one == other,
                (Origin::Raw(one), Origin::Raw(other)) => one.is(other),
                (Origin::Provider(one), Origin::Provider(other)) => Arc::ptr_eq(one, other),
                (Origin::Recipient(one), Origin::Recipient(other)) => one == other,
                _ => false,
            }
    }
}

impl Eq for KeySource {}

/// Reads a key file.
fn read_key_file(path: &Path) -> EnvResult<Secret> {
    let unavailable = |why: String| EnvError::KeyUnavailable {
        what: format!("the key file {}", path.display()),
        why,
    };
    // One byte more than any form of a key has.
    let mut content = Zeroizing::new([0; 67]);
    let len = match cairn_io::read_private(path, &mut *content) {
        Ok(len) => len,
        Err(error) => return Err(unavailable(error.source.to_string())),
    };
    parse_key(&content[..len]).map_err(|why| unavailable(why.into()))
}

/// A key as it stands in a key file: 32 bytes, or 64 hexadecimal digits with at most a line end.
fn parse_key(content: &[u8]) -> Result<Secret, &'static str> {
    let digits = content.strip_suffix(b"\n").unwrap_or(content);
    let digits = digits.strip_suffix(b"\r").unwrap_or(digits);
    let key = match (content.len(), digits.len()) {
        (32, _) => Secret::filled(|key| {
            key.copy_from_slice(content);
            Ok::<(), &str>(())
        })?,
        (_, 64) => Secret::filled(|key| parse_hex(digits, key))?,
        _ => return Err("it holds neither 32 bytes nor 64 hexadecimal digits"),
    };
    if key.is_blank() { Err(BLANK) } else { Ok(key) }
}

fn parse_hex(digits: &[u8], key: &mut [u8; 32]) -> Result<(), &'static str> {
    let (pairs, _) = digits.as_chunks::<2>();
    for (byte, pair) in key.iter_mut().zip(pairs) {
        let mut value = 0;
        for digit in pair {
            let digit = char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            value = value << 4 | digit.ok_or("it holds 64 bytes that are not all hexadecimal")?;
        }
        *byte = value;
    }
    Ok(())
}
