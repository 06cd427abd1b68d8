//! Queries: what they mean, what they cost, and that an index changes only the latter.

use std::collections::BTreeSet;

use cairn_kv::{KvError, KvStore, Query, Schema};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value as Json, json};

use crate::fixture::{environment, options, people, store};

fn open(schema: Schema) -> KvStore {
    KvStore::open(&environment(), "people", options().schema(schema)).unwrap()
}

fn put(store: &KvStore, key: &str, value: &Json) {
    store.put(key, value.to_string()).unwrap();
}

/// A store of some people, to ask one thing each.
fn some_people() -> KvStore {
    let store = open(people());
    for (key, value) in [
        ("ada", json!({"name": "Ada", "age": 36, "score": 2.5, "city": {"zip": "75001"}})),
        (
            "alan",
            json!({"name": "Alan", "age": 41, "score": -1, "active": true, "id": 9_007_199_254_740_993i64}),
        ),
        ("emmy", json!({"name": "Emmy", "age": null, "city": {}, "active": false})),
        (
            "grace",
            json!({"name": "Grace Hopper", "age": 85, "id": 9_007_199_254_740_992i64, "more": [1]}),
        ),
    ] {
        put(&store, key, &value);
    }
    store
}

#[track_caller]
fn finds(store: &KvStore, query: Query, keys: &[&str]) {
    let found = store.get_entries(&query).unwrap();
    let found: Vec<_> = found.iter().map(|entry| entry.key_str()).collect();
    assert_eq!(found, keys, "{query:?}");
}

#[test]
fn each_condition_means_what_it_says() {
    let store = &some_people();
    let new = Query::new;
    let all = ["ada", "alan", "emmy", "grace"];
    finds(store, new(), &all);
    finds(store, new().equal_to("$.age", 36), &["ada"]);
    finds(store, new().equal_to("$.age", 36.0), &["ada"]);
    finds(store, new().not_equal_to("$.age", 36), &["alan", "grace"]);
    finds(store, new().greater_than("$.age", 41), &["grace"]);
    finds(store, new().greater_than_or_equal_to("$.age", 41), &["alan", "grace"]);
    finds(store, new().less_than("$.age", 41), &["ada"]);
    finds(store, new().less_than_or_equal_to("$.age", 41), &["ada", "alan"]);
    finds(store, new().is_null("$.age"), &["emmy"]);
    finds(store, new().is_not_null("$.age"), &["ada", "alan", "grace"]);
    finds(store, new().is_null("$.city.zip"), &["alan", "emmy", "grace"]);
    finds(store, new().in_numbers("$.age", [85, 36, 1]), &["ada", "grace"]);
    finds(store, new().not_in_numbers("$.age", [85, 36]), &["alan"]);
    finds(store, new().in_strings("$.name", ["Ada", "x"]), &["ada"]);
    finds(store, new().not_in_strings("$.name", ["Ada", "x"]), &["alan", "emmy", "grace"]);
    finds(store, new().like("$.name", "a%"), &["ada", "alan"]);
    finds(store, new().unlike("$.name", "A_a%"), &["emmy", "grace"]);
    finds(store, new().like("$.city.zip", "75%"), &["ada"]);
    finds(store, new().equal_to("$.active", true), &["alan"]);
    finds(store, new().equal_to("$.score", 1.5), &["emmy", "grace"]); // its default
    finds(store, new().equal_to("$.score", -1), &["alan"]);
    finds(store, new().equal_to("$.id", 9_007_199_254_740_993i64), &["alan"]);
    finds(store, new().prefix_key("a"), &["ada", "alan"]);
    finds(store, new().prefix_key("a").less_than("$.age", 40), &["ada"]);
    finds(store, new().limit(2, 1), &["alan", "emmy"]);
    finds(store, new().limit(9, 4), &[]);
}

#[test]
fn conditions_are_joined_as_they_are_written() {
    let store = &some_people();
    let query = Query::new()
        .equal_to("$.age", 36)
        .or()
        .equal_to("$.age", 41)
        .and()
        .equal_to("$.active", false);
    finds(store, query, &["ada"]);
    let query = Query::new()
        .begin_group()
        .equal_to("$.age", 36)
        .or()
        .equal_to("$.age", 41)
        .end_group()
        .and()
        .equal_to("$.active", true);
    finds(store, query, &["alan"]);
    finds(store, Query::new().greater_than("$.age", 36).less_than("$.age", 85), &["alan"]);
}

