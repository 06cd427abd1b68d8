//! `Capture`: what a connection has changed since its last commit, and what of it was committed.
//!
//! SQLite calls hooks: for a row that changes, before a commit, after a rollback. It does not say which of these rows
//! a statement that fails, or a savepoint, undoes: whoever executes statements marks where they begin.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use cairn_env::MAX_QUEUED_CHANGES;
use rusqlite::{Connection, hooks::Action};

use super::{ChangeNotification, Order, Outcome, TableChanges, order::Ticket};
use crate::{RdbError, RdbResult, sync::lock};

/// What a connection has changed.
#[derive(Debug)]
pub(crate) struct Capture {
    captured: Arc<Mutex<Captured>>,
    is_on: bool,
}

#[derive(Debug, Default)]
struct Captured {
    /// Who is told of the changes in which schema.
    orders: Vec<(String, Arc<Order>)>,
    /// Schema and name of each table that has changed.
    tables: Vec<(String, String)>,
    entries: Vec<Entry>,
    /// Whether the statement that is executed may put rows in the place of others.
    replaces: bool,
    /// There were more than are kept.
    is_too_much: bool,
    /// Of the commit that is going on.
    tickets: Vec<(String, Arc<Order>, Ticket)>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The number of its table.
    table: usize,
    /// What has become of which row; `None`: there are rows that have changed and are not listed.
    row: Option<(i64, State)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Inserted,
    /// Inserted, or in the place of another one under its rowid.
    Put,
    Updated,
    Deleted,
}

impl Capture {
    pub(crate) fn new(order: Arc<Order>) -> Self {
        let orders = vec![("main".into(), order)];
        let captured = Captured { orders, ..Captured::default() };
        Self { captured: Arc::new(Mutex::new(captured)), is_on: false }
    }

    /// Another store was attached, or detached.
    pub(crate) fn attach(&self, alias: &str, order: Arc<Order>) {
        lock(&self.captured).orders.push((alias.into(), order));
    }

    pub(crate) fn detach(&self, alias: &str) {
        lock(&self.captured).orders.retain(|(schema, _)| schema != alias);
    }

    /// Whether anybody wants to be told.
    pub(crate) fn is_wanted(&self) -> bool {
        lock(&self.captured).orders.iter().any(|(_, order)| order.has_observers())
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.is_on
    }

    /// Begins or ends to take down what a connection changes. It is within no transaction.
    pub(crate) fn switch(&mut self, connection: &mut Connection, is_on: bool) -> RdbResult<()> {
        let of = || Arc::clone(&self.captured);
        let (changing, committing, rolling_back) = (of(), of(), of());
        let update = move |action, schema: &str, table: &str, row| {
            lock(&changing).change(action, schema, table, row);
        };
        let commit = move || {
            lock(&committing).take_tickets();
            false // it may
        };
        let rollback = move || lock(&rolling_back).clear();
        connection.update_hook(is_on.then_some(update)).map_err(RdbError::of_sqlite)?;
        connection.commit_hook(is_on.then_some(commit)).map_err(RdbError::of_sqlite)?;
        connection.rollback_hook(is_on.then_some(rollback)).map_err(RdbError::of_sqlite)?;
        self.is_on = is_on;
        Ok(())
    }

    /// A statement begins, which may put rows in the place of others.
    pub(crate) fn begin_statement(&self, replaces: bool) {
        lock(&self.captured).replaces = replaces;
    }

    /// Where a statement begins.
    pub(crate) fn mark(&self) -> usize {
        lock(&self.captured).entries.len()
    }

    /// What was changed since was undone.
    pub(crate) fn undo_to(&self, mark: usize) {
        lock(&self.captured).entries.truncate(mark);
    }

    /// A table has changed, and it is not known in which rows.
    pub(crate) fn note_missed(&self, schema: &str, table: &str) {
        lock(&self.captured).add(schema, table, None);
    }

    /// After a call: tells of what it has committed. One that has not is as good as none, and may be repeated
    /// within its transaction.
    pub(crate) fn settle(&self, is_in_transaction: bool, has_changed: bool) {
        let mut captured = lock(&self.captured);
        if is_in_transaction {
            return captured.withdraw();
        }
        if !self.is_on && has_changed {
            // Whoever has begun to observe meanwhile was not told of this.
            let observed = captured.orders.iter().filter(|(_, order)| order.has_observers());
            observed.for_each(|(_, order)| order.reset());
        }
        captured.tell();
        captured.clear();
    }
}

impl Captured {
    fn change(&mut self, action: Action, schema: &str, table: &str, row: i64) {
        let state = match action {
            Action::SQLITE_INSERT if self.replaces => State::Put,
            Action::SQLITE_INSERT => State::Inserted,
            Action::SQLITE_UPDATE => State::Updated,
            Action::SQLITE_DELETE => State::Deleted,
            _ => return self.add(schema, table, None),
        };
        self.add(schema, table, Some((row, state)));
    }

