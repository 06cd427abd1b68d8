//! `Named`: whether the tests are there that a list of promises names.
//!
//! A table of rows, each with the tests that would fail without it, is worth something as long as none of these was
//! renamed or removed.

use std::{collections::BTreeSet, fs, path::Path};

/// The Rust sources below some folders.
#[derive(Clone, Debug, Default)]
pub struct Named(String);

impl Named {
    /// Reads all Rust files below folders. One that does not exist has none.
    ///
    /// # Panics
    /// If the disk fails: it is for tests.
    #[must_use]
    pub fn below(folders: impl IntoIterator<Item = impl AsRef<Path>>) -> Self {
        let mut text = String::new();
        folders.into_iter().for_each(|folder| read(folder.as_ref(), &mut text));
        Self(text)
    }

    /// All of it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The names of its tests.
    #[must_use]
    pub fn tests(&self) -> BTreeSet<&str> {
        let tests = self.0.split("#[test]").skip(1);
        tests.filter_map(|test| Some(test.split_once("fn ")?.1.split_once('(')?.0)).collect()
    }

    /// Those of `named` that are no test here.
    #[must_use]
    pub fn missing<'n>(&self, named: impl IntoIterator<Item = &'n str>) -> BTreeSet<&'n str> {
        let tests = self.tests();
        named.into_iter().filter(|name| !tests.contains(name)).collect()
    }
}

fn read(folder: &Path, text: &mut String) {
    if !folder.exists() {
        return;
    }
    for entry in fs::read_dir(folder).expect("a folder of sources can be listed") {
        let path = entry.expect("a folder of sources can be listed").path();
        if path.is_dir() {
            read(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).expect("sources are text"));
        }
    }
}

/// The cells of the column `title` of each table of a Markdown text that has one.
#[must_use]
pub fn column<'t>(text: &'t str, title: &str) -> Vec<&'t str> {
    let (mut cells, mut place) = (Vec::new(), None);
    for line in text.lines() {
        let Some(row) = line.trim().strip_prefix('|') else {
            place = None;
            continue;
        };
        match place {
            None => place = row.split('|').position(|cell| cell.trim() == title),
            Some(column) => cells.extend(row.split('|').nth(column)),
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_was_renamed_is_missing_and_what_is_no_test_does_not_count() {
        let named =
            Named("#[test]\nfn one() {}\n#[test]\n#[ignore]\nfn two() {}\nfn three() {}".into());
        assert_eq!(named.tests(), BTreeSet::from(["one", "two"]));
        assert_eq!(named.missing(["one", "three", "four"]), BTreeSet::from(["three", "four"]));
        let here = Named::below([concat!(env!("CARGO_MANIFEST_DIR"), "/src"), "/nowhere"]);
        let name = "a_test_that_was_renamed_is_missing_and_what_is_no_test_does_not_count";
        assert!(here.missing([name]).is_empty() && here.text().contains("pub struct Named"));
    }

    #[test]
    fn cells_are_those_of_the_column_with_this_title_in_each_table() {
        let text = "| there | here |\n|---|---|\n| a | `b` |\n\ntext\n\n| here |\n|---|\n| c |\n\n| no |\n| d |\n";
        let cells: Vec<_> = column(text, "here").into_iter().map(str::trim).collect();
        assert_eq!(cells, ["---", "`b`", "---", "c"]);
    }
}
