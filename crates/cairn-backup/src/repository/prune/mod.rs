//! Removing points, so that nothing is lost that stays.
//!
//! A plan says what goes and what stays, and why; it is made of everything that is there, and proves that what stays is
//! complete. To carry it out takes two phases. In the first one what goes is put into a *tomb*: its points are not
//! listed any more, and everything is still there, so that it can be taken back. When a time has passed, the second
//! one deletes it, but for what points need that have come since.
//!
//! Nobody locks anybody out. Who deletes closes the tomb, looks for all points that are there, and then stores
//! which ones these are, what is deleted, and that the number behind the last one is burnt. A backup that stores its point looks
//! for tombs before and after: a tomb that is closed it puts back, so that the point is seen when it is closed again; and if
//! it comes too late even for that, its number is the one that is burnt, so it takes another one, unless what it needs
//! is being deleted. No name of an object that was deleted is used again, so that who deletes may be late as well.
//!
//! | file | what it is about |
//! |---|---|
//! | `retention` | which points stay |
//! | `tombs`, `store` | what was removed, and is about to be |
//! | `reach` | what is there, and who needs it |
//! | `journal` | which shipped journal stays |
//! | `plan` | what goes, or why nothing does |
//! | `carry_out` | the two phases, and the way back |
//! | `beside` | who stores meanwhile |

mod beside;
mod carry_out;
mod journal;
mod plan;
mod reach;
mod retention;
mod store;
#[cfg(test)]
mod tests;
mod tombs;

pub use carry_out::Deleted;
pub use plan::{PlannedPoint, PruneOptions, PrunePlan, PruneRefusal};
pub use retention::{KeepReason, KeptJournal, Retention, RetentionPoint};
pub(crate) use tombs::{FIELDS, Tombs};
pub use tombs::{Tomb, TombStage};
