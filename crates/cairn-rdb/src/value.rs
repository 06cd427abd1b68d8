//! `Value`: what a column of a row holds, and what a parameter of a statement is given.

use std::borrow::Cow;

use rusqlite::types::{ToSqlOutput, ValueRef};

/// The type of a value. The numbers are ArkData's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum ColumnType {
    /// Nothing.
    Null = 0,
    /// A whole number of 64 bits.
    Integer = 1,
    /// A number of 64 bits with a fraction.
    Real = 2,
    /// Text.
    Text = 3,
    /// Bytes.
    Blob = 4,
}

/// What a column of a row holds, and what a parameter of a statement is given.
///
/// True and false are 1 and 0. SQLite stores a number that is none (NaN) as [`Value::Null`]. Text in a database
/// that is not UTF-8, which SQLite allows, comes as [`Value::Blob`] with its bytes.
///
/// ```
/// use cairn_rdb::{ColumnType, Value};
///
/// assert_eq!(Value::from(true), Value::Integer(1));
/// assert_eq!(Value::from("tea").column_type(), ColumnType::Text);
/// assert_eq!(Value::from("12").to_i64(), Some(12)); // as SQLite would convert it, but never with loss
/// assert_eq!(Value::from("12 apples").to_i64(), None);
/// assert_eq!(Value::from(None::<i64>), Value::Null);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "SQLite has these five")]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// A whole number of 64 bits.
    Integer(i64),
    /// A number of 64 bits with a fraction.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl Value {
    /// Its type.
    #[must_use]
    pub const fn column_type(&self) -> ColumnType {
        match self {
            Self::Null => ColumnType::Null,
            Self::Integer(_) => ColumnType::Integer,
            Self::Real(_) => ColumnType::Real,
            Self::Text(_) => ColumnType::Text,
            Self::Blob(_) => ColumnType::Blob,
        }
    }

    /// Whether it is nothing.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The whole number that it is: also of a number without a fraction, and of text that is one.
    #[must_use]
    pub fn to_i64(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Real(number) => whole(*number),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Null | Self::Blob(_) => None,
        }
    }

    /// The number that it is: also of a whole number, as near as there is one, and of text that is one.
    #[must_use]
    pub fn to_f64(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "as near as there is one")]
            Self::Integer(number) => Some(*number as f64),
            Self::Real(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Null | Self::Blob(_) => None,
        }
    }

    /// The text that it is: also of a number, in its shortest form that reads as the same number.
    #[must_use]
    pub fn to_text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Integer(number) => Some(number.to_string().into()),
            Self::Real(number) => Some(format!("{number:?}").into()),
            Self::Text(text) => Some(text.into()),
            Self::Null | Self::Blob(_) => None,
        }
    }

    /// The bytes that it is; of text those of its UTF-8.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text.as_bytes()),
            Self::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// About how many bytes it takes in memory.
    pub(crate) fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.as_bytes().map_or(0, <[u8]>::len)
    }

    pub(crate) fn of_sqlite(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Self::Text(text.into()),
                Err(_) => Self::Blob(bytes.into()),
            },
            ValueRef::Blob(bytes) => Self::Blob(bytes.into()),
        }
    }

    pub(crate) fn to_sqlite(&self) -> ToSqlOutput<'_> {
        ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        })
    }
}

/// The whole number that a number is, if it is one of 64 bits.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "it is compared")]
fn whole(number: f64) -> Option<i64> {
    let as_whole = number as i64; // of what is too large, the largest
    (as_whole as f64 == number && as_whole != i64::MAX).then_some(as_whole)
}

macro_rules! from {
    ($($type:ty => $variant:ident: $convert:expr;)+) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant($convert(value))
            }
        }
    )+};
}

from! {
    bool => Integer: i64::from;
    i8 => Integer: i64::from;
    i16 => Integer: i64::from;
    i32 => Integer: i64::from;
    i64 => Integer: std::convert::identity;
    u8 => Integer: i64::from;
    u16 => Integer: i64::from;
    u32 => Integer: i64::from;
    f32 => Real: f64::from;
    f64 => Real: std::convert::identity;
    &str => Text: String::from;
    &String => Text: String::clone;
    String => Text: std::convert::identity;
    &[u8] => Blob: Vec::from;
    Vec<u8> => Blob: std::convert::identity;
}

impl<const N: usize> From<[u8; N]> for Value {
    fn from(bytes: [u8; N]) -> Self {
        Self::Blob(bytes.into())
    }
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(bytes: &[u8; N]) -> Self {
        Self::Blob(bytes.into())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, T::into)
    }
}

impl From<&Value> for Value {
    fn from(value: &Value) -> Self {
        value.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_types_are_those_of_arkdata() {
        use ColumnType::{Blob, Integer, Null, Real, Text};
        assert_eq!([Null, Integer, Real, Text, Blob].map(|t| t as u8), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_conversion_loses_nothing_or_is_none() {
        for (value, whole, number, text) in [
            (Value::Null, None, None, None),
            (Value::from(7), Some(7), Some(7.0), Some("7")),
            (Value::from(1.5), None, Some(1.5), Some("1.5")),
            (Value::from(2.0), Some(2), Some(2.0), Some("2.0")),
            (Value::from(9.3e18), None, Some(9.3e18), Some("9.3e18")),
            (
                Value::from(i64::MAX as f64),
                None,
                Some(i64::MAX as f64),
                Some("9.223372036854776e18"),
            ),
            (
                Value::from(i64::MIN),
                Some(i64::MIN),
                Some(i64::MIN as f64),
                Some("-9223372036854775808"),
            ),
            (Value::from("12"), Some(12), Some(12.0), Some("12")),
            (Value::from("x"), None, None, Some("x")),
            (Value::from(&b"12"[..]), None, None, None),
        ] {
            assert_eq!((value.to_i64(), value.to_f64()), (whole, number), "{value:?}");
            assert_eq!(value.to_text().as_deref(), text);
        }
    }

    #[test]
    fn text_that_is_not_utf_8_comes_as_its_bytes() {
        assert_eq!(Value::of_sqlite(ValueRef::Text(b"a\xff")), Value::from(&b"a\xff"[..]));
    }
}
