//! `ObjectOptions`: how an object store is spoken to.

use std::time::Duration;

/// How an object store is spoken to. Credentials, region and endpoint come from the environment variables that each
/// service has for them, unless they are [set](Self::set) here.
#[derive(Clone, Debug)]
#[must_use = "options do nothing by themselves"]
pub struct ObjectOptions {
    pub(super) settings: Vec<(String, String)>,
    pub(super) tries: u32,
    pub(super) first_wait: Duration,
    pub(super) timeout: Duration,
    pub(super) page: Option<usize>,
}

impl Default for ObjectOptions {
    fn default() -> Self {
        Self {
            settings: Vec::new(),
            tries: 10,
            first_wait: Duration::from_millis(100),
            timeout: Duration::from_secs(30),
            page: None,
        }
    }
}

impl ObjectOptions {
    /// Sets what an environment variable would: `key` is its name in lower case, `aws_endpoint_url` for example.
    pub fn set(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((key.into(), value.into()));
        self
    }

    /// How often a request is sent, at least once, before it counts as failed (default: 10 times, in the course of
    /// about a minute; 5 times as long as there never was an answer).
    pub const fn tries(mut self, tries: u32) -> Self {
        self.tries = if tries == 0 { 1 } else { tries };
        self
    }

    /// How long to wait before the second try (default: 100 ms). Each wait is twice as long as the one before, at most
    /// 20 s, and chance makes it up to half as short.
    pub const fn first_wait(mut self, wait: Duration) -> Self {
        self.first_wait = wait;
        self
    }

    /// How long an answer may take (default: 30 s); for what is sent or received, a second more for each 64 KiB.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many names a page of a listing may have (default: what the service gives).
    pub const fn page(mut self, names: usize) -> Self {
        self.page = Some(names);
        self
    }
}
