//! `cairn kv put`, `get`, `delete`: single entries of a store.

use cairndb::kv::{Entry, KvOptions, KvStore, SecurityLevel, Value};

use super::{Place, ValueJson, show};
use crate::{
    Outcome,
    exit::{Exit, Failure},
    open,
    output::Output,
    saved::EnvironmentArgs,
    text,
};

/// Put a value under a key of a store, durably; makes the store if there is none
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cairn kv put data notes tea 7 --type integer
  cairn kv put data people p1 '{\"name\":\"Ada\",\"age\":36}'
  cairn kv put data keys k1 00ff --type bytes")]
pub(super) struct Put {
    #[command(flatten)]
    place: Place,
    /// The key
    key: String,
    /// The value; bytes are hexadecimal
    #[arg(allow_negative_numbers = true)]
    value: String,
    /// The type of the value
    #[arg(long, value_enum, default_value_t = Type::String)]
    r#type: Type,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Type {
    String,
    Integer,
    Long,
    Float,
    Double,
    Boolean,
    Bytes,
}

impl Type {
    fn value(self, text: &str) -> Result<Value, Failure> {
        fn parsed<T: std::str::FromStr + Into<Value>>(text: &str) -> Option<Value> {
            text.parse::<T>().ok().map(Into::into)
        }
        let (value, wanted) = match self {
            Self::String => (Some(text.into()), "text"),
            Self::Integer => (parsed::<i32>(text), "a whole number of 32 bits"),
            Self::Long => (parsed::<i64>(text), "a whole number of 64 bits"),
            Self::Float => (parsed::<f32>(text), "a number"),
            Self::Double => (parsed::<f64>(text), "a number"),
            Self::Boolean => (parsed::<bool>(text), "true or false"),
            Self::Bytes => (text::unhex(text.as_bytes()).map(Value::from), "hexadecimal"),
        };
        let shown = text::escape_short(text.as_bytes(), 40);
        value.ok_or_else(|| Failure::usage(format_args!("{shown} is not {wanted}")))
    }
}

impl Put {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let Self { place, key, value, r#type } = self;
        let value = r#type.value(&value)?;
        let env = open::for_writing(&place.env, &place.unlock, output)?;
        let store = match KvStore::ids(&env)?.contains(&place.store) {
            true => place.open(&env)?,
            false => KvStore::open(&env, &place.store, KvOptions::new(SecurityLevel::S1))?,
        };
        store.put(&key, value.clone())?;
        drop(store);
        env.close()?;
        output.line(format_args!("{} = {}", text::escape(key.as_bytes()), show(&value)))?;
        output.json(&ValueJson::from(&Entry::new(key, value)))?;
        Ok(Exit::Good)
    }
}

/// Print the value of a key of a store
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn kv get data notes tea")]
pub(super) struct Get {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    of: EnvironmentArgs,
    /// The key
    key: String,
}

impl Get {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let (_env, store) = self.place.for_reading(&self.of)?;
        let Some(value) = store.get(&self.key)? else { return Err(no_such_key(&self.key)) };
        output.line(format_args!("{}", show(&value)))?;
        output.json(&ValueJson::from(&Entry::new(self.key, value)))?;
        Ok(Exit::Good)
    }
}

fn no_such_key(key: &str) -> Failure {
    let key = text::escape_short(key.as_bytes(), 200);
    Failure::not_found(format_args!("the store has no key {key}"))
        .advise("`cairn kv query ENV STORE` lists the entries")
}

/// Delete a key of a store, in one durable commit
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cairn kv delete data notes tea")]
pub(super) struct Delete {
    #[command(flatten)]
    place: Place,
    /// The key
    key: String,
}

impl Delete {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let env = open::for_writing(&self.place.env, &self.place.unlock, output)?;
        let store = self.place.open(&env)?;
        let Some(value) = store.get(&self.key)? else { return Err(no_such_key(&self.key)) };
        store.delete(&self.key)?;
        drop(store);
        env.close()?;
        output.line(format_args!("deleted {}", text::escape(self.key.as_bytes())))?;
        output.json(&ValueJson::from(&Entry::new(self.key, value)))?;
        Ok(Exit::Good)
    }
}
