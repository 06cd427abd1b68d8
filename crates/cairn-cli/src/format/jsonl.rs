//! JSON lines: entries as `export` writes them, or any JSON values that become entries.
//!
//! An object with exactly the members `key` (or `key_hex`) and `value` (or `value_hex`), both strings, is
//! an entry. Of any other line the value is the line as it stands; its key is the member that the user
//! names, or the number of the line.

use std::{
    borrow::Cow,
    fmt,
    io::{BufWriter, Write},
    path::PathBuf,
};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Entry, Sink, Source, Text, cannot_write, lines::Lines};
use crate::{
    exit::Failure,
    text::{self, EntryJson},
};

pub(super) struct JsonlSource {
    lines: Lines,
    key: Option<String>,
}

impl JsonlSource {
    pub(super) fn new(text: Text, key: Option<String>) -> Self {
        Self { lines: Lines::new(text), key }
    }

    fn entry(&self) -> Result<Entry, Failure> {
        let line = self.lines.line();
        let invalid = |error: serde_json::Error| {
            // The message ends with a place in the line, as if the line were a file of one line.
            let what = error.to_string();
            let what = what.split(" at line ").next().unwrap_or_default().to_owned();
            self.lines.wrong(format_args!("it is no JSON: {what}, at column {}", error.column()))
        };
        let object = line.trim_ascii_start().starts_with(b"{");
        if !object {
            serde_json::from_slice::<&RawValue>(line).map_err(invalid)?;
        }
        let members: Members<'_> = if object {
            serde_json::from_slice(line).map_err(invalid)?
        } else {
            Members(Vec::new())
        };
        match &self.key {
            Some(key) => Ok(Entry { key: self.named(&members, key)?, value: line.to_vec() }),
            None => match self.exact(&members)? {
                Some(entry) => Ok(entry),
                None => Ok(Entry { key: numbered(self.lines.number()), value: line.to_vec() }),
            },
        }
    }

    /// The bytes of the member that is the key.
    fn named(&self, members: &Members<'_>, key: &str) -> Result<Vec<u8>, Failure> {
        let mut found = members.0.iter().filter(|(name, _)| name == key);
        let Some((_, value)) = found.next() else {
            return Err(self.lines.wrong(format_args!("it is no object with a member {key:?}")));
        };
        if found.next().is_some() {
            return Err(self.lines.wrong(format_args!("it has the member {key:?} twice")));
        }
        match value.get().as_bytes() {
            [b'{' | b'[' | b'n' | b't' | b'f', ..] => Err(self.lines.wrong(format_args!(
                "the member {key:?} is no text and no number: it cannot be a key"
            ))),
            [b'"', ..] => Ok(string(value).unwrap_or_default().into_owned().into_bytes()),
            text => Ok(text.to_vec()),
        }
    }

    /// The entry that an object is, if its members are exactly those of one.
    fn exact(&self, members: &Members<'_>) -> Result<Option<Entry>, Failure> {
        let [(first, a), (second, b)] = &members.0[..] else { return Ok(None) };
        let (key, value) = match (&**first, &**second) {
            ("key" | "key_hex", "value" | "value_hex") => ((first, a), (second, b)),
            ("value" | "value_hex", "key" | "key_hex") => ((second, b), (first, a)),
            _ => return Ok(None),
        };
        let bytes = |(name, value): (&Cow<'_, str>, &&RawValue)| {
            let Some(string) = string(value) else { return Ok(None) };
            if !name.ends_with("_hex") {
                return Ok(Some(string.into_owned().into_bytes()));
            }
            let bytes = text::unhex(string.as_bytes());
            let wrong = || self.lines.wrong(format_args!("its member {name:?} is not hexadecimal"));
            bytes.ok_or_else(wrong).map(Some)
        };
        Ok(bytes(key)?.zip(bytes(value)?).map(|(key, value)| Entry { key, value }))
    }
}

/// The key of a line that has none: numbers that sort as they count.
pub(super) fn numbered(number: u64) -> Vec<u8> {
    format!("{number:012}").into_bytes()
}

fn string(value: &RawValue) -> Option<Cow<'_, str>> {
    // A borrowed string if nothing in it is escaped.
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'_>>(value.get()).ok().map(|Text(text)| text)
}

impl Source for JsonlSource {
    fn next(&mut self) -> Result<Option<Entry>, Failure> {
        if self.skip()? { self.entry().map(Some) } else { Ok(None) }
    }

    /// What is passed over was read before, so it is not looked into.
    fn skip(&mut self) -> Result<bool, Failure> {
        while let Some(line) = self.lines.next()? {
            if !line.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
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

/// The members of an object in their order, values as they stand.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                #[derive(Deserialize)]
                struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
                let mut members = Vec::new();
                while let Some((Name(name), value)) =
                    map.next_entry::<Name<'de>, &'de RawValue>()?
                {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

pub(super) struct JsonlSink<W: Write> {
    name: PathBuf,
    out: BufWriter<W>,
}

impl<W: Write> JsonlSink<W> {
    pub(super) fn new(name: PathBuf, out: W) -> Self {
        Self { name, out: BufWriter::with_capacity(super::BUFFER, out) }
    }
}

impl<W: Write> Sink for JsonlSink<W> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Failure> {
        let entry = EntryJson { key, value: Some(value) };
        let written = serde_json::to_writer(&mut self.out, &entry).map_err(std::io::Error::from);
        let written = written.and_then(|()| self.out.write_all(b"\n"));
        written.map_err(|error| cannot_write(&self.name, &error))
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| cannot_write(&self.name, &error))
    }
}
