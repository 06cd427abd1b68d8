//! `IntoArgs`: the values of the parameters of a statement.

use crate::Value;

/// The values of the parameters of a statement, in their order: nothing, a tuple, an array or a list.
///
/// ```
/// use cairn_rdb::{IntoArgs, Value};
///
/// assert_eq!(().into_args(), []);
/// assert_eq!((1, "tea").into_args(), [Value::from(1), Value::from("tea")]);
/// assert_eq!([1, 2].into_args(), [Value::from(1), Value::from(2)]);
/// assert_eq!(vec![Value::Null].into_args(), [Value::Null]);
/// ```
pub trait IntoArgs {
    /// The values.
    fn into_args(self) -> Vec<Value>;
}

impl IntoArgs for () {
    fn into_args(self) -> Vec<Value> {
        Vec::new()
    }
}

impl<T: Into<Value>> IntoArgs for Vec<T> {
    fn into_args(self) -> Vec<Value> {
        self.into_iter().map(T::into).collect()
    }
}

impl<T: Into<Value>, const N: usize> IntoArgs for [T; N] {
    fn into_args(self) -> Vec<Value> {
        self.into_iter().map(T::into).collect()
    }
}

impl<T: Clone + Into<Value>> IntoArgs for &[T] {
    fn into_args(self) -> Vec<Value> {
        self.iter().cloned().map(T::into).collect()
    }
}

macro_rules! tuples {
    ($($($name:ident)+;)+) => {$(
        impl<$($name: Into<Value>),+> IntoArgs for ($($name,)+) {
            #[expect(non_snake_case, reason = "a value is called as its type is")]
            fn into_args(self) -> Vec<Value> {
                let ($($name,)+) = self;
                vec![$($name.into()),+]
            }
        }
    )+};
}

tuples! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
    A B C D E F G H I;
    A B C D E F G H I J;
    A B C D E F G H I J K;
    A B C D E F G H I J K L;
}
