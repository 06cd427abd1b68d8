//! `cairn put`, `get`, `delete`, `scan`: single entries, by hand or from a script.

use std::{
    ffi::OsString,
    io::{Read, Write},
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use cairndb::{DatabaseOptions, Durability, EnvError, Environment, MAX_VALUE_LEN};
use serde::Serialize;

use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    open,
    output::Output,
    saved::EnvironmentArgs,
    text::{self, EntryJson},
};

/// Which database of which environment, and how keys and values are written.
#[derive(clap::Args)]
pub(super) struct Place {
    /// The directory of the environment
    env: PathBuf,
    /// The database
    #[arg(long, value_name = "NAME", default_value = "main")]
    db: String,
    /// Keys and values are written in hexadecimal, in arguments and in output
    #[arg(long)]
    hex: bool,
    #[command(flatten)]
    unlock: KeyArgs,
}

impl Place {
    /// The bytes that an argument means.
    fn bytes(&self, argument: OsString) -> Result<Vec<u8>, Failure> {
        let bytes = argument.into_vec();
        if !self.hex {
            return Ok(bytes);
        }
        text::unhex(&bytes).ok_or_else(|| {
            let shown = text::escape_short(&bytes, 40);
            Failure::usage(format_args!(
                "{shown} is not hexadecimal: an even number of digits 0-9a-f"
            ))
        })
    }

    fn show(&self, bytes: &[u8]) -> String {
        if self.hex { text::hex(bytes) } else { text::escape(bytes) }
    }
}

/// How sure a change is when the command ends.
#[derive(clap::Args)]
struct Sync {
    /// Return when the change survives power loss (the default)
    #[arg(long, overrides_with = "no_sync")]
    sync: bool,
    /// Return when the change survives the end of this process, but not yet that of the system
    #[arg(long)]
    no_sync: bool,
}

#[derive(Serialize)]
struct CommitJson {
    commit: u64,
    durable: bool,
}

impl Sync {
    fn durability(&self) -> Durability {
        if self.no_sync { Durability::WriteNoSync } else { Durability::Sync }
    }

    /// Ends the command after its one commit.
    fn end(&self, env: Environment, output: &mut Output) -> Outcome {
        /// Each process that does not close in order leaves a journal file to replay.
        const MANY_JOURNAL_FILES: u64 = 16;
        let commit = env.stats()?.commits;
        let durable = !self.no_sync || env.recovery_report().journal_files >= MANY_JOURNAL_FILES;
        if durable {
            env.close().map_err(|error| {
                let done = if self.no_sync { "done" } else { "durable" };
                Failure::from(error).at(format_args!("commit {commit} is {done}, then"))
            })?;
        } else {
            // Closing in order would sync. The next open recovers what was written.
            std::mem::forget(env);
        }
        output
            .line(format_args!("commit {commit}{}", if durable { "" } else { ", not synced" }))?;
        output.json(&CommitJson { commit, durable })?;
        Ok(Exit::Good)
    }
}

/// Put a value under a key, in one durable commit
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  cairn put data ada 1815
  date | cairn put data now -          # the value from standard input
  cairn put data 00ff cafe --hex       # binary key and value")]
pub(crate) struct Put {
    #[command(flatten)]
    place: Place,
    /// The key
    key: OsString,
    /// The value; `-` reads it, as it is, from standard input
    value: OsString,
    #[command(flatten)]
    sync: Sync,
}

impl Put {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let Self { place, key, value, sync } = self;
        let key = place.bytes(key)?;
        let value = match value == "-" {
            true => {
                place.unlock.leave_stdin_alone()?;
                from_standard_input()?
            }
            false => place.bytes(value)?,
        };
        let env = open::for_writing(&place.env, &place.unlock, output)?;
        env.write_with(sync.durability(), |txn| {
            let database = txn.create_database(&place.db, DatabaseOptions::default())?;
            txn.put(&database, &key, &value)
        })?;
        sync.end(env, output)
    }
}

fn from_standard_input() -> Result<Vec<u8>, Failure> {
    let mut value = Vec::new();
    // One byte too many is enough to be refused with the limit.
    let mut input = std::io::stdin().lock().take(MAX_VALUE_LEN as u64 + 1);
    match input.read_to_end(&mut value) {
        Ok(_) => Ok(value),
        Err(error) => Err(Failure::io("read", Path::new("standard input"), &error)),
    }
}

