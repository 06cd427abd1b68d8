//! Split and merge, and what the parents learn of it.
//!
//! Both work on nodes that the writer owns, so they touch memory only and cannot fail. A sibling
//! that is not in memory is not fetched for a merge: a small leaf that stays is harmless, a read
//! under the commit lock is not.

use crate::{
    TreeWriter,
    child::Child,
    image::{Fences, Image},
    key::separator,
    node::Node,
    writer::Path,
};

/// Splits the leaf of `path`, and its ancestors where they become too large. `at_end`: only the last
/// entry moves, for entries that come in order.
pub(crate) fn split(writer: &mut TreeWriter, root: &mut Child, path: Path, at_end: bool) {
    let Path { mut branches, leaf } = path;
    let mut node = leaf;
    let mut at_end = at_end;
    loop {
        let (between, right) = halve(writer, node, at_end);
        let right = Child::Private(right);
        let Some((parent, i)) = branches.pop() else {
            let old = writer.node(node);
            let whole = Fences { lower: b"", upper: None };
            let mut image = Image::new(old.image.tree(), old.level() + 1, whole, 256);
            image.insert(0, &between, b"", false);
            let mut branch = Node::branch(
                Image::new(old.image.tree(), old.level() + 1, whole, 0),
                vec![0.into()],
            );
            branch.image = image;
            branch.set_child(0, Child::Private(node));
            branch.insert_child(1, right);
            branch.sequence = old.sequence;
            *root = Child::Private(writer.add(branch));
            return;
        };
        let sequence = writer.node(node).sequence;
        writer.change(parent, |branch| {
            let suffix = branch.image.suffix_of(&between).to_vec();
            branch.image.insert(i, &suffix, b"", false);
            branch.insert_child(i + 1, right);
            branch.sequence = sequence;
        });
        if !is_too_large(writer, parent) {
            return;
        }
        at_end = at_end && i + 2 == writer.node(parent).child_count();
        node = parent;
    }
}

fn is_too_large(writer: &TreeWriter, branch: usize) -> bool {
    let (node, options) = (writer.node(branch), &writer.forest.options);
    let count = node.image.count();
    count > options.branch_entries || node.size() > options.branch_bytes && count >= 3
}

/// Moves the upper part of a node into a new one; returns the separator and the new node.
fn halve(writer: &mut TreeWriter, node: usize, at_end: bool) -> (Vec<u8>, usize) {
    let old = writer.node(node);
    let count = old.image.count();
    let at = if at_end { count - 1 } else { middle(old) };
    let (tree, level) = (old.image.tree(), old.level());
    // In a branch the separator at the cut moves up; in a leaf all entries stay.
    let (between, from) = if cairn_log::planted::is(21) && old.is_leaf() {
        (old.image.key(at - 1), at) // Planted: a separator that is too low.
    } else if old.is_leaf() {
        (separator(&old.image.key(at - 1), &old.image.key(at)).to_vec(), at)
    } else {
        (old.image.key(at), at + 1)
    };
    let Fences { lower, upper } = old.image.fences();
    let entries = old.image.used() - old.image.bare();
    let (left_room, right_room) = if at_end {
        // All of the one part stays, and the other gets as much again.
        (entries - old.entry(count - 1).size(), entries)
    } else {
        (entries / 2 + 128, entries / 2 + 128)
    };
    let mut left = Image::new(tree, level, Fences { lower, upper: Some(&between) }, left_room);
    left.extend(&old.image, 0, at);
    let mut right = Image::new(tree, level, Fences { lower: &between, upper }, right_room);
    right.extend(&old.image, from, count);
    let (left, right) = old.parts(left, right, at, from);
    writer.change(node, |node| *node = left);
    (between, writer.add(right))
}

/// Where to cut so that both parts have about the same number of bytes, and at least one entry.
fn middle(node: &Node) -> usize {
    let count = node.image.count();
    let sizes = (0..count).map(|i| {
        let entry = node.entry(i);
        entry.suffix.len() + entry.value.len() + 16
    });
    let half = sizes.clone().sum::<usize>() / 2;
    let mut sum = 0;
    let cut = sizes.take_while(|size| {
        sum += size;
        sum <= half
    });
    // A branch gives the separator at the cut away, so something must remain on both sides of it.
    let last = if node.is_leaf() { count - 1 } else { count.saturating_sub(2).max(1) };
    cut.count().clamp(1, last)
}

/// Merges the leaf of `path`, which has become small, with a neighbour if both together are not too
/// large; then its ancestors likewise.
pub(crate) fn merge(writer: &mut TreeWriter, root: &mut Child, path: Path) {
    let Path { mut branches, leaf } = path;
    let mut node = leaf;
    loop {
        let Some((parent, i)) = branches.pop() else {
            let old = writer.node(node);
            if old.image.count() == 0 {
                // A leaf without entries is no tree; a branch with one child is not needed.
                *root = if old.is_leaf() { Child::Empty } else { old.child(0) };
                writer.give_up(Child::Private(node));
            }
            return;
        };
        // With the left neighbour, or else with the right one.
        let merged = i.checked_sub(1).is_some_and(|left| merge_pair(writer, parent, left))
            || merge_pair(writer, parent, i);
        if !merged {
            return;
        }
        let (branch, options) = (writer.node(parent), &writer.forest.options);
        let is_root = branches.is_empty();
        if branch.image.count() > 0 && (is_root || branch.size() >= options.branch_bytes / 4) {
            return;
        }
        node = parent;
    }
}

/// Merges children `i` and `i + 1` of a branch; `false` if there is no such pair, if one is not in
/// memory, or if they are too large together.
fn merge_pair(writer: &mut TreeWriter, parent: usize, i: usize) -> bool {
    let branch = writer.node(parent);
    if i + 1 >= branch.child_count() {
        return false;
    }
    let children = [branch.child(i), branch.child(i + 1)];
    if !children.iter().all(|&child| writer.forest.is_resident(child)) {
        return false;
    }
    // Owning reads nothing that is not resident; if it fails all the same, nothing has changed.
    let (Ok(left), Ok(right)) = (writer.own_child(parent, i), writer.own_child(parent, i + 1))
    else {
        return false;
    };
    let (a, b) = (writer.node(left), writer.node(right));
    let options = &writer.forest.options;
    let limit = if a.is_leaf() { options.leaf_bytes } else { options.branch_bytes };
    if a.size() + b.size() > limit * 3 / 4
        || !a.is_leaf() && a.image.count() + b.image.count() + 1 > options.branch_entries
    {
        return false;
    }
    let between = writer.node(parent).image.key(i);
    // Planted: a merge with the wrong fence.
    let last = if cairn_log::planted::is(22) { a } else { b };
    let fences = Fences { lower: a.image.fences().lower, upper: last.image.fences().upper };
    let room = a.image.used() + b.image.used() + between.len() + 64;
    let mut image = Image::new(a.image.tree(), a.level(), fences, room);
    image.extend(&a.image, 0, a.image.count());
    if !a.is_leaf() {
        let suffix = image.suffix_of(&between).to_vec();
        image.insert(image.count(), &suffix, b"", false);
    }
    image.extend(&b.image, 0, b.image.count());
    let merged = a.joined(b, image);
    writer.change(left, |node| *node = merged);
    let branch = writer.node_mut(parent);
    branch.image.remove(i);
    // Planted: the wrong node unlinked.
    branch.remove_child(if cairn_log::planted::is(23) { i } else { i + 1 });
    writer.give_up(Child::Private(right));
    true
}
