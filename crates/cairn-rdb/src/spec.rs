//! The tables of `docs` that this crate owns.

/// Name and Markdown text of each table.
#[must_use]
pub fn spec() -> Vec<(&'static str, String)> {
    let mut tables = crate::pages::spec();
    tables.push(crate::record::spec());
    tables
}
