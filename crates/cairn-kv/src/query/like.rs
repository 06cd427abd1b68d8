//! `LIKE` as SQLite has it: `%` for anything, `_` for one character, ASCII letters in either case.

use std::str::Chars;

/// Whether `text` is like `pattern`. Takes time in the product of their lengths, at most.
pub(super) fn like(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // Where to go on if what follows the last `%` does not fit: it then stands for one character more.
    let mut retry: Option<(Chars<'_>, Chars<'_>)> = None;
    loop {
        let (mut wanted, mut found) = (pattern.clone(), text.clone());
        match (wanted.next(), found.next()) {
            (None, None) => return true,
            (Some('%'), _) => {
                retry = Some((wanted.clone(), text.clone()));
                pattern = wanted;
            }
            (Some(one), Some(other)) if one == '_' || one.eq_ignore_ascii_case(&other) => {
                (pattern, text) = (wanted, found);
            }
            _ => {
                let Some((after, from)) = &mut retry else { return false };
                if from.next().is_none() {
                    return false;
                }
                (pattern, text) = (after.clone(), from.clone());
            }
        }
    }
}

/// What every text begins with that is like `pattern`, byte by byte: up to a wildcard or a letter.
pub(super) fn beginning(pattern: &str) -> &str {
    let is_loose = |c: char| matches!(c, '%' | '_') || c.is_ascii_alphabetic();
    pattern.split(is_loose).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, by its definition.
    fn by_definition(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, rest) => rest.is_none(),
            (Some(('%', rest)), _) => (0..=text.len()).any(|n| by_definition(rest, &text[n..])),
            (Some(('_', rest)), Some((_, more))) => by_definition(rest, more),
            (Some((a, rest)), Some((b, more))) => {
                a.eq_ignore_ascii_case(b) && by_definition(rest, more)
            }
            (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn like_is_what_it_is_defined_to_be(pattern in "[abAä%_]{0,7}", text in "[abBäÄ%_]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = by_definition(&chars(&pattern), &chars(&text));
            prop_assert_eq!(like(&pattern, &text), expected);
            if expected {
                prop_assert!(text.starts_with(beginning(&pattern)));
            }
        }
    }

    #[test]
    fn letters_of_ascii_count_in_either_case_and_others_do_not() {
        assert!(like("JO_n%", "john smith") && like("%", "") && like("", ""));
        assert!(!like("ä", "Ä") && !like("a", "") && !like("_", ""));
        assert_eq!(beginning("12-ab%"), "12-");
    }

    #[test]
    fn a_pattern_that_is_meant_to_take_long_does_not() {
        assert!(!like(&"%a".repeat(1000), &"b".repeat(100_000)));
        assert!(!like(&("%a".repeat(20) + "b"), &"a".repeat(20_000)));
    }
}
