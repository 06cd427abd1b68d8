//! CSV: a table whose rows become entries, or entries as `export` writes them.
//!
//! The first line names the columns. If these are `key,value` or `key,value,encoding`, each row is an
//! entry (`encoding` is empty, or `hex` where key and value are in hexadecimal). Of any other table the
//! value is the row as a JSON object; its key is the column that the user names, or the number of the
//! row.

use std::{
    cell::Cell,
    io::{self, BufRead, Read, Write},
    path::PathBuf,
    rc::Rc,
};

use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder, Writer};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{Entry, MAX_TEXT_LEN, Sink, Source, Text, cannot_write, jsonl::numbered};
use crate::{exit::Failure, text};

pub(super) struct CsvSource {
    name: String,
    total: Option<u64>,
    reader: Reader<Limited>,
    /// Bytes of the row that is being read.
    row_bytes: Rc<Cell<u64>>,
    record: ByteRecord,
    columns: Vec<String>,
    shape: Shape,
    row: u64,
    line: u64,
}

/// How a row becomes an entry.
enum Shape {
    /// It is one.
    Entry,
    /// The key is this column.
    Column(usize),
    /// The key is its number.
    Number,
}

impl CsvSource {
    pub(super) fn new(text: Text, key: Option<String>) -> Result<Self, Failure> {
        let row_bytes = Rc::new(Cell::new(0));
        let input = Limited { input: text.input, row_bytes: Rc::clone(&row_bytes) };
        let mut source = Self {
            name: text.name,
            total: text.total,
            reader: ReaderBuilder::new().has_headers(false).from_reader(input),
            row_bytes,
            record: ByteRecord::new(),
            columns: Vec::new(),
            shape: Shape::Number,
            row: 0,
            line: 0,
        };
        if !source.read()? {
            return Ok(source); // an empty file has no rows
        }
        let mut columns = Vec::new();
        for column in &source.record {
            let column = column.strip_prefix(b"\xef\xbb\xbf").unwrap_or(column);
            let column = String::from_utf8_lossy(column).into_owned();
            if columns.contains(&column) {
                return Err(source.wrong(format_args!("it names the column {column:?} twice")));
            }
            columns.push(column);
        }
        source.shape = match &key {
            Some(key) => {
                let at = columns.iter().position(|column| column == key);
                Shape::Column(at.ok_or_else(|| {
                    let names = columns.join(", ");
                    source
                        .wrong(format_args!("it names no column {key:?}; the columns are: {names}"))
                })?)
            }
            None if columns == ["key", "value"] || columns == ["key", "value", "encoding"] => {
                Shape::Entry
            }
            None => Shape::Number,
        };
        source.columns = columns;
        Ok(source)
    }

    fn read(&mut self) -> Result<bool, Failure> {
        self.row_bytes.set(0);
        self.line = self.reader.position().line();
        let read = self.reader.read_byte_record(&mut self.record);
        if let Some(position) = self.record.position() {
            self.line = position.line();
        }
        read.map_err(|error| match error.kind() {
            ErrorKind::UnequalLengths { expected_len, len, .. } => self.wrong(format_args!(
                "it has {}, the first line names {expected_len}",
                text::several(*len, "column")
            )),
            ErrorKind::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => self
                .wrong(format_args!("the row is longer than any entry can be: is a quote open?")),
            ErrorKind::Io(error) => Failure::io("read", self.name.as_ref(), error),
            _ => self.wrong(format_args!("{error}")),
        })
    }

    fn wrong(&self, what: std::fmt::Arguments<'_>) -> Failure {
        Failure::usage(what)
            .at(self.place())
            .advise("correct the input, or say its --format and --key")
    }

    fn entry(&self) -> Result<Entry, Failure> {
        let row = &self.record;
        match self.shape {
            Shape::Entry => match row.get(2).unwrap_or_default() {
                b"" => Ok(Entry { key: row[0].to_vec(), value: row[1].to_vec() }),
                b"hex" => match (text::unhex(&row[0]), text::unhex(&row[1])) {
                    (Some(key), Some(value)) => Ok(Entry { key, value }),
                    _ => Err(self.wrong(format_args!("key or value is not hexadecimal"))),
                },
                other => Err(self.wrong(format_args!(
                    "the encoding is {:?}, and neither empty nor \"hex\"",
                    String::from_utf8_lossy(other)
                ))),
            },
            Shape::Column(at) => Ok(Entry { key: row[at].to_vec(), value: self.object()? }),
            Shape::Number => Ok(Entry { key: numbered(self.row), value: self.object()? }),
        }
    }

    /// The row as a JSON object.
    fn object(&self) -> Result<Vec<u8>, Failure> {
        for (field, column) in self.record.iter().zip(&self.columns) {
            if std::str::from_utf8(field).is_err() {
                return Err(self.wrong(format_args!("the column {column:?} is no UTF-8")));
            }
        }
        serde_json::to_vec(&Row(self)).map_err(|error| self.wrong(format_args!("{error}")))
    }
}

struct Row<'a>(&'a CsvSource);

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.columns.len()))?;
        for (column, field) in self.0.columns.iter().zip(&self.0.record) {
            map.serialize_entry(column, &String::from_utf8_lossy(field))?;
        }
        map.end()
    }
}

impl Source for CsvSource {
    fn next(&mut self) -> Result<Option<Entry>, Failure> {
        if !self.read()? {
            return Ok(None);
        }
        self.row += 1;
        self.entry().map(Some)
    }

    fn place(&self) -> String {
        format!("{}, line {}", self.name, self.line)
    }

    fn bytes_read(&self) -> u64 {
        self.reader.position().byte()
    }

    fn bytes_total(&self) -> Option<u64> {
        self.total
    }
}

/// Input of which no row may take more than an entry can: an open quote would take the whole file.
struct Limited {
    input: Box<dyn BufRead>,
    row_bytes: Rc<Cell<u64>>,
}

impl Read for Limited {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buf)?;
        let bytes = self.row_bytes.get() + read as u64;
        self.row_bytes.set(bytes);
        if bytes > MAX_TEXT_LEN { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(read) }
    }
}

pub(super) struct CsvSink<W: Write> {
    name: PathBuf,
    writer: Writer<W>,
}

impl<W: Write> CsvSink<W> {
    pub(super) fn new(name: PathBuf, out: W) -> Result<Self, Failure> {
        let mut sink = Self { name, writer: Writer::from_writer(out) };
        sink.record([b"key", b"value", b"encoding"])?;
        Ok(sink)
    }

    fn record<const N: usize>(&mut self, fields: [&[u8]; N]) -> Result<(), Failure> {
        self.writer.write_record(fields).map_err(|error| match error.into_kind() {
            ErrorKind::Io(error) => cannot_write(&self.name, &error),
            other => Failure::usage(format_args!("{other:?}")),
        })
    }
}

impl<W: Write> Sink for CsvSink<W> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Failure> {
        // Lines may end otherwise after a visit to a spreadsheet; what must not change is not a line.
        let plain = |bytes: &[u8]| text::json_text(bytes).is_some_and(|text| !text.contains('\r'));
        if plain(key) && plain(value) {
            self.record([key, value, b""])
        } else {
            self.record([text::hex(key).as_bytes(), text::hex(value).as_bytes(), b"hex"])
        }
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.writer.flush().map_err(|error| cannot_write(&self.name, &error))
    }
}
