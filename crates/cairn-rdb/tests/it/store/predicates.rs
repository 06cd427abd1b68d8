//! Predicates against tables: they mean the rows that a model of them means.

use cairn_rdb::{IntoArgs, Predicates, RdbStore, Value, ValuesBucket};
use proptest::{collection::vec, prelude::*};

use super::fixture::{row, store, table};

#[test]
fn a_query_has_the_columns_the_order_and_the_number_that_are_asked_for() {
    let store = table();
    store.batch_insert("t", &["b", "a", "d", "c"].map(row)).unwrap();
    let found = |predicates: Predicates, columns: &[&str]| -> String {
        let mut found = store.query(&predicates, columns).unwrap();
        found.rows::<String>().collect::<Result<_, _>>().unwrap()
    };
    let all = || Predicates::new("t");
    assert_eq!(found(all().order_by_asc("name"), &["name"]), "abcd");
    assert_eq!(found(all().order_by_desc("name").limit_as(2).offset_as(1), &["name"]), "cb");
    assert_eq!(found(all().order_by_asc("id").limit_as(0).offset_as(3), &["name"]), "c");
    assert_eq!(found(all().order_by_asc("score").order_by_desc("id"), &["name"]), "cdab");
    assert_eq!(store.query(&all(), &[]).unwrap().column_count().unwrap(), 3);
    assert_eq!(store.query(&all().distinct(), &["score"]).unwrap().row_count().unwrap(), 1);
    store.execute_sql("UPDATE t SET score = id % 2", ()).unwrap();
    let groups = all().group_by(["score"]).having("count(*) > ? AND min(id) = ?", (1, 2));
    let mut groups = store.query(&groups, &["score"]).unwrap();
    assert_eq!(groups.rows::<f64>().collect::<Result<Vec<_>, _>>().unwrap(), [0.0]);
}

#[test]
fn an_index_that_is_named_is_used_or_missed() {
    let store = table();
    store.execute_sql("CREATE INDEX by_score ON t(score)", ()).unwrap();
    store.batch_insert("t", &["a", "b"].map(row)).unwrap();
    let by = |index: &str| Predicates::new("t").is_null("score").indexed_by(index);
    assert_eq!(store.query(&by("by_score"), &[]).unwrap().row_count().unwrap(), 2);
    let plan = by("by_score").query_sql(&[]).unwrap();
    let plan: cairn_rdb::Row =
        store.query_one(&format!("EXPLAIN QUERY PLAN {}", plan.sql), plan.args).unwrap();
    assert!(plan.get::<String>("detail").unwrap().contains("USING INDEX by_score"));
    assert_eq!(store.query(&by("missing"), &[]).unwrap_err().code(), Some(14_800_021));
    assert_eq!(store.delete(&by("by_score").limit_as(1)).unwrap(), 1);
    assert_eq!(store.delete(&by("by_score")).unwrap(), 1);
}

#[test]
fn a_text_is_looked_for_as_it_is() {
    let store = table();
    let texts = ["100%", "100x", "a_b", "axb", "c\\d", "Straße", "x'y", "*?["];
    store.batch_insert("t", &texts.map(row)).unwrap();
    let found = |predicates: Predicates| {
        let mut found = store.query(&predicates.order_by_asc("id"), &["name"]).unwrap();
        found.rows::<String>().collect::<Result<Vec<_>, _>>().unwrap()
    };
    let all = || Predicates::new("t");
    assert_eq!(found(all().begins_with("name", "100%")), ["100%"]);
    assert_eq!(found(all().contains("name", "_")), ["a_b"]);
    assert_eq!(found(all().ends_with("name", "\\D")), ["c\\d"]);
    assert_eq!(found(all().contains("name", "STRA")), ["Straße"]);
    assert_eq!(found(all().contains("name", "'")), ["x'y"]);
    assert_eq!(found(all().like("name", "a_b")), ["a_b", "axb"]);
    assert_eq!(found(all().like("name", "C\\%")), ["c\\d"]);
    assert_eq!(found(all().not_like("name", "%x%").not_contains("name", "%")).len(), 4);
    assert_eq!(found(all().glob("name", "1*")), ["100%", "100x"]);
    assert_eq!(found(all().glob("name", "A*")), [""; 0]);
}

