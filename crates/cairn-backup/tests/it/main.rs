//! Backups and restores from outside.
#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

mod compare;
mod crash;
mod damage;
mod delta;
mod directories;
mod empty_journal;
mod encrypted;
mod failed_syncs;
mod fixture;
mod growing;
mod heal;
mod history;
mod in_place;
mod in_place_crash;
mod incidents;
mod incremental;
mod invariants;
mod keys;
mod one;
mod one_table;
mod opened;
mod pace;
mod paths;
mod point_in_time;
mod publish;
mod repository;
mod resume;
mod round_trip;
mod standby;
mod stores;
mod under_load;
