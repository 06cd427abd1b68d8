//! What went wrong for users of other systems, and the tests that play it here.
//!
//! The table is in `table`; `docs/incidents.md` is made of it. Most tests stand where what they are about is tested; those
//! that are about an incident alone stand in `plays`.

mod plays;
mod table;

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

use cairn_sim::Named;

use table::CLASSES;

/// Incidents of one sort.
struct Class {
    letter: char,
    name: &'static str,
    /// What CairnDB takes from it.
    rule: &'static str,
    rows: &'static [Row],
}

/// Incidents that come to the same: the numbers of the study, what happened, what happens here, and the tests that play it.
struct Row {
    numbers: &'static [u8],
    happened: &'static str,
    here: &'static str,
    tests: &'static [&'static str],
}

const INTRODUCTION: &str = "\
# Incidents

What went wrong for users of other systems with their backups, what CairnDB does there, and the tests that play it. The 81
incidents come from the public trackers, release notes and postmortems of about forty projects; the numbers are those of the
study in which they were collected, and each is here once. The page is made from `crates/cairn-backup/tests/it/incidents/table.rs`,
and a test holds it to that, and to the tests that it names.
";

fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    for Class { letter, name, rule, rows } in CLASSES {
        write!(page, "\n## {letter}. {name}\n\n{rule}\n\n").unwrap();
        page.push_str("| | what happened | here | tests |\n|---|---|---|---|\n");
        for Row { numbers, happened, here, tests } in *rows {
            let numbers: Vec<_> = numbers.iter().map(u8::to_string).collect();
            let tests: Vec<_> = tests.iter().map(|test| format!("`{test}`")).collect();
            let (numbers, tests) = (numbers.join(", "), tests.join("<br>"));
            writeln!(page, "| {numbers} | {happened} | {here} | {tests} |").unwrap();
        }
    }
    page
}

#[test]
fn every_incident_is_played_by_a_test_and_the_page_says_which() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folders =
        ["cairn-archive", "cairn-backup", "cairn-cli", "cairn-env", "cairn-kv", "cairn-torture"];
    let tests = Named::below(folders.map(|folder| crates.join(folder)));
    let rows = || CLASSES.iter().flat_map(|class| class.rows);
    let missing = tests.missing(rows().flat_map(|row| row.tests.iter().copied()));
    assert!(missing.is_empty(), "tests that are not there: {missing:?}");
    assert!(rows().all(|row| !row.tests.is_empty()));
    let numbers: Vec<_> = rows().flat_map(|row| row.numbers.iter().copied()).collect();
    assert_eq!(numbers.len(), 81, "each is there once");
    assert_eq!(numbers.into_iter().collect::<BTreeSet<_>>(), (1..=81).collect());
    let letters: String = CLASSES.iter().map(|class| class.letter).collect();
    assert_eq!(letters, "ABCDEFGHIJKLM");

    let path = crates.join("../docs/incidents.md");
    if std::env::var_os("CAIRN_UPDATE_GOLDENS").is_some_and(|value| value == "1") {
        fs::write(&path, page()).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(there == page(), "docs/incidents.md is another one: `cargo xtask goldens` writes it");
}
