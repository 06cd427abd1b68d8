//! Fields: the content of statements, each with its number, in their order; those of later versions are kept.

use std::collections::BTreeMap;

use cairn_log::{
    FileNumber,
    codec::{ByteReader, ByteWriter, DecodeError},
};

/// The fields of a statement that is read.
#[derive(Debug)]
pub(crate) struct Fields<'a>(BTreeMap<u64, &'a [u8]>);

impl<'a> Fields<'a> {
    pub(crate) fn new(content: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = ByteReader::new(content);
        let mut fields = BTreeMap::new();
        while !reader.rest().is_empty() {
            let last = fields.last_key_value().map_or(0, |(tag, _)| *tag);
            let before = reader.clone();
            let tag = reader.varint("field")?;
            if tag <= last {
                return Err(before.error("field", "does not come after the one before"));
            }
            fields.insert(tag, reader.prefixed("field")?);
        }
        Ok(Self(fields))
    }

    /// What `decode` makes of a field that has to be there.
    pub(crate) fn take<T>(
        &mut self,
        tag: u64,
        name: &'static str,
        decode: impl FnOnce(&mut ByteReader<'a>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let missing = DecodeError { field: name, at: 0, problem: "is missing" };
        self.find(tag, decode)?.ok_or(missing)
    }

    /// What `decode` makes of a field that may be there.
    pub(crate) fn find<T>(
        &mut self,
        tag: u64,
        decode: impl FnOnce(&mut ByteReader<'a>) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        let Some(bytes) = self.0.remove(&tag) else { return Ok(None) };
        let mut reader = ByteReader::new(bytes);
        let value = decode(&mut reader)?;
        reader.finish()?;
        Ok(Some(value))
    }

    /// The fields that nobody has asked for.
    pub(crate) fn rest(self) -> Vec<(u64, Vec<u8>)> {
        self.0.into_iter().map(|(tag, bytes)| (tag, bytes.to_vec())).collect()
    }
}

/// The content of a statement that is written.
#[derive(Debug, Default)]
pub(crate) struct FieldWriter(BTreeMap<u64, Vec<u8>>);

impl FieldWriter {
    /// Sets a field; the order of the calls does not matter.
    pub(crate) fn put(&mut self, tag: u64, write: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        write(&mut bytes);
        self.0.insert(tag, bytes);
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        let mut content = Vec::new();
        for (tag, bytes) in self.0 {
            content.put_varint(tag);
            content.put_prefixed(&bytes);
        }
        content
    }
}

/// A text.
pub(crate) fn text<'a>(
    reader: &mut ByteReader<'a>,
    field: &'static str,
) -> Result<&'a str, DecodeError> {
    let before = reader.clone();
    let bytes = reader.prefixed(field)?;
    std::str::from_utf8(bytes).map_err(|_| before.error(field, "is no text"))
}

/// A text of one line, without anything that is not to be printed.
pub(crate) fn line<'a>(
    reader: &mut ByteReader<'a>,
    field: &'static str,
) -> Result<&'a str, DecodeError> {
    let before = reader.clone();
    let text = text(reader, field)?;
    if text.chars().any(char::is_control) {
        return Err(before.error(field, "holds control characters"));
    }
    Ok(text)
}

/// Yes or no.
pub(crate) fn flag(reader: &mut ByteReader<'_>, field: &'static str) -> Result<bool, DecodeError> {
    let before = reader.clone();
    match reader.u8(field)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(before.error(field, "is neither 0 nor 1")),
    }
}

/// Entries up to the end, each with a key that comes after the one before.
pub(crate) fn ordered<'a, K: Ord, T>(
    reader: &mut ByteReader<'a>,
    field: &'static str,
    mut decode: impl FnMut(&mut ByteReader<'a>) -> Result<(K, T), DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let (mut entries, mut last) = (Vec::new(), None);
    while !reader.rest().is_empty() {
        let before = reader.clone();
        let (key, entry) = decode(reader)?;
        if last.as_ref().is_some_and(|last| *last >= key) {
            return Err(before.error(field, "are not in their order"));
        }
        last = Some(key);
        entries.push(entry);
    }
    Ok(entries)
}

/// The number of a log file.
pub(crate) fn file_number(reader: &mut ByteReader<'_>) -> Result<FileNumber, DecodeError> {
    let before = reader.clone();
    let number = u32::try_from(reader.varint("file number")?).ok().and_then(FileNumber::new);
    number.ok_or(before.error("file number", "is none"))
}

/// The number of a data directory.
pub(crate) fn directory(reader: &mut ByteReader<'_>) -> Result<u16, DecodeError> {
    let number = reader.varint_max("directory", u16::MAX.into())?;
    Ok(u16::try_from(number).unwrap_or(u16::MAX))
}