#[test]
fn an_empty_in_matches_nothing_and_an_empty_not_in_everything() {
    let store = &some_people();
    let all = ["ada", "alan", "emmy", "grace"];
    finds(store, Query::new().in_numbers("$.age", [0; 0]), &[]);
    finds(store, Query::new().in_strings("$.name", [""; 0]), &[]);
    finds(store, Query::new().not_in_numbers("$.age", [0; 0]), &all);
    finds(store, Query::new().not_in_strings("$.name", [""; 0]), &all);
    assert_eq!(store.explain(Query::new().in_numbers("$.age", [0; 0])).unwrap().examined, 0);
}

#[test]
fn entries_come_in_the_order_that_is_asked_for() {
    let store = &some_people();
    let new = Query::new;
    finds(store, new().order_by_asc("$.age"), &["emmy", "ada", "alan", "grace"]);
    finds(store, new().order_by_desc("$.age"), &["grace", "alan", "ada", "emmy"]);
    finds(store, new().order_by_desc("$.age").limit(2, 1), &["alan", "ada"]);
    finds(
        store,
        new().order_by_asc("$.score").order_by_desc("$.name"),
        &["alan", "grace", "emmy", "ada"],
    );
    finds(store, new().order_by_desc("$.score"), &["ada", "grace", "emmy", "alan"]);
    finds(store, new().is_not_null("$.age").order_by_desc("$.id").limit(2, 0), &["alan", "grace"]);
}

#[test]
fn what_is_wrong_with_a_query_is_said_when_it_is_used() {
    let store = some_people();
    for query in [
        Query::new().equal_to("$.none", 1),
        Query::new().equal_to("", 1),
        Query::new().equal_to("$.a^b", 1),
        Query::new().equal_to("$.age", "x"),
        Query::new().and(),
        Query::new().begin_group(),
        Query::new().order_by_asc("$.city"),
    ] {
        for error in [
            store.get_entries(&query).unwrap_err(),
            store.get_result_set(&query).unwrap_err(),
            store.get_result_size(&query).unwrap_err(),
            store.explain(&query).unwrap_err(),
        ] {
            assert!(matches!(error, KvError::InvalidQuery { .. }), "{query:?}: {error}");
            assert_eq!(error.code(), Some(401));
        }
    }
    let long = Query::new().equal_to("$.name", "x".repeat(512_000));
    assert!(matches!(store.get_entries(long).unwrap_err(), KvError::QueryTooLong { .. }));
}

#[test]
fn a_store_without_a_schema_is_asked_by_keys_only() {
    let store = store();
    store.put("k1", 1).unwrap();
    store.put("k2", "no json").unwrap();
    finds(&store, Query::new().prefix_key("k").limit(1, 1), &["k2"]);
    let error = store.get_entries(Query::new().equal_to("$.a", 1)).unwrap_err();
    assert!(matches!(error, KvError::NotSupported { .. }));
    assert_eq!(error.code(), None);
}

#[test]
fn values_that_do_not_follow_the_schema_are_refused() {
    let store = open(people());
    for value in [r#"{"age":7}"#, "", "7", r#"{"name":"x","age":1.5}"#] {
        let error = store.put("k", value).unwrap_err();
        assert!(matches!(error, KvError::ValueMismatch { .. }), "{value}");
        assert_eq!(error.code(), Some(401));
    }
    assert!(store.put("k", 7).is_err());
    assert!(store.put_batch([cairn_kv::Entry::new("k", "{}")]).is_err());
    assert_eq!(store.get_result_size("").unwrap(), 0);
}

