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
#[command(after_help = "Example:\n  cairn init data")]
pub(crate) struct Init {
    /// The directory; it is created if it does not exist
    env: PathBuf,
}

#[derive(Serialize)]
struct InitJson {
    environment: PathBuf,
    uuid: String,
}

impl Init {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let path = self.env;
        let (env, report) = Environment::open(&path, Options::default())?;
        let uuid = env.identity().environment.to_string();
        env.close()?;
        if !report.created {
            return Err(Failure::exists(format_args!(
                "{} is an environment already",
                path.display()
            )));
        }
        output.line(format_args!("created {} (uuid {uuid})", path.display()))?;
        output.json(&InitJson { environment: path, uuid })?;
        Ok(Exit::Good)
    }
}
