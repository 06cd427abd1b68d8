//! `Ranges`: a set of keys of an index, as ranges that neither meet nor overlap.
//!
//! Of an expression it is a set that has the keys of all documents for which the expression holds, and
//! maybe others; so an index that is gone through in these ranges leaves nothing out.

use super::{Comparison, Expression, Test, like::beginning};
use crate::{
    Scalar,
    schema::{IndexKey, Kind, index_key, kind_range},
};

/// From a key on, up to another one and without it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyRange {
    pub(crate) start: Vec<u8>,
    /// `None`: there is no end.
    pub(crate) end: Option<Vec<u8>>,
}

/// Ranges in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ranges(pub(crate) Vec<KeyRange>);

impl KeyRange {
    fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// Whether it takes in a single key.
    pub(crate) fn is_point(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end == after(&self.start))
    }
}

/// The first key behind `key`.
fn after(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

impl Ranges {
    pub(crate) fn everything() -> Self {
        Self(vec![KeyRange { start: Vec::new(), end: None }])
    }

    pub(crate) fn is_everything(&self) -> bool {
        *self == Self::everything()
    }

    pub(crate) fn are_points(&self) -> bool {
        self.0.iter().all(KeyRange::is_point)
    }

    const fn nothing() -> Self {
        Self(Vec::new())
    }

    fn range(start: Vec<u8>, end: Vec<u8>) -> Self {
        let range = KeyRange { start, end: Some(end) };
        if range.is_empty() { Self::nothing() } else { Self(vec![range]) }
    }

    fn point(key: IndexKey) -> Self {
        let end = after(&key.bytes);
        Self::range(key.bytes, end)
    }

    /// What is in both.
    fn intersection(&self, other: &Self) -> Self {
        let (mut a, mut b) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut both = Vec::new();
        while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
            let range = KeyRange {
                start: x.start.clone().max(y.start.clone()),
                end: smaller_end(&x.end, &y.end).clone(),
            };
            if !range.is_empty() {
                both.push(range);
            }
            if *smaller_end(&x.end, &y.end) == x.end {
                a.next()
            } else {
                b.next()
            };
        }
        Self(both)
    }

    /// What is in one of them.
    fn union(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self.0.sort();
        let mut one: Vec<KeyRange> = Vec::with_capacity(self.0.len());
        for range in self.0 {
            match one.last_mut() {
                Some(last) if last.end.as_ref().is_none_or(|end| range.start <= *end) => {
                    if *smaller_end(&last.end, &range.end) == last.end {
                        last.end = range.end;
                    }
                }
                _ => one.push(range),
            }
        }
        Self(one)
    }
}

fn smaller_end<'e>(a: &'e Option<Vec<u8>>, b: &'e Option<Vec<u8>>) -> &'e Option<Vec<u8>> {
    match (a, b) {
        (Some(x), Some(y)) if x <= y => a,
        (Some(_), None) => a,
        _ => b,
    }
}

/// The keys that the index of a field can have for documents for which the expression holds.
pub(crate) fn of_field(expression: &Expression, field: &[String]) -> Ranges {
    match expression {
        Expression::All(terms) => terms
            .iter()
            .map(|term| of_field(term, field))
            .fold(Ranges::everything(), |all, term| all.intersection(&term)),
        Expression::Any(terms) => {
            terms.iter().map(|term| of_field(term, field)).fold(Ranges::nothing(), Ranges::union)
        }
        Expression::Test { path, test } if path == field => of_test(test),
        Expression::Test { .. } => Ranges::everything(),
    }
}

/// Whether these keys are those of documents for which the expression holds, and of no others: then nobody need
/// look at the documents themselves.
pub(crate) fn are_exact(expression: &Expression, field: &[String]) -> bool {
    match expression {
        Expression::All(terms) | Expression::Any(terms) => {
            terms.iter().all(|term| are_exact(term, field))
        }
        Expression::Test { path, test } => path == field && is_exact(test),
    }
}

fn is_exact(test: &Test) -> bool {
    match test {
        Test::Compare(Comparison::NotEqual, _) | Test::Like { .. } => false,
        Test::Compare(_, scalar) => index_key(scalar).is_exact,
        Test::IsNull(_) => true,
        Test::In { list, negated, .. } => {
            !negated && list.iter().all(|scalar| index_key(scalar).is_exact)
        }
    }
}

fn of_test(test: &Test) -> Ranges {
    match test {
        Test::Compare(comparison, scalar) => of_comparison(*comparison, scalar),
        Test::IsNull(true) => Ranges::point(index_key(&Scalar::Null)),
        Test::IsNull(false) => {
            Ranges(vec![KeyRange { start: kind_range(Kind::Null).1, end: None }])
        }
        Test::In { negated: true, .. } | Test::Like { negated: true, .. } => Ranges::everything(),
        Test::In { list, negated: false, .. } => {
            let mut points: Vec<_> =
                list.iter().flat_map(|scalar| Ranges::point(index_key(scalar)).0).collect();
            points.sort();
            points.dedup();
            Ranges(points)
        }
        Test::Like { pattern, negated: false } => {
            let IndexKey { bytes: start, .. } = index_key(&Scalar::from(beginning(pattern)));
            let end = end_of_prefix(&start);
            Ranges::range(start, end)
        }
    }
}

