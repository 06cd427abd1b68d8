//! What a standby is and is not: read, not written, of one line of history, never past a hole.

use cairn_backup::{
    BackupError, ObjectName, PromoteOptions, Repository, RestoreOptions, Standby, StandbySource,
    Which,
};
use cairn_env::{EnvError, Environment, Options, ReplicaPolicy, standby_info, superseded};
use cairn_io::{DirRef, MemDisk, WorldRef};
use cairn_sim::SimWorld;

use super::{arrive, assert_is_model, at_commit, follow, how};
use crate::{
    fixture::{fill, open, options, world},
    repository::{
        fixture::{backup, local, repository},
        shipped::{Model, note, ship, shipper},
    },
};

fn seeded(seed: u64) -> WorldRef {
    SimWorld::new(seed).world()
}

#[test]
fn a_standby_is_read_at_its_commit_while_more_arrives_and_is_written_after_its_promotion() {
    let (disk, other) = (MemDisk::new(), MemDisk::new());
    let (env, place) = (open(&disk), repository());
    let mut shipper = shipper(&place, &disk.root());
    let mut model = Model::new();
    fill(&env, 0, 5);
    note(&env, &mut model);
    ship(&mut shipper);
    let mut standby = follow(place.clone(), &other.root(), &seeded(4));
    let reader = standby.read().unwrap();
    let before = reader.snapshot().unwrap();
    let db = reader.find_database("db").unwrap().unwrap();
    let len = before.len(&db).unwrap();
    for n in 5..40 {
        fill(&env, n, 1);
        note(&env, &mut model);
        if n % 4 == 0 {
            let shipped = ship(&mut shipper);
            assert_eq!(arrive(&mut standby), shipped);
            assert_eq!(assert_is_model(&mut standby, &model), shipped);
        }
        if n == 20 {
            env.checkpoint().unwrap();
        }
    }
    // The one that was handed out has gone on; what was taken before has not.
    assert!(reader.snapshot().unwrap().commit() > before.commit());
    assert_eq!(before.len(&db).unwrap(), len);
    assert!(reader.snapshot().unwrap().len(&db).unwrap() > len + 30);
    drop((before, reader));
    let status = standby.status();
    assert_eq!((status.lag_commits(), status.hole.as_ref()), (0, None), "{status:?}");

    let refused = Environment::open_in(other.root(), world(), options());
    assert!(matches!(refused, Err(EnvError::Standby { .. } | EnvError::AlreadyOpen { .. })));
    drop(standby);
    let refused = Environment::open_in(other.root(), world(), options());
    assert!(matches!(refused, Err(EnvError::Standby { .. })), "{refused:?}");

    let standby = follow(place.clone(), &other.root(), &seeded(5));
    let (promoted, promotion) = standby.promote(&PromoteOptions::default()).unwrap();
    assert_eq!(at_commit(&promoted), (promotion.commit, model[&promotion.commit].1.clone()));
    assert!(standby_info(&other.root()).unwrap().is_none());
    fill(&promoted, 100, 3);
    assert_eq!(promoted.identity().timeline, promotion.timeline);

    // The old one comes back.
    fill(&env, 50, 1);
    let error = shipper.step().unwrap_err();
    assert!(matches!(error, BackupError::Superseded { .. }), "{error}");
    let text = error.to_string();
    for said in ["superseded", &promotion.timeline.to_string(), &promotion.commit.to_string()] {
        assert!(text.contains(said), "{text}");
    }
    let refused = place.backup(&env, &crate::repository::fixture::small());
    assert!(matches!(refused, Err(BackupError::Superseded { .. })), "{refused:?}");
    let refused = place.check_not_superseded(&env);
    assert!(matches!(refused, Err(BackupError::Superseded { .. })), "{refused:?}");
    place.check_not_superseded(&promoted).unwrap();

    // The new one goes on there, and has a standby in its turn.
    let mut goes_on =
        place.shipper(other.root(), &seeded(6), crate::repository::shipped::how()).unwrap();
    let shipped = ship(&mut goes_on);
    let third = MemDisk::new();
    let mut next = follow(place.clone(), &third.root(), &seeded(7));
    assert_eq!(arrive(&mut next), shipped);
    let (commit, found) = at_commit(&next.read().unwrap());
    assert!(commit == shipped && found["db"].len() > 30, "{commit}");
    crate::repository::backups::assert_sound(&place);
    // Where nothing is to be restored over it.
    let back = MemDisk::new();
    let how = RestoreOptions::default().options(options());
    let report = place.restore_in(None, &Which::Newest, &back.root(), &world(), &how).unwrap();
    assert_eq!(report.commit, shipped);
}

