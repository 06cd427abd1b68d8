//! The payload of a transaction record: what a commit changed.

use cairn_btree::{MAX_KEY_LEN, TreeId, ValuePointer};
use cairn_log::{
    FRAME_LEN, Inset, Lsn, TAG_LEN,
    codec::{ByteReader, ByteWriter, DecodeError},
    crc32c,
    layout::{Field, table},
};

/// Longest value in bytes.
pub const MAX_VALUE_LEN: usize = 256 << 20;
/// Most bytes of changes in one transaction, keys and values and some overhead.
pub const MAX_TRANSACTION_LEN: usize = 512 << 20;

/// One change of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op<'a> {
    /// Creates an empty tree.
    Create { tree: TreeId },
    /// Puts a value that the leaf holds.
    Put { tree: TreeId, key: &'a [u8], value: &'a [u8] },
    /// Puts a large value, which stays in the journal at `offset` of the payload. In an encrypted file it is
    /// an inset, and `value` may be what is stored of it.
    PutLarge { tree: TreeId, key: &'a [u8], value: &'a [u8], crc: u32, offset: usize },
    /// Removes a key.
    Delete { tree: TreeId, key: &'a [u8] },
    /// Drops a tree with all that is in it.
    Drop { tree: TreeId },
    /// Changes nothing, and gives the commit a name.
    Mark { label: &'a str },
}

const PUT: u8 = 1;
const PUT_LARGE: u8 = 2;
const DELETE: u8 = 3;
const CREATE: u8 = 4;
const DROP: u8 = 5;
const PUT_LARGE_INSET: u8 = 16;
const MARK: u8 = 17;

/// Encodes a transaction: the time of the commit, then its changes.
#[derive(Debug)]
pub(crate) struct Encoder {
    bytes: Vec<u8>,
    count_at: usize,
    count: u32,
    /// Of a record that is to be encrypted: its large values.
    insets: Option<Vec<Inset>>,
}

impl Encoder {
    /// Begins in `buffer`, which is emptied, the payload of a record that is to be encrypted or not.
    pub(crate) fn new(mut buffer: Vec<u8>, encrypted: bool) -> Self {
        buffer.clear();
        // The time is known only when the commit gets its place, as is the number of a part.
        buffer.put_u64(0);
        let count_at = buffer.len();
        buffer.put_u32(0);
        Self { bytes: buffer, count_at, count: 0, insets: encrypted.then(Vec::new) }
    }

    pub(crate) fn create(&mut self, tree: TreeId) {
        self.begin(CREATE, tree);
        self.bytes.put_u8(0); // the shape: an ordered map
    }

    pub(crate) fn put(&mut self, tree: TreeId, key: &[u8], value: &[u8], embed_max: usize) {
        if value.len() <= embed_max {
            self.begin(PUT, tree);
            self.bytes.put_prefixed(key);
            self.bytes.put_prefixed(value);
        } else {
            self.put_large(tree, key, value);
        }
    }

    /// Puts a value beside the tree, whatever its length; returns where in the payload it stands.
    pub(crate) fn put_large(&mut self, tree: TreeId, key: &[u8], value: &[u8]) -> usize {
        self.begin(if self.insets.is_some() { PUT_LARGE_INSET } else { PUT_LARGE }, tree);
        self.bytes.put_prefixed(key);
        self.bytes.put_varint(value.len() as u64);
        self.bytes.put_u32(crc32c(value));
        self.bytes.put_align8();
        let offset = self.bytes.len();
        self.bytes.extend_from_slice(value);
        if let Some(insets) = &mut self.insets {
            let at = |n| u32::try_from(n).unwrap_or(u32::MAX); // no payload is that long
            insets.push(Inset { offset: at(offset), len: at(value.len()) });
            self.bytes.resize(self.bytes.len() + TAG_LEN, 0);
        }
        offset
    }

    pub(crate) fn delete(&mut self, tree: TreeId, key: &[u8]) {
        self.begin(DELETE, tree);
        self.bytes.put_prefixed(key);
    }

    /// Drops a tree.
    pub(crate) fn drop_tree(&mut self, tree: TreeId) {
        self.begin(DROP, tree);
    }

    /// Gives the commit a name; beside no other change.
    pub(crate) fn mark(&mut self, label: &str) {
        self.count += 1;
        self.bytes.put_u8(MARK);
        self.bytes.put_prefixed(label.as_bytes());
    }

    fn begin(&mut self, op: u8, tree: TreeId) {
        self.count += 1;
        self.bytes.put_u8(op);
        self.bytes.put_varint(tree.0.into());
    }

    /// Whether there are no changes.
    pub(crate) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the payload as far as it goes.
    pub(crate) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The payload, and the insets in it.
    pub(crate) fn finish(mut self) -> (Vec<u8>, Vec<Inset>) {
        self.bytes[self.count_at..self.count_at + 4].copy_from_slice(&self.count.to_le_bytes());
        (self.bytes, self.insets.unwrap_or_default())
    }
}

/// Decodes a transaction. The changes are checked one by one while they are read.
#[derive(Clone, Debug)]
pub(crate) struct Decoder<'a> {
    reader: ByteReader<'a>,
    /// Of a transaction the time of the commit, in microseconds since 1970; of a part its number.
    pub(crate) head: u64,
    left: u32,
    /// Whether there is one change and no other, as with a mark.
    is_single: bool,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = ByteReader::new(payload);
        let head = reader.u64("time or number")?;
        let left = reader.u32("count")?;
        Ok(Self { reader, head, left, is_single: left == 1 })
    }

    /// The next change; `None` after the last one.
    pub(crate) fn next(&mut self) -> Result<Option<Op<'a>>, DecodeError> {
        if self.left == 0 {
            self.reader.clone().finish()?;
            return Ok(None);
        }
        self.left -= 1;
        let before = self.reader.clone();
        let reader = &mut self.reader;
        let op = reader.u8("change")?;
        if op == MARK {
            let label = std::str::from_utf8(reader.prefixed("label")?);
            let label = label.map_err(|_| before.error("label", "is no text"))?;
            if !self.is_single {
                return Err(before.error("mark", "stands beside other changes"));
            }
            return Ok(Some(Op::Mark { label }));
        }
        let tree = reader.varint_max("tree", u32::MAX.into())?;
        let tree = TreeId(u32::try_from(tree).unwrap_or(0));
        if tree.0 == 0 || tree.is_grave() {
            return Err(before.error("tree", "is the catalogue, or no number of a tree"));
        }
        let key = |reader: &mut ByteReader<'a>| {
            let before = reader.clone();
            let key = reader.prefixed("key")?;
            if key.len() > MAX_KEY_LEN { Err(before.error("key", "is too long")) } else { Ok(key) }
        };
        Ok(Some(match op {
            CREATE => match reader.u8("shape")? {
                0 => Op::Create { tree },
                _ => return Err(before.error("shape", "is unknown")),
            },
            PUT => Op::Put { tree, key: key(reader)?, value: reader.prefixed("value")? },
            PUT_LARGE | PUT_LARGE_INSET => {
                let key = key(reader)?;
                let len = reader.varint_max("value length", MAX_VALUE_LEN as u64)?;
                let crc = reader.u32("value checksum")?;
                reader.align8("padding")?;
                let offset = reader.position();
                let value = reader.bytes("value", usize::try_from(len).unwrap_or(usize::MAX))?;
                if op == PUT_LARGE_INSET {
                    reader.bytes("tag", TAG_LEN)?;
                }
                Op::PutLarge { tree, key, value, crc, offset }
            }
            DELETE => Op::Delete { tree, key: key(reader)? },
            DROP => Op::Drop { tree },
            _ => return Err(before.error("change", "is unknown")),
        }))
    }
}

