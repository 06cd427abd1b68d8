//! The past: what the journal says of how the environment came to be what it is.
//!
//! A commit record has a number and a time, so the journal past a base leads to every commit that it holds, and
//! not only to the newest.
//!
//! | file | what it is about |
//! |---|---|
//! | `mark` | commits that have a name |
//! | `history` | how far the journal goes back |
//! | `journal` | the journal files that are there, and how far each counts |
//! | `commits` | the commits in a journal file, without what they change |
//! | `source` | the journal files of a directory that is not opened for that |
//! | `chain` | the journal from a base on, from one file to the next |
//! | `follow` | the journal of a directory, past a position up to which it is known |
//! | `target` | the moment to which a restore goes |
//! | `retention` | how much journal stays that nothing needs any more |
//! | `plan` | where the journal of what is restored ends |
//! | `open_at` | the environment as it was, beside the one that goes on |

mod chain;
mod commits;
mod follow;
mod history;
mod journal;
mod mark;
mod open_at;
mod plan;
mod retention;
mod source;
mod target;

pub(crate) use commits::commit_of;
pub use follow::{JournalRange, JournalSpan, Since};
pub use history::JournalHistory;
pub use mark::{MAX_LABEL_LEN, Mark};
pub(crate) use open_at::{At, state_at};
pub use plan::{PlannedFile, RestoreBase, RestorePlan};
pub use retention::JournalRetention;
pub use source::JournalSource;
pub use target::RestoreTo;
