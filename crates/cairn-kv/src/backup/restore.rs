//! Restore: the content of an archive takes the place of that of a store.
//!
//! The archive is verified whole before anything changes, and loaded beside the store. It takes its place in one commit:
//! until that, everybody goes on with what there is; from then on handles have the new content, result sets and
//! transactions of the old one end, and observers are told to read the store again.

use std::cell::RefCell;

use cairn_archive::{
    ArchiveError, ArchiveFile, ArchiveKeys, Header, ImportOptions, StoreKind, import,
};
use cairn_env::{EnvError, EnvResult, ExclusiveTransaction};

use super::{BackupInfo, BackupName, BackupOptions, place, store_info};
use crate::{
    KvError, KvResult, KvStore, Schema, names,
    record::StoreRecord,
    store::{Content, indexes},
    sync::lock,
};

impl KvStore {
    /// Puts a backup in the place of what the store holds, in one commit: killed at any moment, it holds what it
    /// did, or what the backup does. All handles of the store see that, and go on. Result sets and transactions
    /// end with [`KvError::Closed`]; observers get one [`StoreEvent::Reset`](crate::StoreEvent::Reset). The
    /// backup stays as it is.
    ///
    /// Everybody goes on meanwhile, writers of this store too, whose commits until then are replaced as what was there
    /// before. A store whose content is damaged can be restored as well, as long as its environment is valid.
    ///
    /// # Errors
    /// [`KvError::NoSuchBackup`]; [`KvError::Archive`] if it is damaged, cut off, empty, of another store, or
    /// encrypted with another key; [`KvError::ChangedOptions`] and [`KvError::LowerSecurity`] if the store was
    /// another one then; [`KvError::ValueMismatch`] if its schema has grown since, and a value does not follow it; [`KvError::Busy`] during another restore; [`KvError::Closed`]. Nothing has changed then.
    pub fn restore(&self, name: &str) -> KvResult<BackupInfo> {
        self.restore_with(name, BackupOptions::new())
    }

    /// As [`KvStore::restore`], with options.
    ///
    /// # Errors
    /// As [`KvStore::restore`]; [`ArchiveError::Cancelled`].
    pub fn restore_with(&self, name: &str, options: BackupOptions<'_>) -> KvResult<BackupInfo> {
        let name = BackupName::new(name)?;
        let none = || KvError::NoSuchBackup { store: self.id().into(), name: name.as_str().into() };
        drop(self.shared.content()?); // it must be open
        let folder = place(&self.shared.env)?.find(self.id())?.ok_or_else(none)?;
        let archive = folder.archive(name.file());
        match self.bring_back(&archive, name.as_str(), options, false) {
            Err(KvError::Archive(ArchiveError::NotFound { .. })) => Err(none()),
            restored => restored,
        }
    }

    /// Restores the newest backup that is good, the automatic one among them: that with the last commit, whatever
    /// the clock of the file system says.
    ///
    /// # Errors
    /// [`KvError::NoGoodBackup`]; else as [`KvStore::restore`].
    pub fn restore_latest(&self) -> KvResult<BackupInfo> {
        drop(self.shared.content()?);
        let good = self.backups()?.into_iter().filter_map(|listed| listed.state.ok());
        match good.max_by_key(|backup| (backup.timeline, backup.commit, backup.created)) {
            Some(newest) => self.restore(&newest.name),
            None => Err(KvError::NoGoodBackup { store: self.id().into() }),
        }
    }

    /// Restores from an archive anywhere, also from that of another store: this is the call for a store that
    /// moved. It must be of the same sort, with the same schema or one that has grown into it.
    ///
    /// # Errors
    /// As [`KvStore::restore`].
    pub fn restore_from(
        &self,
        archive: &ArchiveFile,
        options: BackupOptions<'_>,
    ) -> KvResult<BackupInfo> {
        self.bring_back(archive, archive.name().as_str(), options, true)
    }

