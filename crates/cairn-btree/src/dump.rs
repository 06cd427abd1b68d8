//! A tree drawn in text: one node per line, depth by indent.

use std::{fmt::Write as _, sync::Arc};

use cairn_log::{RecordKind, dump::show_bytes};

use crate::{
    FrozenRoot, TreeId, TreeResult, child::Child, image::Image, node::Node, salvage::RecordImage,
};

/// Draws the nodes of a tree, down to `depth` levels. Keys are shortened, values are not shown.
///
/// # Errors
/// If a node cannot be read.
pub fn dump(frozen: &Arc<FrozenRoot>, tree: TreeId, depth: usize) -> TreeResult<String> {
    let mut text = String::new();
    match frozen.tree(tree)?.map(|tree| tree.root) {
        None => text.push_str("no such tree\n"),
        Some(Child::Empty) => text.push_str("empty\n"),
        Some(root) => {
            let node = frozen.forest().load_tree(root)?.into_arc();
            draw(frozen, &node, root, 0, depth, &mut text)?;
        }
    }
    Ok(text)
}

fn draw(
    frozen: &Arc<FrozenRoot>,
    node: &Node,
    place: Child,
    indent: usize,
    depth: usize,
    text: &mut String,
) -> TreeResult<()> {
    let lsn = match place {
        Child::Slot(id) => frozen.forest().slots.get(id)?.lsn(),
        _ => None,
    };
    let fences = node.image.fences();
    writeln!(
        text,
        "{:indent$}{} level {} [{}, {}) {} entries, {} bytes, {}",
        "",
        node.kind(),
        node.level(),
        show_bytes(fences.lower, 16),
        fences.upper.map_or("∞".into(), |upper| show_bytes(upper, 16)),
        node.image.count(),
        node.size(),
        lsn.map_or("not on disk".into(), |lsn| lsn.to_string()),
        indent = 2 * indent,
    )
    .expect("a String takes any text");
    if indent + 1 < depth && !node.is_leaf() {
        for i in 0..node.child_count() {
            let child = frozen.forest().load_child(node, i, false)?.into_arc();
            draw(frozen, &child, node.child(i), indent + 1, depth, text)?;
        }
    }
    Ok(())
}

/// Describes the payload of a node's record in a few words; `None` for other kinds.
#[must_use]
pub fn describe(kind: RecordKind, payload: &[u8]) -> Option<String> {
    Some(match RecordImage::read(kind, 0, payload.to_vec()).transpose()? {
        Err(damage) => format!("{damage}"),
        Ok(RecordImage::Node(node)) => describe_image(node.image()),
        Ok(RecordImage::Delta(delta)) => {
            format!("{} changed since {}", describe_image(delta.image()), delta.base())
        }
    })
}

fn describe_image(image: &Image) -> String {
    let fences = image.fences();
    format!(
        "tree {} level {} [{}, {}) {} entries",
        image.tree(),
        image.level(),
        show_bytes(fences.lower, 16),
        fences.upper.map_or("∞".into(), |upper| show_bytes(upper, 16)),
        image.count()
    )
}
