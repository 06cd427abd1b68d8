//! `Asked`: a query, and what it means by a look at all entries.

use bytes::Bytes;
use cairn_kv::{KvResult, KvStore, Query, Value};
use cairn_sim::{Chooser, ChooserExt as _, FuzzBytes};

use crate::stores::Entries;

/// A query and its meaning.
pub(super) struct Asked {
    /// One of them must hold, each of whose conditions must; without any all hold.
    any: Vec<Vec<Condition>>,
    prefix: &'static str,
    /// By age or by name, and whether it descends.
    order: Option<(Field, bool)>,
    limit: Option<(usize, usize)>,
}

#[derive(Clone, Copy)]
enum Field {
    Age,
    Name,
}

enum Condition {
    Age(usize, i32),
    AgeIsNull(bool),
    AgeIn(Vec<i32>, bool),
    NameIs(&'static str, bool),
    NameLike(&'static str, bool),
}

/// What a query sees of a person.
struct Seen {
    key: Bytes,
    age: Option<i32>,
    name: String,
}

impl Seen {
    fn new(key: &Bytes, value: &Value) -> Self {
        let text = value.as_str().expect("people are text");
        let json: serde_json::Value = serde_json::from_str(text).expect("people are JSON");
        let age = json["age"].as_i64().and_then(|age| i32::try_from(age).ok());
        let name = json["name"].as_str().unwrap_or("nobody").to_owned();
        Self { key: key.clone(), age, name }
    }
}

impl Asked {
    pub(super) fn any(bytes: &mut FuzzBytes<'_>) -> Self {
        let mut any: Vec<Vec<Condition>> = Vec::new();
        for _ in 0..bytes.choose(4, "conditions") {
            match any.last_mut() {
                Some(all) if !bytes.choose_bool("or") => all.push(Condition::any(bytes)),
                _ => any.push(vec![Condition::any(bytes)]),
            }
        }
        let prefix = *bytes.pick(&["", "k1", "k"], "prefix");
        let field = *bytes.pick(&[None, Some(Field::Age), Some(Field::Name)], "order");
        let order = field.map(|field| (field, bytes.choose_bool("descending")));
        let limited = bytes.choose_bool("limit");
        let limit = limited.then(|| (bytes.choose(5, "total"), bytes.choose(4, "offset")));
        Self { any, prefix, order, limit }
    }

    fn query(&self) -> Query {
        let mut query = Query::new().prefix_key(self.prefix);
        for (n, all) in self.any.iter().enumerate() {
            query = if n == 0 { query } else { query.or() };
            query = all.iter().fold(query, |query, condition| condition.add(query));
        }
        query = match self.order {
            Some((field, false)) => query.order_by_asc(field.path()),
            Some((field, true)) => query.order_by_desc(field.path()),
            None => query,
        };
        match self.limit {
            Some((total, offset)) => query.limit(total as u64, offset as u64),
            None => query,
        }
    }

    /// The keys of what is meant, in order if there is one, without limit and offset.
    fn meant(&self, entries: &Entries) -> Vec<Bytes> {
        let holds = |seen: &Seen| {
            let all = |all: &Vec<Condition>| all.iter().all(|condition| condition.holds(seen));
            seen.key.starts_with(self.prefix.as_bytes())
                && (self.any.is_empty() || self.any.iter().any(all))
        };
        let seen = entries.iter().map(|(key, value)| Seen::new(key, value));
        let mut seen: Vec<_> = seen.filter(holds).collect();
        match self.order {
            Some((Field::Age, _)) => seen.sort_by_key(|seen| seen.age),
            Some((Field::Name, _)) => seen.sort_by(|a, b| a.name.cmp(&b.name)),
            None => {}
        }
        if self.order.is_some_and(|(_, descending)| descending) {
            seen.reverse();
        }
        seen.into_iter().map(|seen| seen.key).collect()
    }

    /// Asks a store that holds these entries, in all ways.
    pub(super) fn check(&self, store: &KvStore, entries: &Entries) -> KvResult<()> {
        let (query, meant) = (self.query(), self.meant(entries));
        let (total, offset) = self.limit.unwrap_or((usize::MAX, 0));
        let found = store.get_entries(&query)?;
        for entry in &found {
            assert_eq!(entries.get(&entry.key), Some(&entry.value), "{query:?}");
        }
        let found: Vec<_> = found.into_iter().map(|entry| entry.key).collect();
        match self.order {
            Some(_) => {
                let expected: Vec<_> = meant.iter().skip(offset).take(total).collect();
                assert!(found.iter().eq(expected), "{query:?}: {found:?} of {meant:?}");
            }
            None => {
                let count = meant.len().saturating_sub(offset).min(total);
                let (mut sorted, all) =
                    (found.clone(), found.iter().all(|key| meant.contains(key)));
                sorted.sort();
                sorted.dedup();
                assert!(all && sorted.len() == count, "{query:?}: {found:?} of {meant:?}");
            }
        }
        assert_eq!(store.get_result_size(&query)?, found.len() as u64, "{query:?}");
        let mut set = store.get_result_set(&query)?;
        for key in &found {
            assert!(set.move_to_next()?, "{query:?}");
            assert_eq!(set.entry()?.map(|entry| entry.key).as_ref(), Some(key), "{query:?}");
        }
        assert!(!set.move_to_next()?, "{query:?}");
        for key in found.iter().rev() {
            assert!(set.move_to_previous()?, "{query:?}");
            assert_eq!(set.entry()?.map(|entry| entry.key).as_ref(), Some(key), "{query:?}");
        }
        Ok(())
    }
}

impl Field {
    const fn path(self) -> &'static str {
        match self {
            Self::Age => "$.age",
            Self::Name => "$.name",
        }
    }
}

impl Condition {
    fn any(bytes: &mut FuzzBytes<'_>) -> Self {
        let age = |bytes: &mut FuzzBytes<'_>| i32::try_from(bytes.choose(7, "age")).unwrap_or(0);
        match bytes.choose(5, "condition") {
            0 => Self::Age(bytes.choose(6, "comparison"), age(bytes)),
            1 => Self::AgeIsNull(bytes.choose_bool("null")),
            2 => {
                let list = (0..bytes.choose(4, "list")).map(|_| age(bytes)).collect();
                Self::AgeIn(list, bytes.choose_bool("negated"))
            }
            3 => {
                let name = *bytes.pick(&["n1", "n2", "nobody"], "name");
                Self::NameIs(name, bytes.choose_bool("is"))
            }
            _ => {
                let pattern = *bytes.pick(&["%", "n1%", "_1%", "%0", "NO%y", "n_"], "pattern");
                Self::NameLike(pattern, bytes.choose_bool("negated"))
            }
        }
    }

