//! Points that are newer than what is shipped: shipping has ended, and backups go on.

use std::time::Duration;

use cairn_backup::{BackupError, PromoteOptions, Repository, Shipper, Standby, Which};
use cairn_env::Environment;
use cairn_io::{MemDisk, WorldRef};
use cairn_sim::SimWorld;

use super::{arrive, assert_is_model, at_commit, how};
use crate::{
    fixture::{fill, open, options},
    repository::{
        fixture::{backup, local},
        shipped::{Model, note, ship, shipper},
    },
};

/// A standby that has what is shipped, and a point of what is not.
struct Ended {
    env: Environment,
    place: Repository,
    objects: MemDisk,
    shipper: Shipper,
    standby: Standby,
    there: MemDisk,
    world: WorldRef,
    model: Model,
    shipped: u64,
    point: u64,
}

impl Ended {
    fn new() -> Self {
        let (disk, objects, there) = (MemDisk::new(), MemDisk::new(), MemDisk::new());
        let (env, world) = (open(&disk), SimWorld::new(4).world());
        let place = Repository::create_in(local(objects.root()), &world).unwrap();
        let (mut shipper, mut model) = (shipper(&place, &disk.root()), Model::new());
        write(&env, 0, &mut model);
        ship(&mut shipper);
        let mut standby =
            Standby::follow_in(place.clone(), there.root(), &world, how(&options())).unwrap();
        write(&env, 10, &mut model);
        let shipped = ship(&mut shipper);
        assert_eq!(arrive(&mut standby), shipped);
        write(&env, 20, &mut model);
        let point = backup(&place, &env).commit;
        assert!(point > shipped);
        Self { env, place, objects, shipper, standby, there, world, model, shipped, point }
    }
}

fn write(env: &Environment, from: u32, model: &mut Model) {
    for n in from..from + 8 {
        fill(env, n, 1);
        note(env, model);
    }
}

#[test]
fn what_only_a_newer_point_has_is_there_after_a_promotion() {
    let Ended { standby, model, point, .. } = Ended::new();
    let (promoted, promotion) = standby.promote(&PromoteOptions::default()).unwrap();
    assert_eq!(promotion.commit, point);
    assert!(at_commit(&promoted) == (point, model[&point].1.clone()));
}

#[test]
fn a_promotion_that_cannot_get_a_newer_point_is_refused_before_there_is_a_fence() {
    let Ended { env, place, objects, standby, there, world, shipped, .. } = Ended::new();
    let (_, point) = place.find(None, &Which::Newest).unwrap();
    let backend = local(objects.root());
    for object in point.objects() {
        backend.delete(&object.name).unwrap();
    }
    let refused = standby.promote(&PromoteOptions::default()).unwrap_err();
    assert!(matches!(refused, BackupError::Object(_)), "{refused}");
    place.check_not_superseded(&env).unwrap();
    // Whoever says so leaves it behind.
    let standby = Standby::follow_in(place, there.root(), &world, how(&options())).unwrap();
    let leave = PromoteOptions::default().leave_behind(true);
    let (promoted, promotion) = standby.promote(&leave).unwrap();
    assert_eq!((promotion.commit, at_commit(&promoted).0), (shipped, shipped));
}

#[test]
fn a_standby_whose_source_ships_no_more_goes_on_from_a_newer_point() {
    let Ended { env, mut shipper, mut standby, world, mut model, shipped, point, .. } =
        Ended::new();
    // Journal may be on its way: a point alone is no reason to restore everything.
    assert_eq!(arrive(&mut standby), shipped);
    assert_eq!(standby.status().rebases, 0);
    world.pause(Duration::from_secs(60));
    assert_eq!(arrive(&mut standby), point);
    assert_eq!((standby.status().rebases, standby.status().hole), (1, None));
    assert_eq!(assert_is_model(&mut standby, &model), point);
    // Shipping goes on.
    write(&env, 30, &mut model);
    let shipped = ship(&mut shipper);
    assert!(shipped > point);
    assert_eq!(arrive(&mut standby), shipped);
    assert_is_model(&mut standby, &model);
}
