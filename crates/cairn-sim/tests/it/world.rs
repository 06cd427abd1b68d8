//! `SimWorld`: time, randomness and workers, all by hand.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use cairn_io::{Step, WallTime, Worker, WorkerHandle, World};
use cairn_sim::{Seeded, SimWorld, WorkerId};

const SECOND: Duration = Duration::from_secs(1);

/// What workers did, in order.
type Events = Arc<Mutex<Vec<String>>>;

struct Scripted<F> {
    name: &'static str,
    script: F,
    events: Events,
}

impl<F> Scripted<F> {
    fn note(&self, what: &str) {
        self.events.lock().unwrap().push(format!("{} {what}", self.name));
    }
}

impl<F: FnMut() -> Step + Send> Worker for Scripted<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn step(&mut self) -> Step {
        self.note("steps");
        (self.script)()
    }

    fn panicked(&mut self, message: &str) {
        self.note(&format!("panicked: {message}"));
    }
}

impl<F> Drop for Scripted<F> {
    fn drop(&mut self) {
        self.note("is dropped");
    }
}

fn start(
    world: &SimWorld,
    events: &Events,
    name: &'static str,
    script: impl FnMut() -> Step + Send + 'static,
) -> (WorkerHandle, WorkerId) {
    let worker = Scripted { name, script, events: Arc::clone(events) };
    let handle = world.start(Box::new(worker)).unwrap();
    (handle, *world.workers().last().unwrap())
}

fn taken(events: &Events) -> Vec<String> {
    std::mem::take(&mut events.lock().unwrap())
}

#[test]
fn a_worker_steps_only_when_told_and_only_when_it_may() {
    let (world, events) = (SimWorld::new(1), Events::default());
    let (handle, id) = start(&world, &events, "w", || Step::Idle(None));
    assert!(taken(&events).is_empty());
    assert_eq!(world.runnable(), [id]);
    assert_eq!(world.step(id), Some(Step::Idle(None)));
    assert_eq!(world.step(id), None);
    world.advance(SECOND * 1000);
    assert_eq!(world.step(id), None);
    handle.wake();
    handle.wake();
    assert_eq!(world.step(id), Some(Step::Idle(None)));
    assert_eq!(world.step(id), None, "many wakes are one");
    assert_eq!(taken(&events), ["w steps", "w steps"]);
}

#[test]
fn idle_periods_end_with_the_clock() {
    let (world, events) = (SimWorld::new(1), Events::default());
    let (_a, a) = start(&world, &events, "a", || Step::Idle(Some(SECOND * 5)));
    let (_b, b) = start(&world, &events, "b", || Step::Idle(Some(SECOND * 3)));
    assert_eq!(world.advance_to_next(), Some(Duration::ZERO), "both are due at once");
    assert_eq!(world.run_until_idle(10), 2);
    assert_eq!(world.advance_to_next(), Some(SECOND * 3));
    assert_eq!(world.runnable(), [b]);
    assert_eq!(world.run_until_idle(10), 1);
    assert_eq!(world.advance_to_next(), Some(SECOND * 2));
    assert_eq!(world.runnable(), [a]);
    assert_eq!(world.monotonic(), SECOND * 5);
}

#[test]
fn a_wake_during_a_step_is_found_after_it() {
    let (world, events) = (SimWorld::new(1), Events::default());
    let slot: Arc<Mutex<Option<WorkerHandle>>> = Arc::default();
    let (handle, id) = start(&world, &events, "w", {
        let (slot, mut woken) = (Arc::clone(&slot), false);
        move || {
            if let Some(handle) = &*slot.lock().unwrap()
                && !std::mem::replace(&mut woken, true)
            {
                handle.wake();
            }
            Step::Idle(None)
        }
    });
    *slot.lock().unwrap() = Some(handle);
    assert_eq!(world.run_until_idle(10), 2);
    assert_eq!(world.step(id), None);
}

