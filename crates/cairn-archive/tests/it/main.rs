//! Archives from outside.
#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

mod beside;
mod crash;
mod damage;
mod diff;
mod fixture;
mod golden;
mod keys;
mod round_trip;
