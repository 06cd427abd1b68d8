//! `cairn kv`: the key-value stores of an environment.

mod backups;
mod entries;
mod query;
mod watch;

use std::path::PathBuf;

use cairndb::{
    Environment,
    kv::{Entry, KvError, KvStore, Value},
};
use serde::Serialize;

use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    open,
    output::Output,
    saved::EnvironmentArgs,
    text,
};

/// Look into the key-value stores of an environment, and change them
///
/// A store has typed values under keys; with a schema these are JSON whose fields can be asked for.
/// Applications make stores with the library. `cairn kv put` makes one without a schema.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn kv put data notes tea 7 --type integer
  cairn kv get data notes tea
  cairn kv query data people --where '$.age >= 18' --where '$.city = \"Paris\"' --order '$.name'
  cairn kv backup data notes BK001
  cairn kv restore data notes --latest"
)]
pub(crate) struct Kv {
    #[command(subcommand)]
    command: KvCommand,
}

#[derive(clap::Subcommand)]
enum KvCommand {
    List(List),
    Put(entries::Put),
    Get(entries::Get),
    Delete(entries::Delete),
    Query(query::QueryCommand),
    Watch(watch::Watch),
    Backup(backups::Backup),
    Restore(backups::Restore),
    Backups(backups::Backups),
    DeleteBackup(backups::DeleteBackup),
}

impl Kv {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        match self.command {
            KvCommand::List(command) => command.run(output),
            KvCommand::Put(command) => command.run(output),
            KvCommand::Get(command) => command.run(output),
            KvCommand::Delete(command) => command.run(output),
            KvCommand::Query(command) => command.run(output),
            KvCommand::Watch(command) => command.run(output),
            KvCommand::Backup(command) => command.run(output),
            KvCommand::Restore(command) => command.run(output),
            KvCommand::Backups(command) => command.run(output),
            KvCommand::DeleteBackup(command) => command.run(output),
        }
    }
}

/// Which store of which environment.
#[derive(clap::Args)]
struct Place {
    /// The directory of the environment
    env: PathBuf,
    /// The id of the store
    store: String,
    /// The device whose keys are meant, in a device collaboration store
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    #[command(flatten)]
    unlock: KeyArgs,
}

impl Place {
    fn for_reading(&self, of: &EnvironmentArgs) -> Result<(Environment, KvStore), Failure> {
        let env = open::for_reading_of(&self.env, &self.unlock, of)?;
        let store = self.open(&env)?;
        Ok((env, store))
    }

    /// Opens the store as it is recorded.
    fn open(&self, env: &Environment) -> Result<KvStore, Failure> {
        let mut options = KvStore::recorded_options(env, &self.store)?;
        if let Some(device) = &self.device {
            options = options.device(device);
        }
        Ok(KvStore::open(env, &self.store, options)?)
    }
}

/// List the stores of an environment
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn kv list data")]
struct List {
    /// The directory of the environment
    env: PathBuf,
    #[command(flatten)]
    of: EnvironmentArgs,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct StoreJson<'a> {
    store: &'a str,
    store_type: String,
    security_level: String,
    entries: u64,
    indexes: &'a [String],
}

impl List {
    fn run(self, output: &mut Output) -> Outcome {
        let env = open::for_reading_of(&self.env, &self.unlock, &self.of)?;
        for id in KvStore::ids(&env)? {
            let options = KvStore::recorded_options(&env, &id)?;
            let store_type = format!("{:?}", options.store_type);
            let security_level = format!("{:?}", options.security_level);
            let indexes = options.schema.as_ref().map_or_else(Vec::new, |of| of.indexes.clone());
            // Of all devices, which a handle would not count.
            let snapshot = env.snapshot()?;
            let data = snapshot.database(&format!("cairn.kv/{id}"))?;
            let entries = data.map_or(Ok(0), |data| snapshot.len(&data))?;
            let indexed = match indexes.is_empty() {
                true => String::new(),
                false => format!(", indexes of {}", indexes.join(", ")),
            };
            output.line(format_args!(
                "{id}: {}, {store_type}, {security_level}{indexed}",
                text::several(entries, "entry")
            ))?;
            output.json(&StoreJson {
                store: &id,
                store_type,
                security_level,
                entries,
                indexes: &indexes,
            })?;
        }
        Ok(Exit::Good)
    }
}

/// An entry for programs. A value that JSON does not have as such is text.
#[derive(Serialize)]
struct ValueJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_hex: Option<String>,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_hex: Option<String>,
}

impl From<&Entry> for ValueJson {
    fn from(entry: &Entry) -> Self {
        let key = text::json_text(&entry.key).map(str::to_owned);
        let key_hex = if key.is_some() { None } else { Some(text::hex(&entry.key)) };
        let (value, value_hex) = match &entry.value {
            Value::ByteArray(bytes) => (None, Some(text::hex(bytes))),
            Value::String(text) => (Some(text.as_str().into()), None),
            Value::Boolean(is) => (Some((*is).into()), None),
            other => match (other.as_i64(), other.as_f64()) {
                (Some(whole), _) => (Some(whole.into()), None),
                (None, Some(number)) if number.is_finite() => (Some(number.into()), None),
                _ => (Some(show(other).into()), None),
            },
        };
        Self { key, key_hex, r#type: type_name(&entry.value), value, value_hex }
    }
}

/// A value as one line for people.
fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text::escape(text.as_bytes()),
        Value::ByteArray(bytes) => text::hex(bytes),
        Value::Boolean(is) => is.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Long(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        _ => String::new(),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::Integer(_) => "integer",
        Value::Float(_) => "float",
        Value::ByteArray(_) => "bytes",
        Value::Boolean(_) => "boolean",
        Value::Double(_) => "double",
        Value::Long(_) => "long",
        _ => "unknown",
    }
}

impl From<KvError> for Failure {
    fn from(error: KvError) -> Self {
        match error {
            KvError::Env(error) => error.into(),
            KvError::Archive(error) => error.into(),
            KvError::StoreNotFound { .. } => {
                Self::not_found(&error).advise("`cairn kv list ENV` lists the stores")
            }
            KvError::NoSuchBackup { .. } | KvError::NoGoodBackup { .. } => {
                Self::not_found(&error).advise("`cairn kv backups ENV STORE` lists them")
            }
            KvError::NotSupported { .. } => Self::usage(&error).advise(
                "`cairn kv list ENV` says what each store is; a schema comes from its application",
            ),
            KvError::BackupLimit { .. } => Self::usage(&error)
                .advise("`cairn kv delete-backup` makes room; a name that is there is used again"),
            error => Self::of_store(error.kind(), error.scope(), &error),
        }
    }
}
