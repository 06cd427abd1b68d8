//! `Cursor`: a statement that is stepped through, with the connection that it belongs to.
//!
//! Rows borrow their statement, and a statement its connection; here one thing owns all three.

use std::{fmt, ops::Deref, rc::Rc};

use rusqlite::{CachedStatement, Rows};
use self_cell::{MutBorrow, self_cell};

use crate::{
    RdbError, RdbResult, Row, Value,
    conn::Conn,
    row::{Columns, columns_of, values_of},
    store::Lease,
};

/// Whose connection it is.
pub(super) enum Source<'t> {
    /// Its own, which shows one commit and no other.
    Own(Box<Lease>),
    /// That of a transaction.
    Of(&'t Conn),
}

impl Source<'_> {
    /// Has its own connection show the newest commit, from the first row on, for as long as there is one.
    pub(super) fn of_lease(lease: Lease) -> RdbResult<Self> {
        lease.control("BEGIN DEFERRED")?;
        lease.refresh_schemas()?;
        Ok(Self::Own(Box::new(lease)))
    }
}

impl Deref for Source<'_> {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        match self {
            Self::Own(lease) => lease,
            Self::Of(conn) => conn,
        }
    }
}

type SharedSource<'t> = Rc<Source<'t>>;
type PreparedMut<'t> = MutBorrow<Prepared<'t>>;

self_cell!(
    struct Prepared<'t> {
        owner: SharedSource<'t>,
        #[not_covariant]
        dependent: CachedStatement,
    }
);

self_cell!(
    struct Stepping<'t> {
        owner: PreparedMut<'t>,
        #[not_covariant]
        dependent: Rows,
    }
);

/// A query that is stepped through, from its first row on, as often as need be.
pub(super) struct Cursor<'t> {
    source: SharedSource<'t>,
    state: State<'t>,
    sql: String,
    args: Vec<Value>,
    /// How many rows it has stepped over.
    stepped: u64,
    /// The names of its columns, when there was a row.
    columns: Option<Columns>,
}

enum State<'t> {
    /// Before its first row.
    Ready(Prepared<'t>),
    Stepping(Stepping<'t>),
    /// Between the two.
    Moving,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(source: Source<'t>, sql: &str, args: Vec<Value>) -> RdbResult<Self> {
        let source = Rc::new(source);
        let prepared =
            Prepared::try_new(Rc::clone(&source), |source| source.prepare_query(sql, &args))?;
        let state = State::Ready(prepared);
        Ok(Self { source, state, sql: sql.into(), args, stepped: 0, columns: None })
    }

    pub(super) fn source(&self) -> &Source<'t> {
        &self.source
    }

    /// How many rows it has stepped over since it began.
    pub(super) const fn stepped(&self) -> u64 {
        self.stepped
    }

    /// The next row; `None` after the last one.
    pub(super) fn step(&mut self) -> RdbResult<Option<Row>> {
        self.state = match std::mem::replace(&mut self.state, State::Moving) {
            State::Ready(prepared) => {
                State::Stepping(Stepping::new(MutBorrow::new(prepared), |prepared| {
                    prepared.borrow_mut().with_dependent_mut(|_, statement| statement.raw_query())
                }))
            }
            other => other,
        };
        let State::Stepping(stepping) = &mut self.state else { return Ok(None) };
        let columns = &mut self.columns;
        let row = stepping.with_dependent_mut(|_, rows| {
            let Some(row) = rows.next().map_err(RdbError::of_sqlite)? else { return Ok(None) };
            let columns = columns.get_or_insert_with(|| columns_of(row.as_ref()));
            let values = values_of(row, columns.len())?;
            Ok::<_, RdbError>(Some(Row::new(Columns::clone(columns), values)))
        })?;
        self.stepped += u64::from(row.is_some());
        Ok(row)
    }

    /// Goes before the first row.
    pub(super) fn rewind(&mut self) {
        self.stepped = 0;
        self.state = match std::mem::replace(&mut self.state, State::Moving) {
            State::Stepping(stepping) => State::Ready(stepping.into_owner().into_inner()),
            other => other,
        };
    }

    /// The names of its columns, after the first step. A statement that was prepared before the schema has changed
    /// learns of it by its first row; if there is none, it is prepared anew for them.
    pub(super) fn columns(&self) -> RdbResult<Columns> {
        match &self.columns {
            Some(columns) => Ok(Columns::clone(columns)),
            None => {
                let prepared = self.source.sqlite.prepare(&self.sql);
                Ok(columns_of(&prepared.map_err(RdbError::of_sqlite)?))
            }
        }
    }

    /// How many rows there are: they are all stepped over, beside where it stands.
    pub(super) fn count(&self) -> RdbResult<u64> {
        let mut statement = self.source.prepare_query(&self.sql, &self.args)?;
        let (mut rows, mut count) = (statement.raw_query(), 0);
        while rows.next().map_err(RdbError::of_sqlite)?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}

impl fmt::Debug for Cursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({} rows)", self.stepped)
    }
}
