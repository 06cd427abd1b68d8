//! The object `repo.cairn`: what makes a place a repository, and who may read and write it.

use cairn_log::{Uuid, crc32c};

use super::{
    frames::Damaged,
    layout::{HEADER_MAGIC, IS_ENCRYPTED, repository_header as layout},
    statement::Unread,
};

/// What `repo.cairn` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) repository: Uuid,
    /// When it was made, in microseconds since 1970.
    pub(crate) created: u64,
    /// Whether all objects that say something are encrypted.
    pub(crate) is_encrypted: bool,
    /// Features that only a writer must know.
    pub(crate) to_write: u64,
}

/// Bytes of the object.
pub(crate) const LEN: usize = layout::LEN;

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; layout::LEN];
        layout::MAGIC.set_bytes(&mut bytes, HEADER_MAGIC);
        layout::MAJOR.set_number(&mut bytes, 1);
        if self.is_encrypted {
            layout::MINOR.set_number(&mut bytes, 1);
            layout::TO_READ.set_number(&mut bytes, IS_ENCRYPTED);
        }
        layout::REPOSITORY.set_bytes(&mut bytes, &self.repository.0);
        layout::CREATED.set_number(&mut bytes, self.created);
        layout::TO_WRITE.set_number(&mut bytes, self.to_write);
        let crc = crc32c(&bytes[..layout::CRC.offset]);
        layout::CRC.set_number(&mut bytes, crc.into());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Unread> {
        if bytes.len() != layout::LEN {
            let problem = format!("it has {} bytes, not {}", bytes.len(), layout::LEN);
            return Err(Damaged::new(bytes.len().min(layout::LEN), problem).into());
        }
        if layout::MAGIC.of(bytes) != HEADER_MAGIC {
            return Err(Damaged::new(0, "it does not begin as the object of a repository").into());
        }
        if layout::CRC.number(bytes) != u64::from(crc32c(&bytes[..layout::CRC.offset])) {
            return Err(Damaged::new(0, "its checksum does not match").into());
        }
        let (major, features) = (layout::MAJOR.number(bytes), layout::TO_READ.number(bytes));
        if major != 1 {
            let minor = layout::MINOR.number(bytes);
            return Err(Unread::Unsupported(format!("it is of version {major}.{minor}")));
        }
        if features & !IS_ENCRYPTED != 0 {
            let unknown = features & !IS_ENCRYPTED;
            return Err(Unread::Unsupported(format!("it needs the features {unknown:#x}")));
        }
        let mut repository = [0; 16];
        repository.copy_from_slice(layout::REPOSITORY.of(bytes));
        Ok(Self {
            repository: Uuid(repository),
            created: layout::CREATED.number(bytes),
            is_encrypted: features & IS_ENCRYPTED != 0,
            to_write: layout::TO_WRITE.number(bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header { repository: Uuid([5; 16]), created: 12, is_encrypted: false, to_write: 0 }
    }

    #[test]
    fn each_flip_and_cut_is_found() {
        for is_encrypted in [false, true] {
            let header = Header { is_encrypted, ..header() };
            assert_eq!(Header::decode(&header.encode()), Ok(header));
        }
        let whole = header().encode();
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                assert!(matches!(Header::decode(&flipped), Err(Unread::Damaged(_))), "byte {at}");
            }
            assert!(matches!(Header::decode(&whole[..at]), Err(Unread::Damaged(_))));
        }
    }

    #[test]
    fn a_later_repository_is_refused_by_name_or_only_not_written_to() {
        let later = |field: cairn_log::layout::Field, value| {
            let mut bytes = header().encode();
            field.set_number(&mut bytes, value);
            let crc = crc32c(&bytes[..layout::CRC.offset]);
            layout::CRC.set_number(&mut bytes, crc.into());
            Header::decode(&bytes)
        };
        let named = |name: &str| Err(Unread::Unsupported(name.into()));
        assert_eq!(later(layout::MAJOR, 2), named("it is of version 2.0"));
        assert_eq!(later(layout::TO_READ, 8), named("it needs the features 0x8"));
        assert_eq!(later(layout::MINOR, 9), Ok(header()));
        assert_eq!(later(layout::TO_WRITE, 8), Ok(Header { to_write: 8, ..header() }));
    }
}
