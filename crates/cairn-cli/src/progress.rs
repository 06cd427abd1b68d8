//! Progress: bytes done, total, rate and time left, on a terminal, for what takes longer than a
//! second.

use std::{
    io::{IsTerminal, stderr},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::text::{per_second, size};

/// How long something may take before a bar appears.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often what is shown changes: what is done may be told much more often.
const INTERVAL: Duration = Duration::from_millis(100);

/// How far something has come. Nothing is printed unless standard error is a terminal.
pub(crate) struct Progress {
    label: &'static str,
    began: Instant,
    visible: bool,
    /// When the bar changes next, in milliseconds after the beginning.
    due: AtomicU64,
    bar: OnceLock<ProgressBar>,
}

impl Progress {
    /// Begins something that is described by a verb: `verifying`.
    pub(crate) fn new(label: &'static str) -> Self {
        let due = AtomicU64::new(millis(PATIENCE));
        let visible = stderr().is_terminal();
        Self { label, began: Instant::now(), visible, due, bar: OnceLock::new() }
    }

    /// Whether anybody can see it: else nothing need be counted for it.
    pub(crate) fn is_visible(&self) -> bool {
        self.visible
    }

    /// So many bytes are done, of so many in all if that is known.
    pub(crate) fn set(&self, done: u64, total: Option<u64>) {
        if !self.visible {
            return;
        }
        let elapsed = self.began.elapsed();
        if millis(elapsed) < self.due.load(Ordering::Relaxed) {
            return;
        }
        self.due.store(millis(elapsed + INTERVAL), Ordering::Relaxed);
        let bar = self.bar.get_or_init(|| self.bar(total));
        // Over the whole time: a rate that jumps about tells nobody when it will be over.
        let rate = per_second(done, elapsed);
        let left = total.map(|total| Duration::from_secs(total.saturating_sub(done) / rate.max(1)));
        bar.set_prefix(match left {
            Some(left) => format!("{}/s, {} s left", size(rate), left.as_secs()),
            None => format!("{}/s", size(rate)),
        });
        bar.set_position(done);
    }

    fn bar(&self, total: Option<u64>) -> ProgressBar {
        let template = match total {
            Some(_) => "{msg} [{bar:30}] {bytes} of {total_bytes}, {prefix}",
            None => "{msg} {bytes}, {prefix}",
        };
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr())
            .with_style(style)
            .with_message(self.label)
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

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
