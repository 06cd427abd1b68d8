//! `cairn init`: a new, empty environment.

use std::path::PathBuf;

use cairndb::{Environment, Options};
use serde::Serialize;

use crate::{
    Outcome,
    exit::{Exit, Failure},
    output::Output,
};

/// Create an empty environment in a new or empty directory
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn init data\n  cairn init data --data-dirs 3")]
pub(crate) struct Init {
    /// The directory; it is created if it does not exist
    env: PathBuf,
    /// Spread the log files over N directories below it: data001, data002, …
    #[arg(long, value_name = "N", default_value_t = 0)]
    data_dirs: u16,
}

#[derive(Serialize)]
struct InitJson {
    environment: PathBuf,
    uuid: String,
    data_directories: u16,
}

impl Init {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let path = self.env;
        let data_directories = self.data_dirs;
        let options = Options::default().data_directories(data_directories);
        let (env, report) = Environment::open(&path, options)?;
        let uuid = env.identity().environment.to_string();
        env.close()?;
        if !report.created {
            return Err(Failure::exists(format_args!(
                "{} is an environment already",
                path.display()
            )));
        }
        output.line(format_args!("created {} (uuid {uuid})", path.display()))?;
        output.json(&InitJson { environment: path, uuid, data_directories })?;
        Ok(Exit::Good)
    }
}
