//! `cairn key`: the keys that open an encrypted environment: which there are, one more, one less, another.

use std::path::{Path, PathBuf};

use cairndb::{
    EnvError, EnvironmentKeys, KeyEpochInfo, KeySlotInfo, KeySource, KeyringInfo, UnlockedKeys,
    backup::{MANIFEST_NAME, check_key},
};
use serde::Serialize;

use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::{KeyArgs, NewKeyArgs},
    open,
    output::Output,
    text::{Time, escape, several, size},
};

/// Look after the keys of an encrypted environment
///
/// An environment may have several keys: passphrases, key files, callbacks of applications. Each opens
/// all of it. To change them takes one that is there, and no more time however much data there is; an
/// application may have the environment open meanwhile. A secret is never given on the command line.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn key list data
  cairn key add data --name backup-host --new-key-file backup.key
  cairn key recipient safe.key                   # says what to give to --recipient
  cairn key rotate data
  cairn key remove data backup-host
  cairn key check backups/monday --key-file backup.key"
)]
pub(crate) struct Key {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(clap::Subcommand)]
enum KeyCommand {
    Add(Add),
    Remove(Remove),
    Rotate(Rotate),
    List(List),
    Check(Check),
    Recipient(RecipientOf),
}

impl Key {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        match self.command {
            KeyCommand::Add(command) => command.run(output),
            KeyCommand::Remove(command) => command.run(output),
            KeyCommand::Rotate(command) => command.run(output),
            KeyCommand::List(command) => command.run(output),
            KeyCommand::Check(command) => command.run(output),
            KeyCommand::Recipient(command) => command.run(output),
        }
    }
}

/// Let one more key open the environment
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cairn key add data --name night-shift
  cairn key add data --name backup-host --key-file data.key --new-key-file backup.key
  cairn key add data --name safe --key-file data.key --recipient cairn-recipient-07a3…")]
struct Add {
    /// The directory of the environment
    env: PathBuf,
    /// What the new key is called; no two have the same name
    #[arg(long)]
    name: String,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    new: NewKeyArgs,
}

/// Take a key out of use; the last one stays
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  cairn key remove data backup-host

Whoever has the key and an old copy of the keyring can still read what was encrypted until now:
`cairn rekey` begins with another data key, and --finish encrypts everything with it.
Of several keys the others have to go before that: the guide on encryption says why.")]
struct Remove {
    /// The directory of the environment
    env: PathBuf,
    /// The name of the key, or its number
    which: String,
    #[command(flatten)]
    key: KeyArgs,
}

/// Put another key in place of the one that is given
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cairn key rotate data               # asks for the old passphrase and the new one
  cairn key rotate data --key-file old.key --new-key-file new.key

The data stays as it is. If the old key has leaked, `cairn rekey --finish` encrypts it anew.")]
struct Rotate {
    /// The directory of the environment
    env: PathBuf,
    #[command(flatten)]
    key: KeyArgs,
    #[command(flatten)]
    new: NewKeyArgs,
}

/// List the keys of an environment, and its key epochs; no secrets, and no key is needed
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn key list data")]
struct List {
    /// The directory of the environment
    env: PathBuf,
}

/// Try a key: whether it opens the environment or backup, and decrypts what is in it
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cairn key check data
  cairn key check backups/monday --key-file data.key

It exits with 2 if the key is another one, and with 3 if the keyring is damaged.")]
struct Check {
    /// The directory of the environment, or of a backup
    path: PathBuf,
    #[command(flatten)]
    key: KeyArgs,
}

/// Say the public half of a key file, for which others can encrypt
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  head -c 32 /dev/urandom > safe.key; chmod 600 safe.key
  cairn key recipient safe.key
  cairn repo keys add backups --name safe --key-file repo.key --recipient cairn-recipient-07a3…

What it says is no secret. The file itself can lie in a safe: it is needed only to open something.")]
struct RecipientOf {
    /// A key file: 32 bytes, or 64 hexadecimal digits
    file: PathBuf,
}

#[derive(Serialize)]
struct RecipientJson {
    file: PathBuf,
    recipient: String,
}

impl RecipientOf {
    fn run(self, output: &mut Output) -> Outcome {
        let recipient = KeySource::key_file(&self.file).recipient()?.to_string();
        output.line(format_args!("{recipient}"))?;
        output.json(&RecipientJson { file: self.file, recipient })?;
        Ok(Exit::Good)
    }
}

#[derive(Serialize)]
pub(super) struct KeyJson {
    number: u32,
    name: String,
    kind: &'static str,
    created: Time,
    memory: Option<u64>,
    passes: Option<u32>,
}

impl From<KeySlotInfo> for KeyJson {
    fn from(KeySlotInfo { number, name, kind, created, cost, .. }: KeySlotInfo) -> Self {
        Self {
            number,
            name,
            kind: kind.name(),
            created: Time(created),
            memory: cost.map(|cost| u64::from(cost.memory_kib()) << 10),
            passes: cost.map(|cost| cost.passes()),
        }
    }
}

#[derive(Serialize)]
struct EpochJson {
    epoch: u32,
    created: Time,
}

#[derive(Serialize)]
struct AddedJson {
    environment: PathBuf,
    key: KeyJson,
}

#[derive(Serialize)]
struct RemovedJson {
    environment: PathBuf,
    removed: u32,
    keys: u64,
}

#[derive(Serialize)]
struct RotatedJson {
    environment: PathBuf,
    key: KeyJson,
    replaced: u32,
}

#[derive(Serialize)]
struct ListJson {
    environment: PathBuf,
    keys: Vec<KeyJson>,
    epochs: Vec<EpochJson>,
}

