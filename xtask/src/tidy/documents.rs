//! Facts about documents: what they name exists, and where they point something stands.

use std::collections::BTreeSet;

use crate::{markdown::Page, repository::Repository, workspace::Workspace};

const ARCHITECTURE: &str = "ARCHITECTURE.md";
const CHANGELOG: &str = "CHANGELOG.md";
const FORMAT: &str = "docs/format/";

/// A name in code in ARCHITECTURE.md.
struct Named {
    line: usize,
    /// A word of letters, digits and `-_./`.
    word: String,
    /// Whether it stands below a heading that says "planned".
    planned: bool,
}

fn architecture(repository: &Repository) -> Vec<Named> {
    let page = Page::read(repository.text(ARCHITECTURE).unwrap_or_default());
    let mut named = Vec::new();
    for code in page.code {
        let planned = code.headings.iter().any(|title| title.to_lowercase().contains("planned"));
        let apart = |c: char| !(c.is_ascii_alphanumeric() || "-_./".contains(c));
        for word in code.text.split(apart).filter(|word| !word.is_empty()) {
            named.push(Named { line: code.line, word: word.to_owned(), planned });
        }
    }
    named
}

/// The crate that a word names, alone or as the first part of a path.
fn crate_of(word: &str) -> Option<&str> {
    let first = word.split('/').next()?.trim_end_matches('.');
    (first == "cairndb" || first.starts_with("cairn-")).then_some(first)
}

/// ARCHITECTURE.md names every crate, and no crate that is neither there nor planned.
pub(super) fn crates_and_architecture_agree(
    repository: &Repository,
    workspace: &Workspace,
) -> Vec<String> {
    let named = architecture(repository);
    let words: BTreeSet<_> = named.iter().map(|named| &*named.word).collect();
    let planned: BTreeSet<_> = named
        .iter()
        .filter(|named| named.planned)
        .filter_map(|named| crate_of(&named.word))
        .collect();
    let mut findings = Vec::new();
    for member in &workspace.members {
        let name = &*member.name;
        if planned.contains(name) {
            findings.push(format!(
                "{ARCHITECTURE}: {name} is listed as planned and exists; move it to the crates \
                 that exist"
            ));
        } else if !words.contains(name) {
            findings
                .push(format!("{ARCHITECTURE}: {name} is not named; say in a sentence what it is"));
        }
    }
    let mut gone = BTreeSet::new();
    for Named { line, word, .. } in &named {
        let Some(name) = crate_of(word) else { continue };
        if !workspace.has(name) && !planned.contains(name) && gone.insert(name) {
            findings.push(format!(
                "{ARCHITECTURE}:{line}: {name} is no member of the workspace; remove it, or list \
                 it below a heading that says \"planned\""
            ));
        }
    }
    findings
}

/// The paths in ARCHITECTURE.md exist, as far as their crates do. They may leave out `crates/` and
/// `src/`: `cairn-log/tail.rs`.
pub(super) fn architecture_names_files_that_exist(
    repository: &Repository,
    workspace: &Workspace,
) -> Vec<String> {
    let exists = |word: &str| {
        let Some((name, file)) = word.split_once('/') else { return true };
        let member = workspace.members.iter().find(|member| member.name == name);
        let short = member.map(|member| format!("{}/src/{file}", member.path));
        repository.has(word) || short.is_none_or(|path| repository.has(&path))
    };
    architecture(repository)
        .into_iter()
        .filter(|Named { word, .. }| word.ends_with(".rs") && !exists(word))
        .map(|Named { line, word, .. }| {
            format!("{ARCHITECTURE}:{line}: {word} does not exist; name the file that holds it now")
        })
        .collect()
}

/// Whoever upgrades has to learn in one place whether the files on the disk change.
pub(super) fn changelog_speaks_of_the_format(
    repository: &Repository,
    _: &Workspace,
) -> Vec<String> {
    let text = repository.text(CHANGELOG).unwrap_or_default();
    let after_heading = |line: &str| line.starts_with("## ") && line.contains("Unreleased");
    let mut lines = text.lines().skip_while(|line| !after_heading(line));
    if lines.next().is_none() {
        return vec![format!("{CHANGELOG}: no section \"## Unreleased\"; add it at the top")];
    }
    let section: Vec<_> = lines.take_while(|line| !line.starts_with("## ")).collect();
    if section.iter().any(|line| line.contains("File format:")) {
        return Vec::new();
    }
    vec![format!(
        "{CHANGELOG}: the section Unreleased has no line \"File format:\"; say what changes in the \
         files, or \"File format: unchanged\""
    )]
}

