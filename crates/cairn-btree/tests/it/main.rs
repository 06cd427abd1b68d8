//! Trees from outside: every version against an ordered map, on disk and in memory.
#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

mod deltas;
mod larger_than_memory;
mod read_ahead;
mod versions;
