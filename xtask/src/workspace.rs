//! The manifests: who is a member, who may depend on whom, who does.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Value;

use crate::{Result, repository::Repository};

/// The workspace as its manifests describe it.
pub(crate) struct Workspace {
    /// In the order of the root manifest.
    pub(crate) members: Vec<Member>,
    /// `[workspace.metadata.cairn.layers]`: crate → what it may depend on inside the workspace.
    pub(crate) layers: BTreeMap<String, Vec<String>>,
}

/// One member.
pub(crate) struct Member {
    pub(crate) name: String,
    /// Its directory, as the root manifest spells it.
    pub(crate) path: String,
    pub(crate) dependencies: Vec<Dependency>,
}

/// A package that a member depends on.
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Only for tests, benches and examples.
    pub(crate) dev: bool,
}

impl Workspace {
    /// Reads the root manifest and those of the members.
    pub(crate) fn read(repository: &Repository) -> Result<Self> {
        let root: RootManifest = parse(repository, "Cargo.toml")?;
        let mut members = Vec::new();
        for path in root.workspace.members {
            let manifest: Manifest = parse(repository, &format!("{path}/Cargo.toml"))?;
            let own = std::iter::once(&manifest.tables).chain(manifest.target.values());
            let dependencies = own
                .flat_map(|tables| {
                    let used = tables.dependencies.iter().chain(&tables.build_dependencies);
                    let used = used.map(|entry| (entry, false));
                    used.chain(tables.dev_dependencies.iter().map(|entry| (entry, true)))
                })
                .map(|((key, value), dev)| {
                    let shared = root.workspace.dependencies.get(key);
                    let renamed = package(value).or_else(|| shared.and_then(package));
                    Dependency { name: renamed.unwrap_or(key).to_owned(), dev }
                })
                .collect();
            members.push(Member { name: manifest.package.name, path, dependencies });
        }
        Ok(Self { members, layers: root.workspace.metadata.cairn.layers })
    }

    /// Whether a package of this name is a member.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.members.iter().any(|member| member.name == name)
    }
}

/// The package that a dependency names when its key is only an alias.
fn package(dependency: &Value) -> Option<&str> {
    dependency.get("package")?.as_str()
}

fn parse<T: for<'de> Deserialize<'de>>(repository: &Repository, path: &str) -> Result<T> {
    let text = repository.text(path).ok_or_else(|| {
        format!("{path}: missing; create it, or take it out of `members` in the root Cargo.toml")
    })?;
    Ok(toml::from_str(text).map_err(|error| format!("{path}: {error}"))?)
}

#[derive(Deserialize)]
struct RootManifest {
    workspace: WorkspaceTable,
}

#[derive(Deserialize)]
struct WorkspaceTable {
    members: Vec<String>,
    #[serde(default)]
    dependencies: BTreeMap<String, Value>,
    metadata: WorkspaceMetadata,
}

#[derive(Deserialize)]
struct WorkspaceMetadata {
    cairn: CairnMetadata,
}

#[derive(Deserialize)]
struct CairnMetadata {
    layers: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Manifest {
    package: Package,
    #[serde(flatten)]
    tables: Tables,
    #[serde(default)]
    target: BTreeMap<String, Tables>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Tables {
    #[serde(default)]
    dependencies: BTreeMap<String, Value>,
    #[serde(default)]
    build_dependencies: BTreeMap<String, Value>,
    #[serde(default)]
    dev_dependencies: BTreeMap<String, Value>,
}
