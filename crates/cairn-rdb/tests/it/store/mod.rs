//! Stores.

mod attach;
mod backup;
mod execute;
mod fixture;
mod limits;
mod observer;
mod open;
mod predicates;
mod rebuild;
mod result_set;
mod threads;
mod transaction;
mod write;
