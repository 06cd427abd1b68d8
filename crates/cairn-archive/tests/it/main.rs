//! Archives from outside.
#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

mod fixture;
mod round_trip;
