//! Bodies of the fuzz targets. Not part of the public interface.

use std::sync::Arc;

use cairn_env::{DatabaseOptions, Environment, Options};
use cairn_io::{MemDisk, WorldRef};
use cairn_log::{Digest, Uuid};

use crate::{
    BackupResult, Manifest, MemoryBackend, ObjectName, PointOptions, PruneOptions, Repository,
    Retention, Segment, ShipOptions,
    repository::{
        drill::Drill,
        fence::Fence,
        header::Header,
        part,
        point::{Point, decode_index},
        proof::Proof,
        prune::Tombs,
        rotation::Rotation,
        secrecy::Secrecy,
        statement::{self, StatementKind},
        store::Origin,
    },
};

/// Any text as a manifest, as it is and with the hash made right: what decodes must encode to the same
/// text.
pub fn manifest(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let body = text.rfind("blake3 ").map_or(text, |at| &text[..at]);
    let repaired = format!("{body}blake3 {}\n", Digest::of(body.as_bytes()));
    for text in [text, &repaired] {
        if let Ok(manifest) = Manifest::decode(text) {
            assert_eq!(manifest.encode(), text);
        }
    }
}

/// Any bytes as an object of a repository, as they are and with the checksum of the head made right, and as the
/// content of one: what decodes must encode to the same.
pub fn repository_object(input: &[u8]) {
    let mut mended = input.to_vec();
    statement::mend(&mut mended);
    for object in [input, &mended] {
        if let Ok(header) = Header::decode(object) {
            assert_eq!(Header::decode(&header.encode()), Ok(header));
        }
        for kind in StatementKind::ALL {
            let Some(id) = statement::id_of(kind, object) else { continue };
            let plain = &Secrecy::Plain;
            drop(statement::decode(&id, object, &Secrecy::Locked));
            let Ok((previous, content)) = statement::decode(&id, object, plain) else { continue };
            let again = statement::encode(&id, previous, &content, plain);
            let again = again.expect("it has a length that fits");
            assert_eq!(statement::decode(&id, &again, plain), Ok((previous, content.clone())));
            statement_content(&content);
        }
        let (id, _) = part::example(b"any");
        for secrecy in [Secrecy::Plain, Secrecy::Locked] {
            drop(part::decode(&id, object, &secrecy));
        }
    }
    statement_content(input);
}

fn statement_content(content: &[u8]) {
    let environment = Uuid([7; 16]);
    if let Ok(point) = Point::decode(environment, content) {
        assert_eq!(point.encode(), content);
        // What a point says can be looked at, whatever it is.
        assert!(point.objects().count() as u64 <= content.len() as u64);
        assert_eq!(decode_index(environment, &point.encode_index()), Ok(point.objects().collect()));
    }
    if let Ok(objects) = decode_index(environment, content) {
        assert!(objects.len() <= content.len());
    }
    if let Ok(segment) = Segment::decode(content) {
        assert_eq!(segment.encode(), content);
        assert!(segment.objects(environment).count() as u64 <= content.len() as u64);
    }
    if let Ok(proof) = Proof::decode(content) {
        assert_eq!(Proof::decode(&proof.encode()), Ok(proof));
    }
    if let Ok(drill) = Drill::decode(content) {
        assert_eq!(Drill::decode(&drill.encode()), Ok(drill));
    }
    if let Ok(rotation) = Rotation::decode(content) {
        assert!(rotation.points.len() <= content.len());
        assert_eq!(Rotation::decode(&rotation.encode()), Ok(rotation));
    }
    if let Ok(tombs) = Tombs::decode(1, Digest([0; 32]), content) {
        assert_eq!(tombs.encode(), content);
        let all: usize = tombs.tombs.iter().map(|tomb| tomb.points.len() + tomb.parts.len()).sum();
        assert!(all <= content.len());
    }
    if let Ok(fence) = Fence::decode(content) {
        assert_eq!(Fence::decode(&fence.encode()), Ok(fence));
    }
    if let Ok(origin) = Origin::decode(content) {
        assert_eq!(Origin::decode(&origin.encode()), Ok(origin));
    }
}

/// Objects of a small repository, and what its points, indexes and timelines hold.
///
/// # Errors
/// None that are worth handling.
pub fn repository_objects(world: &WorldRef) -> BackupResult<Vec<Vec<u8>>> {
    let options = Options::new().background(false);
    let root = MemDisk::new().root();
    let (env, _) = Environment::open_in(root.clone(), WorldRef::clone(world), options)?;
    let users = env.database("users", DatabaseOptions::default())?;
    let backend = Arc::new(MemoryBackend::new());
    let repository = Repository::create_in(Arc::clone(&backend) as _, world)?;
    for n in 0..2 {
        env.write(|txn| txn.put(&users, &[n], &[n; 9]))?;
        repository.backup(&env, &PointOptions::default().label("label").part_bytes(1000))?;
    }
    let mut shipper = repository.shipper(root, world, ShipOptions::default())?;
    for n in 0..3 {
        env.write(|txn| txn.put(&users, &[n], &[n; 5]))?;
        shipper.step()?;
    }
    let policy = Retention::new().labels(false);
    let options = PruneOptions::default().more_than_half(true);
    let plan = repository.plan_prune(None, &policy, &options, world.wall().0)?;
    repository.prune(&plan)?;
    let mut seeds = Vec::new();
    for (name, bytes) in backend.objects() {
        let kind = match name {
            ObjectName::Point { .. } => Some(StatementKind::Point),
            ObjectName::Index { .. } => Some(StatementKind::Index),
            ObjectName::Timeline { .. } => Some(StatementKind::Timeline),
            ObjectName::Segment { .. } => Some(StatementKind::Segment),
            ObjectName::Tombs { .. } => Some(StatementKind::Tombs),
            _ => None,
        };
        let id = kind.and_then(|kind| statement::id_of(kind, &bytes));
        if let Some((_, content)) =
            id.and_then(|id| statement::decode(&id, &bytes, &Secrecy::Plain).ok())
        {
            seeds.push(content);
            seeds.push(bytes);
        } else if seeds.len() < 4 {
            seeds.push(bytes);
        }
    }
    Ok(seeds)
}
