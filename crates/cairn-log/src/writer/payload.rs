//! `Payload`: what a record is to hold, as far as it can be prepared before the record has a place.

use crate::{
    FRAME_LEN, FrameHeader, Inset, LogError, LogFile, LogResult, RecordKind, StoredAs, TAG_LEN,
    compressed, crc32c, frame::record_len, inset,
};

/// A record's payload. Of one that is not encrypted the padding and the checksum are ready; one that is
/// depends on its place, and gets both there.
#[derive(Debug)]
pub struct Payload {
    /// The payload; with its padding if it is not encrypted.
    bytes: Vec<u8>,
    /// Bytes of it without padding.
    len: u32,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Plain { crc: u32, compressed: bool },
    ToEncrypt { insets: Vec<Inset>, stored: u32 },
}

impl Payload {
    /// The payload `bytes` of a record in a file that is not encrypted.
    ///
    /// # Errors
    /// [`LogError::Exhausted`] for 4 GiB and more.
    pub fn new(mut bytes: Vec<u8>) -> LogResult<Self> {
        let len = length(bytes.len())?;
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        Ok(Self { len, form: Form::Plain { crc: crc32c(&bytes), compressed: false }, bytes })
    }

    /// The payload `bytes` of a node in a file that is not encrypted and has
    /// [compressed nodes](crate::FileFeatures::COMPRESSED_NODES): compressed with LZ4, if that saves an eighth of it or more.
    ///
    /// # Errors
    /// [`LogError::Exhausted`] for 4 GiB and more.
    pub fn compressed(bytes: Vec<u8>) -> LogResult<Self> {
        let compressed = compressed::of(&bytes);
        let is_compressed = compressed.is_some();
        let mut payload = Self::new(compressed.unwrap_or(bytes))?;
        if let Form::Plain { compressed, .. } = &mut payload.form {
            *compressed = is_compressed;
        }
        Ok(payload)
    }

    /// The payload `bytes` of a record in an encrypted file, with parts that can be read alone: one after
    /// another, each with [`TAG_LEN`] bytes behind it that are left free.
    ///
    /// # Errors
    /// [`LogError::Exhausted`] for 4 GiB and more.
    ///
    /// # Panics
    /// If the insets do not stand in the payload one after another.
    pub fn to_encrypt(bytes: Vec<u8>, insets: Vec<Inset>) -> LogResult<Self> {
        let end = insets.iter().fold(0, |end, inset| {
            assert!(inset.range().start >= end, "insets stand one after another");
            inset.range().end + TAG_LEN
        });
        assert!(end <= bytes.len(), "insets stand in their payload");
        let stored = length(bytes.len() + inset::table_len(insets.len()) + TAG_LEN)?;
        Ok(Self { len: length(bytes.len())?, form: Form::ToEncrypt { insets, stored }, bytes })
    }

    /// The payload's bytes, without padding, and not encrypted; compressed, if they will be stored so.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len as usize]
    }

    /// Overwrites bytes of the payload that became known late.
    ///
    /// # Panics
    /// If the range exceeds the payload.
    pub fn set(&mut self, range: std::ops::Range<usize>, bytes: &[u8]) {
        self.bytes[range].copy_from_slice(bytes);
        if let Form::Plain { crc, .. } = &mut self.form {
            *crc = crc32c(&self.bytes);
        }
    }

    /// Bytes that the record will take in the file.
    #[must_use]
    pub const fn record_len(&self) -> u64 {
        record_len(self.stored() as u64)
    }

    /// The buffer, emptied, for the next payload.
    #[must_use]
    pub fn recycle(mut self) -> Vec<u8> {
        self.bytes.clear();
        self.bytes
    }

    const fn stored(&self) -> u32 {
        match self.form {
            Form::Plain { .. } => self.len,
            Form::ToEncrypt { stored, .. } => stored,
        }
    }

    /// The header of the record; the checksum of its payload is still to come.
    pub(super) fn header(&self, kind: RecordKind, sequence: u64, durable: u32) -> FrameHeader {
        let stored_as = match &self.form {
            Form::Plain { compressed: true, .. } => StoredAs::Compressed,
            Form::Plain { .. } => StoredAs::Plain,
            Form::ToEncrypt { .. } if kind == RecordKind::SEAL => StoredAs::Authenticated,
            Form::ToEncrypt { insets, .. } if insets.is_empty() => StoredAs::Encrypted,
            Form::ToEncrypt { .. } => StoredAs::EncryptedWithInsets,
        };
        FrameHeader { kind, sequence, len: self.stored(), body_crc: 0, durable, stored_as }
    }

    /// Appends the record to `out` as `file` has it at `offset`; returns the checksum of its payload.
    pub(super) fn put(
        &self,
        mut header: FrameHeader,
        file: &LogFile,
        offset: u64,
        out: &mut Vec<u8>,
    ) -> u32 {
        let from = out.len();
        match (&self.form, &file.cipher) {
            (Form::Plain { crc, .. }, None) => {
                header.body_crc = *crc;
                out.extend_from_slice(&header.encode(file.seed(), offset));
                out.extend_from_slice(&self.bytes);
            }
            (Form::ToEncrypt { insets, .. }, Some(cipher)) => {
                let body = from + FRAME_LEN;
                out.reserve(usize::try_from(self.record_len()).unwrap_or(0));
                out.resize(body, 0);
                out.extend_from_slice(self.bytes());
                cipher.encrypt_payload(&header, offset, insets, out, body);
                out.resize(body + (out.len() - body).next_multiple_of(8), 0);
                header.body_crc = crc32c(&out[body..]);
                out[from..body].copy_from_slice(&header.encode(file.seed(), offset));
            }
            (Form::Plain { .. }, Some(_)) | (Form::ToEncrypt { .. }, None) => {
                panic!(
                    "what goes into an encrypted file was prepared for one, and nothing else was"
                )
            }
        }
        header.body_crc
    }
}

fn length(len: usize) -> LogResult<u32> {
    u32::try_from(len).map_err(|_| LogError::Exhausted { what: "the 4 GiB of a record" })
}
