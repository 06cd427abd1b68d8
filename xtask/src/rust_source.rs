//! What the checks want to know of a Rust file, from its tokens: comments and the content of
//! strings never count.

use std::ops::RangeInclusive;

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};

/// Macros that mark unfinished work or a debugging session.
const UNFINISHED: [&str; 3] = ["todo", "unimplemented", "dbg"];

/// What stands where in one file; lines count from 1.
#[derive(Default)]
pub(crate) struct Facts {
    /// Lines with the keyword `unsafe`.
    pub(crate) unsafe_code: Vec<usize>,
    /// Uses of [`UNFINISHED`] macros.
    pub(crate) unfinished: Vec<(usize, String)>,
    /// Names given to `SyncSite::new` outside tests.
    pub(crate) sync_sites: Vec<(usize, String)>,
    /// Lines of tests, and of what only tests use.
    pub(crate) tests: Vec<RangeInclusive<usize>>,
}

impl Facts {
    /// Reads a file; `None` if its text does not even split into tokens.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut facts = Self::default();
        facts.walk(text.parse().ok()?, false);
        Some(facts)
    }

    fn walk(&mut self, tokens: TokenStream, in_test: bool) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        // After `#[test]` or `#[cfg(test)]`, until the item that it stands on ends.
        let mut test_item = false;
        let mut first = 0;
        for (at, token) in tokens.iter().enumerate() {
            let rest = &tokens[at + 1..];
            match token {
                TokenTree::Ident(ident) => self.ident(ident, rest, in_test || test_item),
                TokenTree::Group(group) => {
                    if !test_item && is_test_attribute(group) {
                        (test_item, first) = (true, group.span_open().start().line);
                    }
                    let ends = test_item && group.delimiter() == Delimiter::Brace;
                    if ends && !in_test {
                        self.tests.push(first..=group.span_close().end().line);
                    }
                    self.walk(group.stream(), in_test || test_item);
                    test_item &= !ends;
                }
                TokenTree::Punct(punct) => test_item &= punct.as_char() != ';',
                TokenTree::Literal(_) => {}
            }
        }
    }

    fn ident(&mut self, ident: &Ident, rest: &[TokenTree], in_test: bool) {
        let line = ident.span().start().line;
        let word = ident.to_string();
        match rest {
            _ if word == "unsafe" => self.unsafe_code.push(line),
            [TokenTree::Punct(bang), TokenTree::Group(_), ..]
                if bang.as_char() == '!' && UNFINISHED.contains(&&*word) =>
            {
                self.unfinished.push((line, word));
            }
            [
                TokenTree::Punct(_),
                TokenTree::Punct(_),
                TokenTree::Ident(new),
                TokenTree::Group(arguments),
                ..,
            ] if word == "SyncSite" && new == "new" && !in_test => {
                if let Some(TokenTree::Literal(name)) = arguments.stream().into_iter().next() {
                    self.sync_sites.push((line, name.to_string().trim_matches('"').to_owned()));
                }
            }
            _ => {}
        }
    }
}

fn is_test_attribute(group: &Group) -> bool {
    let mut words = group.stream().into_iter();
    group.delimiter() == Delimiter::Bracket
        && match (words.next(), words.next(), words.next()) {
            (Some(TokenTree::Ident(word)), None, None) => word == "test",
            (Some(TokenTree::Ident(cfg)), Some(TokenTree::Group(condition)), None) => {
                cfg == "cfg" && condition.stream().to_string() == "test"
            }
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_counts() {
        let text = r##"
            //! unsafe { todo!() } SyncSite::new("doc")
            /* unsafe /* nested */ dbg!(1) */
            #![forbid(unsafe_code)]
            const A: &str = "unsafe todo!()";
            const B: &str = r#"SyncSite::new("raw")"#;
            fn todo<'a>(x: &'a char) -> bool { *x != '"' }
        "##;
        let facts = Facts::read(text).unwrap();
        assert!(facts.unsafe_code.is_empty());
        assert!(facts.unfinished.is_empty());
        assert!(facts.sync_sites.is_empty());
    }

    #[test]
    fn code_is_found_with_its_line() {
        let text = "//! A.\nfn f() {\n    unsafe { g() };\n    vec![dbg!(1), todo!()];\n}\n";
        let facts = Facts::read(text).unwrap();
        assert_eq!(facts.unsafe_code, [3]);
        assert_eq!(facts.unfinished, [(4, "dbg".to_owned()), (4, "todo".to_owned())]);
    }

    #[test]
    fn sync_sites_of_tests_do_not_count() {
        let text = r#"
            const A: SyncSite = SyncSite::new("a");
            #[cfg(test)]
            const B: SyncSite = SyncSite::new("b");
            fn f() { d.sync(cairn_io::SyncSite::new("c")) }
            #[cfg(test)]
            #[expect(dead_code, reason = "why")]
            mod tests { fn g() { d.sync(SyncSite::new("d")) } }
            const E: SyncSite = SyncSite::new("e");
        "#;
        let facts = Facts::read(text).unwrap();
        let names: Vec<_> = facts.sync_sites.iter().map(|(_, name)| &**name).collect();
        assert_eq!(names, ["a", "c", "e"]);
    }

    #[test]
    fn what_is_not_rust_is_not_read() {
        assert!(Facts::read("fn f( {").is_none());
    }
}
