//! Names: of stores and their aliases, and of tables and columns as they stand in a statement.

use crate::{RdbError, RdbResult};

/// Longest name of a store in bytes.
pub const MAX_STORE_NAME_LENGTH: usize = 128;

/// The database that says which stores there are: name to [record](crate::record).
pub(crate) const STORES: &str = "cairn.rdb";

/// An error unless `name` can be the name of a store.
pub(crate) fn check_store_name(name: &str) -> RdbResult<()> {
    let why = match name {
        "" => "it is empty",
        _ if name.len() > MAX_STORE_NAME_LENGTH => "it has more than 128 bytes",
        _ if name.contains('/') => "it has a /",
        _ if name.chars().any(char::is_control) => "it has a control character",
        "." | ".." => "it means a directory",
        _ if name.starts_with("file:") => "SQLite takes it for a URI",
        _ if is_beside(name) => "SQLite calls its journals so",
        _ => return Ok(()),
    };
    Err(RdbError::InvalidName { name: name.into(), why })
}

/// Whether SQLite calls what it keeps beside a file so.
fn is_beside(name: &str) -> bool {
    ["-journal", "-wal", "-shm"].iter().any(|end| name.ends_with(end)) || name.contains("-mj")
}

/// An error unless `alias` can be what an attached store is called by.
pub(crate) fn check_alias(alias: &str) -> RdbResult<()> {
    check_store_name(alias)?;
    let taken = ["main", "temp"].iter().any(|name| name.eq_ignore_ascii_case(alias));
    let why = match taken {
        true => "SQLite calls something of its own so",
        false if alias.contains('.') => "it has a dot, which stands before the name of a table",
        false => return Ok(()),
    };
    Err(RdbError::InvalidName { name: alias.into(), why })
}

/// An identifier as it stands in a statement.
///
/// In backquotes: what stands in double quotes and is the name of nothing, SQLite takes for text, so that a
/// column that is misspelled in a condition of a delete could be true of every row.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A table as it stands in a statement. What stands before the first dot is the alias of an attached store.
///
/// # Errors
/// [`RdbError::InvalidArgs`] if there is nothing.
pub(crate) fn quoted_table(table: &str) -> RdbResult<String> {
    match table.split_once('.') {
        Some((schema, table)) if !schema.is_empty() && !table.is_empty() => {
            Ok(format!("{}.{}", quoted(schema), quoted(table)))
        }
        None if !table.is_empty() => Ok(quoted(table)),
        _ => Err(RdbError::args(format!("{table:?} is no name of a table"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_name_is_one_component_of_a_path_of_1_to_128_bytes() {
        for name in ["a", "RdbTest.db", "Ä b", "...", &"x".repeat(128)] {
            check_store_name(name).unwrap();
        }
        let long = "x".repeat(129);
        for name in ["", "a/b", "/", "a\0", "a\n", ".", "..", "file:a", "a-wal", "a-journal", &long]
        {
            assert_eq!(check_store_name(name).unwrap_err().code(), Some(401), "{name:?}");
        }
    }

    #[test]
    fn an_alias_is_none_of_sqlite() {
        check_alias("other").unwrap();
        for alias in ["main", "MAIN", "temp", "a.b", ""] {
            assert_eq!(check_alias(alias).unwrap_err().code(), Some(401), "{alias:?}");
        }
    }

    #[test]
    fn an_identifier_is_quoted_whatever_it_has() {
        assert_eq!(quoted("a`b\"c"), "`a``b\"c`");
        assert_eq!(quoted_table("other.a.b").unwrap(), "`other`.`a.b`");
        for table in ["", ".a", "a."] {
            assert_eq!(quoted_table(table).unwrap_err().code(), Some(401));
        }
    }
}