/// Links between pages of the repository lead somewhere, anchors included.
pub(super) fn links_resolve(repository: &Repository, _: &Workspace) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in repository.texts(".md") {
        for (line, link) in Page::read(text).links {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&*link, ""));
            let target = if file.is_empty() { Some(path.to_owned()) } else { resolve(path, file) };
            let Some(target) = target.filter(|target| repository.has(target)) else {
                findings.push(format!(
                    "{path}:{line}: {link} leads nowhere; correct or remove the link"
                ));
                continue;
            };
            let page = repository.text(&target).filter(|_| target.ends_with(".md"));
            if !anchor.is_empty()
                && page.is_some_and(|text| !Page::read(text).anchors.contains(anchor))
            {
                findings.push(format!(
                    "{path}:{line}: {target} has no heading #{anchor}; correct the link"
                ));
            }
        }
    }
    findings
}

/// The path that a relative link means, or `None` if it leaves the repository.
fn resolve(page: &str, link: &str) -> Option<String> {
    let mut parts: Vec<_> = page.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The index of the formats is complete.
pub(super) fn format_pages_are_indexed(repository: &Repository, _: &Workspace) -> Vec<String> {
    let index = format!("{FORMAT}README.md");
    let links = Page::read(repository.text(&index).unwrap_or_default()).links;
    let linked: BTreeSet<_> = links
        .iter()
        .filter_map(|(_, link)| resolve(&index, link.split('#').next().unwrap_or_default()))
        .collect();
    repository
        .texts(".md")
        .filter(|(path, _)| path.starts_with(FORMAT) && **path != index && !linked.contains(*path))
        .map(|(path, _)| format!("{path}: not linked from {index}; add a line for it there"))
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::tidy::tests::{finds, finds_in, tidy};

    const PAGE: &str = "docs/guide.md";

    #[test]
    fn a_crate_without_a_word_in_the_architecture_is_found() {
        finds_in(
            "ARCHITECTURE.md",
            "# A\n\n## Rules\n",
            "ARCHITECTURE.md",
            "cairn-io is not named",
        );
    }

    #[test]
    fn a_crate_that_is_gone_is_found_once() {
        let text =
            "# A\n\n`cairn-io`\n\n```text\ncairn-sql/a.rs and cairn-sql/b.rs\n```\n\n## Rules\n";
        finds_in("ARCHITECTURE.md", text, "ARCHITECTURE.md:6", "cairn-sql is no member");
    }

    #[test]
    fn a_planned_crate_that_exists_is_found() {
        let text = "# A\n\n## Planned crates\n\n`cairn-io`\n\n## Rules\n";
        finds_in("ARCHITECTURE.md", text, "ARCHITECTURE.md", "move it");
    }

    #[test]
    fn a_file_that_is_gone_is_found() {
        let text = "# A\n\n`cairn-io/files.rs`, `cairn-io`\n\n## Rules\n";
        finds_in("ARCHITECTURE.md", text, "ARCHITECTURE.md:3", "cairn-io/files.rs does not exist");
    }

    #[test]
    fn a_changelog_without_its_lines_is_found() {
        finds_in("CHANGELOG.md", "# Changelog\n", "CHANGELOG.md", "no section");
        let text = "# Changelog\n\n## Unreleased\n\n## 0.1.0\n\nFile format: 0.1.\n";
        finds_in("CHANGELOG.md", text, "CHANGELOG.md", "no line \"File format:\"");
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        finds_in(PAGE, "[a](format/gone.md)\n", "docs/guide.md:1", "leads nowhere");
        finds_in(PAGE, "[a](../../outside.md)\n", "docs/guide.md:1", "leads nowhere");
        finds_in(PAGE, "[a]\n\n[a]: gone.md\n", "docs/guide.md:1", "leads nowhere");
        finds_in(PAGE, "[a](../CHANGELOG.md#gone)\n", "docs/guide.md:1", "no heading #gone");
        finds_in(PAGE, "[a](#gone)\n", "docs/guide.md:1", "no heading #gone");
    }

    #[test]
    fn links_to_folders_and_other_sites_are_fine() {
        let mut repository = tidy();
        repository.put(PAGE, "[a](format/) [b](../crates/cairn-io) [c](https://example.org/)\n");
        repository.put("docs/format/tree.md", "# Tree\n");
        finds(&repository, "docs/format/tree.md", "not linked");
    }
}
