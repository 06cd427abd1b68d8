//! Repositories from outside.

mod backends;
mod backups;
mod crash;
mod damage;
mod faults;
mod fixture;
mod golden;
mod histories;
mod proofs;
