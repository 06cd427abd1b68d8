//! Names: what a SQL file may be called, and what its database is called.

/// Most bytes of the name of a SQL file.
pub(crate) const MAX_NAME_LEN: usize = 128;

/// Before the name of a file in that of its database.
const PREFIX: &str = "sql/";

/// What SQLite appends to the name of a file for those that it keeps beside it.
const BESIDE: [&str; 3] = ["-journal", "-wal", "-shm"];

/// Whether a file may be called so: 1 to 128 bytes, a single component of a path.
pub(crate) fn check_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME_LEN
        && !name.contains(|c: char| c == '/' || c.is_control())
        && !is_beside(name)
        && name != "."
        && name != ".."
}

/// The name of the database in which a file is.
pub(crate) fn database_name(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// The name of the file in such a database.
pub(crate) fn file_name(database: &str) -> Option<&str> {
    database.strip_prefix(PREFIX)
}

/// Whether it is called like a file that SQLite keeps beside another one; none of them exists.
pub(crate) fn is_beside(name: &str) -> bool {
    BESIDE.iter().any(|end| name.ends_with(end)) || name.contains("-mj")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_component_of_a_path() {
        assert!(check_name("app.db") && check_name("x") && check_name(&"é".repeat(64)));
        for name in ["", "a/b", "/a", "a\0b", "..", "a\nb", "a-wal", "a-journal", &"x".repeat(129)]
        {
            assert!(!check_name(name), "{name:?}");
        }
    }
}
