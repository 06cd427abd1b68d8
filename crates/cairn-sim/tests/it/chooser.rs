//! Choosers: what each promises of its choices.

use std::collections::BTreeSet;

use cairn_sim::{
    Choices, Chooser, ChooserExt, Exhaustive, FuzzBytes, Recorder, Replay, Seeded, shrink,
};

#[test]
fn exhaustive_goes_through_every_combination_once() {
    let mut all = Exhaustive::new();
    let mut seen = Vec::new();
    while let Some(mut run) = all.next_run() {
        let first = run.choose(3, "first");
        let second = if first == 1 { run.choose(4, "second") } else { 9 };
        seen.push((first, second));
    }
    assert_eq!(seen, [(0, 9), (1, 0), (1, 1), (1, 2), (1, 3), (2, 9)]);
    assert_eq!(all.runs(), 6);
    assert!(all.next_run().is_none());
}

#[test]
fn exhaustive_runs_a_body_without_choices_once() {
    let mut all = Exhaustive::new();
    assert!(all.next_run().is_some());
    assert!(all.next_run().is_none());
}

#[test]
fn exhaustive_copes_with_runs_that_end_early() {
    let mut all = Exhaustive::new();
    let mut seen = Vec::new();
    while let Some(mut run) = all.next_run() {
        let value = (run.choose(2, "a"), run.choose(2, "b"));
        if value != (0, 0) {
            seen.push(value);
            continue;
        }
        run.choose(2, "c");
    }
    assert_eq!(seen, [(0, 1), (1, 0), (1, 1)].map(|value| value));
}

#[test]
#[should_panic(expected = "the same choices led to b of 2 and, before, to a of 2")]
fn exhaustive_notices_a_body_that_depends_on_something_else() {
    let mut all = Exhaustive::new();
    all.next_run().unwrap().choose(2, "a");
    all.next_run().unwrap().choose(2, "b");
}

#[test]
fn seeded_repeats_itself_and_spreads_evenly() {
    let draw = |seed| {
        let mut random = Seeded::new(seed);
        (0..1000).map(|_| random.choose(10, "digit")).collect::<Vec<_>>()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    for digit in 0..10 {
        let count = draw(1).iter().filter(|&&drawn| drawn == digit).count();
        assert!((60..140).contains(&count), "{digit}: {count}");
    }
}

#[test]
fn streams_depend_on_seed_and_name_alone() {
    let root = Seeded::new(5);
    let mut used = root.clone();
    used.next_u64();
    let first = |mut stream: Seeded| stream.next_u64();
    assert_eq!(first(root.stream("disk")), first(used.stream("disk")));
    let streams = [
        first(root.stream("disk")),
        first(root.stream("clock")),
        first(root.stream("")),
        first(root.stream("disk").stream("disk")),
        first(Seeded::new(6).stream("disk")),
        first(root.clone()),
    ];
    assert_eq!(BTreeSet::from(streams).len(), streams.len());
    assert_eq!(root.to_string(), "0x0000000000000005");
}

#[test]
fn fuzz_bytes_are_used_up_and_then_zero() {
    let mut input = FuzzBytes::new(&[7, 0x34, 0x12, 200]);
    assert_eq!(input.choose(1, "no byte"), 0);
    assert_eq!(input.choose(256, "one byte"), 7);
    assert_eq!(input.choose(0x1_0000, "two bytes"), 0x1234);
    assert!(!input.is_used_up());
    assert_eq!(input.choose(70_000, "as many as there are"), 200);
    assert!(input.is_used_up());
    assert_eq!(input.choose(10, "none"), 0);
}

#[test]
fn a_recording_prints_parses_and_replays() {
    let body = |chooser: &mut dyn Chooser| {
        let mut items = [1, 2, 3, 4, 5];
        chooser.shuffle(&mut items, "order");
        let mut bytes = [0; 5];
        chooser.bytes(&mut bytes, "bytes");
        (items, bytes, chooser.range(10..20, "range"), chooser.choose_bool("flag"))
    };
    let mut recorder = Recorder::new(Seeded::new(3));
    let original = body(&mut recorder);
    let printed = recorder.into_choices().to_string();
    assert!(printed.starts_with("order="), "{printed}");
    let parsed: Choices = printed.parse().unwrap();
    assert_eq!(parsed.to_string(), printed);
    let mut again = Recorder::new(Replay::from(&parsed));
    assert_eq!(body(&mut again), original);
    assert_eq!(again.choices(), &parsed);
}

#[test]
fn what_is_no_recording_is_refused() {
    for bad in ["a", "a=1", "a=1/", "a=2/2", "a=-1/2", "=x/1", "a=1/2 b"] {
        assert!(bad.parse::<Choices>().is_err(), "{bad}");
    }
    assert_eq!("".parse::<Choices>().unwrap(), Choices::default());
    assert_eq!("a=0/1\n b=1/2 ".parse::<Choices>().unwrap().values(), [0, 1]);
}

#[test]
fn a_replay_fits_any_body() {
    let mut replay = Replay::new([5, 1]);
    assert_eq!((0..4).map(|_| replay.choose(3, "x")).collect::<Vec<_>>(), [2, 1, 0, 0]);
}

#[test]
fn zeros_are_the_plainest_choices() {
    let mut zeros = Replay::new([]);
    let mut items = [1, 2, 3];
    zeros.shuffle(&mut items, "order");
    let mut bytes = [9; 3];
    zeros.bytes(&mut bytes, "bytes");
    assert_eq!((items, bytes), ([1, 2, 3], [0; 3]));
    assert!(!zeros.choose_bool("flag"));
    assert_eq!(zeros.weighted(&[0, 3, 1], "weights"), 1);
}

#[test]
fn weights_are_kept() {
    let mut all = Exhaustive::new();
    let mut counts = [0; 4];
    while let Some(mut run) = all.next_run() {
        counts[run.weighted(&[2, 0, 1, 3], "weights")] += 1;
    }
    assert_eq!(counts, [2, 0, 1, 3]);
}

#[test]
fn a_shuffle_reaches_every_order_once() {
    let mut all = Exhaustive::new();
    let mut seen = BTreeSet::new();
    while let Some(mut run) = all.next_run() {
        let mut items = [1, 2, 3, 4];
        run.shuffle(&mut items, "order");
        assert!(seen.insert(items));
    }
    assert_eq!(seen.len(), 24);
}

#[test]
fn a_failure_shrinks_to_what_it_needs() {
    // Fails when a 3 is followed, anywhere later, by something above 10.
    let fails =
        |list: &[usize]| list.iter().skip_while(|&&value| value != 3).any(|&value| value > 10);
    let mut random = Seeded::new(1);
    let mut long: Vec<_> = (0..300).map(|_| random.choose(9, "noise")).collect();
    long[80] = 3;
    long[200] = 5000;
    let mut asked = 0;
    let small = shrink(&long, 10_000, |list| {
        asked += 1;
        fails(list)
    });
    assert_eq!(small, [3, 11]);
    assert!(asked < 500, "{asked}");
}

#[test]
fn shrinking_stops_when_its_attempts_are_used_up() {
    let mut asked = 0;
    let result = shrink(&[1; 100], 7, |list| {
        asked += 1;
        list.len() > 90
    });
    assert_eq!(asked, 7);
    assert!(result.len() > 90);
    assert_eq!(shrink(&[0, 1, 0], 0, |_| true), [0, 1]);
}
