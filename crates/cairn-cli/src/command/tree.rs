//! `cairn tree`: how the trees of an environment are built.

use std::path::PathBuf;

use cairndb::{LevelSurvey, TreeSurvey};
use serde::Serialize;

use super::verify::FindingJson;
use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    open,
    output::Output,
    text::{count, several, size},
};

/// Print how the tree of each database is built: levels, nodes, bytes, how full the leaves are
///
/// All nodes are read, large values are not. Where a node cannot be read, what is below it is
/// not counted, and the exit code is 1; `verify` tells what is lost.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn tree data
  cairn tree data people --json"
)]
pub(crate) struct Tree {
    /// The directory of the environment
    env: PathBuf,
    /// Only this database
    database: Option<String>,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct TreeJson {
    commit: u64,
    trees: Vec<OneJson>,
    findings: Vec<FindingJson>,
}

#[derive(Serialize)]
struct OneJson {
    database: String,
    entries: u64,
    height: usize,
    /// Leaves first.
    levels: Vec<LevelJson>,
    leaves_by_tenth: [u64; 10],
    values: u64,
    value_bytes: u64,
    files: u64,
}

#[derive(Serialize)]
struct LevelJson {
    nodes: u64,
    bytes: u64,
    entries: u64,
}

impl From<&LevelSurvey> for LevelJson {
    fn from(level: &LevelSurvey) -> Self {
        Self { nodes: level.nodes, bytes: level.bytes, entries: level.entries }
    }
}

impl From<TreeSurvey> for OneJson {
    fn from(tree: TreeSurvey) -> Self {
        Self {
            entries: tree.entries,
            height: tree.levels.len(),
            levels: tree.levels.iter().map(LevelJson::from).collect(),
            leaves_by_tenth: tree.fill,
            values: tree.values,
            value_bytes: tree.value_bytes,
            files: tree.files,
            database: tree.database,
        }
    }
}

impl Tree {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let env = match open::for_reading(&self.env, &self.unlock) {
            Err(failure) if failure.is_damage() => {
                return super::verify::unopened(&self.env, failure, output);
            }
            opened => opened?,
        };
        let mut survey = env.survey()?;
        if let Some(name) = &self.database {
            survey.trees.retain(|tree| tree.database == *name);
            survey.findings.retain(|finding| {
                finding.database.as_ref().is_none_or(|of| of == name || of.starts_with('('))
            });
            if survey.trees.is_empty() && survey.findings.is_empty() {
                return Err(Failure::from(cairndb::EnvError::NoSuchDatabase {
                    name: name.clone(),
                }));
            }
        }
        for tree in &survey.trees {
            print(tree, output)?;
        }
        if survey.trees.is_empty() {
            output.note(format_args!("{} has no databases", self.env.display()));
        }
        for finding in &survey.findings {
            output.line(format_args!("damage: {finding}"))?;
        }
        let exit = if survey.findings.is_empty() { Exit::Good } else { Exit::Findings };
        output.json(&TreeJson {
            commit: survey.commit,
            findings: survey.findings.iter().map(FindingJson::from).collect(),
            trees: survey.trees.into_iter().map(OneJson::from).collect(),
        })?;
        Ok(exit)
    }
}

fn print(tree: &TreeSurvey, output: &mut Output) -> Result<(), Failure> {
    output.line(format_args!(
        "{}: {}, {}, in {}",
        tree.database,
        several(tree.entries, "entry"),
        several(tree.levels.len() as u64, "level"),
        several(tree.files, "log file"),
    ))?;
    for (level, at) in tree.levels.iter().enumerate().rev() {
        let what = match level {
            0 => "leaves".to_owned(),
            level => format!("branches of level {level}"),
        };
        let (bytes, each) = (size(at.bytes), size(at.bytes / at.nodes.max(1)));
        output.line(format_args!("  {what}: {}, {bytes}, {each} each", count(at.nodes)))?;
    }
    if !tree.levels.is_empty() {
        let tenths: Vec<String> = tree.fill.iter().map(u64::to_string).collect();
        output.line(format_args!("  leaves by tenths full: {}", tenths.join(" ")))?;
    }
    if tree.values > 0 {
        let values = several(tree.values, "large value");
        output.line(format_args!("  beside the tree: {values}, {}", size(tree.value_bytes)))?;
    }
    Ok(())
}
