//! What `cargo metadata` says, as far as it is needed here.

use std::{collections::BTreeSet, path::PathBuf};

use serde::Deserialize;

use crate::{Result, process};

/// The packages of the workspace, or of the whole lock file.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    /// Where everything is built.
    pub(crate) target_directory: PathBuf,
}

/// One package.
#[derive(Clone, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Where it came from; `None` for a path.
    pub(crate) source: Option<String>,
    /// An SPDX expression.
    pub(crate) license: Option<String>,
    /// `Some([])` means never; `None` means anywhere.
    publish: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a package's dependency tables.
#[derive(Clone, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` for a path.
    pub(crate) source: Option<String>,
}

impl Metadata {
    /// The members of the workspace; reads nothing but manifests.
    pub(crate) fn members() -> Result<Self> {
        Self::read(&["metadata", "--format-version=1", "--no-deps"])
    }

    /// Every package of the lock file.
    pub(crate) fn lock_file() -> Result<Self> {
        Self::read(&["metadata", "--format-version=1", "--all-features", "--locked"])
    }

    fn read(args: &[&str]) -> Result<Self> {
        Ok(serde_json::from_str(&process::output(&mut process::cargo(args))?)?)
    }

    /// The names of all packages.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.packages.iter().map(|package| package.name.as_str()).collect()
    }

    /// The packages that are published.
    pub(crate) fn publishable(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.publish != Some(Vec::new()))
    }
}
