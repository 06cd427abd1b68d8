//! Stores from outside.
#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

mod backup;
mod crash;
mod device;
mod encryption;
mod errors;
mod fixture;
mod growth;
mod limits;
mod manager;
mod model;
mod observer;
mod options;
mod query;
mod reference;
mod result_set;
mod soak;
mod transaction;
mod within;
