//! `Query`: which entries are meant, in which order, how many.
//!
//! A query is what was called on it, in order. `sql_like` is that as ArkData's text; `condition` what it
//! asks of a value; `plan` how the entries are found, by way of `ranges` of the keys of an index.

mod condition;
mod like;
pub(crate) mod plan;
mod ranges;
mod sql_like;

pub(crate) use condition::{Expression, Filter};
pub use plan::Explanation;

use crate::{KvError, KvResult, MAX_QUERY_LENGTH, Scalar, options::check_device, schema::path_of};

/// Which entries of a store are meant: conditions on the fields of its schema, the beginning of the key,
/// the order, how many.
///
/// Conditions that follow each other must all hold; `and` may be written between them; `or` binds less;
/// groups are as parentheses. A field is a path such as `$.city.zip`. A condition on a field that is null
/// does not hold, but for [`Query::is_null`]; as in SQL, not even [`Query::not_equal_to`] does.
///
/// Without an order, entries come in the order of their keys, unless an index is gone through for more than
/// one value: then in that of its field, and then of their keys. [`KvStore::explain`] says which.
///
/// What is wrong with a query is said when it is used.
///
/// ```
/// use cairn_kv::Query;
///
/// let query = Query::new()
///     .equal_to("$.city", "Paris")
///     .and()
///     .begin_group()
///     .less_than("$.age", 18)
///     .or()
///     .is_null("$.age")
///     .end_group()
///     .order_by_asc("$.name")
///     .limit(10, 20);
/// assert_eq!(
///     query.sql_like()?,
///     " ^EQUAL STRING $.city Paris ^AND ^BEGIN_GROUP ^LESS INTEGER $.age 18 ^OR ^IS_NULL $.age \
///      ^END_GROUP ^ASC $.name ^LIMIT 10 20"
/// );
/// # Ok::<(), cairn_kv::KvError>(())
/// ```
///
/// [`KvStore::explain`]: crate::KvStore::explain
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    calls: Vec<Call>,
}

/// What was called.
#[derive(Clone, Debug, PartialEq)]
enum Call {
    Condition { field: String, test: Test },
    And,
    Or,
    BeginGroup,
    EndGroup,
    Order { field: String, descending: bool },
    Limit { total: u64, offset: u64 },
    PrefixKey(Vec<u8>),
    SuggestIndex(String),
    DeviceId(String),
}

/// What a condition asks of a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    Compare(Comparison, Scalar),
    IsNull(bool),
    /// Whether it is among these; numbers, or else strings.
    In {
        list: Vec<Scalar>,
        numbers: bool,
        negated: bool,
    },
    Like {
        pattern: String,
        negated: bool,
    },
}

/// How a field compares with something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
}

/// What a query says, taken apart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) condition: Option<Expression>,
    /// Fields, and whether each descends.
    pub(crate) orders: Vec<(Vec<String>, bool)>,
    pub(crate) limit: Option<(u64, u64)>,
    pub(crate) prefix: Vec<u8>,
    pub(crate) suggested: Option<Vec<String>>,
    pub(crate) device: Option<String>,
}

