//! The names of what a store is made of: databases of its environment that are reserved for it.

use crate::{KvError, KvResult, MAX_STORE_ID_LENGTH};

/// The database that says which stores there are: id to [record](crate::record).
pub(crate) const STORES: &str = "cairn.kv";

/// The database of the entries of a store.
pub(crate) fn data(store: &str) -> String {
    format!("{STORES}/{store}")
}

/// The index of the field that is so many fields from the first in the list of a schema's indexes.
pub(crate) fn index(store: &str, number: usize) -> String {
    format!("{STORES}/{store}/index/{number}")
}

/// An error unless `id` can be the id of a store.
pub(crate) fn check_store_id(id: &str) -> KvResult<()> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if (1..=MAX_STORE_ID_LENGTH).contains(&id.len()) && id.chars().all(is_allowed) {
        return Ok(());
    }
    Err(KvError::InvalidStoreId { id: id.into(), max: MAX_STORE_ID_LENGTH })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_id_has_1_to_128_letters_digits_and_underscores() {
        for id in ["a", "storeId", "A_9", &"x".repeat(128)] {
            check_store_id(id).unwrap();
        }
        for id in ["", "a-b", "a.b", "a/b", "..", "a b", "ä", &"x".repeat(129)] {
            assert_eq!(check_store_id(id).unwrap_err().code(), Some(401), "{id:?}");
        }
    }

    /// A database has 1 to 255 bytes of name.
    #[test]
    fn the_names_of_the_longest_id_are_names_of_databases() {
        let id = "x".repeat(MAX_STORE_ID_LENGTH);
        assert!(index(&id, usize::MAX).len() <= 255 && data(&id).len() <= 255);
    }
}
