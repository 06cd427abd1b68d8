//! Salvage: every version of every record that can still be read of an environment that does not open.
//!
//! A [repair](crate::repair()) makes an environment of what can be proved. A salvage hands out whatever is there, one
//! entry after the other, with what is known of it:
//!
//! 1. Every log file is read record by record, on behind damage, and what is damaged is noted.
//! 2. What counts is decided as a repair does it: which commits, which leaves, what a database is called.
//! 3. The keys are gone through in their order, as many at a time as memory holds. What commits, leaves and
//!    moved values say of one is put together: its newest value, or all its versions.
//! 4. Where the newest value of a key is lost and an older one is not, that is handed out in its place, and said.
//!
//! Nothing of the source is changed, and no bytes count that do not pass their checksums.

mod databases;
mod ground;
mod options;
mod report;
mod versions;
mod window;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use cairn_btree::TreeId;
use cairn_io::{DirRef, RealWorld, WorldRef};

use self::{
    databases::Databases,
    ground::{Back, Ground},
    options::Meter,
    versions::{Version, joined},
    window::{Content, Key, Statement, Wanted, Window},
};
pub use self::{
    options::SalvageOptions,
    report::{
        ApartTransaction, DamagedRange, Naming, SalvageReport, SalvagedDatabase, SalvagedEntry,
        SalvagedFile, Standing, Substitute,
    },
};
use crate::{
    EnvResult, Missing, Options, RepairReport,
    recovery::FIRST_USER_TREE,
    repair::{
        build::{Writer, large_value},
        source_dir,
        target::{By, Target},
        target_dir,
    },
};

/// Hands everything out to `each` that can be read of the environment in `source`, which need not open, in the order
/// of databases and keys; substitutes come last. Nothing in `source` is changed. `options` give the key of an encrypted
/// one.
///
/// # Errors
/// [`EnvError::NotAnEnvironment`](crate::EnvError::NotAnEnvironment) if there is nothing to read;
/// [`EnvError::Locked`](crate::EnvError::Locked) if somebody has it open for writing; those of keys; what `each`
/// returns. Damage is no error: see [`SalvageReport`].
pub fn salvage(
    source: impl AsRef<Path>,
    options: &Options,
    what: &SalvageOptions<'_>,
    each: &mut dyn FnMut(&SalvagedEntry<'_>) -> EnvResult<()>,
) -> EnvResult<SalvageReport> {
    salvage_in(source_dir(source.as_ref())?, options, what, each)
}

/// As [`salvage`], on any directory.
///
/// # Errors
/// As [`salvage`].
pub fn salvage_in(
    source: DirRef,
    options: &Options,
    what: &SalvageOptions<'_>,
    each: &mut dyn FnMut(&SalvagedEntry<'_>) -> EnvResult<()>,
) -> EnvResult<SalvageReport> {
    Salvage::open(source, options, what)?.run(each)
}

/// Puts the newest value of each key into a new environment in `target`, which must be a new or empty directory, or hold
/// a salvage that was cut short. `options` are those of the new environment, as of a [repair](crate::repair()). Its log
/// files have numbers above those of the source, so that no file of one is ever taken for one of the other.
///
/// # Errors
/// As [`salvage`], and as [`repair`](crate::repair()) for the target.
pub fn salvage_to(
    source: impl AsRef<Path>,
    target: impl AsRef<Path>,
    options: Options,
    what: &SalvageOptions<'_>,
) -> EnvResult<SalvageReport> {
    let (source, world) = (source_dir(source.as_ref())?, Arc::new(RealWorld::new()));
    salvage_to_in(source, target_dir(target.as_ref())?, world, options, what)
}

/// As [`salvage_to`], on any directories and world.
///
/// # Errors
/// As [`salvage_to`].
pub fn salvage_to_in(
    source: DirRef,
    target: DirRef,
    world: WorldRef,
    options: Options,
    what: &SalvageOptions<'_>,
) -> EnvResult<SalvageReport> {
    Salvage::open(source, &options, &newest(what))?.run_to(target, &world, options)
}

/// An environment has one version of each key.
fn newest<'a>(what: &SalvageOptions<'a>) -> SalvageOptions<'a> {
    SalvageOptions { all_versions: false, uncommitted: false, ..what.clone() }
}

