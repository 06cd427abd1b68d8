//! `cairn scrub`: reads all log files again, from the disk, at a rate that disturbs nobody.

use std::{path::PathBuf, thread};

use serde::Serialize;

use super::verify::FindingJson;
use crate::{
    Outcome,
    exit::Exit,
    keys::KeyArgs,
    open,
    output::Output,
    progress::Progress,
    text::{self, seconds, several, size},
};

/// Read every finished log file again, from the disk, and list what has rotted
///
/// A program that has the environment open does so by itself, now and then. `verify` reads the
/// trees as well, and says which keys are concerned. Nothing is changed.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn scrub data
  cairn scrub data --rate 20MiB"
)]
pub(crate) struct Scrub {
    /// The directory of the environment
    env: PathBuf,
    /// Read at most so much per second, as in 20MiB (default: as fast as it goes)
    #[arg(long, value_name = "SIZE", value_parser = text::parse_size)]
    rate: Option<u64>,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct ScrubJson {
    path: PathBuf,
    findings: Vec<FindingJson>,
    files: u64,
    bytes: u64,
    seconds: f64,
}

impl Scrub {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let env = match open::for_reading(&self.env, &self.unlock) {
            Err(failure) if failure.is_damage() => {
                return super::verify::unopened(&self.env, failure, output);
            }
            opened => opened?,
        };
        let progress = Progress::new("scrubbing");
        let mut scrub = env.begin_scrub(self.rate.unwrap_or(0))?;
        while let Some(wait) = scrub.step()? {
            let (done, total) = scrub.progress();
            progress.set(done, Some(total));
            thread::sleep(wait);
        }
        let (report, elapsed) = (scrub.into_report(), progress.elapsed());
        drop(progress);
        for finding in &report.findings {
            output.line(format_args!("damage: {finding}"))?;
        }
        output.line(format_args!(
            "{}: {}, {}: {} ({})",
            self.env.display(),
            several(report.files, "log file"),
            size(report.bytes),
            super::verify::verdict(report.findings.len()),
            seconds(elapsed)
        ))?;
        if !report.findings.is_empty() {
            output.note(format_args!("`cairn verify` tells which keys that concerns"));
        }
        output.json(&ScrubJson {
            findings: report.findings.iter().map(FindingJson::from).collect(),
            files: report.files,
            bytes: report.bytes,
            seconds: elapsed.as_secs_f64(),
            path: self.env,
        })?;
        Ok(if report.findings.is_empty() { Exit::Good } else { Exit::Findings })
    }
}
