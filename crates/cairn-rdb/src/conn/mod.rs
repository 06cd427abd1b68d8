//! `Conn`: a connection to a store, which knows its statements and what its writes have changed.
//!
//! `kind` says what a statement does, `query` asks, `run` executes statements, `write` makes them of rows; `settings` are what
//! all connections of a store have in common.

mod kind;
mod query;
mod run;
mod settings;
mod traits;
mod write;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use cairn_env::Environment;
use rusqlite::{CachedStatement, Connection};

use kind::{Kind, Known};
pub(crate) use run::Executed;
pub(crate) use settings::Settings;

use crate::{
    RdbError, RdbResult, Value,
    error::beginning,
    observer::{Capture, Order},
    store::file::{Access, connect},
    sync::lock,
};
use kind::Seen;

/// So many statements stay prepared on a connection.
const STATEMENTS: usize = 64;
/// Of so many statements it is known what they do.
const KNOWN: usize = 256;

/// A connection to a store.
pub(crate) struct Conn {
    pub(crate) sqlite: Connection,
    seen: Arc<Mutex<Seen>>,
    known: RefCell<BTreeMap<String, Arc<Known>>>,
    /// What observers are to be told, and whether there are any.
    pub(crate) capture: Capture,
    /// The settings that it has.
    settings: Settings,
    /// What those are that it was given last.
    wanted: Arc<Settings>,
    /// By schema, the version of its tables, when it has attached any.
    versions: RefCell<BTreeMap<String, Option<Value>>>,
}

impl Conn {
    /// Opens a connection to the file of a store.
    pub(crate) fn open(
        env: &Environment,
        file: &str,
        access: Access,
        order: Arc<Order>,
    ) -> RdbResult<Self> {
        let mut sqlite = connect(env, file, access)?;
        sqlite.set_prepared_statement_cache_capacity(STATEMENTS);
        let seen = Seen::watch(&mut sqlite)?;
        Ok(Self {
            sqlite,
            seen,
            known: RefCell::default(),
            capture: Capture::new(order),
            settings: Settings::default(),
            wanted: Arc::default(),
            versions: RefCell::default(),
        })
    }

    /// Makes it report what it changes if anybody wants to know.
    pub(crate) fn watch_changes(&mut self) -> RdbResult<()> {
        let is_wanted = self.capture.is_wanted();
        if self.capture.is_on() != is_wanted {
            lock(&self.seen).is_observed = is_wanted;
            self.capture.switch(&mut self.sqlite, is_wanted)?;
            self.forget_statements(); // those that are prepared would delete all rows without telling
        }
        Ok(())
    }

    fn forget_statements(&self) {
        self.known.borrow_mut().clear();
        self.sqlite.flush_prepared_statement_cache();
    }

    /// Prepares a statement, or finds it prepared.
    pub(crate) fn prepare(&self, sql: &str) -> RdbResult<(CachedStatement<'_>, Arc<Known>)> {
        let has_no_room = self.known.borrow().len() >= KNOWN;
        if has_no_room {
            self.forget_statements();
        }
        lock(&self.seen).begin();
        let statement = self.sqlite.prepare_cached(sql).map_err(RdbError::of_sqlite)?;
        let is_prepared_anew = !lock(&self.seen).is_idle();
        let known = self.known.borrow().get(sql).filter(|_| !is_prepared_anew).cloned();
        let known = match known {
            Some(known) => known,
            None => {
                let is_mixed = lock(&self.seen).is_mixed(&statement);
                let new = match is_mixed {
                    true => self.what_is(sql)?,
                    false => lock(&self.seen).known(&statement),
                };
                let new = Arc::new(new);
                self.known.borrow_mut().insert(sql.into(), Arc::clone(&new));
                new
            }
        };
        match known.kind {
            Kind::Empty => Err(RdbError::args("there is no statement in the text")),
            _ => Ok((statement, known)),
        }
    }

    /// What a statement does, after everything that has to be prepared once for it was.
    fn what_is(&self, sql: &str) -> RdbResult<Known> {
        drop(self.sqlite.prepare(sql).map_err(RdbError::of_sqlite)?);
        lock(&self.seen).begin();
        let statement = self.sqlite.prepare(sql).map_err(RdbError::of_sqlite)?;
        let known = lock(&self.seen).known(&statement);
        Ok(known)
    }

    /// Whether it is within a transaction.
    pub(crate) fn is_in_transaction(&self) -> bool {
        !self.sqlite.is_autocommit()
    }

    /// Rolls back whatever it is within.
    pub(crate) fn roll_back(&self) -> RdbResult<()> {
        if self.is_in_transaction() {
            self.control("ROLLBACK")?;
        }
        Ok(())
    }

    /// Begins what can be undone within a transaction; returns where.
    pub(crate) fn begin_savepoint(&self) -> RdbResult<usize> {
        self.control("SAVEPOINT cairn")?;
        Ok(self.capture.mark())
    }

    /// Ends the innermost savepoint, and keeps what was done since.
    pub(crate) fn release_savepoint(&self) -> RdbResult<()> {
        self.control("RELEASE cairn")
    }

    /// Ends the innermost savepoint, and undoes what was done since. An error may have ended the transaction, and it
    /// with that.
    pub(crate) fn undo_savepoint(&self, mark: usize) -> RdbResult<()> {
        if self.is_in_transaction() {
            self.control("ROLLBACK TO cairn")?;
            self.control("RELEASE cairn")?;
            self.capture.undo_to(mark);
        }
        Ok(())
    }

    /// Executes a statement that has no parameters and no result, of this crate.
    pub(crate) fn control(&self, sql: &str) -> RdbResult<()> {
        let mut statement = self.sqlite.prepare_cached(sql).map_err(RdbError::of_sqlite)?;
        statement.raw_execute().map(drop).map_err(RdbError::of_sqlite)
    }

    /// The first column of the first row.
    pub(crate) fn first_value(&self, sql: &str, args: &[&str]) -> RdbResult<Option<Value>> {
        let mut statement = self.sqlite.prepare_cached(sql).map_err(RdbError::of_sqlite)?;
        let params = rusqlite::params_from_iter(args);
        let mut rows = statement.query(params).map_err(RdbError::of_sqlite)?;
        let Some(row) = rows.next().map_err(RdbError::of_sqlite)? else { return Ok(None) };
        row.get_ref(0).map(Value::of_sqlite).map(Some).map_err(RdbError::of_sqlite)
    }
}

/// Gives a statement the values of its parameters.
fn bind(statement: &mut CachedStatement<'_>, args: &[Value]) -> RdbResult<()> {
    let needed = statement.parameter_count();
    if args.len() != needed {
        let given = args.len();
        return Err(RdbError::args(format!("{given} values for {needed} parameters")));
    }
    for (at, value) in args.iter().enumerate() {
        statement.raw_bind_parameter(at + 1, value.to_sqlite()).map_err(RdbError::of_sqlite)?;
    }
    Ok(())
}

/// An error for what only has its own calls.
fn refuse(sql: &str, kind: Kind) -> Option<RdbError> {
    let why = match kind {
        Kind::Transaction => {
            "transactions are begun by create_transaction, and end by its own calls"
        }
        Kind::Attach => "stores are attached by attach, and detached by detach",
        _ => return None,
    };
    Some(RdbError::SqlNotSupported { sql: beginning(sql), why })
}
