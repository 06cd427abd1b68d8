//! How far a backup, restore or verification has come.

/// How far a backup, restore or verification has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes done.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Called from time to time while something long goes on.
pub(crate) type Report<'a> = Option<&'a (dyn Fn(Progress) + Send + Sync)>;

/// Counts bytes and reports them.
pub(crate) struct Counter<'a> {
    progress: Progress,
    report: Report<'a>,
}

impl<'a> Counter<'a> {
    pub(crate) fn new(total: u64, report: Report<'a>) -> Self {
        Self { progress: Progress { done: 0, total }, report }
    }

    pub(crate) fn add(&mut self, bytes: u64) {
        self.progress.done += bytes;
        if let Some(report) = self.report {
            report(self.progress);
        }
    }

    /// So much is to be done once more.
    pub(crate) fn again(&mut self, bytes: u64) {
        self.progress.total += bytes;
    }

    pub(crate) fn done(&self) -> u64 {
        self.progress.done
    }
}
