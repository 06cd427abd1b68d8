//! The worker that ships: what it says of itself, when it tries again, and when a point is due.

use std::{cell::RefCell, sync::Arc, time::Duration};

use cairn_backup::{
    BackupError, Compression, MemoryBackend, ObjectName, Repository, RestoreTo, ShipOptions,
    Shipping, Which,
};
use cairn_env::{Environment, ErrorKind};
use cairn_io::MemDisk;
use cairn_sim::SimWorld;

use super::{
    backups::assert_sound,
    shipped::{Model, how, note, restore, ship},
    tricky::{Fate, honest, tricky},
};
use crate::fixture::{content, fill, open, options, world};

const EVERY: Duration = Duration::from_millis(200);

/// An environment whose journal a worker ships, in a world that stands still.
struct Case {
    sim: SimWorld,
    env: Environment,
    inner: Arc<MemoryBackend>,
    shipping: Shipping,
    model: RefCell<Model>,
}

impl Case {
    /// What becomes of a store, `put` says.
    fn new(put: impl FnMut(&ObjectName) -> Fate + Send + 'static) -> Self {
        let (sim, disk, inner) =
            (SimWorld::new(21), MemDisk::new(), Arc::new(MemoryBackend::new()));
        Repository::create_in(Arc::clone(&inner) as _, &world()).unwrap();
        let env = open(&disk);
        let place = tricky(&inner, put, |_, _| {});
        let shipping = place.ship_in(disk.root(), &sim.world(), how().every(EVERY)).unwrap();
        let case = Self { sim, env, inner, shipping, model: RefCell::default() };
        case.put(1);
        case
    }

    fn put(&self, from: u32) {
        for n in from..from + 3 {
            fill(&self.env, n, 1);
            note(&self.env, &mut self.model.borrow_mut());
        }
    }

    /// Lets it do what there is to do now.
    fn run(&self) -> usize {
        self.sim.run_until_idle(100)
    }

    /// All is shipped that is known to be durable: of the last commit, the next one says that.
    fn assert_ships_all(&self) {
        let commit = self.env.snapshot().unwrap().commit() - 1;
        let status = self.shipping.status();
        assert_eq!(status.newest.map(|(commit, _)| commit), Some(commit), "{status:?}");
        let place = honest(&self.inner);
        let newest = restore(&place, &Which::Newest, RestoreTo::Newest, &options());
        let (report, found) = newest.unwrap();
        assert_eq!(report.commit, commit);
        assert!(found == self.model.borrow()[&commit].1);
        assert_sound(&place);
    }
}

#[test]
fn what_was_committed_is_shipped_in_the_next_period_or_when_it_is_woken_and_not_after_the_end() {
    let case = Case::new(|_| Fate::Good);
    assert!(case.shipping.status().newest.is_none(), "it has not begun");
    case.run();
    let status = case.shipping.status();
    assert_eq!((status.points, status.gaps, status.segments), (1, 0, 0));
    assert_eq!(status.caught_up, Some(Duration::ZERO));
    case.assert_ships_all();
    case.put(10);
    assert_eq!(case.run(), 0, "the period is not over");
    case.sim.advance(EVERY);
    assert!(case.run() > 0);
    let status = case.shipping.status();
    assert!(status.segments > 0 && status.bytes > 100, "{status:?}");
    assert_eq!(status.caught_up, Some(EVERY));
    case.assert_ships_all();
    case.put(20);
    case.shipping.wake();
    case.run();
    case.assert_ships_all();
    case.put(30);
    let Case { sim, inner, shipping, env: _env, .. } = case;
    let (before, segments) = (inner.objects(), shipping.status().segments);
    let status = shipping.stop();
    assert!(status.trouble.is_none() && status.segments == segments, "{status:?}");
    sim.advance(EVERY * 10);
    assert_eq!((sim.run_until_idle(100), sim.workers().len()), (0, 0));
    assert_eq!(inner.objects(), before);
}

