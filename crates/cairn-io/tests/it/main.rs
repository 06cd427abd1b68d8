//! The tests of cairn-io that need a file system, threads or processes.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests act as users and intruders"
)]

mod mem;
mod processes;
mod real;
mod workers;
