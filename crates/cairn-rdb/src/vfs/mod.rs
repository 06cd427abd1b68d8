//! VFS: SQLite's interface to the files below it. (<https://sqlite.org/vfs.html>)
//!
//! The only place of this crate with `unsafe`. It turns pointers into references and numbers into types, catches
//! panics, and decides nothing: what a file does is [`Handle`](crate::file::Handle)'s business.
//!
//! There is one VFS for each open environment, so that `ATTACH` finds the other files of the same one by
//! their names alone.

mod complete;
mod file;
mod host;
mod registration;
mod system;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use complete::is_complete;
pub(crate) use registration::Vfs;

/// Runs what a callback of SQLite's does. A panic must not pass into C: it is answered with `code`, and SQLite
/// takes the transaction back.
fn guarded(code: i32, call: impl FnOnce() -> i32) -> i32 {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or(code)
}