/// A salvage that goes on.
struct Salvage<'a> {
    what: SalvageOptions<'a>,
    ground: Ground,
    databases: Databases,
    meter: Meter<'a>,
    found: RepairReport,
    report: SalvageReport,
    /// Keys whose newest value cannot be read, the commit of that, and why.
    lost: BTreeMap<Key, (u64, String)>,
}

/// What is said of keys.
type Held = BTreeMap<Key, Vec<Statement>>;

type Each<'e> = dyn FnMut(&SalvagedEntry<'_>) -> EnvResult<()> + 'e;

impl<'a> Salvage<'a> {
    fn open(source: DirRef, options: &Options, what: &SalvageOptions<'a>) -> EnvResult<Self> {
        let mut found = RepairReport::default();
        let (ground, mut meter) = Ground::open(source, options, what, &mut found)?;
        let databases = Databases::find(&ground, what, &mut meter, &mut found)?;
        let (report, lost) = (SalvageReport::default(), BTreeMap::new());
        Ok(Self { what: what.clone(), ground, databases, meter, found, report, lost })
    }

    fn run(mut self, each: &mut Each<'_>) -> EnvResult<SalvageReport> {
        let wanted = self.databases.wanted(&self.what);
        let back = match self.what.all_versions {
            true => Back::ToBeginning,
            false => Back::ToNewestState,
        };
        let mut low = Some((TreeId(FIRST_USER_TREE), Vec::new()));
        while let Some(from) = low {
            let (held, next) = self.window(&wanted, from, back, self.what.uncommitted)?;
            for (key, statements) in held {
                self.hand_out(&key, statements, each)?;
            }
            low = next;
        }
        self.substitute(each)?;
        let Self { ground, databases, found, mut report, what, .. } = self;
        report.apart = ground.apart()?;
        report.files = ground.files;
        report.databases = databases.end(&wanted);
        let mut missing = found.missing;
        missing.retain(|missing| what.database.is_none() || concerns(missing, &report));
        missing.append(&mut report.missing);
        report.missing = missing;
        report.notes = found.notes;
        report.newest_commit = ground.commits.newest;
        Ok(report)
    }

    fn run_to(
        self,
        target: DirRef,
        world: &WorldRef,
        options: Options,
    ) -> EnvResult<SalvageReport> {
        let target = Target::begin(target, world, options, By::Salvage, self.ground.next_file())?;
        let mut writer = Writer::new(&target.env);
        for (tree, name, known) in self.databases.of_today(&self.databases.wanted(&self.what)) {
            writer.create(tree, name, known)?;
        }
        let report = self.run(&mut |entry| match entry.value {
            Some(value) => writer.put(TreeId(entry.database.tree), entry.key, value),
            None => Ok(()),
        })?;
        writer.commit()?;
        target.finish(&mut RepairReport::default())?;
        Ok(report)
    }

    /// What is said of the keys from one on, and where the next window begins.
    fn window(
        &mut self,
        wanted: &Wanted,
        from: Key,
        back: Back,
        uncommitted: bool,
    ) -> EnvResult<(Held, Option<Key>)> {
        let mut window = Window::new(wanted, from, self.what.memory);
        let (meter, found) = (&mut self.meter, &mut self.found);
        self.ground.ask(back, uncommitted, &mut window, meter, found)?;
        let (held, next) = window.end();
        if next.is_some() {
            self.meter.expect(self.ground.bytes());
        }
        Ok((held, next))
    }

