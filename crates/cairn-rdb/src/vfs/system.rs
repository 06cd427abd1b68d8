//! System: what SQLite asks of a VFS as a whole: open, delete, look; clocks and randomness.

use std::{
    ffi::{CStr, c_char, c_int},
    ptr,
    time::Duration,
};

use rusqlite::ffi;

use super::{file, guarded, host::Host, registration::Place};
use crate::file::{Handle, MemoryFile, check_name, failed, is_beside};

/// A VFS whose name and data are still to be set.
pub(super) fn vfs(host: &Host, max_path: c_int) -> ffi::sqlite3_vfs {
    let of_host = host.vfs();
    let len = file::SLOT_LEN.max(of_host.szOsFile);
    ffi::sqlite3_vfs {
        iVersion: 2,
        szOsFile: len,
        mxPathname: max_path,
        pNext: ptr::null_mut(),
        zName: ptr::null(),
        pAppData: ptr::null_mut(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_path),
        // Of the system, which does not look at the VFS that it is called for.
        xDlOpen: of_host.xDlOpen,
        xDlError: of_host.xDlError,
        xDlSym: of_host.xDlSym,
        xDlClose: of_host.xDlClose,
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: Some(current_time),
        xGetLastError: of_host.xGetLastError,
        xCurrentTimeInt64: Some(current_time_millis),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    }
}

/// The place of a VFS.
///
/// # Safety
/// `vfs` is one that was made here, or null.
#[expect(unsafe_code, reason = "the VFS")]
unsafe fn place<'v>(vfs: *mut ffi::sqlite3_vfs) -> Option<&'v Place> {
    // SAFETY: by contract it is null or a VFS that stands in a place, which lives for ever.
    let vfs = unsafe { vfs.as_ref() }?;
    // SAFETY: its data was set to its place before it was registered.
    unsafe { vfs.pAppData.cast::<Place>().as_ref() }
}

/// A name that SQLite gives.
///
/// # Safety
/// It is null, or ends with a zero and stays as it is during the call.
#[expect(unsafe_code, reason = "the VFS")]
unsafe fn name<'n>(name: *const c_char) -> Option<&'n str> {
    if name.is_null() {
        return None;
    }
    // SAFETY: by contract.
    unsafe { CStr::from_ptr(name) }.to_str().ok()
}

/// Which files belong to the environment; all others are temporary.
const OF_ENVIRONMENT: c_int = ffi::SQLITE_OPEN_MAIN_DB;
const JOURNALS: c_int = ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL;

#[expect(unsafe_code, reason = "the VFS")]
unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    out: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives room for a file, of which it calls no method unless there are some.
    unsafe { file::clear(out) };
    guarded(ffi::SQLITE_CANTOPEN, || {
        // SAFETY: SQLite calls this with the VFS that it was registered for.
        let Some(place) = (unsafe { place(vfs) }) else { return ffi::SQLITE_CANTOPEN };
        let Some(files) = place.files() else { return ffi::SQLITE_CANTOPEN };
        if flags & ffi::SQLITE_OPEN_WAL != 0 {
            return ffi::SQLITE_CANTOPEN;
        }
        let is_temporary = flags & (OF_ENVIRONMENT | JOURNALS) == 0;
        if is_temporary && !files.env.is_encrypted() {
            let Some(open) = place.host.vfs().xOpen else { return ffi::SQLITE_CANTOPEN };
            // SAFETY: SQLite's own VFS, called as SQLite calls it; the room is enough for its files, and it sets
            // its own methods.
            return unsafe { open(place.host.0, path, out, flags, out_flags) };
        }
        let mut granted = flags;
        if is_temporary || flags & JOURNALS != 0 {
            // SAFETY: `out` has room for it, as `vfs` has told SQLite.
            unsafe { file::put_memory(out, MemoryFile::default()) };
        } else {
            // SAFETY: SQLite's string, and for a database one that it has added parameters to.
            let (Some(name), false) = (unsafe { name(path) }, unsafe { defies_locks(path) }) else {
                return ffi::SQLITE_CANTOPEN;
            };
            if !check_name(name) {
                return ffi::SQLITE_CANTOPEN;
            }
            let is_read_only = files.env.options().read_only;
            if flags & ffi::SQLITE_OPEN_CREATE == 0 || is_read_only {
                match files.exists(name) {
                    Ok(true) => {}
                    Ok(false) => return ffi::SQLITE_CANTOPEN,
                    Err(error) => return failed(ffi::SQLITE_CANTOPEN, error).0,
                }
            }
            if is_read_only {
                granted = flags & !(ffi::SQLITE_OPEN_READWRITE | ffi::SQLITE_OPEN_CREATE)
                    | ffi::SQLITE_OPEN_READONLY;
            }
            match files.file(name) {
                // SAFETY: as above.
                Ok(found) => unsafe { file::put_main(out, Handle::open(files, found)) },
                Err(error) => return failed(ffi::SQLITE_CANTOPEN, error).0,
            }
        }
        // SAFETY: null, or a number of SQLite's.
        if let Some(out_flags) = unsafe { out_flags.as_mut() } {
            *out_flags = granted;
        }
        ffi::SQLITE_OK
    })
}

/// Whether the file is to be opened without locks: a reader then sees several versions, and a writer overwrites
/// what others write.
///
/// # Safety
/// `path` is the name of a database as SQLite gives it to `xOpen`.
#[expect(unsafe_code, reason = "the VFS")]
unsafe fn defies_locks(path: *const c_char) -> bool {
    [c"nolock", c"immutable"].into_iter().any(|parameter| {
        // SAFETY: by contract; the parameter is a string.
        unsafe { ffi::sqlite3_uri_boolean(path, parameter.as_ptr(), 0) != 0 }
    })
}

