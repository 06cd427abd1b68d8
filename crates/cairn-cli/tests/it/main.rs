//! The command from outside: what its users and their scripts see.
#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a failed or skipped test says"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "the tests damage files, and start and kill processes, as a user's machine does"
)]

mod bad_input;
mod commands;
mod directories;
mod formats;
mod guide;
mod heal;
mod help;
mod keys;
mod kill_import;
mod kills;
mod log_option;
mod metrics;
mod mishaps;
#[cfg(feature = "object-store")]
mod object_store;
mod processes;
mod prune;
mod readme;
mod repair;
mod repo;
mod report;
mod salvage;
mod schema;
#[cfg(feature = "object-store")]
#[path = "../../../cairn-backup/tests/object/server.rs"]
mod server;
mod shell;
mod ship;
mod standby;
mod support;
mod thousand_backups;
mod tour;
