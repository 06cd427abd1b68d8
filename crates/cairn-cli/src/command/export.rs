//! `cairn export`: the entries of a database, in the formats that `import` reads.
//!
//! A target appears under its name when it is complete: until then it is called `TARGET.partial`.

use std::{
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use cairndb::{Database, DatabaseKind, Multimap, Snapshot};
use serde::Serialize;

use crate::{
    Outcome,
    exit::{Exit, Failure},
    format::{self, Format, Sink, dir::DirSink},
    keys::KeyArgs,
    open,
    output::Output,
    progress::Progress,
    saved::EnvironmentArgs,
    text::{seconds, several, size},
};

/// Export a database as JSON lines, CSV, a Berkeley DB dump, or a directory of files
///
/// What is exported is the state of one commit. `cairn import` reads each of these formats; all
/// but dir hold any key and any value, and db_dump also several values of a key.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  cairn export data data.jsonl
  cairn export data files/                # or --format dir
  cairn export data - | gzip > data.jsonl.gz"
)]
pub(crate) struct Export {
    /// The directory of the environment
    env: PathBuf,
    /// A file or directory that does not exist yet, or - for standard output
    target: PathBuf,
    /// The database
    #[arg(long, value_name = "NAME", default_value = "main")]
    db: String,
    /// The format; else what the name of the target says, else jsonl
    #[arg(long, value_enum)]
    format: Option<Format>,
    #[command(flatten)]
    of: EnvironmentArgs,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct ExportJson {
    target: PathBuf,
    format: &'static str,
    commit: u64,
    entries: u64,
    bytes: u64,
    seconds: f64,
}

#[derive(Default)]
struct Counts {
    entries: u64,
    bytes: u64,
}

impl Export {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let Self { env, target, db, format, of, unlock } = self;
        let format = format.or_else(|| Format::of_name(&target)).unwrap_or(Format::Jsonl);
        // Without the `/` at its end: the name of what is written first is made from it.
        let target: PathBuf = target.components().collect();
        let to_stdout = target == Path::new("-");
        if to_stdout && output.is_json() {
            return Err(Failure::usage("standard output cannot take both the entries and --json")
                .advise("leave --json out: the entries are JSON lines already"));
        }
        let env = open::for_reading_of(&env, &unlock, &of)?;
        let (snapshot, database) = open::database(&env, &db)?;
        if database.kind() == DatabaseKind::Index {
            return Err(Failure::usage(format_args!("{db} is an index"))
                .advise("export the database that it follows; it is built again from that"));
        }
        let progress = Progress::new("exporting");
        let counts = if to_stdout {
            let name = "standard output".into();
            let mut sink = format::text_sink(format, database.kind(), name, io::stdout())?;
            copy(&snapshot, &database, &mut *sink, &progress)?
        } else {
            let partial = partial_of(&target)?;
            let written = match format {
                Format::Dir if database.kind() == DatabaseKind::Map => {
                    write_dir(&partial, &snapshot, &database, &progress, output)
                }
                _ => write_file(&partial, format, &snapshot, &database, &progress),
            };
            let counts = written.inspect_err(|_| discard(&partial))?;
            // Nobody else's target is replaced: an empty directory is the exception, and no loss.
            if target.exists() && format != Format::Dir {
                discard(&partial);
                return Err(exists(&target));
            }
            fs::rename(&partial, &target).map_err(|error| {
                discard(&partial);
                Failure::io("create", &target, &error)
            })?;
            counts
        };
        let elapsed = progress.elapsed();
        drop(progress);
        let Counts { entries, bytes } = counts;
        if !to_stdout {
            output.line(format_args!(
                "exported {} ({}) of commit {} to {} as {}, in {}",
                several(entries, "entry"),
                size(bytes),
                snapshot.commit(),
                target.display(),
                format.name(),
                seconds(elapsed)
            ))?;
        }
        output.json(&ExportJson {
            target,
            format: format.name(),
            commit: snapshot.commit(),
            entries,
            bytes,
            seconds: elapsed.as_secs_f64(),
        })?;
        Ok(Exit::Good)
    }
}

fn exists(target: &Path) -> Failure {
    Failure::exists(format_args!("{} exists already", target.display()))
}

/// Where the target is written before it is complete.
pub(super) fn partial_of(target: &Path) -> Result<PathBuf, Failure> {
    let empty_dir = || fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_none());
    if target.symlink_metadata().is_ok() && !empty_dir() {
        return Err(exists(target));
    }
    let mut partial = target.to_owned().into_os_string();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    if partial.symlink_metadata().is_ok() {
        return Err(Failure::exists(format_args!(
            "{} is left of an export that was cut short, or another one is going on",
            partial.display()
        ))
        .advise("if no other export is going on, remove it"));
    }
    Ok(partial)
}

/// Removes what an export that failed has written. It is ours: it did not exist before.
pub(super) fn discard(partial: &Path) {
    let removed =
        if partial.is_dir() { fs::remove_dir_all(partial) } else { fs::remove_file(partial) };
    removed.unwrap_or_default(); // whatever is left says that it is partial
}

fn write_dir(
    partial: &Path,
    snapshot: &Snapshot,
    database: &Database,
    progress: &Progress,
    output: &Output,
) -> Result<Counts, Failure> {
    fs::create_dir(partial).map_err(|error| Failure::io("create", partial, &error))?;
    let mut sink = DirSink::new(partial);
    let counts = copy(snapshot, database, &mut sink, progress)?;
    if sink.hidden() > 0 {
        let hidden = several(sink.hidden(), "file");
        output.note(format_args!("{hidden} hidden: import the directory with --all"));
    }
    Ok(counts)
}

fn write_file(
    partial: &Path,
    format: Format,
    snapshot: &Snapshot,
    database: &Database,
    progress: &Progress,
) -> Result<Counts, Failure> {
    let file = OpenOptions::new().write(true).create_new(true).open(partial);
    let file = file.map_err(|error| Failure::io("create", partial, &error))?;
    let handle = file.try_clone().map_err(|error| Failure::io("write", partial, &error))?;
    let mut sink = format::text_sink(format, database.kind(), partial.to_owned(), file)?;
    let counts = copy(snapshot, database, &mut *sink, progress)?;
    handle.sync_all().map_err(|error| Failure::io("sync", partial, &error))?;
    Ok(counts)
}

fn copy(
    snapshot: &Snapshot,
    database: &Database,
    sink: &mut dyn Sink,
    progress: &Progress,
) -> Result<Counts, Failure> {
    let mut counts = Counts::default();
    let mut put = |key: &[u8], value: &[u8]| {
        sink.put(key, value)?;
        counts.entries += 1;
        counts.bytes += (key.len() + value.len()) as u64;
        progress.set(counts.bytes, None);
        Ok::<_, Failure>(())
    };
    if database.kind() == DatabaseKind::Multimap {
        for pair in Multimap::try_from(database.clone())?.range(snapshot, ..)? {
            let (key, value) = pair?;
            put(&key, &value)?;
        }
    } else {
        for entry in snapshot.iter(database)? {
            let (key, value) = entry?;
            put(&key, &value)?;
        }
    }
    sink.end()?;
    Ok(counts)
}
