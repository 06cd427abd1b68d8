//! A node's bytes: the same in memory and on disk, checked once when they are loaded.
//!
//! ```text
//! header 32 B | lower fence | upper fence | heads: n × 4 B | places: n × 4 B | gap | heap of entries
//! ```
//!
//! The gap exists in memory only, so that entries can be added; places count back from the end of
//! the heap and stay right without it. A head holds the next four key bytes after the prefix that
//! all keys of the node share, so a search compares numbers that lie side by side. An entry is the
//! length of its key suffix, the length of its value, the suffix and the value.

use std::{cmp::Ordering, hint::black_box};

use cairn_log::{
    Lsn,
    codec::{ByteReader, ByteWriter as _, DecodeError, varint_len},
    layout::Field,
};

use crate::{
    MAX_KEY_LEN,
    key::{common_prefix, head},
    memory::NodeBytes,
};

cairn_log::layout! {
    /// The beginning of a node's payload.
    pub mod node_header {
        COUNT: 2 = "number of entries",
        PREFIX: 2 = "bytes that all keys share: the first bytes of the lower fence; entries hold the rest",
        LOWER: 2 = "length of the lower fence: no key is below it",
        UPPER: 2 = "length of the upper fence: all keys are below it; 0xffff: there is none",
        TREE: 4 = "number of the tree",
        LEVEL: 1 = "0 for a leaf, else one more than that of the children",
        VERSION: 1 = "version of the node layout, 1",
        RESERVED: 2 = "zero",
        HEAP: 4 = "bytes of the heap",
        BASE_CRC: 4 = "in a delta: CRC-32C of its base's payload as it is stored; else zero",
        BASE: 8 = "in a delta: position of its base, a leaf; else zero",
    }
}

cairn_log::layout! {
    /// What stands for an entry in front of the heap; all heads first, then all places.
    pub mod node_slot {
        HEAD: 4 = "first four bytes of the key suffix as a big-endian number, filled with zeros, stored little-endian",
        PLACE: 4 = "distance of the entry from the end of the heap; bit 31: the value is a pointer to a large value; bit 30, in a delta: the entry was removed",
    }
}

cairn_log::layout! {
    /// The value of an entry whose value is elsewhere.
    pub mod value_pointer {
        LSN: 8 = "position of the value's first byte",
        LENGTH: 4 = "bytes of the value",
        CRC: 4 = "CRC-32C of the value",
    }
}

/// Bytes that come from memory together.
const CACHE_LINE: usize = 64;

const HEADER: usize = node_header::LEN;
const SLOT: usize = node_slot::LEN;
const NO_UPPER: u16 = u16::MAX;
const POINTER_BIT: u32 = 1 << 31;
/// Of an entry of a delta: it was removed since the base. Of an entry of a leaf in memory: it was put since the base, which is
/// never stored.
const MARK_BIT: u32 = 1 << 30;
const VERSION: u8 = 1;
/// A heap stays far below this; places have 30 bits.
const MAX_HEAP: usize = 1 << 28;

/// What all entries of a node have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fences<'a> {
    pub(crate) lower: &'a [u8],
    pub(crate) upper: Option<&'a [u8]>,
}

impl Fences<'_> {
    /// Bytes that every key between the fences begins with.
    fn prefix_len(&self) -> usize {
        self.upper.map_or(0, |upper| common_prefix(self.lower, upper))
    }

    pub(crate) fn contain(&self, key: &[u8]) -> bool {
        self.lower <= key && self.upper.is_none_or(|upper| key < upper)
    }
}

/// One entry, as stored: the suffix of its key, and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) suffix: &'a [u8],
    pub(crate) value: &'a [u8],
    /// Whether the value is a pointer to a large value.
    pub(crate) pointer: bool,
}

impl Entry<'_> {
    fn len(&self) -> usize {
        entry_len(self.suffix.len(), self.value.len())
    }

    /// Bytes that it takes in a node, with what stands for it in front of the heap.
    pub(crate) fn size(&self) -> usize {
        self.len() + SLOT
    }
}

fn entry_len(suffix: usize, value: usize) -> usize {
    varint_len(suffix as u64) + varint_len(value as u64) + suffix + value
}

/// As what bytes are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A node.
    Whole,
    /// What has changed in a leaf.
    Delta,
}

