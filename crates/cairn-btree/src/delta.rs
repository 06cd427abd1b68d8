//! Deltas: what has changed in a leaf since its base, written in the place of the whole leaf.
//!
//! A leaf of a few kilobytes in which one entry has changed need not be written as a whole: a record of the changed entry,
//! which refers to the record that the leaf was written as before, its *base*, says as much. A delta holds all changes since the
//! base, so that a leaf is never made of more than two records, and a leaf of which much has changed is written as a whole again.
//! (JE's BIN-delta; how much is much minimises what is written over the life of a base, see [`Node::is_delta`].)
//!
//! A version of a leaf that will be written as a delta has a base that the version before has, too: as itself, or as the base of its
//! own delta. So from the base on there is no version of the leaf without it, and its bytes stay reachable. What makes this hold is
//! that whether a frozen leaf becomes a delta depends on that leaf alone, not on who writes it, or when.

use cairn_log::{Damage, Lsn, RecordKind, codec::DecodeError};

use crate::{
    NodeRecord, StoredNode,
    image::{Image, node_header},
    node::Node,
};

/// What became of a leaf since its base. Entries that were put since have a mark in the image.
#[derive(Clone, Debug)]
pub(crate) struct Since {
    /// The record of the whole leaf.
    pub(crate) base: StoredNode,
    /// The suffixes of keys that were removed since and are not there again, in order; the base need not have them.
    removed: Vec<Box<[u8]>>,
}

impl Since {
    pub(crate) fn memory(&self) -> usize {
        let removed = self.removed.iter().map(|suffix| size_of_val(suffix) + suffix.len());
        size_of::<Self>() + removed.sum::<usize>()
    }

    fn note_removed(&mut self, suffix: &[u8]) {
        if let Err(at) = self.removed.binary_search_by(|removed| (**removed).cmp(suffix)) {
            self.removed.insert(at, suffix.into());
        }
    }
}

impl Node {
    /// From now on changes are remembered as those since `base`, the record of this leaf as it is.
    pub(crate) fn set_base(&mut self, base: StoredNode) {
        self.image.clear_marks();
        self.since = Some(Box::new(Since { base, removed: Vec::new() }));
    }

    /// The node will be written as a whole.
    pub(crate) fn forget_base(&mut self) {
        if self.since.take().is_some() {
            self.image.clear_marks();
        }
    }

    /// The record that this leaf is held against, if there is one.
    pub(crate) fn base(&self) -> Option<StoredNode> {
        self.since.as_ref().map(|since| since.base)
    }

    /// Remembers that entry `i` was put.
    pub(crate) fn note_put(&mut self, i: usize) {
        if let Some(since) = &mut self.since {
            self.image.mark(i);
            if !since.removed.is_empty() {
                let suffix = self.image.entry(i).suffix;
                since.removed.retain(|removed| **removed != *suffix);
            }
        }
    }

    /// Removes entry `i`, and remembers that.
    pub(crate) fn remove(&mut self, i: usize) {
        /// So many removals make a leaf that is written as a whole.
        const MOST: usize = 32;
        if let Some(since) = &mut self.since {
            since.note_removed(self.image.entry(i).suffix);
            if since.removed.len() > MOST {
                self.forget_base();
            }
        }
        self.image.remove(i);
    }

    /// Whether the leaf is written as a delta: for a frozen one the answer never changes.
    ///
    /// With a delta of at most the part α of a leaf of n entries and B bytes, an update that is written alone costs about
    /// αB/2 + B/(αn): least at α = √(2/n).
    pub(crate) fn is_delta(&self) -> bool {
        const FEWEST: usize = 5;
        let Some(since) = &self.since else { return false };
        let count = self.image.count();
        let removed = since.removed.iter().map(|suffix| suffix.len() + REMOVAL);
        let put = (0..count).filter(|i| self.image.is_marked(*i)).map(|i| self.entry(i).size());
        let size = self.image.bare() + removed.sum::<usize>() + put.sum::<usize>();
        // α² = size² / whole² ≤ 2 / n, and α from an eighth to a good third: beyond that, and in leaves of a few entries, what is
        // written less is hardly worth the space that the changed entries of the base take meanwhile.
        let n = count.clamp(16, 128);
        count >= FEWEST && size * size * n <= 2 * self.size() * self.size()
    }