    fn bring_back(
        &self,
        archive: &ArchiveFile,
        name: &str,
        options: BackupOptions<'_>,
        other_store: bool,
    ) -> KvResult<BackupInfo> {
        let shared = &self.shared;
        let Some(_alone) = shared.restoring.begin() else {
            return Err(KvError::Busy { what: "another restore of the store" });
        };
        drop(shared.content()?);
        let record = self.recorded()?;
        let mut keys = ArchiveKeys::of(&shared.env)?;
        if let Some(key) = options.key {
            keys = keys.or(key.clone());
        }
        let header = archive.open(&keys)?.header().clone();
        let grown = check_record(shared.id.as_str(), &record, &header)?;

        let data = names::data(&shared.id);
        let of_archive = names::data(&header.store.name);
        let rename = |database: &str| match database.strip_prefix(&of_archive) {
            Some(rest) => format!("{data}{rest}"),
            None => database.to_owned(),
        };
        let count = shared.schema.as_ref().map_or(0, |schema| schema.indexes.len());
        let own: Vec<String> = std::iter::once(data.clone())
            .chain((0..count).map(|number| names::index(&shared.id, number)))
            .collect();
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        let mut how = ImportOptions::default()
            .keys(keys)
            .other_store(other_store)
            .replaces(&own)
            .rename(&rename)
            .progress(options.progress);
        how.in_the_clear = options.in_the_clear;
        let mismatch = RefCell::new(None);
        let check = |database: &str, key: &[u8], stored: &[u8]| match &grown {
            Some(grown) if grown.has_fields && database == of_archive => {
                grown.now.check_entry(key, stored).map_err(|error| {
                    let what = error.to_string();
                    mismatch.replace(Some(error));
                    EnvError::InvalidInput { what }
                })
            }
            _ => Ok(()),
        };
        let adapt = |txn: &mut ExclusiveTransaction, _: &Header| match &grown {
            Some(grown) => grown.drop_indexes(txn, &shared.id),
            None => Ok(()),
        };
        let how = how.check(&check).before_commit(&adapt);
        let store = store_info(&shared.id, record.encode());
        let imported = import(&shared.env, archive, &store, &how);
        if let Some(mismatch) = mismatch.take() {
            return Err(mismatch);
        }
        match imported {
            Ok(report) => {
                self.go_over(&data, report.commit)?;
                Ok(BackupInfo::new(name, &report.archive))
            }
            Err(error) => {
                // It has taken effect, although a crash may still take it back.
                if let ArchiveError::Env(EnvError::CommitPending { commit, .. }) = &error {
                    self.go_over(&data, *commit)?;
                }
                Err(error.into())
            }
        }
    }

    /// Puts the content that `commit` has brought in the place of what all handles had.
    fn go_over(&self, data: &str, commit: u64) -> KvResult<()> {
        match self.new_content(data) {
            Ok(content) => self.shared.replace(content, commit),
            Err(error) => {
                // It is restored, and this process cannot go on with it: the next open tries again.
                self.shared.close();
                return Err(error);
            }
        }
        self.has_committed(commit);
        Ok(())
    }

    fn new_content(&self, data: &str) -> KvResult<Content> {
        let shared = &self.shared;
        let data = shared.env.find_database(data)?.ok_or_else(|| KvError::Corrupt {
            store: shared.id.clone(),
            what: "its database is missing after a restore".into(),
        })?;
        let indexes = indexes(&shared.env, &shared.id, &data, shared.schema.as_ref())?;
        Content::now(&shared.env, data, indexes)
    }
}

/// An error unless the store was the same sort of store when the archive was made. Archives of other kinds are
/// refused by the import. Returns how its schema has grown since.
fn check_record(id: &str, record: &StoreRecord, header: &Header) -> KvResult<Option<Grown>> {
    if header.store.kind != StoreKind::KEY_VALUE {
        return Ok(None);
    }
    let then = StoreRecord::decode(id, &header.store.options)?;
    then.check_sort(id, record)?;
    let (backup, store) = (then.security_level, record.security_level);
    if backup > store {
        return Err(KvError::LowerSecurity { backup, store });
    }
    let (then, now) = (then.schema(id)?, record.schema(id)?);
    Ok(now.filter(|now| then.as_ref() != Some(now)).map(|now| Grown {
        has_fields: now.has_fields_beyond(then.as_ref()),
        unlike: then.iter().flat_map(|then| then.indexes_unlike(&now)).collect(),
        now,
    }))
}

/// How the schema of a store has grown since it was backed up.
struct Grown {
    now: Schema,
    /// Whether it has fields that values may not follow.
    has_fields: bool,
    /// The indexes that it does not have, by their numbers. What it did not have then is built after the commit.
    unlike: Vec<usize>,
}

impl Grown {
    fn drop_indexes(&self, txn: &mut ExclusiveTransaction, store: &str) -> EnvResult<()> {
        for number in &self.unlike {
            if let Some(index) = txn.find_database(&names::index(store, *number))? {
                txn.drop_database(&index)?;
            }
        }
        Ok(())
    }
}

impl crate::store::Shared {
    /// Puts other content in place, which `commit` has brought.
    fn replace(&self, new: Content, commit: u64) {
        let mut content = self.content_alone();
        if content.is_some() {
            *content = Some(new);
            self.begin_epoch();
            lock(&self.order).reset(commit);
        }
    }
}
