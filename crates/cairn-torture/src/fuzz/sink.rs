//! `sink_pieces`: what a replica is sent, changed, repeated, out of order: the input is what becomes of each piece.

use std::sync::OnceLock;

use cairn_env::fuzzing::Shipped;
use cairn_sim::{ChooserExt as _, FuzzBytes, SimWorld};

/// Sends a replica pieces of a real journal, as the bytes say.
///
/// # Panics
/// If a promise is broken.
pub fn sink_pieces(input: &[u8]) {
    static SHIPPED: OnceLock<Shipped> = OnceLock::new();
    let shipped = SHIPPED.get_or_init(|| {
        let shipped = Shipped::new(&SimWorld::new(1).world());
        shipped.unwrap_or_else(|error| panic!("nothing to send: {error}"))
    });
    let mut bytes = FuzzBytes::new(input);
    let mut replica = shipped.replica();
    let mut place = 0;
    while !bytes.is_used_up() {
        let how = bytes.weighted(&[12, 2, 2, 1, 1, 1, 1], "how");
        let number = bytes.range(0..shipped.pieces(), "piece");
        match how {
            0 => {
                replica.push(place.min(shipped.pieces() - 1), |_| {});
                place += 1;
            }
            1 => replica.push(number, |_| {}),
            2 => replica.sync(),
            3 => {
                let (at, bit) = (bytes.range(0..8192, "byte"), bytes.range(0..8, "bit"));
                replica.push(number, |piece| {
                    if let Some(byte) = piece.bytes.get_mut(at) {
                        *byte ^= 1 << bit;
                    }
                });
            }
            4 => {
                let len = bytes.range(0..8192, "length");
                replica.push(number, |piece| piece.bytes.truncate(len));
            }
            5 => {
                let by = bytes.range(0..64, "offset") as u64;
                replica.push(number, |piece| piece.offset = piece.offset.saturating_add(by * 8));
            }
            _ => {
                let by = bytes.range(0..4, "file");
                replica.push(number, |piece| (0..by).for_each(|_| piece.next_file()));
            }
        }
    }
    replica.end(&SimWorld::new(2).world());
}
