//! An environment on a simulated disk, and a model to compare it with.

use std::collections::{BTreeMap, BTreeSet};

use cairn_env::{
    Database, DatabaseKind, DatabaseOptions, EnvResult, Environment, Options, VerifyOptions,
};
use cairn_sim::{Bounds, Level, SimDisk, SimWorld};

pub(crate) type Model = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// Small everything: a few commits fill a journal file, a few entries split a leaf.
pub(crate) fn small_options() -> Options {
    Options::default()
        .background(false)
        .leaf_bytes(256)
        .cache_bytes(1 << 20)
        .journal_file_bytes(16 << 10)
        .node_file_bytes(16 << 10)
}

/// An environment on a simulated disk. It is verified when it is dropped.
pub(crate) struct TestEnv {
    pub(crate) disk: SimDisk,
    pub(crate) world: SimWorld,
    pub(crate) options: Options,
    pub(crate) env: Option<Environment>,
}

impl TestEnv {
    pub(crate) fn new(options: Options) -> Self {
        Self::on(SimDisk::new(), options)
    }

    pub(crate) fn on(disk: SimDisk, options: Options) -> Self {
        Self::seeded(disk, options, 7)
    }

    /// As `on`; with another seed it becomes another environment.
    pub(crate) fn seeded(disk: SimDisk, options: Options, seed: u64) -> Self {
        let world = SimWorld::new(seed);
        let mut test = Self { disk, world, options, env: None };
        test.open().expect("it opens");
        test
    }

    pub(crate) fn open(&mut self) -> EnvResult<()> {
        let (env, _) =
            Environment::open_in(self.disk.root(), self.world.world(), self.options.clone())?;
        self.env = Some(env);
        Ok(())
    }

    pub(crate) fn env(&self) -> &Environment {
        self.env.as_ref().expect("it is open")
    }

    /// Whether the file at a path of this disk is there.
    pub(crate) fn has(&self, path: &std::path::Path) -> bool {
        let (path, image) = (path.to_string_lossy(), self.disk.image());
        image.files().any(|(name, _)| path.ends_with(name))
    }

    pub(crate) fn db(&self, name: &str) -> Database {
        self.env().database(name, DatabaseOptions::default()).expect("it can be created")
    }

    pub(crate) fn put(&self, db: &str, key: &[u8], value: &[u8]) {
        let db = self.db(db);
        self.env().write(|txn| txn.put(&db, key, value)).expect("it is writable");
    }

    pub(crate) fn close(&mut self) {
        self.env.take().expect("it is open").close().expect("nobody else has it");
    }

    /// Closes and opens again.
    pub(crate) fn reopen(&mut self) {
        self.close();
        self.open().expect("it opens again");
    }

    /// Drops the environment as a killed process does: nothing more is written.
    pub(crate) fn kill(&mut self) {
        let image = self.disk.image();
        std::mem::forget(self.env.take());
        self.disk = SimDisk::from_image(&image);
        self.open().expect("it opens after a kill");
    }
}

impl Drop for TestEnv {
    fn drop(&mut self) {
        if let Some(env) = &self.env
            && env.is_valid()
            && !std::thread::panicking()
        {
            let report = env.verify(&VerifyOptions::new()).expect("it can be verified");
            assert!(report.findings.is_empty(), "{:#?}", report.findings);
        }
    }
}

/// Everything in an environment, but for what follows from it.
pub(crate) fn content(env: &Environment) -> EnvResult<Model> {
    let snapshot = env.snapshot()?;
    let mut model = Model::new();
    for db in snapshot.databases()? {
        if db.kind() == DatabaseKind::Index {
            continue;
        }
        let mut entries = BTreeMap::new();
        for entry in snapshot.iter(&db)? {
            let (key, value) = entry?;
            entries.insert(key.to_vec(), value.to_vec());
        }
        assert_eq!(snapshot.len(&db)?, entries.len() as u64);
        model.insert(db.name().to_owned(), entries);
    }
    Ok(model)
}

/// A number as a key, in the order of numbers.
#[expect(clippy::big_endian_bytes, reason = "keys are compared from the first byte on")]
pub(crate) fn ordered(n: u32) -> [u8; 4] {
    n.to_be_bytes()
}

/// Crashes what `disk` has seen at every operation, in every way, and opens each distinct image: what is
/// there must be the state after some commit, and not one before what was `acknowledged` (a mark on the
/// disk). `also` looks at each of them. Returns how many there were.
pub(crate) fn sweep(
    disk: &SimDisk,
    options: &Options,
    states: &[Model],
    also: &mut dyn FnMut(&Environment, &Model),
) -> usize {
    let trace = disk.trace();
    let (mut cuts, mut seen) = (trace.cuts(), BTreeSet::new());
    while let Some(cut) = cuts.next_cut() {
        let acknowledged = cut.mark("acknowledged").unwrap_or(0);
        for level in Level::ALL {
            for crashed in cut.crash().images(level, &Bounds::smoke()) {
                if !seen.insert((crashed.image.hash(), acknowledged)) {
                    continue;
                }
                let (disk, world) = (SimDisk::from_image(&crashed.image), SimWorld::new(9));
                let place = || format!("cut {}: {crashed}", cut.position());
                let opened = Environment::open_in(disk.root(), world.world(), options.clone());
                let (env, report) = opened.unwrap_or_else(|error| panic!("{}: {error}", place()));
                let commit = report.sequence;
                assert!(commit >= acknowledged, "{}: {acknowledged} is lost; {report}", place());
                let expected = &states[usize::try_from(commit).expect("few commits")];
                let found = content(&env).expect("it can be read");
                assert!(found == *expected, "{}: {report}", place());
                also(&env, expected);
            }
        }
    }
    seen.len()
}
