//! File: what SQLite asks of a file that it has open.

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    ptr, slice,
};

use rusqlite::ffi;

use super::guarded;
use crate::file::{Answer, Handle, Level, MemoryFile, Outcome, Reply};

/// What stands in the room that SQLite gives a file: as it demands, the methods first.
#[repr(C)]
struct Slot {
    methods: *const ffi::sqlite3_io_methods,
    /// Of the type that the methods are for.
    file: *mut c_void,
}

/// Bytes that it takes.
#[expect(clippy::cast_possible_truncation, reason = "two pointers")]
pub(super) const SLOT_LEN: c_int = size_of::<Slot>() as c_int;

/// Says that there is no file: SQLite then calls no method.
///
/// # Safety
/// `out` has room for a [`Slot`].
#[expect(unsafe_code, reason = "the VFS")]
pub(super) unsafe fn clear(out: *mut ffi::sqlite3_file) {
    // SAFETY: by contract.
    unsafe { out.cast::<Slot>().write(Slot { methods: ptr::null(), file: ptr::null_mut() }) };
}

/// Puts a file of the environment there.
///
/// # Safety
/// As [`clear`].
#[expect(unsafe_code, reason = "the VFS")]
pub(super) unsafe fn put_main(out: *mut ffi::sqlite3_file, handle: Handle) {
    let file = Box::into_raw(Box::new(handle)).cast();
    // SAFETY: by contract.
    unsafe { out.cast::<Slot>().write(Slot { methods: &MAIN, file }) };
}

/// Puts a file in memory there.
///
/// # Safety
/// As [`clear`].
#[expect(unsafe_code, reason = "the VFS")]
pub(super) unsafe fn put_memory(out: *mut ffi::sqlite3_file, memory: MemoryFile) {
    let file = Box::into_raw(Box::new(memory)).cast();
    // SAFETY: by contract.
    unsafe { out.cast::<Slot>().write(Slot { methods: &MEMORY, file }) };
}

/// No shared memory, hence no log; and no mapping.
const NONE: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 1,
    xClose: None,
    xRead: None,
    xWrite: None,
    xTruncate: None,
    xSync: None,
    xFileSize: None,
    xLock: None,
    xUnlock: None,
    xCheckReservedLock: None,
    xFileControl: None,
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

static MAIN: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    xClose: Some(close::<Handle>),
    xRead: Some(read::<Handle>),
    xWrite: Some(write::<Handle>),
    xTruncate: Some(truncate::<Handle>),
    xSync: Some(sync::<Handle>),
    xFileSize: Some(size::<Handle>),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(is_reserved),
    xFileControl: Some(control),
    ..NONE
};

static MEMORY: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    xClose: Some(close::<MemoryFile>),
    xRead: Some(read::<MemoryFile>),
    xWrite: Some(write::<MemoryFile>),
    xTruncate: Some(truncate::<MemoryFile>),
    xSync: Some(sync::<MemoryFile>),
    xFileSize: Some(size::<MemoryFile>),
    xLock: Some(no_lock),
    xUnlock: Some(no_lock),
    xCheckReservedLock: Some(is_not_reserved),
    xFileControl: Some(no_control),
    ..NONE
};

/// What both kinds of files do.
trait Contents {
    /// Fills `out`; zeros and `SQLITE_IOERR_SHORT_READ` beyond the end.
    fn read(&mut self, offset: u64, out: &mut [u8]) -> Answer<()>;
    fn write(&mut self, offset: u64, bytes: &[u8]) -> Answer<()>;
    fn truncate(&mut self, len: u64) -> Answer<()>;
    fn sync(&mut self);
    fn size(&mut self) -> Answer<u64>;
}

