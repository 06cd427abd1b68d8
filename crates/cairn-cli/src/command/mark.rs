//! `cairn mark`, `cairn marks`: moments that have a name, to which a restore can go back.

use std::path::PathBuf;

use serde::Serialize;

use crate::{
    Outcome,
    exit::Exit,
    keys::KeyArgs,
    open,
    output::Output,
    text::{Time, escape},
};

/// Give this moment a name, durably
///
/// A mark is a commit that changes nothing and has a label. `cairn restore --to-label LABEL` goes
/// back to it. A label may be used again; the latest mark of that label is then the one that is
/// meant.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  cairn mark data before-migration"
)]
pub(crate) struct Mark {
    /// The directory of the environment
    env: PathBuf,
    /// The name: 1 to 255 bytes, no control characters
    label: String,
    #[command(flatten)]
    unlock: KeyArgs,
}

/// List the marks in the journal that is there
///
/// A mark goes with the journal file that holds it, when nothing needs that any more.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn marks data")]
pub(crate) struct Marks {
    /// The directory of the environment
    env: PathBuf,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct MarkedJson<'a> {
    label: &'a str,
    commit: u64,
}

#[derive(Serialize)]
struct MarkJson<'a> {
    label: &'a str,
    commit: u64,
    time: Time,
}

impl Mark {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let env = open::for_writing(&self.env, &self.unlock, output)?;
        let commit = env.mark(&self.label)?;
        env.close()?;
        output.line(format_args!("commit {commit} is {}", escape(self.label.as_bytes())))?;
        output.json(&MarkedJson { label: &self.label, commit })?;
        Ok(Exit::Good)
    }
}

impl Marks {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let env = open::for_reading(&self.env, &self.unlock)?;
        for mark in env.marks()? {
            let (commit, time) = (mark.commit, Time(mark.time));
            let label = escape(mark.label.as_bytes());
            output.line(format_args!("commit {commit} of {time}: {label}"))?;
            output.json(&MarkJson { label: &mark.label, commit, time })?;
        }
        Ok(Exit::Good)
    }
}
