//! `ratio`: lines of tests against lines of code.

use std::path::PathBuf;

use crate::{
    Repository, Result,
    figure::{self, Figure},
    rust_source::Facts,
};

/// Where the figure goes.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Add what was counted to this file, as a line of JSON
    #[arg(long, value_name = "FILE")]
    figures: Option<PathBuf>,
}

/// Crates that exist to test the others.
const RIGS: [&str; 3] = ["crates/cairn-sim/", "crates/cairn-schedules/", "crates/cairn-torture/"];

/// Counts and prints.
pub(crate) fn run(options: &Options) -> Result {
    let (code, tests) = count(&Repository::load()?);
    println!(
        "{code} lines of code, {tests} lines of tests and of rigs; comments count, blank lines do not"
    );
    let name = "lines of tests per thousand of code";
    let figure = Figure { goal: "G31", name, value: tests * 1000 / code.max(1), wrong: 0 };
    figure::report(&[figure], 0, options.figures.as_deref())
}

/// Lines of the product and of its tests. The automation and the benchmarks are neither.
fn count(repository: &Repository) -> (u64, u64) {
    let (mut code, mut tests) = (0, 0);
    let is_counted = |path: &str| path.starts_with("crates/") || path.starts_with("fuzz/");
    for (path, text) in repository.texts(".rs").filter(|(path, _)| is_counted(path)) {
        let is_test = !path.starts_with("crates/")
            || RIGS.iter().any(|rig| path.starts_with(rig))
            || path.contains("/tests/")
            || path.ends_with("/tests.rs");
        let ranges = Facts::read(text).unwrap_or_default().tests;
        for (number, line) in (1..).zip(text.lines()) {
            let in_test = is_test || ranges.iter().any(|range| range.contains(&number));
            let counted = if in_test { &mut tests } else { &mut code };
            *counted += u64::from(!line.trim().is_empty());
        }
    }
    (code, tests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_beside_the_code_are_no_code() {
        let text =
            "fn f() {}\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn t() {}\n}\nfn g() {}\n";
        let repository = Repository::of([
            ("crates/cairn-io/src/a.rs", text),
            ("crates/cairn-io/tests/it/a.rs", "fn t() {}\n"),
            ("crates/cairn-sim/src/a.rs", "fn t() {}\n"),
            ("xtask/src/a.rs", "fn x() {}\n"),
        ]);
        assert_eq!(count(&repository), (2, 7));
    }
}