#[derive(Serialize)]
struct CheckJson {
    path: PathBuf,
    key: u32,
    name: String,
    epochs: u64,
}

/// Unlocks the keyring of an environment, and says by which key.
pub(super) fn unlock(env: &Path, key: &KeyArgs) -> Result<(UnlockedKeys, KeySource), Failure> {
    // What is no encrypted environment is said before anybody is asked.
    let keys = EnvironmentKeys::open(env)?;
    let Some(key) = key.of(env, || true)? else {
        let epoch = keys.info().epochs.last().map_or(0, |newest| newest.epoch);
        return Err(EnvError::KeyRequired { path: env.to_owned(), epoch }.into());
    };
    Ok((keys.unlock(&key)?, key))
}

/// The key with this name, or else with this number; `list` is the command that shows which there are.
pub(super) fn find_slot<'a>(
    slots: &'a [KeySlotInfo],
    which: &str,
    list: &str,
) -> Result<&'a KeySlotInfo, Failure> {
    let by_name = slots.iter().find(|slot| slot.name == which);
    let by_number = || slots.iter().find(|slot| slot.number.to_string() == which);
    by_name.or_else(by_number).ok_or_else(|| {
        Failure::not_found(format_args!("there is no key {}", escape(which.as_bytes())))
            .advise(format!("`{list}` shows which there are; nothing was changed"))
    })
}

/// A line for each key.
pub(super) fn show_slots(slots: &[KeySlotInfo], output: &mut Output) -> Result<(), Failure> {
    for KeySlotInfo { number, name, kind, created, cost, .. } in slots {
        let cost = cost.map_or(String::new(), |cost| {
            let memory = size(u64::from(cost.memory_kib()) << 10);
            format!(", {memory} of memory to try one")
        });
        let (name, created) = (escape(name.as_bytes()), Time(*created));
        output.line(format_args!("key {number}  {name}: {kind}, made {created}{cost}"))?;
    }
    Ok(())
}

impl Add {
    fn run(self, output: &mut Output) -> Outcome {
        let (mut keys, _) = unlock(&self.env, &self.key)?;
        let new = self.new.key(&self.env, &self.key)?;
        let key = keys.add(&self.name, &new)?;
        let count = keys.info().slots.len() as u64;
        output.line(format_args!(
            "added key {} ({}): {} has {}",
            key.number,
            escape(key.name.as_bytes()),
            self.env.display(),
            several(count, "key")
        ))?;
        output.json(&AddedJson { environment: self.env, key: key.into() })?;
        Ok(Exit::Good)
    }
}

impl Remove {
    fn run(self, output: &mut Output) -> Outcome {
        let (mut keys, _) = unlock(&self.env, &self.key)?;
        let slots = keys.info().slots;
        let slot = find_slot(&slots, &self.which, "cairn key list")?;
        keys.remove(slot.number).map_err(|error| {
            Failure::from(error).advise("nothing was changed: add another key first")
        })?;
        let left = keys.info().slots.len() as u64;
        output.line(format_args!(
            "removed key {} ({}): {} has {} left",
            slot.number,
            escape(slot.name.as_bytes()),
            self.env.display(),
            several(left, "key")
        ))?;
        output.json(&RemovedJson { environment: self.env, removed: slot.number, keys: left })?;
        Ok(Exit::Good)
    }
}

impl Rotate {
    fn run(self, output: &mut Output) -> Outcome {
        let (mut keys, _) = unlock(&self.env, &self.key)?;
        let new = self.new.key(&self.env, &self.key)?;
        let replaced = keys.opened_by();
        let key = keys.rotate(&new)?;
        output.line(format_args!(
            "key {} took the place of key {replaced} ({})",
            key.number,
            escape(key.name.as_bytes())
        ))?;
        output.json(&RotatedJson { environment: self.env, key: key.into(), replaced })?;
        Ok(Exit::Good)
    }
}

impl List {
    fn run(self, output: &mut Output) -> Outcome {
        let KeyringInfo { slots, epochs, .. } = EnvironmentKeys::open(&self.env)?.info();
        show_slots(&slots, output)?;
        for KeyEpochInfo { epoch, created, .. } in &epochs {
            output.line(format_args!("epoch {epoch} began {}", Time(*created)))?;
        }
        let epochs = epochs.into_iter();
        output.json(&ListJson {
            environment: self.env,
            keys: slots.into_iter().map(Into::into).collect(),
            epochs: epochs
                .map(|KeyEpochInfo { epoch, created, .. }| EpochJson {
                    epoch,
                    created: Time(created),
                })
                .collect(),
        })?;
        Ok(Exit::Good)
    }
}

impl Check {
    fn run(self, output: &mut Output) -> Outcome {
        let is_backup = self.path.join(MANIFEST_NAME).is_file();
        let (number, info) = match is_backup {
            true => {
                let key = self.key.of(&self.path, || true)?;
                let keys = check_key(&self.path, key.as_ref())?;
                (keys.opened_by(), keys.info())
            }
            false => {
                let (keys, key) = unlock(&self.path, &self.key)?;
                // Opening decrypts what recovery needs.
                open::for_reading_with(&self.path, Some(key))?.close()?;
                (keys.opened_by(), keys.info())
            }
        };
        let slot = info.slots.iter().find(|slot| slot.number == number);
        let name = slot.map_or(String::new(), |slot| slot.name.clone());
        let epochs = info.epochs.len() as u64;
        output.line(format_args!(
            "key {number} ({}) opens {}, and decrypts what is in it; {}",
            escape(name.as_bytes()),
            self.path.display(),
            several(epochs, "key epoch")
        ))?;
        output.json(&CheckJson { path: self.path, key: number, name, epochs })?;
        Ok(Exit::Good)
    }
}
