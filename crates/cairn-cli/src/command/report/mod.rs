//! `cairn report`: one page about environments and repositories, with pictures, for whoever answers for the data.
//!
//! | file | what it is about |
//! |---|---|
//! | `facts` | what is known of an environment, and of the backups of one |
//! | `page` | the page: its parts in order, tables, style |
//! | `picture` | a picture: its scale of time, its shapes |
//! | `restorable`, `sizes`, `proofs`, `drills`, `files` | one picture each |

mod drills;
mod facts;
mod files;
mod page;
mod picture;
mod proofs;
mod restorable;
mod sizes;

use std::{
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use cairn_io::{RealWorld, World as _};
use serde::Serialize;

use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    output::Output,
    text::size,
};

/// Write a page with pictures: what can be brought back, how surely, and where space goes
///
/// The page is one file that needs nothing else: no script, no font, nothing from a network. Of each
/// environment in a repository it shows which times can be restored to, with holes, its points and
/// how far they are known to be good, how long proving and restoring them took, and what they take;
/// of each environment its log files and how much of them is of use, and who keeps what.
///
/// What cannot be read stands on the page, too; the exit code is then 1.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn report data --repo backups --html report.html
  cairn report --repo backups --repo far --html report.html"
)]
pub(crate) struct Report {
    /// Directories of environments
    #[arg(required_unless_present = "repo", value_name = "ENV")]
    env: Vec<PathBuf>,
    /// A repository; may be repeated
    #[arg(long, value_name = "REPO")]
    repo: Vec<PathBuf>,
    /// The page: a file that is replaced
    #[arg(long, value_name = "FILE")]
    html: PathBuf,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct ReportJson {
    html: PathBuf,
    bytes: u64,
    environments: u64,
    repositories: u64,
    unread: Vec<String>,
}

impl Report {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let now = RealWorld::new().wall().0;
        let facts = facts::Facts::collect(&self.env, &self.repo, &self.unlock, now);
        let page = page::render(&facts);
        write(&self.html, page.as_bytes())?;
        for (path, problem) in &facts.unread {
            output.note(format_args!("{}: {problem}", path.display()));
        }
        let bytes = page.len() as u64;
        output.line(format_args!("{}: {}", self.html.display(), size(bytes)))?;
        let unread = facts.unread.iter();
        let unread = unread.map(|(path, problem)| format!("{}: {problem}", path.display()));
        output.json(&ReportJson {
            html: self.html,
            bytes,
            environments: facts.environments.len() as u64,
            repositories: self.repo.len() as u64,
            unread: unread.collect(),
        })?;
        Ok(if facts.unread.is_empty() { Exit::Good } else { Exit::Findings })
    }
}

/// Writes a file as a whole: who reads it meanwhile sees the one before.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::io("write", path, &error);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut file = tempfile::Builder::new()
        .prefix(".cairn-report")
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(parent.unwrap_or(Path::new(".")))
        .map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}
