//! `CheckpointRecord`: how to open the environment as of one commit, as its record has it.

use cairn_btree::TreeDigest;
use cairn_log::{
    Damage, FileClass, FileNumber, LogResult, Lsn, RecordKind, Timeline, Uuid,
    codec::{ByteReader, ByteWriter, DecodeError},
};

use crate::utilization::FileEnd;

cairn_log::layout! {
    /// The beginning of a checkpoint record.
    pub mod checkpoint_head {
        NUMBER: 8 = "number of the checkpoint",
        SEQUENCE: 8 = "the last commit that it holds: its cut",
        ROOT: 8 = "position of the catalogue's root; 0: there are no trees",
        REPLAY_START: 8 = "position in the journal from which replay goes on; 0: from the first journal file",
        TIME: 8 = "commit time of the cut",
        ENVIRONMENT: 16 = "uuid of the environment",
        TIMELINE: 4 = "timeline of the cut",
        NEXT_TREE: 4 = "smallest number that no tree has had",
        NEXT_FILE: 4 = "smallest number that no log file had had when the record was written",
        FILES: 4 = "number of entries that follow, one per log file",
    }
}

cairn_log::layout! {
    /// One entry of a checkpoint's table of files.
    pub mod checkpoint_file {
        NUMBER: 4 = "number of the file",
        CLASS: 1 = "1 journal, 2 node, 3 value",
        END: 1 = "0: being written, the file has at least this length; 1: it ends there with its seal; 2: a crash has cut it there. A journal file may be longer, which does not count",
        DIRECTORY: 2 = "data directory in which it lies",
        LENGTH: 8 = "length of the file",
        LIVE: 8 = "bytes of it that the checkpoint can reach",
        FILE: 16 = "uuid of the file",
    }
}

cairn_log::layout! {
    /// The end of a checkpoint record, behind the table; missing in those of versions before.
    pub mod checkpoint_tail {
        TREE_DIGEST: 32 = "which nodes the trees consist of; missing if that was not known",
    }
}

/// A log file as a checkpoint records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileEntry {
    pub(crate) number: FileNumber,
    pub(crate) class: FileClass,
    pub(crate) end: FileEnd,
    pub(crate) directory: u16,
    /// Where it ends, or what it has at least.
    pub(crate) length: u64,
    pub(crate) live: u64,
    pub(crate) file: Uuid,
}

/// The payload of a checkpoint record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CheckpointRecord {
    pub(crate) number: u64,
    pub(crate) sequence: u64,
    pub(crate) root: Option<Lsn>,
    pub(crate) replay_start: Option<Lsn>,
    pub(crate) time: u64,
    pub(crate) environment: Uuid,
    pub(crate) timeline: Timeline,
    pub(crate) next_tree: u32,
    pub(crate) next_file: FileNumber,
    pub(crate) files: Vec<FileEntry>,
    /// `None` if it goes back to a checkpoint of a version that did not know it.
    pub(crate) digest: Option<TreeDigest>,
}

