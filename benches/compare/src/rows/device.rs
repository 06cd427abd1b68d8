//! What the device can do: a journal that grows.

use std::{
    fs::File,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use crate::Result;

/// A file that short records are appended to, each synced: the least that a durable commit costs who does not have a
/// file prepared.
pub struct Device {
    file: File,
}

impl Device {
    pub fn new(dir: &Path) -> Result<Self> {
        Ok(Self { file: File::create(dir.join("appended"))? })
    }

    /// Appends until the time is up; returns how many times.
    pub fn append(&mut self, record: &[u8], duration: Duration) -> Result<u64> {
        let start = Instant::now();
        let mut done = 0;
        while start.elapsed() < duration {
            self.file.write_all(record)?;
            self.file.sync_data()?;
            done += 1;
        }
        Ok(done)
    }
}
