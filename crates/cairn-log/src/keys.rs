//! `DataKey` and `DataKeys`: the secrets under which the files of an encrypted environment lie.
//!
//! They come from the keyring, which holds them wrapped. Nothing here prints, writes or compares
//! their bytes, and memory that held them is wiped when they go.

use std::{collections::BTreeMap, fmt};

use zeroize::Zeroizing;

use crate::is_same;

/// A data key of 32 bytes: all keys of the files of its epoch are derived from it.
///
/// It is wiped when it is dropped, and cannot be printed. Make it from random bytes only: nothing
/// stretches it.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; Self::LEN]>);

impl DataKey {
    /// Bytes of a data key.
    pub const LEN: usize = 32;

    /// The key with these bytes. The caller wipes its own copies.
    #[must_use]
    pub fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes: for wrapping the key, and for deriving others from it.
    #[must_use]
    pub fn expose(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl PartialEq for DataKey {
    fn eq(&self, other: &Self) -> bool {
        is_same(self.expose(), other.expose())
    }
}

impl Eq for DataKey {}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(..)")
    }
}

/// The data keys of an environment: one for each epoch of which files may be left.
///
/// New files are written under the newest epoch; a file says in its header under which it was
/// written. There is always at least one.
#[derive(Clone, PartialEq, Eq)]
pub struct DataKeys {
    keys: BTreeMap<u32, DataKey>,
    newest: u32,
}

/// Pairs of epoch and key from which no [`DataKeys`] can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKeys {
    /// There is none.
    #[error("there is no data key")]
    Empty,
    /// Epoch 0 is what files say that are not encrypted.
    #[error("epoch 0 stands for files that are not encrypted")]
    EpochZero,
    /// Two keys for one epoch.
    #[error("there are two data keys for epoch {epoch}")]
    Twice {
        /// The epoch.
        epoch: u32,
    },
}

impl DataKeys {
    /// Keys from pairs of epoch (1 and up) and key, in any order.
    ///
    /// # Errors
    /// If there is no pair, an epoch 0, or an epoch twice.
    pub fn new(pairs: impl IntoIterator<Item = (u32, DataKey)>) -> Result<Self, InvalidKeys> {
        let mut keys = BTreeMap::new();
        for (epoch, key) in pairs {
            if epoch == 0 {
                return Err(InvalidKeys::EpochZero);
            }
            if keys.insert(epoch, key).is_some() {
                return Err(InvalidKeys::Twice { epoch });
            }
        }
        let newest = *keys.keys().next_back().ok_or(InvalidKeys::Empty)?;
        Ok(Self { keys, newest })
    }

    /// The newest epoch and its key: under it new files are written.
    #[must_use]
    pub fn newest(&self) -> (u32, &DataKey) {
        (self.newest, &self.keys[&self.newest])
    }

    /// The key of `epoch`, if it is there.
    #[must_use]
    pub fn get(&self, epoch: u32) -> Option<&DataKey> {
        self.keys.get(&epoch)
    }

    /// The epochs, oldest first.
    pub fn epochs(&self) -> impl Iterator<Item = u32> + '_ {
        self.keys.keys().copied()
    }
}

impl fmt::Debug for DataKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DataKeys").field(&self.keys.keys().collect::<Vec<_>>()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_epoch_is_what_new_files_use() {
        let keys = DataKeys::new([(2, DataKey::new([2; 32])), (1, DataKey::new([1; 32]))]).unwrap();
        let (epoch, key) = keys.newest();
        assert_eq!((epoch, key.expose()), (2, &[2; 32]));
        assert_eq!(keys.get(1).map(DataKey::expose), Some(&[1; 32]));
        assert!(keys.get(3).is_none());
        assert_eq!(keys.epochs().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn impossible_keys_are_refused() {
        let refused = |epochs: &[u32]| {
            DataKeys::new(epochs.iter().map(|&epoch| (epoch, DataKey::new([7; 32])))).err()
        };
        assert_eq!(refused(&[]), Some(InvalidKeys::Empty));
        assert_eq!(refused(&[1, 0]), Some(InvalidKeys::EpochZero));
        assert_eq!(refused(&[3, 3]), Some(InvalidKeys::Twice { epoch: 3 }));
        assert_eq!(refused(&[3, 5]), None);
    }

    #[test]
    fn keys_are_not_printed() {
        let keys = DataKeys::new([(1, DataKey::new([0xab; 32]))]).unwrap();
        assert_eq!(format!("{keys:?} {:?}", keys.newest()), "DataKeys([1]) (1, DataKey(..))");
    }
}
