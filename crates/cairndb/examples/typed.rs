//! Values of types of your own: in a database of an environment, in a store whose fields can be asked for, and after
//! the type has grown.
//!
//! ```sh
//! cargo run -p cairndb --example typed
//! ```
#![expect(clippy::print_stdout, reason = "an example says what it does")]

use cairndb::{
    DatabaseOptions, Environment, Options,
    kv::{FieldNode, KvOptions, KvStore, Query, Schema, SecurityLevel, ValueType},
    typed::{TypedDatabase, TypedStore},
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Account {
    owner: String,
    cents: i64,
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Book {
    title: String,
    year: i32,
}

/// What a later version of the program makes of a book.
#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct ShelvedBook {
    title: String,
    year: i32,
    #[serde(default)]
    shelf: Option<String>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let (env, _) = Environment::open(dir.path(), Options::default())?;
    accounts(&env)?;
    books(&env)?;
    env.close()?;
    Ok(())
}

/// A database: values of a type, read and changed in transactions.
fn accounts(env: &Environment) -> Result<(), Box<dyn std::error::Error>> {
    let accounts = TypedDatabase::new(env.database("accounts", DatabaseOptions::default())?);
    env.write(|txn| {
        accounts.put(txn, b"1", &Account { owner: "Ada".into(), cents: 1000 })?;
        accounts.put(txn, b"2", &Account { owner: "Grace".into(), cents: 0 })
    })?;
    // Both change, or neither does; who was overtaken begins again.
    env.write(|txn| {
        for (key, cents) in [(b"1", -250), (b"2", 250)] {
            if let Some(mut account) = accounts.get(txn, key)? {
                account.cents += cents;
                accounts.put(txn, key, &account)?;
            }
        }
        Ok(())
    })?;
    let snapshot = env.snapshot()?;
    let grace = accounts.get(&snapshot, b"2")?;
    assert_eq!(grace, Some(Account { owner: "Grace".into(), cents: 250 }));
    println!("{grace:?}");
    Ok(())
}

/// A store: values that a schema can look into, and that are read after their type has grown.
fn books(env: &Environment) -> Result<(), Box<dyn std::error::Error>> {
    let mut schema = Schema::new();
    schema.root.append_child(FieldNode::new("title", ValueType::String));
    schema.root.append_child(FieldNode::new("year", ValueType::Integer));
    schema.indexes = vec!["$.year".into()];
    let store = KvStore::open(env, "books", KvOptions::new(SecurityLevel::S1).schema(schema))?;
    let books = TypedStore::new(store.clone());
    let [emma, persuasion] = [("Emma", 1815), ("Persuasion", 1817)]
        .map(|(title, year)| Book { title: title.into(), year });
    books.put_batch([("b1", &emma), ("b2", &persuasion)])?;

    let late = books.get_entries(Query::new().greater_than("$.year", 1815))?;
    assert_eq!(late, [(b"b2".to_vec(), persuasion)]);
    println!("{late:?}");

    let shelved = TypedStore::<ShelvedBook>::new(store);
    let old = shelved.get("b1")?;
    assert_eq!(old, Some(ShelvedBook { title: "Emma".into(), year: 1815, shelf: None }));
    println!("{old:?}");
    books.delete("b1")?;
    assert_eq!(shelved.get("b1")?, None);
    Ok(())
}

/// `cargo test` runs examples only as far as they have tests.
#[test]
fn the_example_does_what_it_says() {
    main().expect("each step holds");
}
