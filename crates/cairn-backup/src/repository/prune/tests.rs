//! A plan of many points, made of objects that no backup has stored.

use std::sync::Arc;

use cairn_env::Cut;
use cairn_io::{RealWorld, World, WorldRef};
use cairn_log::{Digest, FileClass, FileNumber, LogName, Timeline, Uuid};

use super::{PruneOptions, Retention};
use crate::{
    MemoryBackend, RepoBackend, Repository,
    repository::{
        names::ObjectName,
        point::{Part, Point, PointFile},
    },
};

const ENVIRONMENT: Uuid = Uuid([7; 16]);
/// How many files each point has, all but one of which are those of the point before.
const FILES: u32 = 20;
const DAY: u64 = 24 * 3600 * 1_000_000;

fn file(number: u32) -> PointFile {
    let number = FileNumber::new(number).unwrap();
    let digest = Digest::of(&number.get().to_le_bytes());
    let part = Part {
        timeline: Timeline::FIRST,
        length: 10,
        content: digest,
        stored_length: 3,
        stored: digest,
    };
    PointFile {
        name: LogName::new(FileClass::Node, number, Timeline::FIRST),
        directory: 0,
        length: 10,
        digest,
        seal: Some(digest),
        parts: vec![part],
    }
}

fn point(number: u32) -> Point {
    let next_file = FileNumber::new(number + FILES).unwrap();
    Point {
        cut: Cut {
            environment: ENVIRONMENT,
            timeline: Timeline::FIRST,
            commit: number.into(),
            time: u64::from(number) * DAY / 24,
            checkpoint: None,
            checkpoint_number: 0,
            journal_end: None,
            next_file,
            directories: 0,
        },
        created: u64::from(number) * DAY / 24,
        library: "1".into(),
        label: None,
        writer: Uuid::default(),
        new_objects: 1,
        new_bytes: 3,
        is_read_back: true,
        keyring: None,
        configuration: Vec::new(),
        databases: Some(Vec::new()),
        index: (0, Digest([0; 32])),
        files: (number..number + FILES).map(file).collect(),
        tree_digest: None,
        unknown: Vec::new(),
    }
}

/// A repository with a point for each of so many hours.
fn repository(points: u32) -> Repository {
    let world: WorldRef = Arc::new(RealWorld::new());
    let backend = Arc::new(MemoryBackend::new());
    let repository = Repository::create_in(Arc::clone(&backend) as _, &world).unwrap();
    for number in 1..=points {
        let point = point(number);
        let bytes = repository.store.encode_point(number.into(), Digest([0; 32]), &point).unwrap();
        let name = ObjectName::Point { environment: ENVIRONMENT, number: number.into() };
        backend.put(&name, &bytes).unwrap();
        for needed in point.objects() {
            backend.put(&needed.name, b"obj").unwrap();
        }
    }
    repository
}

/// Plans for so many points; says how long that takes.
fn plan_of(points: u32) -> std::time::Duration {
    let (repository, clock) = (repository(points), RealWorld::new());
    let policy = Retention::new().hourly(24).daily(7).weekly(5).monthly(12).yearly(10);
    let options = PruneOptions::default().more_than_half(true);
    let began = clock.monotonic();
    let plan = repository.plan_prune(None, &policy, &options, u64::MAX).unwrap();
    let took = clock.monotonic().saturating_sub(began);
    let (kept, going) = (plan.kept.len() as u64, plan.going.len() as u64);
    assert_eq!((plan.refusals.len(), kept + going), (0, u64::from(points)));
    assert!(kept < 60 && plan.objects < u64::from(points) && plan.unused_objects == 0, "{kept}");
    // Each part that goes is needed by none that stays, and each other one by one that does.
    let stays = |file: u32| {
        plan.kept
            .iter()
            .any(|kept| (kept.number..kept.number + u64::from(FILES)).contains(&file.into()))
    };
    let staying = (1..points + FILES).filter(|file| stays(*file)).count() as u64;
    assert_eq!(staying + plan.objects, u64::from(points + FILES - 1));
    took
}

#[test]
fn a_plan_of_many_points_keeps_the_parts_of_those_that_stay() {
    plan_of(600);
}

/// How long it takes: `cargo xtask bench goals`.
#[test]
#[ignore = "it measures"]
#[expect(clippy::print_stderr, reason = "what it has measured")]
fn a_plan_of_ten_thousand_points() {
    let took = plan_of(10_000);
    eprintln!("a plan for 10,000 points, {FILES} parts each: {took:?}");
    assert!(took.as_secs() < 5, "{took:?}");
}
