//! `cairn repo keys`: the keys that open an encrypted repository: which there are, one more, one less, another.

use std::path::PathBuf;

use cairn_io::{RealWorld, World as _};
use cairndb::{
    KeySource,
    backup::{BackupError, Repository},
};
use serde::Serialize;
use zeroize::Zeroizing;

use super::key::{KeyJson, find_slot, show_slots};
use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::{NewKeyArgs, OwnKeyArgs},
    output::Output,
    text::{escape, hex, several},
};

/// Look after the keys of an encrypted repository
///
/// A repository may have several keys: passphrases, key files, recipients, a recovery key on paper. Each opens all of
/// it. To change them takes one that is there, and no more time however much is stored. A key that was
/// removed opens nothing any more; but whoever had it, and a copy of the repository from that time, still
/// has that: a new repository with keys of its own ends it.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn repo keys list backups
  cairn repo keys add backups --name office --key-file repo.key
  cairn repo keys add backups --name paper --recovery --key-file repo.key
  cairn repo keys rotate backups                 # asks for the old passphrase and the new one
  cairn repo keys remove backups office --key-file repo.key"
)]
pub(super) struct RepoKeys {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(clap::Subcommand)]
enum KeysCommand {
    List(List),
    Add(Add),
    Rotate(Rotate),
    Remove(Remove),
}

/// List the keys of a repository; no secrets, and no key is needed
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn repo keys list backups")]
struct List {
    /// The directory of the repository
    repo: PathBuf,
}

/// Let one more key open a repository
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cairn repo keys add backups --name office --key-file repo.key
  cairn repo keys add backups --name paper --recovery --key-file repo.key
  cairn repo keys add backups --name safe --key-file repo.key --recipient cairn-recipient-07a3…

--recovery makes a key, and prints it once: 64 digits to be kept on paper. In a file, it is a key file.")]
struct Add {
    /// The directory of the repository
    repo: PathBuf,
    /// What the new key is called; no two have the same name
    #[arg(long)]
    name: String,
    /// Make a key, and print it
    #[arg(long, conflicts_with_all = ["new_key_file", "new_key_fd", "new_passphrase_fd", "recipient"])]
    recovery: bool,
    #[command(flatten)]
    key: OwnKeyArgs,
    #[command(flatten)]
    new: NewKeyArgs,
}

/// Put another key in place of the one that is given
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  cairn repo keys rotate backups --key-file old.key --new-key-file new.key

Nothing that was stored is touched.")]
struct Rotate {
    /// The directory of the repository
    repo: PathBuf,
    #[command(flatten)]
    key: OwnKeyArgs,
    #[command(flatten)]
    new: NewKeyArgs,
}

/// Take a key out of use; the last one stays
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn repo keys remove backups office --key-file repo.key")]
struct Remove {
    /// The directory of the repository
    repo: PathBuf,
    /// The name of the key, or its number
    which: String,
    #[command(flatten)]
    key: OwnKeyArgs,
}

#[derive(Serialize)]
struct ListJson {
    repository: PathBuf,
    keys: Vec<KeyJson>,
}

#[derive(Serialize)]
struct AddedJson<'a> {
    repository: PathBuf,
    key: KeyJson,
    recovery_key: Option<&'a str>,
}

#[derive(Serialize)]
struct RotatedJson {
    repository: PathBuf,
    key: KeyJson,
    replaced: Option<u32>,
}

#[derive(Serialize)]
struct RemovedJson {
    repository: PathBuf,
    removed: u32,
    keys: u64,
}

/// Opens a repository with its key.
fn unlocked(repo: &std::path::Path, key: &OwnKeyArgs) -> Result<Repository, Failure> {
    let repository = Repository::open(repo)?;
    // What has no keys is said before anybody is asked.
    repository.keys()?;
    let repository = key.as_repo().unlock(repository, repo)?;
    match repository.is_locked() {
        true => {
            Err(BackupError::RepositoryKeyRequired { place: repo.display().to_string() }.into())
        }
        false => Ok(repository),
    }
}

impl RepoKeys {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        match self.command {
            KeysCommand::List(command) => command.run(output),
            KeysCommand::Add(command) => command.run(output),
            KeysCommand::Rotate(command) => command.run(output),
            KeysCommand::Remove(command) => command.run(output),
        }
    }
}

impl List {
    fn run(self, output: &mut Output) -> Outcome {
        let slots = Repository::open(&self.repo)?.keys()?.slots;
        show_slots(&slots, output)?;
        let keys = slots.into_iter().map(Into::into).collect();
        output.json(&ListJson { repository: self.repo, keys })?;
        Ok(Exit::Good)
    }
}

impl Add {
    fn run(self, output: &mut Output) -> Outcome {
        let repository = unlocked(&self.repo, &self.key)?;
        let mut recovery = None;
        let new = match self.recovery {
            true => {
                let mut key = Zeroizing::new([0; 32]);
                RealWorld::new().random(&mut *key);
                let text = Zeroizing::new(hex(&*key));
                let source = KeySource::from_key_file_content(text.as_bytes())?;
                recovery = Some(text);
                source
            }
            false => self.new.key(&self.repo, &self.key.as_key())?,
        };
        let key = repository.add_key(&self.name, &new)?;
        let count = repository.keys()?.slots.len() as u64;
        output.line(format_args!(
            "added key {} ({}): {} has {}",
            key.number,
            escape(key.name.as_bytes()),
            self.repo.display(),
            several(count, "key")
        ))?;
        let recovery = recovery.as_ref().map(|text| text.as_str());
        if let Some(recovery) = recovery {
            output.line(format_args!("recovery key: {recovery}"))?;
        }
        output.json(&AddedJson {
            repository: self.repo,
            key: key.into(),
            recovery_key: recovery,
        })?;
        Ok(Exit::Good)
    }
}

impl Rotate {
    fn run(self, output: &mut Output) -> Outcome {
        let repository = unlocked(&self.repo, &self.key)?;
        let new = self.new.key(&self.repo, &self.key.as_key())?;
        let replaced = repository.opened_by();
        let key = repository.rotate_key(&new)?;
        output.line(format_args!(
            "key {} took the place of key {} ({})",
            key.number,
            replaced.unwrap_or(0),
            escape(key.name.as_bytes())
        ))?;
        output.json(&RotatedJson { repository: self.repo, key: key.into(), replaced })?;
        Ok(Exit::Good)
    }
}

impl Remove {
    fn run(self, output: &mut Output) -> Outcome {
        let repository = unlocked(&self.repo, &self.key)?;
        let slots = repository.keys()?.slots;
        let slot = find_slot(&slots, &self.which, "cairn repo keys list")?;
        repository.remove_key(slot.number).map_err(|error| {
            Failure::from(error).advise("nothing was changed: add another key first")
        })?;
        let left = repository.keys()?.slots.len() as u64;
        output.line(format_args!(
            "removed key {} ({}): {} has {} left",
            slot.number,
            escape(slot.name.as_bytes()),
            self.repo.display(),
            several(left, "key")
        ))?;
        output.json(&RemovedJson { repository: self.repo, removed: slot.number, keys: left })?;
        Ok(Exit::Good)
    }
}
