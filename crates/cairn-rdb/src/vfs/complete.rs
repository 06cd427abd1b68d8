//! Complete: whether a text is a whole statement, for who reads statements line by line.

use std::ffi::CString;

use rusqlite::ffi;

/// Whether `sql` ends with a whole statement: with a `;` that does not stand within a text, a comment or the body of a
/// trigger.
///
/// ```
/// assert!(cairn_rdb::is_complete("SELECT 1;"));
/// assert!(!cairn_rdb::is_complete("SELECT ';"));
/// ```
#[must_use]
pub fn is_complete(sql: &str) -> bool {
    let Ok(sql) = CString::new(sql) else { return true }; // SQLite then says what is wrong with it
    // SAFETY: a string that stays as it is during the call.
    #[expect(unsafe_code, reason = "what rusqlite does not ask")]
    let complete = unsafe { ffi::sqlite3_complete(sql.as_ptr()) };
    complete != 0
}
