//! The rigs, small enough for every test run.

mod blocks;
mod crash;
mod flip;
mod io_errors;
mod kill9;
