//! Crashes at every operation of a standby that follows and is promoted: it has what it had said that it has, and nothing
//! else than what was there at that commit; it is not written before there is a fence; a promotion is ended by the next.

use std::collections::BTreeSet;

use cairn_backup::{BackupError, PromoteOptions, Repository, Standby, StandbySource};
use cairn_env::{
    EnvError, Environment, ReplicaPolicy, STANDBY_SYNC_SITES, standby_info, superseded,
};
use cairn_io::{DirRef, IoOp};
use cairn_sim::{Bounds, Fault, FaultDisk, Image, Level, Rule, SimDisk, SimWorld, Trace};

use super::{at_commit, how};
use crate::{
    crash::{below, create},
    fixture::{content, fill, options},
    repository::{
        fixture::local,
        shipped::{Model, how as shipped_how, note},
    },
};

/// From where the standby gets its journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Repository,
    Directory,
}

struct Case {
    from: From,
    start: Image,
    model: Model,
    last: u64,
}

/// What was done when the crash came: a commit that the standby had said to have; promoted; written.
const PROMOTED: u64 = 1 << 32;
const WRITTEN: u64 = 2 << 32;

impl Case {
    /// An environment, and a repository into which it is shipped, or a replica, whose source has died.
    fn new(from: From) -> Self {
        let disk = SimDisk::new();
        let world = SimWorld::new(3).world();
        let (dir, there) = (create(&disk, "env"), create(&disk, "there"));
        create(&disk, "standby");
        disk.root().sync(cairn_io::SyncSite::new("test.dirs")).unwrap();
        let options = match from {
            From::Repository => options(),
            From::Directory => options().replica_in(there.clone(), ReplicaPolicy::Require),
        };
        let (env, _) = Environment::open_in(dir.clone(), world.clone(), options).unwrap();
        let mut model = Model::new();
        note(&env, &mut model);
        let repository = match from {
            From::Repository => Some(Repository::create_in(local(there), &world).unwrap()),
            From::Directory => None,
        };
        let mut shipper = repository.map(|repository| {
            repository.shipper(dir, &world, shipped_how().segment_bytes(9000)).unwrap()
        });
        env.database("db", cairn_env::DatabaseOptions::default()).unwrap();
        note(&env, &mut model);
        for n in 0..8 {
            // Large ones, so that another journal file is begun.
            fill(&env, if n < 2 { n + 1 } else { 7 * n }, 1);
            note(&env, &mut model);
            if n == 1 || n == 5 {
                shipper.iter_mut().for_each(|shipper| drop(shipper.step().unwrap()));
            }
        }
        let last = env.snapshot().unwrap().commit();
        match &mut shipper {
            Some(shipper) => {
                env.close().unwrap();
                shipper.step().unwrap();
            }
            None => drop(env), // as a process that dies
        }
        Self { from, start: disk.image(), model, last }
    }

    fn source(&self, disk: &SimDisk) -> StandbySource {
        let there = below(disk, "there");
        match self.from {
            From::Repository => {
                Repository::open_in(local(there), &SimWorld::new(9).world()).unwrap().into()
            }
            From::Directory => StandbySource::Directory(there),
        }
    }

    fn follow(&self, disk: &SimDisk, seed: u64) -> Result<Standby, BackupError> {
        let (root, world) = (below(disk, "standby"), SimWorld::new(seed).world());
        Standby::follow_in(self.source(disk), root, &world, how(&options()))
    }

    fn trace(&self) -> Trace {
        let disk = SimDisk::from_image(&self.start);
        // The first sync of the state by which something counts does not happen, and its process ends.
        let faults = FaultDisk::new(below(&disk, "standby"));
        let state = cairn_env::SYNC_SITES.iter().find(|site| site.to_string() == "state").unwrap();
        faults.inject(Rule::new(Fault::Eio).op(IoOp::Sync).site(*state));
        let world = SimWorld::new(3).world();
        let dying = Standby::follow_in(self.source(&disk), faults.root(), &world, how(&options()));
        let mut dying = dying.unwrap();
        disk.mark("done", dying.status().commit);
        let has_failed = dying.step().is_err();
        // The last records of a directory that nobody writes any more are known to be durable only when it is superseded.
        assert_eq!(has_failed, self.from == From::Repository);
        drop(dying);
        let mut standby = self.follow(&disk, 4).unwrap();
        disk.mark("done", standby.status().commit);
        while standby.step().unwrap().has_more {}
        disk.mark("done", standby.status().commit);
        let (env, promotion) = standby.promote(&PromoteOptions::default()).unwrap();
        disk.mark("done", PROMOTED + promotion.commit);
        fill(&env, 50, 1);
        disk.mark("done", WRITTEN + env.snapshot().unwrap().commit());
        disk.trace()
    }

    fn is_fenced(&self, disk: &SimDisk) -> Result<bool, String> {
        let there = below(disk, "there");
        match self.from {
            From::Directory => Ok(superseded(&there).map_err(text)?.is_some()),
            From::Repository => {
                let repository = Repository::open_in(local(there), &SimWorld::new(9).world());
                let repository = repository.map_err(text)?;
                let (_, point) = repository.find(None, &Default::default()).map_err(text)?;
                let cut = point.cut;
                Ok(repository.superseded(cut.environment, cut.timeline).map_err(text)?.is_some())
            }
        }
    }