/// The tree, the level and the lower fence of a node, out of its bytes, of which nothing else is looked at.
///
/// # Errors
/// The field that makes no sense.
pub(crate) fn name(bytes: &[u8]) -> Result<(u32, u8, &[u8]), DecodeError> {
    let wrong =
        |field: Field, problem| DecodeError { field: field.name, at: field.offset, problem };
    if bytes.len() < HEADER {
        return Err(wrong(node_header::COUNT, "ends too early"));
    }
    if bytes[node_header::VERSION.offset] != VERSION {
        return Err(wrong(node_header::VERSION, "is unknown"));
    }
    let lower = bytes[HEADER..].get(..size_of(bytes, node_header::LOWER));
    let lower = lower.ok_or_else(|| wrong(node_header::LOWER, "is longer than the record"))?;
    let tree = u32::try_from(node_header::TREE.number(bytes)).unwrap_or(0);
    Ok((tree, bytes[node_header::LEVEL.offset], lower))
}

/// A node's bytes and the few numbers that are asked for all the time.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    bytes: NodeBytes,
    count: usize,
    prefix: usize,
    /// Offset of the heads; the places follow them.
    slots: usize,
    /// Bytes of the heap, at the end of `bytes`.
    heap: usize,
    /// Bytes of the heap that no slot refers to.
    holes: usize,
}

impl Image {
    /// An empty node with room for about `room` bytes of entries.
    pub(crate) fn new(tree: u32, level: u8, fences: Fences<'_>, room: usize) -> Self {
        let (lower, upper) = (fences.lower, fences.upper.unwrap_or_default());
        let slots = HEADER + lower.len() + upper.len();
        let mut bytes = NodeBytes::unfilled(slots + room); // nobody looks into the gap
        bytes[..HEADER].fill(0);
        let prefix = fences.prefix_len();
        let numbers: &[(Field, u64)] = &[
            (node_header::PREFIX, prefix as u64),
            (node_header::LOWER, lower.len() as u64),
            (node_header::UPPER, fences.upper.map_or(NO_UPPER.into(), |upper| upper.len() as u64)),
            (node_header::TREE, tree.into()),
            (node_header::LEVEL, level.into()),
            (node_header::VERSION, VERSION.into()),
        ];
        for (field, value) in numbers {
            field.set_number(&mut bytes, *value);
        }
        bytes[HEADER..HEADER + lower.len()].copy_from_slice(lower);
        bytes[HEADER + lower.len()..slots].copy_from_slice(upper);
        Self { bytes, count: 0, prefix, slots, heap: 0, holes: 0 }
    }

    /// Checks the bytes of a loaded node: afterwards no access can leave them, whatever they hold.
    /// `children` bytes at the end belong to the caller and are cut off.
    ///
    /// # Errors
    /// The field that makes no sense.
    pub(crate) fn load(
        bytes: Vec<u8>,
        children_of: impl FnOnce(usize) -> usize,
    ) -> Result<(Self, Vec<u8>), DecodeError> {
        Self::load_as(Form::Whole, bytes, children_of)
    }

    /// As [`Image::load`], for the bytes of a delta.
    ///
    /// # Errors
    /// The field that makes no sense.
    pub(crate) fn load_delta(bytes: Vec<u8>) -> Result<Self, DecodeError> {
        let (image, _) = Self::load_as(Form::Delta, bytes, |_| 0)?;
        if image.level() != 0 {
            let (field, at) = (node_header::LEVEL.name, node_header::LEVEL.offset);
            return Err(DecodeError { field, at, problem: "is not that of a leaf" });
        }
        Ok(image)
    }