/// The figures of the ticket: what an index saves can be seen.
#[test]
fn explain_says_what_was_looked_at() {
    let mut plain = people();
    plain.indexes.clear();
    let [with, without] = [people(), plain].map(|schema| {
        let store = open(schema);
        let entry = |n: i32| {
            let value = json!({"name": format!("n{n:03}"), "age": n % 50, "score": n});
            cairn_kv::Entry::new(format!("k{n:03}"), value.to_string())
        };
        for first in (0..500).step_by(100) {
            store.put_batch((first..first + 100).map(entry)).unwrap();
        }
        store
    });
    let new = Query::new;
    for (query, examined, text) in [
        (new().equal_to("$.age", 7), 10, "index of $.age, 1 ranges; 10 examined, 10 returned"),
        (
            new().in_numbers("$.age", [7, 9]),
            20,
            "index of $.age, 2 ranges; 20 examined, 20 returned",
        ),
        (
            new().greater_than("$.score", 489).equal_to("$.age", 7).set_suggest_index("$.score"),
            10,
            "index of $.score, 1 ranges; 10 examined, 0 returned",
        ),
        (
            new().order_by_desc("$.score").limit(3, 2),
            5,
            "index of $.score, 1 ranges; 5 examined, 3 returned",
        ),
        (
            new().less_than("$.age", 2).order_by_asc("$.name"),
            20,
            "index of $.age, 1 ranges, sorted; 20 examined, 20 returned",
        ),
        (new().prefix_key("k01"), 10, "keys; 10 examined, 10 returned"),
        (
            new().equal_to("$.name", "n007").prefix_key("k1"),
            1,
            "index of $.name, 1 ranges; 1 examined, 0 returned",
        ),
    ] {
        let explained = with.explain(&query).unwrap();
        assert_eq!(
            (explained.examined, explained.to_string().as_str()),
            (examined, text),
            "{query:?}"
        );
        let plain = without.explain(&query).unwrap();
        assert!(plain.index.is_none() && plain.examined >= examined);
        assert_eq!(plain.returned, explained.returned);
    }
}

#[test]
fn an_index_is_built_for_what_was_there_and_kept_by_every_change() {
    let env = environment();
    let store = KvStore::open(&env, "s", options().schema(people())).unwrap();
    put(&store, "a", &json!({"name": "x", "age": 1}));
    put(&store, "a", &json!({"name": "x", "age": 2}));
    put(&store, "b", &json!({"name": "x", "age": 2}));
    store.delete("b").unwrap();
    finds(&store, Query::new().equal_to("$.age", 1), &[]);
    finds(&store, Query::new().equal_to("$.age", 2), &["a"]);
    // Somebody drops the index: the next open builds it again.
    store.close();
    let index = env.find_database("cairn.kv/s/index/0").unwrap().unwrap();
    env.write(|txn| txn.drop_database(&index)).unwrap();
    let store = KvStore::open(&env, "s", options().schema(people())).unwrap();
    finds(&store, Query::new().equal_to("$.age", 2), &["a"]);
    assert_eq!(store.explain(Query::new().equal_to("$.age", 2)).unwrap().examined, 1);
}

#[test]
fn strings_that_begin_alike_for_512_bytes_are_told_apart() {
    let store = open(people());
    let name = |end: &str| "n".repeat(600) + end;
    for end in ["a", "b", "c"] {
        put(&store, end, &json!({"name": name(end)}));
    }
    finds(&store, Query::new().equal_to("$.name", name("b")), &["b"]);
    finds(&store, Query::new().greater_than("$.name", name("b")), &["c"]);
    finds(&store, Query::new().less_than("$.name", name("b")), &["a"]);
    finds(&store, Query::new().order_by_desc("$.name"), &["c", "b", "a"]);
}

/// A condition, with what it means for a document.
type Condition = (fn(Query) -> Query, fn(&Json) -> bool);

