//! A point as bytes: the content of its statement, and that of its index.

use cairn_env::{Cut, TreeDigest};
use cairn_log::{
    Digest, FileClass, LogName, Lsn, Predecessor, Timeline, Uuid,
    codec::{ByteReader, ByteWriter, DecodeError},
};

use super::{NeededObject, Part, Point, PointDatabase, PointFile, check_label, longest};
use crate::repository::{
    fields::{FieldWriter, Fields, directory, file_number, flag, line, ordered, text},
    layout::MAX_PART,
    names::{ObjectName, PartName, ShortHash},
};

const ABOUT: u64 = 1;
const CUT: u64 = 2;
const LABEL: u64 = 3;
const KEYRING: u64 = 4;
const CONFIGURATION: u64 = 5;
const DATABASES: u64 = 6;
const INDEX: u64 = 7;
const FILES: u64 = 8;
const TREE_DIGEST: u64 = 9;

/// The fields of a point, for the format page: number, name, content.
pub(crate) const FIELDS: &[(u64, &str, &str)] = &[
    (
        ABOUT,
        "about",
        "library: text; created: u64; writer: 16 bytes, random; new objects, new bytes: varint; 1 if each object was read back, else 0: u8",
    ),
    (
        CUT,
        "cut",
        "timeline: u32; commit, time: varint; 1 and checkpoint file: varint, offset: varint, number: varint, or 0; 1 and journal end: file: varint, directory: varint, end: varint, last commit: varint, BLAKE3: 32 bytes, or 0; next file, data directories: varint",
    ),
    (LABEL, "label", "1 to 255 bytes of text without control characters; missing if there is none"),
    (KEYRING, "keyring", "the keyring file of an encrypted environment; else missing"),
    (
        CONFIGURATION,
        "configuration",
        "for each, in the order of the names: name: text, value: text",
    ),
    (
        DATABASES,
        "databases",
        "for each, in the order of the names: name: text, kind: text, entries: varint; missing if the environment is encrypted",
    ),
    (INDEX, "index", "bytes: varint; BLAKE3: 32 bytes"),
    (
        FILES,
        "files",
        "for each, in the order of the numbers: class: u8; timeline of a journal file: u32; number, directory, length: varint; BLAKE3: 32 bytes; 1 and the digest of the seal: 32 bytes, or 0; number of parts: varint; for each part: timeline: u32; length, stored length: varint; BLAKE3 of the content and of what is stored: 64 bytes",
    ),
    (
        TREE_DIGEST,
        "tree digest",
        "that of the checkpoint: 32 bytes; missing if there is none, or it does not say",
    ),
];

