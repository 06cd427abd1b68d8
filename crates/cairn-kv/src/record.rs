//! `StoreRecord`: what the environment knows of a store.
//!
//! It is an entry of the database `cairn.kv`: under the id of the store, JSON. See `docs/format/kv.md`.

use serde::{Deserialize, Serialize};

use crate::{KvError, KvOptions, KvResult, Schema, SecurityLevel, StoreType};

const VERSION: u32 = 1;

/// What is recorded of a store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreRecord {
    version: u32,
    pub(crate) store_type: StoreType,
    pub(crate) security_level: SecurityLevel,
    encrypt: bool,
    pub(crate) backup: bool,
    auto_sync: bool,
    /// As [`Schema::to_json`] gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schema: Option<serde_json::Value>,
}

impl StoreRecord {
    /// What these options say.
    pub(crate) fn of(options: &KvOptions) -> KvResult<Self> {
        let schema = options.schema.as_ref().map(Schema::to_json).transpose()?;
        let read = |text: String| serde_json::from_str(&text);
        let schema =
            schema.map(read).transpose().map_err(|error| KvError::schema(error.to_string()))?;
        Ok(Self {
            version: VERSION,
            store_type: options.store_type,
            security_level: options.security_level,
            encrypt: options.encrypt,
            backup: options.backup,
            auto_sync: options.auto_sync,
            schema,
        })
    }

    /// Its JSON.
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("it has only names that are text")
    }

    /// The record of `store` that is stored as `bytes`.
    pub(crate) fn decode(store: &str, bytes: &[u8]) -> KvResult<Self> {
        let corrupt = |what: String| KvError::Corrupt { store: store.into(), what };
        let record: Self = serde_json::from_slice(bytes)
            .map_err(|error| corrupt(format!("the record of the store: {error}")))?;
        if record.version != VERSION {
            let (store, version) = (store.into(), record.version);
            return Err(KvError::UnknownVersion { store, version, known: VERSION });
        }
        Ok(record)
    }

    /// The schema, if the store has one.
    pub(crate) fn schema(&self, store: &str) -> KvResult<Option<Schema>> {
        let read = |schema: &serde_json::Value| Schema::from_json(&schema.to_string());
        let schema = self.schema.as_ref().map(read).transpose();
        schema.map_err(|error| KvError::Corrupt {
            store: store.into(),
            what: format!("the schema in its record: {error}"),
        })
    }

    /// Options that open the store as it is.
    pub(crate) fn options(&self, store: &str) -> KvResult<KvOptions> {
        let schema = self.schema(store)?;
        let mut options = KvOptions::new(self.security_level)
            .create_if_missing(false)
            .encrypt(self.encrypt)
            .backup(self.backup)
            .auto_sync(self.auto_sync)
            .store_type(self.store_type);
        options.schema = schema;
        Ok(options)
    }

    /// What is to be recorded when the store is opened with what `asked` says.
    ///
    /// # Errors
    /// [`KvError::ChangedOptions`] if that is another store.
    pub(crate) fn reopened(&self, store: &str, asked: &Self) -> KvResult<Self> {
        self.check_sort(store, asked)?;
        if self.security_level > asked.security_level {
            return Err(KvError::ChangedOptions {
                store: store.into(),
                option: "security level",
                recorded: format!("{:?}", self.security_level),
                asked: format!("{:?}", asked.security_level),
            });
        }
        Ok(asked.clone())
    }

    /// An error unless what this store has is of the sort that `asked` says: a schema may have grown.
    ///
    /// # Errors
    /// [`KvError::ChangedOptions`].
    pub(crate) fn check_sort(&self, store: &str, asked: &Self) -> KvResult<()> {
        let changed = |option, recorded: String, asked: String| {
            Err(KvError::ChangedOptions { store: store.into(), option, recorded, asked })
        };
        if self.encrypt != asked.encrypt {
            return changed("encrypt", self.encrypt.to_string(), asked.encrypt.to_string());
        }
        if self.store_type != asked.store_type {
            let of = |record: &Self| format!("{:?}", record.store_type);
            return changed("store type", of(self), of(asked));
        }
        if self.schema == asked.schema {
            return Ok(());
        }
        let why = match (self.schema(store)?, asked.schema(store)?) {
            (Some(old), Some(new)) => old.check_growth(&new).err(),
            (None, _) => None, // then what there is has to follow it
            (Some(_), None) => Some("a store with a schema keeps one".into()),
        };
        why.map_or(Ok(()), |why| {
            changed("schema", self.schema_text(), format!("{}: {why}", asked.schema_text()))
        })
    }

    /// An error unless both have the same schema.
    ///
    /// # Errors
    /// [`KvError::ChangedOptions`], for this reason.
    pub(crate) fn check_same_schema(&self, store: &str, asked: &Self, why: &str) -> KvResult<()> {
        if self.schema == asked.schema {
            return Ok(());
        }
        Err(KvError::ChangedOptions {
            store: store.into(),
            option: "schema",
            recorded: self.schema_text(),
            asked: format!("{}: {why}", asked.schema_text()),
        })
    }

    fn schema_text(&self) -> String {
        self.schema.as_ref().map_or_else(|| "none".into(), serde_json::Value::to_string)
    }
}

