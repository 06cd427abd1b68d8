//! The worker layer: when a worker steps, and how it ends.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use cairn_io::{RealWorld, Step, Worker, WorkerHandle, World};

/// Generous: a step that comes takes microseconds, one that never comes fails the test.
const LONG: Duration = Duration::from_secs(20);
/// Short: how long we look for a step that must not come.
const SHORT: Duration = Duration::from_millis(30);

/// What a worker did.
#[derive(Debug, PartialEq)]
enum Event {
    Stepped,
    Panicked(String),
    Dropped,
}

struct Scripted<F> {
    script: F,
    events: Sender<Event>,
}

impl<F: FnMut() -> Step + Send> Worker for Scripted<F> {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn step(&mut self) -> Step {
        self.events.send(Event::Stepped).unwrap();
        (self.script)()
    }

    fn panicked(&mut self, message: &str) {
        self.events.send(Event::Panicked(message.to_owned())).unwrap();
    }
}

impl<F> Drop for Scripted<F> {
    fn drop(&mut self) {
        self.events.send(Event::Dropped).unwrap_or(());
    }
}

fn start(script: impl FnMut() -> Step + Send + 'static) -> (WorkerHandle, Receiver<Event>) {
    let (events, seen) = channel();
    (RealWorld::new().start(Box::new(Scripted { script, events })).unwrap(), seen)
}

#[track_caller]
fn expect(seen: &Receiver<Event>, event: Event) {
    assert_eq!(seen.recv_timeout(LONG), Ok(event));
}

#[test]
fn a_worker_steps_at_once_and_again_when_woken() {
    let (handle, seen) = start(|| Step::Idle(None));
    expect(&seen, Event::Stepped);
    seen.recv_timeout(SHORT).unwrap_err();
    handle.wake();
    expect(&seen, Event::Stepped);
    seen.recv_timeout(SHORT).unwrap_err();
    handle.stop();
    expect(&seen, Event::Dropped);
}

#[test]
fn a_worker_that_did_something_steps_again_until_it_is_idle() {
    let mut left = 5;
    let (_handle, seen) = start(move || {
        left -= 1;
        if left > 0 { Step::Did } else { Step::Idle(None) }
    });
    for _ in 0..5 {
        expect(&seen, Event::Stepped);
    }
    seen.recv_timeout(SHORT).unwrap_err();
}

#[test]
fn an_idle_period_ends_by_itself() {
    let (_handle, seen) = start(|| Step::Idle(Some(Duration::from_millis(1))));
    for _ in 0..5 {
        expect(&seen, Event::Stepped);
    }
}

#[test]
fn an_endless_idle_period_is_no_overflow() {
    let (handle, seen) = start(|| Step::Idle(Some(Duration::MAX)));
    expect(&seen, Event::Stepped);
    handle.wake();
    expect(&seen, Event::Stepped);
}

#[test]
fn a_wake_during_a_step_is_found_after_it_and_many_are_one() {
    let (release, gate) = channel();
    let gate = Mutex::new(gate);
    let (handle, seen) = start(move || {
        gate.lock().unwrap().recv_timeout(LONG).unwrap();
        Step::Idle(None)
    });
    expect(&seen, Event::Stepped);
    for _ in 0..100 {
        handle.wake();
    }
    release.send(()).unwrap();
    expect(&seen, Event::Stepped);
    release.send(()).unwrap();
    seen.recv_timeout(SHORT).unwrap_err();
    drop(release);
}

#[test]
fn dropping_the_handle_waits_for_the_step_and_drops_the_worker() {
    let steps = Arc::new(AtomicUsize::new(0));
    let (entered, at_step) = channel();
    let (handle, seen) = start({
        let steps = Arc::clone(&steps);
        move || {
            entered.send(()).unwrap_or(());
            std::thread::yield_now();
            steps.fetch_add(1, Ordering::SeqCst);
            Step::Idle(None)
        }
    });
    at_step.recv_timeout(LONG).unwrap();
    drop(handle);
    assert_eq!(steps.load(Ordering::SeqCst), 1);
    expect(&seen, Event::Stepped);
    assert_eq!(seen.try_recv(), Ok(Event::Dropped));
}

#[test]
fn a_worker_that_is_done_is_dropped_and_its_handle_stays_harmless() {
    let (handle, seen) = start(|| Step::Done);
    expect(&seen, Event::Stepped);
    expect(&seen, Event::Dropped);
    handle.wake();
    handle.stop();
}

#[test]
fn a_panic_is_reported_once_and_ends_the_worker() {
    let (handle, seen) = start(|| panic!("step {} broke", 7));
    expect(&seen, Event::Stepped);
    expect(&seen, Event::Panicked("step 7 broke".into()));
    expect(&seen, Event::Dropped);
    handle.wake();
    handle.stop();
}

#[test]
fn a_worker_can_stop_itself() {
    let slot: Arc<Mutex<Option<WorkerHandle>>> = Arc::default();
    let (handle, seen) = start({
        let slot = Arc::clone(&slot);
        move || {
            drop(slot.lock().unwrap().take());
            Step::Idle(None)
        }
    });
    {
        let mut slot = slot.lock().unwrap();
        slot.insert(handle).wake();
    }
    // Whichever step finds the handle is the last.
    let events = std::iter::from_fn(|| seen.recv_timeout(LONG).ok());
    assert_eq!(events.last(), Some(Event::Dropped));
    assert!(slot.lock().unwrap().is_none());
}

#[test]
fn threads_are_named_after_their_workers() {
    let (told, name) = channel();
    let (_handle, _seen) = start(move || {
        told.send(std::thread::current().name().map(str::to_owned)).unwrap();
        Step::Idle(None)
    });
    assert_eq!(name.recv_timeout(LONG), Ok(Some("scripted".to_owned())));
}

#[test]
fn clocks_run_and_random_bytes_differ() {
    let world = RealWorld::new();
    let before = world.monotonic();
    assert!(world.monotonic() >= before);
    assert!(world.wall().0 > 1_700_000_000_000_000, "after 2023, in microseconds");
    let (mut one, mut two) = ([0; 1000], [0; 1000]);
    world.random(&mut one);
    world.random(&mut two);
    assert_ne!(one, two);
    assert_ne!(one, [0; 1000]);
}
