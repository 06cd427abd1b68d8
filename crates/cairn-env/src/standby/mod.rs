//! A standby: an environment that was restored, and gets the journal past that from elsewhere until it is promoted.
//!
//! Its directory is at every moment what a restore leaves: files, and a state that records where the journal ends,
//! behind the record of a commit. Journal that arrives is appended, checked record by record, made durable, and counts
//! from when the state records a later end. So whoever opens it for reading goes through recovery and nothing else, and
//! whatever ends its follower leaves it at an end that was recorded. Bytes behind that count for nothing.
//!
//! | file | what it is about |
//! |---|---|
//! | `mark` | the file `STANDBY`: what keeps writers out until the promotion |
//! | `target` | journal arrives |
//! | `advance` | a reader goes on to a later end |
//! | `superseded` | the file `SUPERSEDED`: what keeps writers out of a directory after the promotion |

mod advance;
pub(crate) mod mark;
pub(crate) mod superseded;
mod target;

pub use mark::{StandbyInfo, begin_standby, standby_info};
pub use superseded::{Superseded, supersede, superseded};
pub use target::{StandbyProgress, StandbyTarget, standby_progress};

/// The example files in `docs/format/environment.md`.
pub(crate) fn examples() -> [(&'static str, String); 2] {
    let text = |text: String| format!("```text\n{text}```\n");
    [
        ("standby_example", text(mark::example())),
        ("superseded_example", text(superseded::example())),
    ]
}
