//! Locks on files: kernel locks between processes, a registry within this one.
//!
//! The kernel's lock (`flock`, on a descriptor of its own) belongs to the open file, so closing
//! other descriptors of the same file does not release it, and it dies with the process. It would
//! also admit a second holder of this process only by luck of how the file was opened; the
//! registry, keyed by device and inode so that no spelling of a path gets round it, answers that
//! case by name.

use std::{collections::BTreeMap, io, os::fd::OwnedFd, sync::Mutex};

use rustix::{
    fs::{AtFlags, FlockOperation, Mode, OFlags, Stat},
    io::{Errno, retry_on_intr},
    process::Pid,
};

use super::{REGULAR, RealDir, check_regular, not_regular};
use crate::{IoError, IoOp, LockError, LockGuard, LockMode, Name, sync};

/// How often the lock file may be replaced under our hands before we give up.
const ATTEMPTS: usize = 16;

pub(super) fn acquire(dir: &RealDir, name: &Name, mode: LockMode) -> Result<LockGuard, LockError> {
    let fail = |errno| dir.error(IoOp::Lock, name, errno);
    for _ in 0..ATTEMPTS {
        let Some(fd) = open_or_create(dir, name)? else { continue };
        let stat = rustix::fs::fstat(&fd).map_err(fail)?;
        check_regular(&stat).map_err(|source| dir.error(IoOp::Lock, name, source))?;
        let key = Inode::of(&stat);
        let claim = Claim::register(key, mode).ok_or(LockError::HeldHere)?;

        let operation = match mode {
            LockMode::Shared => FlockOperation::NonBlockingLockShared,
            LockMode::Exclusive => FlockOperation::NonBlockingLockExclusive,
        };
        match retry_on_intr(|| rustix::fs::flock(&fd, operation)) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(LockError::HeldElsewhere { pid: holder(&fd) });
            }
            Err(errno) => return Err(fail(errno).into()),
        }
        let held = Held { fd, mode, process: rustix::process::getpid(), _claim: claim };

        // Somebody may have removed or replaced the file between the open and the lock. Then this
        // lock is on a file that nobody else will find.
        match rustix::fs::statat(&dir.fd, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if Inode::of(&stat) == key => {}
            Ok(_) | Err(Errno::NOENT) => continue,
            Err(errno) => return Err(fail(errno).into()),
        }
        if mode == LockMode::Exclusive {
            held.leave_pid();
        }
        return Ok(LockGuard::new(held));
    }
    let busy =
        io::Error::new(io::ErrorKind::ResourceBusy, "the lock file is replaced again and again");
    Err(LockError::Io(dir.error(IoOp::Lock, name, busy)))
}

/// The lock file; `None` if it appeared or vanished meanwhile.
fn open_or_create(dir: &RealDir, name: &Name) -> Result<Option<OwnedFd>, IoError> {
    let open = |flags| {
        let mode = Mode::RUSR | Mode::WUSR;
        retry_on_intr(|| rustix::fs::openat(&dir.fd, name.as_str(), flags | REGULAR, mode))
    };
    let existing = match open(OFlags::RDWR) {
        // A reader of files that it may not write can still be kept out, and keep a writer out.
        Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) => open(OFlags::RDONLY),
        other => other,
    };
    let opened = match existing {
        Err(Errno::NOENT) => {
            open(OFlags::RDWR | OFlags::CREATE | OFlags::EXCL).inspect(|fd| {
                // Only for other readers of the directory: the lock holds with any mode.
                rustix::fs::fchmod(fd, Mode::RUSR | Mode::WUSR).unwrap_or(());
            })
        }
        other => other,
    };
    match opened {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::EXIST) => Ok(None),
        Err(errno) => Err(dir.error(IoOp::Lock, name, not_regular(errno))),
    }
}

/// The process whose id is in the lock file, unless it has ended.
fn holder(fd: &OwnedFd) -> Option<u32> {
    let mut text = [0; 20];
    let len = retry_on_intr(|| rustix::io::pread(fd, &mut text, 0)).ok()?;
    let id: i32 = std::str::from_utf8(text.get(..len)?).ok()?.trim().parse().ok()?;
    match rustix::process::test_kill_process(Pid::from_raw(id)?) {
        Err(Errno::SRCH) => None,
        _ => u32::try_from(id).ok(),
    }
}

/// A file, whatever its paths.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Inode {
    #[cfg(target_vendor = "apple")]
    device: i32,
    #[cfg(not(target_vendor = "apple"))]
    device: u64,
    number: u64,
}

impl Inode {
    #[allow(clippy::useless_conversion, reason = "the type of the fields depends on the system")]
    fn of(stat: &Stat) -> Self {
        Self { device: stat.st_dev.into(), number: stat.st_ino.into() }
    }
}

/// Who holds a lock within this process.
enum Holders {
    Shared(usize),
    Exclusive,
}

/// What this process holds.
static REGISTRY: Mutex<BTreeMap<Inode, Holders>> = Mutex::new(BTreeMap::new());

/// An entry of the registry, taken back when dropped.
struct Claim(Inode);

impl Claim {
    fn register(key: Inode, mode: LockMode) -> Option<Self> {
        let mut registry = sync::lock(&REGISTRY);
        match (registry.get_mut(&key), mode) {
            (None, LockMode::Shared) => drop(registry.insert(key, Holders::Shared(1))),
            (None, LockMode::Exclusive) => drop(registry.insert(key, Holders::Exclusive)),
            (Some(Holders::Shared(count)), LockMode::Shared) => *count += 1,
            (Some(_), _) => return None,
        }
        Some(Self(key))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut registry = sync::lock(&REGISTRY);
        match registry.get_mut(&self.0) {
            Some(Holders::Shared(count)) if *count > 1 => *count -= 1,
            _ => drop(registry.remove(&self.0)),
        }
    }
}

/// A lock that is held. The kernel's lock goes first, then the claim: in between, others of this
/// process are told `HeldHere`, which is right, rather than `HeldElsewhere`, which is not.
struct Held {
    fd: OwnedFd,
    mode: LockMode,
    process: Pid,
    _claim: Claim,
}

impl Held {
    /// Leaves our id for whoever is refused. The lock holds without it, so failures are ignored.
    fn leave_pid(&self) {
        let text = format!("{}\n", self.process.as_raw_nonzero());
        let mut found = [0; 20];
        let len = rustix::io::pread(&self.fd, &mut found, 0).unwrap_or(0);
        if found.get(..len) != Some(text.as_bytes()) {
            rustix::io::pwrite(&self.fd, text.as_bytes(), 0).unwrap_or(0);
            rustix::fs::ftruncate(&self.fd, text.len() as u64).unwrap_or(());
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Closing alone would leave the lock to a child that is between fork and exec. A forked
        // child that drops its copy of this guard must not release its parent's lock.
        if rustix::process::getpid() == self.process {
            if self.mode == LockMode::Exclusive {
                // A shared holder leaves no id; ours must not be taken for its.
                rustix::fs::ftruncate(&self.fd, 0).unwrap_or(());
            }
            rustix::fs::flock(&self.fd, FlockOperation::Unlock).unwrap_or(());
        }
    }
}