    fn add(&mut self, schema: &str, table: &str, row: Option<(i64, State)>) {
        if self.entries.len() >= MAX_QUEUED_CHANGES {
            self.is_too_much = true;
        }
        if self.is_too_much || !self.orders.iter().any(|(of, _)| of == schema) {
            return; // of a temporary table nobody is told
        }
        let is_it = |(of, name): &(String, String)| of == schema && name == table;
        let known = self.tables.iter().rposition(is_it);
        let table = known.unwrap_or_else(|| {
            self.tables.push((schema.into(), table.into()));
            self.tables.len() - 1
        });
        self.entries.push(Entry { table, row });
    }

    fn take_tickets(&mut self) {
        self.withdraw();
        let observed = self.orders.iter().filter(|(_, order)| order.has_observers());
        let ticket = |(schema, order): &(String, Arc<Order>)| {
            (schema.clone(), Arc::clone(order), order.submit())
        };
        self.tickets = observed.map(ticket).collect();
    }

    /// What was to be committed was not.
    fn withdraw(&mut self) {
        for (_, order, ticket) in self.tickets.drain(..) {
            order.resolve(ticket, Outcome::Nothing);
        }
    }

    fn clear(&mut self) {
        self.withdraw();
        self.entries.clear();
        self.tables.clear();
        self.is_too_much = false;
    }

    fn tell(&mut self) {
        for (schema, order, ticket) in std::mem::take(&mut self.tickets) {
            let outcome = match self.is_too_much {
                true => Outcome::Reset,
                false => match self.net(&schema) {
                    tables if tables.is_empty() => Outcome::Nothing,
                    tables => Outcome::Changed(Arc::new(ChangeNotification { tables })),
                },
            };
            order.resolve(ticket, outcome);
        }
    }

    /// What has become of the rows in a schema, whatever they were in between.
    fn net(&self, schema: &str) -> Vec<TableChanges> {
        let mut tables = BTreeMap::<&str, (BTreeMap<i64, State>, bool)>::new();
        for entry in &self.entries {
            let (of, name) = &self.tables[entry.table];
            if of != schema {
                continue;
            }
            let (rows, is_complete) = tables.entry(name).or_insert_with(|| (BTreeMap::new(), true));
            let Some((row, state)) = entry.row else {
                *is_complete = false;
                continue;
            };
            match then(rows.get(&row).copied(), state) {
                Some(state) => rows.insert(row, state),
                None => rows.remove(&row),
            };
        }
        let changes = tables.into_iter().map(|(table, (rows, is_complete))| {
            let mut changes =
                TableChanges { table: table.into(), is_complete, ..TableChanges::default() };
            for (row, state) in rows {
                match state {
                    State::Inserted | State::Put => changes.inserted.push(row),
                    State::Updated => changes.updated.push(row),
                    State::Deleted => changes.deleted.push(row),
                }
            }
            changes
        });
        let is_something = |table: &TableChanges| {
            let rows = table.inserted.len() + table.updated.len() + table.deleted.len();
            rows > 0 || !table.is_complete
        };
        changes.filter(is_something).collect()
    }
}

/// What has become of a row in all.
const fn then(before: Option<State>, state: State) -> Option<State> {
    use State::{Deleted, Inserted, Put, Updated};
    match (before, state) {
        (None, state) => Some(state),
        (Some(Inserted), Deleted) => None,
        (Some(Inserted), _) => Some(Inserted),
        (_, Deleted) => Some(Deleted),
        (Some(Put), _) => Some(Put),
        (Some(Updated | Deleted), _) => Some(Updated),
    }
}

#[cfg(test)]
mod tests {
    use super::{State::*, *};

    #[test]
    fn what_a_row_was_in_between_does_not_count() {
        for (states, net) in [
            (&[Inserted, Updated][..], Some(Inserted)),
            (&[Inserted, Deleted], None),
            (&[Inserted, Deleted, Inserted], Some(Inserted)),
            (&[Updated, Updated], Some(Updated)),
            (&[Updated, Deleted], Some(Deleted)),
            (&[Deleted, Inserted], Some(Updated)),
            (&[Deleted, Inserted, Deleted], Some(Deleted)),
            (&[Updated, Put], Some(Updated)),
            (&[Inserted, Put], Some(Inserted)),
            (&[Put, Updated], Some(Put)),
            (&[Put, Deleted], Some(Deleted)), // it may have been there before
        ] {
            let then = |before, state: &State| then(before, *state);
            assert_eq!(states.iter().fold(None, then), net, "{states:?}");
        }
    }

    #[test]
    fn more_rows_than_are_kept_become_one_reset() {
        let order = Arc::new(Order::default());
        let queue = order.join();
        let capture = Capture::new(Arc::clone(&order));
        for row in 0..=MAX_QUEUED_CHANGES {
            lock(&capture.captured).change(Action::SQLITE_INSERT, "main", "t", row as i64);
        }
        lock(&capture.captured).take_tickets();
        capture.settle(false, true);
        assert_eq!(queue.take(), Some(super::super::StoreEvent::Reset));
        assert_eq!(queue.take(), None);
    }
}
