//! Repositories from outside.

mod backends;
mod backups;
mod both;
mod crash;
mod damage;
mod drills;
mod encrypted;
mod failing;
mod faults;
pub(crate) mod fixture;
mod golden;
mod histories;
mod keys_crash;
mod moments;
mod parted;
mod proofs;
pub(crate) mod prune;
mod prune_crash;
mod shipped;
mod shipped_crash;
mod shipped_damage;
mod shipped_faults;
mod shipped_histories;
mod shipping;
mod strangers;
mod subsets;
mod tricky;
