//! `ResultSet`: the rows that a query answers, and a position among them.
//!
//! `cursor` steps through them, `window` keeps some of them, `access` reads the one that it stands on.

mod access;
mod cursor;
mod window;

use std::{fmt, sync::Arc};

use crate::{
    FromRow, RdbError, RdbResult, Row, Value,
    conn::Conn,
    row::Columns,
    store::{Lane, Lease, ResultSlot, Shared},
};
use cursor::{Cursor, Source};
use window::Window;

/// The rows that a query answers, as the store was when it was asked: they never change. There is a position among
/// them, before the first one to begin with.
///
/// Rows are found when they are moved to, so the first one is there at once however many follow, and memory does not
/// grow with them: about 2 MiB of those around the position are kept. Going back beyond these begins again with the
/// first row, so of large results it is dear; so is [`row_count`](Self::row_count), which goes over all of them once.
/// Whoever asks for what is random asks anew then.
///
/// It has a connection of its own, and whatever it shows is kept in the environment as long as it is open:
/// [`close`](Self::close) it, or drop it. It ends when its store is closed or deleted: everything answers
/// [`RdbError::AlreadyClosed`]. That of a transaction uses the transaction's connection, and ends with that. It stays in
/// its thread.
///
/// ```
/// use cairn_rdb::{RdbConfig, RdbStore, SecurityLevel};
///
/// let (env, _) = cairn_env::Environment::in_memory(cairn_env::Options::default())?;
/// let store = RdbStore::open(&env, RdbConfig::new("shop", SecurityLevel::S1))?;
/// store.execute_sql("CREATE TABLE tea(name TEXT, price REAL)", ())?;
/// store.execute_sql("INSERT INTO tea VALUES ('green', 2.5), ('mint', NULL)", ())?;
///
/// let mut teas = store.query_sql("SELECT name, price FROM tea ORDER BY name", ())?;
/// store.execute_sql("DELETE FROM tea", ())?;
/// assert_eq!((teas.row_count()?, teas.row_index()?), (2, None));
/// while teas.go_to_next_row()? {
///     let price = if teas.is_column_null(1)? { 0.0 } else { teas.get_double(1)? };
///     println!("{}: {price}", teas.get_string(0)?);
/// }
/// assert!(teas.is_ended()?);
/// # Ok::<(), cairn_rdb::RdbError>(())
/// ```
#[must_use = "a result set shows nothing unless it is moved"]
pub struct ResultSet<'t> {
    store: Arc<Shared>,
    /// The content of the store that it shows.
    epoch: u64,
    /// `None` when it is closed.
    cursor: Option<Cursor<'t>>,
    window: Window,
    columns: Columns,
    place: Place,
    count: Option<u64>,
    slot: Option<ResultSlot>,
}

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    BeforeFirst,
    On(u64),
    /// How many there are is known then.
    AfterLast,
}

impl ResultSet<'static> {
    pub(crate) fn of_store(store: &Arc<Shared>, sql: &str, args: Vec<Value>) -> RdbResult<Self> {
        let slot = ResultSlot::take(store)?;
        let epoch = store.epoch();
        let source = Source::of_lease(Lease::take(store, Lane::Reader)?)?;
        Self::new(store, epoch, Cursor::new(source, sql, args)?, Some(slot))
    }
}

impl<'t> ResultSet<'t> {
    pub(crate) fn of_transaction(
        store: &Arc<Shared>,
        conn: &'t Conn,
        sql: &str,
        args: Vec<Value>,
    ) -> RdbResult<Self> {
        Self::new(store, store.epoch(), Cursor::new(Source::Of(conn), sql, args)?, None)
    }

    /// The first row is found now: from then on it is settled which commit is shown.
    fn new(
        store: &Arc<Shared>,
        epoch: u64,
        mut cursor: Cursor<'t>,
        slot: Option<ResultSlot>,
    ) -> RdbResult<Self> {
        let mut window = Window::default();
        let first = cursor.step()?;
        let count = first.is_none().then_some(0);
        first.into_iter().for_each(|row| window.push(row, 0));
        let columns = cursor.columns()?;
        Ok(Self {
            store: Arc::clone(store),
            epoch,
            cursor: Some(cursor),
            window,
            columns,
            place: Place::BeforeFirst,
            count,
            slot,
        })
    }

