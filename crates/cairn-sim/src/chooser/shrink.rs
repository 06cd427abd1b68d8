//! `shrink`: a smaller list of choices that still fails.

/// Looks for a smaller list for which `fails` holds, by cutting parts out, setting parts to zero,
/// and making single values smaller, until nothing helps or `fails` has been asked `attempts`
/// times. `fails` runs the test with [`Replay`](super::Replay), to which zeros at the end and no
/// values are the same, so there are none at the end of the result.
///
/// ```
/// use cairn_sim::shrink;
///
/// // Fails whenever some value is above 10 and comes after a 3.
/// let fails = |list: &[usize]| {
///     list.iter().skip_while(|&&value| value != 3).any(|&value| value > 10)
/// };
/// assert_eq!(shrink(&[7, 3, 5, 5, 900, 2, 1], 1000, fails), [3, 11]);
/// ```
pub fn shrink(
    failing: &[usize],
    attempts: usize,
    fails: impl FnMut(&[usize]) -> bool,
) -> Vec<usize> {
    let mut search = Search { best: without_zeros_at_the_end(failing.to_vec()), attempts, fails };
    loop {
        let before = search.best.clone();
        search.each_part(|list, start, end| drop(list.drain(start..end)));
        search.each_part(|list, start, end| list[start..end].fill(0));
        search.smaller_values();
        if search.best == before || search.attempts == 0 {
            return search.best;
        }
    }
}

fn without_zeros_at_the_end(mut list: Vec<usize>) -> Vec<usize> {
    let len = list.iter().rposition(|&value| value != 0).map_or(0, |last| last + 1);
    list.truncate(len);
    list
}

struct Search<F> {
    best: Vec<usize>,
    attempts: usize,
    fails: F,
}

impl<F: FnMut(&[usize]) -> bool> Search<F> {
    /// Takes `candidate` if it is another list and fails as well.
    fn try_list(&mut self, candidate: Vec<usize>) -> bool {
        let candidate = without_zeros_at_the_end(candidate);
        if candidate == self.best || self.attempts == 0 {
            return false;
        }
        self.attempts -= 1;
        let smaller = (self.fails)(&candidate);
        if smaller {
            self.best = candidate;
        }
        smaller
    }

    /// Tries `change` on parts of the list: large ones first, from the back, where less depends on
    /// them.
    fn each_part(&mut self, change: impl Fn(&mut Vec<usize>, usize, usize)) {
        let mut size = self.best.len();
        while size > 0 {
            let mut end = self.best.len();
            while end > 0 {
                let start = end.saturating_sub(size);
                let mut candidate = self.best.clone();
                change(&mut candidate, start, end);
                self.try_list(candidate);
                end = start.min(self.best.len());
            }
            size /= 2;
        }
    }

    /// Brings each value down by bisection, as far as that goes.
    fn smaller_values(&mut self) {
        for index in 0..self.best.len() {
            let mut low = 0;
            while let Some(&value) = self.best.get(index)
                && low < value
                && self.attempts > 0
            {
                let middle = low + (value - low) / 2;
                let mut candidate = self.best.clone();
                candidate[index] = middle;
                if !self.try_list(candidate) {
                    low = middle + 1;
                }
            }
        }
    }
}
