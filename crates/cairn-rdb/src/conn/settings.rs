//! `Settings`: what all connections of a store have in common: pragmas that are about a connection, and the
//! stores that are attached.

use std::{collections::BTreeMap, sync::Arc};

use cairn_env::Environment;

use super::Conn;
use crate::{RdbError, RdbResult, names::quoted, observer::Order, store::file::attach_name};

/// Pragmas that are about a connection: executed on a store they hold for all of its connections.
const SHARED: &[&str] = &[
    "automatic_index",
    "cache_size",
    "cache_spill",
    "case_sensitive_like",
    "cell_size_check",
    "checkpoint_fullfsync",
    "foreign_keys",
    "fullfsync",
    "ignore_check_constraints",
    "legacy_alter_table",
    "max_page_count",
    "recursive_triggers",
    "reverse_unordered_selects",
    "secure_delete",
    "soft_heap_limit",
    "synchronous",
    "temp_store",
    "threads",
    "trusted_schema",
];

/// Pragmas that nobody but this crate executes.
const REFUSED: &[&str] = &[
    "busy_timeout",
    "journal_mode",
    "locking_mode",
    "query_only",
    "read_uncommitted",
    "writable_schema",
];

/// What a pragma that is given a value is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// Whoever executes it.
    Connection,
    /// The content of the store.
    Store,
    /// What this crate relies on.
    Nobody,
}

impl About {
    pub(crate) fn pragma(name: &str) -> Self {
        match name {
            _ if SHARED.contains(&name) => Self::Connection,
            _ if REFUSED.contains(&name) => Self::Nobody,
            _ => Self::Store,
        }
    }
}

/// What all connections of a store have in common.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Settings {
    /// By the name of the pragma, the statement.
    pub(crate) pragmas: BTreeMap<String, String>,
    /// By alias, the name of the store.
    pub(crate) attached: BTreeMap<String, String>,
}

impl Settings {
    /// The schemas of a connection that others see.
    pub(super) fn schemas(&self) -> impl Iterator<Item = &str> {
        self.attached.keys().map(String::as_str).chain(["main"])
    }
}

impl Conn {
    /// Makes its settings those of its store. It is within no transaction.
    pub(crate) fn set(
        &mut self,
        env: &Environment,
        wanted: &Arc<Settings>,
        order: impl Fn(&str) -> Arc<Order>,
    ) -> RdbResult<()> {
        if Arc::ptr_eq(&self.wanted, wanted) {
            return Ok(());
        }
        let mut settings = std::mem::take(&mut self.settings);
        let result = self.go_over(env, &mut settings, wanted, order);
        self.settings = settings;
        result?;
        self.wanted = Arc::clone(wanted);
        Ok(())
    }

    fn go_over(
        &mut self,
        env: &Environment,
        have: &mut Settings,
        wanted: &Settings,
        order: impl Fn(&str) -> Arc<Order>,
    ) -> RdbResult<()> {
        if have.attached != wanted.attached {
            self.forget_statements(); // one that is prepared would stand in the way of a detach
        }
        let is_wanted = |alias: &String, store: &String| wanted.attached.get(alias) == Some(store);
        let gone = have.attached.iter().filter(|(alias, store)| !is_wanted(alias, store));
        let gone: Vec<String> = gone.map(|(alias, _)| alias.clone()).collect();
        for alias in gone {
            self.control(&format!("DETACH {}", quoted(&alias)))?;
            self.capture.detach(&alias);
            have.attached.remove(&alias);
        }
        for (alias, store) in &wanted.attached {
            if have.attached.contains_key(alias) {
                continue;
            }
            let sql = format!("ATTACH ? AS {}", quoted(alias));
            let name = attach_name(env, store);
            self.sqlite.execute(&sql, [name]).map_err(RdbError::of_sqlite)?;
            self.capture.attach(alias, order(store));
            have.attached.insert(alias.clone(), store.clone());
        }
        for (name, sql) in &wanted.pragmas {
            if have.pragmas.get(name) != Some(sql) {
                self.first_value(sql, &[])?;
                have.pragmas.insert(name.clone(), sql.clone());
            }
        }
        Ok(())
    }

    /// Whether stores are attached.
    pub(crate) fn has_attached(&self) -> bool {
        !self.settings.attached.is_empty()
    }

    /// Learns of tables that others have made. SQLite looks for a name in one database after the other, as it knows
    /// them, and asks whether it knows the newest tables only of that in which it has found the name: a table of an
    /// attached store would be taken for a new one of this store. To read the tables of each is to ask of each.
    pub(crate) fn refresh_schemas(&self) -> RdbResult<()> {
        if !self.has_attached() {
            return Ok(());
        }
        let mut versions = BTreeMap::new();
        for schema in self.settings.schemas() {
            let name = quoted(schema);
            let version = self.first_value(&format!("PRAGMA {name}.schema_version"), &[])?;
            versions.insert(schema.into(), version);
            self.first_value(&format!("SELECT 1 FROM {name}.sqlite_schema"), &[])?;
        }
        if *self.versions.borrow() != versions {
            self.forget_statements(); // they may mean other tables now
            *self.versions.borrow_mut() = versions;
        }
        Ok(())
    }
}
