//! The limits of a store: those that are fixed, and those that can be set.

/// Longest key in bytes.
pub const MAX_KEY_LENGTH: usize = 1024;
/// Longest key of a device collaboration store in bytes.
pub const MAX_KEY_LENGTH_DEVICE: usize = 896;
/// Longest value in bytes: of a string those of its UTF-8.
pub const MAX_VALUE_LENGTH: usize = 4_194_303;
/// Longest id of a store in characters.
pub const MAX_STORE_ID_LENGTH: usize = 128;
/// Longest text of a query in bytes: see [`Query::sql_like`](crate::Query::sql_like).
pub const MAX_QUERY_LENGTH: usize = 512_000;
/// Most entries of a batch, unless [`Limits::batch`] says otherwise.
pub const MAX_BATCH_SIZE: usize = 128;
/// Longest id of a device in bytes.
pub const MAX_DEVICE_LENGTH: usize = 127;

/// The limits of a store that can be set. They hold for all its handles in this process; the newest open
/// decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Most entries of a batch (default: 128).
    pub batch: usize,
    /// Most result sets that are open at a time (default: 8).
    pub result_sets: usize,
    /// Most observers at a time (default: 8).
    pub observers: usize,
    /// Most backups that have a name of their own (default: 5).
    pub backups: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { batch: MAX_BATCH_SIZE, result_sets: 8, observers: 8, backups: 5 }
    }
}

impl Limits {
    /// Sets [`Limits::batch`](Limits#structfield.batch).
    #[must_use]
    pub fn batch(mut self, batch: usize) -> Self {
        self.batch = batch;
        self
    }

    /// Sets [`Limits::result_sets`](Limits#structfield.result_sets).
    #[must_use]
    pub fn result_sets(mut self, result_sets: usize) -> Self {
        self.result_sets = result_sets;
        self
    }

    /// Sets [`Limits::observers`](Limits#structfield.observers).
    #[must_use]
    pub fn observers(mut self, observers: usize) -> Self {
        self.observers = observers;
        self
    }

    /// Sets [`Limits::backups`](Limits#structfield.backups).
    #[must_use]
    pub fn backups(mut self, backups: usize) -> Self {
        self.backups = backups;
        self
    }
}
