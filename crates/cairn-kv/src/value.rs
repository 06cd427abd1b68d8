//! `Value`: what a key leads to, and its bytes.
//!
//! A stored value is one byte that says its type, and what follows from that: see `docs/format/kv.md`.

use bytes::Bytes;
use cairn_env::Stored;

use crate::{KvError, KvResult, MAX_VALUE_LENGTH};

/// The type of a value, and of a field of a [`Schema`](crate::Schema).
///
/// The numbers are ArkData's, and are what stands in the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum ValueType {
    /// Text.
    String = 0,
    /// A whole number of 32 bits.
    Integer = 1,
    /// A number of 32 bits with a fraction.
    Float = 2,
    /// Bytes.
    ByteArray = 3,
    /// True or false.
    Boolean = 4,
    /// A number of 64 bits with a fraction.
    Double = 5,
    /// A whole number of 64 bits.
    Long = 6,
}

/// A value of a store: what it was put as is what comes back.
///
/// ```
/// use cairn_kv::{Value, ValueType};
///
/// let value = Value::from("tea");
/// assert_eq!((value.as_str(), value.value_type()), (Some("tea"), ValueType::String));
/// assert_eq!(Value::from(1.5).as_f64(), Some(1.5));
/// assert_eq!(Value::from(7).as_i64(), Some(7));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Text.
    String(String),
    /// A whole number of 32 bits.
    Integer(i32),
    /// A number of 32 bits with a fraction.
    Float(f32),
    /// Bytes. A large value may be memory of a file that is mapped.
    ByteArray(Bytes),
    /// True or false.
    Boolean(bool),
    /// A number of 64 bits with a fraction.
    Double(f64),
    /// A whole number of 64 bits.
    Long(i64),
}

impl Value {
    /// Its type.
    #[must_use]
    pub const fn value_type(&self) -> ValueType {
        match self {
            Self::String(_) => ValueType::String,
            Self::Integer(_) => ValueType::Integer,
            Self::Float(_) => ValueType::Float,
            Self::ByteArray(_) => ValueType::ByteArray,
            Self::Boolean(_) => ValueType::Boolean,
            Self::Double(_) => ValueType::Double,
            Self::Long(_) => ValueType::Long,
        }
    }

    /// The text, if it is some.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes of a byte array, and of text those of its UTF-8.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::String(text) => Some(text.as_bytes()),
            Self::ByteArray(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    #[must_use]
    pub const fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number as i64),
            Self::Long(number) => Some(*number),
            _ => None,
        }
    }

    /// The number with a fraction, if it is one.
    #[must_use]
    pub const fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Float(number) => Some(*number as f64),
            Self::Double(number) => Some(*number),
            _ => None,
        }
    }

    /// Whether it is true, if it can be.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Boolean(is) => Some(*is),
            _ => None,
        }
    }

    /// The bytes under which it is stored: its type, then what follows from that.
    ///
    /// # Errors
    /// [`KvError::ValueTooLong`].
    pub(crate) fn stored(&self) -> KvResult<StoredParts<'_>> {
        let payload = self.as_bytes().unwrap_or_default();
        if payload.len() > MAX_VALUE_LENGTH {
            return Err(KvError::ValueTooLong { len: payload.len(), max: MAX_VALUE_LENGTH });
        }
        let (mut head, mut len) = ([self.value_type() as u8; MAX_FIXED], 1);
        let mut fixed = |bytes: &[u8]| {
            head[1..=bytes.len()].copy_from_slice(bytes);
            len += bytes.len();
        };
        match self {
            Self::String(_) | Self::ByteArray(_) => {}
            Self::Integer(number) => fixed(&number.to_le_bytes()),
            Self::Float(number) => fixed(&number.to_le_bytes()),
            Self::Boolean(is) => fixed(&[u8::from(*is)]),
            Self::Double(number) => fixed(&number.to_le_bytes()),
            Self::Long(number) => fixed(&number.to_le_bytes()),
        }
        Ok(StoredParts { head, len, payload })
    }

    /// The value that is stored as `stored`; what is wrong with it, if it is none.
    pub(crate) fn decode(stored: Stored<'_>) -> Result<Self, &'static str> {
        const LENGTH: &str = "the length of a value does not fit its type";
        let Some((&code, payload)) = stored.split_first() else {
            return Err("a value without a type");
        };
        match code {
            0 => match std::str::from_utf8(payload) {
                Ok(text) => Ok(Self::String(text.to_owned())),
                Err(_) => Err("a string that is not UTF-8"),
            },
            1 => payload.try_into().map(i32::from_le_bytes).map(Self::Integer).or(Err(LENGTH)),
            2 => payload.try_into().map(f32::from_le_bytes).map(Self::Float).or(Err(LENGTH)),
            3 => Ok(Self::ByteArray(stored.keep_from(1))),
            4 => match payload {
                [0] => Ok(Self::Boolean(false)),
                [1] => Ok(Self::Boolean(true)),
                _ => Err("a boolean that is neither true nor false"),
            },
            5 => payload.try_into().map(f64::from_le_bytes).map(Self::Double).or(Err(LENGTH)),
            6 => payload.try_into().map(i64::from_le_bytes).map(Self::Long).or(Err(LENGTH)),
            _ => Err("a value of an unknown type"),
        }
    }

    /// The payload of a stored value that may follow a schema: text, or bytes.
    pub(crate) fn stored_document(stored: &[u8]) -> Option<&[u8]> {
        match stored.split_first() {
            Some((0 | 3, document)) => Some(document),
            _ => None,
        }
    }
}

