//! Registration: the VFS of an environment, by its name.

use std::{
    ffi::{CStr, CString},
    ptr,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use rusqlite::ffi;

use super::{host::Host, system};
use crate::{file::Files, sync::lock};

/// A VFS that SQLite knows, until this is dropped.
#[derive(Debug)]
pub(crate) struct Vfs {
    place: &'static Place,
}

/// What SQLite keeps pointers to. It is never freed, and used again for other environments: so a pointer that
/// SQLite keeps for longer than it should leads to no file, but never to what is not there any more.
pub(super) struct Place {
    vfs: ffi::sqlite3_vfs,
    name: CString,
    pub(super) host: Host,
    files: Mutex<Weak<Files>>,
}

// SAFETY: `vfs` holds pointers that are only followed by SQLite, under its own locks, to what is never freed and
// never changes after `Place::make`, but for `pNext`, which is SQLite's; `host` is SQLite's default VFS, which is
// made to be called from any thread; the rest is `Sync` by itself.
#[expect(unsafe_code, reason = "the VFS")]
unsafe impl Sync for Place {}
// SAFETY: as above; nothing in it belongs to a thread.
#[expect(unsafe_code, reason = "the VFS")]
unsafe impl Send for Place {}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vfs({:?})", self.name)
    }
}

/// Places of environments that are not open any more.
static FREE: Mutex<Vec<&'static Place>> = Mutex::new(Vec::new());

/// Longest name of a file, as SQLite counts: with what it appends to it.
const MAX_PATH: i32 = 512;

impl Place {
    fn make() -> Option<&'static Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let host = Host::find()?;
        let place = Box::leak(Box::new(Self {
            vfs: system::vfs(&host, MAX_PATH),
            name: CString::new(format!("cairn-{number}")).expect("it has no zero byte"),
            host,
            files: Mutex::new(Weak::new()),
        }));
        place.vfs.zName = place.name.as_ptr();
        place.vfs.pAppData = ptr::from_ref(place).cast_mut().cast();
        Some(place)
    }

    /// The files of the environment.
    pub(super) fn files(&self) -> Option<Arc<Files>> {
        lock(&self.files).upgrade()
    }

    fn as_ptr(&'static self) -> *mut ffi::sqlite3_vfs {
        ptr::from_ref(&self.vfs).cast_mut()
    }
}

impl Vfs {
    /// Makes a VFS known to SQLite. `None` if SQLite has none for the system.
    pub(crate) fn register() -> Option<Self> {
        let free = lock(&FREE).pop();
        let place = match free {
            Some(place) => place,
            None => Place::make()?,
        };
        // SAFETY: the place lives for ever, its pointers are set, and it is not registered now: it was just made,
        // or taken out of those that are not.
        #[expect(unsafe_code, reason = "the VFS")]
        let code = unsafe { ffi::sqlite3_vfs_register(place.as_ptr(), 0) };
        (code == ffi::SQLITE_OK).then_some(Self { place })
    }

    pub(crate) fn name(&self) -> &CStr {
        &self.place.name
    }

    /// From now on its files are these, as long as somebody has them.
    pub(crate) fn serve(&self, files: &Arc<Files>) {
        *lock(&self.place.files) = Arc::downgrade(files);
    }
}

impl Drop for Vfs {
    fn drop(&mut self) {
        *lock(&self.place.files) = Weak::new();
        // SAFETY: it is registered, since this lives.
        #[expect(unsafe_code, reason = "the VFS")]
        let code = unsafe { ffi::sqlite3_vfs_unregister(self.place.as_ptr()) };
        if code == ffi::SQLITE_OK {
            lock(&FREE).push(self.place);
        }
    }
}
