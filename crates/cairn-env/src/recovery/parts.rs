//! Replay of exclusive transactions: their parts go to a fork, which counts when their COMMIT comes.

use std::sync::Arc;

use cairn_btree::TreeWriter;
use cairn_log::{
    Damage, LogFile, Record, RecordKind, Scan, Scanner,
    codec::{ByteReader, DecodeError},
};

use super::replay::{Replay, check_all};
use crate::{
    EnvError, EnvResult,
    commit::{CommitRecord, Decoder, apply_ops},
};

/// The transaction in parts that replay has come across.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// What the parts so far have made of the trees; nothing if no COMMIT will come.
    fork: Option<TreeWriter>,
    /// Which commit they are of, if there are any.
    sequence: u64,
    count: u64,
}

impl Replay<'_> {
    /// Replays a part of the next commit.
    pub(super) fn part(&mut self, file: &LogFile, record: &Record<'_>) -> EnvResult<()> {
        let Record { lsn, header, body } = *record;
        let malformed =
            |source| file.corrupt(lsn.offset(), Damage::Malformed { what: "part", source });
        let number = ByteReader::new(body).u64("number").map_err(malformed)?;
        if number == 0 {
            self.give_up_parts()?;
            self.parts.sequence = header.sequence;
            if self.has_commit(header.sequence, file.header().incarnation)? {
                self.parts.fork = Some(self.writer.fork(self.sequence)?);
            }
        }
        let Parts { fork, sequence, count } = &mut self.parts;
        if (*sequence, *count) != (header.sequence, number) {
            let what = format!("part {number} of commit {} follows {count} parts", header.sequence);
            let (file, offset) = (lsn.file(), lsn.offset());
            return Err(EnvError::Inconsistent { file, offset, what });
        }
        *count += 1;
        if let Some(fork) = fork {
            let decoder = Decoder::new(body).map_err(malformed)?;
            check_all(decoder.clone()).map_err(malformed)?;
            apply_ops(fork, decoder, lsn, header.sequence, &mut self.next_tree)?;
            let cache = self.forest.cache();
            if !self.read_only && cache.resident + fork.private_bytes() > cache.budget {
                drop(fork.freeze(self.sequence)?);
                self.forest.write_back(usize::MAX)?;
            }
        }
        Ok(())
    }

    /// Replays the record that makes the parts before it count; returns the time of the commit.
    pub(super) fn commit_parts(&mut self, file: &LogFile, record: &Record<'_>) -> EnvResult<u64> {
        let Record { lsn, header, body } = *record;
        let malformed = |source: DecodeError| {
            file.corrupt(lsn.offset(), Damage::Malformed { what: "commit", source })
        };
        let commit = CommitRecord::decode(body).map_err(malformed)?;
        let Parts { fork, sequence, count } = std::mem::take(&mut self.parts);
        match fork {
            Some(fork) if (sequence, count) == (header.sequence, commit.parts) => {
                self.writer.adopt(fork);
                Ok(commit.time)
            }
            fork => {
                fork.map_or(Ok(()), |fork| self.writer.give_up_fork(fork))?;
                Err(EnvError::Inconsistent {
                    file: lsn.file(),
                    offset: lsn.offset(),
                    what: format!(
                        "commit {} has {} parts, before it stand {count} of commit {sequence}",
                        header.sequence, commit.parts
                    ),
                })
            }
        }
    }

    /// No COMMIT comes for the parts so far.
    pub(super) fn give_up_parts(&mut self) -> EnvResult<()> {
        let Parts { fork, count, .. } = std::mem::take(&mut self.parts);
        self.report.given_up_parts += count;
        Ok(fork.map_or(Ok(()), |fork| self.writer.give_up_fork(fork))?)
    }

    /// Whether the journal has a COMMIT with this number for parts of this incarnation, which then has no
    /// others of that number. If not, nothing need be done for them, however many they are.
    fn has_commit(&mut self, sequence: u64, incarnation: u64) -> EnvResult<bool> {
        let mut holder: Option<Arc<LogFile>> = None;
        for number in self.journals.keys().rev() {
            holder = self.open(*number)?;
            if holder.as_ref().is_some_and(|file| file.header().first_sequence <= sequence) {
                break;
            }
        }
        let Some(file) = holder else { return Ok(false) };
        if file.header().incarnation != incarnation {
            return Ok(false);
        }
        let mut scanner = Scanner::new(&file, u64::MAX);
        while let Scan::Record(record) = scanner.next()? {
            if record.header.sequence == sequence && record.header.kind == RecordKind::COMMIT {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