impl Contents for Handle {
    fn read(&mut self, offset: u64, out: &mut [u8]) -> Answer<()> {
        Self::read(self, offset, out)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Answer<()> {
        Self::write(self, offset, bytes)
    }

    fn truncate(&mut self, len: u64) -> Answer<()> {
        Self::truncate(self, len)
    }

    fn sync(&mut self) {
        Self::sync(self);
    }

    fn size(&mut self) -> Answer<u64> {
        Self::size(self)
    }
}

fn in_memory(offset: u64, code: c_int) -> Answer<usize> {
    usize::try_from(offset).map_err(|_| Outcome(code))
}

impl Contents for MemoryFile {
    fn read(&mut self, offset: u64, out: &mut [u8]) -> Answer<()> {
        let there = Self::read(self, in_memory(offset, ffi::SQLITE_IOERR_READ)?, out);
        out[there..].fill(0);
        match there == out.len() {
            true => Ok(()),
            false => Err(Outcome(ffi::SQLITE_IOERR_SHORT_READ)),
        }
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Answer<()> {
        let offset = in_memory(offset, ffi::SQLITE_FULL)?;
        Self::write(self, offset, bytes).then_some(()).ok_or(Outcome(ffi::SQLITE_FULL))
    }

    fn truncate(&mut self, len: u64) -> Answer<()> {
        Self::truncate(self, in_memory(len, ffi::SQLITE_FULL)?);
        Ok(())
    }

    fn sync(&mut self) {}

    fn size(&mut self) -> Answer<u64> {
        Ok(self.len() as u64)
    }
}

/// The file in a slot.
///
/// # Safety
/// A file of this type was put there and is still there; nobody else uses it: SQLite calls the methods of a file
/// one at a time.
#[expect(unsafe_code, reason = "the VFS")]
unsafe fn of<'f, T>(file: *mut ffi::sqlite3_file) -> &'f mut T {
    // SAFETY: by contract there is a slot.
    let slot = unsafe { &*file.cast::<Slot>() };
    // SAFETY: by contract its file is of this type, and borrowed by nobody.
    unsafe { &mut *slot.file.cast::<T>() }
}

fn code(answer: Answer<()>) -> c_int {
    answer.err().map_or(ffi::SQLITE_OK, |outcome| outcome.0)
}

/// A number that SQLite means as a place or a length.
fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

#[expect(unsafe_code, reason = "the VFS")]
unsafe extern "C" fn close<T>(file: *mut ffi::sqlite3_file) -> c_int {
    guarded(ffi::SQLITE_IOERR_CLOSE, || {
        // SAFETY: SQLite calls a method of a slot that is filled.
        let slot = unsafe { &mut *file.cast::<Slot>() };
        slot.methods = ptr::null();
        let contents = std::mem::replace(&mut slot.file, ptr::null_mut());
        // SAFETY: it was made by `Box::into_raw` of this type, and is not in the slot any more.
        drop(unsafe { Box::from_raw(contents.cast::<T>()) });
        ffi::SQLITE_OK
    })
}

#[expect(unsafe_code, reason = "the VFS")]
unsafe extern "C" fn read<T: Contents>(
    file: *mut ffi::sqlite3_file,
    out: *mut c_void,
    len: c_int,
    offset: i64,
) -> c_int {
    guarded(ffi::SQLITE_IOERR_READ, || {
        let Ok(len) = usize::try_from(len) else { return ffi::SQLITE_IOERR_READ };
        // SAFETY: SQLite gives room for so many bytes.
        let out = unsafe { slice::from_raw_parts_mut(out.cast::<u8>(), len) };
        // SAFETY: SQLite calls the methods of the file that was put there.
        code(unsafe { of::<T>(file) }.read(unsigned(offset), out))
    })
}

#[expect(unsafe_code, reason = "the VFS")]
unsafe extern "C" fn write<T: Contents>(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    len: c_int,
    offset: i64,
) -> c_int {
    guarded(ffi::SQLITE_IOERR_WRITE, || {
        let Ok(len) = usize::try_from(len) else { return ffi::SQLITE_IOERR_WRITE };
        // SAFETY: SQLite gives so many bytes.
        let bytes = unsafe { slice::from_raw_parts(bytes.cast::<u8>(), len) };
        // SAFETY: SQLite calls the methods of the file that was put there.
        code(unsafe { of::<T>(file) }.write(unsigned(offset), bytes))
    })
}

#[expect(unsafe_code, reason = "the VFS")]
unsafe extern "C" fn truncate<T: Contents>(file: *mut ffi::sqlite3_file, len: i64) -> c_int {
    // SAFETY: SQLite calls the methods of the file that was put there.
    guarded(ffi::SQLITE_IOERR_TRUNCATE, || code(unsafe { of::<T>(file) }.truncate(unsigned(len))))
}

#[expect(unsafe_code, reason = "the VFS")]
unsafe extern "C" fn sync<T: Contents>(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    guarded(ffi::SQLITE_IOERR_FSYNC, || {
        // SAFETY: SQLite calls the methods of the file that was put there.
        unsafe { of::<T>(file) }.sync();
        ffi::SQLITE_OK
    })
}

#[expect(unsafe_code, reason = "the VFS")]
unsafe extern "C" fn size<T: Contents>(file: *mut ffi::sqlite3_file, out: *mut i64) -> c_int {
    guarded(ffi::SQLITE_IOERR_FSTAT, || {
        // SAFETY: SQLite calls the methods of the file that was put there, with a number of its own.
        let (file, Some(out)) = (unsafe { of::<T>(file) }, unsafe { out.as_mut() }) else {
            return ffi::SQLITE_IOERR_FSTAT;
        };
        match file.size().map(i64::try_from) {
            Ok(Ok(size)) => *out = size,
            Ok(Err(_)) => return ffi::SQLITE_IOERR_FSTAT,
            Err(outcome) => return outcome.0,
        }
        ffi::SQLITE_OK
    })
}

#[expect(unsafe_code, reason = "the VFS")]
unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    guarded(ffi::SQLITE_IOERR_LOCK, || {
        let Some(level) = Level::of(level) else { return ffi::SQLITE_MISUSE };
        // SAFETY: SQLite calls the methods of the file that was put there.
        code(unsafe { of::<Handle>(file) }.lock(level))
    })
}

#[expect(unsafe_code, reason = "the VFS")]
unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    guarded(ffi::SQLITE_IOERR_UNLOCK, || {
        let Some(level) = Level::of(level) else { return ffi::SQLITE_MISUSE };
        // SAFETY: SQLite calls the methods of the file that was put there.
        code(unsafe { of::<Handle>(file) }.unlock(level))
    })
}