    fn check(&self, disk: &SimDisk, done: u64) -> Result<(), String> {
        let root = below(disk, "standby");
        let is_standby = standby_info(&root).map_err(text)?.is_some();
        let said = done % PROMOTED;
        if is_standby {
            if done >= PROMOTED {
                return Err("it was promoted, and is a standby again".into());
            }
            let written = open(&root, false);
            if !matches!(written, Err(EnvError::Standby { .. })) {
                return Err(format!("it is a standby, and can be written: {written:?}"));
            }
            // Whoever reads it, with nobody who follows.
            match open(&root, true) {
                Ok(env) => self.is_at(&env, said)?,
                Err(
                    EnvError::Standby { .. }
                    | EnvError::IncompleteRestore { .. }
                    | EnvError::NotAnEnvironment { .. },
                ) if said == 0 => {}
                Err(error) => return Err(format!("it cannot be read: {error}")),
            }
            let mut standby = self.follow(disk, 5).map_err(text)?;
            self.is_at(&standby.read().map_err(text)?, said)?;
            match standby.step() {
                // Its own promotion was cut short.
                Err(BackupError::Superseded { .. }) if self.is_fenced(disk)? => {}
                stepped => drop(stepped.map_err(text)?),
            }
            self.is_at(&standby.read().map_err(text)?, said)?;
            let (env, promotion) = standby.promote(&PromoteOptions::default()).map_err(text)?;
            if promotion.commit != self.last {
                return Err(format!("promoted with commit {}", promotion.commit));
            }
            self.is_at(&env, self.last)?;
            env.close().map_err(text)?;
        } else if said == 0 && done < PROMOTED {
            // Nothing of it is there yet.
            return match open(&root, true) {
                Err(EnvError::NotAnEnvironment { .. }) => Ok(()),
                other => Err(format!("it is no standby, and opens: {other:?}")),
            };
        }
        if !self.is_fenced(disk)? {
            return Err("it can be written, and there is no fence".into());
        }
        let env = open(&root, false).map_err(text)?;
        match done >= WRITTEN {
            true if env.snapshot().map_err(text)?.commit() < said => {
                Err("a commit after the promotion is lost".into())
            }
            true => Ok(()),
            false if env.snapshot().map_err(text)?.commit() > self.last => Ok(()), // the next was under way
            false => self.is_at(&env, self.last),
        }
    }

    /// It has at least the commit that was said, and what was there at its own.
    fn is_at(&self, env: &Environment, said: u64) -> Result<(), String> {
        let (commit, found) = at_commit(env);
        match self.model.get(&commit) {
            _ if commit < said => Err(format!("it has commit {commit}, {said} was said")),
            Some((_, expected)) if found == *expected => Ok(()),
            _ => Err(format!("commit {commit} is another one: {:?}", content(env).keys())),
        }
    }

    fn sweep(&self, trace: &Trace) -> Result<usize, String> {
        let (mut cuts, mut seen) = (trace.cuts(), BTreeSet::new());
        let smoke = Bounds::smoke();
        let bounds = Bounds {
            subsets_of_max: 1,
            subsets_sampled: 2,
            edges_max: 1,
            tears_sampled: 1,
            ..smoke
        };
        while let Some(cut) = cuts.next_cut() {
            let done = cut.mark("done").unwrap_or(0);
            for level in Level::ALL {
                for crashed in cut.crash().images(level, &bounds) {
                    if !seen.insert((crashed.image.hash(), done)) {
                        continue;
                    }
                    let disk = SimDisk::from_image(&crashed.image);
                    let told =
                        |what| format!("cut {}, after {done:x}: {what}; {crashed}", cut.position());
                    self.check(&disk, done).map_err(told)?;
                }
            }
        }
        Ok(seen.len())
    }
}

fn open(root: &DirRef, read_only: bool) -> Result<Environment, EnvError> {
    let options = options().create(false).read_only(read_only);
    Ok(Environment::open_in(DirRef::clone(root), SimWorld::new(8).world(), options)?.0)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[test]
fn a_standby_and_its_promotion_survive_any_crash() {
    for from in [From::Repository, From::Directory] {
        let case = Case::new(from);
        let states = case.sweep(&case.trace()).unwrap_or_else(|what| panic!("{from:?}: {what}"));
        assert!(states > 100, "{from:?}: {states}");
    }
}

/// Each sync is needed: without it, a crash breaks a promise.
#[test]
fn each_sync_of_a_standby_is_needed() {
    let cases = [From::Repository, From::Directory].map(Case::new);
    let traces = cases.each_ref().map(Case::trace);
    for needed in STANDBY_SYNC_SITES {
        let is_broken = cases.iter().zip(&traces).any(|(case, trace)| {
            case.sweep(&trace.without_syncs(|site, _| site == *needed)).is_err()
        });
        assert!(is_broken, "{needed}");
    }
}
