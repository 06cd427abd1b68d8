//! `RealFile`: a regular file of the operating system.

use std::{
    fmt,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use rustix::{
    fs::Stat,
    io::{Errno, retry_on_intr},
};

use super::system;
use crate::{File, FileIdentity, IoError, IoOp, IoResult, SyncSite, mapping::Mapping};

/// Most bytes of one transfer: some systems refuse more than a signed 32-bit number.
const TRANSFER_MAX: usize = 1 << 30;

pub(super) struct RealFile {
    fd: OwnedFd,
    path: PathBuf,
    mapping: Option<Mapping>,
}

impl RealFile {
    pub(super) fn new(fd: OwnedFd, path: PathBuf, mapping: bool) -> Self {
        Self { fd, path, mapping: mapping.then(Mapping::default) }
    }

    fn error(&self, op: IoOp, errno: Errno) -> IoError {
        IoError::new(op, &self.path, errno)
    }

    fn stat(&self) -> Result<Stat, Errno> {
        rustix::fs::fstat(&self.fd)
    }
}

fn length(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).expect("not negative because it is the length of a file")
}

impl File for RealFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> IoResult<usize> {
        let limit = buf.len().min(TRANSFER_MAX);
        let buf = &mut buf[..limit];
        retry_on_intr(|| rustix::io::pread(&self.fd, &mut *buf, offset))
            .map_err(|errno| self.error(IoOp::Read, errno))
    }

    fn read_cached_at(&self, offset: u64, buf: &mut [u8]) -> IoResult<usize> {
        let limit = buf.len().min(TRANSFER_MAX);
        // Whatever is wrong, a read that may wait will say.
        Ok(system::read_cached(self.fd.as_fd(), &mut buf[..limit], offset).unwrap_or(0))
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> IoResult<usize> {
        let buf = &buf[..buf.len().min(TRANSFER_MAX)];
        retry_on_intr(|| rustix::io::pwrite(&self.fd, buf, offset))
            .map_err(|errno| self.error(IoOp::Write, errno))
    }

    fn sync(&self, site: SyncSite) -> IoResult<()> {
        system::sync_file(self.fd.as_fd())
            .map_err(|errno| self.error(IoOp::Sync, errno).at_site(site))
    }

    fn set_len(&self, len: u64) -> IoResult<()> {
        if let Some(mapping) = &self.mapping {
            mapping.forget();
        }
        retry_on_intr(|| rustix::fs::ftruncate(&self.fd, len))
            .map_err(|errno| self.error(IoOp::Write, errno))
    }

    fn len(&self) -> IoResult<u64> {
        self.stat().map(|stat| length(&stat)).map_err(|errno| self.error(IoOp::Read, errno))
    }

    fn links(&self) -> IoResult<u64> {
        let links = self.stat().map_err(|errno| self.error(IoOp::Read, errno))?.st_nlink;
        #[allow(clippy::useless_conversion, reason = "the type of the field depends on the system")]
        Ok(u64::from(links))
    }

    fn identity(&self) -> IoResult<FileIdentity> {
        system::identity(self.fd.as_fd()).map_err(|errno| self.error(IoOp::Read, errno))
    }

    fn map(&self, offset: u64, len: usize) -> IoResult<Option<Bytes>> {
        let Some(mapping) = &self.mapping else { return Ok(None) };
        mapping
            .slice(&self.fd, offset, len, || Ok(length(&self.stat()?)))
            .map(Some)
            .map_err(|error| IoError::new(IoOp::Map, &self.path, error))
    }

    fn forget(&self, offset: u64, len: u64) {
        system::forget(self.fd.as_fd(), offset, len);
    }

    fn expect(&self, offset: u64, len: u64) {
        system::expect(self.fd.as_fd(), offset, len);
    }

    fn write_back(&self, offset: u64, len: u64) {
        system::write_back(self.fd.as_fd(), offset, len);
    }
}

impl fmt::Debug for RealFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RealFile({})", self.path.display())
    }
}
