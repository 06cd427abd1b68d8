//! `spec`: the tables of `docs`, of fields above all, come from the code that they describe.
//!
//! A crate that owns a table has an example, `<crate>-spec`, that prints its tables, each as a line
//! `=== NAME` followed by Markdown. (The crate is in its name since all examples are built into one
//! directory.) A page says where a table belongs with
//! `<!-- generated: NAME -->` and `<!-- end generated -->`; what stands between is replaced. So
//! this package needs no crate of the engine, and a page cannot drift from the code.

mod splice;

use std::{collections::BTreeMap, fs, process::Command};

use self::splice::{Tables, splice, tables};
use crate::{
    Repository, Result, metadata::Metadata, process, reliability, report, workspace::Workspace,
};

/// Rewrites the pages, or with `check` only compares them.
pub(crate) fn run(check: bool) -> Result {
    let repository = Repository::load()?;
    let workspace = Workspace::read(&repository)?;
    let has_tables =
        |path: &str, name: &str| repository.has(&format!("{path}/examples/{name}-spec.rs"));
    let owners = workspace.members.iter().filter(|member| has_tables(&member.path, &member.name));
    let mut printed = print(owners.map(|member| member.name.as_str()))?;
    printed.push(("xtask".to_owned(), reliability::printed()?));
    let (tables, mut findings) = collect(&printed);
    let pages: BTreeMap<_, _> =
        repository.texts(".md").filter(|(path, _)| path.starts_with("docs/")).collect();
    let (changed, more) = update(&pages, &tables);
    findings.extend(more);
    for (path, text) in &changed {
        if check {
            findings.push(format!("{path}: differs from the code; run `cargo xtask spec`"));
        } else {
            fs::write(process::root().join(path), text)
                .map_err(|error| format!("cannot write {path}: {error}"))?;
            println!("spec: rewrote {path}");
        }
    }
    report("spec", &findings)?;
    println!("spec: {} tables in {} pages agree with the code", tables.len(), pages.len());
    Ok(())
}

/// What the examples of these crates print. All are built at once, as the tests are, with the features that
/// the whole workspace asks for: after the tests there is nothing left to build.
fn print<'n>(crates: impl Iterator<Item = &'n str>) -> Result<Vec<(String, String)>> {
    let crates: Vec<&str> = crates.collect();
    let examples: Vec<String> =
        crates.iter().map(|name| format!("--example={name}-spec")).collect();
    let build = ["build", "--quiet", "--locked", "--profile=test", "--workspace"];
    let build: Vec<&str> = build.into_iter().chain(examples.iter().map(String::as_str)).collect();
    process::output(&mut process::cargo(&build))?;
    let built = Metadata::members()?.target_directory.join("debug/examples");
    let print = |name: &&str| {
        let example = built.join(format!("{name}-spec{}", std::env::consts::EXE_SUFFIX));
        Ok(((*name).to_owned(), process::output(&mut Command::new(example))?))
    };
    crates.iter().map(print).collect()
}

/// All tables by name, from what each crate printed.
fn collect(printed: &[(String, String)]) -> (Tables, Vec<String>) {
    let mut all = Tables::new();
    let mut findings = Vec::new();
    for (name, output) in printed {
        let place = format!("{name}/examples/{name}-spec.rs");
        match tables(output) {
            Ok(tables) => {
                for (table, text) in tables {
                    if all.insert(table.clone(), text).is_some() {
                        findings
                            .push(format!("{place}: prints `{table}`, printed before; rename it"));
                    }
                }
            }
            Err(finding) => findings.push(format!("{place}: {finding}")),
        }
    }
    (all, findings)
}

/// The pages that change, with their new text.
fn update<'a>(
    pages: &BTreeMap<&'a str, &str>,
    tables: &Tables,
) -> (BTreeMap<&'a str, String>, Vec<String>) {
    let mut unused: Vec<_> = tables.keys().collect();
    let mut changed = BTreeMap::new();
    let mut findings = Vec::new();
    for (path, text) in pages {
        match splice(text, tables) {
            Ok((new, used)) => {
                unused.retain(|name| !used.contains(*name));
                if new != *text {
                    changed.insert(*path, new);
                }
            }
            Err(more) => findings.extend(more.iter().map(|finding| format!("{path}:{finding}"))),
        }
    }
    findings.extend(unused.iter().map(|name| {
        format!("docs: no page has the marker `<!-- generated: {name} -->`; add it to one")
    }));
    (changed, findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(texts: &[&str]) -> Vec<(String, String)> {
        texts.iter().map(|text| ("cairn-log".to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn only_pages_that_differ_change() {
        let (tables, findings) = collect(&printed(&["=== a\n| x |\n", "=== b\n| y |\n"]));
        assert!(findings.is_empty());
        let same = "<!-- generated: a -->\n\n| x |\n\n<!-- end generated -->\n";
        let differs = "<!-- generated: b -->\n<!-- end generated -->\n";
        let (changed, findings) = update(&[("a.md", same), ("b.md", differs)].into(), &tables);
        assert!(findings.is_empty());
        assert_eq!(changed.keys().collect::<Vec<_>>(), [&"b.md"]);
        let again = update(&[("a.md", same), ("b.md", &changed["b.md"])].into(), &tables);
        assert!(again.0.is_empty());
    }

    #[test]
    fn a_table_without_a_marker_and_a_marker_without_a_table_are_found() {
        let (tables, _) = collect(&printed(&["=== a\n| x |\n"]));
        let page = "\n<!-- generated: b -->\n<!-- end generated -->\n";
        let (_, findings) = update(&[("b.md", page)].into(), &tables);
        assert_eq!(findings.len(), 2, "{findings:#?}");
        assert!(findings[0].starts_with("b.md:2: no crate prints a table `b`"));
        assert!(findings[1].contains("`<!-- generated: a -->`; add it"));
    }

    #[test]
    fn two_tables_of_one_name_are_found() {
        let (_, findings) = collect(&printed(&["=== a\n| x |\n", "=== a\n| y |\n"]));
        assert!(findings[0].contains("prints `a`, printed before"), "{findings:#?}");
    }

    #[test]
    fn output_outside_a_table_is_found() {
        let (_, findings) = collect(&printed(&["| x |\n"]));
        assert!(
            findings[0].starts_with("cairn-log/examples/cairn-log-spec.rs: line 1"),
            "{findings:#?}"
        );
    }
}
