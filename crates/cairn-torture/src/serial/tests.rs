//! The checker must find what is planted, and nothing else.

use cairn_sim::{Chooser, Seeded};

use super::*;

fn get(key: Key, value: Option<u64>) -> Step {
    Step::Get(key, value)
}

fn scan(from: Key, to: Key, seen: &[(Key, u64)]) -> Step {
    Step::Scan { from, to, back: false, limit: 99, seen: seen.to_vec() }
}

fn txn(commit: u64, steps: Vec<Step>) -> Committed {
    let wrote = steps.iter().any(|step| matches!(step, Step::Put(..) | Step::Delete(_)));
    Committed { commit, wrote, steps }
}

#[test]
fn each_kind_of_anomaly_is_found_in_a_history_by_hand() {
    let begin = || txn(1, vec![Step::Put(1, 10), Step::Put(2, 20)]);
    let both = || scan(0, 9, &[(1, 10), (2, 20)]);
    let good =
        [begin(), txn(2, vec![get(1, Some(10)), Step::Put(1, 11)]), txn(2, vec![get(1, Some(11))])];
    assert_eq!(check(&good), Ok(()));
    let cases = [
        (
            "lost update",
            vec![
                txn(2, vec![get(1, Some(10)), Step::Put(1, 11)]),
                txn(3, vec![get(1, Some(10)), Step::Put(1, 12)]),
            ],
        ),
        (
            "write skew",
            vec![txn(2, vec![both(), Step::Delete(1)]), txn(3, vec![both(), Step::Delete(2)])],
        ),
        ("phantom", vec![txn(2, vec![Step::Put(5, 50)]), txn(3, vec![both(), Step::Put(9, 90)])]),
        ("dirty read", vec![txn(1, vec![get(1, Some(666))])]),
        (
            "a read that does not repeat",
            vec![txn(2, vec![Step::Put(1, 11)]), txn(2, vec![get(1, Some(11)), get(1, Some(10))])],
        ),
        ("a miss that was none", vec![txn(2, vec![get(2, None), Step::Put(7, 70)])]),
        (
            "a stale count",
            vec![txn(2, vec![Step::Put(3, 30)]), txn(3, vec![Step::Count(2), Step::Put(4, 40)])],
        ),
        (
            "two commits in one place",
            vec![txn(2, vec![Step::Put(3, 30)]), txn(2, vec![Step::Put(4, 40)])],
        ),
    ];
    for (name, rest) in cases {
        let history: Vec<_> = std::iter::once(begin()).chain(rest).collect();
        assert!(check(&history).is_err(), "{name}");
    }
}

#[test]
fn histories_of_the_engine_are_explained_by_the_order_of_their_commits() {
    for seed in 0..4 {
        let history = interleaved(&Plan::new(1500, seed)).unwrap();
        assert_eq!(check(&history.committed), Ok(()), "seed {seed}");
        assert!(history.conflicts > 20, "{}", history.conflicts);
        // How often threads meet is up to the machine.
        let history = threaded(&Plan::new(1500, seed)).unwrap();
        assert_eq!(check(&history.committed), Ok(()), "seed {seed}, threads");
        assert!(history.committed.len() > 300, "{}", history.committed.len());
    }
}

#[test]
fn what_is_changed_in_a_history_is_found() {
    let history = interleaved(&Plan::new(2000, 9)).unwrap().committed;
    let mut random = Seeded::new(3).stream("plant");
    for _ in 0..200 {
        let mut planted = history.clone();
        let place = random.choose(planted.len(), "transaction");
        let steps = &mut planted[place].steps;
        let reads: Vec<usize> = (0..steps.len())
            .filter(|&i| !matches!(steps[i], Step::Put(..) | Step::Delete(_)))
            .collect();
        let Some(&read) = reads.first() else { continue };
        match &mut steps[read] {
            Step::Get(_, seen @ Some(_)) => *seen = None,
            Step::Get(_, seen @ None) => *seen = Some(1 << 40),
            Step::Scan { seen, .. } if seen.is_empty() => seen.push((0, 1 << 40)),
            Step::Scan { seen, .. } => drop(seen.remove(0)),
            Step::Count(seen) => *seen += 1,
            Step::Put(..) | Step::Delete(_) => {}
        }
        assert!(check(&planted).is_err(), "{:?}", planted[place]);
    }
}

#[test]
fn clients_whose_reads_do_not_count_are_found_out() {
    for seed in 0..10 {
        let plan = Plan { untracked: true, ..Plan::new(500, seed) };
        assert!(check(&interleaved(&plan).unwrap().committed).is_err(), "seed {seed}");
    }
}
