//! `layers`: a crate uses only what the allow-list in the root manifest lets it use.
//!
//! The list is `[workspace.metadata.cairn.layers]`. Normal and build dependencies must be on it;
//! development dependencies may also use the simulated disk. `members` is read from top to bottom
//! as the order of the layers, so it has to be one.

use std::collections::BTreeSet;

use crate::{
    Repository, Result, report,
    workspace::{Member, Workspace},
};

/// What every crate above `cairn-io` may use in its tests.
const SIMULATOR: &str = "cairn-sim";
/// The bottom layer: the simulator uses it, so it cannot test itself with the simulator.
const BOTTOM: &str = "cairn-io";
/// Development only: they stand beside the layers and close the list of members.
const BESIDE: [&str; 3] = ["cairn-sim", "cairn-schedules", "cairn-torture"];

/// Runs the check on this repository.
pub(crate) fn run() -> Result {
    let repository = Repository::load()?;
    let workspace = Workspace::read(&repository)?;
    report("layers", &check(&repository, &workspace))?;
    println!("layers: {} members keep to the allow-list", workspace.members.len());
    Ok(())
}

fn check(repository: &Repository, workspace: &Workspace) -> Vec<String> {
    let mut findings = unknown_names(workspace);
    findings.extend(strays(repository, workspace));
    let crates = workspace.members.iter().filter(|member| member.path.starts_with("crates/"));
    for member in crates {
        findings.extend(edges(workspace, member));
    }
    findings.extend(order(workspace));
    findings
}

/// Names on the right of the allow-list that are not on its left: probably misspelt.
fn unknown_names(workspace: &Workspace) -> Vec<String> {
    let layers = &workspace.layers;
    let named = layers.iter().flat_map(|(user, used)| used.iter().map(move |used| (user, used)));
    named
        .filter(|(_, used)| !layers.contains_key(*used))
        .map(|(user, used)| {
            format!(
                "Cargo.toml: the layers let {user} use {used}, which has no line of its own; \
                 correct the name or add the line"
            )
        })
        .collect()
}

/// Crates that no build and no check would ever see.
fn strays(repository: &Repository, workspace: &Workspace) -> Vec<String> {
    let members: BTreeSet<_> = workspace.members.iter().map(|member| &*member.path).collect();
    repository
        .texts("/Cargo.toml")
        .filter_map(|(path, _)| path.strip_suffix("/Cargo.toml"))
        .filter(|path| path.starts_with("crates/") && !members.contains(path))
        .map(|path| {
            format!(
                "{path}: is not a member; add it to `members` in the root Cargo.toml, bottom-up"
            )
        })
        .collect()
}

fn edges(workspace: &Workspace, member: &Member) -> Vec<String> {
    let Member { name, path, dependencies } = member;
    let Some(allowed) = workspace.layers.get(name) else {
        return vec![format!(
            "{path}: {name} has no layer; add a line for it to [workspace.metadata.cairn.layers] \
             in the root Cargo.toml"
        )];
    };
    let inside =
        |dependency: &str| workspace.layers.contains_key(dependency) || workspace.has(dependency);
    let mut findings = Vec::new();
    for dependency in dependencies {
        let used = &dependency.name;
        let as_test_disk = dependency.dev && used == SIMULATOR && name != BOTTOM;
        if !inside(used) || allowed.contains(used) || as_test_disk {
            continue;
        }
        let kind = if dependency.dev { "for its tests " } else { "" };
        findings.push(format!(
            "{path}/Cargo.toml: {name} may not depend on {used} {kind}({name} may use: {}); move \
             the code to a crate that may, or argue the edge in a commit that extends \
             [workspace.metadata.cairn.layers]",
            if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") }
        ));
    }
    findings
}

