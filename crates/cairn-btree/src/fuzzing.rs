//! Bodies of the fuzz targets. Not part of the public interface.

use cairn_log::{Lsn, RecordKind};

use crate::{NodeRecord, StoredNode, child::Child, delta::Delta, image::Image, node::Node};

/// Any bytes as a delta: what is accepted must be safe to lay over a base, and say of each key what the leaf is afterwards.
fn delta_image(input: &[u8]) {
    let Ok(delta) = Delta::load(2, input.to_vec()) else { return };
    let image = &delta.image;
    let (_, crc) = image.base().expect("it was loaded");
    // Every second key is in the base.
    let mut base = Node::leaf(Image::new(image.tree(), 0, image.fences(), 0), false);
    for i in (0..image.count()).step_by(2) {
        let key = image.key(i);
        let suffix = base.image.suffix_of(&key);
        base.image.insert(base.image.count(), suffix, b"of the base", false);
    }
    let mut body = Vec::new();
    base.image.store(&mut body);
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let record = |kind, crc| {
        let stored = StoredNode { lsn: delta.base, len, crc };
        NodeRecord { kind, sequence: 1, body: body.clone(), stored }
    };
    assert!(delta.onto(record(RecordKind::BRANCH, crc)).is_err());
    assert!(delta.onto(record(RecordKind::LEAF, !crc)).is_err());
    let node = delta.onto(record(RecordKind::LEAF, crc)).expect("it is the base");
    let mut count = 0;
    for i in 0..image.count() {
        let found = node.image.search(&image.key(i));
        match image.is_marked(i) {
            true => assert!(found.is_err(), "it was removed"),
            false => {
                count += 1;
                assert_eq!(found.map(|at| node.entry(at).value), Ok(image.entry(i).value));
            }
        }
    }
    assert_eq!(node.image.count(), count, "all keys of the base are in the delta");
    if let Some((again, _)) = node.delta() {
        let again = Delta::load(2, again).expect("it was just made").image;
        let change =
            |image: &Image, i| (image.key(i), image.is_marked(i), image.entry(i).value.to_vec());
        let changes =
            |image: &Image| -> Vec<_> { (0..image.count()).map(|i| change(image, i)).collect() };
        assert!(changes(&again) == changes(image), "the next delta says what this one says");
    }
    let whole = node.store(|_| Ok::<Option<Lsn>, ()>(None)).expect("it has no children");
    assert!(Node::load(RecordKind::LEAF, 2, whole).is_ok());
}

/// Any bytes as a node of each kind: loading must not panic, and what it accepts must be safe to
/// search, walk and store, and store to the same bytes.
pub fn node_image(input: &[u8]) {
    delta_image(input);
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