/// Most bytes of a value of a fixed length, with its type.
const MAX_FIXED: usize = 9;

/// The bytes of a value as it is stored, in two parts, of which the second is where it was: so a value is copied once,
/// to where it is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredParts<'v> {
    head: [u8; MAX_FIXED],
    len: usize,
    payload: &'v [u8],
}

impl StoredParts<'_> {
    pub(crate) fn parts(&self) -> [&[u8]; 2] {
        [&self.head[..self.len], self.payload]
    }
}

macro_rules! from {
    ($($type:ty => $variant:ident: $make:expr;)+) => {
        $(impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant($make(value))
            }
        })+
    };
}

from! {
    &str => String: str::to_owned;
    String => String: std::convert::identity;
    i32 => Integer: std::convert::identity;
    f32 => Float: std::convert::identity;
    Bytes => ByteArray: std::convert::identity;
    Vec<u8> => ByteArray: Bytes::from;
    &[u8] => ByteArray: Bytes::copy_from_slice;
    bool => Boolean: std::convert::identity;
    f64 => Double: std::convert::identity;
    i64 => Long: std::convert::identity;
}

/// The table of `docs/format/kv.md` about values.
pub(crate) fn spec() -> (&'static str, String) {
    let examples = [
        (Value::from("tea"), "UTF-8"),
        (Value::from(-2), "signed, little-endian"),
        (Value::from(1.5f32), "IEEE 754, little-endian"),
        (Value::from(&[0xca, 0xfe][..]), "as they are"),
        (Value::from(true), "0 or 1"),
        (Value::from(1.5), "IEEE 754, little-endian"),
        (Value::from(-2i64), "signed, little-endian"),
    ];
    let mut table =
        String::from("| type | value | payload | example | stored as |\n|--:|---|---|---|---|\n");
    for (value, payload) in examples {
        let stored = value.stored().map(|stored| stored.parts().concat()).unwrap_or_default();
        let hex: Vec<_> = stored.iter().map(|byte| format!("{byte:02x}")).collect();
        let (code, kind, hex) = (value.value_type() as u8, value.value_type(), hex.join(" "));
        table += &format!("| {code} | `{kind:?}` | {payload} | `{value:?}` | `{hex}` |\n");
    }
    ("kv_value", table)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn encode(value: &Value) -> Vec<u8> {
        value.stored().unwrap().parts().concat()
    }

    fn decode(stored: &[u8]) -> Result<Value, &'static str> {
        let embedded = Value::decode(Stored::Embedded(stored));
        let beside = Value::decode(Bytes::copy_from_slice(stored).into());
        assert_eq!(embedded.as_ref().map(encode), beside.as_ref().map(encode));
        embedded
    }

    fn values() -> impl Strategy<Value = Value> {
        prop_oneof![
            ".{0,20}".prop_map(Value::String),
            any::<i32>().prop_map(Value::Integer),
            any::<f32>().prop_map(Value::Float),
            vec(any::<u8>(), 0..20).prop_map(Value::from),
            any::<bool>().prop_map(Value::Boolean),
            any::<f64>().prop_map(Value::Double),
            any::<i64>().prop_map(Value::Long),
        ]
    }

    proptest! {
        #[test]
        fn a_value_survives_its_bytes(value in values()) {
            let stored = encode(&value);
            prop_assert_eq!(stored[0], value.value_type() as u8);
            let read = decode(&stored).unwrap();
            prop_assert_eq!(encode(&read), stored); // by its bytes: NaN equals nothing
        }

        #[test]
        fn what_is_no_value_is_refused_and_what_is_one_comes_back(stored in vec(any::<u8>(), 0..12)) {
            if let Ok(value) = decode(&stored) {
                prop_assert_eq!(encode(&value), stored);
            }
        }

        #[test]
        fn a_value_of_a_fixed_length_has_it(value in values(), cut in 0usize..9) {
            let stored = encode(&value);
            if value.as_bytes().is_none() && cut < stored.len() {
                prop_assert!(decode(&stored[..cut]).is_err());
                let longer = [&stored[..], &[0]].concat();
                prop_assert!(decode(&longer).is_err());
            }
        }
    }

    #[test]
    fn a_value_has_at_most_4194303_bytes() {
        assert!(Value::from(vec![0; MAX_VALUE_LENGTH]).stored().is_ok());
        let error = Value::from(vec![0; MAX_VALUE_LENGTH + 1]).stored().unwrap_err();
        assert!(matches!(error, KvError::ValueTooLong { len: 4_194_304, max: 4_194_303 }));
        assert_eq!(error.code(), Some(401));
        assert!(Value::from("x".repeat(MAX_VALUE_LENGTH + 1)).stored().is_err());
    }

    #[test]
    fn the_numbers_of_types_are_those_of_arkdata() {
        use ValueType::{Boolean, ByteArray, Double, Float, Integer, Long, String};
        let numbers = [String, Integer, Float, ByteArray, Boolean, Double, Long].map(|t| t as u8);
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6]);
    }
}
