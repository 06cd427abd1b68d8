//! Result sets: positions, moves, what they show and when they end.

use cairn_env::{Environment, Options};
use cairn_io::{IoOp, MemDisk};
use cairn_kv::{KvResult, KvStore, Query, ResultSet};
use cairn_sim::{Fault, FaultDisk, Rule, SimWorld};

use crate::fixture::{environment, options, people, store};

fn filled(n: usize) -> KvStore {
    let store = store();
    for n in 0..n {
        store.put(format!("k{n}"), i32::try_from(n).unwrap()).unwrap();
    }
    store
}

fn key(set: &ResultSet) -> Option<String> {
    set.entry().unwrap().map(|entry| entry.key_str().into_owned())
}

#[test]
fn an_empty_set_has_no_place_to_stand_on() {
    let store = store();
    let mut set = store.get_result_set("").unwrap();
    assert_eq!((set.count().unwrap(), set.position().unwrap()), (0, -1));
    assert!(!set.move_to_first().unwrap() && !set.move_to_last().unwrap());
    assert!(!set.move_to_next().unwrap() && !set.move_to_previous().unwrap());
    assert!(!set.move_to(0).unwrap() && !set.move_by(1).unwrap());
    assert!(set.is_before_first().unwrap() && set.is_after_last().unwrap());
    assert!(!set.is_first().unwrap() && !set.is_last().unwrap());
    assert_eq!(set.entry().unwrap(), None);
    assert_eq!(set.position().unwrap(), -1);
}

#[test]
fn it_stands_before_the_first_to_begin_with() {
    let mut set = filled(3).get_result_set("").unwrap();
    assert_eq!((set.position().unwrap(), set.entry().unwrap()), (-1, None));
    assert!(set.is_before_first().unwrap() && !set.is_after_last().unwrap());
    assert!(set.move_to_next().unwrap() && set.is_first().unwrap() && !set.is_last().unwrap());
    assert_eq!(key(&set).unwrap(), "k0");
    assert!(set.move_to_next().unwrap() && set.move_to_next().unwrap() && set.is_last().unwrap());
    assert!(!set.move_to_next().unwrap() && set.is_after_last().unwrap());
    assert_eq!((set.position().unwrap(), set.entry().unwrap()), (3, None));
    assert!(!set.move_to_next().unwrap());
    assert!(set.move_to_previous().unwrap() && set.is_last().unwrap());
    assert!(set.move_to_first().unwrap() && !set.move_to_previous().unwrap());
    assert!(set.is_before_first().unwrap());
}

#[test]
fn moves_beyond_an_end_stand_there() {
    let mut set = filled(5).get_result_set("").unwrap();
    assert!(set.move_to(3).unwrap());
    assert_eq!(key(&set).unwrap(), "k3");
    assert!(set.move_by(-2).unwrap());
    assert_eq!(key(&set).unwrap(), "k1");
    assert!(!set.move_by(-2).unwrap());
    assert_eq!(set.position().unwrap(), -1);
    assert!(!set.move_to(5).unwrap());
    assert_eq!(set.position().unwrap(), 5);
    assert!(set.move_by(-1).unwrap() && set.is_last().unwrap());
    assert!(!set.move_to(-7).unwrap() && set.is_before_first().unwrap());
    assert!(!set.move_to(i64::MAX).unwrap() && set.is_after_last().unwrap());
    assert!(!set.move_by(i64::MIN).unwrap() && set.is_before_first().unwrap());
}

#[test]
fn after_a_move_that_failed_it_stands_before_the_first_entry() {
    let disk = FaultDisk::new(MemDisk::new().root());
    let world = SimWorld::new(1).world();
    // So little memory that no value is kept in it.
    let small = Options::default().background(false).cache_bytes(1 << 20);
    let (env, _) = Environment::open_in(disk.root(), world, small).unwrap();
    let store = KvStore::open(&env, "store", options().schema(people())).unwrap();
    for n in 0..4 {
        // So large that each is read on its own, to see whether it is meant.
        let value = format!("{{\"name\":\"{}\",\"id\":{n}}}", "x".repeat(100_000));
        store.put(format!("k{n}"), value).unwrap();
    }
    let mut set = store.get_result_set(Query::new().greater_than("$.id", 0)).unwrap();
    let moves: [fn(&mut ResultSet) -> KvResult<bool>; 4] = [
        ResultSet::move_to_first,
        ResultSet::move_to_next,
        ResultSet::move_to_previous,
        ResultSet::move_to_last,
    ];
    assert_eq!(set.count().unwrap(), 3);
    for step in moves {
        assert!(set.move_to(1).unwrap());
        disk.inject(Rule::new(Fault::Eio).op(IoOp::Read).and_on());
        step(&mut set).unwrap_err();
        assert_eq!((set.position().unwrap(), key(&set)), (-1, None));
        disk.clear();
        assert!(set.move_to_next().unwrap());
        assert_eq!(key(&set).unwrap(), "k1");
    }
}

