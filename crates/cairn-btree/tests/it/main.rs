//! Trees from outside: every version against an ordered map, on disk and in memory.

mod larger_than_memory;
mod versions;