#[test]
fn of_two_standbys_one_is_promoted() {
    let disk = MemDisk::new();
    let (env, place) = (open(&disk), repository());
    fill(&env, 0, 9);
    env.close().unwrap();
    ship(&mut shipper(&place, &disk.root()));
    let (one, two) = (MemDisk::new(), MemDisk::new());
    let first = follow(place.clone(), &one.root(), &seeded(4));
    let mut second = follow(place.clone(), &two.root(), &seeded(5));
    arrive(&mut second);
    first.promote(&PromoteOptions::default()).unwrap();
    assert!(matches!(second.step(), Err(BackupError::Superseded { .. })));
    let refused = second.promote(&PromoteOptions::default());
    assert!(matches!(refused, Err(BackupError::Superseded { .. })), "{refused:?}");
    // It is a standby as before, and can be read.
    assert!(standby_info(&two.root()).unwrap().is_some());
    let (env, _) = Environment::open_in(two.root(), world(), options().read_only(true)).unwrap();
    assert_eq!(at_commit(&env).1["db"].len(), 9);
}

#[test]
fn a_base_that_was_cut_short_names_the_command_that_goes_on() {
    let (disk, other, objects) = (MemDisk::new(), MemDisk::new(), MemDisk::new());
    let place = Repository::create_in(local(objects.root()), &world()).unwrap();
    let env = open(&disk);
    fill(&env, 0, 5);
    env.checkpoint().unwrap();
    backup(&place, &env);
    let mut names = objects.files().into_iter().map(|(name, _)| name);
    objects
        .edit(&names.find(|name| name.contains("/data/")).unwrap(), |bytes| {
            *bytes.last_mut().unwrap() ^= 1
        })
        .unwrap();
    let refused = Standby::follow_in(place, other.root(), &seeded(4), how(&options()));
    assert!(matches!(refused, Err(BackupError::Object(_))), "{refused:?}");
    let reader = options().read_only(true).create(false);
    let error = Environment::open_in(other.root(), world(), reader).unwrap_err();
    assert!(error.to_string().contains("`cairn standby follow`"), "{error}");
}

/// What comes behind a hole does not arrive; a newer base does.
#[test]
fn a_hole_is_not_passed_and_a_newer_base_ends_it() {
    let (disk, other, objects) = (MemDisk::new(), MemDisk::new(), MemDisk::new());
    let place = Repository::create_in(local(objects.root()), &world()).unwrap();
    let env = open(&disk);
    fill(&env, 0, 5);
    ship(&mut shipper(&place, &disk.root()));
    let mut standby = follow(place.clone(), &other.root(), &seeded(4));
    arrive(&mut standby);
    let before = standby.status();
    // What was committed now is gone before it is shipped.
    for n in 0..4 {
        fill(&env, 20 + n * 10, 8);
        env.checkpoint().unwrap();
        env.clean().unwrap();
    }
    env.checkpoint().unwrap();
    let shipped = ship(&mut shipper(&place, &disk.root()));
    assert_eq!(arrive(&mut standby), shipped);
    let after = standby.status();
    assert_eq!((before.rebases, after.rebases), (0, 1), "{after:?}");
    assert_eq!(at_commit(&standby.read().unwrap()), at_commit(&env));
    // Without a point behind it, it stays where it is, and says so.
    for n in 0..3 {
        fill(&env, 100 + n, 1);
        ship(&mut shipper(&place, &disk.root()));
    }
    let last = place.intervals(None).unwrap()[0].last.unwrap().segment;
    let (environment, timeline) = (standby.status().environment, standby.status().follows);
    let lost = ObjectName::Segment { environment, timeline, number: last - 1 };
    local(objects.root()).delete(&lost).unwrap();
    let step = standby.step().unwrap();
    assert!(!step.has_more && step.newest.0 < shipped + 3, "{step:?}");
    let status = standby.status();
    assert!(status.hole.as_ref().unwrap().contains("segment"), "{status:?}");
    assert!(status.lag_commits() > 0, "{status:?}");
    let refused = standby.promote(&PromoteOptions::default()).unwrap_err();
    assert!(refused.to_string().contains("cannot get"), "{refused}");
    let standby = follow(place.clone(), &other.root(), &seeded(5));
    let leave = PromoteOptions::default().leave_behind(true);
    let (promoted, promotion) = standby.promote(&leave).unwrap();
    assert!(promotion.commit >= shipped && promotion.commit < shipped + 3, "{promotion:?}");
    assert_eq!(at_commit(&promoted).0, promotion.commit);
}

