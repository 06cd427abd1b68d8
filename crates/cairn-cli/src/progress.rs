//! Progress: bytes done, total, rate and time left, on a terminal, for what takes longer than a
//! second.

use std::{
    io::{IsTerminal, stderr},
    sync::OnceLock,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How long something may take before a bar appears.
const PATIENCE: Duration = Duration::from_secs(1);

/// How far something has come. Nothing is printed unless standard error is a terminal.
pub(crate) struct Progress {
    label: &'static str,
    began: Instant,
    visible: bool,
    bar: OnceLock<ProgressBar>,
}

impl Progress {
    /// Begins something that is described by a verb: `verifying`.
    pub(crate) fn new(label: &'static str) -> Self {
        let visible = stderr().is_terminal();
        Self { label, began: Instant::now(), visible, bar: OnceLock::new() }
    }

    /// Whether anybody can see it: else nothing need be counted for it.
    pub(crate) fn is_visible(&self) -> bool {
        self.visible
    }

    /// So many bytes are done, of so many in all if that is known.
    pub(crate) fn set(&self, done: u64, total: Option<u64>) {
        if !self.visible || self.bar.get().is_none() && self.began.elapsed() < PATIENCE {
            return;
        }
        let bar = self.bar.get_or_init(|| self.bar(total));
        bar.set_position(done);
    }

    fn bar(&self, total: Option<u64>) -> ProgressBar {
        let template = match total {
            Some(_) => "{msg} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
            None => "{msg} {bytes}, {bytes_per_sec}",
        };
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr())
            .with_style(style)
            .with_message(self.label)
            .with_elapsed(self.began.elapsed())
    }

    /// How long it has taken so far.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}