/// Print the value of a key, byte for byte
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  cairn get data ada
  cairn get data photo.jpg > photo.jpg
  cairn get data ada || echo \"exit code $?: 1 means that there is no such key\"")]
pub(crate) struct Get {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    of: EnvironmentArgs,
    /// The key
    key: OsString,
}

impl Get {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let Self { place, of, key } = self;
        let key = place.bytes(key)?;
        let env = open::for_reading_of(&place.env, &place.unlock, &of)?;
        let (snapshot, database) = open::database(&env, &place.db)?;
        let Some(value) = snapshot.get(&database, &key)? else {
            return Err(no_such_key(&place, &key));
        };
        if place.hex {
            output.line(format_args!("{}", text::hex(&value)))?;
        } else if !output.is_json() {
            // A prompt that stands behind the value is nobody's wish.
            let end: &[u8] =
                if output.is_terminal() && !value.ends_with(b"\n") { b"\n" } else { b"" };
            let written = output.raw().write_all(&value).and_then(|()| output.raw().write_all(end));
            written.map_err(|error| Failure::output(&error))?;
        }
        output.json(&EntryJson { key: &key, value: Some(&value) })?;
        Ok(Exit::Good)
    }
}

fn no_such_key(place: &Place, key: &[u8]) -> Failure {
    let key = if place.hex { text::hex(key) } else { text::escape_short(key, 200) };
    Failure::not_found(format_args!("database {:?} has no key {key}", place.db))
        .advise(format!("`cairn scan --keys {}` lists the keys", place.env.display()))
}

/// Delete a key, in one durable commit
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn delete data ada")]
pub(crate) struct Delete {
    #[command(flatten)]
    place: Place,
    /// The key
    key: OsString,
    #[command(flatten)]
    sync: Sync,
}

impl Delete {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let Self { place, key, sync } = self;
        let key = place.bytes(key)?;
        let env = open::for_writing(&place.env, &place.unlock, output)?;
        let database = env
            .find_database(&place.db)?
            .ok_or_else(|| EnvError::NoSuchDatabase { name: place.db.clone() })?;
        let deleted = env.write_with(sync.durability(), |txn| {
            let found = txn.contains(&database, &key)?;
            if found {
                txn.delete(&database, &key)?;
            }
            Ok(found)
        })?;
        if deleted { sync.end(env, output) } else { Err(no_such_key(&place, &key)) }
    }
}

/// Print entries in the order of their keys: key, a tab, value
///
/// Control characters, backslashes and what is no UTF-8 are escaped, so that a line is an entry
/// and a terminal is safe. Byte for byte: `cairn get`, `--hex`, `--json`, or `cairn export`.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  cairn scan data --limit 10
  cairn scan data --prefix src/ --keys"
)]
pub(crate) struct Scan {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    of: EnvironmentArgs,
    /// Only keys that begin with this
    #[arg(long, value_name = "P")]
    prefix: Option<OsString>,
    /// At most so many entries
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Keys without values
    #[arg(long)]
    keys: bool,
}

impl Scan {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        /// At a terminal a value is to fit on a line or two.
        const SHOWN: usize = 160;
        let Self { place, of, prefix, limit, keys } = self;
        let prefix = place.bytes(prefix.unwrap_or_default())?;
        let env = open::for_reading_of(&place.env, &place.unlock, &of)?;
        let (snapshot, database) = open::database(&env, &place.db)?;
        let mut cursor = snapshot.cursor(&database)?;
        let mut more = cursor.seek(&prefix)?;
        let mut left = limit.unwrap_or(usize::MAX);
        while more && left > 0 && cursor.key().starts_with(&prefix) {
            let key = cursor.key();
            // With `--keys` no value is read from the disk.
            let value = if keys { None } else { cursor.value()? };
            if output.is_json() {
                output.json(&EntryJson { key, value: value.as_deref() })?;
            } else {
                let key = place.show(key);
                match value {
                    None => output.line(format_args!("{key}"))?,
                    Some(value) if output.is_terminal() && !place.hex => {
                        let value = text::escape_short(&value, SHOWN);
                        output.line(format_args!("{key}\t{value}"))?;
                    }
                    Some(value) => output.line(format_args!("{key}\t{}", place.show(&value)))?,
                }
            }
            left -= 1;
            more = cursor.next()?;
        }
        Ok(Exit::Good)
    }
}
