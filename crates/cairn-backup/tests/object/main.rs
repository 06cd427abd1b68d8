//! Repositories in object stores: what the library keeps in memory, and a real S3 server, with a network between that a
//! seed makes bad.
//!
//! `cargo xtask object-store` installs the server, says by `CAIRN_S3_SERVER` where it is, and runs all of it. Without
//! that, what needs the server says that it was skipped.
#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]
#![expect(clippy::print_stderr, reason = "what a skipped test says")]

mod backend;
mod fixture;
mod network;
mod outages;
mod proxy;
mod server;
