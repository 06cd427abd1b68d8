//! `WriteBehind`: a long file that is written from front to back goes to the disk while it is written.

use crate::File;

/// Bytes after which the disk is told to begin: enough for it to write in one go, few enough to be done soon
/// after the last of them.
const WINDOW: u64 = 8 << 20;

/// Tells the disk to write what a writer has written of a file from front to back, a window at a time, so that
/// the sync at the end waits for the last window and not for the whole file.
///
/// ```
/// use cairn_io::{FileExt, MemDisk, Name, SyncSite, WriteBehind};
///
/// let disk = MemDisk::new();
/// let file = disk.root().create(&Name::new("copy").unwrap())?;
/// let mut behind = WriteBehind::default();
/// for part in 0..100 {
///     file.write_all_at(part * 5, b"again")?;
///     behind.wrote(&*file, (part + 1) * 5);
/// }
/// file.sync(SyncSite::new("example.copy"))?; // which alone makes it durable
/// # Ok::<(), cairn_io::IoError>(())
/// ```
#[derive(Debug, Default)]
pub struct WriteBehind {
    /// Up to here the disk was told to write.
    told: u64,
}

impl WriteBehind {
    /// All bytes of `file` before `end` were written.
    pub fn wrote(&mut self, file: &dyn File, end: u64) {
        let len = end.saturating_sub(self.told);
        if len >= WINDOW {
            file.write_back(self.told, len);
            self.told = end;
        }
    }
}
