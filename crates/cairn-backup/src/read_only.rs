//! `ReadOnly`: content that is put together from elsewhere, as a file that is only read.

use std::{io::ErrorKind, path::Path, sync::Arc};

use bytes::Bytes;
use cairn_io::{File, FileIdentity, FileRef, IoError, IoOp, IoResult, SyncSite};

/// What a file holds: the part of [`File`] that reads.
pub(crate) trait Readable: std::fmt::Debug + Send + Sync + 'static {
    /// As [`File::path`].
    fn path(&self) -> &Path;

    /// As [`File::read_at`].
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> IoResult<usize>;

    /// As [`File::len`].
    fn length(&self) -> u64;

    /// As [`File::links`].
    fn links(&self) -> IoResult<u64> {
        Ok(1)
    }

    /// As [`File::identity`].
    fn identity(&self) -> IoResult<FileIdentity>;

    /// As [`File::forget`].
    fn forget(&self, _offset: u64, _len: u64) {}
}

/// See the module.
#[derive(Debug)]
pub(crate) struct ReadOnly<C>(pub(crate) C);

impl<C: Readable> ReadOnly<C> {
    pub(crate) fn file(content: C) -> FileRef {
        Arc::new(Self(content))
    }

    fn refuse<T>(&self, op: IoOp) -> IoResult<T> {
        Err(IoError::new(op, self.0.path(), ErrorKind::ReadOnlyFilesystem))
    }
}

impl<C: Readable> File for ReadOnly<C> {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> IoResult<usize> {
        self.0.read_at(offset, buf)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> IoResult<usize> {
        self.refuse(IoOp::Write)
    }

    fn sync(&self, _: SyncSite) -> IoResult<()> {
        self.refuse(IoOp::Sync)
    }

    fn set_len(&self, _: u64) -> IoResult<()> {
        self.refuse(IoOp::Write)
    }

    fn len(&self) -> IoResult<u64> {
        Ok(self.0.length())
    }

    fn links(&self) -> IoResult<u64> {
        self.0.links()
    }

    fn identity(&self) -> IoResult<FileIdentity> {
        self.0.identity()
    }

    fn map(&self, _: u64, _: usize) -> IoResult<Option<Bytes>> {
        Ok(None)
    }

    fn forget(&self, offset: u64, len: u64) {
        self.0.forget(offset, len);
    }
}