fn of_comparison(comparison: Comparison, scalar: &Scalar) -> Ranges {
    let (first, end) = kind_range(Kind::of(scalar));
    let key = index_key(scalar);
    let behind = after(&key.bytes);
    match comparison {
        Comparison::Equal => Ranges::point(key),
        Comparison::NotEqual => Ranges::range(first, end),
        Comparison::LessOrEqual => Ranges::range(first, behind),
        Comparison::Less if key.is_exact => Ranges::range(first, key.bytes),
        Comparison::Less => Ranges::range(first, behind),
        Comparison::GreaterOrEqual => Ranges::range(key.bytes, end),
        Comparison::Greater if key.is_exact => Ranges::range(behind, end),
        Comparison::Greater => Ranges::range(key.bytes, end),
    }
}

/// The first key above all that begin with `prefix`, which begins with the byte of a kind.
fn end_of_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while end.last() == Some(&0xff) {
        end.pop();
    }
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::scalar::tests::scalars;

    fn comparisons() -> impl Strategy<Value = Comparison> {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        prop::sample::select(vec![Equal, NotEqual, Greater, Less, GreaterOrEqual, LessOrEqual])
    }

    fn expressions() -> impl Strategy<Value = Expression> {
        let not_null = || scalars().prop_filter("never compared with", |s| *s != Scalar::Null);
        let test = prop_oneof![
            (comparisons(), not_null()).prop_map(|(c, scalar)| Test::Compare(c, scalar)),
            any::<bool>().prop_map(Test::IsNull),
            (vec(not_null(), 0..4), any::<bool>()).prop_map(|(list, negated)| Test::In {
                list,
                numbers: true,
                negated
            }),
            ("[ab1%_]{0,4}", any::<bool>())
                .prop_map(|(pattern, negated)| Test::Like { pattern, negated }),
        ];
        let leaf = test.prop_map(|test| Expression::Test { path: vec!["f".into()], test });
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                vec(inner.clone(), 1..4).prop_map(Expression::All),
                vec(inner, 1..4).prop_map(Expression::Any),
            ]
        })
    }

    fn holds(expression: &Expression, seen: &Scalar) -> bool {
        match expression {
            Expression::All(terms) => terms.iter().all(|term| holds(term, seen)),
            Expression::Any(terms) => terms.iter().any(|term| holds(term, seen)),
            Expression::Test { test, .. } => test.holds(seen),
        }
    }

    fn has(ranges: &Ranges, key: &[u8]) -> bool {
        let is_in = |range: &&KeyRange| {
            range.start[..] <= *key && range.end.as_ref().is_none_or(|end| *key < end[..])
        };
        ranges.0.iter().any(|range| is_in(&range))
    }

    proptest! {
        #[test]
        fn ranges_have_the_keys_of_all_for_which_the_expression_holds(
            expression in expressions(), seen in scalars(),
        ) {
            let ranges = of_field(&expression, &["f".into()]);
            let key = index_key(&seen).bytes;
            prop_assert!(!holds(&expression, &seen) || has(&ranges, &key), "{ranges:?}");
            if are_exact(&expression, &["f".into()]) {
                prop_assert_eq!(holds(&expression, &seen), has(&ranges, &key), "{:?}", ranges);
            }
            for pair in ranges.0.windows(2) {
                prop_assert!(pair[0].end.as_ref().is_some_and(|end| *end <= pair[1].start));
            }
            prop_assert!(ranges.0.iter().all(|range| !range.is_empty()));
        }

        #[test]
        fn ranges_of_a_comparison_have_nothing_else(comparison in comparisons(), a in scalars(), b in scalars()) {
            use Comparison::NotEqual;
            prop_assume!(a != Scalar::Null && comparison != NotEqual && Kind::of(&a) == Kind::of(&b));
            let test = Test::Compare(comparison, a);
            let is_in = has(&of_test(&test), &index_key(&b).bytes);
            prop_assert_eq!(is_in, test.holds(&b));
        }
    }

    #[test]
    fn long_strings_that_begin_alike_are_in_one_range() {
        let [a, b, c] = ["a", "b", "c"].map(|end| "x".repeat(600) + end);
        for comparison in [Comparison::Greater, Comparison::Less] {
            let test = Test::Compare(comparison, b.as_str().into());
            for other in [&a, &c] {
                let seen = Scalar::from(other.as_str());
                assert!(!test.holds(&seen) || has(&of_test(&test), &index_key(&seen).bytes));
            }
        }
    }

    #[test]
    fn other_fields_do_not_narrow() {
        let test = Test::Compare(Comparison::Equal, 7.into());
        let expression = Expression::Test { path: vec!["g".into()], test };
        assert!(of_field(&expression, &["f".into()]).is_everything());
    }
}
