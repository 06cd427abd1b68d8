//! `Child`: how a node refers to the nodes below it, in one word.

use cairn_log::Lsn;

/// Which slot, and in which life of it: a slot is used again when its node is gone, and the stamp
/// then differs. A mistake in the rules of reuse becomes an error, never another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SlotId {
    pub(crate) index: u32,
    pub(crate) stamp: u32,
}

impl SlotId {
    /// Stamps have 30 bits.
    pub(crate) const STAMP_MASK: u32 = (1 << 30) - 1;
}

/// A reference to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Child {
    /// No node: an empty tree.
    Empty,
    /// A record on disk that was not asked for since its parent was loaded.
    Disk(Lsn),
    /// A frozen node, resident or evicted.
    Slot(SlotId),
    /// A node of the current gen, by its place in the writer. Never in a frozen node.
    Private(usize),
}

const TAG_SHIFT: u32 = 62;
const DISK: u64 = 1;
const SLOT: u64 = 2;
const PRIVATE: u64 = 3;

impl Child {
    /// The reference as one word: a tag in the upper two bits.
    pub(crate) fn to_word(self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Disk(lsn) => DISK << TAG_SHIFT | lsn.to_raw(),
            Self::Slot(id) => SLOT << TAG_SHIFT | u64::from(id.stamp) << 32 | u64::from(id.index),
            Self::Private(place) => PRIVATE << TAG_SHIFT | place as u64,
        }
    }

    /// The reference in a word that [`Child::to_word`] made.
    pub(crate) fn from_word(word: u64) -> Self {
        let rest = word & !(3 << TAG_SHIFT);
        match word >> TAG_SHIFT {
            DISK => Lsn::from_raw(rest).map_or(Self::Empty, Self::Disk),
            SLOT => {
                let stamp = u32::try_from(rest >> 32).expect("30 bits fit");
                let index = u32::try_from(rest & u64::from(u32::MAX)).expect("32 bits fit");
                Self::Slot(SlotId { index, stamp })
            }
            PRIVATE => Self::Private(usize::try_from(rest).expect("it was a usize")),
            _ => Self::Empty,
        }
    }
}

const _: () = assert!(Lsn::BITS <= TAG_SHIFT, "the tag has its own bits");

#[cfg(test)]
mod tests {
    use cairn_log::FileNumber;

    use super::*;

    #[test]
    fn a_reference_survives_its_word() {
        let lsn = Lsn::new(FileNumber::new(u32::MAX).unwrap(), Lsn::MAX_OFFSET - 8).unwrap();
        for child in [
            Child::Empty,
            Child::Disk(lsn),
            Child::Slot(SlotId { index: u32::MAX, stamp: SlotId::STAMP_MASK }),
            Child::Slot(SlotId { index: 0, stamp: 0 }),
            Child::Private(0),
            Child::Private(123_456),
        ] {
            assert_eq!(Child::from_word(child.to_word()), child);
        }
    }
}
