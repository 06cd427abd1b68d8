//! `StoreRecord`: what the environment knows of a store.
//!
//! It is an entry of the database `cairn.rdb`: under the name of the store, JSON. See `docs/format/rdb-store.md`.

use serde::{Deserialize, Serialize};

use crate::{HaMode, RdbConfig, RdbError, RdbResult, SecurityLevel};

const VERSION: u32 = 1;

/// What is recorded of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreRecord {
    version: u32,
    pub(crate) security_level: SecurityLevel,
    encrypt: bool,
    ha_mode: HaMode,
    /// What was begun and may not be done: whoever meets it goes on with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pending: Option<Pending>,
    /// What was met that is damaged, by whoever used the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) damage: Option<String>,
}

/// What takes more than one commit, since a file comes and goes in one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pending {
    /// Its file may not be there yet.
    Creating,
    /// Its file may be gone already.
    Deleting,
}

impl StoreRecord {
    /// The same, with this still to be done.
    pub(crate) fn with(&self, pending: Option<Pending>) -> Self {
        Self { pending, ..self.clone() }
    }

    /// The same, with this known to be damaged.
    pub(crate) fn damaged(&self, damage: Option<String>) -> Self {
        Self { damage, ..self.clone() }
    }

    /// What this configuration says.
    pub(crate) const fn of(config: &RdbConfig) -> Self {
        Self {
            version: VERSION,
            security_level: config.security_level,
            encrypt: config.encrypt,
            ha_mode: config.ha_mode,
            pending: None,
            damage: None,
        }
    }

    /// Its JSON.
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("it has only names that are text")
    }

    /// The record of `store` that is stored as `bytes`.
    pub(crate) fn decode(store: &str, bytes: &[u8]) -> RdbResult<Self> {
        let record: Self = serde_json::from_slice(bytes).map_err(|error| RdbError::Corrupt {
            store: store.into(),
            what: format!("the record of the store: {error}"),
        })?;
        if record.version != VERSION {
            let version = record.version;
            let what = format!("store {store:?} has version {version}; this one knows {VERSION}");
            return Err(RdbError::NotSupported { what });
        }
        Ok(record)
    }

    /// A configuration that opens the store as it is.
    pub(crate) fn config(&self, store: &str) -> RdbConfig {
        RdbConfig::new(store, self.security_level).encrypt(self.encrypt).ha_mode(self.ha_mode)
    }

    /// What is to be recorded when the store is opened with what `asked` says.
    ///
    /// # Errors
    /// [`RdbError::ConfigChanged`] if that is another store.
    pub(crate) fn reopened(&self, store: &str, asked: &Self) -> RdbResult<Self> {
        let changed = |option, recorded: String, asked: String| {
            Err(RdbError::ConfigChanged { store: store.into(), option, recorded, asked })
        };
        if self.encrypt != asked.encrypt {
            return changed("encrypt", self.encrypt.to_string(), asked.encrypt.to_string());
        }
        if self.security_level > asked.security_level {
            let of = |record: &Self| format!("{:?}", record.security_level);
            return changed("security level", of(self), of(asked));
        }
        Ok(asked.damaged(self.damage.clone()))
    }
}

/// The example of `docs/format/rdb-store.md`.
pub(crate) fn spec() -> (&'static str, String) {
    let record = StoreRecord::of(&RdbConfig::new("RdbTest.db", SecurityLevel::S3));
    let text = serde_json::to_string_pretty(&record).expect("it has only names that are text");
    ("rdb_record_example", format!("```json\n{text}\n```\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> RdbConfig {
        RdbConfig::new("s", SecurityLevel::S2)
    }

    #[test]
    fn a_record_survives_its_bytes_and_another_version_is_refused() {
        let mut record = StoreRecord::of(&config().ha_mode(HaMode::MainReplica));
        assert_eq!(StoreRecord::of(&record.config("s")), record);
        record.pending = Some(Pending::Deleting);
        let bytes = record.encode();
        assert_eq!(StoreRecord::decode("s", &bytes).unwrap(), record);
        for len in 0..bytes.len() {
            let error = StoreRecord::decode("s", &bytes[..len]).unwrap_err();
            assert_eq!(error.code(), Some(14_800_011));
        }
        let text = String::from_utf8(bytes).unwrap().replace("\"version\":1", "\"version\":2");
        let error = StoreRecord::decode("s", text.as_bytes()).unwrap_err();
        assert_eq!(error.code(), Some(801));
    }

    #[test]
    fn some_options_must_be_the_same_and_some_follow_the_newest_open() {
        let created = StoreRecord::of(&config());
        let reopened = |config| created.reopened("s", &StoreRecord::of(&config));
        let lowered = RdbConfig::new("s", SecurityLevel::S1);
        for (changed, option) in [(config().encrypt(true), "encrypt"), (lowered, "security level")]
        {
            let error = reopened(changed).unwrap_err();
            assert_eq!(error.code(), Some(14_800_017));
            assert!(matches!(error, RdbError::ConfigChanged { option: of, .. } if of == option));
        }
        let raised = RdbConfig::new("s", SecurityLevel::S4).ha_mode(HaMode::MainReplica);
        assert_eq!(reopened(raised.clone()).unwrap(), StoreRecord::of(&raised));
    }
}