#[test]
fn it_shows_what_was_there_when_it_was_asked() {
    let store = filled(3);
    let mut set = store.get_result_set("k").unwrap();
    store.delete("k1").unwrap();
    store.put("k2", "other").unwrap();
    store.put("k9", 9).unwrap();
    let values: Vec<_> = set.entries().map(|entry| entry.unwrap().value.as_i64()).collect();
    assert_eq!(values, [Some(0), Some(1), Some(2)]);
    assert_eq!(set.count().unwrap(), 3);
    assert_eq!(store.get_result_set("k").unwrap().count().unwrap(), 3);
}

/// Each move, on sets found by keys, by an index forwards and backwards, sorted, and with limit and offset,
/// gives what it gives on a list.
#[test]
fn moves_do_what_they_do_on_a_list() {
    let store = KvStore::open(&environment(), "s", options().schema(people())).unwrap();
    for n in 0..23 {
        let age = match n % 5 {
            4 => "null".to_owned(),
            age => age.to_string(),
        };
        let value = format!("{{\"name\":\"n{}\",\"age\":{age},\"id\":{}}}", n % 7, n % 3);
        store.put(format!("k{n:02}"), value).unwrap();
    }
    let new = Query::new;
    for query in [
        new(),
        new().prefix_key("k1"),
        new().limit(5, 3),
        new().limit(0, 0),
        new().limit(100, 100),
        new().equal_to("$.age", 2),
        new().in_numbers("$.age", [3, 1, 7]),
        new().greater_than("$.age", 0).less_than("$.age", 3),
        new().equal_to("$.id", 1).greater_than("$.age", 1),
        new().order_by_asc("$.age"),
        new().order_by_desc("$.age").limit(6, 2),
        new().order_by_asc("$.id").order_by_desc("$.name"),
        new().order_by_desc("$.name").limit(4, 1),
        new().equal_to("$.age", 99),
    ] {
        let list: Vec<_> =
            store.get_entries(&query).unwrap().into_iter().map(|entry| entry.key).collect();
        let len = i64::try_from(list.len()).unwrap();
        assert_eq!(store.get_result_size(&query).unwrap(), list.len() as u64, "{query:?}");
        assert_eq!(store.explain(&query).unwrap().returned, list.len() as u64, "{query:?}");
        let mut set = store.get_result_set(&query).unwrap();
        let (mut at, mut seed) = (-1i64, 7u64);
        for _ in 0..300 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let offset = i64::try_from(seed >> 33).unwrap() % 13 - 6;
            let wanted = match seed >> 60 {
                0..=3 => {
                    set.move_to_next().unwrap();
                    at + 1
                }
                4..=7 => {
                    set.move_to_previous().unwrap();
                    at - 1
                }
                8 => {
                    set.move_to_first().unwrap();
                    0
                }
                9 => {
                    set.move_to_last().unwrap();
                    len - 1
                }
                10 => {
                    assert_eq!(set.count().unwrap(), list.len() as u64);
                    at
                }
                11 | 12 => {
                    set.move_by(offset).unwrap();
                    at + offset
                }
                _ => {
                    set.move_to(offset * 3).unwrap();
                    offset * 3
                }
            };
            at = if len == 0 { -1 } else { wanted.clamp(-1, len) };
            assert_eq!(set.position().unwrap(), at, "{query:?}");
            let expected = usize::try_from(at).ok().and_then(|at| list.get(at));
            assert_eq!(set.entry().unwrap().map(|entry| entry.key).as_ref(), expected);
            assert_eq!(set.is_first().unwrap(), at == 0);
            assert_eq!(set.is_last().unwrap(), at == len - 1 && len > 0);
            assert_eq!(set.is_before_first().unwrap(), at == -1);
            assert_eq!(set.is_after_last().unwrap(), at == len || len == 0);
        }
    }
}

/// However many entries there are, the first row looks at one: time and memory do not grow.
#[test]
fn the_first_row_of_a_large_set_looks_at_one_entry() {
    let env = environment();
    let store = KvStore::open(&env, "s", options().schema(people())).unwrap();
    let data = env.find_database("cairn.kv/s").unwrap().unwrap();
    let stored =
        |n: u32| [&[0][..], format!("{{\"name\":\"x\",\"age\":{}}}", n % 10).as_bytes()].concat();
    env.write(|txn| {
        (0..20_000u32).try_for_each(|n| txn.put(&data, format!("{n:05}").as_bytes(), &stored(n)))
    })
    .unwrap();
    for query in [
        Query::new(),
        Query::new().equal_to("$.age", 7),
        Query::new().order_by_desc("$.age"),
        Query::new().greater_than("$.age", 3).order_by_asc("$.age"),
    ] {
        let explained = store.explain(query.clone().limit(1, 0)).unwrap();
        assert_eq!((explained.examined, explained.returned), (1, 1), "{query:?}: {explained}");
        assert!(store.get_result_set(query).unwrap().move_to_first().unwrap());
    }
}
