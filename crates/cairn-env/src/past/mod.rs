//! The past: what the journal says of how the environment came to be what it is.
//!
//! A commit record has a number and a time, so the journal past a base leads to every commit that it holds, and
//! not only to the newest.
//!
//! | file | what it is about |
//! |---|---|
//! | `mark` | commits that have a name |
//! | `journal` | the journal files that are there, and how far each counts |
//! | `commits` | the commits in a journal file, without what they change |
//! | `retention` | how much journal stays that nothing needs any more |

mod commits;
mod journal;
mod mark;
mod retention;

pub use mark::{MAX_LABEL_LEN, Mark};
pub use retention::JournalRetention;