    fn add(&self, query: Query) -> Query {
        let field = "$.age";
        match self {
            Self::Age(0, age) => query.equal_to(field, *age),
            Self::Age(1, age) => query.not_equal_to(field, *age),
            Self::Age(2, age) => query.less_than(field, *age),
            Self::Age(3, age) => query.less_than_or_equal_to(field, *age),
            Self::Age(4, age) => query.greater_than(field, *age),
            Self::Age(_, age) => query.greater_than_or_equal_to(field, *age),
            Self::AgeIsNull(true) => query.is_null(field),
            Self::AgeIsNull(false) => query.is_not_null(field),
            Self::AgeIn(list, false) => query.in_numbers(field, list.iter().copied()),
            Self::AgeIn(list, true) => query.not_in_numbers(field, list.iter().copied()),
            Self::NameIs(name, true) => query.equal_to("$.name", *name),
            Self::NameIs(name, false) => query.not_equal_to("$.name", *name),
            Self::NameLike(pattern, false) => query.like("$.name", *pattern),
            Self::NameLike(pattern, true) => query.unlike("$.name", *pattern),
        }
    }

    fn holds(&self, seen: &Seen) -> bool {
        match (self, seen.age) {
            (Self::AgeIsNull(null), age) => age.is_none() == *null,
            (Self::AgeIn(list, true), None) => list.is_empty(),
            (Self::Age(..) | Self::AgeIn(..), None) => false,
            (Self::Age(comparison, than), Some(age)) => match comparison {
                0 => age == *than,
                1 => age != *than,
                2 => age < *than,
                3 => age <= *than,
                4 => age > *than,
                _ => age >= *than,
            },
            (Self::AgeIn(list, negated), Some(age)) => list.contains(&age) != *negated,
            (Self::NameIs(name, is), _) => (seen.name == *name) == *is,
            (Self::NameLike(pattern, negated), _) => {
                is_like(pattern.as_bytes(), seen.name.as_bytes()) != *negated
            }
        }
    }
}

/// `LIKE` by its definition.
fn is_like(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, rest) => rest.is_none(),
        (Some((b'%', rest)), _) => (0..=text.len()).any(|n| is_like(rest, &text[n..])),
        (Some((b'_', rest)), Some((_, more))) => is_like(rest, more),
        (Some((a, rest)), Some((b, more))) => a.eq_ignore_ascii_case(b) && is_like(rest, more),
        (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use cairn_io::{DirRef, MemDisk};
    use cairn_sim::{Seeded, SimWorld};

    use super::*;
    use crate::{
        problem::{Wrong, caught},
        stores::{entries, open_environment, open_store, person, prepare},
    };

    /// A model that has one entry too few, or another one, does not pass for long.
    #[test]
    fn a_store_that_holds_something_else_is_noticed() {
        let (root, world) = (MemDisk::new().root() as DirRef, SimWorld::new(1).world());
        prepare(&root).unwrap();
        let env = open_environment(&root, &world).unwrap();
        let store = open_store(&env).unwrap();
        for (key, age) in [("k1", 1), ("k2", 2), ("k10", 3)] {
            store.put(key, person(Some(age), Some("n1"))).unwrap();
        }
        let right = entries(&store).unwrap();
        let [mut fewer, mut other] = [right.clone(), right.clone()];
        fewer.remove(&b"k10"[..]);
        other.insert("k10".into(), person(Some(4), Some("n1")).into());
        let mut noticed = [0; 3];
        for seed in 0..200 {
            for (model, noticed) in [&right, &fewer, &other].into_iter().zip(&mut noticed) {
                let mut input = [0; 40];
                Seeded::new(seed).bytes(&mut input, "input");
                let asked = Asked::any(&mut FuzzBytes::new(&input));
                let checked = caught(|| {
                    asked.check(&store, model).unwrap();
                    Ok(())
                });
                *noticed += u32::from(checked.is_err_and(|problem| problem.wrong == Wrong::Panic));
            }
        }
        assert_eq!(noticed[0], 0);
        assert!(noticed[1] > 50 && noticed[2] > 50, "{noticed:?}");
    }
}
