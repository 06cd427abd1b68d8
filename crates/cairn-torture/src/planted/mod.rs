//! Planted bugs: small changes of the engine that the rigs must find, or the rigs are worth nothing.

mod catalogue;

pub use catalogue::{CATALOGUE, Model, Plant};
