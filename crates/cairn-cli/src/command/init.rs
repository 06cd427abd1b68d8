//! `cairn init`: a new, empty environment.

use std::path::{Path, PathBuf};

use cairndb::{Environment, JournalRetention};
use serde::Serialize;

use super::history::parse_keep;
use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::{CostArgs, KeyArgs},
    open,
    output::Output,
};

/// Create an empty environment in a new or empty directory
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cairn init data
  cairn init data --data-dirs 3
  cairn init data --keep 7d                          # see `cairn help history`
  cairn init data --encrypt                          # asks for a passphrase, twice
  (umask 077; openssl rand -hex 32 > data.key)
  cairn init data --encrypt --key-file data.key

Whoever loses the only key of an encrypted environment has lost what is in it. See `cairn help key`.")]
pub(crate) struct Init {
    /// The directory; it is created if it does not exist
    env: PathBuf,
    /// Spread the log files over N directories below it: data001, data002, …
    #[arg(long, value_name = "N", default_value_t = 0)]
    data_dirs: u16,
    /// How much journal stays beyond what is needed: 7d, 20GiB, all; see `cairn help history`
    #[arg(long, value_name = "HOW MUCH", value_parser = parse_keep)]
    keep: Option<JournalRetention>,
    /// Encrypt everything that the environment will hold
    #[arg(long)]
    encrypt: bool,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    cost: CostArgs,
}

#[derive(Serialize)]
struct InitJson {
    environment: PathBuf,
    uuid: String,
    data_directories: u16,
    encrypted: bool,
}

impl Init {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let path = self.env;
        let data_directories = self.data_dirs;
        let key = match self.encrypt {
            true => Some(self.key.new_key(&path, &self.cost)?),
            false if self.key.is_given() => {
                return Err(Failure::usage("a key is for an encrypted environment")
                    .advise("add --encrypt, or leave the key out; nothing was created"));
            }
            false => None,
        };
        let mut options = open::with_key(key).data_directories(data_directories);
        options.keep_journal = self.keep;
        if path.join("CURRENT").exists() {
            return Err(exists(&path));
        }
        let (env, report) = Environment::open(&path, options)?;
        let uuid = env.identity().environment.to_string();
        if report.created && self.keep.is_some() {
            env.record_retention()?;
        }
        env.close()?;
        if !report.created {
            return Err(exists(&path));
        }
        let encrypted = self.encrypt;
        let how = if encrypted { ", encrypted" } else { "" };
        output.line(format_args!("created {} (uuid {uuid}){how}", path.display()))?;
        output.json(&InitJson { environment: path, uuid, data_directories, encrypted })?;
        Ok(Exit::Good)
    }
}

fn exists(path: &Path) -> Failure {
    Failure::exists(format_args!("{} is an environment already", path.display()))
}
