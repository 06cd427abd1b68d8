//! An environment in memory, a place in a bucket, and what a point in it holds.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use cairn_backup::{
    CheckLevel, CheckOptions, ObjectBackend, ObjectOptions, PointOptions, RepoBackend, Repository,
    RestoreOptions, RestoreTo, Which,
};
use cairn_env::{DatabaseOptions, Environment, Options};
use cairn_io::{MemDisk, WorldRef};
use cairn_sim::SimWorld;

use crate::server::BUCKET;

pub(crate) type Content = BTreeMap<Vec<u8>, Vec<u8>>;

pub(crate) fn world() -> WorldRef {
    SimWorld::new(3).world()
}

pub(crate) fn options() -> Options {
    Options::default().background(false).journal_file_bytes(16 << 10).node_file_bytes(16 << 10)
}

pub(crate) fn open(disk: &MemDisk) -> Environment {
    Environment::open_in(disk.root(), world(), options()).unwrap().0
}

/// Puts `count` entries, every seventh of them large.
pub(crate) fn fill(env: &Environment, from: u32, count: u32) {
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    for n in from..from + count {
        let value = vec![n.to_le_bytes()[0]; if n % 7 == 0 { 3000 } else { 50 }];
        env.write(|txn| txn.put(&db, &n.to_le_bytes(), &value)).unwrap();
    }
}

pub(crate) fn content(env: &Environment) -> Content {
    let Some(db) = env.find_database("db").unwrap() else { return Content::new() };
    let snapshot = env.snapshot().unwrap();
    let entries = snapshot.iter(&db).unwrap().map(Result::unwrap);
    entries.map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

/// How the server is spoken to: at once, again and again.
pub(crate) fn how(address: SocketAddr) -> ObjectOptions {
    ObjectOptions::default()
        .set("aws_endpoint_url", format!("http://{address}"))
        .set("aws_allow_http", "true")
        .set("aws_access_key_id", "somebody")
        .set("aws_secret_access_key", "something")
        .set("aws_region", "us-east-1")
        .first_wait(Duration::from_millis(1))
        .tries(5)
}

/// A place in the bucket, as somebody sees it who has not seen it before.
pub(crate) fn place(prefix: &str, options: ObjectOptions) -> Arc<dyn RepoBackend> {
    Arc::new(ObjectBackend::open(&format!("s3://{BUCKET}/{prefix}"), options).unwrap())
}

pub(crate) fn repository(prefix: &str, options: ObjectOptions) -> Repository {
    Repository::open_in(place(prefix, options), &world()).unwrap()
}

/// Small parts, so that files have several.
pub(crate) fn small() -> PointOptions<'static> {
    PointOptions::default().part_bytes(5000)
}

/// What a restore of a point, and of what was shipped behind it, gives.
pub(crate) fn restored(place: &Repository, which: &Which, to: RestoreTo) -> Content {
    let target = MemDisk::new();
    let how = RestoreOptions::default().options(options()).to(to);
    place.restore_in(None, which, &target.root(), &world(), &how).unwrap();
    content(&open(&target))
}

#[track_caller]
pub(crate) fn assert_sound(place: &Repository) {
    let report = place.check(&CheckOptions::default().level(CheckLevel::Structure)).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.foreign, Vec::<String>::new());
}
