//! `Scalar`: what a field holds, as queries compare it.

use std::{cmp::Ordering, fmt};

use crate::ValueType;

/// What a field holds, and what a query compares it with.
///
/// Numbers compare as numbers, whatever they were written as. Across kinds the order is that of indexes:
/// null, booleans, numbers, strings.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Scalar {
    /// Nothing.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction. It is finite wherever it matters.
    Double(f64),
    /// Text.
    String(String),
}

impl Scalar {
    /// Whether a field of this type may hold it.
    pub(crate) fn fits(&self, value_type: ValueType) -> bool {
        match (self, value_type) {
            (Self::String(_), ValueType::String)
            | (Self::Boolean(_), ValueType::Boolean)
            | (Self::Integer(_), ValueType::Long | ValueType::Double | ValueType::Float) => true,
            (Self::Integer(number), ValueType::Integer) => i32::try_from(*number).is_ok(),
            (Self::Double(number), ValueType::Double | ValueType::Float) => number.is_finite(),
            _ => false,
        }
    }

    /// Whether it can be compared with what a field of this type holds.
    pub(crate) fn compares_with(&self, value_type: ValueType) -> bool {
        match self {
            Self::String(_) => value_type == ValueType::String,
            Self::Boolean(_) => value_type == ValueType::Boolean,
            Self::Integer(_) => is_number(value_type),
            Self::Double(number) => is_number(value_type) && !number.is_nan(),
            Self::Null => false,
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Boolean(_) => 1,
            Self::Integer(_) | Self::Double(_) => 2,
            Self::String(_) => 3,
        }
    }
}

/// Whether it is a type of numbers.
pub(crate) const fn is_number(value_type: ValueType) -> bool {
    use ValueType::{Double, Float, Integer, Long};
    matches!(value_type, Integer | Float | Double | Long)
}

/// The nearest number with a fraction, and how far beyond it the whole number is: in the order of these
/// two numbers compare, whichever sort they are. The second fits into 16 bits, since neighbours near 2⁶³
/// are 1024 apart.
pub(crate) fn split(number: &Scalar) -> Option<(f64, i16)> {
    match number {
        #[expect(clippy::cast_precision_loss, reason = "what is lost is the second")]
        #[expect(clippy::cast_possible_truncation, reason = "a whole number of 65 bits at most")]
        Scalar::Integer(number) => {
            let nearest = *number as f64;
            let beyond = i128::from(*number) - nearest as i128;
            Some((nearest, i16::try_from(beyond).unwrap_or(0)))
        }
        Scalar::Double(number) => Some((if *number == 0.0 { 0.0 } else { *number }, 0)),
        _ => None,
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Boolean(a), Self::Boolean(b)) => a.cmp(b),
            (Self::String(a), Self::String(b)) => a.as_bytes().cmp(b.as_bytes()),
            (a, b) => match (split(a), split(b)) {
                (Some((a, a_beyond)), Some((b, b_beyond))) => {
                    a.total_cmp(&b).then(a_beyond.cmp(&b_beyond))
                }
                _ => a.rank().cmp(&b.rank()),
            },
        }
    }
}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scalar {}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(is) => write!(f, "{is}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Double(number) => write!(f, "{number:?}"),
            Self::String(text) => write!(f, "{text:?}"),
        }
    }
}

macro_rules! from {
    ($($type:ty => $variant:ident: $make:expr;)+) => {
        $(impl From<$type> for Scalar {
            fn from(value: $type) -> Self {
                Self::$variant($make(value))
            }
        })+
    };
}

from! {
    bool => Boolean: std::convert::identity;
    i32 => Integer: i64::from;
    i64 => Integer: std::convert::identity;
    f32 => Double: f64::from;
    f64 => Double: std::convert::identity;
    &str => String: str::to_owned;
    String => String: std::convert::identity;
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Scalars of all kinds, many of them close to each other.
    pub(crate) fn scalars() -> impl Strategy<Value = Scalar> {
        let near = |number: i64| (-2..=2i64).prop_map(move |n| number.saturating_add(n));
        prop_oneof![
            Just(Scalar::Null),
            any::<bool>().prop_map(Scalar::from),
            any::<i64>().prop_map(Scalar::from),
            prop_oneof![near(0), near(1 << 53), near(-(1 << 53)), near(i64::MAX), near(i64::MIN)]
                .prop_map(Scalar::from),
            (-3..=3i32).prop_map(|n| Scalar::from(f64::from(n) / 2.0)),
            prop_oneof![Just(9_007_199_254_740_992.0), Just(9.3e18), Just(-0.0)]
                .prop_map(Scalar::from),
            proptest::num::f64::NORMAL.prop_map(Scalar::from),
            "[ab\u{0}ä]{0,4}".prop_map(Scalar::from),
        ]
    }

    proptest! {
        #[test]
        fn whole_numbers_compare_exactly(a in any::<i64>(), d in -3..=3i64) {
            let b = a.saturating_add(d);
            prop_assert_eq!(Scalar::from(a).cmp(&Scalar::from(b)), a.cmp(&b));
        }

        #[test]
        fn the_order_is_one(a in scalars(), b in scalars(), c in scalars()) {
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            if a <= b && b <= c {
                prop_assert!(a <= c);
            }
        }
    }

    #[test]
    fn whole_numbers_and_others_compare_as_numbers() {
        let big = 1i64 << 53;
        assert_eq!(Scalar::from(1), Scalar::from(1.0));
        assert_eq!(Scalar::from(0), Scalar::from(-0.0));
        assert!(Scalar::from(1) < Scalar::from(1.5));
        assert!(Scalar::from(big + 1) > Scalar::from(9_007_199_254_740_992.0));
        assert!(Scalar::from(i64::MAX) < Scalar::from(9_223_372_036_854_775_808.0));
    }
}
