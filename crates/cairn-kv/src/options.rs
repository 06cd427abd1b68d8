//! How a store is opened.

use cairn_env::Durability;

use crate::{
    KvError, KvResult, Limits, MAX_DEVICE_LENGTH, MAX_KEY_LENGTH, MAX_KEY_LENGTH_DEVICE, Schema,
};

/// What the keys of a store belong to. Chosen when it is created.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StoreType {
    /// To the store: a key has one value. (In ArkData the other one is the default.)
    #[default]
    SingleVersion,
    /// To a device: each device has keys of its own, and writes only those.
    DeviceCollaboration,
}

/// How sensitive the data is. It is recorded and checked; what follows from it is the application's.
///
/// They are in order. The numbers are those of ArkData's key-value store.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[non_exhaustive]
#[repr(u8)]
pub enum SecurityLevel {
    /// Low: its disclosure does little harm.
    S1 = 2,
    /// Medium.
    S2 = 3,
    /// High.
    S3 = 5,
    /// Critical.
    S4 = 6,
}

/// How a store is opened.
///
/// What is said to be recorded is recorded when the store is created. Some of it must be the same
/// whenever it is opened; some follows the newest open.
///
/// | option | at a later open |
/// |---|---|
/// | `encrypt`, `store_type` | must be the same, else [`KvError::ChangedOptions`] |
/// | `schema` | may [grow](Schema#growth) while nobody has the store open, else the same error |
/// | `security_level` | may be raised, not lowered |
/// | `backup`, `auto_sync` | recorded anew |
/// | all others | not recorded |
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct KvOptions {
    /// Whether a store that does not exist is created (default: yes).
    pub create_if_missing: bool,
    /// Whether the store must be encrypted (default: no). Encryption belongs to the environment: in one
    /// that is encrypted every store is, and in one that is not this is refused.
    pub encrypt: bool,
    /// Whether it takes part in the automatic backup (default: yes).
    pub backup: bool,
    /// Whether it is to be synchronised with other devices (default: no). It is recorded; CairnDB does not
    /// synchronise.
    pub auto_sync: bool,
    /// What its keys belong to (default: to the store).
    pub store_type: StoreType,
    /// How sensitive the data is. There is no default.
    pub security_level: SecurityLevel,
    /// What its values look like (default: they are anything).
    pub schema: Option<Schema>,
    /// The id of the device whose keys this handle reads and writes in a device collaboration store
    /// (default: `local`); 1 to 127 bytes.
    pub device: String,
    /// How sure a change is when its call returns (default: as the environment says).
    pub durability: Option<Durability>,
    /// Limits that can be set.
    pub limits: Limits,
}

impl KvOptions {
    /// The defaults, for data that is so sensitive.
    #[must_use]
    pub fn new(security_level: SecurityLevel) -> Self {
        Self {
            create_if_missing: true,
            encrypt: false,
            backup: true,
            auto_sync: false,
            store_type: StoreType::default(),
            security_level,
            schema: None,
            device: "local".into(),
            durability: None,
            limits: Limits::default(),
        }
    }

    /// Sets [`KvOptions::device`](KvOptions#structfield.device).
    #[must_use]
    pub fn device(mut self, device: impl Into<String>) -> Self {
        self.device = device.into();
        self
    }

    /// Sets [`KvOptions::schema`](KvOptions#structfield.schema).
    #[must_use]
    pub fn schema(mut self, schema: Schema) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Sets [`KvOptions::durability`](KvOptions#structfield.durability).
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// An error unless they make sense by themselves.
    pub(crate) fn check(&self) -> KvResult<()> {
        check_device(&self.device)?;
        self.schema.iter().try_for_each(Schema::check)
    }
}

macro_rules! setters {
    ($($name:ident: $type:ty;)+) => {
        impl KvOptions {
            $(
                #[doc = concat!("Sets [`KvOptions::", stringify!($name), "`](KvOptions#structfield.", stringify!($name), ").")]
                #[must_use]
                pub fn $name(mut self, $name: $type) -> Self {
                    self.$name = $name;
                    self
                }
            )+
        }
    };
}

setters! {
    create_if_missing: bool;
    encrypt: bool;
    backup: bool;
    auto_sync: bool;
    store_type: StoreType;
    limits: Limits;
}

impl StoreType {
    /// Longest key in bytes.
    #[must_use]
    pub const fn max_key_length(self) -> usize {
        match self {
            Self::SingleVersion => MAX_KEY_LENGTH,
            Self::DeviceCollaboration => MAX_KEY_LENGTH_DEVICE,
        }
    }
}

/// An error unless `device` can be the id of a device.
pub(crate) fn check_device(device: &str) -> KvResult<()> {
    if (1..=MAX_DEVICE_LENGTH).contains(&device.len()) {
        return Ok(());
    }
    Err(KvError::InvalidDevice { device: device.into(), max: MAX_DEVICE_LENGTH })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_security_levels_are_those_of_arkdata() {
        use SecurityLevel::{S1, S2, S3, S4};
        assert_eq!([S1, S2, S3, S4].map(|level| level as u8), [2, 3, 5, 6]);
        assert!(S1 < S2 && S2 < S3 && S3 < S4);
    }

    #[test]
    fn a_device_has_1_to_127_bytes() {
        assert!(check_device("").is_err() && check_device(&"x".repeat(128)).is_err());
        assert!(check_device("x").is_ok() && check_device(&"x".repeat(127)).is_ok());
    }
}
