//! The tables of `docs/format` that this crate owns.

use cairn_log::layout::{self, table};

use crate::image::{Fences, Image, node_header};

/// Name and Markdown text of each table.
#[must_use]
pub fn spec() -> Vec<(&'static str, String)> {
    vec![
        ("node_header", table(node_header::FIELDS)),
        ("node_slot", table(crate::image::node_slot::FIELDS)),
        ("value_pointer", table(crate::image::value_pointer::FIELDS)),
        ("tree_entry", table(crate::catalog::tree_entry::FIELDS)),
        ("node_example", node_example()),
    ]
}

/// The payload of a leaf with two entries, `car` and `cat`, between the fences `ca` and `cb`.
fn node_example() -> String {
    let fences = Fences { lower: b"ca", upper: Some(b"cb") };
    let mut image = Image::new(20, 0, fences, 64);
    for (i, (key, value)) in [(b"car", &b"vehicle"[..]), (b"cat", b"animal")].iter().enumerate() {
        let suffix = image.suffix_of(*key).to_vec();
        image.insert(i, &suffix, value, false);
    }
    let mut bytes = Vec::new();
    image.store(&mut bytes);
    let mut parts = layout::parts(node_header::FIELDS, &bytes);
    for (label, range) in [
        ("lower fence", 32..34),
        ("upper fence", 34..36),
        ("head of car: its suffix is ar", 36..40),
        ("head of cat", 40..44),
        ("place of car, from the end", 44..48),
        ("place of cat", 48..52),
        ("suffix length, value length, at, animal", 52..62),
        ("suffix length, value length, ar, vehicle", 62..73),
    ] {
        parts.push((label, &bytes[range]));
    }
    layout::example(&parts)
}
