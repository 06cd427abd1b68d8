//! The calls that differ between the Unix systems.

use std::os::fd::BorrowedFd;

use rustix::io::{Errno, Result, retry_on_intr};

use crate::FileIdentity;

/// Makes the bytes and the length of a file durable.
pub(super) fn sync_file(fd: BorrowedFd<'_>) -> Result<()> {
    #[cfg(target_vendor = "apple")] // there fsync stops at the drive's cache
    return retry_on_intr(|| rustix::fs::fcntl_fullfsync(fd));
    #[cfg(not(target_vendor = "apple"))]
    retry_on_intr(|| rustix::fs::fdatasync(fd))
}

/// Makes the entries of a directory durable.
pub(super) fn sync_dir(fd: BorrowedFd<'_>) -> Result<()> {
    #[cfg(target_vendor = "apple")]
    return retry_on_intr(|| rustix::fs::fcntl_fullfsync(fd));
    #[cfg(not(target_vendor = "apple"))]
    retry_on_intr(|| rustix::fs::fsync(fd))
}

/// Renames without replacing, in one step. `NOSYS` or `INVAL` where that cannot be had.
pub(super) fn rename_new(fd: BorrowedFd<'_>, from: &str, to: &str) -> Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    return retry_on_intr(|| {
        rustix::fs::renameat_with(fd, from, fd, to, rustix::fs::RenameFlags::NOREPLACE)
    });
    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    {
        let _ = (fd, from, to);
        Err(Errno::NOSYS)
    }
}

/// Whether an error of [`rename_new`] means that this file system cannot do it.
pub(super) fn is_unsupported(errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::NOSYS) || errno == Errno::OPNOTSUPP
}

/// Which file this is. Where the moment in which it was made cannot be had, the number alone has to do.
pub(super) fn identity(fd: BorrowedFd<'_>) -> Result<FileIdentity> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::fs::{AtFlags, StatxFlags, statx};
        let wanted = StatxFlags::INO | StatxFlags::BTIME;
        let found = retry_on_intr(|| statx(fd, "", AtFlags::EMPTY_PATH, wanted));
        if let Ok(found) = found
            && found.stx_mask & StatxFlags::INO.bits() != 0
        {
            let (seconds, nanos) = (found.stx_btime.tv_sec, found.stx_btime.tv_nsec);
            let is_known = found.stx_mask & StatxFlags::BTIME.bits() != 0;
            let seconds = if is_known { u64::try_from(seconds).unwrap_or(0) } else { 0 };
            let nanos = if is_known { u64::from(nanos) } else { 0 };
            let born = seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos);
            return Ok(FileIdentity::new(found.stx_ino, born));
        }
    }
    let stat = retry_on_intr(|| rustix::fs::fstat(fd))?;
    #[allow(clippy::useless_conversion, reason = "the type of the field depends on the system")]
    Ok(FileIdentity::new(stat.st_ino.into(), 0))
}

/// Drops a range from the page cache.
pub(super) fn forget(fd: BorrowedFd<'_>, offset: u64, len: u64) {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    if let Some(len) = std::num::NonZeroU64::new(len) {
        // A hint: whether it was taken is of no consequence.
        rustix::fs::fadvise(fd, offset, Some(len), rustix::fs::Advice::DontNeed).unwrap_or(());
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    let _ = (fd, offset, len);
}

/// Starts to read a range into the page cache.
pub(super) fn expect(fd: BorrowedFd<'_>, offset: u64, len: u64) {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    if let Some(len) = std::num::NonZeroU64::new(len) {
        rustix::fs::fadvise(fd, offset, Some(len), rustix::fs::Advice::WillNeed).unwrap_or(());
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    let _ = (fd, offset, len);
}

/// Reads what is in the page cache, up to the first byte that is not.
pub(super) fn read_cached(fd: BorrowedFd<'_>, buf: &mut [u8], offset: u64) -> Result<usize> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let mut into = [std::io::IoSliceMut::new(buf)];
        rustix::io::preadv2(fd, &mut into, offset, rustix::io::ReadWriteFlags::NOWAIT)
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = (fd, buf, offset);
        Ok(0)
    }
}

/// Starts to write a range that is dirty in the page cache.
pub(super) fn write_back(fd: BorrowedFd<'_>, offset: u64, len: u64) {
    // Before Linux drops a range it starts to write what is dirty of it, and such pages it keeps. Others only
    // drop, which would help nobody.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    forget(fd, offset, len);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (fd, offset, len);
}

/// Whether the file system's pages may vanish for reasons beyond this machine, so that a mapping
/// of them is a risk to the process; also true where it cannot be told.
pub(super) fn is_remote(fd: BorrowedFd<'_>) -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        /// `f_type` of: NFS, SMB, CIFS, SMB2, FUSE, 9P, AFS (two), Ceph, Coda.
        const REMOTE: [u32; 10] = [
            0x6969,
            0x517b,
            0xff53_4d42,
            0xfe53_4d42,
            0x6573_5546,
            0x0102_1997,
            0x5346_414f,
            0x6b41_4653,
            0x00c3_6400,
            0x7375_7245,
        ];
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a 32-bit number in a field whose width and sign depend on the system"
        )]
        rustix::fs::fstatfs(fd).map_or(true, |stat| REMOTE.contains(&(stat.f_type as u32)))
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = fd;
        true
    }
}
