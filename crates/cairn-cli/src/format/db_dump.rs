//! The text that Berkeley DB's `db_dump` and JE's `DbDump` print: a header of `name=value` lines, then
//! keys and values on lines of their own, in hexadecimal (`format=bytevalue`) or with escapes
//! (`format=print`).
//!
//! What an environment cannot hold as it stood is refused, never dropped: a second value of a key where
//! the header does not say `duplicates=1`, values of a key that are not sorted, a second database,
//! records without keys.

use std::{
    io::{BufWriter, Write},
    path::PathBuf,
};

use cairndb::DatabaseKind;

use super::{Entry, Sink, Source, Text, cannot_write, lines::Lines};
use crate::{
    exit::Failure,
    text::{self, unhex},
};

pub(super) struct DbDumpSource {
    lines: Lines,
    print: bool,
    /// Whether a key can have several values.
    duplicates: bool,
    /// The last entry: a key that comes twice comes twice in a row.
    last: Option<(Vec<u8>, Vec<u8>)>,
    ended: bool,
}

impl DbDumpSource {
    pub(super) fn new(text: Text) -> Result<Self, Failure> {
        let mut source = Self {
            lines: Lines::new(text),
            print: false,
            duplicates: false,
            last: None,
            ended: false,
        };
        source.header()?;
        Ok(source)
    }

    fn header(&mut self) -> Result<(), Failure> {
        let mut format = None;
        loop {
            let line = self.line("before HEADER=END")?;
            let Some((name, value)) = line.split_once('=') else {
                return Err(self.lines.wrong(format_args!("the header has lines NAME=VALUE")));
            };
            match (name, value) {
                ("HEADER", "END") => break,
                ("format", "bytevalue") => format = Some(false),
                ("format", "print") => format = Some(true),
                ("duplicates" | "dupsort", "1") => self.duplicates = true,
                ("format", other) => {
                    return Err(self.lines.wrong(format_args!(
                        "the format is {other:?}, and neither bytevalue nor print"
                    )));
                }
                ("keys", "0") | ("type", "queue") => {
                    return Err(self.lines.wrong(format_args!("its records have no keys")));
                }
                ("VERSION", version) if !matches!(version, "1" | "2" | "3") => {
                    return Err(self.lines.wrong(format_args!("version {version:?} is unknown")));
                }
                _ => {}
            }
        }
        self.print = format.ok_or_else(|| {
            self.lines
                .wrong(format_args!("the header does not say format=bytevalue or format=print"))
        })?;
        Ok(())
    }

    /// The next line, which must be there.
    fn line(&mut self, what: &str) -> Result<String, Failure> {
        let Some(line) = self.lines.next()? else {
            return Err(self.lines.wrong(format_args!("the dump ends {what}: it is not complete")));
        };
        Ok(String::from_utf8_lossy(line).into_owned())
    }

    /// The bytes of a data line; `None` for the end of the data.
    fn data(&mut self, what: &str) -> Result<Option<Vec<u8>>, Failure> {
        let line = self.lines.next()?.is_some();
        let bytes = match self.lines.line() {
            _ if !line => None,
            b"DATA=END" => return Ok(None),
            [b' ', data @ ..] if self.print => unescape(data),
            [b' ', data @ ..] => unhex(data),
            _ => None,
        };
        match bytes {
            Some(bytes) => Ok(Some(bytes)),
            None if !line => {
                Err(self.lines.wrong(format_args!("the dump ends {what}: it is not complete")))
            }
            None => {
                let kind = if self.print { "text with escapes" } else { "hexadecimal" };
                Err(self.lines.wrong(format_args!("it is not a space and {kind}")))
            }
        }
    }
}

impl Source for DbDumpSource {
    fn next(&mut self) -> Result<Option<Entry>, Failure> {
        if self.ended {
            return Ok(None);
        }
        let Some(key) = self.data("before DATA=END")? else {
            self.ended = true;
            return match self.lines.next()? {
                None => Ok(None),
                Some(_) => Err(self
                    .lines
                    .wrong(format_args!("a second database begins here"))
                    .advise("put it into a file of its own, and import that with --db NAME")),
            };
        };
        if !self.duplicates && self.last.as_ref().is_some_and(|(last, _)| *last == key) {
            let shown = text::escape_short(&key, 80);
            return Err(self
                .lines
                .wrong(format_args!("the key {shown} has a second value"))
                .advise(
                    "a map holds one value per key: make the keys differ, or let the header say \
                     duplicates=1",
                ));
        }
        let value = self.data("after a key")?.ok_or_else(|| {
            self.lines.wrong(format_args!("the data ends after a key: it is not complete"))
        })?;
        if self.last.as_ref().is_some_and(|(last, before)| *last == key && *before >= value) {
            let shown = text::escape_short(&key, 80);
            return Err(self
                .lines
                .wrong(format_args!(
                    "the values of the key {shown} are not sorted, or one comes twice"
                ))
                .advise("a multimap holds a sorted set of values for each key"));
        }
        if self.duplicates {
            self.last = Some((key.clone(), value.clone()));
        } else {
            self.last = Some((key.clone(), Vec::new()));
        }
        Ok(Some(Entry { key, value }))
    }

    fn is_multimap(&self) -> bool {
        self.duplicates
    }

    fn place(&self) -> String {
        self.lines.place()
    }

    fn bytes_read(&self) -> u64 {
        self.lines.bytes_read()
    }

    fn bytes_total(&self) -> Option<u64> {
        self.lines.bytes_total()
    }
}

/// The bytes of a text in which `\\` is a backslash and `\0a` a byte in hexadecimal.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
        } else if let [b'\\', after @ ..] = rest {
            bytes.push(b'\\');
            rest = after;
        } else {
            let (digits, after) = rest.split_at_checked(2)?;
            bytes.extend(unhex(digits)?);
            rest = after;
        }
    }
    Some(bytes)
}

pub(super) struct DbDumpSink<W: Write> {
    name: PathBuf,
    out: BufWriter<W>,
}

impl<W: Write> DbDumpSink<W> {
    pub(super) fn new(name: PathBuf, out: W, kind: DatabaseKind) -> Result<Self, Failure> {
        let mut sink = Self { name, out: BufWriter::with_capacity(super::BUFFER, out) };
        sink.write("VERSION=3\nformat=bytevalue\ntype=btree\n")?;
        if kind == DatabaseKind::Multimap {
            sink.write("duplicates=1\ndupsort=1\n")?;
        }
        sink.write("HEADER=END\n")?;
        Ok(sink)
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes()).map_err(|error| cannot_write(&self.name, &error))
    }
}

impl<W: Write> Sink for DbDumpSink<W> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Failure> {
        for bytes in [key, value] {
            self.write(" ")?;
            self.write(&text::hex(bytes))?;
            self.write("\n")?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.write("DATA=END\n")?;
        self.out.flush().map_err(|error| cannot_write(&self.name, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn escapes_are_two_digits_or_a_backslash() {
        assert_eq!(unescape(b"a\\\\b\\0a\\ff").unwrap(), b"a\\b\n\xff");
        for bad in [&b"\\"[..], b"\\0", b"\\n1", b"\\x0a"] {
            assert_eq!(unescape(bad), None);
        }
    }
}