    fn load_as(
        form: Form,
        mut bytes: Vec<u8>,
        children_of: impl FnOnce(usize) -> usize,
    ) -> Result<(Self, Vec<u8>), DecodeError> {
        let wrong =
            |field: Field, problem| DecodeError { field: field.name, at: field.offset, problem };
        if bytes.len() < HEADER {
            return Err(wrong(node_header::COUNT, "ends too early"));
        }
        let number = |field: Field| field.number(&bytes);
        let size = |field: Field| usize::try_from(field.number(&bytes)).unwrap_or(usize::MAX);
        if number(node_header::VERSION) != VERSION.into() {
            return Err(wrong(node_header::VERSION, "is unknown"));
        }
        let zeros = [node_header::RESERVED, node_header::BASE_CRC, node_header::BASE];
        let zeros = if form == Form::Delta { &zeros[..1] } else { &zeros };
        if let Some(field) = zeros.iter().find(|field| number(**field) != 0) {
            return Err(wrong(*field, "is not zero"));
        }
        let (count, heap) = (size(node_header::COUNT), size(node_header::HEAP));
        let lower = size(node_header::LOWER);
        let upper = Some(size(node_header::UPPER)).filter(|&len| len != NO_UPPER.into());
        if lower > MAX_KEY_LEN || upper.is_some_and(|len| len > MAX_KEY_LEN) {
            return Err(wrong(node_header::LOWER, "is longer than a key can be"));
        }
        let slots = HEADER + lower + upper.unwrap_or(0);
        let children = children_of(count);
        if heap > MAX_HEAP || slots + count * SLOT + heap + children != bytes.len() {
            return Err(wrong(node_header::HEAP, "does not fit the length of the record"));
        }
        let tail = bytes.split_off(bytes.len() - children);
        let image = Self {
            prefix: size_of(&bytes, node_header::PREFIX),
            bytes: NodeBytes::of(bytes),
            count,
            slots,
            heap,
            holes: 0,
        };
        let fences = image.fences();
        if image.prefix > fences.prefix_len()
            || fences.upper.is_some_and(|upper| fences.lower >= upper)
        {
            return Err(wrong(node_header::PREFIX, "does not fit the fences"));
        }
        image.check_entries(form)?;
        Ok((image, tail))
    }

    /// Checks that each slot refers to an entry, that the keys are in order, and that they lie
    /// between the fences.
    fn check_entries(&self, form: Form) -> Result<(), DecodeError> {
        let mut last: Option<(u32, &[u8])> = None;
        let mut used = 0;
        for i in 0..self.count {
            let at = self.slots + 4 * i;
            let wrong = |field: Field, problem| DecodeError { field: field.name, at, problem };
            let (slot_head, place, pointer) = self.slot(i);
            if place == 0 || place > self.heap {
                return Err(wrong(node_slot::PLACE, "lies outside of the heap"));
            }
            let mut reader = ByteReader::new(&self.bytes[self.bytes.len() - place..]);
            let suffix_max = MAX_KEY_LEN - self.prefix;
            let suffix_len = reader.varint_max("suffix length", suffix_max as u64)?;
            let value_len = reader.varint_max("value length", MAX_HEAP as u64)?;
            let to_len = |len: u64| usize::try_from(len).unwrap_or(usize::MAX);
            let suffix = reader.bytes("key", to_len(suffix_len))?;
            reader.bytes("value", to_len(value_len))?;
            used += reader.position();
            if pointer && value_len != value_pointer::LEN as u64 {
                return Err(wrong(node_slot::PLACE, "marks a pointer of the wrong length"));
            }
            if self.is_marked(i) && (form == Form::Whole || value_len > 0) {
                return Err(wrong(node_slot::PLACE, "marks a removal where there can be none"));
            }
            if head(suffix) != slot_head {
                return Err(wrong(node_slot::HEAD, "does not fit the key"));
            }
            // Heads mostly differ, so the whole keys are rarely compared.
            if last.is_some_and(|(h, s)| h > slot_head || h == slot_head && s >= suffix) {
                return Err(wrong(node_slot::HEAD, "is out of order"));
            }
            last = Some((slot_head, suffix));
        }
        let wrong = |problem| DecodeError { field: "entries", at: self.slots, problem };
        if used != self.heap {
            return Err(wrong("do not fill the heap"));
        }
        if self.count > 0 {
            let fences = self.fences();
            if !fences.contain(&self.key(0)) || !fences.contain(&self.key(self.count - 1)) {
                return Err(wrong("lie outside of the fences"));
            }
        }
        Ok(())
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn tree(&self) -> u32 {
        u32::try_from(node_header::TREE.number(&self.bytes)).unwrap_or(0)
    }

    pub(crate) fn level(&self) -> u8 {
        self.bytes[node_header::LEVEL.offset]
    }

    /// Bytes that the node needs on disk, apart from its children.
    pub(crate) fn used(&self) -> usize {
        self.slots + self.count * SLOT + self.heap - self.holes
    }

    /// Bytes that the node takes in memory.
    pub(crate) fn allocated(&self) -> usize {
        self.bytes.allocated()
    }

    pub(crate) fn fences(&self) -> Fences<'_> {
        let lower = size_of(&self.bytes, node_header::LOWER);
        let upper = &self.bytes[HEADER + lower..self.slots];
        let none = node_header::UPPER.number(&self.bytes) == u64::from(NO_UPPER);
        Fences {
            lower: &self.bytes[HEADER..HEADER + lower],
            upper: if none { None } else { Some(upper) },
        }
    }