impl CheckpointRecord {
    /// The first journal file that it saw being written.
    pub(crate) fn first_open_journal(&self) -> Option<FileNumber> {
        let files = self.files.iter();
        let mut open = files.filter(|f| f.class == FileClass::Journal && f.end == FileEnd::Open);
        open.next().map(|file| file.number)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_u64(self.number);
        out.put_u64(self.sequence);
        out.put_u64(self.root.map_or(0, Lsn::to_raw));
        out.put_u64(self.replay_start.map_or(0, Lsn::to_raw));
        out.put_u64(self.time);
        out.extend_from_slice(&self.environment.0);
        out.put_u32(self.timeline.0);
        out.put_u32(self.next_tree);
        out.put_u32(self.next_file.get());
        out.put_u32(u32::try_from(self.files.len()).expect("file numbers have 32 bits"));
        for file in &self.files {
            out.put_u32(file.number.get());
            out.put_u8(file.class.code());
            out.put_u8(match file.end {
                FileEnd::Open => 0,
                FileEnd::Sealed(_) => 1,
                FileEnd::Cut(_) => 2,
            });
            out.put_u16(file.directory);
            out.put_u64(file.length);
            out.put_u64(file.live);
            out.extend_from_slice(&file.file.0);
        }
        if let Some(digest) = self.digest {
            out.extend_from_slice(&digest.to_bytes());
        }
        out
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = ByteReader::new(payload);
        let lsn = |reader: &mut ByteReader<'_>, field| match reader.u64(field)? {
            0 => Ok(None),
            raw => Lsn::from_raw(raw).map(Some).ok_or(reader.error(field, "is no position")),
        };
        let number = reader.u64("number")?;
        let sequence = reader.u64("sequence")?;
        let root = lsn(&mut reader, "root")?;
        let replay_start = lsn(&mut reader, "replay start")?;
        let time = reader.u64("time")?;
        let environment = Uuid(reader.array("environment")?);
        let timeline = Timeline(reader.u32("timeline")?);
        let next_tree = reader.u32("next tree")?;
        let file_number = |reader: &mut ByteReader<'_>, field| {
            FileNumber::new(reader.u32(field)?).ok_or(reader.error(field, "is zero"))
        };
        let next_file = file_number(&mut reader, "next file")?;
        let count = reader.u32("files")?;
        let mut files = Vec::new();
        for _ in 0..count {
            let number = file_number(&mut reader, "file number")?;
            let class = FileClass::from_code(reader.u8("class")?)
                .ok_or(reader.error("class", "is unknown"))?;
            let end = reader.u8("end")?;
            let directory = reader.u16("directory")?;
            let length = reader.u64("length")?;
            let end = match end {
                0 => FileEnd::Open,
                1 => FileEnd::Sealed(length),
                2 => FileEnd::Cut(length),
                _ => return Err(reader.error("end", "is unknown")),
            };
            files.push(FileEntry {
                number,
                class,
                end,
                directory,
                length,
                live: reader.u64("live")?,
                file: Uuid(reader.array("file uuid")?),
            });
        }
        let digest = match reader.rest() {
            [] => None,
            _ => Some(TreeDigest::from_bytes(reader.array("tree digest")?)),
        };
        reader.finish()?;
        Ok(Self {
            number,
            sequence,
            root,
            replay_start,
            time,
            environment,
            timeline,
            next_tree,
            next_file,
            files,
            digest,
        })
    }

    /// Decodes the record that a log file has at `lsn`.
    pub(crate) fn read(file: &cairn_log::LogFile, lsn: Lsn) -> LogResult<Self> {
        let record = file.read(lsn)?;
        if record.header.kind != RecordKind::CHECKPOINT {
            let (expected, found) = ("a checkpoint", record.header.kind);
            return Err(file.corrupt(lsn.offset(), Damage::WrongKind { expected, found }));
        }
        Self::decode(&record.body).map_err(|source| {
            file.corrupt(lsn.offset(), Damage::Malformed { what: "checkpoint", source })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_record_survives_its_bytes() {
        let record = CheckpointRecord {
            number: 3,
            sequence: 99,
            root: Lsn::from_raw(1 << 29 | 5),
            replay_start: None,
            time: 7,
            environment: Uuid([1; 16]),
            timeline: Timeline(2),
            next_tree: 20,
            next_file: FileNumber::new(9).unwrap(),
            files: vec![FileEntry {
                number: FileNumber::new(4).unwrap(),
                class: FileClass::Node,
                end: FileEnd::Sealed(5000),
                directory: 1,
                length: 5000,
                live: 400,
                file: Uuid([3; 16]),
            }],
            digest: Some(TreeDigest::from_bytes([7; 32])),
        };
        let bytes = record.encode();
        let before = checkpoint_head::LEN + checkpoint_file::LEN;
        assert_eq!(bytes.len(), before + checkpoint_tail::LEN);
        let undigested = CheckpointRecord { digest: None, ..record.clone() };
        assert_eq!(CheckpointRecord::decode(&bytes), Ok(record));
        assert_eq!(undigested.encode(), bytes[..before]);
        for len in 0..bytes.len() {
            // Without its end it is that of a version before.
            let decoded = CheckpointRecord::decode(&bytes[..len]);
            assert_eq!(decoded.ok(), (len == before).then(|| undigested.clone()), "length {len}");
        }
    }
}
