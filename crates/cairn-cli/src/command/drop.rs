//! `cairn drop`: a database goes, with all that is in it.

use std::path::PathBuf;

use cairndb::Durability;
use serde::Serialize;

use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    open,
    output::Output,
    text::{escape, several},
};

/// Drop a database with all its entries, in one commit
///
/// Its space comes back by and by: `cairn clean` gives it back at once. Backups keep what they have.
#[derive(clap::Args)]
#[command(name = "drop", after_help = "Example:\n  cairn drop data people --yes")]
pub(crate) struct DropDatabase {
    /// The directory of the environment
    env: PathBuf,
    /// The database
    #[arg(value_name = "DATABASE")]
    name: String,
    /// Really drop it: nothing is asked, and without this nothing is done
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct DropJson {
    database: String,
    entries: u64,
    commit: u64,
    durable: bool,
}

impl DropDatabase {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        if !self.yes {
            let env = open::for_reading(&self.env, &self.unlock)?;
            let (snapshot, database) = open::database(&env, &self.name)?;
            let entries = several(snapshot.len(&database)?, "entry");
            let name = escape(self.name.as_bytes());
            let what = format!("database {name} has {entries}, and nothing was dropped");
            return Err(Failure::usage(what).advise("add --yes to drop it"));
        }
        let env = open::for_writing(&self.env, &self.unlock, output)?;
        let (snapshot, database) = open::database(&env, &self.name)?;
        let entries = snapshot.len(&database)?;
        drop(snapshot);
        let mut txn = env.begin_write()?;
        txn.drop_database(&database)?;
        let commit = txn.commit_with(Durability::Sync)?.commit;
        env.close()?;
        let name = escape(self.name.as_bytes());
        output.line(format_args!("{name} dropped, with {}", several(entries, "entry")))?;
        output.json(&DropJson { database: self.name, entries, commit, durable: true })?;
        Ok(Exit::Good)
    }
}
