//! `BackupName`: what a backup may be called.

use cairn_io::Name;

use crate::{KvError, KvResult};

/// What the automatic backup is called. No other one is.
pub(super) const AUTOMATIC: &str = "autoBackup";
/// What the name of an archive ends with.
const SUFFIX: &str = ".bak";

/// The name of a backup, and of its file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BackupName {
    name: String,
    file: Name,
}

impl BackupName {
    /// # Errors
    /// [`KvError::InvalidBackupName`]: it has 1 to 96 letters, digits, `-`, `_` and `.`, and does not begin
    /// with a `.`; so it leads nowhere else.
    pub(super) fn new(name: &str) -> KvResult<Self> {
        match Name::new(format!("{name}{SUFFIX}")) {
            Ok(file) if !name.is_empty() => Ok(Self { name: name.into(), file }),
            _ => Err(KvError::InvalidBackupName {
                name: name.into(),
                why: "it has 1 to 96 letters, digits, `-`, `_` and `.`, and does not begin with a `.`",
            }),
        }
    }

    /// As [`BackupName::new`], for a backup that is to be made.
    pub(super) fn of_new(name: &str) -> KvResult<Self> {
        if name == AUTOMATIC {
            let why = "the automatic backup has it";
            return Err(KvError::InvalidBackupName { name: name.into(), why });
        }
        Self::new(name)
    }

    pub(super) fn automatic() -> Self {
        let file = Name::constant("autoBackup.bak");
        Self { name: AUTOMATIC.into(), file }
    }

    /// The backup whose file has this name, if it is one.
    pub(super) fn of_file(file: &Name) -> Option<Self> {
        Self::new(file.as_str().strip_suffix(SUFFIX)?).ok()
    }

    pub(super) fn is_automatic(&self) -> bool {
        self.name == AUTOMATIC
    }

    pub(super) fn as_str(&self) -> &str {
        &self.name
    }

    pub(super) const fn file(&self) -> &Name {
        &self.file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        for name in ["BK001", "true", "1", "1.0", "a-b_c", &"x".repeat(96)] {
            let name = BackupName::of_new(name).unwrap();
            assert_eq!(BackupName::of_file(name.file()).unwrap(), name);
        }
        for name in
            ["", ".", "..", "a/b", "../a", "/a", "a\\b", "a\0", ".a", "a b", "ä", &"x".repeat(97)]
        {
            let error = BackupName::of_new(name).unwrap_err();
            assert!(matches!(error, KvError::InvalidBackupName { .. }), "{name:?}");
            assert_eq!(error.code(), Some(401));
        }
    }

    #[test]
    fn the_name_of_the_automatic_backup_is_kept_for_it() {
        assert_eq!(BackupName::of_new("autoBackup").unwrap_err().code(), Some(401));
        assert_eq!(BackupName::new("autoBackup").unwrap(), BackupName::automatic());
    }
}