#[expect(unsafe_code, reason = "the VFS")]
unsafe extern "C" fn delete(
    vfs: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    sync_directory: c_int,
) -> c_int {
    guarded(ffi::SQLITE_IOERR_DELETE, || {
        // SAFETY: SQLite calls this with the VFS that it was registered for.
        let place = unsafe { place(vfs) };
        // SAFETY: a string of SQLite's.
        let name = unsafe { name(path) };
        let (Some(files), Some(name)) = (place.and_then(Place::files), name) else {
            return ffi::SQLITE_IOERR_DELETE;
        };
        if sync_directory == 0 {
            return ffi::SQLITE_OK; // to tidy up
        }
        files.removed(name).err().map_or(ffi::SQLITE_OK, |outcome| outcome.0)
    })
}

#[expect(unsafe_code, reason = "the VFS")]
unsafe extern "C" fn access(
    vfs: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    _flags: c_int,
    out: *mut c_int,
) -> c_int {
    guarded(ffi::SQLITE_IOERR_ACCESS, || {
        // SAFETY: SQLite calls this with the VFS that it was registered for.
        let place = unsafe { place(vfs) };
        // SAFETY: a string of SQLite's.
        let name = unsafe { name(path) };
        // SAFETY: a number of SQLite's.
        let Some(out) = (unsafe { out.as_mut() }) else { return ffi::SQLITE_IOERR_ACCESS };
        *out = 0;
        let (Some(files), Some(name)) = (place.and_then(Place::files), name) else {
            return ffi::SQLITE_OK;
        };
        if is_beside(name) || !check_name(name) {
            return ffi::SQLITE_OK; // nothing is ever left beside a file
        }
        match files.exists(name) {
            Ok(exists) => *out = c_int::from(exists),
            Err(error) => return failed(ffi::SQLITE_IOERR_ACCESS, error).0,
        }
        ffi::SQLITE_OK
    })
}

#[expect(unsafe_code, reason = "the VFS")]
unsafe extern "C" fn full_path(
    _vfs: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    len: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: a string of SQLite's.
    let path = unsafe { CStr::from_ptr(path) }.to_bytes_with_nul();
    if usize::try_from(len).is_ok_and(|len| path.len() <= len) {
        // SAFETY: there is room for so many bytes, and the strings are two.
        unsafe { ptr::copy_nonoverlapping(path.as_ptr().cast(), out, path.len()) };
        return ffi::SQLITE_OK;
    }
    ffi::SQLITE_CANTOPEN
}

#[expect(unsafe_code, reason = "the VFS")]
unsafe extern "C" fn randomness(vfs: *mut ffi::sqlite3_vfs, len: c_int, out: *mut c_char) -> c_int {
    guarded(0, || {
        // SAFETY: SQLite calls this with the VFS that it was registered for.
        let files = unsafe { place(vfs) }.and_then(Place::files);
        let (Some(files), Ok(count)) = (files, usize::try_from(len)) else { return 0 };
        // SAFETY: SQLite gives room for so many bytes.
        let out = unsafe { std::slice::from_raw_parts_mut(out.cast::<u8>(), count) };
        files.env.world().random(out);
        len
    })
}

#[expect(unsafe_code, reason = "the VFS")]
unsafe extern "C" fn sleep(vfs: *mut ffi::sqlite3_vfs, micros: c_int) -> c_int {
    guarded(0, || {
        // SAFETY: SQLite calls this with the VFS that it was registered for.
        let Some(files) = (unsafe { place(vfs) }).and_then(Place::files) else { return 0 };
        files.env.world().pause(Duration::from_micros(u64::try_from(micros).unwrap_or(0)));
        micros
    })
}

/// The time in milliseconds since the Julian epoch, which SQLite counts from.
///
/// # Safety
/// `vfs` is one that was made here.
#[expect(unsafe_code, reason = "the VFS")]
unsafe fn millis(vfs: *mut ffi::sqlite3_vfs) -> Option<i64> {
    /// Of 1970.
    const UNIX_EPOCH: i64 = 210_866_760_000_000;
    // SAFETY: by contract.
    let files = unsafe { place(vfs) }.and_then(Place::files)?;
    let unix = i64::try_from(files.env.world().wall().0 / 1000).ok()?;
    unix.checked_add(UNIX_EPOCH)
}

#[expect(unsafe_code, reason = "the VFS")]
unsafe extern "C" fn current_time_millis(vfs: *mut ffi::sqlite3_vfs, out: *mut i64) -> c_int {
    guarded(ffi::SQLITE_ERROR, || {
        // SAFETY: SQLite calls this with the VFS that it was registered for.
        let millis = unsafe { millis(vfs) };
        // SAFETY: a number of SQLite's.
        let (Some(millis), Some(out)) = (millis, unsafe { out.as_mut() }) else {
            return ffi::SQLITE_ERROR;
        };
        *out = millis;
        ffi::SQLITE_OK
    })
}

#[expect(unsafe_code, reason = "the VFS")]
unsafe extern "C" fn current_time(vfs: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    const MILLIS_A_DAY: f64 = 86_400_000.0;
    guarded(ffi::SQLITE_ERROR, || {
        // SAFETY: SQLite calls this with the VFS that it was registered for.
        let millis = unsafe { millis(vfs) };
        // SAFETY: a number of SQLite's.
        let (Some(millis), Some(out)) = (millis, unsafe { out.as_mut() }) else {
            return ffi::SQLITE_ERROR;
        };
        #[expect(clippy::cast_precision_loss, reason = "days, as SQLite counts them")]
        let days = millis as f64 / MILLIS_A_DAY;
        *out = days;
        ffi::SQLITE_OK
    })
}
