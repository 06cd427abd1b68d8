//! `BackupName`: what a backup may be called.

use cairn_archive::BackupFolder;
use cairn_io::Name;

use crate::{KvError, KvResult};

/// What the automatic backup is called. No other one is.
pub(super) const AUTOMATIC: &str = "autoBackup";
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
        match BackupFolder::file_of(name) {
            Some(file) => Ok(Self { name: name.into(), file }),
            None => Err(KvError::InvalidBackupName {
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
    fn a_name_that_is_none_is_refused() {
        assert_eq!(BackupName::of_new("BK001").unwrap().as_str(), "BK001");
        for name in ["", "..", "a/b", &"x".repeat(97)] {
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
