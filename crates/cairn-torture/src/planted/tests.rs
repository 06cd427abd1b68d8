//! The catalogue and the engine name the same bugs.

use std::{collections::BTreeMap, fs, path::Path};

use super::CATALOGUE;

/// How often each text stands in the sources of the engine.
fn places(of: impl Fn(&str) -> Vec<String>) -> BTreeMap<String, usize> {
    const ENGINE: &[&str] = &["cairn-io", "cairn-log", "cairn-btree", "cairn-env", "cairn-backup"];
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut places = BTreeMap::new();
    let mut folders: Vec<_> = ENGINE.iter().map(|name| crates.join(name).join("src")).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                for found in of(&fs::read_to_string(&path).unwrap()) {
                    *places.entry(found).or_default() += 1;
                }
            }
        }
    }
    places
}

/// What stands between `before` and `after`.
fn between(text: &str, before: &str, after: &str) -> Vec<String> {
    let parts = text.split(before).skip(1);
    parts.filter_map(|part| Some(part.split_once(after)?.0.to_owned())).collect()
}

#[test]
fn each_number_of_the_catalogue_stands_at_one_place_of_the_engine() {
    let numbers: Vec<u32> = CATALOGUE.iter().map(|plant| plant.number).collect();
    assert_eq!(numbers, (1..=40).collect::<Vec<_>>(), "numbers are given once, in order");
    let known = CATALOGUE.iter().map(|plant| (plant.number.to_string(), 1)).collect();
    assert_eq!(places(|text| between(text, "::planted::is(", ")")), known);
}

#[test]
fn each_place_says_which_entry_it_is() {
    let known = CATALOGUE.iter().map(|plant| (plant.name.to_owned(), 1)).collect();
    assert_eq!(places(|text| between(text, "// Planted: ", ".\n")), known);
}

#[test]
fn each_entry_says_where_its_model_can_be_read() {
    for plant in CATALOGUE {
        let source = plant.model.source;
        let says = ["https://", " commit ", ".md"].iter().any(|part| source.contains(part));
        assert!(says && plant.here.len() > 20 && plant.model.there.len() > 20, "{plant}");
    }
}

#[test]
fn an_ordinary_build_has_no_planted_bugs() {
    cairn_io::planted::plant(7);
    assert_eq!(cairn_io::planted::is(7), cfg!(planted));
    cairn_io::planted::plant(0);
}
