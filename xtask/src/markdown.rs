//! What the checks want to know of a Markdown page: links, anchors, and what stands in code.

use std::collections::BTreeSet;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// One page; lines count from 1.
#[derive(Default)]
pub(crate) struct Page {
    /// Targets of links and images.
    pub(crate) links: Vec<(usize, String)>,
    /// The names under which its headings can be linked to.
    pub(crate) anchors: BTreeSet<String>,
    /// Code spans and the lines of code blocks.
    pub(crate) code: Vec<Code>,
}

/// A code span or a line of a code block.
pub(crate) struct Code {
    pub(crate) line: usize,
    pub(crate) text: String,
    /// The headings that it stands below, outermost first.
    pub(crate) headings: Vec<String>,
}

impl Page {
    /// Reads a page.
    pub(crate) fn read(text: &str) -> Self {
        let mut page = Self::default();
        let mut headings: Vec<(u8, String)> = Vec::new();
        let mut heading: Option<String> = None;
        let mut in_block = false;
        let mut line = 1;
        let mut counted = 0;
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            // Events of one table or list may start before the last one; lines then stay put.
            let passed = text.get(counted..range.start).unwrap_or_default();
            line += passed.matches('\n').count();
            counted = counted.max(range.start);
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push((line, dest_url.into_string()));
                }
                Event::Start(Tag::Heading { level, .. }) => {
                    headings.retain(|(above, _)| *above < level as u8);
                    headings.push((level as u8, String::new()));
                    heading = Some(String::new());
                }
                Event::End(TagEnd::Heading(_)) => {
                    let title = heading.take().unwrap_or_default();
                    page.anchors.insert(anchor(&title));
                    if let Some((_, last)) = headings.last_mut() {
                        *last = title;
                    }
                }
                Event::Start(Tag::CodeBlock(_)) => in_block = true,
                Event::End(TagEnd::CodeBlock) => in_block = false,
                Event::Code(ref code) | Event::Text(ref code) => {
                    if let Some(title) = &mut heading {
                        title.push_str(code);
                    }
                    if in_block || matches!(event, Event::Code(_)) {
                        page.code.extend(code.lines().enumerate().map(|(below, text)| Code {
                            line: line + below,
                            text: text.to_owned(),
                            headings: headings.iter().map(|(_, title)| title.clone()).collect(),
                        }));
                    }
                }
                _ => {}
            }
        }
        page
    }
}

/// The name that a heading gets when the page is shown: lower case, spaces as dashes, no other
/// punctuation.
fn anchor(title: &str) -> String {
    title
        .chars()
        .filter_map(|letter| match letter {
            ' ' | '-' => Some('-'),
            _ if letter.is_alphanumeric() || letter == '_' => Some(letter),
            _ => None,
        })
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_taken_apart() {
        let page = Page::read(
            "# The `log`, in short\n\nSee [a](a.md#x) and [b].\n\n## Planned\n\n`[c](c.md)`\n\n\
             ```text\none\ntwo [d](d.md)\n```\n\n# Next\n\n| `table` |\n|---|\n| `cell` |\n\n\
             [b]: ../b.md\n",
        );
        assert_eq!(page.links, [(3, "a.md#x".to_owned()), (3, "../b.md".to_owned())]);
        assert!(page.anchors.contains("the-log-in-short"));
        let code: Vec<_> =
            page.code.iter().map(|code| (code.line, &*code.text, code.headings.len())).collect();
        assert_eq!(
            code,
            [
                (1, "log", 1),
                (7, "[c](c.md)", 2),
                (10, "one", 2),
                (11, "two [d](d.md)", 2),
                (16, "table", 1),
                (18, "cell", 1)
            ]
        );
        assert_eq!(page.code[1].headings, ["The log, in short", "Planned"]);
    }
}
