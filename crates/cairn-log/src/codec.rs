//! `ByteReader` and `ByteWriter`: bounded decoding that cannot panic.
//!
//! Every payload in CairnDB is decoded through [`ByteReader`]. It never reads past its input, an
//! error names the field and the place, and a length read from the input allocates nothing by
//! itself: it only yields a slice of what is really there.

/// Why a payload could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} at byte {at}: {problem}")]
pub struct DecodeError {
    /// Which field.
    pub field: &'static str,
    /// At which byte of the payload.
    pub at: usize,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// Reads a payload from front to back.
#[derive(Clone, Debug)]
pub struct ByteReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> ByteReader<'a> {
    /// A reader at the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were read.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.at
    }

    /// What was not read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// An error at the current place.
    #[must_use]
    pub const fn error(&self, field: &'static str, problem: &'static str) -> DecodeError {
        DecodeError { field, at: self.at, problem }
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn bytes(&mut self, field: &'static str, len: usize) -> Result<&'a [u8], DecodeError> {
        let slice = self.rest().get(..len).ok_or(self.error(field, "ends too early"))?;
        self.at += len;
        Ok(slice)
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let (array, _) =
            self.rest().split_first_chunk::<N>().ok_or(self.error(field, "ends too early"))?;
        self.at += N;
        Ok(*array)
    }

    /// One byte.
    ///
    /// # Errors
    /// If none is left.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        Ok(self.array::<1>(field)?[0])
    }

    /// Two bytes, little-endian.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array(field)?))
    }

    /// Four bytes, little-endian.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array(field)?))
    }

    /// Eight bytes, little-endian.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array(field)?))
    }

    /// A number of 1 to 10 bytes, seven bits each, least significant first (LEB128).
    ///
    /// # Errors
    /// If it ends too early, exceeds 64 bits, or is longer than it needs to be: each number has
    /// one encoding, so no byte can change without notice.
    pub fn varint(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        let mut value = 0;
        for (i, &byte) in self.rest().iter().enumerate().take(10) {
            if i == 9 && byte > 1 {
                return Err(self.error(field, "exceeds 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                if byte == 0 && i > 0 {
                    return Err(self.error(field, "is longer than it needs to be"));
                }
                self.at += i + 1;
                return Ok(value);
            }
        }
        Err(self.error(field, "ends too early"))
    }

    /// A [`ByteReader::varint`] that must be at most `max`.
    ///
    /// # Errors
    /// As for `varint`, and if the number is larger.
    pub fn varint_max(&mut self, field: &'static str, max: u64) -> Result<u64, DecodeError> {
        let before = self.clone();
        let value = self.varint(field)?;
        if value > max { Err(before.error(field, "is out of range")) } else { Ok(value) }
    }

    /// A length (varint) and as many bytes.
    ///
    /// # Errors
    /// If fewer are left than the length says.
    pub fn prefixed(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let before = self.clone();
        let len = self.varint(field)?;
        usize::try_from(len)
            .ok()
            .and_then(|len| self.bytes(field, len).ok())
            .ok_or(before.error(field, "ends too early"))
    }

    /// Skips zero bytes up to the next multiple of 8 from the beginning of the payload.
    ///
    /// # Errors
    /// If the padding is missing or not zero.
    pub fn align8(&mut self, field: &'static str) -> Result<(), DecodeError> {
        let padding = self.at.next_multiple_of(8) - self.at;
        let before = self.clone();
        if self.bytes(field, padding)?.iter().any(|&byte| byte != 0) {
            return Err(before.error(field, "is not zero"));
        }
        Ok(())
    }

    /// Checks that everything was read.
    ///
    /// # Errors
    /// If bytes are left over.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.rest().is_empty() {
            Ok(())
        } else {
            Err(self.error("payload", "has bytes left over"))
        }
    }
}

/// Builds a payload from front to back: the mirror of [`ByteReader`].
pub trait ByteWriter {
    /// Appends a byte.
    fn put_u8(&mut self, value: u8);
    /// Appends two bytes, little-endian.
    fn put_u16(&mut self, value: u16);
    /// Appends four bytes, little-endian.
    fn put_u32(&mut self, value: u32);
    /// Appends eight bytes, little-endian.
    fn put_u64(&mut self, value: u64);
    /// Appends a number in 1 to 10 bytes (LEB128).
    fn put_varint(&mut self, value: u64);
    /// Appends a length (varint) and the bytes.
    fn put_prefixed(&mut self, bytes: &[u8]);
    /// Appends zeros up to the next multiple of 8 from the beginning.
    fn put_align8(&mut self);
}

impl ByteWriter for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }

    fn put_u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.push((value & 0x7f) as u8);
    }

    fn put_prefixed(&mut self, bytes: &[u8]) {
        self.put_varint(bytes.len() as u64);
        self.extend_from_slice(bytes);
    }

    fn put_align8(&mut self) {
        self.resize(self.len().next_multiple_of(8), 0);
    }
}

/// How many bytes [`ByteWriter::put_varint`] needs.
#[must_use]
pub const fn varint_len(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_and_bytes_survive(
            a: u8, b: u16, c: u32, d: u64, v: u64, bytes: Vec<u8>, shift in 0u32..64,
        ) {
            let mut out = Vec::new();
            out.put_u8(a);
            out.put_u16(b);
            out.put_u32(c);
            out.put_u64(d);
            let before = out.len();
            out.put_varint(v >> shift);
            prop_assert_eq!(out.len() - before, varint_len(v >> shift));
            out.put_prefixed(&bytes);
            out.put_align8();
            let mut reader = ByteReader::new(&out);
            prop_assert_eq!(reader.u8("a"), Ok(a));
            prop_assert_eq!(reader.u16("b"), Ok(b));
            prop_assert_eq!(reader.u32("c"), Ok(c));
            prop_assert_eq!(reader.u64("d"), Ok(d));
            prop_assert_eq!(reader.varint("v"), Ok(v >> shift));
            prop_assert_eq!(reader.prefixed("bytes"), Ok(&bytes[..]));
            reader.align8("padding").unwrap();
            prop_assert!(reader.finish().is_ok());
        }

        #[test]
        fn any_input_is_read_or_refused(input: Vec<u8>) {
            let mut reader = ByteReader::new(&input);
            let mut again = Vec::new();
            while let Ok(value) = reader.varint("v") {
                again.put_varint(value);
            }
            // One encoding per number: what was read is what is written.
            prop_assert_eq!(&input[..reader.position()], &again[..]);
        }
    }

    #[test]
    fn errors_name_the_field_and_the_place() {
        let mut reader = ByteReader::new(&[5, 1, 2]);
        let error = reader.prefixed("key").unwrap_err();
        assert_eq!(error.to_string(), "key at byte 0: ends too early");
        assert_eq!(
            ByteReader::new(&[0x80; 10]).varint("n").unwrap_err().problem,
            "exceeds 64 bits"
        );
        let mut reader = ByteReader::new(&[0x80, 0]);
        assert_eq!(reader.varint("n").unwrap_err().problem, "is longer than it needs to be");
        assert_eq!(
            ByteReader::new(&[9]).varint_max("n", 8).unwrap_err().problem,
            "is out of range"
        );
        assert!(ByteReader::new(&[0]).finish().is_err());
    }
}
