//! `FileCipher`: the key of one file, with which its records are encrypted and opened.
//!
//! AES-256-GCM. A nonce must never be used twice under one key: a key belongs to one file, and the nonce is
//! the offset at which the record stands, of which a writer gives out each only once. What a write that
//! failed has left on the disk is written again as it is, and whoever opens a file that exists appends
//! nothing to it; so nobody has to remember a counter over a crash, a restore or a copy.
//!
//! The key is bound to the environment, the file's uuid and its number, and the nonce to the place. What is
//! left for the tag to vouch for are the fields of the record header.

use crate::{
    Damage, DataKey, FRAME_LEN, FileClass, FileEncryption, FileHeader, FileNumber, FrameHeader,
    Inset, MacKey, NumberedCipher, RecordKind, StoredAs, TAG_LEN, Uuid, buffer::Buffer, inset,
    layout,
};

/// What tells an inset from a record, beside their places.
const INSET: &[u8] = b"inset";

/// The key of one file.
pub(crate) struct FileCipher(NumberedCipher);

impl FileCipher {
    /// The key of the file with this header, from the data key of its epoch.
    pub(crate) fn new(key: &DataKey, header: &FileHeader, encryption: &FileEncryption) -> Self {
        Self(NumberedCipher::new(&derive(key, header, encryption, "cairn/v1/log")))
    }

    fn encrypt(&self, offset: u64, vouched: &[u8], bytes: &mut [u8]) -> [u8; TAG_LEN] {
        self.0.encrypt_apart(offset, vouched, bytes)
    }

    /// Encrypts the payload that stands in `out` from `from` on, for the record at `offset`, and appends what
    /// comes behind it. The header's checksum of the payload does not matter.
    pub(crate) fn encrypt_payload(
        &self,
        header: &FrameHeader,
        offset: u64,
        insets: &[Inset],
        out: &mut Vec<u8>,
        from: usize,
    ) {
        let vouched = header.authenticated();
        match header.stored_as {
            StoredAs::Plain | StoredAs::Compressed => {}
            StoredAs::Encrypted => {
                let tag = self.encrypt(offset, &vouched, &mut out[from..]);
                out.extend_from_slice(&tag);
            }
            StoredAs::Authenticated => {
                let vouched = [&vouched[..], &out[from..]].concat();
                let tag = self.encrypt(offset, &vouched, &mut []);
                out.extend_from_slice(&tag);
            }
            StoredAs::EncryptedWithInsets => {
                let payload = &mut out[from..];
                for inset in insets {
                    let range = inset.range();
                    let place = offset + (FRAME_LEN + range.start) as u64;
                    let tag = self.encrypt(place, INSET, &mut payload[range.clone()]);
                    payload[range.end..range.end + TAG_LEN].copy_from_slice(&tag);
                }
                let table = inset::encode(insets);
                let mut rest = gather(insets, payload);
                let tag = self.encrypt(offset, &[&vouched[..], &table].concat(), &mut rest);
                scatter(insets, &rest, payload);
                out.extend_from_slice(&table);
                out.extend_from_slice(&tag);
            }
        }
    }

    /// Decrypts the stored payload of the record at `offset` in place, with or without its insets, and
    /// returns how many bytes of it are payload.
    pub(crate) fn decrypt_payload(
        &self,
        header: &FrameHeader,
        offset: u64,
        stored: &mut [u8],
        with_insets: bool,
    ) -> Result<usize, Damage> {
        let vouched = header.authenticated();
        let len = stored.len().checked_sub(TAG_LEN).ok_or(Damage::NotAuthentic)?;
        match header.stored_as {
            StoredAs::Plain | StoredAs::Compressed => return Err(Damage::NotAuthentic),
            StoredAs::Encrypted => self.decrypt(offset, &vouched, stored)?,
            StoredAs::Authenticated => {
                let (payload, tag) = stored.split_at_mut(len);
                self.decrypt(offset, &[&vouched[..], payload].concat(), tag)?;
            }
            StoredAs::EncryptedWithInsets => {
                let (payload, tag) = stored.split_at_mut(len);
                let (insets, len) = inset::decode(payload).ok_or(Damage::NotAuthentic)?;
                let (payload, table) = payload.split_at_mut(len);
                let mut rest = gather(&insets, payload);
                rest.extend_from_slice(tag);
                self.decrypt(offset, &[&vouched[..], table].concat(), &mut rest)?;
                scatter(&insets, &rest, payload);
                for inset in insets.iter().filter(|_| with_insets) {
                    let range = inset.range();
                    let place = offset + (FRAME_LEN + range.start) as u64;
                    self.decrypt_inset(place, &mut payload[range.start..range.end + TAG_LEN])?;
                }
                return Ok(len);
            }
        }
        Ok(len)
    }