#[test]
fn a_place_that_fails_is_told_of_and_tried_again_each_second_until_it_answers() {
    let (mut count, fails) = (0, 4..7);
    let case = Case::new(move |_| {
        count += 1;
        if fails.contains(&count) { Fate::Lost } else { Fate::Good }
    });
    let mut failed = 0;
    for n in 0..6 {
        case.put(n * 10);
        case.sim.advance(EVERY);
        case.run();
        while let Some(trouble) = case.shipping.status().trouble {
            assert!(matches!(&*trouble, BackupError::Backend(_)), "{trouble}");
            assert_eq!(trouble.kind(), ErrorKind::Io);
            // Not at once, which would be in the way of who brings the place back.
            case.sim.advance(Duration::from_millis(999));
            assert_eq!(case.run(), 0);
            case.sim.advance(Duration::from_millis(1));
            assert!(case.run() > 0);
            failed += 1;
        }
    }
    assert_eq!(failed, 3);
    assert_eq!(case.shipping.status().gaps, 0);
    case.assert_ships_all();
}

/// A worker that is gone says so: nobody goes on believing that something is shipped.
#[test]
fn a_worker_that_panics_leaves_its_trouble_behind() {
    let case = Case::new(|name| match name {
        ObjectName::Segment { .. } => panic!("a place with a bug"),
        _ => Fate::Good,
    });
    case.run();
    assert!(case.shipping.status().trouble.is_none());
    let newest = case.shipping.status().newest;
    case.put(10);
    case.sim.advance(EVERY);
    case.run();
    let status = case.shipping.status();
    let trouble = status.trouble.unwrap().to_string();
    assert_eq!(trouble, "the worker that ships has ended: a place with a bug");
    assert_eq!(status.newest, newest);
    assert!(case.sim.workers().is_empty());
}

#[test]
fn what_cannot_be_shipped_at_all_is_refused_before_there_is_a_worker() {
    let dir = tempfile::tempdir().unwrap();
    let repository = Repository::create(dir.path().join("repo")).unwrap();
    let missing = dir.path().join("live");
    let error = repository.ship(&missing, ShipOptions::default()).unwrap_err();
    assert!(matches!(&error, BackupError::Io(error) if error.is_not_found()), "{error}");
    let how = ShipOptions::default().compression(Compression::Zstd(99));
    let sim = SimWorld::new(1);
    let error = repository.ship_in(MemDisk::new().root(), &sim.world(), how).unwrap_err();
    assert!(matches!(error, BackupError::InvalidInput { .. }), "{error}");
    assert!(sim.workers().is_empty());
}

/// A restore has no more to replay than that.
#[test]
fn another_point_is_made_after_so_many_bytes_of_journal() {
    const BYTES: u64 = 4000;
    let disk = MemDisk::new();
    let (env, place) = (open(&disk), super::fixture::repository());
    let how = how().base_bytes(BYTES).segment_bytes(BYTES / 4).compression(Compression::None);
    let mut shipper = place.shipper(disk.root(), &world(), how).unwrap();
    let (mut points, mut shipped) = (0, 0);
    for n in 0..30 {
        fill(&env, n * 3, 3);
        let report = shipper.step().unwrap();
        shipped += report.bytes;
        for made in &report.points {
            assert_eq!(Some(made.commit), report.newest.map(|(commit, _)| commit), "{n}");
            points += 1;
        }
        if points > 1 && !report.points.is_empty() {
            assert!(shipped >= BYTES, "{n}: {shipped}");
            shipped = 0;
        }
        assert!(shipped < BYTES, "{n}: {shipped} bytes, and no point");
        assert_eq!(report.gap, None);
    }
    assert!(points > 3, "{points}");
    env.close().unwrap();
    ship(&mut super::shipped::shipper(&place, &disk.root()));
    let timelines = place.intervals(None).unwrap();
    assert_eq!((timelines[0].intervals.len(), timelines[0].holes.len()), (1, 0), "{timelines:?}");
    let env = open(&disk);
    let (_, found) = restore(&place, &Which::Newest, RestoreTo::Newest, &options()).unwrap();
    assert_eq!(found, content(&env));
    assert_sound(&place);
}