    /// The bytes that all keys begin with.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.bytes[HEADER..HEADER + self.prefix]
    }

    fn word(&self, at: usize) -> u32 {
        let (bytes, _) = self.bytes[at..].split_first_chunk::<4>().expect("slots lie inside");
        u32::from_le_bytes(*bytes)
    }

    /// Head, place, and whether the value is a pointer.
    fn slot(&self, i: usize) -> (u32, usize, bool) {
        let (place, pointer) = self.place(i);
        (self.word(self.slots + 4 * i), place, pointer)
    }

    fn place(&self, i: usize) -> (usize, bool) {
        let place = self.place_word(i);
        ((place & !(POINTER_BIT | MARK_BIT)) as usize, place & POINTER_BIT != 0)
    }

    fn place_word(&self, i: usize) -> u32 {
        self.word(self.slots + 4 * (self.count + i))
    }

    /// Whether entry `i` is marked: as one that was removed, in a delta; as one that was put since the base, in memory.
    pub(crate) fn is_marked(&self, i: usize) -> bool {
        self.place_word(i) & MARK_BIT != 0
    }

    /// Marks entry `i`.
    pub(crate) fn mark(&mut self, i: usize) {
        self.set_place_word(i, self.place_word(i) | MARK_BIT);
    }

    /// Takes all marks away.
    pub(crate) fn clear_marks(&mut self) {
        for i in 0..self.count {
            self.set_place_word(i, self.place_word(i) & !MARK_BIT);
        }
    }

    fn set_place_word(&mut self, i: usize, word: u32) {
        let at = self.slots + 4 * (self.count + i);
        self.bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }

    /// Of a delta: where its base stands, and the checksum of that; `None` if that is no position.
    pub(crate) fn base(&self) -> Option<(Lsn, u32)> {
        let crc = u32::try_from(node_header::BASE_CRC.number(&self.bytes)).ok()?;
        Some((Lsn::from_raw(node_header::BASE.number(&self.bytes))?, crc))
    }

    /// Makes it a delta of this base.
    pub(crate) fn set_base(&mut self, lsn: Lsn, crc: u32) {
        node_header::BASE_CRC.set_number(&mut self.bytes, crc.into());
        node_header::BASE.set_number(&mut self.bytes, lsn.to_raw());
    }

    /// Bytes that the node, or a delta of it, takes without any entry.
    pub(crate) fn bare(&self) -> usize {
        self.slots
    }

    fn heads(&self) -> &[[u8; 4]] {
        self.bytes[self.slots..self.slots + 4 * self.count].as_chunks().0
    }

    /// Entry number `i`, which must exist.
    pub(crate) fn entry(&self, i: usize) -> Entry<'_> {
        let (place, pointer) = self.place(i);
        let bytes = &self.bytes[self.bytes.len() - place..];
        let (suffix_len, at) = short_varint(bytes, 0);
        let (value_len, at) = short_varint(bytes, at);
        let suffix = &bytes[at..at + suffix_len];
        Entry { suffix, value: &bytes[at + suffix_len..][..value_len], pointer }
    }

    /// The whole key of entry `i`, in `key`.
    pub(crate) fn key_into(&self, i: usize, key: &mut Vec<u8>) {
        key.clear();
        key.extend_from_slice(self.prefix());
        key.extend_from_slice(self.entry(i).suffix);
    }

    pub(crate) fn key(&self, i: usize) -> Vec<u8> {
        let mut key = Vec::new();
        self.key_into(i, &mut key);
        key
    }

    /// The entry with this key (`Ok`), or where it would stand (`Err`). The key must lie between the
    /// fences, so that it begins with the prefix.
    pub(crate) fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let suffix = key.get(self.prefix..).unwrap_or_default();
        let wanted = head(suffix);
        let heads = self.heads();
        let first = lower_bound(heads, wanted);
        // Usually at most one entry has this head; with several, the whole suffix decides.
        let same = heads[first..].iter().take_while(|head| u32::from_le_bytes(**head) == wanted);
        let (mut low, mut high) = (first, first + same.count());
        while low < high {
            let middle = low.midpoint(high);
            match self.entry(middle).suffix.cmp(suffix) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok(middle),
                Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Touches what a [search](Self::search) is going to look at.
    pub(crate) fn approach_heads(&self) {
        for line in self.bytes[..self.slots + SLOT * self.count].chunks(CACHE_LINE) {
            black_box(line[0]);
        }
    }

    /// Touches entry `i`, which must exist.
    pub(crate) fn approach(&self, i: usize) {
        let (place, _) = self.place(i);
        black_box(self.bytes[self.bytes.len() - place]);
    }

    /// Which child of a branch covers `key`: the number of separators that are not above it.
    pub(crate) fn child_index(&self, key: &[u8]) -> usize {
        match self.search(key) {
            Ok(i) => i + 1,
            Err(i) => i,
        }
    }

    fn gap(&self) -> usize {
        self.bytes.len() - self.heap - (self.slots + self.count * SLOT)
    }

    /// Adds an entry at position `i`, which must be its place in the order.
    pub(crate) fn insert(&mut self, i: usize, suffix: &[u8], value: &[u8], pointer: bool) {
        let len = entry_len(suffix.len(), value.len());
        if self.gap() < len + SLOT {
            self.make_room(len + SLOT);
        }
        let place = self.push(suffix, value);
        let (head_at, place_at) = (self.slots + 4 * i, self.slots + 4 * (self.count + i));
        let end = self.slots + self.count * SLOT;
        self.bytes.copy_within(place_at..end, place_at + 8);
        self.bytes.copy_within(head_at..place_at, head_at + 4);
        self.count += 1;
        self.set_slot(i, head(suffix), place, pointer);
        self.set_counts();
    }

    /// Removes entry `i`.
    pub(crate) fn remove(&mut self, i: usize) {
        self.holes += self.entry(i).len();
        let (head_at, place_at) = (self.slots + 4 * i, self.slots + 4 * (self.count + i));
        let end = self.slots + self.count * SLOT;
        self.bytes.copy_within(head_at + 4..place_at, head_at);
        self.bytes.copy_within(place_at + 4..end, place_at - 4);
        self.count -= 1;
        self.set_counts();
    }

    /// Gives entry `i` another value.
    pub(crate) fn replace(&mut self, i: usize, value: &[u8], pointer: bool) {
        let (slot_head, place, _) = self.slot(i);
        let old = self.entry(i);
        if old.value.len() == value.len() {
            let end = self.bytes.len() - place + old.len();
            self.bytes[end - value.len()..end].copy_from_slice(value);
            self.set_slot(i, slot_head, place, pointer);
        } else {
            let suffix = old.suffix.to_vec();
            self.remove(i);
            self.insert(i, &suffix, value, pointer);
        }
    }

    /// Writes an entry at the front of the heap and returns its place. The gap must have room.
    fn push(&mut self, suffix: &[u8], value: &[u8]) -> usize {
        let len = entry_len(suffix.len(), value.len());
        self.heap += len;
        let start = self.bytes.len() - self.heap;
        let mut at = start;
        for number in [suffix.len(), value.len()] {
            at = put_short_varint(&mut self.bytes, at, number);
        }
        self.bytes[at..at + suffix.len()].copy_from_slice(suffix);
        at += suffix.len();
        self.bytes[at..at + value.len()].copy_from_slice(value);
        self.heap
    }

    fn set_slot(&mut self, i: usize, slot_head: u32, place: usize, pointer: bool) {
        let head_at = self.slots + 4 * i;
        let place = u32::try_from(place).expect("a heap is smaller than 2^30 bytes");
        self.bytes[head_at..head_at + 4].copy_from_slice(&slot_head.to_le_bytes());
        self.set_place_word(i, if pointer { place | POINTER_BIT } else { place });
    }

    fn set_counts(&mut self) {
        node_header::COUNT.set_number(&mut self.bytes, self.count as u64);
        node_header::HEAP.set_number(&mut self.bytes, self.heap as u64);
    }

    /// Grows the gap to at least `len` bytes, leaving holes behind.
    fn make_room(&mut self, len: usize) {
        let room = self.used() - self.slots + len;
        *self = self.copy_with_room(room + room / 4);
    }

    /// A copy with the same entries, no holes, and about `room` bytes for entries.
    pub(crate) fn copy_with_room(&self, room: usize) -> Self {
        let live = self.used() - self.slots;
        let mut bytes = NodeBytes::unfilled(self.slots + room.max(live)); // nobody looks into the gap
        if self.holes == 0 {
            let front = self.slots + self.count * SLOT;
            bytes[..front].copy_from_slice(&self.bytes[..front]);
            let (to, from) = (bytes.len() - self.heap, self.bytes.len() - self.heap);
            bytes[to..].copy_from_slice(&self.bytes[from..]);
            return Self { bytes, ..*self };
        }
        bytes[..self.slots].copy_from_slice(&self.bytes[..self.slots]);
        let mut copy = Self { bytes, heap: 0, holes: 0, ..*self };
        for i in 0..self.count {
            let entry = self.entry(i);
            let place = copy.push(entry.suffix, entry.value);
            copy.set_slot(i, self.slot(i).0, place, entry.pointer);
            if self.is_marked(i) {
                copy.mark(i);
            }
        }
        copy.set_counts();
        copy
    }

    /// Appends the entries `from..to` of another image to this one, whose fences may differ.
    pub(crate) fn extend(&mut self, other: &Self, from: usize, to: usize) {
        // Both prefixes are beginnings of the same keys, so a suffix is lengthened or shortened.
        let mut suffix = Vec::new();
        for i in from..to {
            let entry = other.entry(i);
            let cut = if self.prefix <= other.prefix {
                suffix.clear();
                suffix.extend_from_slice(&other.prefix()[self.prefix..]);
                suffix.extend_from_slice(entry.suffix);
                &suffix[..]
            } else {
                &entry.suffix[self.prefix - other.prefix..]
            };
            self.insert(self.count, cut, entry.value, entry.pointer);
        }
    }

    /// The part of `key` that an entry of this node holds.
    pub(crate) fn suffix_of<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        key.get(self.prefix..).unwrap_or_default()
    }

    /// Appends the bytes as they are stored: without gap and holes.
    pub(crate) fn store(&self, out: &mut Vec<u8>) {
        if self.holes > 0 {
            return self.copy_with_room(0).store(out);
        }
        out.extend_from_slice(&self.bytes[..self.slots + self.count * SLOT]);
        out.extend_from_slice(&self.bytes[self.bytes.len() - self.heap..]);
    }
}

