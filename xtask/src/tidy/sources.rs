//! Facts about Rust sources.

use std::collections::BTreeMap;

use crate::{repository::Repository, rust_source::Facts, workspace::Workspace};

/// The files that may hold `unsafe` code. A new one needs a measurement and a design note.
const UNSAFE: &[&str] = &[
    "benches/compare/src/engine/lmdb.rs", // heed's interface demands it; no user runs it
    "benches/compare/src/sql/speedtest.rs", // a program in C; no user runs it
    "crates/cairn-io/src/mapping.rs",
    // The VFS: SQLite calls it through pointers.
    "crates/cairn-rdb/src/vfs/complete.rs",
    "crates/cairn-rdb/src/vfs/file.rs",
    "crates/cairn-rdb/src/vfs/host.rs",
    "crates/cairn-rdb/src/vfs/registration.rs",
    "crates/cairn-rdb/src/vfs/system.rs",
    "crates/cairn-rdb/src/vfs/tests.rs",
];

/// Longer files hold two ideas.
const MAX_LINES: usize = 700;

/// Files that are longer all the same, with their length on the day they were listed: they may
/// shrink, and then their number here shrinks with them.
const LONG: &[(&str, usize)] = &[];

fn facts(repository: &Repository) -> impl Iterator<Item = (&str, Facts)> {
    repository.texts(".rs").filter_map(|(path, text)| Some((path, Facts::read(text)?)))
}

/// A file that does not split into tokens would pass every check below.
pub(super) fn are_rust(repository: &Repository, _: &Workspace) -> Vec<String> {
    repository
        .texts(".rs")
        .filter(|(_, text)| Facts::read(text).is_none())
        .map(|(path, _)| format!("{path}: cannot be read as Rust; make it compile"))
        .collect()
}

/// Each file says first what it is about.
pub(super) fn begin_with_docs(repository: &Repository, _: &Workspace) -> Vec<String> {
    repository
        .texts(".rs")
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(path, _)| {
            format!(
                "{path}:1: no module doc; begin the file with one `//!` sentence about its idea"
            )
        })
        .collect()
}

/// `unsafe` stands only where a decision put it.
pub(super) fn unsafe_code_is_where_it_may_be(
    repository: &Repository,
    _: &Workspace,
) -> Vec<String> {
    facts(repository)
        .filter(|(path, _)| !UNSAFE.contains(path))
        .flat_map(|(path, facts)| {
            facts.unsafe_code.into_iter().map(move |line| {
                format!(
                    "{path}:{line}: `unsafe` outside the files that may hold it; use a safe way, \
                     or write the design note and extend UNSAFE in xtask/src/tidy/sources.rs"
                )
            })
        })
        .collect()
}

/// Nothing is committed that panics because it was left for later, or prints for debugging.
pub(super) fn nothing_is_unfinished(repository: &Repository, _: &Workspace) -> Vec<String> {
    facts(repository)
        .flat_map(|(path, facts)| {
            facts.unfinished.into_iter().map(move |(line, name)| {
                format!("{path}:{line}: `{name}!`; finish the work or return an error")
            })
        })
        .collect()
}

/// A ratchet against files that grow without an end.
pub(super) fn none_is_long(repository: &Repository, _: &Workspace) -> Vec<String> {
    long(repository, LONG)
}

fn long(repository: &Repository, ratchet: &[(&str, usize)]) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in repository.texts(".rs") {
        let lines = text.lines().count();
        let listed = ratchet.iter().find(|(listed, _)| *listed == path).map(|(_, lines)| *lines);
        let limit = listed.unwrap_or(MAX_LINES);
        if lines > limit {
            findings.push(format!(
                "{path}: {lines} lines, more than {limit}; split it where its second idea begins"
            ));
        } else if listed.is_some_and(|listed| lines < listed) {
            findings.push(format!(
                "{path}: {lines} lines, fewer than listed; lower (or drop) its number in LONG in \
                 xtask/src/tidy/sources.rs"
            ));
        }
    }
    findings
}

/// Two barriers of one name could not be told apart in an error or in a crash sweep.
pub(super) fn sync_sites_are_unique(repository: &Repository, _: &Workspace) -> Vec<String> {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut findings = Vec::new();
    for (path, facts) in facts(repository).filter(|(path, _)| is_engine(path)) {
        for (line, name) in facts.sync_sites {
            let place = format!("{path}:{line}");
            if let Some(first) = seen.get(&name) {
                findings.push(format!(
                    "{place}: the sync site `{name}` exists already ({first}); name each barrier \
                     once, in a constant, `area.what`"
                ));
            } else {
                seen.insert(name, place);
            }
        }
    }
    findings
}

/// Whether a file belongs to the engine and not to its tests, benches or examples.
fn is_engine(path: &str) -> bool {
    path.starts_with("crates/") && path.contains("/src/") && !path.ends_with("/tests.rs")
}

#[cfg(test)]
mod tests {
    use super::long;
    use crate::tidy::tests::{finds_in, tidy};

    const LIB: &str = "crates/cairn-io/src/lib.rs";

    #[test]
    fn what_is_not_rust_is_found() {
        finds_in(LIB, "//! A.\nfn f( {\n", LIB, "make it compile");
    }

    #[test]
    fn a_file_without_docs_is_found() {
        finds_in(LIB, "mod disk;\n", LIB, "no module doc");
        finds_in(LIB, "\n//! Too late.\n", LIB, "no module doc");
    }

    #[test]
    fn unsafe_code_is_found_outside_the_list() {
        finds_in(LIB, "//! A.\n\nunsafe fn f() {}\n", &format!("{LIB}:3"), "`unsafe` outside");
    }

    #[test]
    fn unfinished_code_is_found() {
        finds_in(LIB, "//! A.\nfn f() {\n    todo!()\n}\n", &format!("{LIB}:3"), "`todo!`");
    }

    #[test]
    fn a_long_file_is_found() {
        let text = format!("//! A.\n{}", "\n".repeat(700));
        finds_in(LIB, &text, LIB, "701 lines, more than 700");
    }

    #[test]
    fn the_ratchet_only_turns_one_way() {
        let mut repository = tidy();
        repository.put(LIB, &"//!\n".repeat(800));
        assert!(long(&repository, &[(LIB, 800)]).is_empty());
        assert!(long(&repository, &[(LIB, 799)])[0].contains("more than 799"));
        assert!(long(&repository, &[(LIB, 801)])[0].contains("fewer than listed"));
    }

    #[test]
    fn a_second_sync_site_of_one_name_is_found() {
        let text = "//! A.\nconst B: SyncSite = SyncSite::new(\"a.b\");\n";
        finds_in(LIB, text, &format!("{LIB}:2"), "(crates/cairn-io/src/disk.rs:3)");
    }
}