#[test]
fn workers_step_in_turn_until_all_are_idle() {
    let (world, events) = (SimWorld::new(1), Events::default());
    let counting = |mut left: u32| {
        move || {
            left -= 1;
            if left > 0 { Step::Did } else { Step::Idle(None) }
        }
    };
    let (_a, _) = start(&world, &events, "a", counting(3));
    let (_b, _) = start(&world, &events, "b", counting(1));
    assert_eq!(world.run_until_idle(100), 4);
    assert_eq!(taken(&events), ["a steps", "b steps", "a steps", "a steps"]);
    let (_c, _) = start(&world, &events, "c", || Step::Did);
    assert_eq!(world.run_until_idle(100), 100, "one that never rests is stopped by the limit");
}

#[test]
fn chosen_steps_follow_the_chooser() {
    let run = |seed| {
        let (world, events) = (SimWorld::new(1), Events::default());
        let (_a, _) = start(&world, &events, "a", || Step::Did);
        let (_b, _) = start(&world, &events, "b", || Step::Did);
        let mut random = Seeded::new(seed);
        (0..20).for_each(|_| assert!(world.step_any(&mut random).is_some()));
        taken(&events)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    assert!(SimWorld::new(1).step_any(&mut Seeded::new(1)).is_none());
}

#[test]
fn stopping_removes_and_drops_the_worker() {
    let (world, events) = (SimWorld::new(1), Events::default());
    let (handle, id) = start(&world, &events, "w", || Step::Did);
    handle.stop();
    assert_eq!(taken(&events), ["w is dropped"]);
    assert_eq!((world.workers(), world.step(id)), (vec![], None));
    let (handle, _) = start(&world, &events, "x", || Step::Done);
    assert_eq!(world.run_until_idle(10), 1);
    assert_eq!(taken(&events), ["x steps", "x is dropped"]);
    handle.wake();
    drop(handle);
}

#[test]
fn a_worker_can_stop_itself_and_start_another() {
    let (world, events) = (SimWorld::new(1), Events::default());
    let slot: Arc<Mutex<Option<WorkerHandle>>> = Arc::default();
    let (handle, _) = start(&world, &events, "parent", {
        let (world, events, slot) = (world.clone(), Arc::clone(&events), Arc::clone(&slot));
        move || {
            let (child, _) = start(&world, &events, "child", || Step::Idle(None));
            drop(slot.lock().unwrap().replace(child)); // the handle of the parent
            Step::Did
        }
    });
    *slot.lock().unwrap() = Some(handle);
    assert_eq!(world.run_until_idle(10), 2);
    assert_eq!(taken(&events), ["parent steps", "parent is dropped", "child steps"]);
    let names: Vec<_> = world.workers().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["child#1"]);
}

#[test]
fn a_panic_is_told_to_the_worker_which_then_ends() {
    let (world, events) = (SimWorld::new(1), Events::default());
    let (_handle, id) = start(&world, &events, "w", || panic!("no {}", "luck"));
    assert_eq!(world.step(id), Some(Step::Done));
    assert_eq!(taken(&events), ["w steps", "w panicked: no luck", "w is dropped"]);
    assert!(world.workers().is_empty());
}

#[test]
fn the_wall_clock_can_jump_and_the_monotonic_one_cannot() {
    let world = SimWorld::new(1);
    let start = world.wall();
    world.advance(SECOND);
    assert_eq!((world.wall().0 - start.0, world.monotonic()), (1_000_000, SECOND));
    world.set_wall(WallTime(5));
    assert_eq!((world.wall(), world.monotonic()), (WallTime(5), SECOND));
    world.advance(SECOND);
    assert_eq!((world.wall(), world.monotonic()), (WallTime(1_000_005), SECOND * 2));
}

#[test]
fn randomness_follows_from_the_seed() {
    let draw = |seed| {
        let mut bytes = [0; 33];
        SimWorld::new(seed).world().random(&mut bytes);
        bytes
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    let world = SimWorld::new(1);
    let (mut first, mut second) = ([0; 16], [0; 16]);
    world.random(&mut first);
    world.random(&mut second);
    assert_ne!(first, second);
}