    fn cursor(&self) -> RdbResult<&Cursor<'t>> {
        let closed = |what| RdbError::AlreadyClosed { what };
        let cursor = self.cursor.as_ref().ok_or(closed("result set"))?;
        if self.store.epoch() != self.epoch {
            return Err(closed("store of the result set"));
        }
        if !cursor.source().is_in_transaction() {
            return Err(closed("transaction of the result set"));
        }
        Ok(cursor)
    }

    fn cursor_mut(&mut self) -> RdbResult<&mut Cursor<'t>> {
        self.cursor()?;
        self.cursor.as_mut().ok_or(RdbError::AlreadyClosed { what: "result set" })
    }

    /// How many rows there are. Goes over all, the first time.
    ///
    /// # Errors
    /// [`RdbError::AlreadyClosed`], and if something cannot be read.
    pub fn row_count(&mut self) -> RdbResult<u64> {
        let cursor = self.cursor()?;
        let count = match self.count {
            Some(count) => count,
            None => cursor.count()?,
        };
        self.count = Some(count);
        Ok(count)
    }

    /// The number of the row that it stands on, from 0; `None` before the first and after the last one.
    ///
    /// # Errors
    /// [`RdbError::AlreadyClosed`].
    pub fn row_index(&self) -> RdbResult<Option<u64>> {
        self.cursor()?;
        Ok(match self.place {
            Place::On(row) => Some(row),
            Place::BeforeFirst | Place::AfterLast => None,
        })
    }

    /// Moves to the first row; returns whether there is one.
    ///
    /// # Errors
    /// [`RdbError::AlreadyClosed`], and if something cannot be read: then it stands before the first row.
    pub fn go_to_first_row(&mut self) -> RdbResult<bool> {
        self.go_to_row(0)
    }

    /// Moves to the last row; returns whether there is one. Counts them.
    ///
    /// # Errors
    /// As [`ResultSet::go_to_first_row`].
    pub fn go_to_last_row(&mut self) -> RdbResult<bool> {
        let count = self.row_count()?;
        self.go_to_row(count.saturating_sub(1))
    }

    /// Moves to the next row; returns whether there is one. If not it stands after the last one.
    ///
    /// # Errors
    /// As [`ResultSet::go_to_first_row`].
    pub fn go_to_next_row(&mut self) -> RdbResult<bool> {
        self.go_to(1)
    }

    /// Moves to the previous row; returns whether there is one. If not it stands before the first one.
    ///
    /// # Errors
    /// As [`ResultSet::go_to_first_row`].
    pub fn go_to_previous_row(&mut self) -> RdbResult<bool> {
        self.go_to(-1)
    }

    /// Moves by so many rows, backwards if negative; returns whether there is one. If not it stands before the first
    /// one, or after the last.
    ///
    /// # Errors
    /// As [`ResultSet::go_to_first_row`].
    pub fn go_to(&mut self, offset: i64) -> RdbResult<bool> {
        self.cursor()?;
        // Before the first one it stands on none, and the first step leads to it.
        let (row, offset) = match self.place {
            Place::BeforeFirst if offset <= 0 => return Ok(false),
            Place::BeforeFirst => (0, offset - 1),
            Place::On(row) => (row, offset),
            Place::AfterLast => (self.count.unwrap_or_default(), offset),
        };
        match row.checked_add_signed(offset) {
            Some(row) => self.go_to_row(row),
            None if offset < 0 => {
                self.place = Place::BeforeFirst;
                Ok(false)
            }
            None => self.go_to_row(u64::MAX),
        }
    }

    /// Moves to the row with this number, from 0; returns whether there is one. If not it stands after the last one.
    ///
    /// # Errors
    /// As [`ResultSet::go_to_first_row`].
    pub fn go_to_row(&mut self, row: u64) -> RdbResult<bool> {
        let found = self.find(row, row)?;
        self.place = match found {
            true => Place::On(row),
            false => Place::AfterLast,
        };
        Ok(found)
    }

    /// Whether it stands on the first row.
    ///
    /// # Errors
    /// [`RdbError::AlreadyClosed`].
    pub fn is_at_first_row(&self) -> RdbResult<bool> {
        Ok(self.row_index()? == Some(0))
    }

    /// Whether it stands on the last row. Looks whether there is another one.
    ///
    /// # Errors
    /// As [`ResultSet::go_to_first_row`].
    pub fn is_at_last_row(&mut self) -> RdbResult<bool> {
        match self.row_index()? {
            Some(row) => Ok(!self.find(row + 1, row)?),
            None => Ok(false),
        }
    }

    /// Whether it has been moved to a row, and not back before the first one.
    ///
    /// # Errors
    /// [`RdbError::AlreadyClosed`].
    pub fn is_started(&self) -> RdbResult<bool> {
        self.cursor()?;
        Ok(self.place != Place::BeforeFirst)
    }

    /// Whether it stands after the last row; there being none counts as well.
    ///
    /// # Errors
    /// [`RdbError::AlreadyClosed`].
    pub fn is_ended(&self) -> RdbResult<bool> {
        self.cursor()?;
        Ok(self.place == Place::AfterLast || self.count == Some(0))
    }

    /// Looks for a row; `kept` is not to go for others. After an error nothing is known any more.
    fn find(&mut self, row: u64, kept: u64) -> RdbResult<bool> {
        self.cursor()?;
        let found = self.step_to(row, kept);
        if found.is_err() {
            self.window.clear();
            self.place = Place::BeforeFirst;
            self.cursor.iter_mut().for_each(Cursor::rewind);
        }
        found
    }

    fn step_to(&mut self, row: u64, kept: u64) -> RdbResult<bool> {
        if self.count.is_some_and(|count| row >= count) {
            return Ok(false);
        }
        if self.window.is_past(row) {
            self.window.clear();
            self.cursor_mut()?.rewind();
        }
        while self.window.row(row).is_none() {
            let cursor = self.cursor_mut()?;
            let number = cursor.stepped();
            match cursor.step()? {
                Some(found) => self.window.push(found, kept.min(number)),
                None => {
                    self.count = Some(number);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The rows behind its position as a type; the position moves along. After an error there are no more.
    ///
    /// ```
    /// # use cairn_rdb::{RdbConfig, RdbStore, SecurityLevel};
    /// # let (env, _) = cairn_env::Environment::in_memory(cairn_env::Options::default())?;
    /// # let store = RdbStore::open(&env, RdbConfig::new("shop", SecurityLevel::S1))?;
    /// for pair in store.query_sql("VALUES (1, 'one'), (2, 'two')", ())?.rows() {
    ///     let (number, name): (i64, String) = pair?;
    ///     println!("{number} is {name}");
    /// }
    /// # Ok::<(), cairn_rdb::RdbError>(())
    /// ```
    pub fn rows<T: FromRow>(&mut self) -> impl Iterator<Item = RdbResult<T>> + use<'_, 't, T> {
        let mut failed = false;
        std::iter::from_fn(move || {
            if failed {
                return None;
            }
            let next = match self.go_to_next_row() {
                Ok(true) => Some(self.current().and_then(T::from_row)),
                Ok(false) => None,
                Err(error) => Some(Err(error)),
            };
            failed = matches!(next, Some(Err(_)));
            next
        })
    }

    /// At most so many rows, from the row with this number on, or from the one behind its position; it stands on the
    /// last of them then. (ArkData's `getRows`.)
    ///
    /// # Errors
    /// As [`ResultSet::go_to_first_row`].
    pub fn get_rows(&mut self, max: usize, from: Option<u64>) -> RdbResult<Vec<Row>> {
        let mut rows = Vec::new();
        while rows.len() < max {
            let found = match from {
                Some(row) if rows.is_empty() => self.go_to_row(row)?,
                _ => self.go_to_next_row()?,
            };
            if !found {
                break;
            }
            rows.push(self.get_row()?);
        }
        Ok(rows)
    }

    /// Closes it: it lets go of what it shows. Closing twice does nothing.
    pub fn close(&mut self) {
        self.cursor = None;
        self.window.clear();
        self.slot = None;
    }

    /// Whether it was closed, or has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.cursor().is_err()
    }
}

impl fmt::Debug for ResultSet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResultSet({:?}, {:?})", self.store, self.place)
    }
}