#[expect(unsafe_code, reason = "the VFS")]
unsafe extern "C" fn is_reserved(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    guarded(ffi::SQLITE_IOERR_CHECKRESERVEDLOCK, || {
        // SAFETY: SQLite calls the methods of the file that was put there, with a number of its own.
        let (file, Some(out)) = (unsafe { of::<Handle>(file) }, unsafe { out.as_mut() }) else {
            return ffi::SQLITE_IOERR_CHECKRESERVEDLOCK;
        };
        *out = c_int::from(file.is_reserved());
        ffi::SQLITE_OK
    })
}

#[expect(unsafe_code, reason = "the VFS")]
unsafe extern "C" fn no_lock(_file: *mut ffi::sqlite3_file, _level: c_int) -> c_int {
    ffi::SQLITE_OK
}

#[expect(unsafe_code, reason = "the VFS")]
unsafe extern "C" fn is_not_reserved(_file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: null, or a number of SQLite's.
    if let Some(out) = unsafe { out.as_mut() } {
        *out = 0;
    }
    ffi::SQLITE_OK
}

#[expect(unsafe_code, reason = "the VFS")]
unsafe extern "C" fn no_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

/// A sector that is smaller than any page, so that SQLite writes pages one by one.
#[expect(unsafe_code, reason = "the VFS")]
unsafe extern "C" fn sector_size(_file: *mut ffi::sqlite3_file) -> c_int {
    512
}

/// A transaction is all or nothing, whatever it writes and in whatever order.
#[expect(unsafe_code, reason = "the VFS")]
unsafe extern "C" fn device_characteristics(_file: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_ATOMIC
        | ffi::SQLITE_IOCAP_SAFE_APPEND
        | ffi::SQLITE_IOCAP_SEQUENTIAL
        | ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

#[expect(unsafe_code, reason = "the VFS")]
unsafe extern "C" fn control(
    file: *mut ffi::sqlite3_file,
    operation: c_int,
    argument: *mut c_void,
) -> c_int {
    guarded(ffi::SQLITE_ERROR, || {
        // SAFETY: SQLite calls the methods of the file that was put there.
        let handle = unsafe { of::<Handle>(file) };
        match operation {
            ffi::SQLITE_FCNTL_SYNC => {
                let super_journal = argument.cast::<c_char>();
                let name = (!super_journal.is_null()).then(|| {
                    // SAFETY: for this operation it is null or a string.
                    unsafe { CStr::from_ptr(super_journal) }.to_string_lossy().into_owned()
                });
                handle.written(name);
                ffi::SQLITE_OK
            }
            ffi::SQLITE_FCNTL_COMMIT_PHASETWO => code(handle.commit()),
            ffi::SQLITE_FCNTL_PDB => {
                // SAFETY: for this operation it points to the pointer to the connection.
                if let Some(connection) = unsafe { argument.cast::<*mut ffi::sqlite3>().as_ref() } {
                    handle.belongs_to(connection.addr());
                }
                ffi::SQLITE_OK
            }
            ffi::SQLITE_FCNTL_PRAGMA => {
                // SAFETY: for this operation it is an array of three strings, of which the first is to be set.
                unsafe { pragma(handle, argument.cast::<*mut c_char>()) }
            }
            ffi::SQLITE_FCNTL_LOCKSTATE => {
                // SAFETY: for this operation it is a number.
                if let Some(out) = unsafe { argument.cast::<c_int>().as_mut() } {
                    *out = handle.level() as c_int;
                }
                ffi::SQLITE_OK
            }
            ffi::SQLITE_FCNTL_HAS_MOVED => {
                // SAFETY: for this operation it is a number.
                if let Some(out) = unsafe { argument.cast::<c_int>().as_mut() } {
                    *out = 0;
                }
                ffi::SQLITE_OK
            }
            _ => ffi::SQLITE_NOTFOUND,
        }
    })
}

/// # Safety
/// `strings` are three strings, or null: the answer, the name of a pragma, its value.
#[expect(unsafe_code, reason = "the VFS")]
unsafe fn pragma(handle: &Handle, strings: *mut *mut c_char) -> c_int {
    let text = |at: usize| {
        // SAFETY: by contract there are three.
        let text = unsafe { strings.add(at) };
        // SAFETY: as above.
        let text = unsafe { *text };
        // SAFETY: by contract it is a string or null.
        (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy())
    };
    let Some(name) = text(1) else { return ffi::SQLITE_NOTFOUND };
    match handle.pragma(&name, text(2).as_deref()) {
        Reply::None => ffi::SQLITE_NOTFOUND,
        Reply::Text(answer) => {
            let Ok(answer) = std::ffi::CString::new(&*answer) else { return ffi::SQLITE_NOTFOUND };
            // SAFETY: a format that takes one string; SQLite frees what this makes.
            let copy = unsafe { ffi::sqlite3_mprintf(c"%s".as_ptr(), answer.as_ptr()) };
            // SAFETY: by contract the first is to be set.
            unsafe { *strings = copy };
            ffi::SQLITE_OK
        }
    }
}
