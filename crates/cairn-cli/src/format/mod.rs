//! The formats that `import` reads and `export` writes, one file each, in both directions.
//!
//! Reading is streaming: an entry at a time, and a line or record that is longer than any entry can be
//! is refused before it is in memory.

mod csv;
mod db_dump;
pub(crate) mod dir;
mod jsonl;
mod lines;

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use cairndb::{DatabaseKind, MAX_KEY_LEN, MAX_VALUE_LEN};
use clap::ValueEnum;

use crate::exit::Failure;

/// A format of entries outside of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A directory: the key is the path of a file in it, the value its content
    Dir,
    /// JSON lines: an object or another JSON value per line
    Jsonl,
    /// Comma-separated values, the first line naming the columns
    Csv,
    /// What Berkeley DB's `db_dump` prints
    #[value(name = "db_dump")]
    DbDump,
}

impl Format {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dir => "dir",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::DbDump => "db_dump",
        }
    }

    /// What the name of a file says about its format.
    pub(crate) fn of_name(path: &Path) -> Option<Self> {
        if path.as_os_str().as_bytes().ends_with(b"/") {
            return Some(Self::Dir);
        }
        match path.extension()?.to_str()? {
            "jsonl" | "ndjson" | "json" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            "dump" | "db_dump" => Some(Self::DbDump),
            _ => None,
        }
    }

    /// What the beginning of a file says about its format.
    fn of_content(beginning: &[u8]) -> Option<Self> {
        match beginning.trim_ascii_start() {
            [b'{', ..] => Some(Self::Jsonl),
            text if text.starts_with(b"VERSION=") => Some(Self::DbDump),
            _ => None,
        }
    }
}

/// A key and its value.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// Entries, one after the other.
pub(crate) trait Source {
    /// The next entry.
    fn next(&mut self) -> Result<Option<Entry>, Failure>;
    /// Passes over the next entry; `false` if there is none.
    fn skip(&mut self) -> Result<bool, Failure> {
        Ok(self.next()?.is_some())
    }
    /// Whether it says of itself that a key can have several values.
    fn is_multimap(&self) -> bool {
        false
    }
    /// Where the last entry stood: a file, and a line of it.
    fn place(&self) -> String;
    /// Bytes of the source that were read.
    fn bytes_read(&self) -> u64;
    /// Bytes of the source in all, as far as they are known.
    fn bytes_total(&self) -> Option<u64>;
}

/// Where entries go.
pub(crate) trait Sink {
    /// Writes an entry.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Failure>;
    /// Writes what comes after the last entry.
    fn end(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

/// How a source is to be read.
pub(crate) struct SourceOptions<'a> {
    /// The format, if it is not to be found out.
    pub(crate) format: Option<Format>,
    /// The member or column that is the key.
    pub(crate) key: Option<String>,
    /// Whether hidden and git-ignored files of a directory are read too.
    pub(crate) all: bool,
    /// A directory that is never read: the environment itself.
    pub(crate) except: &'a Path,
}

/// Opens a source: a path, or `-` for standard input.
pub(crate) fn open(path: &Path, options: SourceOptions<'_>) -> Result<Box<dyn Source>, Failure> {
    if path == Path::new("-") {
        let format = options.format.ok_or_else(|| {
            Failure::usage("standard input needs --format: jsonl, csv or db_dump")
        })?;
        let input = BufReader::with_capacity(BUFFER, io::stdin());
        return of_text(
            format,
            Text::new("standard input".into(), Box::new(input), None),
            options.key,
        );
    }
    let metadata = fs::metadata(path).map_err(|error| cannot_read(path, &error))?;
    if metadata.is_dir() {
        if options.format.is_some_and(|format| format != Format::Dir) || options.key.is_some() {
            let path = path.display();
            return Err(Failure::usage(format_args!(
                "{path} is a directory: --format and --key are for files"
            )));
        }
        return Ok(Box::new(dir::DirSource::new(path, options.all, Some(options.except))));
    }
    let file = File::open(path).map_err(|error| cannot_read(path, &error))?;
    let mut input = BufReader::with_capacity(BUFFER, file);
    let format = match options.format.or_else(|| Format::of_name(path)) {
        Some(format) => format,
        None => {
            let beginning = input.fill_buf().map_err(|error| cannot_read(path, &error))?;
            Format::of_content(beginning).ok_or_else(|| {
                let path = path.display();
                Failure::usage(format_args!("cannot tell the format of {path}"))
                    .advise("say it: --format jsonl, csv or db_dump")
            })?
        }
    };
    let total = metadata.is_file().then_some(metadata.len());
    let text = Text::new(path.display().to_string(), Box::new(input), total);
    of_text(format, text, options.key)
}

/// Reads a text that is open.
pub(crate) fn of_text(
    format: Format,
    text: Text,
    key: Option<String>,
) -> Result<Box<dyn Source>, Failure> {
    match format {
        Format::Dir => Err(Failure::usage(format_args!("{} is no directory", text.name))),
        Format::Jsonl => Ok(Box::new(jsonl::JsonlSource::new(text, key))),
        Format::Csv => Ok(Box::new(csv::CsvSource::new(text, key)?)),
        Format::DbDump if key.is_some() => {
            Err(Failure::usage("--key is for JSON lines and CSV; a db_dump has its own keys"))
        }
        Format::DbDump => Ok(Box::new(db_dump::DbDumpSource::new(text)?)),
    }
}

const BUFFER: usize = 1 << 16;

/// A text that entries are read from.
pub(crate) struct Text {
    /// For messages.
    name: String,
    input: Box<dyn BufRead>,
    total: Option<u64>,
}

impl Text {
    pub(crate) fn new(name: String, input: Box<dyn BufRead>, total: Option<u64>) -> Self {
        Self { name, input, total }
    }
}

fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::NotFound {
        return Failure::usage(format_args!("there is no {}", path.display()))
            .advise("check the path");
    }
    Failure::io("read", path, error)
}

/// The most bytes that the text of an entry may take: every byte of it as two, and a little more.
const MAX_TEXT_LEN: u64 = 2 * (MAX_KEY_LEN + MAX_VALUE_LEN) as u64 + 4096;

/// Begins to write entries to `out` in a text format.
pub(crate) fn text_sink<W: Write + 'static>(
    format: Format,
    kind: DatabaseKind,
    name: PathBuf,
    out: W,
) -> Result<Box<dyn Sink>, Failure> {
    match format {
        Format::DbDump => Ok(Box::new(db_dump::DbDumpSink::new(name, out, kind)?)),
        // What reads it again would keep one value of each key.
        _ if kind == DatabaseKind::Multimap => Err(Failure::usage(format_args!(
            "{} cannot say that keys have several values",
            format.name()
        ))
        .advise("export it with --format db_dump")),
        Format::Dir => Err(Failure::usage("a directory cannot be written to standard output")),
        Format::Jsonl => Ok(Box::new(jsonl::JsonlSink::new(name, out))),
        Format::Csv => Ok(Box::new(csv::CsvSink::new(name, out)?)),
    }
}

/// The failure of a write to a target: a closed pipe is a quiet one.
fn cannot_write(name: &Path, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::output(error);
    }
    Failure::io("write", name, error)
}

/// Reads at most `max` bytes of a file; more is `None`.
fn read_at_most(file: File, max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(max as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= max).then_some(bytes))
}
