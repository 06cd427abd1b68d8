//! Mutations of an input, for runs without a fuzzer.

use cairn_sim::{Chooser, ChooserExt, Seeded};

/// Numbers at which arithmetic goes wrong.
const ODD: [u64; 10] = [0, 1, 7, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX];

/// A few changes to `input`; parts of `other` may come into it.
#[must_use]
pub fn mutate(input: &[u8], other: &[u8], random: &mut Seeded) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..random.range(1..5, "changes") {
        change(&mut bytes, other, random);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, other: &[u8], random: &mut Seeded) {
    const PIECE: usize = 64;
    let at = random.choose(bytes.len() + 1, "at");
    let rest = bytes.len() - at;
    let some = |len: usize, random: &mut Seeded| random.choose(len.min(PIECE) + 1, "len");
    match random.choose(8, "change") {
        0 if rest > 0 => bytes[at] ^= 1 << random.choose(8, "bit"),
        1 if rest > 0 => bytes[at] = u8::try_from(random.choose(256, "byte")).unwrap_or(0),
        2 => {
            let width = *random.pick(&[1, 2, 4, 8], "width");
            let number = random.pick(&ODD, "number").to_le_bytes();
            let width = rest.min(width);
            bytes[at..at + width].copy_from_slice(&number[..width]);
        }
        3 => bytes.truncate(at),
        4 => {
            let end = at + some(rest, random);
            bytes.drain(at..end);
        }
        5 => {
            let mut piece = vec![0; some(PIECE, random)];
            random.bytes(&mut piece, "piece");
            bytes.splice(at..at, piece);
        }
        6 => {
            let end = at + some(rest, random);
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        _ => {
            let from = random.choose(other.len() + 1, "from");
            let piece = other[from..from + some(other.len() - from, random)].to_vec();
            let end = at + piece.len().min(rest);
            bytes.splice(at..end, piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mutations_differ_and_repeat() {
        let mut random = Seeded::new(1);
        let some: Vec<_> = (0..200).map(|_| mutate(b"any bytes", b"others", &mut random)).collect();
        assert!(some.iter().filter(|bytes| **bytes != b"any bytes").count() > 150);
        let mut again = Seeded::new(1);
        assert!(some.iter().all(|bytes| *bytes == mutate(b"any bytes", b"others", &mut again)));
        assert_eq!(mutate(b"", b"", &mut Seeded::new(2)).len() / 300, 0);
    }
}
