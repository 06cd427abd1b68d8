//! `cairn heal`: damaged files get their bytes back from a replica, a backup, or a repository of many.

use std::path::PathBuf;

use cairndb::backup::{self, MANIFEST_NAME, is_repository};
use serde::Serialize;

use super::verify::FindingJson;
use crate::{
    Outcome,
    exit::Exit,
    keys::KeyArgs,
    open,
    output::Output,
    progress::Progress,
    text::{seconds, several, size},
};

/// Put damaged files right with the copies that a replica or a backup has of them
///
/// Every finished log file is read. Of one that is damaged, the copy is verified and takes its place,
/// byte for byte; nothing goes back to what it was. What the copy does not have as a file, but has as
/// commits (a replica, or a repository to which every commit was shipped), gets another place. The
/// rest is listed with the keys that it concerns: for these, restore a backup. A program that has the
/// environment open heals it itself.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn heal data /mnt/other/data
  cairn heal data backups/monday
  cairn heal data backups"
)]
pub(crate) struct Heal {
    /// The directory of the environment
    env: PathBuf,
    /// The directory of its replica, of another copy of it, of a backup, or of a repository
    copy: PathBuf,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct HealJson {
    path: PathBuf,
    healed: Vec<HealedJson>,
    not_healed: Vec<NotHealedJson>,
    left: Vec<FindingJson>,
    files: u64,
    bytes: u64,
    seconds: f64,
}

#[derive(Serialize)]
struct HealedJson {
    file: String,
    bytes: u64,
    places: u64,
    by_content: bool,
}

#[derive(Serialize)]
struct NotHealedJson {
    file: String,
    why: String,
}

impl Heal {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let env = open::for_writing(&self.env, &self.unlock, output)?;
        let progress = Progress::new("healing");
        let report = match () {
            () if self.copy.join(MANIFEST_NAME).exists() => backup::heal(&env, &self.copy)?,
            () if is_repository(&self.copy) => self.unlock.repo.open(&self.copy)?.heal(&env)?,
            () => env.heal(&self.copy)?,
        };
        env.close()?;
        let elapsed = progress.elapsed();
        drop(progress);
        for file in &report.healed {
            let places = several(file.places, "damaged place");
            let how = if file.by_content { ", by content" } else { "" };
            let length = size(file.bytes);
            output.line(format_args!("healed: {} ({length}, {places}{how})", file.file))?;
        }
        for (file, why) in &report.not_healed {
            output.line(format_args!("not healed: {file}: {why}"))?;
        }
        for finding in &report.left {
            output.line(format_args!("damage: {finding}"))?;
        }
        output.line(format_args!(
            "{}: {}, {}: {} ({})",
            self.env.display(),
            several(report.files, "log file"),
            size(report.bytes),
            super::verify::verdict(report.left.len()),
            seconds(elapsed)
        ))?;
        let is_good = report.left.is_empty() && report.not_healed.is_empty();
        let healed = report.healed.into_iter().map(|file| HealedJson {
            file: file.file,
            bytes: file.bytes,
            places: file.places,
            by_content: file.by_content,
        });
        let not_healed = report.not_healed.into_iter();
        output.json(&HealJson {
            healed: healed.collect(),
            not_healed: not_healed.map(|(file, why)| NotHealedJson { file, why }).collect(),
            left: report.left.iter().map(FindingJson::from).collect(),
            files: report.files,
            bytes: report.bytes,
            seconds: elapsed.as_secs_f64(),
            path: self.env,
        })?;
        Ok(if is_good { Exit::Good } else { Exit::Findings })
    }
}
