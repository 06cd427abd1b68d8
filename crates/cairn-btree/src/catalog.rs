//! The catalogue: the tree of trees.
//!
//! Tree 0 maps the number of each tree to a few facts, and each of its entries has the root of
//! that tree as a child. So one root stands for one version of all trees, and a change across trees is
//! one change.

use cairn_log::layout::Field;

/// The number of a tree. Numbers are never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a number")]
pub struct TreeId(pub u32);

cairn_log::layout! {
    /// The value of an entry of the catalogue.
    pub mod tree_entry {
        SHAPE: 1 = "0: ordered map. 1 is reserved for page tables",
        RESERVED: 7 = "zero",
        COUNT: 8 = "number of entries in the tree",
    }
}

/// Bytes of an entry's key: the number of the tree, big-endian.
pub(crate) const KEY_LEN: usize = 4;

#[expect(clippy::big_endian_bytes, reason = "trees are in the order of their numbers")]
pub(crate) fn key_of_tree(tree: TreeId) -> [u8; KEY_LEN] {
    tree.0.to_be_bytes()
}

#[expect(clippy::big_endian_bytes, reason = "trees are in the order of their numbers")]
pub(crate) fn tree_of_key(key: &[u8]) -> Option<TreeId> {
    key.try_into().ok().map(|bytes| TreeId(u32::from_be_bytes(bytes)))
}

/// What the catalogue says of a tree.
pub(crate) fn encode_entry(count: u64) -> [u8; tree_entry::LEN] {
    let mut bytes = [0; tree_entry::LEN];
    tree_entry::COUNT.set_number(&mut bytes, count);
    bytes
}

/// The number of entries of a tree, or the field that cannot be understood.
pub(crate) fn decode_entry(bytes: &[u8]) -> Result<u64, Field> {
    if bytes.len() != tree_entry::LEN || tree_entry::SHAPE.number(bytes) != 0 {
        return Err(tree_entry::SHAPE);
    }
    if tree_entry::RESERVED.of(bytes).iter().any(|&byte| byte != 0) {
        return Err(tree_entry::RESERVED);
    }
    Ok(tree_entry::COUNT.number(bytes))
}
