//! RocksDB, and its BackupEngine.

use std::path::{Path, PathBuf};

use rocksdb::{
    DB, DBCompressionType, Env, Options, WriteBatch, WriteOptions,
    backup::{BackupEngine, BackupEngineOptions, RestoreOptions},
};

use super::{Data, Saver};
use crate::Result;

pub struct Rocks(DB);

impl Rocks {
    pub fn load(path: &Path, data: Data) -> Result<Self> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_compression_type(DBCompressionType::None);
        let saver = Self(DB::open(&options, path)?);
        saver.put(&mut data.all(), false)?;
        saver.0.compact_range(None::<&[u8]>, None::<&[u8]>);
        Ok(saver)
    }

    fn put(
        &self,
        entries: &mut dyn Iterator<Item = ([u8; 8], Vec<u8>)>,
        is_logged: bool,
    ) -> Result {
        let mut options = WriteOptions::default();
        options.disable_wal(!is_logged);
        loop {
            let mut batch = WriteBatch::default();
            entries.take(1000).for_each(|(key, value)| batch.put(key, value));
            if batch.is_empty() {
                return Ok(self.0.flush()?);
            }
            self.0.write_opt(batch, &options)?;
        }
    }

    fn engine(place: &Path) -> Result<BackupEngine> {
        let mut options = BackupEngineOptions::new(place)?;
        options.set_max_background_operations(2);
        Ok(BackupEngine::open(&options, &Env::new()?)?)
    }

    fn save(&self, place: &Path) -> Result {
        Ok(Self::engine(place)?.create_new_backup_flush(&self.0, true)?)
    }
}

impl Saver for Rocks {
    fn name(&self) -> &'static str {
        "RocksDB"
    }

    fn change(&mut self, data: Data) -> Result {
        self.put(&mut data.changed(), true)
    }

    fn full(&mut self, place: &Path) -> Result {
        self.save(place)
    }

    fn increment(&mut self, place: &Path) -> Result<bool> {
        self.save(place)?;
        Ok(true)
    }

    fn restore(&mut self, place: &Path, to: &Path) -> Result {
        let to: PathBuf = to.to_owned();
        let options = RestoreOptions::default();
        Ok(Self::engine(place)?.restore_from_latest_backup(&to, &to, &options)?)
    }
}
