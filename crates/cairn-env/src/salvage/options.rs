//! `SalvageOptions`: what is to be handed out.

use std::fmt;

/// What is to be handed out, and how.
#[derive(Clone)]
#[non_exhaustive]
pub struct SalvageOptions<'a> {
    /// Only of databases that are called so, or were (default: of all).
    pub database: Option<String>,
    /// All versions of each key that can be read, deletions too, the oldest first, also of databases that were dropped
    /// (default: the newest value of each key that has one).
    pub all_versions: bool,
    /// Also what has never counted, as far as that can be told: each entry says so
    /// ([`Standing`](crate::Standing); default: no).
    pub uncommitted: bool,
    /// The source has log files and never had anything beside them, as those that were put together of a repository. So
    /// the report does not say that `CURRENT` and the state file are missing (default: no).
    pub log_files_only: bool,
    /// Bytes of memory for keys and small values (default: 256 MiB). With less, the files are read more often.
    pub memory: usize,
    /// Called with bytes done and bytes in all, which may grow.
    pub progress: Option<&'a (dyn Fn(u64, u64) + Send + Sync)>,
}

impl Default for SalvageOptions<'_> {
    fn default() -> Self {
        Self {
            database: None,
            all_versions: false,
            uncommitted: false,
            log_files_only: false,
            memory: 256 << 20,
            progress: None,
        }
    }
}

impl fmt::Debug for SalvageOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { database, all_versions, uncommitted, log_files_only, memory, progress: _ } =
            self;
        f.debug_struct("SalvageOptions")
            .field("database", database)
            .field("all_versions", all_versions)
            .field("uncommitted", uncommitted)
            .field("log_files_only", log_files_only)
            .field("memory", memory)
            .finish_non_exhaustive()
    }
}

impl<'a> SalvageOptions<'a> {
    /// The newest value of each key of all databases.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only of databases that are called so, or were.
    #[must_use]
    pub fn database(mut self, name: impl Into<String>) -> Self {
        self.database = Some(name.into());
        self
    }

    /// Sets [`SalvageOptions::all_versions`](SalvageOptions#structfield.all_versions).
    #[must_use]
    pub fn all_versions(mut self, all: bool) -> Self {
        self.all_versions = all;
        self
    }

    /// Sets [`SalvageOptions::uncommitted`](SalvageOptions#structfield.uncommitted).
    #[must_use]
    pub fn uncommitted(mut self, also: bool) -> Self {
        self.uncommitted = also;
        self
    }

    /// Sets [`SalvageOptions::log_files_only`](SalvageOptions#structfield.log_files_only).
    #[must_use]
    pub fn log_files_only(mut self, only: bool) -> Self {
        self.log_files_only = only;
        self
    }

    /// Sets [`SalvageOptions::memory`](SalvageOptions#structfield.memory).
    #[must_use]
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// Reports progress.
    #[must_use]
    pub fn progress(mut self, progress: &'a (dyn Fn(u64, u64) + Send + Sync)) -> Self {
        self.progress = Some(progress);
        self
    }
}

/// How many bytes are done.
pub(super) struct Meter<'a> {
    progress: Option<&'a (dyn Fn(u64, u64) + Send + Sync)>,
    done: u64,
    total: u64,
}

impl<'a> Meter<'a> {
    pub(super) const fn new(options: &SalvageOptions<'a>, total: u64) -> Self {
        Self { progress: options.progress, done: 0, total }
    }

    /// So many bytes more are to be done than was thought.
    pub(super) const fn expect(&mut self, bytes: u64) {
        self.total += bytes;
    }

    pub(super) fn add(&mut self, bytes: u64) {
        self.done = (self.done + bytes).min(self.total);
        if let Some(progress) = self.progress {
            progress(self.done, self.total);
        }
    }
}
