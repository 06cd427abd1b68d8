//! Bodies of the fuzz targets. Not part of the public interface.

use cairn_log::RecordKind;

use crate::{child::Child, node::Node};

/// Any bytes as a node of each kind: loading must not panic, and what it accepts must be safe to
/// search, walk and store, and store to the same bytes.
pub fn node_image(input: &[u8]) {
    for kind in [RecordKind::LEAF, RecordKind::BRANCH, RecordKind::CATALOG, RecordKind::SEAL] {
        let Ok(node) = Node::load(kind, 1, input.to_vec()) else { continue };
        for i in 0..node.image.count() {
            let key = node.image.key(i);
            assert_eq!(node.image.search(&key), Ok(i), "each key is found where it stands");
        }
        for key in [&b""[..], b"a", &input[..input.len().min(20)]] {
            drop(node.image.search(key).map(|i| node.entry(i).value.to_vec()));
            assert!(node.image.child_index(key) <= node.image.count());
        }
        let stored = node.store(|child| match child {
            Child::Disk(lsn) => Ok::<_, ()>(Some(lsn)),
            _ => Ok(None),
        });
        assert_eq!(stored.map(|bytes| bytes.len()), Ok(input.len()));
        assert!(node.to_private().image.used() <= input.len());
    }
}
