//! `cairn archive show`: what an archive says of itself.

use std::path::PathBuf;

use serde::Serialize;

use super::{DatabaseJson, key_of, keys, list};
use crate::{
    Outcome,
    exit::Exit,
    keys::KeyArgs,
    output::Output,
    text::{Time, several},
};

/// Say what an archive holds; only its beginning is read
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn archive show monday.cairn")]
pub(super) struct Show {
    /// The file
    archive: PathBuf,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct ShowJson<'a> {
    archive: PathBuf,
    uuid: String,
    store: String,
    environment: String,
    commit: u64,
    created: Time,
    library: &'a str,
    key_epoch: Option<u32>,
    databases: Vec<DatabaseJson<'a>>,
    entries: u64,
}

impl Show {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let (file, key) = key_of(&self.archive, &self.unlock)?;
        let reader = file.open(&keys(key))?;
        let header = reader.header();
        output.line(format_args!(
            "archive {}: {}, commit {} of environment {}",
            reader.archive(),
            header.store,
            header.commit,
            header.environment
        ))?;
        output.line(format_args!(
            "made by cairn {} at {}, {}",
            header.library,
            Time(header.created),
            match reader.key_epoch() {
                Some(epoch) => format!("encrypted under key epoch {epoch}"),
                None => "not encrypted".into(),
            }
        ))?;
        output.line(format_args!("{}:", several(header.entries(), "entry")))?;
        list(output, &header.databases)?;
        output.json(&ShowJson {
            archive: self.archive,
            uuid: reader.archive().to_string(),
            store: header.store.to_string(),
            environment: header.environment.to_string(),
            commit: header.commit,
            created: Time(header.created),
            library: &header.library,
            key_epoch: reader.key_epoch(),
            databases: DatabaseJson::all(&header.databases),
            entries: header.entries(),
        })?;
        Ok(Exit::Good)
    }
}
