//! `Node`: a leaf, a branch, or a leaf of the catalogue.

use cairn_log::{
    Damage, Lsn, RecordKind,
    codec::DecodeError,
    shared::atomic::{AtomicU64, Ordering},
};

use crate::{
    child::Child,
    delta::Since,
    image::{Entry, Fences, Image},
};

/// A node: its bytes, and references to its children.
///
/// A branch with *n* separators has *n* + 1 children; a leaf of the catalogue has one child per
/// entry, the root of that tree; other leaves have none. A frozen node never changes, with one
/// exception that nobody can observe: a reference to a record becomes a reference to the slot of
/// that record when the record is first loaded.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) image: Image,
    children: Vec<AtomicU64>,
    /// Commit number of the newest change.
    pub(crate) sequence: u64,
    catalog: bool,
    /// Of a leaf: what has changed since a record of it that may stay its base.
    pub(crate) since: Option<Box<Since>>,
}

/// Bytes of a child reference on disk.
const CHILD: usize = 8;

impl Node {
    pub(crate) fn leaf(image: Image, catalog: bool) -> Self {
        Self { image, children: Vec::new(), sequence: 0, catalog, since: None }
    }

    pub(crate) fn branch(image: Image, children: Vec<AtomicU64>) -> Self {
        debug_assert_eq!(image.count() + 1, children.len(), "separators stand between children");
        Self { image, children, sequence: 0, catalog: false, since: None }
    }

    /// A node out of a record's payload.
    ///
    /// # Errors
    /// If the payload is no node of this kind.
    pub(crate) fn load(kind: RecordKind, sequence: u64, body: Vec<u8>) -> Result<Self, Damage> {
        let per_count = |count: usize| match kind {
            RecordKind::BRANCH => (count + 1) * CHILD,
            RecordKind::CATALOG => count * CHILD,
            _ => 0,
        };
        if ![RecordKind::LEAF, RecordKind::BRANCH, RecordKind::CATALOG].contains(&kind) {
            return Err(Damage::WrongKind { expected: "a tree node", found: kind });
        }
        let malformed = |source| Damage::Malformed { what: "tree node", source };
        let (image, children) = Image::load(body, per_count).map_err(malformed)?;
        let wrong = |field, problem| malformed(DecodeError { field, at: 0, problem });
        if (image.level() > 0) != (kind == RecordKind::BRANCH) {
            return Err(wrong("level", "does not fit the kind of record"));
        }
        let catalog = kind == RecordKind::CATALOG;
        let (children, _) = children.as_chunks::<CHILD>();
        let mut references = Vec::with_capacity(children.len());
        for child in children {
            let raw = u64::from_le_bytes(*child);
            let child = match Lsn::from_raw(raw) {
                Some(lsn) => Child::Disk(lsn),
                None if catalog && raw == 0 => Child::Empty,
                None => return Err(wrong("child", "is no position")),
            };
            references.push(AtomicU64::new(child.to_word()));
        }
        Ok(Self { image, children: references, sequence, catalog, since: None })
    }

    pub(crate) fn kind(&self) -> RecordKind {
        match (self.catalog, self.level()) {
            (true, 0) => RecordKind::CATALOG,
            (_, 0) => RecordKind::LEAF,
            _ => RecordKind::BRANCH,
        }
    }

    pub(crate) fn level(&self) -> u8 {
        self.image.level()
    }

    pub(crate) fn is_leaf(&self) -> bool {
        self.level() == 0
    }

    pub(crate) fn is_catalog_leaf(&self) -> bool {
        self.catalog && self.is_leaf()
    }

    /// Leaves go when memory is short; what leads to them stays.
    pub(crate) fn may_be_evicted(&self) -> bool {
        self.is_leaf() && !self.catalog
    }

