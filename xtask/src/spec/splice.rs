//! Tables out of printed text, and into a page between its markers.

use std::collections::{BTreeMap, BTreeSet};

/// Markdown tables by name.
pub(super) type Tables = BTreeMap<String, String>;

const BEGIN: &str = "<!-- generated: ";
const END: &str = "<!-- end generated -->";

/// Takes apart what one example printed: lines `=== NAME`, each followed by a table.
pub(super) fn tables(printed: &str) -> Result<Vec<(String, String)>, String> {
    let mut tables: Vec<(String, String)> = Vec::new();
    for (number, line) in (1..).zip(printed.lines()) {
        if let Some(name) = line.strip_prefix("=== ") {
            tables.push((name.trim().to_owned(), String::new()));
        } else if let Some((_, text)) = tables.last_mut() {
            text.push_str(line);
            text.push('\n');
        } else if !line.is_empty() {
            return Err(format!("line {number} precedes any `=== NAME`; print the name first"));
        }
    }
    for (_, text) in &mut tables {
        *text = text.trim().to_owned();
    }
    Ok(tables)
}

/// A page with its tables filled in and the names of those, or findings that start with a line.
pub(super) fn splice(
    page: &str,
    tables: &Tables,
) -> Result<(String, BTreeSet<String>), Vec<String>> {
    let mut text = String::new();
    let mut used = BTreeSet::new();
    let mut findings = Vec::new();
    let mut open: Option<usize> = None;
    for (number, line) in (1..).zip(page.split_inclusive('\n')) {
        let marker = line.trim();
        if let Some(name) = marker.strip_prefix(BEGIN) {
            if let Some(begun) = open {
                findings.push(format!("{begun}: no `{END}` before the next marker; add it"));
            }
            open = Some(number);
            let name = name.trim_end_matches("-->").trim();
            text.push_str(line);
            if let Some(table) = tables.get(name) {
                text.push_str(&format!("\n{table}\n\n"));
                used.insert(name.to_owned());
            } else {
                findings.push(format!(
                    "{number}: no crate prints a table `{name}`; correct the name, or print it in \
                     the example `<crate>-spec` of the crate that owns the layout"
                ));
            }
        } else if marker == END {
            if open.take().is_none() {
                findings.push(format!("{number}: `{END}` without a beginning; remove it"));
            }
            text.push_str(line);
        } else if open.is_none() {
            text.push_str(line);
        }
    }
    if let Some(begun) = open {
        findings.push(format!("{begun}: no `{END}` up to the end of the page; add it"));
    }
    if findings.is_empty() { Ok((text, used)) } else { Err(findings) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Tables {
        [("frame".to_owned(), "| offset |\n|---|\n| 0 |".to_owned())].into()
    }

    #[track_caller]
    fn finds(page: &str, finding: &str) {
        let findings = splice(page, &table()).unwrap_err();
        assert_eq!(findings.len(), 1, "{findings:#?}");
        assert!(findings[0].starts_with(finding), "{findings:#?}");
    }

    #[test]
    fn printed_text_is_taken_apart() {
        let tables = tables("\n=== a\n| x |\n|---|\n\n=== b\n| y |\n").unwrap();
        let expected = [("a", "| x |\n|---|"), ("b", "| y |")];
        assert_eq!(tables, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }

    #[test]
    fn what_stands_between_the_markers_is_replaced_and_nothing_else() {
        let page = "# Frame\n<!-- generated: frame -->\nold\n<!-- end generated -->\nEnd";
        let (text, used) = splice(page, &table()).unwrap();
        assert_eq!(
            text,
            "# Frame\n<!-- generated: frame -->\n\n| offset |\n|---|\n| 0 |\n\n\
             <!-- end generated -->\nEnd"
        );
        assert_eq!(used, ["frame".to_owned()].into());
        assert_eq!(splice(&text, &table()).unwrap().0, text);
    }

    #[test]
    fn markers_come_in_pairs() {
        finds("<!-- generated: frame -->\n", "1: no `<!-- end generated -->` up to the end");
        finds("a\n<!-- end generated -->\n", "2: `<!-- end generated -->` without a beginning");
        finds(
            "<!-- generated: frame -->\n<!-- generated: frame -->\n<!-- end generated -->\n",
            "1: no `<!-- end generated -->` before the next marker",
        );
    }

    #[test]
    fn a_marker_without_a_table_is_found() {
        finds(
            "\n<!-- generated: gone -->\n<!-- end generated -->",
            "2: no crate prints a table `gone`",
        );
    }
}
