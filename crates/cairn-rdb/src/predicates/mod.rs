//! `Predicates`: which rows of a table are meant, and how they come.
//!
//! `condition` has what can hold of a column, `render` makes statements of all.

mod condition;
mod render;

pub(crate) use render::ROWID;
pub use render::SqlInfo;

use condition::{Condition, Test};

use crate::{IntoArgs, Value};

/// Which rows of a table are meant, in which order, and how many of them.
///
/// Conditions that follow each other must all hold; [`or`](Self::or) stands between those of which one is enough,
/// and binds less than what does not say so. Names of tables and columns are quoted, so that they may be any;
/// they are names, not expressions. What stands before the first dot in the name of a table is the alias of an
/// attached store.
///
/// They are checked when they are used: wraps that do not match, an `or` with nothing to its left or right, a
/// `having` without a `group_by`, an offset without a limit are
/// [`RdbError::InvalidPredicates`](crate::RdbError::InvalidPredicates), and change nothing. An empty list [`is_in`](Self::is_in) matches nothing,
/// [`not_in`](Self::not_in) an empty list everything. Null is equal to nothing, not even to null:
/// [`is_null`](Self::is_null).
///
/// A delete or an update never hits more rows than a query with the same predicates shows: a limit counts there as
/// well, and what shows groups or distinct values cannot be used for one.
///
/// ```
/// use cairn_rdb::Predicates;
///
/// let cheap = Predicates::new("tea")
///     .begins_with("name", "100%")
///     .begin_wrap().less_than("price", 3).or().is_null("price").end_wrap()
///     .order_by_asc("name")
///     .limit_as(10);
/// let select = cheap.query_sql(&["name"])?;
/// assert_eq!(
///     select.sql,
///     "SELECT `name` FROM `tea` WHERE `name` LIKE ? ESCAPE '\\' AND (`price` < ? OR `price` IS NULL) \
///      ORDER BY `name` ASC LIMIT 10"
/// );
/// assert_eq!(select.args, ["100\\%%".into(), 3.into()]);
/// # Ok::<(), cairn_rdb::RdbError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Predicates {
    table: String,
    tokens: Vec<Token>,
    order: Vec<(String, Direction)>,
    distinct: bool,
    limit: Option<i64>,
    offset: Option<i64>,
    group_by: Vec<String>,
    having: Option<(String, Vec<Value>)>,
    index: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Condition(Condition),
    And,
    Or,
    BeginWrap,
    EndWrap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Ascending,
    Descending,
}