    /// Decrypts the inset that stands at `offset` of the file in place, its tag behind it.
    pub(crate) fn decrypt_inset(&self, offset: u64, stored: &mut [u8]) -> Result<(), Damage> {
        self.decrypt(offset, INSET, stored)
    }

    /// The inset that stands at `offset` of the file, decrypted from there.
    pub(crate) fn decrypted_inset(&self, offset: u64, stored: &[u8]) -> Result<Buffer, Damage> {
        let len = stored.len().checked_sub(TAG_LEN).ok_or(Damage::NotAuthentic)?;
        let (value, tag) = stored.split_at(len);
        let mut out = Buffer::new(len);
        self.0.decrypt_into(offset, INSET, (value, tag), out.bytes())?;
        Ok(out)
    }

    fn decrypt(&self, offset: u64, vouched: &[u8], bytes: &mut [u8]) -> Result<(), Damage> {
        self.0.decrypt_slice(offset, vouched, bytes)
    }
}

impl std::fmt::Debug for FileCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileCipher(..)")
    }
}

/// The key that vouches for the header of a file.
pub(crate) fn header_key(
    key: &DataKey,
    header: &FileHeader,
    encryption: &FileEncryption,
) -> MacKey {
    MacKey::new(&derive(key, header, encryption, "cairn/v1/log-header"))
}

fn derive(key: &DataKey, header: &FileHeader, encryption: &FileEncryption, label: &str) -> DataKey {
    let number = header.number.get().to_le_bytes();
    key.derive(label, &encryption.salt, &[&header.environment.0, &header.file.0, &number])
}

/// For `docs/format`: the payload of a record as an encrypted file has it, with all that leads to it.
pub(crate) fn example() -> String {
    let number = FileNumber::FIRST;
    let (environment, file) = (Uuid([0xaa; 16]), Uuid([0xbb; 16]));
    let header = FileHeader::first(FileClass::Journal, number, environment, file);
    let (salt, previous, mac) = ([0xcc; 32], Uuid::default(), [0; 32]);
    let encryption = FileEncryption { epoch: 1, salt, previous, mac };
    let data_key = DataKey::new([0x11; DataKey::LEN]);
    let file_key = derive(&data_key, &header, &encryption, "cairn/v1/log");
    let payload = b"any payload";
    let frame = FrameHeader {
        kind: RecordKind::TRANSACTION,
        sequence: 7,
        len: 11 + 16,
        body_crc: 0,
        durable: 0x20,
        stored_as: StoredAs::Encrypted,
    };
    let mut stored = payload.to_vec();
    let cipher = FileCipher::new(&data_key, &header, &encryption);
    cipher.encrypt_payload(&frame, 4096, &[], &mut stored, 0);
    layout::example(&[
        ("data key", data_key.expose()),
        ("salt", &salt),
        ("environment", &environment.0),
        ("file", &file.0),
        ("number", &number.get().to_le_bytes()),
        ("file key", file_key.expose()),
        ("nonce, of offset 4096", &[&4096_u64.to_le_bytes()[..], &[0; 4]].concat()),
        ("header from LENGTH on", &frame.authenticated()),
        ("payload", payload),
        ("stored", &stored),
    ])
}

fn gather(insets: &[Inset], payload: &[u8]) -> Vec<u8> {
    let mut rest = Vec::with_capacity(payload.len().min(1 << 12) + TAG_LEN);
    for part in inset::around(insets, payload.len()) {
        rest.extend_from_slice(&payload[part]);
    }
    rest
}

