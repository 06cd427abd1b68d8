//! Rebuild: what an open does about a store that is known to be damaged.
//!
//! Whoever meets damage records it with the store; with a replica nobody does who reads what that has. The next open, and
//! no other moment, acts on that: it heals the environment from its replica if it has one, looks whether the
//! damage is still there, and sets the store aside if it is allowed to. What is set aside is a SQL file of its own, which nobody deletes.

use cairn_env::{EnvResult, Environment, Transaction};

use super::{
    RdbStore,
    file::{Access, connect},
    open::{finish_creation, put_record, put_record_in, record},
};
use crate::{
    RdbError, RdbResult, RebuildType, SqlFiles,
    names::MAX_STORE_NAME_LENGTH,
    record::{Pending, StoreRecord},
};

impl RdbStore {
    /// Brings a store that is damaged back from the replica of its environment, in use: the files that are damaged get
    /// the bytes that the replica has of them. A replica has every commit that was acknowledged, so nothing is lost,
    /// and a store that is whole stays what it is.
    ///
    /// # Errors
    /// [`RdbError::NoReplica`] if its environment has none; [`RdbError::Damaged`] if the replica does not have what is
    /// damaged; [`RdbError::NotSupported`] if this handle only reads; [`RdbError::AlreadyClosed`].
    pub fn restore_from_replica(&self) -> RdbResult<()> {
        self.check_writable()?;
        let (env, name) = (&self.shared.env, self.name());
        if env.heal_from_replica()?.is_none() {
            return Err(RdbError::NoReplica);
        }
        let record = record(env, name)?;
        if !is_whole(env, name) {
            let damage = record.damage.unwrap_or_else(|| "SQLite cannot read all of it".into());
            return Err(RdbError::Damaged { store: name.into(), damage });
        }
        if record.damage.is_some() {
            put_record(env, name, &record.damaged(None))?;
        }
        Ok(())
    }
}

/// Acts on the damage that is recorded of a store.
///
/// # Errors
/// [`RdbError::Damaged`] if it is still there, and the store is not to be rebuilt.
pub(super) fn rebuild(
    env: &Environment,
    name: &str,
    record: &StoreRecord,
    allow_rebuild: bool,
) -> RdbResult<RebuildType> {
    let Some(damage) = &record.damage else { return Ok(RebuildType::None) };
    // What cannot be healed stays as it is, and is told below.
    let healed = env.heal_from_replica().ok().flatten();
    if is_whole(env, name) {
        put_record(env, name, &record.damaged(None))?;
        // Whoever reads is served by the replica, and what it was served is healed in the background.
        let has_healed = healed.is_some() && !env.healed()?.is_empty();
        return Ok(if has_healed { RebuildType::Repaired } else { RebuildType::None });
    }
    if !allow_rebuild {
        return Err(RdbError::Damaged { store: name.into(), damage: damage.clone() });
    }
    let creating = record.damaged(None).with(Some(Pending::Creating));
    let aside = aside(env, name)?;
    let also = |txn: &mut Transaction| -> EnvResult<()> { put_record_in(txn, name, &creating) };
    SqlFiles::of(env).set_aside(name, &aside, also)?;
    finish_creation(env, name, &creating)?;
    Ok(RebuildType::Rebuilt)
}

/// Takes note of damage, so that the next open acts on it. What counts is what the caller is told of it now, so this
/// fails silently: whoever meets the damage next notes it.
pub(super) fn note_damage(env: &Environment, name: &str) {
    let Some(damage) = SqlFiles::of(env).take_damage(name) else { return };
    if env.options().read_only || !env.is_valid() {
        return;
    }
    if let Ok(known) = record(env, name)
        && known.damage.is_none()
    {
        put_record(env, name, &known.damaged(Some(damage))).unwrap_or_default();
    }
}

/// Whether SQLite can read all of a store, and finds nothing wrong.
fn is_whole(env: &Environment, name: &str) -> bool {
    let check = || -> RdbResult<bool> {
        let connection = connect(env, name, Access::ReadOnly)?;
        let found = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0));
        let found: String = found.map_err(RdbError::of_sqlite)?;
        Ok(found == "ok")
    };
    let is_whole = check().unwrap_or(false);
    SqlFiles::of(env).take_damage(name); // what was met now is dealt with now
    is_whole
}

/// A name for what is set aside.
fn aside(env: &Environment, name: &str) -> RdbResult<String> {
    let files = SqlFiles::of(env);
    let mut beginning = name;
    while beginning.len() > MAX_STORE_NAME_LENGTH - 32 {
        let mut chars = beginning.chars();
        chars.next_back();
        beginning = chars.as_str();
    }
    for number in 1.. {
        let aside = format!("{beginning}.damaged-{number}");
        if !files.exists(&aside)? {
            return Ok(aside);
        }
    }
    Err(RdbError::args("so many damaged stores"))
}