/// How many heads are below `wanted`. The heads are ascending.
///
/// Short runs are counted from end to end without a branch: the loads do not wait for each other,
/// which on a node that is not in the processor's cache beats a search that jumps.
fn lower_bound(heads: &[[u8; 4]], wanted: u32) -> usize {
    const SHORT: usize = 128;
    let below = |head: &[u8; 4]| u32::from_le_bytes(*head) < wanted;
    if heads.len() <= SHORT {
        heads.iter().map(|head| usize::from(below(head))).sum()
    } else {
        heads.partition_point(below)
    }
}

fn size_of(bytes: &[u8], field: Field) -> usize {
    usize::try_from(field.number(bytes)).unwrap_or(usize::MAX)
}

/// A number of at most 28 bits at `at`, and where it ends. The bytes were checked when the node was
/// loaded.
fn short_varint(bytes: &[u8], mut at: usize) -> (usize, usize) {
    let first = bytes[at];
    if first < 0x80 {
        return (first as usize, at + 1);
    }
    let mut value = (first & 0x7f) as usize;
    let mut shift = 7;
    loop {
        at += 1;
        let byte = bytes[at];
        value |= ((byte & 0x7f) as usize) << shift;
        if byte < 0x80 {
            return (value, at + 1);
        }
        shift += 7;
    }
}