#[test]
fn comparisons_and_null_are_those_of_sql() {
    let store = store();
    store.execute_sql("CREATE TABLE n(a)", ()).unwrap();
    store.execute_sql("INSERT INTO n VALUES (NULL), (1), (2), (3)", ()).unwrap();
    let count = |predicates| store.query(&predicates, &[]).unwrap().row_count().unwrap();
    let all = || Predicates::new("n");
    for (predicates, rows) in [
        (all().equal_to("a", Value::Null), 0),
        (all().not_equal_to("a", Value::Null), 0),
        (all().not_equal_to("a", 1), 2),
        (all().is_null("a"), 1),
        (all().is_not_null("a"), 3),
        (all().between("a", 1, 2), 2),
        (all().not_between("a", 1, 2), 1),
        (all().is_in("a", [1, 9]), 1),
        (all().not_in("a", [1, 9]), 2),
        (all().not_in("a", [Value::from(1), Value::Null]), 0),
        (all().is_in("a", ()), 0),
        (all().not_in("a", ()), 4),
    ] {
        assert_eq!(count(predicates.clone()), rows, "{predicates:?}");
    }
}

/// A condition on a column, and what SQL says of it: true, false, or nobody knows.
#[derive(Clone, Debug)]
enum Test {
    Compare(u8, i64),
    Null(bool),
    Between(i64, i64, bool),
    In(Vec<i64>, bool),
    Contains(String, u8),
}

