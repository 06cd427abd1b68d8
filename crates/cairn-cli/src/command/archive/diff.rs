//! `cairn archive diff`: two archives, or an archive and an environment, entry by entry.

use std::path::{Path, PathBuf};

use cairndb::archive::{Change, Side, diff};
use serde::Serialize;

use super::{key_of, keys, shown};
use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    open,
    output::Output,
    progress::Progress,
    text::{escape_short, hex, several},
};

/// Compare two archives, or an archive and an environment, entry by entry
///
/// A line says `+` for what only the second has, `-` for what only the first has, and `~` for what both
/// have with different values. Both archives are read to their ends, and so verified. It exits with 1 if
/// anything differs.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn archive diff monday.cairn tuesday.cairn
  cairn archive diff monday.cairn data"
)]
pub(super) struct Diff {
    /// An archive
    archive: PathBuf,
    /// Another one, or the directory of an environment
    other: PathBuf,
    /// How many differences to print (0: none, only how many there are)
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct DifferenceJson<'a> {
    change: &'static str,
    database: &'a str,
    key_hex: Option<String>,
}

#[derive(Serialize)]
struct DiffJson {
    same: u64,
    added: u64,
    removed: u64,
    changed: u64,
}

impl Diff {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let (one, key) = key_of(&self.archive, &self.unlock)?;
        let one = one.open(&keys(key))?;
        let of_archive = one.header().databases.clone();
        let own = of_archive.iter().filter(|database| database.shape.index.is_none());
        let names: Vec<&str> = own.map(|database| &*database.shape.name).collect();
        let other = self.side(&self.other)?;
        let progress = Progress::new("comparing");
        let shown = shown(&progress);
        let mut left = self.limit;
        let mut failed = None;
        let mut found = |difference: &cairndb::archive::Difference| {
            if left > 0 && failed.is_none() {
                left -= 1;
                failed = print(output, difference).err();
            }
            Ok(())
        };
        let report = diff(Side::archive(one), other, &names, &mut found, Some(&shown));
        if let Some(failure) = failed {
            return Err(failure);
        }
        let report = report?;
        output.line(format_args!(
            "{} the same, {} added, {} removed, {} changed",
            several(report.same, "entry"),
            report.added,
            report.removed,
            report.changed
        ))?;
        output.json(&DiffJson {
            same: report.same,
            added: report.added,
            removed: report.removed,
            changed: report.changed,
        })?;
        Ok(if report.is_same() { Exit::Good } else { Exit::Findings })
    }

    fn side(&self, path: &Path) -> Result<Side, Failure> {
        if path.is_dir() {
            let env = open::for_reading(path, &self.unlock)?;
            return Ok(Side::live(env.snapshot()?));
        }
        let (file, key) = key_of(path, &self.unlock)?;
        Ok(Side::archive(file.open(&keys(key))?))
    }
}

fn print(output: &mut Output, difference: &cairndb::archive::Difference) -> Result<(), Failure> {
    let (sign, change) = match difference.change {
        Change::Added => ('+', "added"),
        Change::Removed => ('-', "removed"),
        Change::Changed => ('~', "changed"),
    };
    let key = difference.key.as_ref();
    let shown = key.map(|key| format!(" {}", escape_short(key, 64))).unwrap_or_default();
    let name = escape_short(difference.database.as_bytes(), 64);
    output.line(format_args!("{sign} {name}{shown}"))?;
    output.json(&DifferenceJson {
        change,
        database: &difference.database,
        key_hex: key.map(|key| hex(key)),
    })
}
