//! Whole-engine workloads with a model: every crash, every bit, every sync site.
#![forbid(unsafe_code)]

pub mod at_rest;
pub mod blocks;
mod check;
mod client;
pub mod crash;
pub mod figure;
pub mod flip;
pub mod fuzz;
pub mod io_errors;
pub mod kill9;
pub mod memory;
pub mod model;
pub mod mutants;
pub mod nonces;
pub mod operation;
pub mod part;
pub mod planted;
pub mod pool;
pub mod power_cut;
pub mod problem;
pub mod replicas;
pub mod row;
pub mod run;
pub mod script;
pub mod serial;
pub mod simulate;
pub mod state_id;
pub mod stores;
pub mod sweep;
pub mod table;
pub mod tamper;
pub mod without;
pub mod workload;

pub use check::{Looked, Nested, check};
pub use model::{Contents, Expected, History};
pub use operation::{Change, Operation};
