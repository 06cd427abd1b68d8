//! A few threads that share out jobs.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use crate::run::lock;

/// Does the jobs on so many threads, and returns the results in the order of the jobs: what comes
/// out does not depend on who did what.
///
/// The engine creates no thread but through its worker layer; these are around it. Each job runs an
/// engine of its own from beginning to end in one thread.
pub fn run<J: Sync, R: Send>(threads: usize, jobs: &[J], work: impl Fn(&J) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(jobs.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, jobs.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else { return };
                    let result = work(job);
                    lock(&results).push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        let jobs: Vec<u64> = (0..100).collect();
        assert_eq!(super::run(3, &jobs, |n| n * n), jobs.iter().map(|n| n * n).collect::<Vec<_>>());
        assert_eq!(super::run(3, &[0; 0], |n: &u64| *n), [0; 0]);
    }
}
