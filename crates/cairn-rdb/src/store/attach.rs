//! Attaching other stores of the environment to one, under an alias.

use super::{Lane, Lease, RdbStore, open};
use crate::{RdbError, RdbResult, names};

impl RdbStore {
    /// Attaches another store of the environment under an alias: its tables are called `alias.table` in statements and
    /// predicates of this one, and a transaction over both is atomic. Returns how many are attached now.
    ///
    /// It holds for all handles of the store in this process, for what begins after it, until it is detached or the
    /// store is closed.
    ///
    /// ```
    /// use cairn_rdb::{RdbConfig, RdbStore, SecurityLevel};
    ///
    /// let (env, _) = cairn_env::Environment::in_memory(cairn_env::Options::default())?;
    /// let shop = RdbStore::open(&env, RdbConfig::new("shop", SecurityLevel::S1))?;
    /// let old = RdbStore::open(&env, RdbConfig::new("old", SecurityLevel::S1))?;
    /// old.execute_sql("CREATE TABLE tea(name)", ())?;
    /// old.execute_sql("INSERT INTO tea VALUES ('mint')", ())?;
    /// assert_eq!(shop.attach("old", "before")?, 1);
    /// shop.execute_sql("CREATE TABLE tea AS SELECT * FROM before.tea", ())?;
    /// assert_eq!(shop.detach("before")?, 0);
    /// # Ok::<(), cairn_rdb::RdbError>(())
    /// ```
    ///
    /// # Errors
    /// [`RdbError::InvalidName`] for an alias that SQLite or the name of a table could not have;
    /// [`RdbError::AliasExists`]; [`RdbError::StoreNotFound`]; [`RdbError::Sqlite`] if there are more than SQLite
    /// attaches, which is 10; [`RdbError::Busy`]; [`RdbError::AlreadyClosed`].
    pub fn attach(&self, store: &str, alias: &str) -> RdbResult<usize> {
        names::check_alias(alias)?;
        self.shared.check_open()?;
        let is_in_use = open::while_recorded(&self.shared.env, store, || {
            self.shared.change_settings(|settings| {
                let mut aliases = settings.attached.keys();
                let is_in_use = aliases.any(|used| used.eq_ignore_ascii_case(alias));
                if !is_in_use {
                    settings.attached.insert(alias.into(), store.into());
                }
                is_in_use
            })
        })?;
        if is_in_use {
            return Err(RdbError::AliasExists { alias: alias.into() });
        }
        // A connection that has it shows that it can be had.
        if let Err(error) = Lease::take(&self.shared, Lane::Reader) {
            self.shared.change_settings(|settings| settings.attached.remove(alias));
            return Err(error);
        }
        Ok(self.attached())
    }

    /// Detaches a store that is attached under an alias; returns how many are attached now. An alias that is not in use
    /// is no error. Result sets and transactions that have begun keep it.
    ///
    /// # Errors
    /// [`RdbError::AlreadyClosed`].
    pub fn detach(&self, alias: &str) -> RdbResult<usize> {
        self.shared.check_open()?;
        self.shared.change_settings(|settings| {
            settings.attached.retain(|used, _| !used.eq_ignore_ascii_case(alias));
        });
        Ok(self.attached())
    }

    fn attached(&self) -> usize {
        self.shared.settings().attached.len()
    }
}