macro_rules! comparisons {
    ($($(#[doc = $doc:literal])+ $name:ident: $operator:literal;)+) => {
        impl Predicates {
            $(
                $(#[doc = $doc])+
                #[must_use]
                pub fn $name(self, column: impl Into<String>, value: impl Into<Value>) -> Self {
                    self.test(column, Test::Compare($operator, value.into()))
                }
            )+
        }
    };
}

comparisons! {
    /// The column has this value.
    equal_to: "=";
    /// The column has another value.
    not_equal_to: "<>";
    /// The column is greater.
    greater_than: ">";
    /// The column is less.
    less_than: "<";
    /// The column is greater or equal.
    greater_than_or_equal_to: ">=";
    /// The column is less or equal.
    less_than_or_equal_to: "<=";
}

macro_rules! patterns {
    ($($(#[doc = $doc:literal])+ $name:ident: $test:expr;)+) => {
        impl Predicates {
            $(
                $(#[doc = $doc])+
                #[must_use]
                pub fn $name(self, column: impl Into<String>, text: impl Into<String>) -> Self {
                    let test: fn(String) -> Test = $test;
                    self.test(column, test(text.into()))
                }
            )+
        }
    };
}

patterns! {
    /// The text has this one in it; letters A to Z are equal to a to z.
    contains: |text| Test::with_text("%", &text, "%", false);
    /// The text does not have this one in it; letters A to Z are equal to a to z.
    not_contains: |text| Test::with_text("%", &text, "%", true);
    /// The text begins with this one; letters A to Z are equal to a to z.
    begins_with: |text| Test::with_text("", &text, "%", false);
    /// The text ends with this one; letters A to Z are equal to a to z.
    ends_with: |text| Test::with_text("%", &text, "", false);
    /// The text is like this: `%` stands for any text, `_` for one character, and nothing escapes them; letters
    /// A to Z are equal to a to z.
    like: |text| Test::Like { pattern: text, is_escaped: false, not: false };
    /// The text is not [`like`](Self::like) this.
    not_like: |text| Test::Like { pattern: text, is_escaped: false, not: true };
    /// The text is like this: `*` stands for any text, `?` for one character, `[…]` for one of these; letters must be
    /// the same.
    glob: Test::Glob;
}

impl Predicates {
    /// All rows of a table.
    #[must_use]
    pub fn new(table: impl Into<String>) -> Self {
        Self {
            table: table.into(),
            tokens: Vec::new(),
            order: Vec::new(),
            distinct: false,
            limit: None,
            offset: None,
            group_by: Vec::new(),
            having: None,
            index: None,
        }
    }

    /// The name of the table.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    fn test(self, column: impl Into<String>, test: Test) -> Self {
        self.token(Token::Condition(Condition { column: column.into(), test }))
    }

    fn token(mut self, token: Token) -> Self {
        self.tokens.push(token);
        self
    }

    /// What follows must hold as well, which is so without saying it.
    #[must_use]
    pub fn and(self) -> Self {
        self.token(Token::And)
    }

    /// Either what is to the left holds or what is to the right.
    #[must_use]
    pub fn or(self) -> Self {
        self.token(Token::Or)
    }

    /// Begins what counts as one condition.
    #[must_use]
    pub fn begin_wrap(self) -> Self {
        self.token(Token::BeginWrap)
    }

    /// Ends it.
    #[must_use]
    pub fn end_wrap(self) -> Self {
        self.token(Token::EndWrap)
    }

    /// The column is null.
    #[must_use]
    pub fn is_null(self, column: impl Into<String>) -> Self {
        self.test(column, Test::Null { not: false })
    }

    /// The column is not null.
    #[must_use]
    pub fn is_not_null(self, column: impl Into<String>) -> Self {
        self.test(column, Test::Null { not: true })
    }

    /// The column is between these, or one of them.
    #[must_use]
    pub fn between(
        self,
        column: impl Into<String>,
        low: impl Into<Value>,
        high: impl Into<Value>,
    ) -> Self {
        self.test(column, Test::Between { low: low.into(), high: high.into(), not: false })
    }

    /// The column is less than the one or greater than the other.
    #[must_use]
    pub fn not_between(
        self,
        column: impl Into<String>,
        low: impl Into<Value>,
        high: impl Into<Value>,
    ) -> Self {
        self.test(column, Test::Between { low: low.into(), high: high.into(), not: true })
    }

    /// The column is one of these. Of none nothing is. (ArkData's `in`.)
    #[must_use]
    pub fn is_in(self, column: impl Into<String>, values: impl IntoArgs) -> Self {
        self.test(column, Test::In { values: values.into_args(), not: false })
    }

    /// The column is none of these. Of none everything is. With null among them nothing is, since nobody knows
    /// whether it is equal to null.
    #[must_use]
    pub fn not_in(self, column: impl Into<String>, values: impl IntoArgs) -> Self {
        self.test(column, Test::In { values: values.into_args(), not: true })
    }

    /// Rows come in the order of this column, the least first; those that are equal in it, in that of the next one
    /// that is asked for.
    #[must_use]
    pub fn order_by_asc(mut self, column: impl Into<String>) -> Self {
        self.order.push((column.into(), Direction::Ascending));
        self
    }

    /// Rows come in the order of this column, the greatest first.
    #[must_use]
    pub fn order_by_desc(mut self, column: impl Into<String>) -> Self {
        self.order.push((column.into(), Direction::Descending));
        self
    }

    /// Of rows whose columns that are asked for are the same, one comes.
    #[must_use]
    pub const fn distinct(mut self) -> Self {
        self.distinct = true;
        self
    }

    /// At most so many rows; 0 or less means all of them.
    #[must_use]
    pub const fn limit_as(mut self, rows: i64) -> Self {
        self.limit = Some(rows);
        self
    }

    /// So many rows are left out first. Only with a [`limit_as`](Self::limit_as).
    #[must_use]
    pub const fn offset_as(mut self, rows: i64) -> Self {
        self.offset = Some(rows);
        self
    }

    /// One row for all that have the same values in these columns.
    #[must_use]
    pub fn group_by<C: Into<String>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.group_by.extend(columns.into_iter().map(C::into));
        self
    }

    /// What holds of a group: a condition in SQL, and the values of its parameters. Only with a
    /// [`group_by`](Self::group_by).
    #[must_use]
    pub fn having(mut self, condition: impl Into<String>, args: impl IntoArgs) -> Self {
        self.having = Some((condition.into(), args.into_args()));
        self
    }

    /// The index by which rows are found. If it cannot be used, that is an error.
    #[must_use]
    pub fn indexed_by(mut self, index: impl Into<String>) -> Self {
        self.index = Some(index.into());
        self
    }
}
