//! Host: the VFS that SQLite has for the system, for what does not belong into an environment.

use rusqlite::ffi;

/// SQLite's own VFS. Temporary files are its business, where nothing has to be encrypted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Host(pub(super) *mut ffi::sqlite3_vfs);

impl Host {
    pub(super) fn find() -> Option<Self> {
        // SAFETY: it initializes SQLite if need be; a null name asks for the default VFS.
        #[expect(unsafe_code, reason = "the VFS")]
        let found = unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) };
        (!found.is_null()).then_some(Self(found))
    }

    /// What it consists of.
    pub(super) fn vfs(&self) -> &ffi::sqlite3_vfs {
        // SAFETY: `find` has seen that it is not null, and SQLite never frees the VFS of the system.
        #[expect(unsafe_code, reason = "the VFS")]
        unsafe {
            &*self.0
        }
    }
}
