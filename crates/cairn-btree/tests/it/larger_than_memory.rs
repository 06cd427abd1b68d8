//! Readers on several threads while the writer goes on and leaves are evicted.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use cairn_btree::{Forest, ForestOptions, MemorySource, TreeId, TreeWriter, ValueRef};

const TREE: TreeId = TreeId(1);

fn key(n: u64) -> [u8; 8] {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()
}

#[test]
fn readers_see_their_version_while_nodes_come_and_go() {
    const KEYS: u64 = 4000;
    let options =
        ForestOptions { cache_bytes: 100 << 10, leaf_bytes: 1 << 10, ..ForestOptions::default() };
    let forest = Forest::new(Arc::new(MemorySource::new()), options);
    let mut writer = TreeWriter::new(forest.clone(), None, 1).unwrap();
    writer.create(TREE).unwrap();
    for n in 0..KEYS {
        writer.insert(TREE, &key(n), ValueRef::Inline(&0u64.to_le_bytes()), 1).unwrap();
    }
    let done = AtomicBool::new(false);
    let (send, receive) = std::sync::mpsc::channel();
    let receive = std::sync::Mutex::new(receive);
    std::thread::scope(|scope| {
        for reader in 0..2u64 {
            let (receive, done) = (&receive, &done);
            scope.spawn(move || {
                let mut checked = 0;
                while !done.load(Ordering::Relaxed) || checked == 0 {
                    let message = receive.lock().unwrap().recv();
                    let Ok((round, frozen)): Result<(u64, Arc<cairn_btree::FrozenRoot>), _> =
                        message
                    else {
                        break;
                    };
                    for n in (reader..KEYS).step_by(7) {
                        let value = frozen.get_with(TREE, &key(n), |value| match value {
                            ValueRef::Inline(bytes) => {
                                u64::from_le_bytes(bytes.try_into().unwrap())
                            }
                            ValueRef::Pointer(_) => u64::MAX,
                        });
                        // Key n was last changed in the newest round that n divides into.
                        let expected =
                            (0..=round).rev().find(|r| *r == 0 || n % 5 == r % 5).unwrap();
                        assert_eq!(value.unwrap(), Some(expected), "key {n} in round {round}");
                    }
                    checked += 1;
                }
            });
        }
        for round in 0..40u64 {
            if round > 0 {
                for n in (0..KEYS).filter(|n| n % 5 == round % 5) {
                    writer
                        .insert(TREE, &key(n), ValueRef::Inline(&round.to_le_bytes()), round)
                        .unwrap();
                }
            }
            let frozen = writer.freeze(round).unwrap();
            forest.write_back(usize::MAX).unwrap();
            send.send((round, frozen)).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        drop(send);
    });
    drop(receive); // and the versions that nobody came to read
    let cache = forest.cache();
    assert!(cache.resident <= cache.budget * 2, "{cache:?}");
    drop(writer);
    assert_eq!(forest.cache().blocked, 0);
}
