//! The environment from outside.

mod backup;
mod basics;
mod crash;
mod fixture;