/// Where a large value stands whose transaction record is at `record`.
pub(crate) fn pointer(record: Lsn, offset: usize, len: usize, crc: u32) -> Option<ValuePointer> {
    let lsn = Lsn::new(record.file(), record.offset() + (FRAME_LEN + offset) as u64)?;
    Some(ValuePointer { lsn: lsn.to_raw(), len: u32::try_from(len).ok()?, crc })
}

/// Byte range of the commit time, or of the number of a part, in a payload: it is filled in last.
pub(crate) const TIME: std::ops::Range<usize> = 0..8;

/// The tables of `docs/format` about transactions.
pub(crate) fn spec() -> Vec<(&'static str, String)> {
    let field = |offset, size, name, meaning| Field { offset, size, name, meaning };
    let head = [
        field(
            0,
            8,
            "time",
            "microseconds since 1970 at which the transaction committed; never less than that of an earlier commit",
        ),
        field(8, 4, "count", "number of changes"),
    ];
    let changes = "| change | code | then |\n|---|--:|---|\n\
        | put | 1 | tree (varint), key (varint length, bytes), value (varint length, bytes) |\n\
        | put large | 2 | tree, key, length of the value (varint), CRC-32C of the value (4 bytes), zeros up to a multiple of 8 bytes from the beginning of the payload, the value |\n\
        | delete | 3 | tree, key |\n\
        | create | 4 | tree, shape (1 byte): 0, an ordered map |\n\
        | drop | 5 | tree |\n\
        | | 6 to 15 | reserved: page write, page delta, page truncate, commit number of a page file |\n\
        | put large, encrypted | 16 | as put large, and behind the value 16 bytes for its tag |\n\
        | mark | 17 | label (varint length, UTF-8): a name for the commit, which has no other change |\n";
    vec![
        ("transaction_head", table(&head)),
        ("transaction_changes", changes.into()),
        ("part_head", table(super::parts::part_head::FIELDS)),
        ("commit_record", table(super::parts::commit_record::FIELDS)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Vec<u8> {
        encoded(false).0
    }

    fn encoded(encrypted: bool) -> (Vec<u8>, Vec<Inset>) {
        let mut encoder = Encoder::new(Vec::new(), encrypted);
        encoder.create(TreeId(20));
        encoder.put(TreeId(20), b"key", b"small", 8);
        encoder.put(TreeId(300), b"k", &[9; 20], 8);
        encoder.delete(TreeId(1), b"gone");
        encoder.finish()
    }

    #[test]
    fn a_large_value_that_is_to_be_encrypted_has_room_for_its_tag() {
        let (plain, none) = encoded(false);
        let (payload, insets) = encoded(true);
        assert_eq!((none, payload.len()), (vec![], plain.len() + TAG_LEN));
        let Op::PutLarge { offset, value, .. } = decode(&payload).unwrap()[2] else { panic!() };
        assert_eq!(value, [9; 20]);
        assert_eq!(insets, [Inset { offset: u32::try_from(offset).unwrap(), len: 20 }]);
        assert_eq!(payload[offset + 20..][..TAG_LEN], [0; TAG_LEN]);
        assert_eq!(decode(&payload).unwrap().len(), decode(&plain).unwrap().len());
    }

    fn decode(payload: &[u8]) -> Result<Vec<Op<'_>>, DecodeError> {
        let mut decoder = Decoder::new(payload)?;
        let mut ops = Vec::new();
        while let Some(op) = decoder.next()? {
            ops.push(op);
        }
        Ok(ops)
    }

    #[test]
    fn a_transaction_survives_its_bytes() {
        let payload = example();
        let ops = decode(&payload).unwrap();
        let Op::PutLarge { offset, crc, value, .. } = ops[2] else { panic!("{ops:?}") };
        assert_eq!((offset % 8, crc, &payload[offset..][..20]), (0, crc32c(&[9; 20]), value));
        assert_eq!(ops[0], Op::Create { tree: TreeId(20) });
        assert_eq!(ops[1], Op::Put { tree: TreeId(20), key: b"key", value: b"small" });
        assert_eq!(ops[3], Op::Delete { tree: TreeId(1), key: b"gone" });
    }

    #[test]
    fn a_mark_has_no_other_change_beside_it() {
        let mut alone = Encoder::new(Vec::new(), false);
        alone.mark("before");
        let (payload, _) = alone.finish();
        assert_eq!(decode(&payload).unwrap(), [Op::Mark { label: "before" }]);
        for is_first in [true, false] {
            let mut encoder = Encoder::new(Vec::new(), false);
            if is_first {
                encoder.mark("before");
            }
            encoder.delete(TreeId(1), b"gone");
            if !is_first {
                encoder.mark("before");
            }
            assert!(decode(&encoder.finish().0).is_err(), "first: {is_first}");
        }
    }

    #[test]
    fn a_cut_or_changed_transaction_is_refused_or_decodes_without_panic() {
        let payload = example();
        for len in 0..payload.len() {
            assert!(decode(&payload[..len]).is_err(), "length {len}");
        }
        for bit in 0..payload.len() * 8 {
            let mut flipped = payload.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            drop(decode(&flipped).map(|ops| format!("{ops:?}")));
        }
        let mut longer = payload;
        longer.push(0);
        assert!(decode(&longer).is_err(), "bytes left over");
    }
}