#[test]
fn a_standby_takes_a_newer_base_after_so_much_journal_and_from_points_alone() {
    let (disk, other) = (MemDisk::new(), MemDisk::new());
    let (env, place) = (open(&disk), repository());
    fill(&env, 0, 5);
    backup(&place, &env);
    let how = how(&options()).rebase_bytes(20 << 10);
    let follow =
        || Standby::follow_in(place.clone(), other.root(), &seeded(4), how.clone()).unwrap();
    let mut standby = follow();
    fill(&env, 5, 5);
    // Nobody ships.
    let point = backup(&place, &env);
    assert_eq!(arrive(&mut standby), point.commit);
    assert_eq!((standby.status().rebases, standby.status().base), (1, Some(point.number)));
    let mut shipper = shipper(&place, &disk.root());
    for n in 0..30 {
        fill(&env, 10 + n, 3);
        ship(&mut shipper);
        if n % 7 == 3 {
            fill(&env, 60, 1);
            backup(&place, &env);
        }
        arrive(&mut standby);
    }
    assert!(standby.status().rebases > 1, "{:?}", standby.status());
    env.close().unwrap();
    let shipped = ship(&mut shipper);
    arrive(&mut standby);
    let env = open(&disk);
    assert!(at_commit(&standby.read().unwrap()) == at_commit(&env), "commit {shipped}");
}

/// The directory of a replica that commits wait for: everything that was acknowledged, and a replica that is refused.
#[test]
fn a_replica_that_was_followed_is_no_replica_after_the_promotion() {
    let (disk, replica, other) = (MemDisk::new(), MemDisk::new(), MemDisk::new());
    let with = |policy| options().replica_in(replica.root(), policy);
    let open = |options: Options| Environment::open_in(disk.root(), world(), options);
    let (env, _) = open(with(ReplicaPolicy::Require)).unwrap();
    fill(&env, 0, 10);
    let mut standby = follow(StandbySource::Directory(replica.root()), &other.root(), &seeded(4));
    let mut model = Model::new();
    for n in 10..30 {
        fill(&env, n, 2);
        note(&env, &mut model);
        if n == 20 {
            env.checkpoint().unwrap();
            env.clean().unwrap();
        }
        arrive(&mut standby);
        if n > 12 {
            // As far as the replica is known to be durable.
            let commit = standby.status().commit;
            let (_, found) = at_commit(&standby.read().unwrap());
            assert!(model.get(&commit).is_none_or(|(_, expected)| found == *expected));
        }
    }
    let last = at_commit(&env);
    // As long as somebody writes there, nobody takes its place.
    let refused = standby.promote(&PromoteOptions::default());
    assert!(
        matches!(
            refused,
            Err(BackupError::Env(EnvError::AlreadyOpen { .. } | EnvError::Locked { .. }))
        ),
        "{refused:?}"
    );
    drop(env); // as a process that dies
    let standby = follow(StandbySource::Directory(replica.root()), &other.root(), &seeded(5));
    let (promoted, promotion) = standby.promote(&PromoteOptions::default()).unwrap();
    assert_eq!(at_commit(&promoted), last);
    for policy in [ReplicaPolicy::Require, ReplicaPolicy::Degrade] {
        let refused = open(with(policy)).unwrap_err();
        assert!(matches!(refused, EnvError::Superseded { .. }), "{refused}");
        assert!(refused.to_string().contains(&promotion.timeline.to_string()), "{refused}");
    }
    let refused = Environment::open_in(replica.root(), world(), options()).unwrap_err();
    assert!(matches!(refused, EnvError::Superseded { .. }), "{refused}");
    assert_eq!(superseded(&replica.root()).unwrap().unwrap().by, promotion.timeline);
    // Nobody stands between it and a disk of its own: the guide says so.
    open(options()).unwrap();
}

#[test]
fn a_directory_of_something_else_becomes_no_standby_and_a_standby_nothing_else() {
    let disk = MemDisk::new();
    let (env, place) = (open(&disk), repository());
    fill(&env, 0, 5);
    backup(&place, &env);
    let follow_in =
        |root: DirRef| Standby::follow_in(place.clone(), root, &world(), how(&options()));
    let other = MemDisk::new();
    crate::fixture::open_seeded(&other, 9).close().unwrap();
    assert!(follow_in(other.root()).is_err());
    assert!(standby_info(&other.root()).unwrap().is_none());
    let standby = MemDisk::new();
    let held = follow_in(standby.root()).unwrap();
    let busy = follow_in(standby.root());
    assert!(matches!(busy, Err(BackupError::Env(EnvError::AlreadyOpen { .. }))), "{busy:?}");
    drop(held);
    // Nor a replica.
    let third = MemDisk::new();
    let with = options().replica_in(standby.root(), ReplicaPolicy::Require);
    assert!(Environment::open_in(third.root(), world(), with).is_err());
    // Nor one of something else.
    let (strange, place) = (MemDisk::new(), repository());
    let env = crate::fixture::open_seeded(&strange, 11);
    fill(&env, 0, 5);
    backup(&place, &env);
    let refused = Standby::follow_in(place, standby.root(), &world(), how(&options()));
    let mut refused = refused.unwrap();
    assert!(refused.step().is_ok_and(|step| step.commits == 0 && !step.rebased));
}
