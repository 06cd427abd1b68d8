//! The environment from outside.
#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

mod backup;
mod bad_input;
mod basics;
mod cleaner;
mod copies;
mod crash;
mod directories;
mod encryption;
mod exclusive;
mod failure;
mod fixture;
mod golden;
mod graves;
mod index;
mod index_build;
mod keys;
mod multimap;
mod open_at;
mod past;
mod pins;
mod recycle;
mod rekey;
mod repair;
mod replace;
mod replica;
mod replica_kills;
mod scrub;
mod sequence;
mod serializable;
mod ship;
mod space;
mod stats;
mod survey;
mod trace;
mod verify;
