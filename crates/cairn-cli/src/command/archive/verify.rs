//! `cairn archive verify`: all of an archive, read and checked.

use std::path::PathBuf;

use cairndb::archive::ArchiveFile;
use serde::Serialize;

use super::{key_of, keys, shown};
use crate::{
    Outcome,
    exit::Exit,
    keys::KeyArgs,
    output::Output,
    progress::Progress,
    text::{seconds, several, size},
};

/// Read all of an archive: every byte, the order of its entries, and what they add up to
///
/// Nothing is restored. With --stored only the bytes are checked, which takes no key: whether they are
/// those that were written, and not who wrote them.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn archive verify monday.cairn
  cairn archive verify monday.cairn --stored"
)]
pub(super) struct Verify {
    /// The file
    archive: PathBuf,
    /// Check the stored bytes only, without a key
    #[arg(long)]
    stored: bool,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct VerifyJson {
    archive: PathBuf,
    uuid: String,
    bytes: u64,
    entries: Option<u64>,
    digest: Option<String>,
    seconds: f64,
}

impl Verify {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let progress = Progress::new("verifying");
        let shown = shown(&progress);
        let (uuid, bytes, content) = if self.stored {
            let report = ArchiveFile::at(&self.archive)?.verify_stored(Some(&shown))?;
            (report.archive, report.bytes, None)
        } else {
            let (file, key) = key_of(&self.archive, &self.unlock)?;
            let report = file.verify(&keys(key), Some(&shown))?;
            (report.archive, report.bytes, Some(report.totals))
        };
        let elapsed = progress.elapsed();
        let what = match &content {
            Some(totals) => several(totals.entries(), "entry"),
            None => "stored bytes only".into(),
        };
        output.line(format_args!(
            "{} is whole: {what}, {}, in {}",
            self.archive.display(),
            size(bytes),
            seconds(elapsed)
        ))?;
        if let Some(totals) = &content {
            output.line(format_args!("digest of its entries: {}", totals.digest))?;
        }
        output.json(&VerifyJson {
            archive: self.archive,
            uuid: uuid.to_string(),
            bytes,
            entries: content.as_ref().map(cairndb::archive::Totals::entries),
            digest: content.map(|totals| totals.digest.to_string()),
            seconds: elapsed.as_secs_f64(),
        })?;
        Ok(Exit::Good)
    }
}
