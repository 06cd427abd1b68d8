//! `tidy`: facts about the repository that a machine checks better than a reader.
//!
//! Each check looks at the files in memory and returns messages that say what to do. Rules of
//! taste have no place here: they stand in `docs/style.md`.

mod documents;
mod files;
mod sources;

use crate::{Repository, Result, report, workspace::Workspace};

type Check = fn(&Repository, &Workspace) -> Vec<String>;

const CHECKS: &[Check] = &[
    files::none_is_large,
    files::none_was_built,
    files::no_developer_paths,
    files::lock_file_is_committed,
    sources::are_rust,
    sources::begin_with_docs,
    sources::unsafe_code_is_where_it_may_be,
    sources::nothing_is_unfinished,
    sources::none_is_long,
    sources::sync_sites_are_unique,
    documents::crates_and_architecture_agree,
    documents::architecture_names_files_that_exist,
    documents::changelog_speaks_of_the_format,
    documents::links_resolve,
    documents::format_pages_are_indexed,
];

/// Runs all checks on this repository.
pub(crate) fn run() -> Result {
    let repository = Repository::load()?;
    let workspace = Workspace::read(&repository)?;
    let findings: Vec<_> = CHECKS.iter().flat_map(|check| check(&repository, &workspace)).collect();
    report("tidy", &findings)?;
    println!("tidy: {} checks passed on {} files", CHECKS.len(), repository.files().count());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small repository without a finding.
    pub(super) fn tidy() -> Repository {
        Repository::of([
            (
                "Cargo.toml",
                "[workspace]\nmembers = [\"crates/cairn-io\"]\n\
                 [workspace.metadata.cairn.layers]\ncairn-io = []\n",
            ),
            ("Cargo.lock", "version = 4\n"),
            ("CHANGELOG.md", "# Changelog\n\n## Unreleased\n\nFile format: 0.1.\n"),
            (
                "ARCHITECTURE.md",
                "# Architecture\n\n`cairn-io` reads in `cairn-io/disk.rs`.\n\n\
                 ## Planned\n\n`cairn-log` scans in `cairn-log/tail.rs`.\n\n## Rules\n\nNone.\n",
            ),
            ("docs/format/README.md", "# Formats\n\n[record](record.md)\n"),
            ("docs/format/record.md", "# Record\n\nSee [Rules](../../ARCHITECTURE.md#rules).\n"),
            ("crates/cairn-io/Cargo.toml", "[package]\nname = \"cairn-io\"\n"),
            ("crates/cairn-io/src/lib.rs", "//! A directory of files.\n\nmod disk;\n"),
            (
                "crates/cairn-io/src/disk.rs",
                "//! One directory.\n\nconst A: SyncSite = SyncSite::new(\"a.b\");\n",
            ),
        ])
    }

    fn findings(repository: &Repository) -> Vec<String> {
        let workspace = Workspace::read(repository).unwrap();
        CHECKS.iter().flat_map(|check| check(repository, &workspace)).collect()
    }

    /// The one finding in a repository, which has to start and go on as given.
    #[track_caller]
    pub(super) fn finds(repository: &Repository, place: &str, part: &str) {
        let findings = findings(repository);
        assert_eq!(findings.len(), 1, "{findings:#?}");
        assert!(findings[0].starts_with(place) && findings[0].contains(part), "{findings:#?}");
    }

    /// The same after putting one file into the tidy repository.
    #[track_caller]
    pub(super) fn finds_in(path: &str, text: &str, place: &str, part: &str) {
        let mut repository = tidy();
        repository.put(path, text);
        finds(&repository, place, part);
    }

    #[test]
    fn this_repository_is_tidy() {
        run().unwrap();
    }

    #[test]
    fn a_tidy_repository_has_no_findings() {
        assert_eq!(findings(&tidy()), [""; 0]);
    }
}