macro_rules! comparisons {
    ($($(#[$doc:meta])* $name:ident: $comparison:ident;)+) => {
        impl Query {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(self, field: impl Into<String>, value: impl Into<Scalar>) -> Self {
                    self.test(field, Test::Compare(Comparison::$comparison, value.into()))
                }
            )+
        }
    };
}

comparisons! {
    /// The field equals `value`.
    equal_to: Equal;
    /// The field is something else than `value`, and not null.
    not_equal_to: NotEqual;
    /// The field is greater.
    greater_than: Greater;
    /// The field is less.
    less_than: Less;
    /// The field is greater or equal.
    greater_than_or_equal_to: GreaterOrEqual;
    /// The field is less or equal.
    less_than_or_equal_to: LessOrEqual;
}

impl Query {
    /// All entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything: all entries are meant again.
    pub fn reset(&mut self) -> &mut Self {
        *self = Self::default();
        self
    }

    /// The field is null or missing.
    #[must_use]
    pub fn is_null(self, field: impl Into<String>) -> Self {
        self.test(field, Test::IsNull(true))
    }

    /// The field is not null.
    #[must_use]
    pub fn is_not_null(self, field: impl Into<String>) -> Self {
        self.test(field, Test::IsNull(false))
    }

    /// The field is one of these numbers. None is one of no numbers.
    #[must_use]
    pub fn in_numbers<T: Into<Scalar>>(
        self,
        field: impl Into<String>,
        list: impl IntoIterator<Item = T>,
    ) -> Self {
        self.list(field, list, true, false)
    }

    /// The field is one of these strings. None is one of no strings.
    #[must_use]
    pub fn in_strings<T: Into<Scalar>>(
        self,
        field: impl Into<String>,
        list: impl IntoIterator<Item = T>,
    ) -> Self {
        self.list(field, list, false, false)
    }

    /// The field is none of these numbers, and not null. Without numbers it holds for everything.
    #[must_use]
    pub fn not_in_numbers<T: Into<Scalar>>(
        self,
        field: impl Into<String>,
        list: impl IntoIterator<Item = T>,
    ) -> Self {
        self.list(field, list, true, true)
    }

    /// The field is none of these strings, and not null. Without strings it holds for everything.
    #[must_use]
    pub fn not_in_strings<T: Into<Scalar>>(
        self,
        field: impl Into<String>,
        list: impl IntoIterator<Item = T>,
    ) -> Self {
        self.list(field, list, false, true)
    }

    /// The field is like the pattern: `%` stands for anything, `_` for one character, and letters of ASCII
    /// for themselves in either case, as in SQLite.
    #[must_use]
    pub fn like(self, field: impl Into<String>, pattern: impl Into<String>) -> Self {
        self.test(field, Test::Like { pattern: pattern.into(), negated: false })
    }

    /// The field is not like the pattern, and not null.
    #[must_use]
    pub fn unlike(self, field: impl Into<String>, pattern: impl Into<String>) -> Self {
        self.test(field, Test::Like { pattern: pattern.into(), negated: true })
    }

    /// What comes before and what follows must hold.
    #[must_use]
    pub fn and(self) -> Self {
        self.call(Call::And)
    }

    /// What comes before or what follows must hold.
    #[must_use]
    pub fn or(self) -> Self {
        self.call(Call::Or)
    }

    /// Begins a group: an opening parenthesis.
    #[must_use]
    pub fn begin_group(self) -> Self {
        self.call(Call::BeginGroup)
    }

    /// Ends a group: a closing parenthesis.
    #[must_use]
    pub fn end_group(self) -> Self {
        self.call(Call::EndGroup)
    }

    /// Entries in the order of a field, null first; those that are equal in it in the order of the next one,
    /// and at last in that of their keys, which go the way of the last field.
    #[must_use]
    pub fn order_by_asc(self, field: impl Into<String>) -> Self {
        self.call(Call::Order { field: field.into(), descending: false })
    }

    /// As [`Query::order_by_asc`], the other way round.
    #[must_use]
    pub fn order_by_desc(self, field: impl Into<String>) -> Self {
        self.call(Call::Order { field: field.into(), descending: true })
    }

    /// So many entries at most, after leaving out `offset` of them.
    #[must_use]
    pub fn limit(self, total: u64, offset: u64) -> Self {
        self.call(Call::Limit { total, offset })
    }

    /// The key begins with `prefix`.
    #[must_use]
    pub fn prefix_key(self, prefix: impl AsRef<[u8]>) -> Self {
        self.call(Call::PrefixKey(prefix.as_ref().to_vec()))
    }

    /// The index of this field is to be used, if it is of any use.
    #[must_use]
    pub fn set_suggest_index(self, field: impl Into<String>) -> Self {
        self.call(Call::SuggestIndex(field.into()))
    }

    /// The entries of this device, in a device collaboration store.
    #[must_use]
    pub fn device_id(self, device: impl Into<String>) -> Self {
        self.call(Call::DeviceId(device.into()))
    }

    fn test(self, field: impl Into<String>, test: Test) -> Self {
        self.call(Call::Condition { field: field.into(), test })
    }

    fn list<T: Into<Scalar>>(
        self,
        field: impl Into<String>,
        list: impl IntoIterator<Item = T>,
        numbers: bool,
        negated: bool,
    ) -> Self {
        let list = list.into_iter().map(Into::into).collect();
        self.test(field, Test::In { list, numbers, negated })
    }

    fn call(mut self, call: Call) -> Self {
        self.calls.push(call);
        self
    }

    /// Takes it apart.
    ///
    /// # Errors
    /// [`KvError::InvalidQuery`], [`KvError::QueryTooLong`], [`KvError::InvalidDevice`].
    pub(crate) fn parts(&self) -> KvResult<Parts> {
        let mut parts = Parts::default();
        let len = self.calls.iter().map(Call::len).sum();
        if len > MAX_QUERY_LENGTH {
            return Err(KvError::QueryTooLong { len, max: MAX_QUERY_LENGTH });
        }
        let mut conditions = Vec::new();
        for call in &self.calls {
            match call {
                Call::Order { field, descending } => {
                    parts.orders.push((checked_path(field)?, *descending));
                }
                Call::Limit { total, offset } => {
                    once(&mut parts.limit, (*total, *offset), "limit")?
                }
                Call::PrefixKey(prefix) => parts.prefix = one_prefix(&parts.prefix, prefix)?,
                Call::SuggestIndex(field) => {
                    once(&mut parts.suggested, checked_path(field)?, "suggested index")?;
                }
                Call::DeviceId(device) => {
                    check_device(device)?;
                    once(&mut parts.device, device.clone(), "device")?;
                }
                condition => conditions.push(condition),
            }
        }
        parts.condition = condition::parse(&conditions)?;
        Ok(parts)
    }
}

impl Call {
    /// Bytes that it takes, about: a query is bounded before anything is made of it.
    fn len(&self) -> usize {
        let of = |scalar: &Scalar| match scalar {
            Scalar::String(text) => text.len() + 1,
            _ => 8,
        };
        8 + match self {
            Self::Condition { field, test } => {
                field.len()
                    + match test {
                        Test::Compare(_, scalar) => of(scalar),
                        Test::IsNull(_) => 0,
                        Test::In { list, .. } => list.iter().map(of).sum(),
                        Test::Like { pattern, .. } => pattern.len(),
                    }
            }
            Self::Order { field, .. } | Self::SuggestIndex(field) => field.len(),
            Self::PrefixKey(prefix) => prefix.len(),
            Self::DeviceId(device) => device.len(),
            Self::And | Self::Or | Self::BeginGroup | Self::EndGroup | Self::Limit { .. } => 0,
        }
    }
}

fn once<T>(place: &mut Option<T>, value: T, what: &str) -> KvResult<()> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(KvError::query(format!("it has more than one {what}"))),
    }
}

/// Both must hold, so that one of them is the beginning of the other.
fn one_prefix(a: &[u8], b: &[u8]) -> KvResult<Vec<u8>> {
    let (short, long) = if a.len() < b.len() { (a, b) } else { (b, a) };
    match long.starts_with(short) {
        true => Ok(long.to_vec()),
        false => Err(KvError::query("no key begins with both of its prefixes")),
    }
}

/// The names of the path of a field.
fn checked_path(field: &str) -> KvResult<Vec<String>> {
    if field.is_empty() || field.contains('^') {
        return Err(KvError::query(format!("{field:?} is no path of a field")));
    }
    let path = path_of(field);
    match path.iter().any(String::is_empty) {
        true => Err(KvError::query(format!("{field:?} is no path of a field"))),
        false => Ok(path),
    }
}

/// Entries whose keys begin with it.
impl From<&str> for Query {
    fn from(prefix: &str) -> Self {
        Self::new().prefix_key(prefix)
    }
}

/// Entries whose keys begin with it.
impl From<&[u8]> for Query {
    fn from(prefix: &[u8]) -> Self {
        Self::new().prefix_key(prefix)
    }
}

impl From<&Query> for Query {
    fn from(query: &Query) -> Self {
        query.clone()
    }
}
