//! `cairn log`: the records of the log files, one per line, as they lie on the disk.
//!
//! It never modifies, takes no lock, decodes as much as there is, and needs no environment that opens:
//! it is what is left at 3 a.m. when nothing else works.

use std::path::PathBuf;

use cairn_log::{DataKeys, LogFile, LogName, RecordKind, Scan, Scanner, Seal};
use cairndb::{
    EnvironmentKeys,
    backup::{MANIFEST_NAME, check_key, is_repository},
    inspect,
};
use serde::Serialize;

use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    log_files,
    output::Output,
    text::{Time, several},
};

/// Print the records of the log files, one per line, even if the environment does not open
///
/// A line has position, kind, commit number, how far its file was known to be durable, length,
/// and what it says. Keys are shortened, values never shown. Lines about a file begin with #.
/// What encrypted records say is shown with the key.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  cairn log data | tail
  cairn log data --file J-00000001-00000003.log"
)]
pub(crate) struct Log {
    /// The directory of an environment (also one that does not open), or of a backup
    env: PathBuf,
    /// Only this file
    #[arg(long, value_name = "NAME")]
    file: Option<String>,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum LogJson<'a> {
    File {
        file: String,
        class: &'a str,
        environment: String,
        timeline: String,
        incarnation: u64,
        created: Time,
        bytes: u64,
    },
    Record {
        file: &'a str,
        offset: u64,
        kind: &'a str,
        commit: u64,
        durable: Option<u64>,
        len: u32,
        what: Option<String>,
    },
    End {
        file: &'a str,
        offset: u64,
        sealed: bool,
        damage: Option<String>,
    },
}

impl Log {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let files = log_files::find(&self.env)?;
        let wanted =
            |name: &LogName| self.file.as_ref().is_none_or(|file| *file == name.to_string());
        let mut any = false;
        let keys = self.keys()?;
        for file in files.iter().filter(|file| wanted(&file.name)) {
            any = true;
            let opened = file.open();
            let opened = match &keys {
                Some(keys) => opened.and_then(|file| file.unlock(keys)),
                None => opened,
            };
            match opened {
                Ok(open) => dump(&open, output)?,
                Err(error) => {
                    let (name, damage) = (file.name.to_string(), error.to_string());
                    output.line(format_args!("# {name} cannot be read: {damage}"))?;
                    let (file, damage) = (&*name, Some(damage));
                    output.json(&LogJson::End { file, offset: 0, sealed: false, damage })?;
                }
            }
        }
        match (&self.file, any) {
            (_, true) => Ok(Exit::Good),
            (Some(name), _) => {
                let path = self.env.display();
                let names: Vec<_> = files.iter().map(|file| file.name.to_string()).collect();
                Err(Failure::not_found(format_args!("there is no log file {name} in {path}"))
                    .advise(format!("there are: {}", names.join(", "))))
            }
            (None, _) => {
                let path = self.env.display();
                let failure = Failure::not_found(format_args!("there are no log files in {path}"));
                Err(failure.advise(match is_repository(&self.env) {
                    true => "it is a repository: `cairn backups` lists what there is, `cairn restore` makes an environment of it",
                    false => "an environment has none before its first commit; else check the path",
                }))
            }
        }
    }
}

impl Log {
    /// The data keys, if a key was given: nobody is asked for one.
    fn keys(&self) -> Result<Option<DataKeys>, Failure> {
        let Some(key) = self.unlock.of(&self.env, || false)? else { return Ok(None) };
        let keys = match self.env.join(MANIFEST_NAME).is_file() {
            true => check_key(&self.env, Some(&key))?.data_keys(),
            false => EnvironmentKeys::open(&self.env)?.unlock(&key)?.keyring().data_keys(),
        };
        Ok(Some(keys))
    }
}

fn dump(file: &LogFile, output: &mut Output) -> Result<(), Failure> {
    let (header, name) = (file.header(), file.name().to_string());
    let class = match header.class {
        cairn_log::FileClass::Journal => "journal",
        cairn_log::FileClass::Node => "node",
        cairn_log::FileClass::Value => "value",
    };
    let bytes = file.handle().len()?;
    output.line(format_args!(
        "# {name}: {class} file, {bytes} bytes, created {} in run {} on timeline {}",
        Time(header.created),
        header.incarnation,
        header.timeline
    ))?;
    output.json(&LogJson::File {
        file: name.clone(),
        class,
        environment: header.environment.to_string(),
        timeline: header.timeline.to_string(),
        incarnation: header.incarnation,
        created: Time(header.created),
        bytes,
    })?;
    let mut scanner = Scanner::new(file, u64::MAX);
    let mut records = 0;
    let stop = loop {
        let (lsn, header, body) = match scanner.next()? {
            Scan::Record(record) => (record.lsn, record.header, record.body),
            Scan::End(stop) => break stop,
        };
        records += 1;
        let what = match header.kind {
            RecordKind::SEAL => Seal::decode(&header, body, lsn.offset())
                .ok()
                .map(|seal| format!("records {} digest {}", seal.records, seal.digest)),
            _ if file.is_locked() => Some("encrypted".into()),
            kind => inspect::describe(kind, body),
        };
        let durable = header.durable_end(lsn.offset());
        let shown = durable.map_or("-".into(), |end| format!("{end:06x}"));
        output.line(format_args!(
            "{lsn} {:<11} commit {} durable {shown} len {}  {}",
            header.kind.name(),
            header.sequence,
            header.len,
            what.as_deref().unwrap_or_default(),
        ))?;
        output.json(&LogJson::Record {
            file: &name,
            offset: lsn.offset(),
            kind: header.kind.name(),
            commit: header.sequence,
            durable,
            len: header.len,
            what,
        })?;
    };
    let left = bytes.saturating_sub(stop.offset);
    let end = match (&stop.seal, &stop.damage) {
        (Some(_), _) => "sealed".into(),
        (None, Some(damage)) => format!("{damage} ({} left)", several(left, "byte")),
        (None, None) => "the end of the file, which is not sealed".into(),
    };
    output.line(format_args!(
        "# {name}: {} up to {:06x}: {end}",
        several(records, "record"),
        stop.offset
    ))?;
    output.json(&LogJson::End {
        file: &name,
        offset: stop.offset,
        sealed: stop.seal.is_some(),
        damage: stop.damage.map(|damage| damage.to_string()),
    })
}
