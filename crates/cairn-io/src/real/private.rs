//! `read_private`: a file of secrets of the user, outside of any environment.

use std::{io, path::Path};

use rustix::{
    fs::{FileType, Mode, OFlags},
    io::{Errno, retry_on_intr},
};

use crate::{IoError, IoOp, IoResult};

/// Reads the beginning of the regular file at `path`, which nobody but its owner may access, and returns
/// how many bytes there are, up to what `buf` takes. Links in the path are followed: where the file lies is
/// the affair of its user. The caller wipes `buf`.
///
/// # Errors
/// `PermissionDenied` if the group or others may do anything with the file; `InvalidInput` for anything
/// that is no regular file; and whatever the file system reports.
pub fn read_private(path: &Path, buf: &mut [u8]) -> IoResult<usize> {
    let fail = |source: io::Error| IoError::new(IoOp::Open, path, source);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))
        .map_err(|errno| fail(errno.into()))?;
    let stat = rustix::fs::fstat(&fd).map_err(|errno| fail(errno.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(fail(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")));
    }
    let mode = Mode::from_raw_mode(stat.st_mode);
    if mode.intersects(Mode::RWXG | Mode::RWXO) {
        let why = format!(
            "others than its owner may access it (mode {:03o}): `chmod 600` takes that away",
            mode.bits() & 0o777
        );
        return Err(fail(io::Error::new(io::ErrorKind::PermissionDenied, why)));
    }
    let mut done = 0;
    while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match rustix::io::read(&fd, rest) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(IoError::new(IoOp::Read, path, errno)),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn only_a_file_of_its_owner_alone_is_read() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("key");
        fs::write(&path, b"secret").unwrap();
        let mut buf = [0; 4];
        for mode in [0o640, 0o604, 0o620, 0o601, 0o777] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = read_private(&path, &mut buf).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
            assert!(error.to_string().contains(&format!("mode {mode:03o}")), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!((read_private(&path, &mut buf).unwrap(), &buf), (4, b"secr"));
        assert_eq!(read_private(&path, &mut [0; 100]).unwrap(), 6);
        let link = scratch.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(read_private(&link, &mut [0; 100]).unwrap(), 6);
        let error = read_private(scratch.path(), &mut buf).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(read_private(&scratch.path().join("none"), &mut buf).unwrap_err().is_not_found());
    }
}
