//! Transactions in parts: what an exclusive transaction leaves in the journal.
//!
//! Its changes are logged while it goes on, in PART records numbered from 0; one COMMIT record behind
//! them makes them count. Parts that no COMMIT follows before the next transaction, or before part 0 of
//! the next attempt, count for nothing. All of them bear the number that the commit is to have.

use cairn_log::codec::{ByteReader, ByteWriter, DecodeError};

cairn_log::layout! {
    /// The beginning of a part: the changes follow, as in a transaction.
    pub mod part_head {
        NUMBER: 8 = "how many parts of the same transaction come before this one",
        COUNT: 4 = "number of changes",
    }
}

cairn_log::layout! {
    /// What makes the parts before it count.
    pub mod commit_record {
        TIME: 8 = "microseconds since 1970 at which the transaction committed; never less than that of an earlier commit",
        PARTS: 8 = "number of its parts, at least 1",
    }
}

/// The payload of a COMMIT record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommitRecord {
    pub(crate) time: u64,
    pub(crate) parts: u64,
}

impl CommitRecord {
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(commit_record::LEN);
        out.put_u64(self.time);
        out.put_u64(self.parts);
        out
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = ByteReader::new(payload);
        let (time, parts) = (reader.u64("time")?, reader.u64("parts")?);
        let this = Self { time, parts };
        if parts == 0 {
            return Err(reader.error("parts", "is zero"));
        }
        reader.finish().map(|()| this)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_survives_its_bytes_and_nothing_else_passes() {
        let commit = CommitRecord { time: 7, parts: 3 };
        let bytes = commit.encode();
        assert_eq!(CommitRecord::decode(&bytes), Ok(commit));
        for len in 0..bytes.len() {
            assert!(CommitRecord::decode(&bytes[..len]).is_err());
        }
        assert!(CommitRecord::decode(&[&bytes[..], &[0]].concat()).is_err());
        assert!(CommitRecord::decode(&[0; 16]).is_err(), "no parts");
    }
}
