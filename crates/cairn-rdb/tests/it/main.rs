//! Tests of the relational store through what it makes public.
#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

mod beside;
mod crash;
mod damage;
mod differential;
mod fixture;
mod joint;
mod kills;
mod reference;
mod rules;
mod salvage;
mod store;
mod transfer;
