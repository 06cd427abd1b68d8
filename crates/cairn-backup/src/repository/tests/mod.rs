//! What only whoever may write objects can ask: lies with all hashes right, and what of them is found.

mod forged;
mod points;
