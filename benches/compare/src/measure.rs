//! What the system knows about this process and its files.

use std::{fs, os::unix::fs::MetadataExt, path::Path, time::Duration};

use crate::Result;

/// The most memory that this process had resident, in bytes: mapped files that were touched count.
pub fn peak_memory() -> Result<u64> {
    Ok(field("/proc/self/status", "VmHWM:")? * 1024)
}

/// Sets the peak to what is resident now.
pub fn reset_peak_memory() -> Result {
    Ok(fs::write("/proc/self/clear_refs", "5")?)
}

/// What this process gave to the system to write, in bytes: with calls, as all engines here do. (`write_bytes` counts what
/// becomes dirty, which is up to a whole folio of the page cache, 2 MiB, for a byte that changes where a file was.)
pub fn written() -> Result<u64> {
    field("/proc/self/io", "wchar:")
}

/// What this process read with calls, in bytes, cached by the system or not.
pub fn read() -> Result<u64> {
    field("/proc/self/io", "rchar:")
}

/// What the files below a directory take on disk, in bytes.
pub fn disk_usage(dir: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += match metadata.is_dir() {
            true => disk_usage(&entry.path())?,
            false => metadata.blocks() * 512,
        };
    }
    Ok(sum)
}

fn field(file: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or_else(|| format!("{file} has no {name}"))?.parse()?)
}

/// Has the system touch memory that nobody uses: half of it, 6 GiB at most.
///
/// The host of a virtual machine takes memory back that is idle for some seconds, and then gives 0.25 GB/s of it
/// instead of 7.5, both measured: without this, what is compared is who needs the least of it and who comes first.
pub fn warm_memory() -> Result {
    let free = usize::try_from(field("/proc/meminfo", "MemAvailable:")? * 1024)?;
    drop(std::hint::black_box(vec![1_u8; (free / 2).min(6 << 30)]));
    Ok(())
}

/// MiB per second.
pub fn rate(bytes: u64, took: Duration) -> f64 {
    bytes as f64 / f64::from(1 << 20) / took.as_secs_f64()
}

/// The one in the middle.
pub fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or(f64::NAN)
}
