//! The tables of `docs` that this crate owns.

/// Name and Markdown text of each table.
#[must_use]
pub fn spec() -> Vec<(&'static str, String)> {
    vec![crate::record::spec()]
}
