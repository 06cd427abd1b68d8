//! `cairn rekey`: another data key for what is written from now on, and for all that is there.

use std::{path::PathBuf, sync::Arc};

use cairn_io::{RealDir, RealWorld, WorldRef};
use cairndb::{RekeyReport, finish_rekey};
use serde::Serialize;

use super::key::unlock;
use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    open,
    output::Output,
    progress::Progress,
    text::{escape, several},
};

/// Begin a key epoch: files that are begun from now on are encrypted with a new data key
///
/// What is there moves to the new data key as the cleaner goes through the files. With --finish it all
/// does at once, which writes all of the older data once; then the older data keys are forgotten. If
/// no rekey was begun before, --finish begins one. Files that another process reads keep their data key
/// and are listed: run it again when that has ended.
///
/// The keys of people stay as they are: `cairn key rotate` is for those. Backups stay as they are, too,
/// and have the data keys of their time.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn rekey data
  cairn rekey data --finish --key-file data.key"
)]
pub(crate) struct Rekey {
    /// The directory of the environment
    env: PathBuf,
    /// Encrypt everything with the newest data key, and forget the older ones
    #[arg(long)]
    finish: bool,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct RekeyJson {
    environment: PathBuf,
    epoch: u32,
    finished: bool,
    moved: u64,
    removed_files: u64,
    retired: Vec<u32>,
    needed: Vec<NeededJson>,
}

#[derive(Serialize)]
struct NeededJson {
    epoch: u32,
    files: Vec<String>,
}

impl Rekey {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let (mut keys, key) = unlock(&self.env, &self.unlock)?;
        let (mut epoch, epochs) = (keys.newest_epoch(), keys.info().epochs.len());
        if !self.finish || epochs == 1 {
            epoch = keys.begin_epoch()?;
            output.line(format_args!(
                "key epoch {epoch} has begun: new files are encrypted with its data key"
            ))?;
        }
        drop(keys);
        let report = match self.finish {
            true => {
                let _progress = Progress::new("encrypting anew");
                let root = RealDir::open(&self.env)?;
                let world: WorldRef = Arc::new(RealWorld::new());
                finish_rekey(&root, &world, open::with_key(Some(key)))?
            }
            false => RekeyReport::default(),
        };
        let RekeyReport { cleaned, retired, needed, .. } = report;
        if self.finish {
            output.line(format_args!(
                "{} encrypted anew with the data key of epoch {epoch}, {} removed; {} forgotten",
                several(cleaned.moved, "record"),
                several(cleaned.removed_files, "file"),
                several(retired.len() as u64, "older data key"),
            ))?;
        }
        for (epoch, files) in &needed {
            output.line(format_args!(
                "epoch {epoch} is still needed by {}",
                escape(files.join(", ").as_bytes())
            ))?;
        }
        let finished = self.finish && needed.is_empty();
        output.json(&RekeyJson {
            environment: self.env,
            epoch,
            finished,
            moved: cleaned.moved,
            removed_files: cleaned.removed_files,
            retired,
            needed: needed.into_iter().map(|(epoch, files)| NeededJson { epoch, files }).collect(),
        })?;
        if self.finish && !finished {
            return Err(Failure::check("older data keys are still needed, and were kept").advise(
                "somebody is reading these files (`cairn stats` says who): run it again later",
            ));
        }
        Ok(Exit::Good)
    }
}
