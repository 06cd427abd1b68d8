//! `KdfCost`: what it costs to try a passphrase, and the key that Argon2id makes of one.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroize;

use super::secret::Secret;
use crate::{EnvError, EnvResult};

/// What it costs to make a key of a passphrase by Argon2id, and so to try one.
///
/// A key slot keeps the cost with which it was made. Whoever has the keyring file can try passphrases
/// as fast as this allows, so a cost is worth a wait of some tenths of a second at each open.
///
/// ```
/// # use cairn_env::KdfCost;
/// let small = KdfCost::new(19 << 10, 2)?; // 19 MiB, twice
/// assert!(small < KdfCost::default());
/// assert!(KdfCost::new(1 << 30, 3).is_err()); // 1 TiB
/// # Ok::<(), cairn_env::EnvError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KdfCost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Default for KdfCost {
    /// 64 MiB, three passes, one lane.
    fn default() -> Self {
        Self { memory_kib: 64 << 10, passes: 3, lanes: 1 }
    }
}

impl KdfCost {
    /// 1 GiB: what opens on one machine should open on another.
    const MAX_MEMORY_KIB: u32 = 1 << 20;
    /// Memory times passes, in KiB: some seconds. A keyring may come from anywhere, and is believed
    /// before its key is known.
    const MAX_WORK: u64 = 4 << 20;
    const MAX_LANES: u32 = 16;

    /// A cost of so many KiB of memory, and so many passes through it.
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] below 8 KiB, above 1 GiB, and where memory times passes exceeds 4 GiB.
    pub fn new(memory_kib: u32, passes: u32) -> EnvResult<Self> {
        Self::checked(memory_kib, passes, 1).ok_or_else(|| {
            let what = format!(
                "a passphrase may cost 8 KiB to 1 GiB of memory, at least one pass, and at most 4 GiB \
                 in all passes: not {memory_kib} KiB in {passes}"
            );
            EnvError::InvalidInput { what }
        })
    }

    /// The cost with these parameters; `None` where nobody can mean that.
    pub(super) fn checked(memory_kib: u32, passes: u32, lanes: u32) -> Option<Self> {
        let least = lanes.checked_mul(8)?;
        let is_allowed = (1..=Self::MAX_LANES).contains(&lanes)
            && (least..=Self::MAX_MEMORY_KIB).contains(&memory_kib)
            && passes >= 1
            && u64::from(memory_kib) * u64::from(passes) <= Self::MAX_WORK;
        is_allowed.then_some(Self { memory_kib, passes, lanes })
    }

    /// KiB of memory.
    #[must_use]
    pub const fn memory_kib(&self) -> u32 {
        self.memory_kib
    }

    /// Passes through it.
    #[must_use]
    pub const fn passes(&self) -> u32 {
        self.passes
    }

    /// Lanes, which one thread goes through.
    #[must_use]
    pub const fn lanes(&self) -> u32 {
        self.lanes
    }

    /// The key that this makes of a passphrase.
    pub(super) fn derive(&self, passphrase: &[u8], salt: &[u8; 32]) -> EnvResult<Secret> {
        let failed = |error: argon2::Error| EnvError::internal(format!("Argon2id: {error}"));
        let Self { memory_kib, passes, lanes } = *self;
        let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(failed)?;
        let mut blocks: Vec<Block> = Vec::new();
        blocks.try_reserve_exact(params.block_count()).map_err(|_| EnvError::InvalidInput {
            what: format!("the passphrase takes {memory_kib} KiB of memory, which there is not"),
        })?;
        blocks.resize(params.block_count(), Block::default());
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let key = Secret::filled(|key| {
            argon2.hash_password_into_with_memory(passphrase, salt, key, &mut blocks)
        });
        // The last block tells the key.
        blocks.iter_mut().for_each(Zeroize::zeroize);
        key.map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_keyring_can_ask_for_more_than_the_limits() {
        let allowed = KdfCost { memory_kib: 8, passes: 1, lanes: 1 };
        assert_eq!(KdfCost::checked(8, 1, 1), Some(allowed));
        assert!(KdfCost::checked(1 << 20, 4, 16).is_some());
        for (memory, passes, lanes) in [
            (7, 1, 1),
            (0, 1, 1),
            (64, 0, 1),
            (64, 1, 0),
            (64, 1, 17),
            (15, 1, 2),
            ((1 << 20) + 1, 1, 1),
            (1 << 20, 5, 1),
            (1 << 30, 1, 1),
            (u32::MAX, u32::MAX, u32::MAX),
            (64, u32::MAX, 1),
        ] {
            assert_eq!(KdfCost::checked(memory, passes, lanes), None, "{memory} {passes} {lanes}");
        }
    }

    #[test]
    fn passphrases_and_salts_and_costs_give_keys_of_their_own() {
        let cost = KdfCost::new(64, 1).unwrap();
        let key = |passphrase: &[u8], salt: u8, cost: &KdfCost| {
            cost.derive(passphrase, &[salt; 32]).unwrap()
        };
        let one = key(b"a", 1, &cost);
        assert!(one.is(&key(b"a", 1, &cost)));
        assert!(!one.is(&key(b"b", 1, &cost)));
        assert!(!one.is(&key(b"a", 2, &cost)));
        assert!(!one.is(&key(b"a", 1, &KdfCost::new(64, 2).unwrap())));
        assert!(!one.is(&key(b"a", 1, &KdfCost::new(72, 1).unwrap())));
    }
}
