//! The environment from outside.

mod basics;
mod crash;
mod fixture;
