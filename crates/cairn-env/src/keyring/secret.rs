//! `Secret`: 32 bytes that are a key, and are wiped when nobody needs them any more.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use cairn_io::World;
use zeroize::{Zeroize, Zeroizing};

/// A key. It has no `Debug`, so that no message can hold it.
pub(crate) struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// Takes the bytes, and wipes where they came from.
    pub(crate) fn take(bytes: &mut [u8; 32]) -> Self {
        let secret = Self(Zeroizing::new(*bytes));
        bytes.zeroize();
        secret
    }

    /// A key that `fill` writes.
    pub(crate) fn filled<E>(fill: impl FnOnce(&mut [u8; 32]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self(Zeroizing::new([0; 32]));
        fill(&mut secret.0)?;
        Ok(secret)
    }

    /// A key that nobody can guess.
    pub(crate) fn random(world: &dyn World) -> Self {
        let mut secret = Self(Zeroizing::new([0; 32]));
        world.random(&mut *secret.0);
        secret
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether all its bytes are the same, as in memory that nobody has filled.
    pub(crate) fn is_blank(&self) -> bool {
        self.0.iter().all(|byte| *byte == self.0[0])
    }

    /// Whether it is the other one, in a time that does not tell where they differ.
    pub(crate) fn is(&self, other: &Self) -> bool {
        verify_slices_are_equal(&*self.0, &*other.0).is_ok()
    }
}

impl Clone for Secret {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
