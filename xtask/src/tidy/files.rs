//! Facts about files of any kind.

use crate::{
    repository::{MAX_FILE_BYTES, Repository},
    workspace::Workspace,
};

/// First components of paths that exist on one machine only.
const MACHINE: [&str; 4] = ["work", "home", "root", "Users"];

/// Large files make every clone slow for ever.
pub(super) fn none_is_large(repository: &Repository, _: &Workspace) -> Vec<String> {
    repository
        .files()
        .filter(|(_, file)| file.size_bytes > MAX_FILE_BYTES)
        .map(|(path, file)| {
            format!(
                "{path}: {} bytes, more than 1 MiB; generate it when it is needed, or add it to \
                 .gitignore",
                file.size_bytes
            )
        })
        .collect()
}

/// What a build or a benchmark writes is written again by the next one.
pub(super) fn none_was_built(repository: &Repository, _: &Workspace) -> Vec<String> {
    let is_built = |path: &&str| path.split('/').any(|part| part == "target");
    let paths = repository.files().map(|(path, _)| path).filter(is_built);
    paths
        .map(|path| format!("{path}: was built; remove it, and add its `target` to .gitignore"))
        .collect()
}

/// A path of one machine in a committed text is a command or a link that works nowhere else.
pub(super) fn no_developer_paths(repository: &Repository, _: &Workspace) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in repository.texts("") {
        for (number, line) in (1..).zip(text.lines()) {
            for first in MACHINE {
                if has_absolute(line, &format!("/{first}/")) {
                    findings.push(format!(
                        "{path}:{number}: an absolute path below /{first}; write it relative to \
                         the root of the repository"
                    ));
                }
            }
        }
    }
    findings
}

/// Whether `path` starts a path in `line`, and is not the middle of a longer one.
fn has_absolute(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-~*>)}]".contains(c))
    })
}

/// The lock file is what makes two builds the same.
pub(super) fn lock_file_is_committed(repository: &Repository, _: &Workspace) -> Vec<String> {
    if repository.has("Cargo.lock") {
        return Vec::new();
    }
    vec!["Cargo.lock: missing or ignored; build once, take it out of .gitignore, commit it".into()]
}

#[cfg(test)]
mod tests {
    use crate::tidy::tests::{finds, finds_in, tidy};

    #[test]
    fn a_large_file_is_found() {
        finds_in("data.txt", &"x".repeat((1 << 20) + 1), "data.txt", "more than 1 MiB");
    }

    #[test]
    fn what_was_built_is_found() {
        let path = "benches/target/criterion/get/new/sample.json";
        finds_in(path, "{}\n", path, "was built");
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        let path = format!("see\n`/{}/me/log`\n", "home");
        finds_in("notes.txt", &path, "notes.txt:2", "below /home");
        let path = format!("cd /{}/cairndb\n", "work");
        finds_in("notes.txt", &path, "notes.txt:1", "below /work");
    }

    #[test]
    fn the_middle_of_a_path_is_not_a_path_of_one_machine() {
        let mut repository = tidy();
        repository.put("notes.txt", "https://example.org/home/page and <env>/root/x\n");
        let longer = format!("x/{}/y and {}\n", "work", "framework/z");
        repository.put("more.txt", &longer);
        repository.remove("Cargo.lock");
        finds(&repository, "Cargo.lock", "commit it");
    }
}