impl Point {
    /// Its content, for a statement.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = FieldWriter::default();
        fields.put(ABOUT, |bytes| {
            bytes.put_prefixed(self.library.as_bytes());
            bytes.put_u64(self.created);
            bytes.extend_from_slice(&self.writer.0);
            bytes.put_varint(self.new_objects);
            bytes.put_varint(self.new_bytes);
            bytes.put_u8(self.is_read_back.into());
        });
        fields.put(CUT, |bytes| encode_cut(&self.cut, bytes));
        if let Some(label) = &self.label {
            fields.put(LABEL, |bytes| bytes.extend_from_slice(label.as_bytes()));
        }
        if let Some(keyring) = &self.keyring {
            fields.put(KEYRING, |bytes| bytes.extend_from_slice(keyring));
        }
        fields.put(CONFIGURATION, |bytes| {
            for (name, value) in &self.configuration {
                bytes.put_prefixed(name.as_bytes());
                bytes.put_prefixed(value.as_bytes());
            }
        });
        if let Some(databases) = &self.databases {
            fields.put(DATABASES, |bytes| {
                for database in databases {
                    bytes.put_prefixed(database.name.as_bytes());
                    bytes.put_prefixed(database.kind.as_bytes());
                    bytes.put_varint(database.entries);
                }
            });
        }
        fields.put(INDEX, |bytes| {
            bytes.put_varint(self.index.0);
            bytes.extend_from_slice(&self.index.1.0);
        });
        fields.put(FILES, |bytes| self.files.iter().for_each(|file| file.encode(bytes)));
        if let Some(digest) = self.tree_digest {
            fields.put(TREE_DIGEST, |bytes| bytes.extend_from_slice(&digest.to_bytes()));
        }
        for (tag, unknown) in &self.unknown {
            fields.put(*tag, |bytes| bytes.extend_from_slice(unknown));
        }
        fields.finish()
    }

    /// Decodes the content of a statement.
    pub(crate) fn decode(environment: Uuid, content: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(content)?;
        let (library, created, writer, new_objects, new_bytes, is_read_back) =
            fields.take(ABOUT, "about", |reader| {
                Ok((
                    line(reader, "library")?.to_owned(),
                    reader.u64("created")?,
                    Uuid(reader.array("writer")?),
                    reader.varint("new objects")?,
                    reader.varint("new bytes")?,
                    flag(reader, "read back")?,
                ))
            })?;
        let cut = fields.take(CUT, "cut", |reader| decode_cut(environment, reader))?;
        let label = fields.find(LABEL, |reader| {
            let bytes = reader.bytes("label", reader.rest().len())?;
            let label = std::str::from_utf8(bytes).ok().filter(|label| check_label(label).is_ok());
            label.map(str::to_owned).ok_or(reader.error("label", "is none"))
        })?;
        let keyring = fields
            .find(KEYRING, |reader| Ok(reader.bytes("keyring", reader.rest().len())?.to_vec()))?;
        let configuration = fields.take(CONFIGURATION, "configuration", |reader| {
            ordered(reader, "configuration", |reader| {
                let name = text(reader, "name")?.to_owned();
                Ok((name.clone(), (name, text(reader, "value")?.to_owned())))
            })
        })?;
        let databases = fields.find(DATABASES, |reader| {
            ordered(reader, "databases", |reader| {
                let name = text(reader, "name")?.to_owned();
                let kind = text(reader, "kind")?.to_owned();
                let entries = reader.varint("entries")?;
                Ok((name.clone(), PointDatabase { name, kind, entries }))
            })
        })?;
        let index = fields.take(INDEX, "index", |reader| {
            Ok((reader.varint("index")?, Digest(reader.array("index")?)))
        })?;
        let files = fields.take(FILES, "files", |reader| {
            ordered(reader, "files", |reader| {
                let file = PointFile::decode(cut.directories, reader)?;
                Ok((file.name.number, file))
            })
        })?;
        let tree_digest = fields
            .find(TREE_DIGEST, |reader| Ok(TreeDigest::from_bytes(reader.array("tree digest")?)))?;
        Ok(Self {
            cut,
            created,
            library,
            label,
            writer,
            new_objects,
            new_bytes,
            is_read_back,
            keyring,
            configuration,
            databases,
            index,
            files,
            tree_digest,
            unknown: fields.rest(),
        })
    }

    /// The content of its index.
    pub(crate) fn encode_index(&self) -> Vec<u8> {
        let mut content = self.writer.0.to_vec();
        for NeededObject { name, stored_length, stored } in self.objects() {
            let ObjectName::Part { part, .. } = name else { continue };
            content.put_u8(part.class.code());
            content.put_u32(part.timeline.0);
            content.put_varint(part.file.get().into());
            content.put_varint(part.start);
            content.put_varint(part.length);
            content.put_varint(stored_length);
            content.extend_from_slice(&stored.0);
        }
        content
    }
}

/// Decodes the content of an index.
pub(crate) fn decode_index(
    environment: Uuid,
    content: &[u8],
) -> Result<Vec<NeededObject>, DecodeError> {
    let mut reader = ByteReader::new(content);
    // Of the writer: so that an index that one has left, and that is damaged, is in nobody's way.
    reader.array::<16>("writer")?;
    let mut objects = Vec::new();
    while !reader.rest().is_empty() {
        let class = class(&mut reader)?;
        let timeline = Timeline(reader.u32("timeline")?);
        let file = file_number(&mut reader)?;
        let (start, length) = (reader.varint("start")?, reader.varint_max("length", MAX_PART)?);
        let stored_length = reader.varint_max("stored length", longest(length))?;
        let stored = Digest(reader.array("stored")?);
        let part = PartName { timeline, class, file, start, length, hash: ShortHash::of(stored) };
        let name = ObjectName::Part { environment, part };
        objects.push(NeededObject { name, stored_length, stored });
    }
    Ok(objects)
}

