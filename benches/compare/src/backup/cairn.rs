//! CairnDB: a repository in a directory, nothing compressed, all else as it is by default.

use std::{fs, path::Path, rc::Rc, time::Instant};

use cairn_backup::{
    CheckLevel, CheckOptions, Compression, PointOptions, ProveOptions, Repository, RestoreOptions,
    Which,
};
use cairn_env::{Database, DatabaseOptions, Durability, Environment, Options};

use super::{Data, Proofs, Saver};
use crate::Result;

/// An environment that stays open while it is backed up, whoever does that.
pub struct Live {
    env: Environment,
    database: Database,
}

impl Live {
    pub fn load(path: &Path, data: Data) -> Result<Rc<Self>> {
        let (env, database) = load(path, data)?;
        Ok(Rc::new(Self { env, database }))
    }

    pub fn change(&self, data: Data) -> Result {
        let changed: Vec<_> = data.changed().collect();
        for batch in changed.chunks(1000) {
            self.env.write(|txn| {
                batch.iter().try_for_each(|(key, value)| txn.put(&self.database, key, value))
            })?;
        }
        Ok(())
    }
}

pub struct Repo(pub Rc<Live>);

impl Repo {
    fn save(&self, place: &Path) -> Result {
        let repository = match cairn_backup::is_repository(place) {
            true => Repository::open(place)?,
            false => Repository::create(place)?,
        };
        repository.backup(&self.0.env, &point())?;
        Ok(())
    }
}

/// An environment with all entries.
pub fn load(path: &Path, data: Data) -> Result<(Environment, Database)> {
    let (env, _) = Environment::open(path, Options::default())?;
    let mut txn = env.begin_exclusive()?;
    let database = txn.create_database("main", DatabaseOptions::default())?;
    txn.load(&database, data.all())?;
    txn.commit_with(Durability::Sync)?;
    Ok((env, database))
}

/// How points are made here.
pub fn point<'a>() -> PointOptions<'a> {
    PointOptions::default().compression(Compression::None)
}

impl Saver for Repo {
    fn name(&self) -> &'static str {
        "cairndb"
    }

    fn change(&mut self, data: Data) -> Result {
        self.0.change(data)
    }

    fn full(&mut self, place: &Path) -> Result {
        self.save(place)
    }

    fn increment(&mut self, place: &Path) -> Result<bool> {
        self.save(place)?;
        Ok(true)
    }

    fn restore(&mut self, place: &Path, to: &Path) -> Result {
        let repository = Repository::open(place)?;
        repository.restore(None, &Which::Newest, to, &RestoreOptions::default())?;
        Ok(())
    }

    fn proofs(&mut self, place: &Path) -> Result<Option<Proofs>> {
        let repository = Repository::open(place)?;
        let start = Instant::now();
        let report = repository.check(&CheckOptions::default().level(CheckLevel::Stored))?;
        let check = start.elapsed();
        if let Some(finding) = report.findings.first() {
            return Err(format!("the check has found {finding:?}").into());
        }
        let start = Instant::now();
        repository.prove(None, &Which::Newest, &ProveOptions::default())?;
        Ok(Some(Proofs { stored_bytes: report.bytes, check, prove: start.elapsed() }))
    }
}

/// Removes an environment.
pub fn remove(env: Environment, path: &Path) -> Result {
    env.close()?;
    Ok(fs::remove_dir_all(path)?)
}
