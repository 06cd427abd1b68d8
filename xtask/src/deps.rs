//! `deps`: what the workspace stands on: how much, under which licences, from where.
//!
//! `deny.toml` holds the policy, so that `cargo deny` (which also knows advisories and yanked
//! versions) and this command, which needs no tool and no network, agree.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use spdx::{Expression, Licensee, ParseMode};

use crate::{
    Repository, Result,
    metadata::{Metadata, Package},
    report,
};

/// The part of `deny.toml` that is checked here too.
#[derive(Deserialize)]
struct Policy {
    licenses: Licenses,
    sources: Sources,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

/// Prints the figures and fails on a licence or a source that is not allowed.
pub(crate) fn run() -> Result {
    let repository = Repository::load()?;
    let policy = repository.text("deny.toml").ok_or("deny.toml: missing; restore it")?;
    let policy: Policy = toml::from_str(policy).map_err(|error| format!("deny.toml: {error}"))?;
    let packages = Metadata::lock_file()?.packages;
    let (own, foreign): (Vec<_>, Vec<_>) =
        packages.into_iter().partition(|package| package.source.is_none());

    let direct: BTreeSet<_> = own
        .iter()
        .flat_map(|package| &package.dependencies)
        .filter(|dependency| dependency.source.is_some())
        .map(|dependency| &dependency.name)
        .collect();
    println!(
        "{} packages of our own, {} direct dependencies, {} with what those need (every platform \
         and feature, tests and tools included)",
        own.len(),
        direct.len(),
        foreign.len()
    );
    for (licence, count) in licences(&foreign) {
        println!("{count:>5}  {licence}");
    }
    for (name, versions) in duplicates(&foreign) {
        println!("twice: {name} {}", versions.join(", "));
    }
    report("deps", &findings(&foreign, &policy)?)
}

fn licences(packages: &[Package]) -> BTreeMap<&str, usize> {
    let mut count = BTreeMap::new();
    for package in packages {
        *count.entry(package.license.as_deref().unwrap_or("none")).or_default() += 1;
    }
    count
}

fn duplicates(packages: &[Package]) -> BTreeMap<&str, Vec<&str>> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages {
        versions.entry(&package.name).or_default().push(&package.version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    versions
}

fn findings(packages: &[Package], policy: &Policy) -> Result<Vec<String>> {
    let allowed = policy
        .licenses
        .allow
        .iter()
        .map(|name| Ok(Licensee::parse(name).map_err(|error| format!("deny.toml: {error}"))?))
        .collect::<Result<Vec<_>>>()?;
    let mut findings = Vec::new();
    for package in packages {
        let Package { name, version, .. } = package;
        let source = package.source.as_deref().unwrap_or_default();
        let registry = source.split_once('+').map_or(source, |(_, url)| url);
        if !policy.sources.allow_registry.iter().any(|allowed| allowed == registry) {
            findings.push(format!("{name} {version}: comes from {source}; use it from crates.io"));
        }
        let Some(licence) = &package.license else {
            findings.push(format!("{name} {version}: names no licence; use another package"));
            continue;
        };
        let fits = Expression::parse_mode(licence, ParseMode::LAX).is_ok_and(|expression| {
            expression.evaluate(|needed| allowed.iter().any(|licensee| licensee.satisfies(needed)))
        });
        if !fits {
            findings.push(format!(
                "{name} {version}: its licence `{licence}` is not allowed; use another package, or \
                 argue the licence in a commit that extends deny.toml"
            ));
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRATES_IO: &str = "registry+https://example.org/index";

    fn check(licence: Option<&str>, source: &str) -> Vec<String> {
        let policy: Policy = toml::from_str(
            "[licenses]\nallow = [\"MIT\", \"Apache-2.0\", \"Apache-2.0 WITH LLVM-exception\"]\n\
             [sources]\nallow-registry = [\"https://example.org/index\"]",
        )
        .unwrap();
        let package = serde_json::json!({
            "name": "a", "version": "1.0.0", "source": source, "license": licence,
        });
        findings(&[serde_json::from_value(package).unwrap()], &policy).unwrap()
    }

    #[test]
    fn an_allowed_choice_is_enough_and_every_part_is_needed() {
        for fits in
            ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR MIT", "Apache-2.0 WITH LLVM-exception AND MIT"]
        {
            assert_eq!(check(Some(fits), CRATES_IO), [""; 0], "{fits}");
        }
        for other in ["GPL-3.0", "MIT AND GPL-3.0", "MIT WITH LLVM-exception", "no licence"] {
            assert!(check(Some(other), CRATES_IO)[0].contains("not allowed"), "{other}");
        }
    }

    #[test]
    fn no_licence_is_found() {
        assert!(check(None, CRATES_IO)[0].contains("names no licence"));
    }

    #[test]
    fn another_source_is_found() {
        assert!(check(Some("MIT"), "git+https://example.org/a")[0].contains("comes from git+"));
    }

    #[test]
    fn two_versions_are_flagged() {
        let package = |version| {
            let json = serde_json::json!({
                "name": "a", "version": version, "source": null, "license": null,
            });
            serde_json::from_value::<Package>(json).unwrap()
        };
        assert_eq!(duplicates(&[package("1.0.0"), package("2.0.0")])["a"], ["1.0.0", "2.0.0"]);
        assert!(duplicates(&[package("1.0.0")]).is_empty());
    }
}