/// The example of `docs/format/kv.md`.
pub(crate) fn spec() -> (&'static str, String) {
    let mut schema = Schema::new();
    schema.root.append_child(crate::FieldNode::new("age", crate::ValueType::Integer));
    schema.indexes.push("$.age".into());
    let options = KvOptions::new(SecurityLevel::S3).backup(false).schema(schema);
    let record = StoreRecord::of(&options).expect("it is a schema");
    let text = serde_json::to_string_pretty(&record).expect("it has only names that are text");
    ("kv_record_example", format!("```json\n{text}\n```\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(options: KvOptions) -> StoreRecord {
        StoreRecord::of(&options).unwrap()
    }

    fn options() -> KvOptions {
        KvOptions::new(SecurityLevel::S2)
    }

    #[test]
    fn a_record_survives_its_bytes_and_another_version_is_refused() {
        let record = record(options().schema(Schema::new()).auto_sync(true));
        let bytes = record.encode();
        assert_eq!(StoreRecord::of(&record.options("s").unwrap()).unwrap(), record);
        assert_eq!(StoreRecord::decode("s", &bytes).unwrap(), record);
        for len in 0..bytes.len() {
            let error = StoreRecord::decode("s", &bytes[..len]).unwrap_err();
            assert_eq!(error.code(), Some(15_100_003));
        }
        let text = String::from_utf8(bytes).unwrap().replace("\"version\":1", "\"version\":2");
        assert!(matches!(
            StoreRecord::decode("s", text.as_bytes()),
            Err(KvError::UnknownVersion { version: 2, known: 1, .. })
        ));
    }

    #[test]
    fn some_options_must_be_the_same_and_some_follow_the_newest_open() {
        let created = record(options());
        let reopened = |options| created.reopened("s", &record(options));
        for (changed, option) in [
            (options().encrypt(true), "encrypt"),
            (options().store_type(StoreType::DeviceCollaboration), "store type"),
            (KvOptions::new(SecurityLevel::S1), "security level"),
        ] {
            let error = reopened(changed).unwrap_err();
            assert_eq!(error.code(), Some(15_100_002));
            assert!(matches!(error, KvError::ChangedOptions { option: of, .. } if of == option));
        }
        let with = |fields: usize| {
            let mut schema = Schema::new();
            for n in 0..fields {
                let field = crate::FieldNode::new(format!("f{n}"), crate::ValueType::Long);
                schema.root.append_child(field.nullable(true));
            }
            record(options().schema(schema))
        };
        assert_eq!(with(1).reopened("s", &with(2)).unwrap(), with(2));
        assert_eq!(created.reopened("s", &with(1)).unwrap(), with(1)); // one that had none
        let error = with(1).reopened("s", &created).unwrap_err();
        assert!(error.to_string().contains("keeps one"), "{error}");
        let error = with(2).reopened("s", &with(1)).unwrap_err();
        assert!(error.to_string().contains("$.f1 any more"), "{error}");
        assert_eq!(reopened(options()).unwrap(), created);
        let raised = KvOptions::new(SecurityLevel::S4).backup(false).auto_sync(true);
        assert_eq!(reopened(raised.clone()).unwrap(), record(raised));
    }
}
