//! Repositories from outside.

mod backends;
mod backups;
mod fixture;
