//! Damage at rest: what is damaged, which part of which file, and what may become of it. `flip` does it
//! bit by bit, `blocks` by blocks and files.

mod judge;
mod large;
mod region;
mod report;
mod subject;

pub use judge::{Expected, Verdict, judge};
pub use region::{Region, Rule};
pub use report::{Report, Violation};
pub use subject::{Subject, large_subjects, subjects};
pub(crate) use subject::{encrypted, spread, tampered};