fn scatter(insets: &[Inset], rest: &[u8], payload: &mut [u8]) {
    let mut at = 0;
    for part in inset::around(insets, payload.len()) {
        let len = part.len();
        payload[part].copy_from_slice(&rest[at..at + len]);
        at += len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cipher(number: u32) -> FileCipher {
        let number = FileNumber::new(number).unwrap();
        let header = FileHeader::first(FileClass::Node, number, Uuid([1; 16]), Uuid([2; 16]));
        let (salt, previous, mac) = ([3; 32], Uuid([0; 16]), [0; 32]);
        let encryption = FileEncryption { epoch: 1, salt, previous, mac };
        FileCipher::new(&DataKey::new([9; 32]), &header, &encryption)
    }

    fn header(stored_as: StoredAs, len: usize) -> FrameHeader {
        FrameHeader {
            kind: RecordKind::LEAF,
            sequence: 7,
            len: u32::try_from(len).unwrap(),
            body_crc: 0,
            durable: 3,
            stored_as,
        }
    }

    const PAYLOAD: &[u8] = b"before/the value/................/behind";
    const VALUE: Inset = Inset { offset: 7, len: 10 };

    /// The record at 4096 in each form: its header, its bytes as stored.
    fn encrypted(cipher: &FileCipher) -> Vec<(FrameHeader, Vec<u8>)> {
        let len = PAYLOAD.len() + TAG_LEN;
        [
            (header(StoredAs::Encrypted, len), &[][..]),
            (header(StoredAs::Authenticated, len), &[][..]),
            (header(StoredAs::EncryptedWithInsets, len + inset::table_len(1)), &[VALUE][..]),
        ]
        .into_iter()
        .map(|(header, insets)| {
            let mut out = b"?".to_vec();
            out.extend_from_slice(PAYLOAD);
            cipher.encrypt_payload(&header, 4096, insets, &mut out, 1);
            assert_eq!(out.len() - 1, header.len as usize);
            (header, out[1..].to_vec())
        })
        .collect()
    }

    #[test]
    fn a_payload_comes_back_and_cannot_be_read_before() {
        let cipher = cipher(1);
        for (header, stored) in encrypted(&cipher) {
            let is_clear = header.stored_as == StoredAs::Authenticated;
            assert_eq!(stored.starts_with(PAYLOAD), is_clear);
            assert_eq!(stored.windows(5).any(|bytes| b"value".starts_with(bytes)), is_clear);
            let mut opened = stored.clone();
            assert_eq!(
                cipher.decrypt_payload(&header, 4096, &mut opened, false),
                Ok(PAYLOAD.len())
            );
            match header.stored_as {
                StoredAs::EncryptedWithInsets => {
                    assert_eq!(opened[..7], PAYLOAD[..7]);
                    assert_eq!(opened[33..40], PAYLOAD[33..40]);
                    let mut whole = stored.clone();
                    assert_eq!(
                        cipher.decrypt_payload(&header, 4096, &mut whole, true),
                        Ok(PAYLOAD.len())
                    );
                    assert_eq!(whole[..17], PAYLOAD[..17]);
                    let place = 4096 + FRAME_LEN as u64 + 7;
                    let mut value = stored[7..33].to_vec();
                    assert_eq!(cipher.decrypt_inset(place, &mut value), Ok(()));
                    assert_eq!(&value[..10], b"the value/");
                    let alone = cipher.decrypted_inset(place, &stored[7..33]);
                    assert_eq!(alone.unwrap().as_ref(), b"the value/");
                    assert!(cipher.decrypted_inset(place + 8, &stored[7..33]).is_err());
                    let mut value = stored[7..33].to_vec();
                    assert!(cipher.decrypt_inset(place + 8, &mut value).is_err());
                }
                _ => assert_eq!(&opened[..PAYLOAD.len()], PAYLOAD),
            }
        }
    }

    #[test]
    fn each_flipped_bit_is_noticed_but_those_of_an_inset_only_with_it() {
        let cipher = cipher(1);
        for (header, stored) in encrypted(&cipher) {
            for bit in 0..stored.len() * 8 {
                let mut flipped = stored.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let in_inset = header.stored_as == StoredAs::EncryptedWithInsets
                    && (7..33).contains(&(bit / 8));
                let opened = cipher.decrypt_payload(&header, 4096, &mut flipped, false);
                assert_eq!(opened.is_ok(), in_inset, "bit {bit} of {header:?}");
                if in_inset {
                    let mut again = stored.clone();
                    again[bit / 8] ^= 1 << (bit % 8);
                    assert!(cipher.decrypt_payload(&header, 4096, &mut again, true).is_err());
                    let place = 4096 + FRAME_LEN as u64 + 7;
                    assert!(cipher.decrypt_inset(place, &mut flipped[7..33]).is_err());
                }
            }
            for len in 0..stored.len() {
                assert!(
                    cipher
                        .decrypt_payload(&header, 4096, &mut stored[..len].to_vec(), false)
                        .is_err()
                );
            }
        }
    }

    #[test]
    fn a_record_opens_only_in_its_place_and_file_and_under_its_header() {
        let (one, other) = (cipher(1), cipher(2));
        for (header, stored) in encrypted(&one) {
            let opens = |cipher: &FileCipher, header: &FrameHeader, at| {
                cipher.decrypt_payload(header, at, &mut stored.clone(), false).is_ok()
            };
            assert!(opens(&one, &header, 4096));
            assert!(opens(&one, &FrameHeader { body_crc: 1, ..header }, 4096));
            assert!(!opens(&one, &header, 4104));
            assert!(!opens(&other, &header, 4096));
            for changed in [
                FrameHeader { kind: RecordKind::BRANCH, ..header },
                FrameHeader { sequence: 8, ..header },
                FrameHeader { durable: 4, ..header },
                FrameHeader { len: header.len + 1, ..header },
                FrameHeader { stored_as: StoredAs::Plain, ..header },
            ] {
                assert!(!opens(&one, &changed, 4096), "{changed:?}");
            }
        }
    }
}
