//! What only whoever may write objects can ask: lies with all hashes right, and what of them is found.

mod forged;
mod later;
mod locked;
mod points;
mod reading;
mod secrets;
mod segments;
mod trees;
mod uploading;