impl PointFile {
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.put_u8(self.name.class.code());
        if let Some(timeline) = self.name.timeline {
            bytes.put_u32(timeline.0);
        }
        bytes.put_varint(self.name.number.get().into());
        bytes.put_varint(self.directory.into());
        bytes.put_varint(self.length);
        bytes.extend_from_slice(&self.digest.0);
        bytes.put_u8(self.seal.is_some().into());
        if let Some(seal) = self.seal {
            bytes.extend_from_slice(&seal.0);
        }
        bytes.put_varint(self.parts.len() as u64);
        for part in &self.parts {
            bytes.put_u32(part.timeline.0);
            bytes.put_varint(part.length);
            bytes.put_varint(part.stored_length);
            bytes.extend_from_slice(&part.content.0);
            bytes.extend_from_slice(&part.stored.0);
        }
    }

    pub(super) fn decode(
        directories: u16,
        reader: &mut ByteReader<'_>,
    ) -> Result<Self, DecodeError> {
        let class = class(reader)?;
        let timeline = match class {
            FileClass::Journal => Timeline(reader.u32("timeline")?),
            FileClass::Node | FileClass::Value => Timeline::FIRST,
        };
        let name = LogName::new(class, file_number(reader)?, timeline);
        let directory = reader.varint_max("directory", directories.into())?;
        let directory = u16::try_from(directory).unwrap_or(u16::MAX);
        let length = reader.varint("length")?;
        let digest = Digest(reader.array("digest")?);
        let seal = match flag(reader, "seal")? {
            true => Some(Digest(reader.array("seal")?)),
            false => None,
        };
        let count = reader.varint("parts")?;
        let (mut parts, mut start) = (Vec::new(), 0_u64);
        for _ in 0..count {
            let part = Part {
                timeline: Timeline(reader.u32("part")?),
                length: reader.varint_max("part", MAX_PART)?,
                stored_length: reader.varint("part")?,
                content: Digest(reader.array("part")?),
                stored: Digest(reader.array("part")?),
            };
            if part.length == 0 || part.stored_length > longest(part.length) {
                return Err(reader.error("part", "is of no length that it can have"));
            }
            let end = start.checked_add(part.length);
            start = end.ok_or(reader.error("part", "lies behind everything"))?;
            parts.push(part);
        }
        if start != length {
            return Err(reader.error("parts", "are not the file"));
        }
        if let [only] = &*parts
            && only.content != digest
        {
            return Err(reader.error("parts", "have another hash than the file"));
        }
        Ok(Self { name, directory, length, digest, seal, parts })
    }
}

fn encode_cut(cut: &Cut, bytes: &mut Vec<u8>) {
    bytes.put_u32(cut.timeline.0);
    bytes.put_varint(cut.commit);
    bytes.put_varint(cut.time);
    bytes.put_u8(cut.checkpoint.is_some().into());
    if let Some(lsn) = cut.checkpoint {
        bytes.put_varint(lsn.file().get().into());
        bytes.put_varint(lsn.offset());
        bytes.put_varint(cut.checkpoint_number);
    }
    bytes.put_u8(cut.journal_end.is_some().into());
    if let Some(end) = &cut.journal_end {
        bytes.put_varint(end.file.get().into());
        bytes.put_varint(end.directory.into());
        bytes.put_varint(end.end);
        bytes.put_varint(end.last_sequence);
        bytes.extend_from_slice(&end.chain.0);
    }
    bytes.put_varint(cut.next_file.get().into());
    bytes.put_varint(cut.directories.into());
}

fn decode_cut(environment: Uuid, reader: &mut ByteReader<'_>) -> Result<Cut, DecodeError> {
    let timeline = Timeline(reader.u32("timeline")?);
    let (commit, time) = (reader.varint("commit")?, reader.varint("time")?);
    let (mut checkpoint, mut checkpoint_number) = (None, 0);
    if flag(reader, "checkpoint")? {
        let file = file_number(reader)?;
        let lsn = Lsn::new(file, reader.varint("checkpoint")?);
        checkpoint = Some(lsn.ok_or(reader.error("checkpoint", "is no position"))?);
        checkpoint_number = reader.varint("checkpoint")?;
    }
    let journal_end = match flag(reader, "journal end")? {
        true => Some(Predecessor {
            file: file_number(reader)?,
            directory: directory(reader)?,
            end: reader.varint("journal end")?,
            last_sequence: reader.varint("journal end")?,
            chain: Digest(reader.array("journal end")?),
        }),
        false => None,
    };
    Ok(Cut {
        environment,
        timeline,
        commit,
        time,
        checkpoint,
        checkpoint_number,
        journal_end,
        next_file: file_number(reader)?,
        directories: directory(reader)?,
    })
}

fn class(reader: &mut ByteReader<'_>) -> Result<FileClass, DecodeError> {
    let before = reader.clone();
    FileClass::from_code(reader.u8("class")?).ok_or(before.error("class", "is none"))
}