    /// The payload of the delta, if [it is written as one](Self::is_delta), and the base.
    pub(crate) fn delta(&self) -> Option<(Vec<u8>, StoredNode)> {
        let since = self.since.as_ref().filter(|_| self.is_delta())?;
        let mut delta = Image::new(self.image.tree(), 0, self.image.fences(), 256);
        let mut removed = since.removed.iter().peekable();
        let remove = |delta: &mut Image, suffix: &[u8]| {
            let i = delta.count();
            delta.insert(i, suffix, b"", false);
            delta.mark(i);
        };
        for i in (0..self.image.count()).filter(|i| self.image.is_marked(*i)) {
            let entry = self.entry(i);
            while let Some(suffix) = removed.next_if(|suffix| ***suffix < *entry.suffix) {
                remove(&mut delta, suffix);
            }
            delta.insert(delta.count(), entry.suffix, entry.value, entry.pointer);
        }
        removed.for_each(|suffix| remove(&mut delta, suffix));
        delta.set_base(since.base.lsn, since.base.crc);
        let mut body = Vec::with_capacity(delta.used());
        delta.store(&mut body);
        Some((body, since.base))
    }

    /// The leaf that `delta` makes of this one, its base. It keeps that, however much has changed: what is in use is what is on disk.
    fn changed_by(self, delta: &Image, base: StoredNode) -> Self {
        let mut this = self;
        this.set_base(base);
        for i in 0..delta.count() {
            let (key, entry) = (delta.key(i), delta.entry(i));
            let found = this.image.search(&key);
            if delta.is_marked(i) {
                // Also if the base does not have it: the next delta says what this one says.
                if let Some(since) = &mut this.since {
                    since.note_removed(this.image.suffix_of(&key));
                }
                if let Ok(at) = found {
                    this.image.remove(at);
                }
                continue;
            }
            match found {
                Ok(at) => this.image.replace(at, entry.value, entry.pointer),
                Err(at) => {
                    let suffix = this.image.suffix_of(&key);
                    this.image.insert(at, suffix, entry.value, entry.pointer);
                }
            }
            let (Ok(at) | Err(at)) = found;
            this.note_put(at);
        }
        this.image = this.image.copy_with_room(0);
        this
    }
}

/// Bytes of a removal in a delta, beside the key's suffix: two lengths, a head and a place.
const REMOVAL: usize = 11;

/// A delta as its record has it.
#[derive(Debug)]
pub(crate) struct Delta {
    pub(crate) image: Image,
    /// Commit number of the newest change.
    pub(crate) sequence: u64,
    /// Where the base stands.
    pub(crate) base: Lsn,
    /// The checksum of its record.
    crc: u32,
}

fn malformed(field: cairn_log::layout::Field, problem: &'static str) -> Damage {
    let source = DecodeError { field: field.name, at: field.offset, problem };
    Damage::Malformed { what: "delta of a leaf", source }
}

impl Delta {
    /// A delta out of a record's payload.
    ///
    /// # Errors
    /// If the payload is none.
    pub(crate) fn load(sequence: u64, body: Vec<u8>) -> Result<Self, Damage> {
        let image = Image::load_delta(body);
        let image =
            image.map_err(|source| Damage::Malformed { what: "delta of a leaf", source })?;
        let (base, crc) =
            image.base().ok_or_else(|| malformed(node_header::BASE, "is no position"))?;
        Ok(Self { image, sequence, base, crc })
    }

