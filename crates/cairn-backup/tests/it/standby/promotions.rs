//! A promotion while the old one writes and ships, and comes back: nothing is lost that was promised, and the old one is
//! refused by name, at whatever operation of the one the other comes in between.
//!
//! `CAIRN_PROMOTIONS` says how often (default: 24):
//! `CAIRN_PROMOTIONS=1000 cargo nextest run -p cairn-backup -E 'test(promotions)' --no-capture`

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use cairn_backup::{
    BackendResult, BackupError, Folder, Listed, ObjectName, PromoteOptions, Put, RepoBackend,
    Repository, Shipper, Standby, StandbySource,
};
use cairn_env::{DatabaseOptions, EnvError, Environment, ReplicaPolicy};
use cairn_io::{DirRef, MemDisk, WorldRef};
use cairn_sim::{ChooserExt as _, Seeded, SimWorld};

use super::{at_commit, how};
use crate::{
    fixture::{content, fill, options},
    repository::{
        fixture::{local, small},
        shipped::{Model, how as shipped_how, note},
    },
};

type Other = Box<dyn FnOnce() + Send>;

/// A place at which, before or after one of its operations, somebody else acts.
struct Between {
    place: Arc<dyn RepoBackend>,
    /// After how many more operations, and who.
    other: Mutex<Option<(usize, Other)>>,
    is_busy: AtomicBool,
}

impl Between {
    fn new(place: Arc<dyn RepoBackend>) -> Arc<Self> {
        Arc::new(Self { place, other: Mutex::new(None), is_busy: AtomicBool::new(false) })
    }

    fn after(&self, operations: usize, other: Other) {
        *self.other.lock().unwrap() = Some((operations, other));
    }

    /// Whoever has not come in between acts now.
    fn flush(&self) {
        let other = self.other.lock().unwrap().take();
        if let Some((_, act)) = other {
            act();
        }
    }

    fn pass(&self) {
        if self.is_busy.swap(true, Ordering::SeqCst) {
            return; // by who acts
        }
        let due = {
            let mut other = self.other.lock().unwrap();
            match &mut *other {
                Some((left, _)) if *left > 0 => {
                    *left -= 1;
                    None
                }
                _ => other.take(),
            }
        };
        if let Some((_, act)) = due {
            act();
        }
        self.is_busy.store(false, Ordering::SeqCst);
    }
}

impl fmt::Debug for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Between")
    }
}

impl RepoBackend for Between {
    fn place(&self) -> String {
        self.place.place()
    }

    fn put(&self, name: &ObjectName, bytes: &[u8]) -> BackendResult<Put> {
        self.pass();
        let put = self.place.put(name, bytes);
        self.pass();
        put
    }

    fn read(&self, name: &ObjectName, offset: u64, len: usize) -> BackendResult<Vec<u8>> {
        self.pass();
        self.place.read(name, offset, len)
    }

    fn length(&self, name: &ObjectName) -> BackendResult<Option<u64>> {
        self.pass();
        self.place.length(name)
    }

    fn settle(&self, folder: &Folder) -> BackendResult<()> {
        self.place.settle(folder)
    }

    fn list(&self, folder: &Folder) -> BackendResult<Vec<Listed>> {
        self.pass();
        self.place.list(folder)
    }

    fn delete(&self, name: &ObjectName) -> BackendResult<()> {
        self.place.delete(name)
    }
}

/// An environment that commits and is shipped, whatever becomes of that.
struct Primary {
    env: Environment,
    shipper: Shipper,
    model: Model,
    next: u32,
    /// The newest commit that was said to be shipped.
    promised: u64,
    is_superseded: bool,
}

impl Primary {
    fn commit(&mut self, count: usize) {
        for _ in 0..count {
            fill(&self.env, self.next % 40, 1);
            self.next += 1;
            note(&self.env, &mut self.model);
        }
    }

    fn ship(&mut self) {
        match self.shipper.step() {
            Ok(report) => {
                assert!(!self.is_superseded, "it was refused before");
                self.promised = self.promised.max(report.newest.map_or(0, |(commit, _)| commit));
            }
            Err(error) => {
                assert!(matches!(error, BackupError::Superseded { .. }), "{error}");
                self.is_superseded = true;
            }
        }
    }
}

/// What came of a promotion.
type Promoted = (u64, crate::fixture::Content, u32);

fn promote(standby: Standby) -> Promoted {
    let (env, promotion) = standby.promote(&PromoteOptions::default()).unwrap();
    let (commit, found) = at_commit(&env);
    assert_eq!(commit, promotion.commit);
    // It is written at once.
    fill(&env, 90, 2);
    (commit, found, promotion.timeline.0)
}