    /// Hands a key out: the newest value that it is said to have, or all.
    fn hand_out(
        &mut self,
        key: &Key,
        statements: Vec<Statement>,
        each: &mut Each<'_>,
    ) -> EnvResult<()> {
        let counts = |said: &Statement| said.standing == Standing::Committed;
        let (counting, apart): (Vec<_>, Vec<_>) = statements.into_iter().partition(counts);
        let mut versions = joined(counting);
        if !self.what.all_versions {
            versions.drain(..versions.len().saturating_sub(1));
            versions.retain(|version| version.content != Content::Deleted);
        }
        let mut is_there = false;
        for version in versions {
            match self.read(&version.content) {
                Ok(value) => {
                    is_there = true;
                    self.give(key, &version, value.as_deref(), false, each)?;
                }
                Err(why) => drop(self.lost.insert(key.clone(), (version.commit, why))),
            }
        }
        for version in apart.into_iter().map(Version::from) {
            if let Ok(value) = self.read(&version.content) {
                self.give(key, &version, value.as_deref(), false, each)?;
            }
        }
        self.databases.of(key.0).keys += u64::from(is_there);
        Ok(())
    }

    /// Hands an older version out for each key whose newest one is lost, where one is left.
    fn substitute(&mut self, each: &mut Each<'_>) -> EnvResult<()> {
        let lost = std::mem::take(&mut self.lost);
        let mut unreplaced = lost.clone();
        if !self.what.all_versions && !lost.is_empty() {
            let keys = Some(lost.keys().cloned().collect());
            let wanted = Wanted { keys, ..self.databases.wanted(&self.what) };
            let mut low = lost.keys().next().cloned();
            while let Some(from) = low {
                self.meter.expect(self.ground.bytes());
                let (held, next) = self.window(&wanted, from, Back::ToBeginning, false)?;
                for (key, statements) in held {
                    let Some((lost_commit, why)) = lost.get(&key) else { continue };
                    let older = joined(statements).into_iter().rev().find_map(|version| {
                        let is_older = version.commit < *lost_commit;
                        let value = self.read(&version.content).ok().flatten();
                        value.filter(|_| is_older).map(|value| (version, value))
                    });
                    let Some((version, value)) = older else { continue };
                    self.give(&key, &version, Some(&value), true, each)?;
                    unreplaced.remove(&key);
                    let database = self.databases.of(key.0);
                    database.keys += 1;
                    self.report.substitutes.push(Substitute {
                        database: database.name.clone(),
                        key: key.1,
                        commit: version.commit,
                        lost_commit: *lost_commit,
                        why: why.clone(),
                    });
                }
                low = next;
            }
        }
        for ((tree, key), (_, why)) in unreplaced {
            let database = self.databases.of(tree).name.clone();
            self.report.missing.push(Missing::Value { database, key, why });
        }
        Ok(())
    }

    /// A value, from whichever of its places gives it; `None` for none; why it cannot be read.
    fn read(&self, content: &Content) -> Result<Option<Vec<u8>>, String> {
        let places = match content {
            Content::Deleted => return Ok(None),
            Content::Here(value) => return Ok(Some(value.to_vec())),
            Content::There(places) => places,
        };
        let mut why = String::from("it has no place");
        for place in places {
            match large_value(&self.ground.source, place.lsn, place.len, place.crc) {
                Ok(value) => return Ok(Some(value)),
                Err(problem) => why = problem,
            }
        }
        Err(why)
    }

    fn give(
        &mut self,
        (tree, key): &Key,
        version: &Version,
        value: Option<&[u8]>,
        is_substitute: bool,
        each: &mut Each<'_>,
    ) -> EnvResult<()> {
        let database = self.databases.of(*tree);
        let Version { commit, is_exact, standing, .. } = *version;
        each(&SalvagedEntry { database, key, value, commit, is_exact, standing, is_substitute })?;
        database.versions += 1;
        database.bytes += (key.len() + value.map_or(0, <[u8]>::len)) as u64;
        Ok(())
    }
}

/// Whether what is missing may be of a database that was asked for.
fn concerns(missing: &Missing, report: &SalvageReport) -> bool {
    match missing {
        Missing::Commits { .. } => true,
        Missing::Keys { database, .. }
        | Missing::Value { database, .. }
        | Missing::Name { database } => {
            database.starts_with('(') || report.databases.iter().any(|one| one.name == *database)
        }
    }
}