const CONDITIONS: &[Condition] = &[
    (|q| q.equal_to("$.age", 3), |d| d["age"].as_i64() == Some(3)),
    (|q| q.not_equal_to("$.age", 3), |d| d["age"].as_i64().is_some_and(|age| age != 3)),
    (|q| q.greater_than("$.age", 3), |d| d["age"].as_i64().is_some_and(|age| age > 3)),
    (|q| q.less_than_or_equal_to("$.age", 3.5), |d| d["age"].as_i64().is_some_and(|age| age <= 3)),
    (|q| q.is_null("$.age"), |d| d["age"].is_null()),
    (
        |q| q.in_numbers("$.age", [1, 5, 7]),
        |d| d["age"].as_i64().is_some_and(|age| [1, 5, 7].contains(&age)),
    ),
    (
        |q| q.not_in_numbers("$.age", [1, 5]),
        |d| d["age"].as_i64().is_some_and(|age| ![1, 5].contains(&age)),
    ),
    (|q| q.equal_to("$.name", "b"), |d| d["name"] == "b"),
    (|q| q.less_than("$.name", "b"), |d| d["name"].as_str().is_some_and(|name| name < "b")),
    (|q| q.like("$.name", "%A"), |d| d["name"].as_str().is_some_and(|name| name.ends_with('a'))),
    (|q| q.in_strings("$.name", ["a", "bb"]), |d| d["name"] == "a" || d["name"] == "bb"),
    (|q| q.greater_than_or_equal_to("$.score", 1), |d| d["score"].as_f64().unwrap_or(1.5) >= 1.0),
    (|q| q.equal_to("$.active", true), |d| d["active"] == true),
    (|q| q.is_not_null("$.city.zip"), |d| !d["city"]["zip"].is_null()),
];

fn document() -> impl Strategy<Value = Json> {
    let age = prop_oneof![Just(Json::Null), (0..8i32).prop_map(Json::from)];
    let score = proptest::option::of((-2..4i32).prop_map(|n| f64::from(n) / 2.0));
    let zip = proptest::option::of("[0-1]{1,2}");
    ("[ab]{1,2}", age, score, any::<bool>(), zip).prop_map(|(name, age, score, active, zip)| {
        let mut document =
            json!({"name": name, "age": age, "active": active, "city": {"zip": zip}});
        if let Some(score) = score {
            document["score"] = score.into();
        }
        document
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any conditions, joined in any way, with an index or without: what is found is what each document
    /// says for itself; and no more is looked at than there is.
    #[test]
    fn a_query_finds_what_the_documents_say(
        documents in vec(document(), 0..40),
        terms in vec((select((0..CONDITIONS.len()).collect::<Vec<_>>()), any::<bool>()), 1..5),
        suggested in proptest::option::of(select(vec!["$.age", "$.name", "$.score"])),
    ) {
        let store = open(people());
        for (n, document) in documents.iter().enumerate() {
            put(&store, &format!("k{n:02}"), document);
        }
        // `and` binds more: a list of lists.
        let mut query = Query::new();
        let mut any: Vec<Vec<usize>> = vec![Vec::new()];
        for (at, (term, or)) in terms.iter().enumerate() {
            if at > 0 && *or {
                query = query.or();
                any.push(Vec::new());
            }
            query = CONDITIONS[*term].0(query);
            any.last_mut().unwrap().push(*term);
        }
        if let Some(suggested) = suggested {
            query = query.set_suggest_index(suggested);
        }
        let is_meant = |document: &Json| {
            any.iter().any(|all| all.iter().all(|term| CONDITIONS[*term].1(document)))
        };
        let expected: BTreeSet<_> = documents.iter().enumerate()
            .filter(|(_, document)| is_meant(document))
            .map(|(n, _)| format!("k{n:02}"))
            .collect();
        let found = store.get_entries(&query).unwrap();
        let keys: Vec<_> = found.iter().map(|entry| entry.key_str().into_owned()).collect();
        prop_assert_eq!(keys.len(), expected.len());
        prop_assert_eq!(keys.into_iter().collect::<BTreeSet<_>>(), expected.clone());
        let explained = store.explain(&query).unwrap();
        prop_assert_eq!(explained.returned, expected.len() as u64);
        prop_assert!(explained.examined <= documents.len() as u64, "{}", explained);
        for order in ["$.age", "$.name", "$.score"] {
            let ordered = store.get_entries(query.clone().order_by_asc(order)).unwrap();
            let mut back = store.get_entries(query.clone().order_by_desc(order)).unwrap();
            back.reverse();
            prop_assert_eq!(&ordered, &back);
            prop_assert_eq!(ordered.len(), expected.len());
        }
    }
}
