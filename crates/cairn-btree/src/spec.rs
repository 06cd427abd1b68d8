//! The tables of `docs/format` that this crate owns.

use cairn_log::layout::table;

/// Name and Markdown text of each table.
#[must_use]
pub fn spec() -> Vec<(&'static str, String)> {
    vec![
        ("node_header", table(crate::image::node_header::FIELDS)),
        ("node_slot", table(crate::image::node_slot::FIELDS)),
        ("value_pointer", table(crate::image::value_pointer::FIELDS)),
        ("tree_entry", table(crate::catalog::tree_entry::FIELDS)),
    ]
}