fn seven_bits(value: usize) -> u8 {
    u8::try_from(value & 0x7f).expect("seven bits fit")
}

fn put_short_varint(bytes: &mut [u8], mut at: usize, mut value: usize) -> usize {
    while value >= 0x80 {
        bytes[at] = seven_bits(value) | 0x80;
        value >>= 7;
        at += 1;
    }
    bytes[at] = seven_bits(value);
    at + 1
}

/// Where a large value stands, and how to know that it is the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "part of the node format")]
pub struct ValuePointer {
    /// Position of the first byte, as [`cairn_log::Lsn::to_raw`] gives it.
    pub lsn: u64,
    /// Bytes of the value.
    pub len: u32,
    /// CRC-32C of the value.
    pub crc: u32,
}

impl ValuePointer {
    /// The pointer's bytes in a leaf.
    #[must_use]
    pub fn encode(&self) -> [u8; value_pointer::LEN] {
        let mut bytes = Vec::with_capacity(value_pointer::LEN);
        bytes.put_u64(self.lsn);
        bytes.put_u32(self.len);
        bytes.put_u32(self.crc);
        bytes.try_into().expect("the sizes add up")
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let narrow =
            |field: Field| u32::try_from(field.number(bytes)).expect("the field has 4 bytes");
        Self {
            lsn: value_pointer::LSN.number(bytes),
            len: narrow(value_pointer::LENGTH),
            crc: narrow(value_pointer::CRC),
        }
    }
}

#[cfg(test)]
mod tests;
