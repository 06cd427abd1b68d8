//! RocksDB, with the feature of that name.

use rocksdb::{
    DB, Direction, IngestExternalFileOptions, IteratorMode, Options, SstFileWriter, WriteBatch,
};

use super::{Commit, Engine, Entry, Key, Pair, Room, Session};
use crate::Result;

pub const ENTRY: Entry = Entry {
    name: "rocksdb",
    settings: "block cache 1 GiB, LZ4, two background jobs; `WriteOptions::sync`",
    b_tree: false,
    syncs: true,
    open: |dir, Room { cache, .. }| {
        let options = options(cache);
        Ok(Box::new(Rocks { database: DB::open(&options, dir.join("data"))?, options }))
    },
};

struct Rocks {
    database: DB,
    options: Options,
}

struct RocksSession<'e>(&'e DB, Commit);

fn options(cache: usize) -> Options {
    let mut blocks = rocksdb::BlockBasedOptions::default();
    blocks.set_block_cache(&rocksdb::Cache::new_lru_cache(cache));
    blocks.set_bloom_filter(10.0, false);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(rocksdb::DBCompressionType::Lz4);
    options.increase_parallelism(2);
    options
}

impl Engine for Rocks {
    fn session(&self, commit: Commit) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(RocksSession(&self.database, commit)))
    }

    fn get_all(&self, keys: &mut dyn Iterator<Item = Key>) -> Result<u64> {
        let snapshot = self.database.snapshot();
        let mut sum = 0;
        for key in keys {
            let value = snapshot.get_pinned(key)?.ok_or("a key is not there")?;
            sum += u64::from(value[5]);
        }
        Ok(sum)
    }

    fn scan(&self) -> Result<(u64, u64)> {
        sum(self.database.iterator(IteratorMode::Start))
    }

    fn ranges(&self, starts: &mut dyn Iterator<Item = Key>, len: usize) -> Result<(u64, u64)> {
        let snapshot = self.database.snapshot();
        let (mut count, mut all) = (0, 0);
        for start in starts {
            let from = IteratorMode::From(&start, Direction::Forward);
            let (some, of_them) = sum(snapshot.iterator(from).take(len))?;
            count += some;
            all += of_them;
        }
        Ok((count, all))
    }

    fn load_sorted(&self, entries: &mut dyn Iterator<Item = Pair<'_>>) -> Result<bool> {
        let path = self.database.path().with_extension("sst");
        let mut file = SstFileWriter::create(&self.options);
        file.open(&path)?;
        for (key, value) in entries {
            file.put(key, value)?;
        }
        file.finish()?;
        let mut moved = IngestExternalFileOptions::default();
        moved.set_move_files(true);
        self.database.ingest_external_file_opts(&moved, vec![path])?;
        Ok(true)
    }

    fn sync(&self) -> Result {
        Ok(self.database.flush_wal(true)?)
    }

    fn compact(&mut self) -> Result<bool> {
        self.database.flush()?;
        self.database.compact_range(None::<&[u8]>, None::<&[u8]>);
        Ok(true)
    }
}

fn sum(
    entries: impl Iterator<Item = std::result::Result<(Box<[u8]>, Box<[u8]>), rocksdb::Error>>,
) -> Result<(u64, u64)> {
    let (mut count, mut sum) = (0, 0);
    for entry in entries {
        let (key, value) = entry?;
        count += 1;
        sum += u64::from(key[3]) + u64::from(value[50]);
    }
    Ok((count, sum))
}

impl Session for RocksSession<'_> {
    fn commit(&mut self, entries: &[Pair<'_>]) -> Result {
        let Self(database, commit) = self;
        let mut options = rocksdb::WriteOptions::default();
        options.set_sync(*commit == Commit::Synced);
        let mut batch = WriteBatch::default();
        entries.iter().for_each(|(key, value)| batch.put(key, value));
        Ok(database.write_opt(batch, &options)?)
    }

    fn get(&mut self, key: &Key) -> Result<u8> {
        Ok(self.0.get_pinned(key)?.ok_or("a key is not there")?[5])
    }
}