    pub(crate) fn entry(&self, i: usize) -> Entry<'_> {
        self.image.entry(i)
    }

    pub(crate) fn child_count(&self) -> usize {
        self.children.len()
    }

    pub(crate) fn child(&self, i: usize) -> Child {
        Child::from_word(self.children[i].load(Ordering::Acquire))
    }

    /// Remembers the slot of child `i`, a record that was just given one. All who do so for the
    /// same record store the same word.
    pub(crate) fn remember(&self, i: usize, child: Child) {
        self.children[i].store(child.to_word(), Ordering::Release);
    }

    pub(crate) fn set_child(&mut self, i: usize, child: Child) {
        *self.children[i].get_mut() = child.to_word();
    }

    pub(crate) fn insert_child(&mut self, i: usize, child: Child) {
        self.children.insert(i, AtomicU64::new(child.to_word()));
    }

    pub(crate) fn remove_child(&mut self, i: usize) -> Child {
        Child::from_word(self.children.remove(i).into_inner())
    }

    /// Copies of the references `from..to`.
    pub(crate) fn children(&self, from: usize, to: usize) -> Vec<AtomicU64> {
        let copy = |child: &AtomicU64| AtomicU64::new(child.load(Ordering::Acquire));
        self.children[from..to].iter().map(copy).collect()
    }

    /// Bytes that the node needs on disk.
    pub(crate) fn size(&self) -> usize {
        self.image.used() + self.children.len() * CHILD
    }

    /// Two nodes of the same kind out of images that hold this node's entries before `at` and from
    /// `from` on.
    pub(crate) fn parts(&self, left: Image, right: Image, at: usize, from: usize) -> (Self, Self) {
        let part = |image, children| Self {
            image,
            children,
            sequence: self.sequence,
            catalog: self.catalog,
            since: None,
        };
        if self.children.is_empty() {
            return (part(left, Vec::new()), part(right, Vec::new()));
        }
        // A branch has one child more than entries: the one before the separator that moved up.
        let end = if self.is_leaf() { at } else { at + 1 };
        (part(left, self.children(0, end)), part(right, self.children(from, self.children.len())))
    }

    /// A node out of an image that holds the entries of this one and of its right neighbour.
    pub(crate) fn joined(&self, right: &Self, image: Image) -> Self {
        let mut children = self.children(0, self.children.len());
        children.extend(right.children(0, right.children.len()));
        let sequence = self.sequence.max(right.sequence);
        Self { image, children, sequence, catalog: self.catalog, since: None }
    }

    /// What child `i` of a branch may hold.
    pub(crate) fn child_fences<'a>(
        &'a self,
        i: usize,
        low: &'a mut Vec<u8>,
        high: &'a mut Vec<u8>,
    ) -> Fences<'a> {
        let own = self.image.fences();
        let lower = if i == 0 {
            own.lower
        } else {
            self.image.key_into(i - 1, low);
            &low[..]
        };
        let upper = if i == self.image.count() {
            own.upper
        } else {
            self.image.key_into(i, high);
            Some(&high[..])
        };
        Fences { lower, upper }
    }

    /// A copy that the writer may change, with some room for it. It has the same base, if there is one.
    pub(crate) fn to_private(&self) -> Self {
        let used = self.image.used();
        Self {
            image: self.image.copy_with_room(used + used / 8 + 64),
            children: self.children(0, self.children.len()),
            sequence: self.sequence,
            catalog: self.catalog,
            since: self.since.clone(),
        }
    }

    /// Bytes that the node takes in memory.
    pub(crate) fn memory(&self) -> usize {
        size_of::<Self>()
            + 2 * size_of::<usize>()
            + self.image.allocated()
            + self.children.capacity() * CHILD
            + self.since.as_ref().map_or(0, |since| since.memory())
    }

    /// The payload of the record of the whole node. `lsn_of` says where each child stands; it must know.
    pub(crate) fn store<E>(
        &self,
        mut lsn_of: impl FnMut(Child) -> Result<Option<Lsn>, E>,
    ) -> Result<Vec<u8>, E> {
        let mut body = Vec::with_capacity(self.image.used() + self.children.len() * CHILD);
        if self.since.is_some() {
            let mut plain = self.image.clone();
            plain.clear_marks();
            plain.store(&mut body);
        } else {
            self.image.store(&mut body);
        }
        for i in 0..self.children.len() {
            let raw = lsn_of(self.child(i))?.map_or(0, Lsn::to_raw);
            body.extend_from_slice(&raw.to_le_bytes());
        }
        Ok(body)
    }
}
