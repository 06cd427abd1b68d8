//! `tell`: what is told to whoever subscribes to [`tracing`], each event declared once.
//!
//! These are for operators: what happens seldom, and what they would want to find in a log of the day. Nothing is told on
//! the way of a read or a commit unless something is wrong there. No event has a key, a value, or anything secret; a program
//! that wants to act on what happens takes [`Events`](crate::Events) instead. `docs/events.md` lists them, made from here.

#[doc(hidden)]
pub use tracing::{Level, Value, event, field::display};

/// A time as a field of an event.
pub(crate) fn micros(took: std::time::Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

/// An event as it was declared.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Declared {
    pub target: &'static str,
    pub level: &'static str,
    pub message: &'static str,
    pub fields: &'static [&'static str],
    pub meaning: &'static str,
}

/// Declares events: of each a function that tells it, and its line in the list.
#[doc(hidden)]
#[macro_export]
macro_rules! declare_events {
    ($target:literal: $($(#[doc = $meaning:literal])+ $level:ident $name:ident($($field:ident),*) $message:literal;)+) => {
        $(
            $(#[doc = $meaning])+
            pub(crate) fn $name($($field: impl $crate::tell::Value),*) {
                $crate::tell::event!(target: $target, $crate::tell::Level::$level, $($field,)* $message);
            }
        )+

        pub(crate) const EVENTS: &[$crate::tell::Declared] = &[$($crate::tell::Declared {
            target: $target,
            level: stringify!($level),
            message: $message,
            fields: &[$(stringify!($field)),*],
            meaning: concat!($($meaning),+),
        }),+];
    };
}

/// The list of events, for the page.
#[doc(hidden)]
#[must_use]
pub fn table(events: &[Declared]) -> String {
    let mut table = String::from("| level | message | fields | when |\n|---|---|---|---|\n");
    for Declared { level, message, fields, meaning, .. } in events {
        let fields: Vec<_> = fields.iter().map(|field| format!("`{field}`")).collect();
        let (fields, meaning) = (fields.join(", "), meaning.trim());
        table.push_str(&format!("| {level} | {message} | {fields} | {meaning} |\n"));
    }
    table
}

declare_events! { "cairn::env":
    /// An environment was opened: its newest commit, and how many had to be replayed.
    INFO opened(path, commit, replayed_commits, micros) "environment opened";
    /// A crash had cut the journal: what did not count was set aside in a file.
    WARN torn_tail(path, file, bytes) "torn tail set aside";
    /// The newest checkpoint could not be read, and the one before it was used.
    WARN older_checkpoint(path, why) "opened from an older checkpoint";
    /// An environment was closed in order.
    INFO closed(path) "environment closed";
    /// A failure that only a reopen can end: every handle answers with it from now on.
    ERROR failed(error) "environment failed";
    /// A checkpoint is durable.
    DEBUG checkpointed(number, commit, nodes, removed_files, micros) "checkpoint made";
    /// The cleaner went through a number of files, and moved what is in use.
    DEBUG cleaned(files, bytes, moved) "log files cleaned";
    /// A record could not be read: whoever asked got it from the replica, or the error.
    WARN unreadable(file, error, from_replica) "record unreadable";
    /// Scrubbing has found damage in a finished file.
    WARN damaged(file, problem) "damage found";
    /// A damaged file has its bytes again, or what was in use in it another place.
    INFO healed(file, bytes, by_content) "file healed";
    /// A damaged file stays as it is.
    WARN not_healed(file, why) "file not healed";
    /// Every acknowledged commit is on the replica from now on.
    INFO replica_attached(path) "replica attached";
    /// The replica is getting a new base.
    INFO replica_filling(path) "replica filling";
    /// The replica starts from a newer checkpoint.
    DEBUG replica_rebased(path, checkpoint) "replica rebased";
    /// The environment goes on without its replica.
    WARN replica_lost(path, error) "replica lost";
    /// Something for the replica went wrong that commits do not wait for; it is tried again.
    WARN replica_trouble(path, error) "replica in trouble";
    /// A sink that commits do not wait for did not take what it was given; it is tried again.
    WARN shipping_trouble(error) "shipping in trouble";
    /// A commit was refused since the log takes as much of the disk as it may.
    WARN disk_limit(error) "disk limit reached";
    /// A sync for commits took longer than a second.
    WARN slow_sync(micros) "slow sync";
}