fn order(workspace: &Workspace) -> Vec<String> {
    let mut findings = Vec::new();
    for (position, member) in workspace.members.iter().enumerate() {
        let Some(allowed) = workspace.layers.get(&member.name) else { continue };
        if BESIDE.contains(&member.name.as_str()) {
            continue;
        }
        let later = workspace.members.iter().skip(position + 1);
        for below in later.filter(|later| allowed.contains(&later.name)) {
            findings.push(format!(
                "Cargo.toml: `members` lists {} before {}, which lies below it; list the layers \
                 bottom-up",
                member.name, below.name
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = r#"
        [workspace]
        members = ["crates/cairn-io", "crates/cairn-log", "crates/cairn-sim"]
        [workspace.metadata.cairn.layers]
        cairn-io = []
        cairn-log = ["cairn-io"]
        cairn-btree = ["cairn-log"]
        cairn-sim = ["cairn-io"]
        [workspace.dependencies]
        disk = { package = "cairn-io", path = "crates/cairn-io" }
    "#;

    fn manifest(name: &str, tables: &str) -> String {
        format!("[package]\nname = \"{name}\"\n{tables}")
    }

    fn findings(root: &str, io: &str, log: &str, sim: &str) -> Vec<String> {
        let repository = Repository::of([
            ("Cargo.toml", root),
            ("crates/cairn-io/Cargo.toml", &manifest("cairn-io", io)),
            ("crates/cairn-log/Cargo.toml", &manifest("cairn-log", log)),
            ("crates/cairn-sim/Cargo.toml", &manifest("cairn-sim", sim)),
        ]);
        let workspace = Workspace::read(&repository).unwrap();
        check(&repository, &workspace)
    }

    const LOG: &str = "[dependencies]\ndisk.workspace = true\nbytes = \"1\"\n\
                       [dev-dependencies]\ncairn-sim = {}";
    const SIM: &str = "[dependencies]\ncairn-io.workspace = true";

    #[track_caller]
    fn one(findings: &[String], part: &str) {
        assert_eq!(findings.len(), 1, "{findings:#?}");
        assert!(findings[0].contains(part), "{findings:#?}");
    }

    #[test]
    fn this_repository_keeps_its_layers() {
        run().unwrap();
    }

    #[test]
    fn listed_edges_and_the_simulator_in_tests_are_fine() {
        assert_eq!(findings(ROOT, "", LOG, SIM), [""; 0]);
    }

    #[test]
    fn an_edge_upwards_is_found_in_every_table() {
        for table in ["dependencies", "build-dependencies", "dev-dependencies"] {
            for table in [table.to_owned(), format!("target.'cfg(unix)'.{table}")] {
                let io = format!("[{table}]\ncairn-log = {{}}");
                one(&findings(ROOT, &io, LOG, SIM), "cairn-io may not depend on cairn-log");
            }
        }
    }

    #[test]
    fn an_edge_is_found_under_another_name() {
        let io = "[dependencies]\nlog = { package = \"cairn-log\", path = \"../cairn-log\" }";
        one(&findings(ROOT, io, LOG, SIM), "cairn-io may not depend on cairn-log");
        let sim = "[dependencies]\ndisk.workspace = true";
        let root = ROOT.replace("cairn-sim = [\"cairn-io\"]", "cairn-sim = []");
        one(&findings(&root, "", LOG, sim), "cairn-sim may not depend on cairn-io");
    }

    #[test]
    fn the_simulator_is_for_tests_and_not_for_the_bottom_layer() {
        let normal = "[dependencies]\ncairn-sim = {}";
        one(&findings(ROOT, "", normal, SIM), "cairn-log may not depend on cairn-sim");
        let dev = "[dev-dependencies]\ncairn-sim = {}";
        one(&findings(ROOT, dev, LOG, SIM), "cairn-io may not depend on cairn-sim");
    }

    #[test]
    fn a_member_without_a_layer_is_found() {
        let root = ROOT.replace("cairn-log = [\"cairn-io\"]", "").replace("[\"cairn-log\"]", "[]");
        one(&findings(&root, "", LOG, SIM), "cairn-log has no layer");
    }

    #[test]
    fn a_crate_that_is_not_a_member_is_found() {
        let root = ROOT.replace(", \"crates/cairn-sim\"", "");
        one(&findings(&root, "", LOG, SIM), "crates/cairn-sim: is not a member");
    }

    #[test]
    fn a_misspelt_layer_is_found() {
        let root = ROOT.replace("btree = [\"cairn-log\"]", "btree = [\"cairn-lgo\"]");
        one(&findings(&root, "", LOG, SIM), "let cairn-btree use cairn-lgo");
    }

    #[test]
    fn members_are_listed_bottom_up() {
        let root = ROOT.replace(
            "\"crates/cairn-io\", \"crates/cairn-log\"",
            "\"crates/cairn-log\", \"crates/cairn-io\"",
        );
        one(&findings(&root, "", LOG, SIM), "lists cairn-log before cairn-io");
    }

    #[test]
    fn a_member_without_a_manifest_is_named() {
        let repository = Repository::of([("Cargo.toml", ROOT)]);
        let error = Workspace::read(&repository).err().unwrap().to_string();
        assert!(error.starts_with("crates/cairn-io/Cargo.toml: missing"), "{error}");
    }
}