/// A condition, or conditions of which some must hold.
#[derive(Clone, Debug)]
enum Node {
    Test(&'static str, Test),
    Wrap(Vec<(bool, Node)>),
}

type Cells = (Option<i64>, Option<String>);

fn tests() -> impl Strategy<Value = Node> {
    let number = -1i64..4;
    let on_number = prop_oneof![
        (0u8..6, number.clone()).prop_map(|(operator, value)| Test::Compare(operator, value)),
        any::<bool>().prop_map(Test::Null),
        (number.clone(), number.clone(), any::<bool>())
            .prop_map(|(l, h, not)| Test::Between(l, h, not)),
        (vec(number, 0..3), any::<bool>()).prop_map(|(values, not)| Test::In(values, not)),
    ];
    let on_text = ("[ab%_]{0,2}", 0u8..4).prop_map(|(text, kind)| Test::Contains(text, kind));
    prop_oneof![
        on_number.prop_map(|test| Node::Test("n", test)),
        on_text.prop_map(|test| Node::Test("t", test)),
    ]
}

fn nodes() -> impl Strategy<Value = Vec<(bool, Node)>> {
    let node = tests()
        .prop_recursive(3, 12, 3, |inner| vec((any::<bool>(), inner), 1..4).prop_map(Node::Wrap));
    vec((any::<bool>(), node), 0..4)
}

fn build(mut predicates: Predicates, nodes: &[(bool, Node)]) -> Predicates {
    for (at, (is_or, node)) in nodes.iter().enumerate() {
        if at > 0 && *is_or {
            predicates = predicates.or();
        }
        predicates = match node {
            Node::Wrap(nodes) => build(predicates.begin_wrap(), nodes).end_wrap(),
            Node::Test(column, test) => match test.clone() {
                Test::Compare(0, value) => predicates.equal_to(*column, value),
                Test::Compare(1, value) => predicates.not_equal_to(*column, value),
                Test::Compare(2, value) => predicates.greater_than(*column, value),
                Test::Compare(3, value) => predicates.less_than(*column, value),
                Test::Compare(4, value) => predicates.greater_than_or_equal_to(*column, value),
                Test::Compare(_, value) => predicates.less_than_or_equal_to(*column, value),
                Test::Null(false) => predicates.is_null(*column),
                Test::Null(true) => predicates.is_not_null(*column),
                Test::Between(low, high, false) => predicates.between(*column, low, high),
                Test::Between(low, high, true) => predicates.not_between(*column, low, high),
                Test::In(values, false) => predicates.is_in(*column, values),
                Test::In(values, true) => predicates.not_in(*column, values),
                Test::Contains(text, 0) => predicates.contains(*column, text),
                Test::Contains(text, 1) => predicates.not_contains(*column, text),
                Test::Contains(text, 2) => predicates.begins_with(*column, text),
                Test::Contains(text, _) => predicates.ends_with(*column, text),
            },
        };
    }
    predicates
}

/// What holds of a row: of those between two `or` all must, and of one row of these it is enough.
fn holds(nodes: &[(bool, Node)], cells: &Cells) -> Option<bool> {
    if nodes.is_empty() {
        return Some(true);
    }
    let (mut any, mut all) = (Some(false), Some(true));
    for (at, (is_or, node)) in nodes.iter().enumerate() {
        if at > 0 && *is_or {
            any = or(any, all);
            all = Some(true);
        }
        let one = match node {
            Node::Wrap(nodes) => holds(nodes, cells),
            Node::Test(_, test) => test_holds(test, cells),
        };
        all = or(all.map(|all| !all), one.map(|one| !one)).map(|none| !none);
    }
    or(any, all)
}

fn or(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

fn test_holds(test: &Test, (number, text): &Cells) -> Option<bool> {
    match test {
        Test::Null(not) => return Some(number.is_none() != *not),
        Test::In(values, not) if values.is_empty() => return Some(*not),
        Test::Contains(part, kind) => {
            let (text, part) = (text.as_ref()?.to_ascii_lowercase(), part.to_ascii_lowercase());
            return Some(match kind {
                0 => text.contains(&part),
                1 => !text.contains(&part),
                2 => text.starts_with(&part),
                _ => text.ends_with(&part),
            });
        }
        _ => {}
    }
    let number = (*number)?;
    Some(match test {
        Test::Compare(0, value) => number == *value,
        Test::Compare(1, value) => number != *value,
        Test::Compare(2, value) => number > *value,
        Test::Compare(3, value) => number < *value,
        Test::Compare(4, value) => number >= *value,
        Test::Compare(_, value) => number <= *value,
        Test::Between(low, high, not) => (*low..=*high).contains(&number) != *not,
        Test::In(values, not) => values.contains(&number) != *not,
        Test::Null(_) | Test::Contains(..) => unreachable!("they were answered before"),
    })
}

fn filled(rows: &[Cells]) -> RdbStore {
    let store = store();
    store.execute_sql("CREATE TABLE t(id INTEGER PRIMARY KEY, n, t)", ()).unwrap();
    let bucket = |(n, t): &Cells| ValuesBucket::new().put("n", *n).put("t", t.clone());
    store.batch_insert("t", &rows.iter().map(bucket).collect::<Vec<_>>()).unwrap();
    store
}

fn ids(store: &RdbStore, predicates: &Predicates) -> Vec<i64> {
    store.query(predicates, &["id"]).unwrap().rows().collect::<Result<_, _>>().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn predicates_mean_what_the_model_means(
        rows in vec((proptest::option::of(-1i64..4), proptest::option::of("[abAB%_]{0,3}")), 0..12),
        nodes in nodes(),
        limit in proptest::option::of((-1i64..5, 0i64..4)),
    ) {
        let store = filled(&rows);
        let mut predicates = build(Predicates::new("t").order_by_desc("id"), &nodes);
        let numbered = rows.iter().enumerate().rev();
        let meant = numbered.filter(|(_, cells)| holds(&nodes, cells) == Some(true));
        let meant: Vec<_> = meant.map(|(at, _)| at as i64 + 1).collect();
        prop_assert_eq!(&ids(&store, &predicates), &meant, "{:?}", predicates.query_sql(&[]));
        let mut shown = meant;
        if let Some((limit, offset)) = limit {
            predicates = predicates.limit_as(limit).offset_as(offset);
            let most = if limit > 0 { usize::try_from(limit).unwrap() } else { usize::MAX };
            shown = shown.into_iter().skip(usize::try_from(offset).unwrap()).take(most).collect();
        }
        prop_assert_eq!(&ids(&store, &predicates), &shown);

        // What is changed is what was shown, and nothing else.
        let set = ValuesBucket::new().put("t", "changed");
        prop_assert_eq!(store.update(&set, &predicates).unwrap(), shown.len() as u64);
        let changed = Predicates::new("t").equal_to("t", "changed").order_by_desc("id");
        prop_assert_eq!(&ids(&store, &changed), &shown);
        let store = filled(&rows);
        prop_assert_eq!(store.delete(&predicates).unwrap(), shown.len() as u64);
        let left = ids(&store, &Predicates::new("t"));
        prop_assert_eq!(left.len(), rows.len() - shown.len());
        prop_assert!(left.iter().all(|id| !shown.contains(id)));
    }
}

#[test]
fn more_values_than_sqlite_takes_are_an_error() {
    let store = table();
    let many = vec![1; 32_767].into_args();
    let error = store.query(&Predicates::new("t").is_in("id", many.clone()), &[]).unwrap_err();
    assert_eq!(error.code(), Some(14_800_021));
    let most = Predicates::new("t").is_in("id", many[1..].to_vec());
    assert_eq!(store.query(&most, &[]).unwrap().row_count().unwrap(), 0);
}
