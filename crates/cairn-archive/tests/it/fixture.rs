//! An environment on a simulated disk with a store in it, a disk for archives, and a model to compare with.

use std::collections::BTreeMap;

use cairn_archive::{
    ArchiveFile, ArchiveReport, ArchiveResult, ExportOptions, ImportOptions, ImportReport,
    StoreInfo, export, import,
};
use cairn_env::{
    Database, DatabaseKind, DatabaseOptions, Environment, IndexDef, KeySource, Options,
    VerifyOptions,
};
use cairn_io::{MemDisk, Name};
use cairn_sim::{SimDisk, SimWorld};

/// All databases with their entries as they are stored.
pub(crate) type Model = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// Small everything: a few entries split a leaf, a few commits fill a journal file.
pub(crate) fn small_options() -> Options {
    Options::default()
        .background(false)
        .leaf_bytes(256)
        .cache_bytes(256 << 10)
        .journal_file_bytes(64 << 10)
        .node_file_bytes(64 << 10)
}

/// A key that costs nothing to try.
pub(crate) fn raw_key(n: u8) -> KeySource {
    KeySource::raw(&mut std::array::from_fn(|i| u8::try_from(i).unwrap() ^ n))
}

/// An environment, and where its archives go. It is verified when it is dropped.
pub(crate) struct TestStore {
    pub(crate) disk: SimDisk,
    pub(crate) world: SimWorld,
    pub(crate) options: Options,
    pub(crate) env: Option<Environment>,
    pub(crate) archives: MemDisk,
}

impl TestStore {
    pub(crate) fn new(options: Options) -> Self {
        Self::seeded(options, 7)
    }

    /// With another seed it is another environment.
    pub(crate) fn seeded(options: Options, seed: u64) -> Self {
        let (disk, world) = (SimDisk::new(), SimWorld::new(seed));
        let mut store = Self { disk, world, options, env: None, archives: MemDisk::new() };
        store.open();
        store
    }

    pub(crate) fn open(&mut self) {
        let world = self.world.world();
        let opened = Environment::open_in(self.disk.root(), world, self.options.clone());
        self.env = Some(opened.unwrap().0);
    }

    pub(crate) fn close(&mut self) {
        self.env.take().unwrap().close().unwrap();
    }

    pub(crate) fn reopen(&mut self) {
        self.close();
        self.open();
    }

    /// As a killed process leaves it: nothing more is written.
    pub(crate) fn kill(&mut self) {
        let image = self.disk.image();
        std::mem::forget(self.env.take());
        self.disk = SimDisk::from_image(&image);
        self.open();
    }

    pub(crate) fn env(&self) -> &Environment {
        self.env.as_ref().unwrap()
    }

    pub(crate) fn db(&self, name: &str) -> Database {
        self.env().database(name, DatabaseOptions::default()).unwrap()
    }

    pub(crate) fn put(&self, db: &str, key: &[u8], value: &[u8]) {
        let db = self.db(db);
        self.env().write(|txn| txn.put(&db, key, value)).unwrap();
    }

    /// The names of the databases that are no indexes.
    pub(crate) fn names(&self) -> Vec<String> {
        let databases = self.env().snapshot().unwrap().databases().unwrap();
        let own = databases.iter().filter(|database| database.kind() != DatabaseKind::Index);
        own.map(|database| database.name().to_owned()).collect()
    }

    pub(crate) fn archive(&self, name: &str) -> ArchiveFile {
        ArchiveFile::new(self.archives.root(), Name::new(name).unwrap())
    }

    /// Exports everything.
    pub(crate) fn export(
        &self,
        name: &str,
        options: &ExportOptions<'_>,
    ) -> ArchiveResult<ArchiveReport> {
        let names = self.names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let snapshot = self.env().snapshot()?;
        let store = StoreInfo::databases();
        let world = self.world.world();
        export(self.env(), &snapshot, &store, &names, &self.archive(name), &world, options)
    }

    /// Imports, so that the environment holds what the archive does and nothing else.
    pub(crate) fn import(
        &self,
        archive: &ArchiveFile,
        options: ImportOptions<'_>,
    ) -> ArchiveResult<ImportReport> {
        let names = self.names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        import(self.env(), archive, &StoreInfo::databases(), &options.replaces(&names))
    }
}

impl Drop for TestStore {
    fn drop(&mut self) {
        if let Some(env) = &self.env
            && env.is_valid()
            && !std::thread::panicking()
        {
            let report = env.verify(&VerifyOptions::new()).unwrap();
            assert!(report.findings.is_empty(), "{:#?}", report.findings);
        }
    }
}

/// Everything in an environment, indexes included.
pub(crate) fn content(env: &Environment) -> Model {
    let snapshot = env.snapshot().unwrap();
    let mut model = Model::new();
    for db in snapshot.databases().unwrap() {
        let entries = snapshot.iter(&db).unwrap().map(|entry| {
            let (key, value) = entry.unwrap();
            (key.to_vec(), value.to_vec())
        });
        model.insert(db.name().to_owned(), entries.collect());
    }
    model
}

/// An index on the words of the values.
pub(crate) fn by_word() -> IndexDef {
    IndexDef::new("by word", 1, |_key, value, emit| {
        value.split(|&byte| byte == b' ').filter(|word| word.len() < 50).for_each(emit);
    })
}

/// A number as a key, in the order of numbers.
#[expect(clippy::big_endian_bytes, reason = "keys are compared from the first byte on")]
pub(crate) fn ordered(n: u32) -> [u8; 4] {
    n.to_be_bytes()
}