/// Journal goes through a repository. What was said to be shipped is promised.
fn shipped(seed: u64) {
    let mut random = Seeded::new(seed);
    let mut up_to = |end: usize, what: &'static str| random.range(0..end, what);
    let world = SimWorld::new(seed).world();
    let (disk, there) = (MemDisk::new(), MemDisk::new());
    let place = local(MemDisk::new().root());
    Repository::create_in(Arc::clone(&place), &world).unwrap();
    let (theirs, ours) = (Between::new(Arc::clone(&place)), Between::new(Arc::clone(&place)));
    let open = |place: &Arc<Between>| {
        Repository::open_in(Arc::clone(place) as Arc<dyn RepoBackend>, &world).unwrap()
    };
    let (env, _) = Environment::open_in(disk.root(), world.clone(), options()).unwrap();
    let mut model = Model::new();
    env.database("db", DatabaseOptions::default()).unwrap();
    note(&env, &mut model);
    let shipper = open(&theirs).shipper(disk.root(), &world, shipped_how()).unwrap();
    let mut primary = Primary { env, shipper, model, next: 0, promised: 0, is_superseded: false };
    primary.commit(3);
    primary.ship();
    let mut standby =
        Standby::follow_in(open(&ours), there.root(), &world, how(&options())).unwrap();
    for _ in 0..up_to(4, "steps") {
        primary.commit(up_to(4, "commits"));
        primary.ship();
        if up_to(2, "is read") == 0 {
            standby.step().unwrap();
        }
    }
    let outcome: Arc<Mutex<Option<Promoted>>> = Arc::default();
    let primary = Arc::new(Mutex::new(primary));
    if up_to(2, "who") == 0 {
        // The old one commits and ships in the middle of the promotion.
        let (other, commits) = (Arc::clone(&primary), up_to(3, "commits"));
        ours.after(
            up_to(60, "operation"),
            Box::new(move || {
                let mut other = other.lock().unwrap();
                other.commit(commits);
                other.ship();
            }),
        );
        *outcome.lock().unwrap() = Some(promote(standby));
        ours.flush();
    } else {
        // The promotion comes in the middle of what is shipped.
        let promoted = Arc::clone(&outcome);
        theirs.after(
            up_to(24, "operation"),
            Box::new(move || *promoted.lock().unwrap() = Some(promote(standby))),
        );
        let mut primary = primary.lock().unwrap();
        primary.commit(2);
        primary.ship();
        theirs.flush();
    }
    let (commit, found, timeline) = outcome.lock().unwrap().take().unwrap();
    let mut primary = primary.lock().unwrap();
    assert!(
        commit >= primary.promised,
        "seed {seed}: commit {} was shipped, the standby has {commit}",
        primary.promised
    );
    assert!(found == primary.model[&commit].1, "seed {seed}: commit {commit}");
    comes_back(seed, &mut primary, (&disk.root(), &world), &open(&theirs), timeline);
}

/// The old one goes on, is opened again, ships and backs up: each time it is told why not.
fn comes_back(
    seed: u64,
    primary: &mut Primary,
    (root, world): (&DirRef, &WorldRef),
    place: &Repository,
    timeline: u32,
) {
    primary.commit(2);
    for again in 0..2 {
        if again == 1 {
            primary.env.clone().close().unwrap();
            let opened =
                Environment::open_in(DirRef::clone(root), WorldRef::clone(world), options());
            primary.env = opened.unwrap().0;
            primary.shipper = place.shipper(DirRef::clone(root), world, shipped_how()).unwrap();
        }
        for error in [
            primary.shipper.step().map(drop).unwrap_err(),
            place.backup(&primary.env, &small()).map(drop).unwrap_err(),
            place.check_not_superseded(&primary.env).unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(matches!(error, BackupError::Superseded { .. }), "seed {seed}: {text}");
            assert!(text.contains(&format!("timeline {timeline:08x}")), "seed {seed}: {text}");
        }
    }
}

/// Journal goes into a replica that commits wait for, which the standby follows. What was acknowledged is promised.
fn replicated(seed: u64) {
    let mut random = Seeded::new(seed);
    let mut up_to = |end: usize, what: &'static str| random.range(0..end, what);
    let world = SimWorld::new(seed).world();
    let (disk, replica, there) = (MemDisk::new(), MemDisk::new(), MemDisk::new());
    let with = || options().replica_in(replica.root(), ReplicaPolicy::Require);
    let (env, _) = Environment::open_in(disk.root(), world.clone(), with()).unwrap();
    let source = || StandbySource::Directory(replica.root());
    fill(&env, 0, 3);
    let mut standby = Standby::follow_in(source(), there.root(), &world, how(&options())).unwrap();
    for n in 0..up_to(12, "commits") {
        fill(&env, u32::try_from(n).unwrap() + 3, 1);
        match up_to(6, "what") {
            0 => drop(standby.step().unwrap()),
            1 => drop(env.checkpoint().unwrap()),
            _ => {}
        }
    }
    let acknowledged = at_commit(&env);
    if up_to(2, "dies") == 0 {
        drop(env);
    } else {
        env.close().unwrap();
    }
    let (commit, found, timeline) = promote(standby);
    assert!((commit, found) == acknowledged, "seed {seed}: commit {commit}");
    let back = Environment::open_in(disk.root(), world, with()).map(|(env, _)| content(&env));
    let error = back.unwrap_err();
    assert!(matches!(error, EnvError::Superseded { .. }), "seed {seed}: {error}");
    assert!(error.to_string().contains(&format!("timeline {timeline:08x}")), "{error}");
}

#[test]
#[expect(clippy::print_stdout, reason = "the count is what a long run is for")]
fn a_promotion_loses_nothing_that_is_promised_and_the_old_one_is_refused() {
    let rounds = std::env::var("CAIRN_PROMOTIONS").map_or(24, |text| text.parse().unwrap());
    for seed in 0..rounds {
        if seed % 4 == 3 { replicated(seed) } else { shipped(seed) }
    }
    println!("{rounds} promotions: nothing promised was lost, each old one was refused by name");
}