    /// The whole leaf, out of the record of its base.
    ///
    /// # Errors
    /// If the record is not its base: what is wrong with the record, or with the delta.
    pub(crate) fn onto(&self, record: NodeRecord) -> Result<Node, Wrong> {
        let (found, stored) = (record.kind, record.stored);
        if found != RecordKind::LEAF {
            return Err(Wrong::Base(Damage::WrongKind { expected: "a leaf with a delta", found }));
        }
        if stored.crc != self.crc {
            let problem = "is not that of the record at its base's position";
            return Err(Wrong::Delta(malformed(node_header::BASE_CRC, problem)));
        }
        let base = Node::load(found, record.sequence, record.body).map_err(Wrong::Base)?;
        let (ours, theirs) = (self.image.fences(), base.image.fences());
        if self.image.tree() != base.image.tree()
            || (ours.lower, ours.upper) != (theirs.lower, theirs.upper)
            || base.sequence > self.sequence
        {
            let problem = "is that of another leaf, or of a later one";
            return Err(Wrong::Delta(malformed(node_header::BASE, problem)));
        }
        let mut node = base.changed_by(&self.image, stored);
        node.sequence = self.sequence;
        Ok(node)
    }
}

/// Which of two records is wrong.
#[derive(Debug)]
pub(crate) enum Wrong {
    Delta(Damage),
    Base(Damage),
}

/// A node, and the records that it was made of.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) node: Node,
    pub(crate) stored: StoredNode,
    /// If that is a delta.
    pub(crate) base: Option<StoredNode>,
}

/// Why a node could not be loaded.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "records cannot be read, or are wrong")]
pub enum LoadError<E> {
    /// What the reader of records said.
    Read(E),
    /// A record is no node, or not the one that it should be.
    Damaged {
        /// Where it stands.
        lsn: Lsn,
        /// What is wrong with it.
        damage: Damage,
    },
}

/// The node whose record stands at `lsn`, with its base if it is a delta.
///
/// # Errors
/// What `read` says, and which record is wrong.
pub(crate) fn load<E>(
    lsn: Lsn,
    mut read: impl FnMut(Lsn) -> Result<NodeRecord, E>,
) -> Result<Loaded, LoadError<E>> {
    let mut record = |lsn| read(lsn).map_err(LoadError::Read);
    let damaged = |lsn, damage| LoadError::Damaged { lsn, damage };
    let NodeRecord { kind, sequence, body, stored } = record(lsn)?;
    if kind != RecordKind::LEAF_DELTA {
        let node = Node::load(kind, sequence, body).map_err(|damage| damaged(lsn, damage))?;
        return Ok(Loaded { node, stored, base: None });
    }
    let delta = Delta::load(sequence, body).map_err(|damage| damaged(lsn, damage))?;
    let node = delta.onto(record(delta.base)?).map_err(|wrong| match wrong {
        Wrong::Delta(damage) => damaged(lsn, damage),
        Wrong::Base(damage) => damaged(delta.base, damage),
    })?;
    let base = node.base();
    Ok(Loaded { node, stored, base })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Fences;

    /// A delta of many removals, as another version may write it: the leaf was taken for one that needs no base.
    #[test]
    fn a_leaf_keeps_its_base_however_much_its_delta_removes() {
        let fences = Fences { lower: b"", upper: None };
        let mut leaf = Node::leaf(Image::new(20, 0, fences, 0), false);
        let mut delta = Image::new(20, 0, fences, 0);
        for i in 0..50 {
            let key = format!("{i:03}");
            leaf.image.insert(i, key.as_bytes(), b"value", false);
            if i < 40 {
                delta.insert(i, key.as_bytes(), b"", false);
                delta.mark(i);
            }
        }
        let lsn = Lsn::from_raw(1 << 29).expect("a position");
        let (mut whole, mut body) = (Vec::new(), Vec::new());
        leaf.image.store(&mut whole);
        delta.set_base(lsn, 7);
        delta.store(&mut body);
        let loaded = load(Lsn::from_raw((1 << 29) + 1).expect("a position"), |at| {
            let stored = StoredNode { lsn: at, len: 100, crc: 7 };
            let (kind, body) = match at == lsn {
                true => (RecordKind::LEAF, whole.clone()),
                false => (RecordKind::LEAF_DELTA, body.clone()),
            };
            Ok::<_, ()>(NodeRecord { kind, sequence: 1, body, stored })
        })
        .expect("both are right");
        assert_eq!(loaded.node.image.count(), 10);
        assert_eq!(loaded.base.map(|base| base.lsn), Some(lsn));
    }
}
